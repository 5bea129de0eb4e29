//! Tests of the inbox.

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use super::state::{WAITING_BYTES_MAX, WAITING_BYTES_SHARE, WAITING_PAYER_SHARE, WAITING_VISITS_SHARE};
use super::*;
use crate::aside::LARGE_BYTES;
use crate::budget::Budget;
use crate::turn::access::{Batching, Origin};
use crate::turn::call::Command;

fn payer(n: usize) -> Payer {
    format!("0x{n:040x}").parse().unwrap()
}

fn inbox() -> Arc<Inbox> {
    Inbox::new(Access::Write)
}

fn weighed(id: u64, payer: Payer, bytes: usize, weight: usize) -> Call {
    let command = Command {
        method: "increment",
        access: Access::Write,
        batching: Batching::Batched,
        params: "x".repeat(bytes),
        conditions: None,
        vector: None,
        weight,
        origin: Origin::Payer,
        price: None,
    };
    let (reply, answer) = oneshot::channel();
    // Its caller waits for ever.
    std::mem::forget(answer);
    Call::new(id, payer, command, reply, Budget::new(0, 0))
}

fn call(id: u64, payer: Payer, bytes: usize) -> Call {
    weighed(id, payer, bytes, 1)
}

fn heavy(id: u64, payer: Payer) -> Call {
    weighed(id, payer, 1, LIGHT_MAX + 1)
}

fn ids(batch: &[Call]) -> Vec<u64> {
    batch.iter().map(|call| call.id).collect()
}

/// Takes a batch of light calls, which ends at once.
async fn light(inbox: &Arc<Inbox>) -> Vec<u64> {
    ids(&inbox.take_light().await.unwrap().0)
}

async fn next_heavy(inbox: &Arc<Inbox>) -> u64 {
    inbox.take_heavy().await.unwrap().0.id
}

