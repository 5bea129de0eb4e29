//! The request in progress: what the log and the metrics say about it that only inner rooms know.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::payer::Payer;
use crate::problem::Code;

tokio::task_local! {
    static CURRENT: Arc<Current>;
}

/// A request in progress.
#[derive(Debug)]
pub(crate) struct Current {
    /// The id of the request.
    pub id: String,
    facts: Mutex<Facts>,
}

/// What is known of a request.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The code of the problem that is the answer.
    pub code: Option<Code>,
    /// The cause of the problem. Only the log has it.
    pub cause: Option<Cow<'static, str>>,
    /// The payer whose data the request is about, once it is proven.
    pub payer: Option<Payer>,
    /// The payer who acts for that one.
    pub caller: Option<Payer>,
    /// How long the call waited for a lock or a job because it asked for it.
    pub waited: Duration,
}

impl Current {
    /// A request with this id.
    pub fn new(id: String) -> Arc<Self> {
        Arc::new(Self { id, facts: Mutex::default() })
    }

    /// The request of the current task.
    pub fn get() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Answers the request: it is current in `answer`.
    pub async fn scope<T>(self: &Arc<Self>, answer: impl Future<Output = T>) -> T {
        CURRENT.scope(Arc::clone(self), answer).await
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is known of the request.
    pub fn take(&self) -> Facts {
        std::mem::take(&mut self.facts())
    }

    /// The call fails because of this.
    pub fn because(&self, cause: impl Into<Cow<'static, str>>) {
        self.facts().cause = Some(cause.into());
    }
}

/// The id of the current request.
pub(crate) fn current_id() -> Option<String> {
    CURRENT.try_with(|current| current.id.clone()).ok()
}

/// The current request fails because of this. Returns whether there is a current request, which will be logged.
pub(crate) fn because(cause: impl Into<Cow<'static, str>>) -> bool {
    CURRENT.try_with(|current| current.because(cause)).is_ok()
}

/// The answer to the current request is a problem.
pub(crate) fn refused(code: Code) {
    // Answers outside of a request, in tests, are not logged.
    let _none = CURRENT.try_with(|current| current.facts().code = Some(code));
}

/// The current request is about the data of a payer, who sends it or for whom the caller acts.
pub(crate) fn called_by(caller: &Payer, payer: &Payer) {
    let _none = CURRENT.try_with(|current| {
        let mut facts = current.facts();
        facts.payer = Some(payer.clone());
        facts.caller = (caller != payer).then(|| caller.clone());
    });
}

/// The current request waited for so long because it asked to wait.
pub(crate) fn waited(time: Duration) {
    let _none = CURRENT.try_with(|current| current.facts().waited += time);
}
