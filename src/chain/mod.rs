//! Asks a network whether a payment has moved money, when the facilitator's answer does not say.
//!
//! The answers come from a node of another company, and each of them is checked. Answers that are incomplete or
//! contradict each other are an error: the outcome of the payment remains unknown.

mod chain_error;
mod evm;
#[cfg(fuzzing)]
pub mod fuzzing;
mod node;
mod question;
mod stacks;
mod word;

use std::time::Duration;

pub use chain_error::ChainError;
pub use question::{Question, Verdict};

use crate::endpoint::BaseUrl;
use crate::payer::Payer;
use crate::wallet::Network;
use node::Node;

/// Time limit of a verdict, which needs several requests.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(30);

/// A node of a network.
pub struct Chain {
    node: Node,
    network: Network,
    confirmations: u64,
}

impl Chain {
    /// A node of a network, by the URL of its JSON-RPC interface or, for Stacks, of its REST API. It makes no request
    /// yet.
    ///
    /// `confirmations` is the number of blocks that must follow the block of a transaction. With fewer, a
    /// reorganisation may remove the transaction, and it is [`Verdict::Pending`].
    ///
    /// # Errors
    /// The errors of the HTTP client.
    pub fn new(network: Network, url: BaseUrl, confirmations: u64) -> Result<Self, reqwest::Error> {
        Ok(Self { node: Node::new(url)?, network, confirmations })
    }

    /// Whether a payment has moved money.
    ///
    /// # Errors
    /// [`ChainError`]: it is not known.
    pub async fn verdict(&self, question: &Question) -> Result<Verdict, ChainError> {
        if question.key.network != self.network {
            return Err(ChainError::Question);
        }
        let verdict = async {
            match self.network {
                Network::Evm { .. } => evm::verdict(&self.node, question, self.confirmations).await,
                Network::Stacks | Network::StacksTest => {
                    stacks::verdict(&self.node, question, self.confirmations).await
                }
            }
        };
        let verdict = tokio::time::timeout(VERDICT_TIMEOUT, verdict).await;
        verdict.unwrap_or_else(|_elapsed| Err(ChainError::Unreachable("no verdict in time".to_owned())))
    }

    /// The number of the latest block.
    ///
    /// # Errors
    /// [`ChainError`]
    pub async fn block_number(&self) -> Result<u64, ChainError> {
        match self.network {
            Network::Evm { .. } => evm::block_number(&self.node).await,
            Network::Stacks | Network::StacksTest => stacks::block_number(&self.node).await,
        }
    }

    /// Checks that the node belongs to the network.
    ///
    /// # Errors
    /// [`ChainError::OtherNetwork`] if it does not.
    pub async fn check_chain_id(&self) -> Result<(), ChainError> {
        let answered = match self.network {
            Network::Evm { .. } => evm::chain_id(&self.node).await?,
            Network::Stacks | Network::StacksTest => stacks::chain_id(&self.node).await?,
        };
        let expected = self.network.chain_id();
        if answered == expected { Ok(()) } else { Err(ChainError::OtherNetwork { expected, answered }) }
    }

