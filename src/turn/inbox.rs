//! The inbox of a lane: bounded, fair between payers, and exact about which calls have not begun.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::call::Call;
use super::error::CallError;
use crate::payer::Payer;

/// Calls in one statement. More would not make a call cheaper, and the last one would wait for all the others.
pub(super) const BATCH_CALLS_MAX: usize = 64;
/// Weight of a light call. Heavier calls run in a batch of their own, alternating with batches of light calls.
const LIGHT_MAX: usize = BATCH_PAYER_SHARE;
/// Bytes of parameters in one statement, unless a single call is larger.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Calls of one payer in one statement while calls of other payers wait.
const BATCH_PAYER_SHARE: usize = BATCH_CALLS_MAX / 4;
/// Calls that wait for one lane: about a quarter of a second of work.
const WAITING_CALLS_MAX: usize = 4_096;
/// Waiting calls of one payer, so that a payer cannot cause `overloaded` for its neighbours.
const WAITING_PAYER_SHARE: usize = WAITING_CALLS_MAX / 2;
/// Bytes of parameters that wait for one lane.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// The calls that wait for one lane.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    light: VecDeque<Call>,
    heavy: VecDeque<Call>,
    /// Whether the next batch is a heavy call.
    is_heavy_next: bool,
    /// The payer of the last heavy call.
    last_heavy: Option<Payer>,
    bytes: usize,
    by_payer: HashMap<Payer, usize>,
    closed: bool,
}

impl State {
    fn forget(&mut self, call: &Call) {
        self.bytes = self.bytes.saturating_sub(call.bytes());
        if let Some(count) = self.by_payer.get_mut(&call.payer) {
            *count -= 1;
            if *count == 0 {
                self.by_payer.remove(&call.payer);
            }
        }
    }

    /// Takes the next batch: one heavy call and many light calls alternate.
    fn take(&mut self) -> Vec<Call> {
        self.is_heavy_next = !self.is_heavy_next || self.light.is_empty();
        if self.is_heavy_next
            && let Some(call) = self.take_heavy()
        {
            self.forget(&call);
            self.last_heavy = Some(call.payer.clone());
            return vec![call];
        }
        self.take_light()
    }

    /// The first heavy call of another payer than that of the last heavy call; otherwise the first heavy call.
    fn take_heavy(&mut self) -> Option<Call> {
        let index = self.heavy.iter().position(|call| Some(&call.payer) != self.last_heavy.as_ref());
        self.heavy.remove(index.unwrap_or_default())
    }

    /// Fills a batch in order of arrival, in two passes: first at most `BATCH_PAYER_SHARE` calls per payer, then the free
    /// slots for any payer.
    fn take_light(&mut self) -> Vec<Call> {
        let mut batch = Vec::with_capacity(self.light.len().min(BATCH_CALLS_MAX));
        let mut bytes = 0;
        for share in [BATCH_PAYER_SHARE, BATCH_CALLS_MAX] {
            let mut taken: HashMap<Payer, usize> = HashMap::new();
            let mut left = VecDeque::new();
            while let Some(call) = self.light.pop_front() {
                let of_payer = taken.entry(call.payer.clone()).or_default();
                let fits = batch.is_empty() || bytes + call.bytes() <= BATCH_BYTES_MAX;
                if batch.len() < BATCH_CALLS_MAX && *of_payer < share && fits {
                    *of_payer += 1;
                    bytes += call.bytes();
                    self.forget(&call);
                    batch.push(call);
                } else {
                    left.push_back(call);
                    if batch.len() == BATCH_CALLS_MAX {
                        break;
                    }
                }
            }
            left.append(&mut self.light);
            self.light = left;
        }
        batch
    }
}

impl Inbox {
    /// Number of calls that wait.
    pub fn len(&self) -> usize {
        let state = self.state();
        state.light.len() + state.heavy.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code in here panics between two changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call, unless the inbox is full.
    pub fn push(&self, call: Call) -> Result<(), CallError> {
        let mut state = self.state();
        if state.closed {
            return Err(CallError::Unavailable);
        }
        let of_payer = state.by_payer.get(&call.payer).copied().unwrap_or_default();
        if state.light.len() + state.heavy.len() >= WAITING_CALLS_MAX
            || of_payer >= WAITING_PAYER_SHARE
            || state.bytes + call.bytes() > WAITING_BYTES_MAX
        {
            return Err(CallError::Overloaded);
        }
        state.bytes += call.bytes();
        *state.by_payer.entry(call.payer.clone()).or_default() += 1;
        match call.command.total_weight() > LIGHT_MAX {
            true => state.heavy.push_back(call),
            false => state.light.push_back(call),
        }
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Removes a call, so that it never runs. `false` if it has begun.
    pub fn withdraw(&self, id: u64) -> bool {
        let mut state = self.state();
        let State { light, heavy, .. } = &mut *state;
        let remove = |calls: &mut VecDeque<Call>| {
            let index = calls.iter().position(|call| call.id == id)?;
            calls.remove(index)
        };
        let removed = remove(light).or_else(|| remove(heavy));
        if let Some(call) = &removed {
            state.forget(call);
        }
        removed.is_some()
    }

    /// Waits for calls and takes the next batch. `None` once the inbox is closed and empty.
    pub async fn take(&self) -> Option<Vec<Call>> {
        loop {
            {
                let mut state = self.state();
                let batch = state.take();
                if !batch.is_empty() {
                    return Some(batch);
                }
                if state.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// Takes all calls: for a lane that has no connection.
    pub fn take_all(&self) -> Vec<Call> {
        let mut state = self.state();
        state.bytes = 0;
        state.by_payer.clear();
        let State { light, heavy, .. } = &mut *state;
        light.drain(..).chain(heavy.drain(..)).collect()
    }

    /// Refuses new calls. Calls that wait still run.
    pub fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::oneshot;

    use super::*;
    use crate::turn::access::{Access, Batching};
    use crate::turn::call::Command;

    fn payer(n: usize) -> Payer {
        format!("0x{n:040x}").parse().unwrap()
    }

    fn call(id: u64, payer: Payer, bytes: usize) -> Call {
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
            },
            queued: Instant::now(),
            request: None,
            reply: oneshot::channel().0,
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
        assert!(inbox.withdraw(1));
        assert_eq!(ids(&inbox.take().await.unwrap()), [2]);
        assert!(!inbox.withdraw(2));
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
}
