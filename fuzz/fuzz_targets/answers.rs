//! Answers of facilitators, of nodes of EVM chains and of nodes of Stacks: no answer says more than is in it.
//!
//! The first byte says whose answers the rest is. Answers of nodes are parts between bytes 0xff, one for each request.

#![no_main]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use payerbase::chain::{Chain, Question, Verdict};
use payerbase::fuzzing::chain::ask;
use payerbase::fuzzing::facilitator::{retry_after, understand};
use payerbase::wallet::Network;
use payerbase::x402::{Outcome, PaymentKey, Supported, read_answer};
use payerbase_fuzz::{BASE, EVM_PAY_TO, EVM_PAYER, PRICE, SIGNED_AT, STACKS_PAY_TO, STACKS_PAYER, at};
use serde_json::Value;

const TOKEN: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
const NONCE: &str = "0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const USED: &str = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5";
const CANCELED: &str = "0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81";
const STACKS_ID: &str = "86663868e0021c10a1ee1e3908779c6892a6945c20402db4f6c1c855c35bd4d9";

type Answers = Rc<RefCell<VecDeque<Vec<u8>>>>;

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => facilitator(kind / 3, rest),
        1 => evm(kind / 3, rest),
        _ => stacks(kind / 3, rest),
    }
});

fn facilitator(kind: u8, body: &[u8]) {
    let status = [200, 201, 302, 400, 401, 402, 403, 404, 429, 500, 503][usize::from(kind) % 11];
    let payer = EVM_PAYER.parse().unwrap();
    let (outcome, reason) = understand(status, body, "eip155:84532", &payer);
    assert!(reason.len() < 200 && reason.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{reason}");
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_success = answer["success"] == true;
    match outcome {
        Outcome::Settled { transaction, payer: claimed } => {
            assert!(is_success && (200..300).contains(&status));
            assert_eq!(answer["network"], "eip155:84532");
            assert_eq!(answer["transaction"], transaction.as_str());
            assert!(transaction.len() <= 128 && transaction.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert!(claimed.is_none_or(|claimed| claimed.parse() == Ok(payer)));
        }
        Outcome::Rejected(_) => {
            assert_eq!(answer["success"], false);
            assert!(answer["errorReason"].is_string() || answer["error_reason"].is_string());
        }
        Outcome::Pending { transaction } => {
            assert_eq!(answer["success"], false);
            assert_eq!(answer["transaction"], transaction.as_str());
        }
        Outcome::Refused { status: refused } => assert_eq!(refused, status),
        Outcome::Unknown => {}
    }
    if let Ok(supported) = read_answer::<Supported>(body) {
        assert_eq!(supported.kinds.len(), answer["kinds"].as_array().unwrap().len());
        if supported.has(BASE) {
            assert!(answer["kinds"].as_array().unwrap().iter().any(|kind| kind["network"] == "eip155:84532"));
        }
    }
    assert!(retry_after(body, at(SIGNED_AT)).is_none_or(|time| time <= Duration::from_secs(60)));
}

/// The verdict of a node with these answers, and the answers that it gave.
fn verdict(chain: &'static Chain, question: Question, answers: &[u8]) -> (Option<Verdict>, Vec<Value>) {
    let parts: Answers = Rc::new(RefCell::new(answers.split(|byte| *byte == 0xff).map(<[u8]>::to_vec).collect()));
    let given = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&given);
    let answer = move |_: &str, _: &[u8]| match parts.borrow_mut().pop_front() {
        Some(missing) if missing.is_empty() => (404, missing),
        Some(body) => {
            seen.borrow_mut().push(serde_json::from_slice(&body).unwrap_or_default());
            (200, body)
        }
        None => (500, Vec::new()),
    };
    let verdict = ask(answer, async move { chain.verdict(&question).await }).expect("a runtime");
    // A text for the log has nothing of the answer.
    let verdict = verdict.inspect_err(|error| assert!(error.to_string().len() < 200)).ok();
    let given = given.borrow().clone();
    (verdict, given)
}

fn evm(kind: u8, answers: &[u8]) {
    static CHAINS: LazyLock<[Chain; 2]> = LazyLock::new(|| [0, 3].map(|after| chain(BASE, after)));
    let key = PaymentKey {
        network: BASE,
        asset: TOKEN.to_owned(),
        payer: EVM_PAYER.parse().unwrap(),
        nonce: NONCE.to_owned(),
    };
    let question = Question {
        key,
        pay_to: EVM_PAY_TO.parse().unwrap(),
        amount: PRICE.try_into().unwrap(),
        transaction: None,
        valid_before: Some(at(SIGNED_AT + 60)),
        from_block: Some(0x300).filter(|_| kind & 2 == 0),
    };
    let (verdict, given) = verdict(&CHAINS[usize::from(kind & 1)], question, answers);
    let word = |digits: &str| format!("0x{:0>64}", digits.trim_start_matches("0x").to_ascii_lowercase());
    let is = |value: &Value, text: &str| value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(text));
    let topics = |log: &Value, topics: [&str; 3]| {
        let read = log["topics"].as_array().is_some_and(|read| read.len() == 3);
        read && topics.iter().enumerate().all(|(place, topic)| is(&log["topics"][place], &word(topic)))
    };
    let any_log = |receipt: &Value, is_it: &dyn Fn(&Value) -> bool| {
        receipt["logs"].as_array().is_some_and(|logs| logs.iter().any(|log| is(&log["address"], TOKEN) && is_it(log)))
    };
    let mut receipts = given.iter().map(|answer| &answer["result"]);
    match verdict {
        Some(Verdict::Settled { transaction }) => assert!(
            receipts.any(|receipt| {
                let is_paid = |logs: &[&Value]| {
                    topics(logs[0], [USED, EVM_PAYER, NONCE])
                        && topics(logs[1], [TRANSFER, EVM_PAYER, EVM_PAY_TO])
                        && is(&logs[1]["data"], &word("3e8"))
                };
                let logs = receipt["logs"].as_array().into_iter().flatten();
                let of_token = logs.filter(|log| is(&log["address"], TOKEN) && log["removed"] != true);
                is(&receipt["transactionHash"], &transaction) && of_token.collect::<Vec<_>>().windows(2).any(is_paid)
            }),
            "settled by the transfer that follows: {given:?}"
        ),
        Some(Verdict::Canceled) => assert!(
            receipts.any(|receipt| any_log(receipt, &|log| topics(log, [CANCELED, EVM_PAYER, NONCE]))),
            "canceled by a log: {given:?}"
        ),
        Some(Verdict::Expired | Verdict::Open) => {
            assert!(receipts.any(|state| is(state, &word("0"))), "the state is open: {given:?}");
        }
        Some(Verdict::Pending { transaction }) => {
            assert!(kind & 1 == 1, "no block must follow");
            assert!(receipts.any(|receipt| is(&receipt["transactionHash"], &transaction)));
        }
        Some(Verdict::Reversed) => panic!("no verdict of these networks"),
        None => {}
    }
}

