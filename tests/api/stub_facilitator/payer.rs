//! A payer whose payments a test sends to a stub facilitator itself.

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::wallet::from_header;
use crate::support::{PayingWallet, StubFacilitator, Terms, official};

/// USDC of Base Sepolia.
pub const USDC: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";

pub struct Payer {
    pub facilitator: StubFacilitator,
    pub wallet: PayingWallet,
    /// The PaymentRequired that it pays.
    pub offers: Value,
    pub client: Client,
    /// Value of the header `authorization`.
    pub authorization: Option<&'static str>,
}

impl Payer {
    /// A payer with 5 USDC, and a new facilitator.
    pub fn new() -> Self {
        Self::at(StubFacilitator::start())
    }

    pub fn at(facilitator: StubFacilitator) -> Self {
        // The HTTP client needs a TLS provider, even without TLS.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let wallet = PayingWallet::from_seed(1);
        facilitator.chain.mint(&wallet.address(), USDC, 5_000_000);
        Self { facilitator, wallet, offers: from_header(official::REQUIRED), client, authorization: None }
    }

    /// The entry of `accepts` that it pays.
    pub fn required(&self) -> Value {
        self.offers["accepts"][0].clone()
    }

    pub fn payment(&self, terms: &Terms) -> Value {
        self.wallet.payment(&self.offers, &self.required(), terms)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        self.authorization.iter().fold(request, |request, value| request.header("authorization", *value))
    }

    /// The request for a payment that accepts these requirements.
    pub fn request(&self, path: &str, payment: &Value, required: &Value) -> RequestBuilder {
        let body = json!({"x402Version": 2, "paymentPayload": payment, "paymentRequirements": required});
        self.authorized(self.client.post(format!("{}{path}", self.facilitator.url)).json(&body))
    }

    /// Status and JSON of an answer to `POST /settle`.
    pub async fn settle_as(&self, payment: &Value, required: &Value) -> (u16, Value) {
        read(self.request("/settle", payment, required).send().await.unwrap()).await
    }

    pub async fn settle(&self, payment: &Value) -> (u16, Value) {
        self.settle_as(payment, &payment["accepted"]).await
    }

    /// `errorReason`. It is empty after a success.
    pub async fn settle_code(&self, payment: &Value) -> String {
        code(self.settle(payment).await.1, "success", "errorReason")
    }

    pub async fn verify(&self, payment: &Value) -> (u16, Value) {
        read(self.request("/verify", payment, &payment["accepted"]).send().await.unwrap()).await
    }

    /// `invalidReason`. It is empty if the payment is valid.
    pub async fn verify_code(&self, payment: &Value) -> String {
        code(self.verify(payment).await.1, "isValid", "invalidReason")
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.authorized(self.client.get(format!("{}{path}", self.facilitator.url)));
        read(request.send().await.unwrap()).await
    }

    /// The answer of the chain's JSON-RPC.
    pub async fn rpc(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let (status, answer) =
            read(self.client.post(self.facilitator.rpc_url()).json(&body).send().await.unwrap()).await;
        assert_eq!((status, &answer["jsonrpc"], &answer["id"]), (200, &json!("2.0"), &json!(7)));
        answer
    }
}

/// Status and JSON of an answer.
pub async fn read(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

fn code(answer: Value, success: &str, reason: &str) -> String {
    let is_success = answer[success].as_bool().unwrap();
    assert_eq!(is_success, answer[reason].is_null(), "{answer}");
    answer[reason].as_str().unwrap_or_default().to_owned()
}
