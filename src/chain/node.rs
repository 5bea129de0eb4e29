//! Requests to a node.

use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::chain_error::ChainError;
use crate::endpoint::{self, BaseUrl};

/// Size limit of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Timeout of a request with its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The id of each request of JSON-RPC: each travels alone.
const ID: u64 = 1;

/// A node: its JSON-RPC interface or its REST API.
pub(super) struct Node {
    client: Client,
    url: BaseUrl,
}

/// An answer of JSON-RPC.
#[derive(Deserialize)]
struct RpcResponse<T> {
    id: u64,
    result: Option<T>,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: i64,
}

impl Node {
    pub fn new(url: BaseUrl) -> Result<Self, reqwest::Error> {
        Ok(Self { client: endpoint::client(ANSWER_TIMEOUT)?, url })
    }

    /// Calls a method of JSON-RPC. `None` if the result is null.
    pub async fn call_optional<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Option<T>, ChainError> {
        let body = json!({"jsonrpc": "2.0", "id": ID, "method": method, "params": params});
        let body = read(self.client.post(self.url.url().clone()).json(&body)).await?;
        let answer: RpcResponse<T> =
            serde_json::from_slice(&body).map_err(|_other_form| ChainError::Malformed(method))?;
        match answer.error {
            Some(Fault { code }) => Err(ChainError::Refused { method, code }),
            None if answer.id == ID => Ok(answer.result),
            None => Err(ChainError::Malformed(method)),
        }
    }

    /// Calls a method of JSON-RPC whose result is not null.
    pub async fn call<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T, ChainError> {
        self.call_optional(method, params).await?.ok_or(ChainError::Malformed(method))
    }

    /// Gets an object of the REST API. `operation` names it in errors.
    pub async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ChainError> {
        let mut url = self.url.join(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let body = read(self.client.get(url)).await?;
        serde_json::from_slice(&body).map_err(|_other_form| ChainError::Malformed(operation))
    }
}

async fn read(request: RequestBuilder) -> Result<Vec<u8>, ChainError> {
    #[cfg(fuzzing)]
    if let Some(answer) = super::fuzzing::answer(&request) {
        return answer;
    }
    let response = request.send().await.map_err(|error| ChainError::Unreachable(endpoint::cause(error)))?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(ChainError::Status(status));
    }
    let body = endpoint::read_body(response, ANSWER_BYTES_MAX).await;
    body.map_err(|error| ChainError::Body(error.to_string()))
}
