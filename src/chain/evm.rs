//! Payments on EVM chains: whether an authorization of EIP-3009 was used, and by which transfer.
//!
//! The state of an authorization proves nothing alone. It is the same if the payer has canceled the authorization, or
//! has used its nonce to pay somebody else. So the logs of the token are read.
//!
//! The token logs `AuthorizationUsed`, and its next log is the `Transfer` of that authorization. Another transfer in
//! the same transaction does not count: it may belong to another payment, which would then be credited twice.

use serde::Deserialize;
use serde_json::json;

use super::chain_error::ChainError;
use super::node::Node;
use super::question::{Question, Verdict};
use super::word::{Address, Bytes, Quantity, Word};
use crate::payer::Payer;

/// Selector of `authorizationState(address,bytes32)`.
const AUTHORIZATION_STATE: &str = "0xe94a0102";
/// Topics of events: `AuthorizationUsed(address,bytes32)`, `AuthorizationCanceled(address,bytes32)` and
/// `Transfer(address,address,uint256)`.
const USED: &str = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5";
const CANCELED: &str = "0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81";
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
/// Number of blocks in one search for logs. Nodes refuse larger ranges.
const RANGE_BLOCKS: u64 = 2_000;
/// Maximum number of searches: 100,000 blocks, more than two days on Base.
const RANGES_MAX: u64 = 50;
/// Number of ranges to search if the first block is not known.
const RANGES_DEFAULT: u64 = 5;
/// The search starts earlier by this number of blocks. A reorganisation may put a transaction into an earlier block.
const BLOCKS_BEFORE: u64 = 64;

/// The authorization of a question.
struct Authorization {
    token: Address,
    payer: Word,
    pay_to: Word,
    amount: Word,
    nonce: Word,
    valid_before: u64,
}

#[derive(Deserialize)]
struct Block {
    number: Quantity,
    timestamp: Quantity,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    address: Address,
    topics: Vec<Word>,
    data: Bytes,
    block_number: Quantity,
    transaction_hash: Word,
    log_index: Quantity,
    /// `true` if a reorganisation has removed it.
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    transaction_hash: Word,
    block_number: Quantity,
    status: Quantity,
    logs: Vec<Log>,
}

/// What a log says about an authorization.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Used,
    Canceled,
}

pub(super) async fn block_number(node: &Node) -> Result<u64, ChainError> {
    node.call("eth_blockNumber", json!([])).await.map(|Quantity(number)| number)
}

pub(super) async fn chain_id(node: &Node) -> Result<u64, ChainError> {
    node.call("eth_chainId", json!([])).await.map(|Quantity(id)| id)
}

pub(super) async fn has_code(node: &Node, address: &Payer) -> Result<bool, ChainError> {
    let address = Address::of(address).ok_or(ChainError::Question)?;
    let Bytes(code) = node.call("eth_getCode", json!([address.to_string(), "latest"])).await?;
    Ok(!code.is_empty())
}

pub(super) async fn verdict(node: &Node, question: &Question, confirmations: u64) -> Result<Verdict, ChainError> {
    let authorization = Authorization::of(question).ok_or(ChainError::Question)?;
    let latest = block(node, "latest").await?;
    // At this very block: behind one URL there may be several nodes, and another one may not have this block yet.
    if !authorization.is_spent(node, latest.number).await? {
        return unspent(node, &authorization, latest, confirmations).await;
    }
    let Quantity(latest) = latest.number;
    let default = latest.saturating_sub(RANGE_BLOCKS * RANGES_DEFAULT);
    let first = question.from_block.map_or(default, |block| block.saturating_sub(BLOCKS_BEFORE)).min(latest);
    let logs = authorization.find(node, first, latest).await?;
    let mut proved: Option<(&Log, Event)> = None;
    for (log, event) in &logs {
        if !authorization.is_proved(node, log, *event).await? {
            continue;
        }
        if proved.is_some_and(|(_, other)| other != *event) {
            return Err(ChainError::UsedAndCanceled);
        }
        proved = Some((log, *event));
    }
    let (log, event) = proved.ok_or(if logs.is_empty() { ChainError::NoLog } else { ChainError::NoTransfer })?;
    let transaction = log.transaction_hash.to_string();
    let Quantity(number) = log.block_number;
    Ok(match event {
        _ if latest.saturating_sub(number) < confirmations => Verdict::Pending { transaction },
        Event::Used => Verdict::Settled { transaction },
        Event::Canceled => Verdict::Canceled,
    })
}