#[tokio::test]
async fn calls_are_taken_in_order_of_arrival() {
    let inbox = inbox();
    for id in 0..5 {
        inbox.push(call(id, payer(1), 10)).unwrap();
    }
    assert_eq!(light(&inbox).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_hot_payer_leaves_room_for_others() {
    let inbox = inbox();
    let hot = u64::try_from(BATCH_CALLS_MAX).unwrap() * 3;
    for id in 0..hot {
        inbox.push(call(id, payer(1), 10)).unwrap();
    }
    for id in hot..hot + 10 {
        inbox.push(call(id, payer(2), 10)).unwrap();
    }
    let (batch, _running) = inbox.take_light().await.unwrap();
    assert_eq!(batch.len(), BATCH_CALLS_MAX);
    assert!(
        batch.iter().filter(|call| call.payer == payer(2)).count() == 10,
        "the other payer's calls are in the first batch"
    );
    let order: Vec<u64> = ids(&batch).into_iter().filter(|id| *id < hot).collect();
    assert!(order.is_sorted(), "the hot payer's own calls keep their order: {order:?}");
    assert_eq!(light(&inbox).await.len(), BATCH_CALLS_MAX, "alone, the hot payer fills the batch");
}

#[tokio::test]
async fn the_weight_of_a_batch_has_a_limit() {
    let inbox = inbox();
    for id in 0..64 {
        inbox.push(weighed(id, payer(1), 1, LIGHT_MAX)).unwrap();
    }
    let (batch, _running) = inbox.take_light().await.unwrap();
    assert_eq!(batch.iter().map(|call| call.weight).sum::<usize>(), BATCH_WEIGHT_MAX);
    // A light call of another payer that comes last is in the next batch.
    inbox.push(call(64, payer(2), 1)).unwrap();
    assert!(light(&inbox).await.contains(&64));
}

#[tokio::test]
async fn the_payer_that_used_the_lane_less_is_first() {
    let inbox = inbox();
    inbox.ran([(&call(0, payer(1), 1), Duration::from_secs(1), 0)].into_iter());
    for id in 1..100 {
        inbox.push(call(id, payer(1), 1)).unwrap();
    }
    inbox.push(call(100, payer(2), 1)).unwrap();
    assert_eq!(light(&inbox).await[0], 100);
}

#[tokio::test]
async fn the_oldest_call_is_first_if_its_payer_used_the_lane_little() {
    let inbox = inbox();
    inbox.ran([(&call(0, payer(1), 1), Duration::from_millis(1), 0)].into_iter());
    for id in 1..100 {
        inbox.push(call(id, payer(usize::try_from(id).unwrap()), 1)).unwrap();
    }
    assert_eq!(light(&inbox).await[0], 1);
}

#[tokio::test]
async fn the_payers_of_heavy_calls_take_turns() {
    let inbox = inbox();
    for id in 0..100 {
        inbox.push(heavy(id, payer(1))).unwrap();
        inbox.push(heavy(id + 100, payer(2))).unwrap();
    }
    inbox.push(heavy(200, payer(3))).unwrap();
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(next_heavy(&inbox).await);
    }
    assert_eq!(order, [0, 100, 200, 1, 101]);
}

#[tokio::test]
async fn a_heavy_write_holds_back_the_calls_of_its_payer_and_no_others() {
    let inbox = inbox();
    inbox.push(call(0, payer(1), 1)).unwrap();
    inbox.push(heavy(1, payer(1))).unwrap();
    inbox.push(heavy(2, payer(2))).unwrap();
    assert_eq!(next_heavy(&inbox).await, 2, "the call before the heavy one of payer 1 has not begun");
    assert_eq!(light(&inbox).await, [0]);
    let (running, guard) = inbox.take_heavy().await.unwrap();
    assert_eq!(running.id, 1);
    inbox.push(call(3, payer(1), 1)).unwrap();
    inbox.push(call(4, payer(2), 1)).unwrap();
    assert_eq!(light(&inbox).await, [4]);
    drop(guard);
    assert_eq!(light(&inbox).await, [3]);
}

#[tokio::test]
async fn a_heavy_write_waits_for_the_running_calls_of_its_payer() {
    let inbox = inbox();
    inbox.push(call(0, payer(1), 1)).unwrap();
    let (_batch, batch_runs) = inbox.take_light().await.unwrap();
    inbox.push(heavy(1, payer(1))).unwrap();
    inbox.push(call(2, payer(1), 1)).unwrap();
    inbox.push(call(3, payer(2), 1)).unwrap();
    let mut taken = std::pin::pin!(inbox.take_heavy());
    assert!(taken.as_mut().now_or_never().is_none());
    drop(batch_runs);
    assert_eq!(light(&inbox).await, [3], "the later call waits for the heavy one");
    let (running, guard) = taken.await.unwrap();
    assert_eq!(running.id, 1);
    drop(guard);
    assert_eq!(light(&inbox).await, [2]);
}

#[tokio::test]
async fn calls_with_large_results_run_apart() {
    let inbox = inbox();
    inbox.ran([(&call(0, payer(1), 1), Duration::ZERO, LARGE_BYTES)].into_iter());
    inbox.push(call(1, payer(1), 1)).unwrap();
    inbox.push(call(2, payer(2), 1)).unwrap();
    assert_eq!(light(&inbox).await, [2]);
    assert_eq!(next_heavy(&inbox).await, 1);
}

#[tokio::test]
async fn calls_that_have_not_begun_keep_their_places_and_can_be_withdrawn() {
    let inbox = inbox();
    for id in 0..4 {
        inbox.push(call(id, payer(1), 1)).unwrap();
    }
    let (mut batch, running) = inbox.take_light().await.unwrap();
    inbox.push(call(4, payer(1), 1)).unwrap();
    inbox.give_back(batch.split_off(1));
    drop(running);
    assert!(inbox.withdraw(2).is_some());
    assert_eq!(light(&inbox).await, [1, 3, 4]);
}

#[tokio::test]
async fn the_calls_of_a_failed_batch_run_one_by_one_before_other_heavy_calls() {
    let inbox = inbox();
    inbox.push(heavy(9, payer(1))).unwrap();
    inbox.give_back_alone(vec![call(1, payer(2), 1), call(2, payer(2), 1), call(3, payer(3), 1)]);
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(next_heavy(&inbox).await);
    }
    assert_eq!(order, [1, 3, 9, 2], "one call of each payer, then the next one");
}

#[tokio::test]
async fn a_payer_cannot_fill_the_inbox_for_other_payers() {
    let inbox = inbox();
    let refused = (0..10_000).find(|id| inbox.push(call(*id, payer(1), 1)).is_err());
    assert_eq!(refused, u64::try_from(WAITING_PAYER_SHARE).ok());
    inbox.push(call(0, payer(2), 1)).unwrap();
}

