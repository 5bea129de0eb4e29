//! Answers of nodes for fuzz targets.

use std::cell::RefCell;

use reqwest::RequestBuilder;
use tokio::runtime::{Builder, Runtime};

use super::chain_error::ChainError;

/// Answers requests: from the path and the query of the URL, and the body of the request, to the status and the body of the answer.
type Answer = Box<dyn FnMut(&str, &[u8]) -> (u16, Vec<u8>)>;

thread_local! {
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
    static RUNTIME: Option<Runtime> = Builder::new_current_thread().enable_time().build().ok();
}

/// Runs a question to a node whose answers are these. `None` if there is no runtime.
pub fn ask<T>(
    answer: impl FnMut(&str, &[u8]) -> (u16, Vec<u8>) + 'static,
    question: impl Future<Output = T>,
) -> Option<T> {
    ANSWER.with_borrow_mut(|now| *now = Some(Box::new(answer)));
    RUNTIME.with(|runtime| Some(runtime.as_ref()?.block_on(question)))
}

/// The body of the answer to a request, in place of that of the network. `None` without [`ask`].
pub(super) fn answer(request: &RequestBuilder) -> Option<Result<Vec<u8>, ChainError>> {
    let request = request.try_clone()?.build().ok()?;
    let target = [request.url().path(), request.url().query().unwrap_or_default()].join("?");
    let sent = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
    ANSWER.with_borrow_mut(|answer| match answer.as_mut()?(&target, sent) {
        (200, body) => Some(Ok(body)),
        (status, _) => Some(Err(ChainError::Status(status))),
    })
}