/// The verdict about an authorization that is neither used nor canceled. It has expired if it can't be in any block
/// that is still to come, or that a reorganisation may still replace.
async fn unspent(
    node: &Node,
    authorization: &Authorization,
    latest: Block,
    confirmations: u64,
) -> Result<Verdict, ChainError> {
    let number = Quantity(latest.number.0.saturating_sub(confirmations));
    let settled = if number == latest.number { latest } else { block(node, &number.to_string()).await? };
    if settled.number != number {
        return Err(ChainError::Malformed("eth_getBlockByNumber"));
    }
    let has_expired = settled.timestamp.0 > authorization.valid_before;
    Ok(if has_expired { Verdict::Expired } else { Verdict::Open })
}

async fn block(node: &Node, number: &str) -> Result<Block, ChainError> {
    node.call("eth_getBlockByNumber", json!([number, false])).await
}

impl Authorization {
    fn of(question: &Question) -> Option<Self> {
        let Question { key, pay_to, amount, valid_before, .. } = question;
        Some(Self {
            token: Address::of(&key.asset.parse().ok()?)?,
            payer: Address::of(&key.payer)?.word(),
            pay_to: Address::of(pay_to)?.word(),
            amount: Word::number(*amount),
            nonce: Word::parse(&key.nonce).ok()?,
            valid_before: valid_before.as_ref()?.timestamp().try_into().ok()?,
        })
    }

    /// Whether the authorization is used or canceled.
    async fn is_spent(&self, node: &Node, block: Quantity) -> Result<bool, ChainError> {
        let [payer, nonce] = [self.payer, self.nonce].map(|word| hex::encode(word.bytes()));
        let call = json!({"to": self.token.to_string(), "data": format!("{AUTHORIZATION_STATE}{payer}{nonce}")});
        let state: Word = node.call("eth_call", json!([call, block.to_string()])).await?;
        match state {
            _ if state == Word::number(0) => Ok(false),
            _ if state == Word::number(1) => Ok(true),
            _ => Err(ChainError::Malformed("eth_call")),
        }
    }

    /// The logs of the authorization in these blocks: those of the first range that has any.
    async fn find(&self, node: &Node, first: u64, latest: u64) -> Result<Vec<(Log, Event)>, ChainError> {
        let mut from = first;
        for _ in 0..RANGES_MAX {
            let to = from.saturating_add(RANGE_BLOCKS - 1).min(latest);
            let filter = json!({
                "address": self.token.to_string(),
                "topics": [[USED, CANCELED], self.payer.to_string(), self.nonce.to_string()],
                "fromBlock": Quantity(from).to_string(),
                "toBlock": Quantity(to).to_string(),
            });
            let logs: Vec<Log> = node.call("eth_getLogs", json!([filter])).await?;
            // The node may ignore the filter.
            let is_inside = |log: &Log| (from..=to).contains(&log.block_number.0);
            let logs = logs.into_iter().filter(is_inside);
            let logs: Vec<_> = logs.filter_map(|log| self.event(&log).map(|event| (log, event))).collect();
            if !logs.is_empty() || to == latest {
                return Ok(logs);
            }
            from = to + 1;
        }
        Ok(Vec::new())
    }

    /// What a log says about this authorization. `None`: it is about something else.
    fn event(&self, log: &Log) -> Option<Event> {
        let [topic, payer, nonce] = log.topics.as_slice() else { return None };
        let is_ours = !log.removed && log.address == self.token && *payer == self.payer && *nonce == self.nonce;
        match topic.to_string().as_str() {
            USED if is_ours => Some(Event::Used),
            CANCELED if is_ours => Some(Event::Canceled),
            _ => None,
        }
    }

    /// Whether the transaction of a log was executed and contains the log. If the authorization was used, the payment
    /// must follow.
    async fn is_proved(&self, node: &Node, log: &Log, event: Event) -> Result<bool, ChainError> {
        let params = json!([log.transaction_hash.to_string()]);
        let receipt: Option<Receipt> = node.call_optional("eth_getTransactionReceipt", params).await?;
        let Some(receipt) = receipt else { return Ok(false) };
        let is_executed = receipt.transaction_hash == log.transaction_hash
            && receipt.block_number == log.block_number
            && receipt.status == Quantity(1);
        let mut of_token = receipt.logs.iter().filter(|other| !other.removed && other.address == self.token);
        let is_there = of_token.any(|other| other.log_index == log.log_index && self.event(other) == Some(event));
        let is_paid = of_token.next().is_some_and(|next| next.log_index.0 > log.log_index.0 && self.is_payment(next));
        Ok(is_executed && is_there && (event == Event::Canceled || is_paid))
    }