    /// Whether an address is a contract or has delegated to one (EIP-7702). Contracts check signatures by rules of
    /// their own. On Stacks it is always `false`: the addresses of payers have keys only.
    ///
    /// # Errors
    /// [`ChainError`]
    pub async fn has_code(&self, address: &Payer) -> Result<bool, ChainError> {
        match self.network {
            Network::Evm { .. } => evm::has_code(&self.node, address).await,
            Network::Stacks | Network::StacksTest => Ok(false),
        }
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::testing::{BASE, Fake, PAYER};
    use super::*;
    use crate::endpoint::testing::{Reply, Server, closed_url};

    async fn chain_id(answer: Value) -> Result<(), ChainError> {
        let fake = Fake::start(move |_, _| answer.clone()).await;
        fake.chain(0).check_chain_id().await
    }

    #[tokio::test]
    async fn a_node_belongs_to_its_network() {
        assert_eq!(chain_id(json!("0x14a34")).await, Ok(()));
        let other = ChainError::OtherNetwork { expected: 84_532, answered: 8_453 };
        assert_eq!(chain_id(json!("0x2105")).await, Err(other));
        for answer in [json!("14a34"), json!(84_532), json!("0x"), json!("0x1ffffffffffffffff"), json!(null), json!([])]
        {
            assert_eq!(chain_id(answer.clone()).await, Err(ChainError::Malformed("eth_chainId")), "{answer}");
        }
    }

    #[tokio::test]
    async fn contracts_and_delegated_accounts_have_code() {
        let delegated = "0xef010063c0c19a282a1b52b07dd5a65b58948a07dae32b";
        for (code, has_code) in [("0x", Ok(false)), ("0x00", Ok(true)), (delegated, Ok(true))] {
            let fake = Fake::start(move |_, _| json!(code)).await;
            assert_eq!(fake.chain(0).has_code(&PAYER.parse().unwrap()).await, has_code);
            assert_eq!(fake.calls()[0].1, json!([PAYER.to_lowercase(), "latest"]));
        }
        for code in ["", "0", "0x0", "0xgg", "ef"] {
            let fake = Fake::start(move |_, _| json!(code)).await;
            let answer = fake.chain(0).has_code(&PAYER.parse().unwrap()).await;
            assert_eq!(answer, Err(ChainError::Malformed("eth_getCode")), "{code}");
        }
    }

    /// The result of an answer to `eth_blockNumber`.
    async fn block_number(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Result<u64, ChainError> {
        let server = Server::start(move |_| reply()).await;
        let chain = Chain::new(BASE, server.url().clone(), 0).unwrap();
        let number = chain.block_number().await;
        if let Err(error) = &number {
            let text = error.to_string();
            assert!(!text.contains("127.0.0.1") && !text.contains("internal"), "{text}");
        }
        number
    }

    #[tokio::test]
    async fn answers_of_any_form_are_read_or_refused() {
        let malformed = Err(ChainError::Malformed("eth_blockNumber"));
        let good = r#"{"jsonrpc":"2.0","id":1,"result":"0xffffffffffffffff"}"#;
        assert_eq!(block_number(|| Reply::text(200, good)).await, Ok(u64::MAX));
        for body in [
            "",
            "<html>internal</html>",
            &good[..40],
            &good.replace("0x", "0xf"),
            &good.replace("0x", ""),
            &good.replace("0x", "0X"),
            &good.replace("0xf", "0x+"),
            &good.replace("\"id\":1", "\"id\":2"),
            &good.replace("\"id\":1,", ""),
            &good.replace("\"0xffffffffffffffff\"", "1e999"),
            &good.replace("\"0xffffffffffffffff\"", "123456789012345678901234567890"),
            &good.replace("\"0xffffffffffffffff\"", &format!("{}{}", "[".repeat(500_000), "]".repeat(500_000))),
            &format!("{good}{good}"),
            &format!("[{good}]"),
        ] {
            let body = body.to_owned();
            let short = body[..body.len().min(80)].to_owned();
            assert_eq!(block_number(move || Reply::text(200, &body)).await, malformed, "{short}");
        }
        let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"internal"}}"#;
        let refused = Err(ChainError::Refused { method: "eth_blockNumber", code: -32_005 });
        assert_eq!(block_number(|| Reply::text(200, error)).await, refused);
        assert_eq!(block_number(|| Reply::text(429, error)).await, Err(ChainError::Status(429)));
        assert_eq!(block_number(|| Reply::text(302, good)).await, Err(ChainError::Status(302)));
        let large = format!("{good}{}", " ".repeat(2 << 20));
        assert!(matches!(block_number(move || Reply::text(200, &large)).await, Err(ChainError::Body(_))));
        let cut = || Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{");
        assert!(matches!(block_number(cut).await, Err(ChainError::Body(_))));
        assert!(matches!(block_number(|| Reply::raw("")).await, Err(ChainError::Unreachable(_))));
        let closed = Chain::new(BASE, closed_url().await, 0).unwrap().block_number().await;
        assert!(matches!(closed, Err(ChainError::Unreachable(text)) if !text.contains("secret")));
    }
}
