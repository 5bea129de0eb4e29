//! Payments on Stacks: what became of a transaction.

use serde::Deserialize;

use super::chain_error::ChainError;
use super::node::Node;
use super::question::{Question, Verdict};
use super::word::Word;

/// Names of operations in errors.
const INFO: &str = "GET /v2/info";
const ACCOUNT: &str = "GET /v2/accounts";
const NONCES: &str = "GET /extended/v1/address/{address}/nonces";
const TRANSACTION: &str = "GET /extended/v1/tx";

#[derive(Deserialize)]
struct Info {
    network_id: u64,
    stacks_tip_height: u64,
}

#[derive(Deserialize)]
struct Account {
    nonce: u64,
}

#[derive(Deserialize)]
struct Nonces {
    last_executed_tx_nonce: Option<u64>,
}

#[derive(Deserialize)]
struct Transaction {
    tx_id: Word,
    tx_status: String,
    sender_address: String,
    nonce: u64,
    block_height: Option<u64>,
    /// `false` if a reorganisation has removed its block.
    canonical: Option<bool>,
}

/// A transaction by which a payer pays.
struct Asked<'a> {
    id: Word,
    payer: &'a str,
    nonce: u64,
}

/// Where a transaction is.
enum State {
    /// In a block of this height. It may have failed.
    Mined { height: u64, has_failed: bool },
    /// It waits for a block.
    Waiting,
    /// The node does not know it, or has dropped it.
    Absent,
}

pub(super) async fn block_number(node: &Node) -> Result<u64, ChainError> {
    node.get(INFO, "v2/info", &[]).await.map(|info: Info| info.stacks_tip_height)
}

pub(super) async fn chain_id(node: &Node) -> Result<u64, ChainError> {
    node.get(INFO, "v2/info", &[]).await.map(|info: Info| info.network_id)
}

pub(super) async fn verdict(node: &Node, question: &Question, confirmations: u64) -> Result<Verdict, ChainError> {
    let asked = Asked::of(question).ok_or(ChainError::Question)?;
    match asked.state(node).await? {
        State::Mined { height, has_failed } => asked.mined(node, height, has_failed, confirmations).await,
        State::Waiting => Ok(Verdict::Open),
        State::Absent if !asked.is_replaced(node).await? => Ok(Verdict::Open),
        // The nonce may have been used by the transaction itself, after the first look.
        State::Absent => match asked.state(node).await? {
            State::Mined { height, has_failed } => asked.mined(node, height, has_failed, confirmations).await,
            State::Waiting => Ok(Verdict::Open),
            State::Absent => Ok(Verdict::Canceled),
        },
    }
}

impl<'a> Asked<'a> {
    fn of(question: &'a Question) -> Option<Self> {
        let id = Word::parse(&format!("0x{}", question.transaction.as_deref()?)).ok()?;
        Some(Self { id, payer: question.key.payer.as_str(), nonce: question.key.nonce.parse().ok()? })
    }

    async fn state(&self, node: &Node) -> Result<State, ChainError> {
        let found = node.get(TRANSACTION, &format!("extended/v1/tx/{}", self.id), &[]).await;
        let found: Transaction = match found {
            Err(ChainError::Status(404)) => return Ok(State::Absent),
            found => found?,
        };
        if found.tx_id != self.id || found.sender_address != self.payer || found.nonce != self.nonce {
            return Err(ChainError::Malformed(TRANSACTION));
        }
        let has_failed = match found.tx_status.as_str() {
            "success" => false,
            "abort_by_response" | "abort_by_post_condition" => true,
            "pending" => return Ok(State::Waiting),
            dropped if dropped.starts_with("dropped_") => return Ok(State::Absent),
            _ => return Err(ChainError::Malformed(TRANSACTION)),
        };
        if found.canonical == Some(false) {
            return Ok(State::Waiting);
        }
        let height = found.block_height.ok_or(ChainError::Malformed(TRANSACTION))?;
        Ok(State::Mined { height, has_failed })
    }

    async fn mined(
        &self,
        node: &Node,
        height: u64,
        has_failed: bool,
        confirmations: u64,
    ) -> Result<Verdict, ChainError> {
        let transaction = hex::encode(self.id.bytes());
        if confirmations > 0 && block_number(node).await?.saturating_sub(height) < confirmations {
            return Ok(Verdict::Pending { transaction });
        }
        Ok(if has_failed { Verdict::Reversed } else { Verdict::Settled { transaction } })
    }

