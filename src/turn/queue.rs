//! What waits for one lane: bounded, fair between payers, and exact about what has not begun.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};

use super::outcome::Failure;
use crate::auth::Payer;

/// Most calls in one statement. More would not make a call cheaper, and the last of them would wait for all the others.
pub(super) const BATCH_CALLS_MAX: usize = 64;
/// A call that is more work than this runs alone, and after it come those that are less, if any wait.
const LIGHT_MAX: usize = BATCH_PAYER_SHARE;
/// So many bytes of parameters are as much work as a call.
const WEIGHT_BYTES: usize = 16 << 10;
/// Most bytes of parameters in one statement, unless a single call is larger.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Most calls of one payer in one statement as long as calls of others wait.
const BATCH_PAYER_SHARE: usize = BATCH_CALLS_MAX / 4;
/// Most calls that wait for one lane: about a quarter of a second of work.
const WAITING_CALLS_MAX: usize = 4_096;
/// Most calls of one payer among them, so that one payer cannot make its neighbours hear `overloaded`.
const WAITING_PAYER_SHARE: usize = WAITING_CALLS_MAX / 2;
/// Most bytes of parameters that wait for one lane.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// What a call has to do.
#[derive(Clone)]
pub(super) struct Work {
    /// The parameters, as JSON.
    pub params: String,
    /// How much it is, in calls that do one thing.
    pub weight: usize,
}

impl Work {
    /// What a method weighs, and what its parameters do.
    pub fn new(params: String, weight: usize) -> Self {
        let weight = weight + params.len() / WEIGHT_BYTES;
        Self { params, weight }
    }
}

/// One call on its way to the database.
pub(super) struct Call {
    pub id: u64,
    pub payer: Payer,
    pub method: &'static str,
    pub work: Work,
    /// What stands around it, as JSON.
    pub around: Option<String>,
    pub queued: Instant,
    pub reply: oneshot::Sender<Result<String, Failure>>,
}

impl Call {
    fn bytes(&self) -> usize {
        self.work.params.len()
    }

    pub fn answer(self, answer: Result<String, Failure>) {
        // Whoever asked may have gone.
        let _gone = self.reply.send(answer);
    }
}

