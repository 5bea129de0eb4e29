//! The arithmetic of a limit: GCRA. Times are nanoseconds after the start of the limiter.

use std::time::Duration;

use super::rate::Rate;

/// Whether a request may pass, and how many units are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may pass. A refusal takes no units.
    pub is_allowed: bool,
    /// The units of a full key.
    pub limit: u32,
    /// The units that are left.
    pub remaining: u32,
    /// The time until the key is full.
    pub reset: Duration,
    /// The time until more units are there: enough for this request if it was refused, one more otherwise. Zero if the
    /// key is full.
    pub more_in: Duration,
    /// The time after which a refused request may pass, if nothing else is taken. Zero if this one may.
    pub retry_after: Duration,
}

/// The state of a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// The time at which the key is full: the theoretical arrival time.
    full_at: u64,
    /// The units that other servers do not know of, as the time in which they come back.
    unshared: u64,
    /// The time at which the sum reached a hundredth of the burst. Before that: the time of the last unit.
    unshared_since: u64,
}

/// What other servers are told about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unshared {
    /// The time in which it comes back.
    pub(super) taken: u64,
    /// The time since the sum reached a hundredth of the burst.
    pub(super) age: u64,
}

impl Bucket {
    /// Takes units if there are enough.
    pub(super) fn take(&mut self, rate: Rate, cost: u32, now: u64) -> Decision {
        let (period, fill) = (rate.period_ns(), rate.fill_ns());
        let next = self.full_at.max(now).saturating_add(rate.cost_ns(cost));
        let retry_after = next.saturating_sub(now).saturating_sub(fill);
        let is_allowed = retry_after == 0;
        if is_allowed {
            self.full_at = next;
        }
        let reset = self.full_at.saturating_sub(now);
        let left = fill.saturating_sub(reset) / period;
        let more_in = match reset {
            _ if !is_allowed => retry_after,
            0 => 0,
            // The time until the next unit; after an overdraft, until the first unit.
            _ => reset.saturating_sub(period.saturating_mul(u64::from(rate.burst()).saturating_sub(left + 1))),
        };
        Decision {
            is_allowed,
            limit: rate.burst(),
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(reset),
            more_in: Duration::from_nanos(more_in),
            retry_after: Duration::from_nanos(retry_after),
        }
    }

    /// Adds units of which other servers do not know. Returns whether the key has to be queued now: the sum has reached a
    /// hundredth of the burst. Units that have come back count too, because other servers may have taken them.
    pub(super) fn note(&mut self, rate: Rate, cost: u32, now: u64) -> bool {
        let was_queued = self.is_queued(rate);
        if !was_queued {
            if now.saturating_sub(self.unshared_since) >= rate.fill_ns() {
                // The key was full again, whatever other servers took.
                self.unshared = 0;
            }
            self.unshared_since = now;
        }
        self.unshared = self.unshared.saturating_add(rate.cost_ns(cost));
        !was_queued && self.is_queued(rate)
    }

    /// Whether other servers will be told.
    fn is_queued(&self, rate: Rate) -> bool {
        self.unshared > 0 && self.unshared >= rate.told_ns()
    }

    /// Other servers will not be told of what was taken.
    pub(super) fn forget_unshared(&mut self) {
        self.unshared = 0;
    }

    /// What other servers will be told now.
    pub(super) fn draw_unshared(&mut self, now: u64) -> Unshared {
        Unshared { taken: std::mem::take(&mut self.unshared), age: now.saturating_sub(self.unshared_since) }
    }

    /// Takes back units of which other servers could not be told, without those that have come back. Returns whether the key
    /// has to be queued now.
    pub(super) fn give_back(&mut self, rate: Rate, unshared: Unshared, now: u64) -> bool {
        let was_queued = self.is_queued(rate);
        let taken = self.unshared.saturating_add(unshared.taken).min(self.full_at.saturating_sub(now));
        (self.unshared, self.unshared_since) = (taken, now);
        !was_queued && self.is_queued(rate)
    }

    /// All servers together took so much that at `asked` the key was full only after `reset`.
    pub(super) fn learn(&mut self, rate: Rate, asked: u64, reset: u64) {
        let reset = reset.min(rate.debt_max_ns());
        // What was taken since is not in it.
        self.full_at = self.full_at.max(asked.saturating_add(reset).saturating_add(self.unshared));
    }
}

#[cfg(test)]
mod tests;