fn chain(network: Network, confirmations: u64) -> Chain {
    Chain::new(network, "http://127.0.0.1:9".parse().unwrap(), confirmations).unwrap()
}

fn stacks(kind: u8, answers: &[u8]) {
    static CHAINS: LazyLock<[Chain; 2]> = LazyLock::new(|| [0, 3].map(|after| chain(Network::Stacks, after)));
    let key = PaymentKey {
        network: Network::Stacks,
        asset: String::new(),
        payer: STACKS_PAYER.parse().unwrap(),
        nonce: "7".to_owned(),
    };
    let question = Question {
        key,
        pay_to: STACKS_PAY_TO.parse().unwrap(),
        amount: PRICE.try_into().unwrap(),
        transaction: Some(STACKS_ID.to_owned()),
        valid_before: None,
        from_block: None,
    };
    let (verdict, given) = verdict(&CHAINS[usize::from(kind & 1)], question, answers);
    let is_asked = |answer: &Value| {
        let id = answer["tx_id"].as_str().unwrap_or_default();
        id.eq_ignore_ascii_case(&format!("0x{STACKS_ID}"))
            && answer["nonce"] == 7
            && answer["sender_address"] == STACKS_PAYER
    };
    match verdict {
        Some(Verdict::Settled { transaction }) => {
            assert_eq!(transaction, STACKS_ID);
            assert!(given.iter().any(|answer| is_asked(answer) && answer["tx_status"] == "success"), "{given:?}");
        }
        Some(Verdict::Reversed) => {
            let has_failed =
                |answer: &Value| answer["tx_status"].as_str().is_some_and(|text| text.starts_with("abort_by_"));
            assert!(given.iter().any(|answer| is_asked(answer) && has_failed(answer)), "{given:?}");
        }
        Some(Verdict::Canceled) => {
            assert!(given.iter().any(|answer| answer["last_executed_tx_nonce"].as_u64().is_some_and(|last| last >= 7)));
            assert!(given.iter().any(|answer| answer["nonce"].as_u64().is_some_and(|next| next > 7)));
        }
        Some(Verdict::Pending { transaction }) => assert!(transaction == STACKS_ID && kind & 1 == 1),
        Some(Verdict::Expired) => panic!("transactions do not expire"),
        Some(Verdict::Open) | None => {}
    }
}
