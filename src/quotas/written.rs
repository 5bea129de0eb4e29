//! What this server has written since it last noted it in the database.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::full::FullPayers;
use super::quota::{Primitive, Quotas};
use crate::payer::Payer;

/// The part of a quota that is noted at once.
const URGENT_PART: i64 = 100;
/// Number of payers that are noted at once.
const PAYERS_MAX: usize = 100_000;

/// Writes to a primitive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// About how many rows were written or deleted. Calls that failed count too.
    pub writes: i64,
    /// Bytes of the parameters.
    pub bytes: i64,
}

/// The writes of one payer.
pub type Counts = BTreeMap<Primitive, Count>;

/// What this server has written since it last noted it.
pub struct Written {
    quotas: Quotas,
    payers: Mutex<HashMap<Payer, Counts>>,
}

impl Written {
    /// Counts nothing if there are no quotas.
    #[must_use]
    pub fn new(quotas: Quotas) -> Self {
        Self { quotas, payers: Mutex::default() }
    }

    /// The quotas of each payer.
    #[must_use]
    pub fn quotas(&self) -> Quotas {
        self.quotas
    }

    /// Adds writes.
    pub fn add(&self, payer: &Payer, primitive: Primitive, count: Count) {
        if self.quotas.are_off() {
            return;
        }
        let mut payers = self.payers();
        let counts = match payers.get_mut(payer) {
            Some(counts) => counts,
            None => payers.entry(payer.clone()).or_default(),
        };
        let sum = counts.entry(primitive).or_default();
        sum.writes = sum.writes.saturating_add(count.writes);
        sum.bytes = sum.bytes.saturating_add(count.bytes);
    }

    /// Takes what must be noted now: much of a quota, and the writes of payers of whom something is full, which may be deletions.
    /// Everything if `all`.
    #[must_use]
    pub fn take(&self, full: &FullPayers, all: bool) -> Vec<(Payer, Counts)> {
        let mut payers = self.payers();
        if all || payers.len() >= PAYERS_MAX {
            return std::mem::take(&mut *payers).into_iter().collect();
        }
        payers.extract_if(|payer, counts| self.is_much(counts) || full.contains(payer)).collect()
    }

    fn is_much(&self, counts: &Counts) -> bool {
        let is_much = |count: i64, quota: Option<i64>| quota.is_some_and(|quota| count >= quota / URGENT_PART);
        counts.values().any(|count| is_much(count.writes, self.quotas.rows) || is_much(count.bytes, self.quotas.bytes))
    }

    fn payers(&self) -> MutexGuard<'_, HashMap<Payer, Counts>> {
        self.payers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(digit: u8) -> Payer {
        format!("0x{digit:040x}").parse().unwrap()
    }

    fn count(writes: i64, bytes: i64) -> Count {
        Count { writes, bytes }
    }

    fn no_one() -> FullPayers {
        FullPayers::default()
    }

    fn written() -> Written {
        Written::new(Quotas { rows: Some(1_000), bytes: Some(10_000) })
    }

    #[test]
    fn writes_are_added_up_for_each_payer_and_primitive() {
        let written = written();
        written.add(&payer(1), Primitive::Jobs, count(2, 20));
        written.add(&payer(1), Primitive::Jobs, count(3, 30));
        written.add(&payer(1), Primitive::Links, count(1, 10));
        written.add(&payer(2), Primitive::Jobs, count(1, 10));
        assert_eq!(written.take(&no_one(), false), []);
        let mut taken = written.take(&no_one(), true);
        taken.sort_by(|one, other| one.0.cmp(&other.0));
        let of_one = Counts::from([(Primitive::Links, count(1, 10)), (Primitive::Jobs, count(5, 50))]);
        assert_eq!(taken, [(payer(1), of_one), (payer(2), Counts::from([(Primitive::Jobs, count(1, 10))]))]);
        assert_eq!(written.take(&no_one(), true), []);
    }

    #[test]
    fn much_of_a_quota_is_noted_at_once() {
        for much in [count(10, 0), count(0, 100)] {
            let written = written();
            written.add(&payer(1), Primitive::Jobs, count(9, 99));
            written.add(&payer(2), Primitive::Jobs, much);
            let payers: Vec<_> = written.take(&no_one(), false).into_iter().map(|(payer, _)| payer).collect();
            assert_eq!(payers, [payer(2)]);
        }
    }

    #[test]
    fn each_write_of_a_payer_with_a_full_primitive_is_noted_at_once() {
        let (written, full) = (written(), FullPayers::default());
        full.replace([payer(1)].into());
        written.add(&payer(1), Primitive::Jobs, count(1, 1));
        written.add(&payer(2), Primitive::Jobs, count(1, 1));
        assert_eq!(written.take(&full, false), [(payer(1), Counts::from([(Primitive::Jobs, count(1, 1))]))]);
    }

    #[test]
    fn without_quotas_nothing_is_counted() {
        let written = Written::new(Quotas { rows: None, bytes: None });
        written.add(&payer(1), Primitive::Jobs, count(1, 1));
        assert_eq!(written.take(&no_one(), true), []);
    }
}
