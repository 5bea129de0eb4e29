//! The state of an inbox: which calls wait, which payers the running batches hold, and which call comes next.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::access::{Load, Origin};
use super::super::call::{Call, Sender};
use super::super::history::History;
use super::super::resting::Resting;
use super::super::ring::Ring;
use crate::payer::Payer;

/// Calls in one statement. More would not make a call cheaper, and the last one would wait for all the others.
pub(super) const BATCH_CALLS_MAX: usize = 64;
/// Weight of one statement with several calls.
pub(super) const BATCH_WEIGHT_MAX: usize = 2 * BATCH_CALLS_MAX;
/// Weight of a light call. Heavier calls run one at a time, beside the batches of light calls.
pub(in crate::turn) const LIGHT_MAX: usize = BATCH_CALLS_MAX / 4;
/// Bytes of parameters in one statement, unless a single call is larger.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;
/// Time that a unit of weight takes, to tell which payer has used the lane less.
pub(super) const WEIGHT_TIME: Duration = Duration::from_micros(50);
/// Calls that wait for one lane: about a quarter of a second of work.
pub(super) const WAITING_CALLS_MAX: usize = 4_096;
/// Waiting calls of one payer, so that a payer cannot cause `overloaded` for its neighbours.
pub(super) const WAITING_PAYER_SHARE: usize = WAITING_CALLS_MAX / 2;
/// Waiting visits of all links, so that visitors, who need no token, cannot cause `overloaded` for payers.
pub(super) const WAITING_VISITS_MAX: usize = WAITING_CALLS_MAX / 2;
/// Waiting visits of the links of one payer.
pub(super) const WAITING_VISITS_SHARE: usize = WAITING_VISITS_MAX / 2;
/// Waiting calls of all grantees of one payer.
const WAITING_GRANTEES_SHARE: usize = WAITING_PAYER_SHARE / 4;
/// Bytes of parameters that wait for one lane.
pub(super) const WAITING_BYTES_MAX: usize = 32 << 20;
/// Bytes of parameters of one payer that wait for one lane.
pub(super) const WAITING_BYTES_SHARE: usize = WAITING_BYTES_MAX / 2;
/// Bytes of parameters of all grantees of one payer, unless a single call is larger.
const GRANTEES_BYTES_SHARE: usize = WAITING_BYTES_SHARE / 4;

/// The calls that wait for a lane, those that run, and the history of the lane.
pub(super) struct State {
    pub light: VecDeque<Call>,
    pub heavy: Ring,
    /// Calls of busy payers. The limits above do not count them.
    pub resting: Resting,
    /// The payers whose locks the running batch of light writes holds.
    pub light_holds: Vec<Payer>,
    /// The payer whose lock the running heavy write holds: its light calls wait.
    pub heavy_holds: Option<Payer>,
    /// Batches that run: one of light calls, and one heavy call.
    pub running: usize,
    pub history: History,
    bytes: usize,
    by_sender: HashMap<Sender, Share>,
    visits: usize,
    pub closed: bool,
}

/// The calls of one sender that wait.
#[derive(Default)]
struct Share {
    calls: usize,
    bytes: usize,
}

impl State {
    pub fn new() -> Self {
        Self {
            light: VecDeque::new(),
            heavy: Ring::default(),
            resting: Resting::default(),
            light_holds: Vec::new(),
            heavy_holds: None,
            running: 0,
            history: History::new(Instant::now()),
            bytes: 0,
            by_sender: HashMap::new(),
            visits: 0,
            closed: false,
        }
    }

    pub fn count(&mut self, call: &Call) {
        self.bytes += call.bytes();
        self.visits += usize::from(call.is_visit());
        let share = self.by_sender.entry(call.sender()).or_default();
        share.calls += 1;
        share.bytes += call.bytes();
    }

    pub fn forget(&mut self, call: &Call) {
        self.bytes = self.bytes.saturating_sub(call.bytes());
        self.visits = self.visits.saturating_sub(usize::from(call.is_visit()));
        let sender = call.sender();
        if let Some(share) = self.by_sender.get_mut(&sender) {
            share.calls -= 1;
            share.bytes -= call.bytes();
            if share.calls == 0 {
                self.by_sender.remove(&sender);
            }
        }
    }