    /// Whether a log is the transfer of the amount from the payer to the recipient.
    fn is_payment(&self, log: &Log) -> bool {
        let [topic, from, to] = log.topics.as_slice() else { return false };
        topic.to_string() == TRANSFER && *from == self.payer && *to == self.pay_to && log.data.0 == self.amount.bytes()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::chain::testing::{
        Fake, HASH, NONCE, PAY_TO, PAYER, TOKEN, VALID_BEFORE, World, canceled, log, paid, question, used, word,
    };
    use crate::wallet::Network;

    fn settled() -> Result<Verdict, ChainError> {
        Ok(Verdict::Settled { transaction: HASH.to_owned() })
    }

    /// The verdict after a change of the answers about a settled payment.
    async fn changed(change: impl FnOnce(&mut World)) -> Result<Verdict, ChainError> {
        let mut world = World::spent(&[used(), paid()]);
        change(&mut world);
        world.verdict(0).await
    }

    #[tokio::test]
    async fn a_payment_is_settled_by_its_transfer() {
        let world = World::spent(&[used(), paid()]);
        assert_eq!(world.verdict(0).await, settled());
        let fake = Fake::start(move |method, params| world.result(method, params)).await;
        assert_eq!(fake.chain(0).verdict(&question()).await, settled());
        let digits = |text: &str| word(text)[2..].to_owned();
        let data = format!("0xe94a0102{}{}", digits(PAYER), digits(NONCE));
        assert_eq!(fake.params("eth_call"), [json!([{"to": TOKEN.to_lowercase(), "data": data}, "0x400"])]);
        let filter = json!([{
            "address": TOKEN.to_lowercase(), "topics": [[USED, CANCELED], word(PAYER), NONCE],
            "fromBlock": "0x2c0", "toBlock": "0x400"
        }]);
        assert_eq!(fake.params("eth_getLogs"), [filter]);
        assert_eq!(fake.params("eth_getTransactionReceipt"), [json!([HASH])]);
    }

    #[tokio::test]
    async fn without_a_use_the_time_decides() {
        for (seconds, verdict) in
            [(VALID_BEFORE - 10, Verdict::Open), (VALID_BEFORE, Verdict::Open), (VALID_BEFORE + 1, Verdict::Expired)]
        {
            let world = World { timestamp: json!(format!("{seconds:#x}")), ..World::open() };
            assert_eq!(world.verdict(0).await, Ok(verdict.clone()), "{seconds}");
            assert_eq!(world.verdict(1).await, Ok(verdict), "{seconds}");
        }
    }

    #[tokio::test]
    async fn an_expiry_is_that_of_a_block_that_remains() {
        let world = World::open();
        // Block 0x3fe is the last that can still be replaced.
        let fake = Fake::start(move |method, params| match (method, params[0].as_str()) {
            ("eth_getBlockByNumber", Some("latest")) => {
                json!({"number": "0x400", "timestamp": format!("{:#x}", VALID_BEFORE + 5)})
            }
            _ => world.result(method, params),
        })
        .await;
        assert_eq!(fake.chain(0).verdict(&question()).await, Ok(Verdict::Expired));
        assert_eq!(fake.chain(2).verdict(&question()).await, Ok(Verdict::Open));
        assert_eq!(fake.params("eth_getBlockByNumber").last(), Some(&json!(["0x3fe", false])));
        let fake = Fake::start(|method, _| match method {
            "eth_call" => json!(word("0")),
            _ => json!({"number": "0x400", "timestamp": format!("{:#x}", VALID_BEFORE + 5)}),
        })
        .await;
        let other_block = Err(ChainError::Malformed("eth_getBlockByNumber"));
        assert_eq!(fake.chain(2).verdict(&question()).await, other_block);
    }

    #[tokio::test]
    async fn a_canceled_authorization_is_canceled() {
        assert_eq!(World::spent(&[canceled()]).verdict(0).await, Ok(Verdict::Canceled));
        let mut world = World::spent(&[canceled()]);
        world.receipt["status"] = json!("0x0");
        assert_eq!(world.verdict(0).await, Err(ChainError::NoTransfer));
    }

    #[tokio::test]
    async fn a_young_block_is_pending() {
        let pending = Ok(Verdict::Pending { transaction: HASH.to_owned() });
        // 0xf0 blocks follow block 0x310.
        assert_eq!(World::spent(&[used(), paid()]).verdict(0xf0).await, settled());
        assert_eq!(World::spent(&[used(), paid()]).verdict(0xf1).await, pending);
        assert_eq!(World::spent(&[canceled()]).verdict(0xf1).await, pending);
        assert_eq!(World::spent(&[used(), paid()]).verdict(u64::MAX).await, pending);
    }

    #[tokio::test]
    async fn a_state_alone_proves_nothing() {
        assert_eq!(changed(|world| world.logs = json!([])).await, Err(ChainError::NoLog));
        for state in ["", "0x", "0x1", "0x0", &word("1")[2..], &word("2"), &format!("0x{}", "f".repeat(64))] {
            let verdict = changed(|world| world.state = json!(state)).await;
            assert_eq!(verdict, Err(ChainError::Malformed("eth_call")), "{state}");
        }
    }

    #[tokio::test]
    async fn a_log_about_something_else_does_not_count() {
        let changes: [(&str, Value); 9] = [
            ("/address", json!(PAY_TO.to_lowercase())),
            ("/topics/0", json!(TRANSFER)),
            ("/topics/1", json!(word(PAY_TO))),
            ("/topics/2", json!(word("1"))),
            ("/topics", json!([USED, word(PAYER)])),
            ("/topics", json!([USED, word(PAYER), NONCE, NONCE])),
            ("/topics", json!([])),
            ("/blockNumber", json!("0x401")),
            ("/removed", json!(true)),
        ];
        for (place, value) in changes {
            let in_log = changed(|world| *world.logs[0].pointer_mut(place).unwrap() = value.clone()).await;
            assert_eq!(in_log, Err(ChainError::NoLog), "{place} {value}");
            let block = place == "/blockNumber";
            let in_receipt = changed(|world| *world.receipt["logs"][0].pointer_mut(place).unwrap() = value).await;
            assert_eq!(in_receipt, if block { settled() } else { Err(ChainError::NoTransfer) }, "{place}");
        }
        for (place, value) in [
            ("/address", json!("0x01")),
            ("/topics/1", json!(PAYER)),
            ("/transactionHash", json!("0xab")),
            ("/blockNumber", json!(784)),
            ("/logIndex", json!("0xfffffffffffffffff")),
            ("/data", json!("0x1")),
        ] {
            let verdict = changed(|world| *world.logs[0].pointer_mut(place).unwrap() = value).await;
            assert_eq!(verdict, Err(ChainError::Malformed("eth_getLogs")), "{place}");
        }
    }

    #[tokio::test]
    async fn another_transfer_does_not_pay() {
        let topics = |topics: [&str; 3]| log(5, &topics, &word("3e8"));
        for transfer in [
            log(5, &[TRANSFER, PAYER, PAY_TO], &word("3e7")),
            log(5, &[TRANSFER, PAYER, PAY_TO], &format!("0x{}3e8", "f".repeat(61))),
            log(5, &[TRANSFER, PAYER, PAY_TO], "0x03e8"),
            log(5, &[TRANSFER, PAYER, PAY_TO], "0x"),
            log(5, &[TRANSFER, PAYER, PAY_TO, NONCE], &word("3e8")),
            topics([TRANSFER, PAYER, PAYER]),
            topics([TRANSFER, PAY_TO, PAYER]),
            topics([TRANSFER, PAY_TO, PAY_TO]),
            topics([USED, PAYER, PAY_TO]),
            log(4, &[TRANSFER, PAYER, PAY_TO], &word("3e8")),
        ] {
            let verdict = World::spent(&[used(), transfer.clone()]).verdict(0).await;
            assert_eq!(verdict, Err(ChainError::NoTransfer), "{transfer}");
        }
        let mut by_other_token = paid();
        by_other_token["address"] = json!(PAY_TO.to_lowercase());
        assert_eq!(World::spent(&[used(), by_other_token.clone()]).verdict(0).await, Err(ChainError::NoTransfer));
        assert_eq!(World::spent(&[used()]).verdict(0).await, Err(ChainError::NoTransfer));
        // Logs of other contracts may come between.
        assert_eq!(World::spent(&[used(), by_other_token, paid()]).verdict(0).await, settled());
    }

    /// A payer uses the nonce to pay somebody else, and pays a second authorization in the same transaction.
    #[tokio::test]
    async fn the_transfer_of_another_authorization_does_not_pay() {
        let elsewhere = log(5, &[TRANSFER, PAYER, PAYER], &word("3e8"));
        let second = log(6, &[USED, PAYER, "0x02"], "0x");
        let pays_second = log(7, &[TRANSFER, PAYER, PAY_TO], &word("3e8"));
        let world = World::spent(&[used(), elsewhere, second.clone(), pays_second.clone()]);
        assert_eq!(world.verdict(0).await, Err(ChainError::NoTransfer));
        assert_eq!(World::spent(&[used(), second, pays_second]).verdict(0).await, Err(ChainError::NoTransfer));
        let before = log(3, &[TRANSFER, PAYER, PAY_TO], &word("3e8"));
        let mut world = World::spent(&[before, used()]);
        world.logs = json!([used()]);
        assert_eq!(world.verdict(0).await, Err(ChainError::NoTransfer));
    }

    #[tokio::test]
    async fn a_receipt_is_that_of_the_transaction() {
        for (member, value) in [("status", "0x0"), ("transactionHash", NONCE), ("blockNumber", "0x311")] {
            let verdict = changed(|world| world.receipt[member] = json!(value)).await;
            assert_eq!(verdict, Err(ChainError::NoTransfer), "{member}");
        }
        assert_eq!(changed(|world| world.receipt = json!(null)).await, Err(ChainError::NoTransfer));
        let elsewhere = changed(|world| world.receipt["logs"][0]["logIndex"] = json!("0x3")).await;
        assert_eq!(elsewhere, Err(ChainError::NoTransfer));
        for (member, value) in
            [("status", json!(null)), ("status", json!(1)), ("logs", json!(null)), ("logs", json!(0))]
        {
            let verdict = changed(|world| world.receipt[member] = value).await;
            assert_eq!(verdict, Err(ChainError::Malformed("eth_getTransactionReceipt")), "{member}");
        }
    }

    #[tokio::test]
    async fn all_logs_are_looked_at() {
        let mut lie = used();
        lie["transactionHash"] = json!(NONCE);
        let mut other_nonce = used();
        other_nonce["topics"][2] = json!(word("2"));
        assert_eq!(changed(|world| world.logs = json!([lie, other_nonce, used()])).await, settled());
        assert_eq!(changed(|world| world.logs = json!([used(), lie])).await, settled());
        let mut both = World::spent(&[used(), paid(), log(6, &[CANCELED, PAYER, NONCE], "0x")]);
        both.logs = json!([used(), log(6, &[CANCELED, PAYER, NONCE], "0x")]);
        assert_eq!(both.verdict(0).await, Err(ChainError::UsedAndCanceled));
    }

    #[tokio::test]
    async fn logs_are_searched_in_ranges() {
        let start = |latest: u64, found_from: u64| {
            Fake::start(move |method, params| {
                let mut world = World::spent(&[used(), paid()]);
                let number = format!("{found_from:#x}");
                world.logs[0]["blockNumber"] = json!(number);
                world.receipt["blockNumber"] = json!(number);
                match (method, params[0].as_str()) {
                    ("eth_getBlockByNumber", Some("latest")) => {
                        json!({"number": format!("{latest:#x}"), "timestamp": "0x0"})
                    }
                    ("eth_getLogs", _) if params[0]["fromBlock"] != json!(number) => json!([]),
                    _ => world.result(method, params),
                }
            })
        };
        let mut asked = question();
        asked.from_block = Some(1_064);
        let fake = start(9_000, 5_000).await;
        assert_eq!(fake.chain(0).verdict(&asked).await, settled());
        let ranges: Vec<_> = fake.params("eth_getLogs").iter().map(|params| params[0]["toBlock"].clone()).collect();
        assert_eq!(ranges, [json!("0xbb7"), json!("0x1387"), json!("0x1b57")]);
        let fake = start(7_000_000, 6_999_000).await;
        assert_eq!(fake.chain(0).verdict(&asked).await, Err(ChainError::NoLog));
        assert_eq!(fake.params("eth_getLogs").len(), 50);
        asked.from_block = None;
        let fake = start(20_000, 14_000).await;
        assert_eq!(fake.chain(0).verdict(&asked).await, settled());
        assert_eq!(fake.params("eth_getLogs")[0][0]["fromBlock"], "0x2710");
        // A block of another node, which is ahead.
        asked.from_block = Some(u64::MAX);
        let fake = start(5_000, 5_000).await;
        assert_eq!(fake.chain(0).verdict(&asked).await, settled());
    }

    #[tokio::test]
    async fn a_payment_of_another_network_is_not_asked() {
        let fake = Fake::start(|_, _| json!(null)).await;
        let mut questions = vec![question(); 6];
        questions[0].key.network = Network::Evm { chain_id: 8_453 };
        questions[1].key.asset = "STX".to_owned();
        questions[2].key.nonce = "7".to_owned();
        questions[3].key.payer = "SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD".parse().unwrap();
        questions[4].pay_to = questions[3].key.payer.clone();
        questions[5].valid_before = None;
        for question in questions {
            assert_eq!(fake.chain(0).verdict(&question).await, Err(ChainError::Question));
        }
        assert_eq!(fake.calls(), []);
    }
}
