//! Calls of busy payers: another transaction holds the payer's lock, mostly a turn of another server. They rest until their
//! lane tries them again.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::access::Origin;
use super::call::Call;
use crate::payer::Payer;

/// Pause before the lane tries a busy payer again. It doubles with each try.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// Maximum pause.
const PAUSE_MAX: Duration = Duration::from_millis(32);
/// Resting calls of one lane.
const RESTING_CALLS_MAX: usize = 4_096;
/// Resting calls of one payer.
const RESTING_PAYER_SHARE: usize = 1_024;
/// Resting calls of the visitors and the grantees of one payer.
const RESTING_GUESTS_SHARE: usize = RESTING_PAYER_SHARE / 2;
/// Bytes of parameters of the resting calls of one lane.
const RESTING_BYTES_MAX: usize = 32 << 20;
/// Bytes of parameters of the resting calls of one payer.
const RESTING_BYTES_SHARE: usize = RESTING_BYTES_MAX / 2;

/// The resting calls of one lane.
#[derive(Default)]
pub(super) struct Resting {
    payers: HashMap<Payer, Rest>,
    count: usize,
    bytes: usize,
}

/// The calls of one payer, and when the lane tries them again.
struct Rest {
    due: Instant,
    calls: VecDeque<Call>,
}

impl Resting {
    pub fn is_empty(&self) -> bool {
        self.payers.is_empty()
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn has(&self, payer: &Payer) -> bool {
        self.payers.contains_key(payer)
    }

    /// Adds the calls of a payer, after those that rest already. The pause grows with the tries of the calls. Returns the
    /// calls for which there is no room.
    pub fn rest(&mut self, payer: &Payer, calls: Vec<Call>) -> Vec<Call> {
        let tries = calls.iter().map(|call| call.busy_tries).max().unwrap_or_default();
        let pause = PAUSE_MIN.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
        let due = Instant::now() + pause.min(PAUSE_MAX);
        let rest = self.payers.entry(payer.clone()).or_insert_with(|| Rest { due, calls: VecDeque::new() });
        rest.due = due;
        let mut bytes: usize = rest.calls.iter().map(Call::bytes).sum();
        let mut guests = rest.calls.iter().filter(|call| call.is_of_guest()).count();
        let mut refused = Vec::new();
        for call in calls {
            let has_room = call.command.origin == Origin::Sweeper
                || self.count < RESTING_CALLS_MAX
                    && rest.calls.len() < RESTING_PAYER_SHARE
                    && (guests < RESTING_GUESTS_SHARE || !call.is_of_guest())
                    && bytes + call.bytes() <= RESTING_BYTES_SHARE
                    && self.bytes + call.bytes() <= RESTING_BYTES_MAX;
            match has_room {
                true => {
                    guests += usize::from(call.is_of_guest());
                    self.count += 1;
                    bytes += call.bytes();
                    self.bytes += call.bytes();
                    rest.calls.push_back(call);
                }
                false => refused.push(call),
            }
        }
        refused
    }

    /// Adds a new call of a payer that rests. `false` if there is no room.
    pub fn join(&mut self, call: Call) -> bool {
        let due = self.payers.get(&call.payer).map(|rest| rest.due);
        let payer = call.payer.clone();
        let refused = self.rest(&payer, vec![call]);
        if let Some((rest, due)) = self.payers.get_mut(&payer).zip(due) {
            rest.due = due;
        }
        refused.is_empty()
    }

    /// The lane tries the calls of a payer as soon as it can.
    pub fn wake(&mut self, payer: &Payer) {
        if let Some(rest) = self.payers.get_mut(payer) {
            rest.due = Instant::now();
        }
    }

    /// When the first calls are due.
    pub fn next_due(&self) -> Option<Instant> {
        self.payers.values().map(|rest| rest.due).min()
    }

    /// Removes the calls that are due.
    pub fn take_due(&mut self) -> Vec<Call> {
        let now = Instant::now();
        let due: Vec<Payer> =
            self.payers.iter().filter(|(_, rest)| rest.due <= now).map(|(payer, _)| payer.clone()).collect();
        due.iter().flat_map(|payer| self.take(payer)).collect()
    }

    /// Removes all calls of a payer.
    pub fn take(&mut self, payer: &Payer) -> Vec<Call> {
        let calls: Vec<Call> = self.payers.remove(payer).map(|rest| rest.calls.into()).unwrap_or_default();
        self.count -= calls.len();
        self.bytes -= calls.iter().map(Call::bytes).sum::<usize>();
        calls
    }

    /// Removes all calls.
    pub fn take_all(&mut self) -> Vec<Call> {
        std::mem::take(self).payers.into_values().flat_map(|rest| rest.calls).collect()
    }

    /// Removes a call. `false` if it does not rest.
    pub fn withdraw(&mut self, id: u64) -> bool {
        let Self { payers, count, bytes } = self;
        let found = payers.values_mut().find_map(|rest| {
            let index = rest.calls.iter().position(|call| call.id == id)?;
            rest.calls.remove(index)
        });
        let Some(call) = found else { return false };
        *count -= 1;
        *bytes -= call.bytes();
        payers.retain(|_, rest| !rest.calls.is_empty());
        true
    }
}