    /// Whether the inbox has room for a call.
    pub fn has_room_for(&self, call: &Call) -> bool {
        let (calls, bytes) = self.by_sender.get(&call.sender()).map_or((0, 0), |share| (share.calls, share.bytes));
        let bytes = bytes + call.bytes();
        let has_share = match call.command.origin {
            Origin::Payer => calls < WAITING_PAYER_SHARE && bytes <= WAITING_BYTES_SHARE,
            Origin::Grantee => calls < WAITING_GRANTEES_SHARE && (bytes <= GRANTEES_BYTES_SHARE || calls == 0),
            Origin::Visitor => {
                calls < WAITING_VISITS_SHARE && bytes <= WAITING_BYTES_SHARE && self.visits < WAITING_VISITS_MAX
            }
            // It sends a few calls at a time, and no payer can keep them out.
            Origin::Sweeper => return true,
        };
        has_share
            && self.light.len() + self.heavy.len() < WAITING_CALLS_MAX
            && self.bytes + call.bytes() <= WAITING_BYTES_MAX
    }

    pub fn load(&self, call: &Call) -> Load {
        let is_large = || self.history.is_large(&call.payer, call.command.method, Instant::now());
        match call.weight > LIGHT_MAX || call.is_rerun || is_large() {
            true => Load::Heavy,
            false => Load::Light,
        }
    }

    /// Puts older calls before all others, in their order.
    pub fn put_back(&mut self, calls: Vec<Call>) {
        for call in calls.into_iter().rev() {
            self.count(&call);
            match self.load(&call) {
                Load::Heavy => self.heavy.push_front(vec![call]),
                Load::Light => self.light.push_front(call),
            }
        }
    }

    /// Removes the calls of a payer that do not rest, in the order of their arrival.
    pub fn remove_of(&mut self, payer: &Payer) -> Vec<Call> {
        if Origin::ALL.into_iter().all(|origin| !self.by_sender.contains_key(&(payer.clone(), origin))) {
            return Vec::new();
        }
        let light = self.light.drain(..);
        let (mut removed, others): (Vec<_>, Vec<_>) = light.partition(|call| call.payer == *payer);
        self.light.extend(others);
        removed.extend(self.heavy.take_of(payer));
        removed.sort_by_key(|call| call.id);
        removed.iter().for_each(|call| self.forget(call));
        removed
    }

    /// Fills a batch. The sender that has used the lane least is first; each of its calls adds to its use. Among equal ones the
    /// oldest call is first.
    pub fn take_light(&mut self) -> Vec<Call> {
        let mut used: HashMap<Sender, Duration> = HashMap::new();
        let mut order = Vec::with_capacity(self.light.len());
        for (at, call) in self.light.iter().enumerate() {
            if self.heavy_holds.as_ref() == Some(&call.payer) {
                continue;
            }
            let sender = call.sender();
            let of_sender = self.history.used(&sender);
            let used = used.entry(sender).or_insert(of_sender);
            order.push((*used, at));
            *used += WEIGHT_TIME.saturating_mul(u32::try_from(call.weight).unwrap_or(u32::MAX));
        }
        order.sort_unstable();
        let mut waiting: Vec<Option<Call>> = self.light.drain(..).map(Some).collect();
        let mut batch: Vec<Call> = Vec::with_capacity(order.len().min(BATCH_CALLS_MAX));
        let (mut weight, mut bytes) = (0, 0);
        for (_, at) in order {
            if batch.len() == BATCH_CALLS_MAX {
                break;
            }
            let fits = |call: &mut Call| {
                batch.is_empty() || weight + call.weight <= BATCH_WEIGHT_MAX && bytes + call.bytes() <= BATCH_BYTES_MAX
            };
            if let Some(call) = waiting.get_mut(at).and_then(|call| call.take_if(fits)) {
                weight += call.weight;
                bytes += call.bytes();
                batch.push(call);
            }
        }
        self.light.extend(waiting.into_iter().flatten());
        batch.iter().for_each(|call| self.forget(call));
        batch
    }

    /// The next heavy call. It begins after the light calls of its payer that arrived before it.
    pub fn take_heavy(&mut self) -> Option<Call> {
        if self.heavy.is_empty() {
            return None;
        }
        let mut first_light: HashMap<&Payer, u64> = HashMap::new();
        for call in &self.light {
            let first = first_light.entry(&call.payer).or_insert(call.id);
            *first = call.id.min(*first);
        }
        let call = self.heavy.take(|heavy| first_light.get(&heavy.payer).is_none_or(|light| *light > heavy.id))?;
        self.forget(&call);
        Some(call)
    }

    /// Whether nothing runs, and nothing ever will.
    pub fn is_over(&self) -> bool {
        let is_empty = self.light.is_empty() && self.heavy.is_empty() && self.resting.is_empty();
        self.closed && self.running == 0 && is_empty
    }
}