    /// Whether the account has executed a transaction with the nonce. The index of transactions may be behind the node.
    /// It must know that transaction, too: an index without it may also lack this one.
    async fn is_replaced(&self, node: &Node) -> Result<bool, ChainError> {
        let path = format!("v2/accounts/{}", self.payer);
        let account: Account = node.get(ACCOUNT, &path, &[("proof", "0")]).await?;
        if account.nonce <= self.nonce {
            return Ok(false);
        }
        let path = format!("extended/v1/address/{}/nonces", self.payer);
        let nonces: Nonces = node.get(NONCES, &path, &[]).await?;
        Ok(nonces.last_executed_tx_nonce.is_some_and(|last| last >= self.nonce))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chain::Chain;
    use crate::endpoint::testing::{Reply, Server};
    use crate::wallet::Network;
    use crate::x402::PaymentKey;

    const ID: &str = "86663868e0021c10a1ee1e3908779c6892a6945c20402db4f6c1c855c35bd4d9";
    const PAYER: &str = "SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD";

    fn question() -> Question {
        let key = PaymentKey {
            network: Network::Stacks,
            asset: String::new(),
            payer: PAYER.parse().unwrap(),
            nonce: "7".to_owned(),
        };
        Question {
            key,
            pay_to: "SP120SBRBQJ00MCWS7TM5R8WJNTTKD5K0HFRC2CNE".parse().unwrap(),
            amount: 1_000,
            transaction: Some(ID.to_owned()),
            valid_before: None,
            from_block: None,
        }
    }

    fn transaction(status: &str) -> Value {
        json!({
            "tx_id": format!("0x{ID}"), "tx_status": status, "sender_address": PAYER, "nonce": 7, "block_height": 990,
            "canonical": true, "fee_rate": "200"
        })
    }

    /// A node: its answer about the transaction, the nonce of the account, and the last nonce in its index. Its latest
    /// block is 1,000.
    async fn node(transaction: Option<Value>, account: u64, index: Option<u64>) -> (Server, Chain) {
        let server = Server::start(move |request| match request.target.trim_start_matches("GET ") {
            "/v2/info" => Reply::text(200, r#"{"network_id":1,"stacks_tip_height":1000,"peer_version":1}"#),
            "/v2/accounts/SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD?proof=0" => {
                Reply::text(200, &json!({"balance": "0x00", "nonce": account}).to_string())
            }
            "/extended/v1/address/SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD/nonces" => {
                Reply::text(200, &json!({"last_executed_tx_nonce": index, "possible_next_nonce": 9}).to_string())
            }
            "/extended/v1/tx/0x86663868e0021c10a1ee1e3908779c6892a6945c20402db4f6c1c855c35bd4d9" => {
                match &transaction {
                    Some(transaction) => Reply::text(200, &transaction.to_string()),
                    None => Reply::text(404, r#"{"error":"could not find transaction by ID"}"#),
                }
            }
            other => panic!("{other}"),
        })
        .await;
        let chain = Chain::new(Network::Stacks, server.url().clone(), 0).unwrap();
        (server, chain)
    }

    async fn verdict(transaction: Option<Value>, account: u64, index: Option<u64>) -> Result<Verdict, ChainError> {
        node(transaction, account, index).await.1.verdict(&question()).await
    }

    #[tokio::test]
    async fn the_status_of_a_transaction_decides() {
        let settled = Verdict::Settled { transaction: ID.to_owned() };
        for (status, expected) in [
            ("success", settled),
            ("abort_by_response", Verdict::Reversed),
            ("abort_by_post_condition", Verdict::Reversed),
            ("pending", Verdict::Open),
            ("dropped_replace_by_fee", Verdict::Open),
            ("dropped_stale_garbage_collect", Verdict::Open),
        ] {
            assert_eq!(verdict(Some(transaction(status)), 7, Some(6)).await, Ok(expected), "{status}");
        }
        for status in ["", "Success", "aborted"] {
            let answer = verdict(Some(transaction(status)), 7, Some(6)).await;
            assert_eq!(answer, Err(ChainError::Malformed(TRANSACTION)), "{status}");
        }
    }

    #[tokio::test]
    async fn a_young_block_is_pending() {
        let pending = Verdict::Pending { transaction: ID.to_owned() };
        for (confirmations, settled, reversed) in [
            (10, Verdict::Settled { transaction: ID.to_owned() }, Verdict::Reversed),
            (11, pending.clone(), pending.clone()),
        ] {
            for (status, expected) in [("success", settled), ("abort_by_response", reversed)] {
                let (server, _) = node(Some(transaction(status)), 8, Some(7)).await;
                let chain = Chain::new(Network::Stacks, server.url().clone(), confirmations).unwrap();
                assert_eq!(chain.verdict(&question()).await, Ok(expected));
            }
        }
        let mut removed = transaction("success");
        removed["canonical"] = json!(false);
        assert_eq!(verdict(Some(removed), 8, Some(7)).await, Ok(Verdict::Open));
    }

    #[tokio::test]
    async fn a_transaction_is_the_one_that_was_asked() {
        for (member, value) in [
            ("tx_id", json!("0xc1cd70b464f39dcaf76072a680232dbdfc4956615ac232c39c80352f6fc35625")),
            ("tx_id", json!(ID)),
            ("sender_address", json!("SP120SBRBQJ00MCWS7TM5R8WJNTTKD5K0HFRC2CNE")),
            ("nonce", json!(8)),
            ("nonce", json!(1e30)),
            ("block_height", json!(null)),
            ("tx_status", json!(null)),
        ] {
            let mut other = transaction("success");
            other[member] = value;
            assert_eq!(verdict(Some(other), 8, Some(7)).await, Err(ChainError::Malformed(TRANSACTION)), "{member}");
        }
    }

    #[tokio::test]
    async fn an_absent_transaction_is_open_until_its_nonce_is_used() {
        for transaction in [None, Some(transaction("dropped_replace_by_fee"))] {
            for (account, index, expected) in [
                (0, None, Verdict::Open),
                (7, Some(6), Verdict::Open),
                (8, Some(7), Verdict::Canceled),
                (99, Some(98), Verdict::Canceled),
                // The index is behind the node.
                (8, Some(6), Verdict::Open),
                (8, None, Verdict::Open),
            ] {
                assert_eq!(verdict(transaction.clone(), account, index).await, Ok(expected), "{account} {index:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_transaction_that_appears_between_two_looks_is_seen() {
        let looks = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::start(move |request| {
            let body = match request.target.as_str() {
                target if target.contains("/v2/accounts/") => json!({"nonce": 8}),
                target if target.ends_with("/nonces") => json!({"last_executed_tx_nonce": 7}),
                _ if looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => return Reply::text(404, "{}"),
                _ => transaction("success"),
            };
            Reply::text(200, &body.to_string())
        })
        .await;
        let chain = Chain::new(Network::Stacks, server.url().clone(), 0).unwrap();
        assert_eq!(chain.verdict(&question()).await, Ok(Verdict::Settled { transaction: ID.to_owned() }));
    }

    #[tokio::test]
    async fn a_node_tells_its_network_and_its_latest_block() {
        let (server, chain) = node(None, 0, None).await;
        assert_eq!(chain.block_number().await, Ok(1_000));
        assert_eq!(chain.check_chain_id().await, Ok(()));
        assert_eq!(chain.has_code(&PAYER.parse().unwrap()).await, Ok(false));
        let test = Chain::new(Network::StacksTest, server.url().clone(), 0).unwrap();
        let other = ChainError::OtherNetwork { expected: 2_147_483_648, answered: 1 };
        assert_eq!(test.check_chain_id().await, Err(other));
    }

    #[tokio::test]
    async fn errors_of_the_node_are_no_verdict() {
        for (status, body, expected) in [
            (500, "{}", ChainError::Status(500)),
            (429, "{}", ChainError::Status(429)),
            (301, "{}", ChainError::Status(301)),
            (200, "<html>", ChainError::Malformed(TRANSACTION)),
            (200, "{}", ChainError::Malformed(TRANSACTION)),
        ] {
            let server = Server::start(move |_| Reply::text(status, body)).await;
            let chain = Chain::new(Network::Stacks, server.url().clone(), 0).unwrap();
            assert_eq!(chain.verdict(&question()).await, Err(expected));
        }
        for transaction in [None, Some(""), Some("0x"), Some("../info"), Some(&ID[1..])] {
            let asked = Question { transaction: transaction.map(str::to_owned), ..question() };
            assert_eq!(node(None, 0, None).await.1.verdict(&asked).await, Err(ChainError::Question));
        }
    }
}
