//! Tests of the inbox.

use std::time::Instant;

use tokio::sync::oneshot;

use super::*;
use crate::turn::access::{Access, Batching};
use crate::turn::call::Command;

fn payer(n: usize) -> Payer {
    format!("0x{n:040x}").parse().unwrap()
}

fn call(id: u64, payer: Payer, bytes: usize) -> Call {
    let (reply, answer) = oneshot::channel();
    // Its caller waits for ever.
    std::mem::forget(answer);
    Call {
        id,
        payer,
        command: Command {
            method: "increment",
            access: Access::Write,
            batching: Batching::Batched,
            params: "x".repeat(bytes),
            conditions: None,
            vector: None,
            weight: 1,
            is_visit: false,
        },
        queued: Instant::now(),
        busy_tries: 0,
        request: None,
        reply,
    }
}

fn heavy(id: u64, payer: Payer) -> Call {
    let mut call = call(id, payer, 1);
    call.command.weight = LIGHT_MAX + 1;
    call
}

fn ids(batch: &[Call]) -> Vec<u64> {
    batch.iter().map(|call| call.id).collect()
}

#[tokio::test]
async fn calls_are_taken_in_order_of_arrival() {
    let inbox = Inbox::default();
    for id in 0..5 {
        inbox.push(call(id, payer(1), 10)).unwrap();
    }
    assert_eq!(ids(&inbox.take().await.unwrap()), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_hot_payer_fills_only_its_share_while_others_wait() {
    let inbox = Inbox::default();
    let hot = u64::try_from(BATCH_CALLS_MAX).unwrap() * 3;
    for id in 0..hot {
        inbox.push(call(id, payer(1), 10)).unwrap();
    }
    for id in hot..hot + 10 {
        inbox.push(call(id, payer(2), 10)).unwrap();
    }
    let batch = inbox.take().await.unwrap();
    assert_eq!(batch.len(), BATCH_CALLS_MAX);
    assert!(
        batch.iter().filter(|call| call.payer == payer(2)).count() == 10,
        "the other payer's calls are in the first batch"
    );
    let order: Vec<u64> = ids(&batch).into_iter().filter(|id| *id < hot).collect();
    assert!(order.is_sorted(), "the hot payer's own calls keep their order: {order:?}");
    assert_eq!(inbox.take().await.unwrap().len(), BATCH_CALLS_MAX, "alone, the hot payer fills the batch");
}

#[tokio::test]
async fn heavy_calls_run_alone_between_batches_of_light_calls() {
    let inbox = Inbox::default();
    for id in 0..3 {
        inbox.push(heavy(id, payer(1))).unwrap();
    }
    for id in 3..3 + 65 {
        inbox.push(call(id, payer(usize::try_from(id).unwrap()), 1)).unwrap();
    }
    let mut batches = Vec::new();
    for _batch in 0..5 {
        batches.push(ids(&inbox.take().await.unwrap()));
    }
    assert_eq!(batches, [vec![0], (3..67).collect(), vec![1], vec![67], vec![2]]);
}

#[tokio::test]
async fn heavy_calls_of_several_payers_alternate() {
    let inbox = Inbox::default();
    for id in 0..100 {
        inbox.push(heavy(id, payer(1))).unwrap();
    }
    inbox.push(heavy(100, payer(2))).unwrap();
    let batches = [inbox.take().await.unwrap(), inbox.take().await.unwrap(), inbox.take().await.unwrap()];
    assert_eq!(batches.map(|batch| ids(&batch)), [vec![0], vec![100], vec![1]]);
}

#[tokio::test]
async fn a_payer_cannot_fill_the_inbox_for_other_payers() {
    let inbox = Inbox::default();
    let refused = (0..10_000).find(|id| inbox.push(call(*id, payer(1), 1)).is_err());
    assert_eq!(refused, u64::try_from(WAITING_PAYER_SHARE).ok());
    inbox.push(call(0, payer(2), 1)).unwrap();
}

#[tokio::test]
async fn visitors_have_a_share_of_their_own() {
    let visit = |id, payer| {
        let mut visit = call(id, payer, 1);
        visit.command.is_visit = true;
        visit
    };
    let inbox = Inbox::default();
    let refused = (0..10_000).find(|id| inbox.push(visit(*id, payer(1))).is_err());
    assert_eq!(refused, u64::try_from(WAITING_VISITS_SHARE).ok());
    inbox.push(call(0, payer(1), 1)).unwrap();
    let batch = inbox.take().await.unwrap();
    assert!(batch.iter().any(|call| !call.command.is_visit), "the call of the payer is in the first batch");
    // Visitors of the links of many payers.
    let refused = (2..10_000).find(|number| inbox.push(visit(1, payer(*number))).is_err());
    assert!(refused.is_some());
    inbox.push(call(0, payer(1), 1)).unwrap();
}

#[tokio::test]
async fn the_inbox_and_a_batch_have_a_size_limit_in_bytes() {
    let inbox = Inbox::default();
    let big = BATCH_BYTES_MAX * 2;
    let mut id = 0;
    while inbox.push(call(id, payer(usize::try_from(id).unwrap()), big)).is_ok() {
        id += 1;
    }
    assert_eq!(id, u64::try_from(WAITING_BYTES_MAX / big).unwrap());
    assert_eq!(inbox.take().await.unwrap().len(), 1, "a call larger than a batch runs alone");
    inbox.push(call(id, payer(1), big)).unwrap();
}

#[tokio::test]
async fn only_a_call_that_was_not_taken_can_be_withdrawn() {
    let inbox = Inbox::default();
    inbox.push(call(1, payer(1), 1)).unwrap();
    inbox.push(call(2, payer(1), 1)).unwrap();
    assert!(inbox.withdraw(1).is_some());
    assert_eq!(ids(&inbox.take().await.unwrap()), [2]);
    assert!(inbox.withdraw(2).is_none());
}

#[tokio::test]
async fn a_closed_inbox_returns_its_calls_and_refuses_new_ones() {
    let inbox = Inbox::default();
    inbox.push(call(1, payer(1), 1)).unwrap();
    inbox.close();
    assert!(inbox.push(call(2, payer(1), 1)).is_err());
    assert_eq!(ids(&inbox.take().await.unwrap()), [1]);
    assert!(inbox.take().await.is_none());
}

#[tokio::test]
async fn a_busy_payer_rests_and_its_calls_then_come_first() {
    let inbox = Inbox::default();
    for id in 0..3 {
        inbox.push(call(id, payer(1), 1)).unwrap();
    }
    let mut busy = inbox.take().await.unwrap();
    busy.iter_mut().for_each(|call| call.busy_tries = 6);
    inbox.push(call(3, payer(1), 1)).unwrap();
    inbox.rest(&payer(1), busy);
    inbox.push(call(4, payer(1), 1)).unwrap();
    inbox.push(call(5, payer(2), 1)).unwrap();
    assert_eq!(ids(&inbox.take().await.unwrap()), [5], "the lane goes on with other payers");
    assert_eq!(ids(&inbox.take().await.unwrap()), [0, 1, 2, 3, 4], "a rest ends by itself");
}

#[tokio::test]
async fn a_resting_call_can_be_withdrawn_or_taken_by_a_turn_of_its_payer() {
    let inbox = Inbox::default();
    let calls = (0..70).map(|id| call(id, payer(1), 1)).collect();
    inbox.rest(&payer(1), calls);
    assert_eq!(inbox.withdraw(0), Some(CallError::PayerBusy));
    let batch = inbox.take_of(&payer(1), Duration::MAX);
    assert_eq!(ids(&batch), (1..=64).collect::<Vec<_>>());
    assert_eq!(inbox.withdraw(1), None, "it has begun");
    assert!(inbox.take_of(&payer(1), Duration::ZERO).is_empty(), "all are too old");
    assert_eq!(ids(&inbox.take().await.unwrap()), (65..70).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_closed_inbox_returns_resting_calls_too() {
    let inbox = Inbox::default();
    inbox.rest(&payer(1), vec![call(1, payer(1), 1)]);
    inbox.close();
    assert_eq!(ids(&inbox.take().await.unwrap()), [1]);
    assert!(inbox.take().await.is_none());
}

#[tokio::test]
async fn resting_calls_of_a_payer_have_a_limit() {
    let inbox = Inbox::default();
    inbox.rest(&payer(1), vec![call(0, payer(1), 1)]);
    let refused = (1..5_000).find(|id| inbox.push(call(*id, payer(1), 1)).is_err());
    assert_eq!(refused, Some(1_024));
    inbox.push(call(0, payer(2), 1)).unwrap();
}
