//! What a lane remembers of the calls that it ran: how long each sender used it, and which calls had large results.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::call::Sender;
use crate::aside::LARGE_BYTES;
use crate::payer::Payer;

/// After this time the use of a lane counts half.
const HALF_LIFE: Duration = Duration::from_secs(1);
/// Senders with less use are equal. It is a small part of the time of a lane, and more than most senders ever use: if they were
/// put in an order by a few calls, some would wait until their last call is forgotten.
const LITTLE_USE: Duration = Duration::from_millis(10);
/// Use that is forgotten.
const FORGOTTEN: Duration = Duration::from_micros(100);
/// How long a call with a large result is remembered.
const LARGE_KEPT: Duration = Duration::from_secs(10);
/// Number of pairs of payer and method that are remembered.
const KEPT_MAX: usize = 8_192;
/// How often those that are past their time are removed, if there are too many.
const CLEANED_EVERY: Duration = Duration::from_secs(1);

/// The history of a lane.
pub(super) struct History {
    /// Recent use of the lane.
    used: HashMap<Sender, Duration>,
    halved: Instant,
    /// Calls with large results.
    large: Lately<()>,
}

/// What calls of a payer and a method were like lately. It is known only afterwards: it depends on what the database has stored.
pub(super) struct Lately<T> {
    /// How long a call is remembered.
    kept: Duration,
    seen: HashMap<(Payer, &'static str), (Instant, T)>,
    cleaned: Option<Instant>,
}

impl<T: Copy> Lately<T> {
    /// Nothing is remembered yet. A call will be for this time.
    pub fn new(kept: Duration) -> Self {
        Self { kept, seen: HashMap::new(), cleaned: None }
    }

    /// The memory of this payer and method. `None` if no call ran lately.
    pub fn of(&self, payer: &Payer, method: &'static str, now: Instant) -> Option<T> {
        if self.seen.is_empty() {
            return None;
        }
        let (at, what) = self.seen.get(&(payer.clone(), method))?;
        (now.duration_since(*at) < self.kept).then_some(*what)
    }

    /// Remembers a call, unless too many are remembered.
    pub fn add(&mut self, payer: &Payer, method: &'static str, what: T, now: Instant) {
        if self.seen.len() >= KEPT_MAX && self.cleaned.is_none_or(|at| now.duration_since(at) >= CLEANED_EVERY) {
            self.seen.retain(|_call, (at, _what)| now.duration_since(*at) < self.kept);
            self.cleaned = Some(now);
        }
        let call = (payer.clone(), method);
        if self.seen.len() < KEPT_MAX || self.seen.contains_key(&call) {
            self.seen.insert(call, (now, what));
        }
    }
}

impl History {
    pub fn new(now: Instant) -> Self {
        Self { used: HashMap::new(), halved: now, large: Lately::new(LARGE_KEPT) }
    }

    /// Recent use of the lane by this sender. Little use is none.
    pub fn used(&self, sender: &Sender) -> Duration {
        self.used.get(sender).copied().filter(|used| *used >= LITTLE_USE).unwrap_or_default()
    }

    /// Whether the calls of this payer and method had large results lately.
    pub fn is_large(&self, payer: &Payer, method: &'static str, now: Instant) -> bool {
        self.large.of(payer, method, now).is_some()
    }

    /// Adds the time that a sender used the lane.
    pub fn add_use(&mut self, sender: Sender, time: Duration, now: Instant) {
        while now.duration_since(self.halved) >= HALF_LIFE {
            self.halved += HALF_LIFE;
            self.used.retain(|_sender, used| {
                *used /= 2;
                *used >= FORGOTTEN
            });
            if self.used.is_empty() {
                self.halved = now;
            }
        }
        *self.used.entry(sender).or_default() += time;
    }

    /// Remembers a result of this size.
    pub fn add_result(&mut self, payer: &Payer, method: &'static str, bytes: usize, now: Instant) {
        if bytes >= LARGE_BYTES {
            self.large.add(payer, method, (), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::Origin;

    #[test]
    fn use_halves_every_second_and_is_forgotten() {
        let payer: Payer = format!("0x{:040x}", 1).parse().unwrap();
        let (sender, visitors) = ((payer.clone(), Origin::Payer), (payer, Origin::Visitor));
        let now = Instant::now();
        let mut history = History::new(now);
        history.add_use(sender.clone(), LITTLE_USE * 2, now);
        history.add_use(sender.clone(), LITTLE_USE * 2, now);
        assert_eq!(history.used(&sender), LITTLE_USE * 4);
        assert_eq!(history.used(&visitors), Duration::ZERO);
        history.add_use(visitors.clone(), LITTLE_USE / 2, now + HALF_LIFE * 2);
        assert_eq!((history.used(&sender), history.used(&visitors)), (LITTLE_USE, Duration::ZERO));
        history.add_use(visitors, Duration::ZERO, now + HALF_LIFE * 3);
        assert_eq!(history.used(&sender), Duration::ZERO);
        history.add_use(sender.clone(), Duration::ZERO, now + HALF_LIFE * 100);
        assert_eq!(history.used.len(), 1);
    }

    #[test]
    fn a_large_result_makes_the_calls_of_its_payer_and_method_heavy_for_a_while() {
        let payer: Payer = format!("0x{:040x}", 1).parse().unwrap();
        let other: Payer = format!("0x{:040x}", 2).parse().unwrap();
        let now = Instant::now();
        let mut history = History::new(now);
        history.add_result(&payer, "getJob", LARGE_BYTES - 1, now);
        assert!(!history.is_large(&payer, "getJob", now));
        history.add_result(&payer, "getJob", LARGE_BYTES, now);
        assert!(history.is_large(&payer, "getJob", now));
        assert!(!history.is_large(&payer, "getCounter", now) && !history.is_large(&other, "getJob", now));
        assert!(!history.is_large(&payer, "getJob", now + LARGE_KEPT));
    }

    #[test]
    fn as_many_calls_are_remembered_as_there_is_room_for() {
        let payer = |n: usize| -> Payer { format!("0x{n:040x}").parse().unwrap() };
        let now = Instant::now();
        let mut lately = Lately::new(LARGE_KEPT);
        (0..KEPT_MAX).for_each(|n| lately.add(&payer(n), "getJob", n, now));
        lately.add(&payer(KEPT_MAX), "getJob", 1, now);
        lately.add(&payer(0), "getJob", 2, now);
        assert_eq!([0, KEPT_MAX].map(|n| lately.of(&payer(n), "getJob", now)), [Some(2), None]);
        lately.add(&payer(KEPT_MAX), "getJob", 1, now + LARGE_KEPT);
        assert_eq!([0, KEPT_MAX].map(|n| lately.of(&payer(n), "getJob", now + LARGE_KEPT)), [None, Some(1)]);
        assert_eq!(lately.seen.len(), 1);
    }
}