#[tokio::test]
async fn the_inbox_and_a_batch_have_a_size_limit_in_bytes() {
    let inbox = inbox();
    let big = BATCH_BYTES_MAX / 8;
    let mut id = 0;
    while inbox.push(call(id, payer(usize::try_from(id).unwrap()), big)).is_ok() {
        id += 1;
    }
    assert_eq!(id, u64::try_from(WAITING_BYTES_MAX / big).unwrap());
    assert_eq!(light(&inbox).await.len(), 8);
    inbox.push(call(id, payer(1), big)).unwrap();
}

#[tokio::test]
async fn a_payer_cannot_fill_the_bytes_for_other_payers() {
    let inbox = inbox();
    let refused = (0..1_000).find(|id| inbox.push(call(*id, payer(1), 128 << 10)).is_err());
    assert_eq!(refused, u64::try_from(WAITING_BYTES_SHARE / (128 << 10)).ok());
    inbox.push(call(0, payer(2), 128 << 10)).unwrap();
}

#[tokio::test]
async fn a_withdrawn_heavy_call_leaves_nothing_behind() {
    let inbox = inbox();
    inbox.push(heavy(1, payer(1))).unwrap();
    inbox.push(heavy(2, payer(2))).unwrap();
    assert!(inbox.withdraw(1).is_some());
    inbox.push(heavy(3, payer(1))).unwrap();
    assert_eq!([next_heavy(&inbox).await, next_heavy(&inbox).await], [2, 3]);
}

#[tokio::test]
async fn a_call_that_runs_again_stays_alone() {
    let inbox = inbox();
    inbox.give_back_alone(vec![call(1, payer(1), 1)]);
    let (rerun, running) = inbox.take_heavy().await.unwrap();
    inbox.rest(&payer(1), vec![rerun]);
    drop(running);
    assert_eq!(next_heavy(&inbox).await, 1);
}

#[tokio::test]
async fn only_a_call_that_was_not_taken_can_be_withdrawn() {
    let inbox = inbox();
    inbox.push(call(1, payer(1), 1)).unwrap();
    inbox.push(call(2, payer(1), 1)).unwrap();
    assert!(inbox.withdraw(1).is_some());
    assert_eq!(light(&inbox).await, [2]);
    assert!(inbox.withdraw(2).is_none());
}

#[tokio::test]
async fn a_closed_inbox_returns_its_calls_and_refuses_new_ones() {
    let inbox = inbox();
    inbox.push(call(1, payer(1), 1)).unwrap();
    inbox.push(heavy(2, payer(1))).unwrap();
    inbox.close();
    assert!(inbox.push(call(3, payer(1), 1)).is_err());
    assert_eq!(light(&inbox).await, [1]);
    assert!(inbox.take_light().now_or_never().is_none(), "the heavy call may come back as a light one");
    assert_eq!(next_heavy(&inbox).await, 2);
    assert!(inbox.take_light().await.is_none());
    assert!(inbox.take_heavy().await.is_none());
}

#[tokio::test]
async fn the_sweeper_has_a_share_of_its_own() {
    let inbox = inbox();
    let refused = (0..10_000).find(|id| inbox.push(call(*id, payer(1), 1)).is_err());
    assert_eq!(refused, u64::try_from(WAITING_PAYER_SHARE).ok());
    let mut sweep = call(0, payer(1), 1);
    sweep.command.origin = Origin::Sweeper;
    inbox.push(sweep).unwrap();
    // Nor does it need room that others have taken.
    let inbox = self::inbox();
    let heavy = |id: u64, number| weighed(id, payer(number), WAITING_BYTES_SHARE / 2, 1_000);
    let refused = (0..10_000).find(|number| inbox.push(heavy(0, *number)).is_err());
    assert!(refused.is_some());
    let mut sweep = heavy(20_000, 1);
    sweep.command.origin = Origin::Sweeper;
    inbox.push(sweep).unwrap();
}