/// What waits for one lane.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Call>,
    /// Those among them that run alone.
    heavy: VecDeque<Call>,
    /// Whether one of them is next.
    is_heavy_next: bool,
    /// Whose turn it was to run one of them.
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

    /// Takes the calls that run next: one that is much work, or many that are little, by turns.
    fn take(&mut self) -> Vec<Call> {
        self.is_heavy_next = !self.is_heavy_next || self.waiting.is_empty();
        if self.is_heavy_next
            && let Some(call) = self.take_heavy()
        {
            self.forget(&call);
            self.last_heavy = Some(call.payer.clone());
            return vec![call];
        }
        self.take_light()
    }

    /// The first of another payer than the last time, else the first.
    fn take_heavy(&mut self) -> Option<Call> {
        let place = self.heavy.iter().position(|call| Some(&call.payer) != self.last_heavy.as_ref());
        self.heavy.remove(place.unwrap_or_default())
    }

    /// Takes calls that may run together: in order of arrival, where they fit. No payer gets more than its share before the
    /// others have had theirs; what room is left then goes to whoever waits.
    fn take_light(&mut self) -> Vec<Call> {
        let mut batch = Vec::with_capacity(self.waiting.len().min(BATCH_CALLS_MAX));
        let mut bytes = 0;
        for share in [BATCH_PAYER_SHARE, BATCH_CALLS_MAX] {
            let mut taken: HashMap<Payer, usize> = HashMap::new();
            let mut left = VecDeque::new();
            while let Some(call) = self.waiting.pop_front() {
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
            left.append(&mut self.waiting);
            self.waiting = left;
        }
        batch
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call wait, unless too many do.
    pub fn push(&self, call: Call) -> Result<(), Failure> {
        let mut state = self.state();
        if state.closed {
            return Err(Failure::Unavailable);
        }
        let of_payer = state.by_payer.get(&call.payer).copied().unwrap_or_default();
        if state.waiting.len() + state.heavy.len() >= WAITING_CALLS_MAX
            || of_payer >= WAITING_PAYER_SHARE
            || state.bytes + call.bytes() > WAITING_BYTES_MAX
        {
            return Err(Failure::Overloaded);
        }
        state.bytes += call.bytes();
        *state.by_payer.entry(call.payer.clone()).or_default() += 1;
        match call.work.weight > LIGHT_MAX {
            true => state.heavy.push_back(call),
            false => state.waiting.push_back(call),
        }
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes back a call that no longer needs to run. `false`: it has begun.
    pub fn withdraw(&self, id: u64) -> bool {
        let mut state = self.state();
        let State { waiting, heavy, .. } = &mut *state;
        let remove = |calls: &mut VecDeque<Call>| {
            let place = calls.iter().position(|call| call.id == id)?;
            calls.remove(place)
        };
        let removed = remove(waiting).or_else(|| remove(heavy));
        if let Some(call) = &removed {
            state.forget(call);
        }
        removed.is_some()
    }

    /// Waits for calls and takes what may run together. Nothing once the queue is closed and empty.
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

    /// Takes everything that waits: for a lane that cannot run anything.
    pub fn take_all(&self) -> Vec<Call> {
        let mut state = self.state();
        state.bytes = 0;
        state.by_payer.clear();
        let State { waiting, heavy, .. } = &mut *state;
        waiting.drain(..).chain(heavy.drain(..)).collect()
    }

    /// Lets no more in; what waits still runs.
    pub fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(n: usize) -> Payer {
        format!("0x{n:040x}").parse().unwrap()
    }

    fn call(id: u64, payer: Payer, bytes: usize) -> Call {
        Call {
            id,
            payer,
            method: "increment",
            work: Work { params: "x".repeat(bytes), weight: 1 },
            around: None,
            queued: Instant::now(),
            reply: oneshot::channel().0,
        }
    }

    fn heavy(id: u64, payer: Payer) -> Call {
        let call = call(id, payer, 1);
        Call { work: Work { weight: LIGHT_MAX + 1, ..call.work }, ..call }
    }

    fn ids(batch: &[Call]) -> Vec<u64> {
        batch.iter().map(|call| call.id).collect()
    }

    #[tokio::test]
    async fn calls_come_out_in_order_of_arrival() {
        let queue = Queue::default();
        for id in 0..5 {
            queue.push(call(id, payer(1), 10)).unwrap();
        }
        assert_eq!(ids(&queue.take().await.unwrap()), [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn a_hot_payer_fills_only_its_share_while_others_wait() {
        let queue = Queue::default();
        let hot = u64::try_from(BATCH_CALLS_MAX).unwrap() * 3;
        for id in 0..hot {
            queue.push(call(id, payer(1), 10)).unwrap();
        }
        for id in hot..hot + 10 {
            queue.push(call(id, payer(2), 10)).unwrap();
        }
        let batch = queue.take().await.unwrap();
        assert_eq!(batch.len(), BATCH_CALLS_MAX);
        assert!(
            batch.iter().filter(|call| call.payer == payer(2)).count() == 10,
            "the neighbour is in the first batch"
        );
        let order: Vec<u64> = ids(&batch).into_iter().filter(|id| *id < hot).collect();
        assert!(order.is_sorted(), "the hot payer's own calls keep their order: {order:?}");
        assert_eq!(queue.take().await.unwrap().len(), BATCH_CALLS_MAX, "alone, the hot payer gets all the room");
    }

    #[tokio::test]
    async fn much_work_runs_alone_and_between_it_comes_what_is_little() {
        let queue = Queue::default();
        for id in 0..3 {
            queue.push(heavy(id, payer(1))).unwrap();
        }
        for id in 3..3 + 65 {
            queue.push(call(id, payer(usize::try_from(id).unwrap()), 1)).unwrap();
        }
        let mut batches = Vec::new();
        for _batch in 0..5 {
            batches.push(ids(&queue.take().await.unwrap()));
        }
        assert_eq!(batches, [vec![0], (3..67).collect(), vec![1], vec![67], vec![2]]);
    }

    #[tokio::test]
    async fn much_work_of_one_payer_does_not_stand_before_that_of_another() {
        let queue = Queue::default();
        for id in 0..100 {
            queue.push(heavy(id, payer(1))).unwrap();
        }
        queue.push(heavy(100, payer(2))).unwrap();
        let batches = [queue.take().await.unwrap(), queue.take().await.unwrap(), queue.take().await.unwrap()];
        assert_eq!(batches.map(|batch| ids(&batch)), [vec![0], vec![100], vec![1]]);
    }

    #[tokio::test]
    async fn a_payer_cannot_fill_the_queue_for_its_neighbours() {
        let queue = Queue::default();
        let refused = (0..10_000).find(|id| queue.push(call(*id, payer(1), 1)).is_err());
        assert_eq!(refused, u64::try_from(WAITING_PAYER_SHARE).ok());
        queue.push(call(0, payer(2), 1)).unwrap();
    }

    #[tokio::test]
    async fn bytes_are_bounded_in_the_queue_and_in_the_batch() {
        let queue = Queue::default();
        let big = BATCH_BYTES_MAX * 2;
        let mut id = 0;
        while queue.push(call(id, payer(usize::try_from(id).unwrap()), big)).is_ok() {
            id += 1;
        }
        assert_eq!(id, u64::try_from(WAITING_BYTES_MAX / big).unwrap());
        assert_eq!(queue.take().await.unwrap().len(), 1, "a call larger than a batch runs alone");
        queue.push(call(id, payer(1), big)).unwrap();
    }

    #[tokio::test]
    async fn a_withdrawn_call_never_runs_and_a_taken_one_cannot_be_withdrawn() {
        let queue = Queue::default();
        queue.push(call(1, payer(1), 1)).unwrap();
        queue.push(call(2, payer(1), 1)).unwrap();
        assert!(queue.withdraw(1));
        assert_eq!(ids(&queue.take().await.unwrap()), [2]);
        assert!(!queue.withdraw(2));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_what_waits_and_takes_nothing() {
        let queue = Queue::default();
        queue.push(call(1, payer(1), 1)).unwrap();
        queue.close();
        assert!(queue.push(call(2, payer(1), 1)).is_err());
        assert_eq!(ids(&queue.take().await.unwrap()), [1]);
        assert!(queue.take().await.is_none());
    }
}
