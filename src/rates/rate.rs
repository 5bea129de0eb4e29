//! Rates.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// A rate must not need longer than this to fill a burst.
const FILL_MAX: Duration = Duration::from_secs(366 * 86_400);

/// A rate: units come back one by one, up to a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds until one unit comes back.
    period_ns: u64,
    burst: u32,
}

/// The numbers do not make a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rate has at most one unit per nanosecond, and fills its burst within {} days", FILL_MAX.as_secs() / 86_400)]
pub struct NotARate;

/// The units of a full key, and the seconds in which they come back.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.burst, self.fill().as_secs())
    }
}

impl Rate {
    /// So many units come back per time span, one by one. A full key has `burst` units.
    ///
    /// # Errors
    /// If more than one unit comes back per nanosecond, or if a burst comes back in more than 366 days.
    pub fn new(units: NonZeroU32, per: Duration, burst: NonZeroU32) -> Result<Self, NotARate> {
        let period = per.as_nanos() / u128::from(units.get());
        let fits = period > 0 && period.saturating_mul(burst.get().into()) <= FILL_MAX.as_nanos();
        let period_ns = u64::try_from(period).ok().filter(|_| fits).ok_or(NotARate)?;
        Ok(Self { period_ns, burst: burst.get() })
    }

    /// So many units come back per second.
    ///
    /// # Errors
    /// As [`Rate::new`].
    pub fn per_second(units: NonZeroU32, burst: NonZeroU32) -> Result<Self, NotARate> {
        Self::new(units, Duration::from_secs(1), burst)
    }

    /// The units of a full key.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// The time after which an empty key is full, in whole milliseconds.
    #[must_use]
    pub fn fill(self) -> Duration {
        Duration::from_millis(self.fill_ns().div_ceil(1_000_000))
    }

    pub(super) const fn period_ns(self) -> u64 {
        self.period_ns
    }

    /// It fits: [`Rate::new`] has checked it.
    pub(super) fn fill_ns(self) -> u64 {
        self.period_ns.saturating_mul(self.burst.into())
    }

    /// A hundredth of the time of the burst. Other servers hear of a key when its requests since the last time cost as much.
    pub(super) fn told_ns(self) -> u64 {
        self.fill_ns() / 100
    }

    /// The time in which so many units come back. A cost above the burst counts as the burst.
    pub(super) fn cost_ns(self, cost: u32) -> u64 {
        self.period_ns.saturating_mul(cost.min(self.burst).into())
    }

    /// The time until a key is full is at most this. Above the burst are units that several servers let through before
    /// they knew of each other: at most one burst of them is paid back, so that no key is locked for longer.
    pub(super) fn debt_max_ns(self) -> u64 {
        self.fill_ns().saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_bounded() {
        let n = |number| NonZeroU32::new(number).unwrap();
        let rate = Rate::per_second(n(10), n(100)).unwrap();
        assert_eq!((rate.period_ns(), rate.burst(), rate.fill()), (100_000_000, 100, Duration::from_secs(10)));
        assert_eq!(Rate::per_second(n(1_000_000_001), n(1)), Err(NotARate));
        assert_eq!(Rate::per_second(n(1_000_000_000), n(1)).unwrap().period_ns(), 1);
        let (day, days) = (Duration::from_secs(86_400), n(366));
        assert!(Rate::new(n(1), day, days).is_ok());
        assert_eq!(Rate::new(n(1), day, n(367)), Err(NotARate));
        assert_eq!(Rate::new(n(1), Duration::MAX, n(u32::MAX)), Err(NotARate));
        assert_eq!(rate.cost_ns(u32::MAX), rate.fill_ns());
    }
}