#[tokio::test]
async fn grantees_of_a_payer_leave_room_for_its_own_calls() {
    let inbox = inbox();
    let granted = |id| {
        let mut granted = call(id, payer(1), 1);
        granted.command.origin = Origin::Grantee;
        granted
    };
    assert!((0..10_000).any(|id| inbox.push(granted(id)).is_err()));
    assert!((0..10_000).any(|id| inbox.push(call(id, payer(1), 1)).is_err()));
    // And its neighbours have room too.
    inbox.push(call(0, payer(2), 1)).unwrap();
    // A single call may be large.
    let large = |id| {
        let mut granted = weighed(id, payer(3), WAITING_BYTES_SHARE / 2, 1);
        granted.command.origin = Origin::Grantee;
        granted
    };
    inbox.push(large(0)).unwrap();
    assert!(inbox.push(large(1)).is_err());
}

#[tokio::test]
async fn visitors_have_a_share_of_their_own() {
    let visit = |id, payer| {
        let mut visit = call(id, payer, 1);
        visit.command.origin = Origin::Visitor;
        visit
    };
    let inbox = inbox();
    let refused = (0..10_000).find(|id| inbox.push(visit(*id, payer(1))).is_err());
    assert_eq!(refused, u64::try_from(WAITING_VISITS_SHARE).ok());
    inbox.push(call(0, payer(1), 1)).unwrap();
    let (batch, _running) = inbox.take_light().await.unwrap();
    assert!(batch.iter().any(|call| !call.is_visit()), "the call of the payer is in the first batch");
    // They have a share of the bytes too.
    let large = |id| {
        let mut visit = weighed(id, payer(9), WAITING_BYTES_SHARE / 2 + 1, 1);
        visit.command.origin = Origin::Visitor;
        visit
    };
    let inbox = self::inbox();
    inbox.push(large(0)).unwrap();
    assert!(inbox.push(large(1)).is_err());
    // Visitors of the links of many payers.
    let refused = (2..10_000).find(|number| inbox.push(visit(1, payer(*number))).is_err());
    assert!(refused.is_some());
    inbox.push(call(0, payer(1), 1)).unwrap();
}

#[tokio::test]
async fn a_busy_payer_rests_and_its_calls_then_come_first() {
    let inbox = inbox();
    for id in 0..3 {
        inbox.push(call(id, payer(1), 1)).unwrap();
    }
    let (mut busy, running) = inbox.take_light().await.unwrap();
    busy.iter_mut().for_each(|call| call.busy_tries = 6);
    inbox.push(call(3, payer(1), 1)).unwrap();
    inbox.rest(&payer(1), busy);
    drop(running);
    inbox.push(call(4, payer(1), 1)).unwrap();
    inbox.push(call(5, payer(2), 1)).unwrap();
    assert_eq!(light(&inbox).await, [5], "the lane goes on with other payers");
    assert_eq!(light(&inbox).await, [0, 1, 2, 3, 4], "a rest ends by itself");
}

#[tokio::test]
async fn a_resting_call_can_be_withdrawn_or_taken_by_a_turn_of_its_payer() {
    let inbox = inbox();
    let calls = (0..70).map(|id| call(id, payer(1), 1)).collect();
    inbox.rest(&payer(1), calls);
    assert_eq!(inbox.withdraw(0), Some(CallError::PayerBusy));
    let batch = inbox.take_of(&payer(1), Duration::MAX);
    assert_eq!(ids(&batch), (1..=64).collect::<Vec<_>>());
    assert_eq!(inbox.withdraw(1), None, "it has begun");
    assert!(inbox.take_of(&payer(1), Duration::ZERO).is_empty(), "all are too old");
    assert_eq!(light(&inbox).await, (65..70).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_closed_inbox_returns_resting_calls_too() {
    let inbox = inbox();
    inbox.rest(&payer(1), vec![call(1, payer(1), 1)]);
    inbox.close();
    assert_eq!(light(&inbox).await, [1]);
    assert!(inbox.take_light().await.is_none());
}

#[tokio::test]
async fn resting_calls_of_a_payer_have_a_limit() {
    let inbox = inbox();
    inbox.rest(&payer(1), vec![call(0, payer(1), 1)]);
    let refused = (1..5_000).find(|id| inbox.push(call(*id, payer(1), 1)).is_err());
    assert_eq!(refused, Some(1_024));
    inbox.push(call(0, payer(2), 1)).unwrap();
}
