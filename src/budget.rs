//! A budget of memory, in all and per payer: requests that arrive and answers that wait to be read hold parts of one.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::payer::Payer;

/// How long a part waits for room.
const ROOM_WAIT: Duration = Duration::from_secs(4);

/// A budget of bytes.
pub(crate) struct Budget {
    bytes_max: usize,
    payer_bytes_max: usize,
    held: Mutex<Parts>,
    /// Bytes were given back.
    freed: Notify,
}

#[derive(Default)]
struct Parts {
    /// Bytes of all parts. Of a part above the share of a payer, only the share counts.
    bytes: usize,
    by_payer: HashMap<Payer, usize>,
    /// Whether there is a part above the share of a payer. There may be one at a time.
    has_oversize: bool,
}

impl Budget {
    /// A budget of `bytes_max` in all and of `payer_bytes_max` for one payer.
    pub fn new(bytes_max: usize, payer_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, payer_bytes_max, held: Mutex::default(), freed: Notify::new() })
    }

    fn held(&self) -> MutexGuard<'_, Parts> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a part may be added. For a payer that holds nothing the budget is twice as large, so that other payers cannot
    /// use up all of it.
    pub fn has_room(&self, payer: &Payer, bytes: usize) -> bool {
        let parts = self.held();
        match parts.by_payer.get(payer) {
            None => parts.bytes < 2 * self.bytes_max,
            Some(of_payer) => parts.bytes < self.bytes_max && of_payer + bytes <= self.payer_bytes_max,
        }
    }

    /// Waits until a part may be added. `false` if there is no room in time.
    pub async fn room(&self, payer: &Payer, bytes: usize) -> bool {
        self.fits_in_time(|| self.has_room(payer, bytes)).await
    }

    async fn fits_in_time(&self, mut fits: impl FnMut() -> bool) -> bool {
        if fits() {
            return true;
        }
        let fits = async {
            loop {
                let mut freed = pin!(self.freed.notified());
                freed.as_mut().enable();
                if fits() {
                    return;
                }
                freed.await;
            }
        };
        timeout(ROOM_WAIT, fits).await.is_ok()
    }

    /// Holds bytes that exist already, even if there is no room.
    pub fn hold(self: &Arc<Self>, payer: &Payer, bytes: usize) -> Held {
        let mut held = Held { budget: Arc::clone(self), payer: payer.clone(), bytes: 0, is_oversize: false };
        held.add(&mut self.held(), bytes);
        held
    }
}

/// A part of a budget. Dropping it gives the bytes back.
pub(crate) struct Held {
    budget: Arc<Budget>,
    payer: Payer,
    bytes: usize,
    is_oversize: bool,
}

impl Held {
    /// How much of the part counts in the sum of all parts.
    fn counted(&self) -> usize {
        self.bytes.min(self.budget.payer_bytes_max)
    }

    fn add(&mut self, parts: &mut Parts, bytes: usize) {
        let before = self.counted();
        self.bytes += bytes;
        parts.bytes += self.counted() - before;
        *parts.by_payer.entry(self.payer.clone()).or_default() += bytes;
    }

    /// Adds bytes as soon as there is room for them. `false` if there is none in time.
    pub async fn grow_in_time(&mut self, bytes: usize) -> bool {
        let budget = Arc::clone(&self.budget);
        budget.fits_in_time(|| self.grow(bytes)).await
    }

    /// Adds bytes if there is room for them. A part that is the only one of its payer may be above the share if no other part
    /// is, so that no request is too large for ever.
    fn grow(&mut self, bytes: usize) -> bool {
        let budget = Arc::clone(&self.budget);
        let mut parts = budget.held();
        let of_payer = parts.by_payer.get(&self.payer).copied().unwrap_or_default();
        let is_oversize = self.bytes + bytes > budget.payer_bytes_max;
        let fits_share = match is_oversize {
            true => of_payer == self.bytes && (self.is_oversize || !parts.has_oversize),
            false => of_payer + bytes <= budget.payer_bytes_max,
        };
        if !fits_share || !self.is_oversize && parts.bytes >= budget.bytes_max {
            return false;
        }
        self.is_oversize = is_oversize;
        parts.has_oversize |= is_oversize;
        self.add(&mut parts, bytes);
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut parts = self.budget.held();
        parts.bytes = parts.bytes.saturating_sub(self.counted());
        parts.has_oversize &= !self.is_oversize;
        if let Some(of_payer) = parts.by_payer.get_mut(&self.payer) {
            *of_payer = of_payer.saturating_sub(self.bytes);
            if *of_payer == 0 {
                parts.by_payer.remove(&self.payer);
            }
        }
        drop(parts);
        self.budget.freed.notify_waiters();
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(n: usize) -> Payer {
        format!("0x{n:040x}").parse().unwrap()
    }

    #[test]
    fn a_payer_holds_its_share_and_gets_it_back() {
        let budget = Budget::new(100, 40);
        let mut first = budget.hold(&payer(1), 30);
        assert!(first.grow(20), "the only part of a payer may exceed its share");
        assert!(!budget.has_room(&payer(1), 1) && budget.has_room(&payer(2), 40));
        let mut second = budget.hold(&payer(2), 30);
        let mut third = budget.hold(&payer(2), 5);
        assert!(third.grow(5) && !third.grow(1) && !second.grow(1));
        drop((first, third));
        assert!(budget.has_room(&payer(1), 40) && budget.has_room(&payer(2), 10) && !budget.has_room(&payer(2), 11));
        drop(second);
        let parts = budget.held();
        assert_eq!((parts.bytes, parts.by_payer.len(), parts.has_oversize), (0, 0, false));
    }

    #[tokio::test]
    async fn a_part_waits_for_room() {
        let budget = Budget::new(100, 40);
        let payer = payer(1);
        let first = budget.hold(&payer, 30);
        let mut second = budget.hold(&payer, 5);
        let freed = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (has_grown, has_room, ()) = tokio::join!(second.grow_in_time(30), budget.room(&payer, 5), freed);
        assert!(has_grown && has_room);
    }

    #[test]
    fn a_part_above_the_share_takes_nothing_from_other_payers() {
        let budget = Budget::new(100, 40);
        let mut large = budget.hold(&payer(1), 0);
        assert!(large.grow(10_000) && large.grow(10_000));
        let mut other = budget.hold(&payer(2), 0);
        assert!(other.grow(40) && !other.grow(1), "one part above the share at a time");
        assert!(budget.hold(&payer(3), 0).grow(40));
        drop(large);
        assert!(other.grow(1));
    }

    #[test]
    fn a_full_budget_has_room_for_what_a_payer_holds_first() {
        let budget = Budget::new(100, 60);
        let parts = [budget.hold(&payer(1), 60), budget.hold(&payer(2), 40)];
        assert!(!budget.has_room(&payer(2), 1) && budget.has_room(&payer(3), 1));
        assert!(!budget.hold(&payer(3), 0).grow(1));
        let more = [budget.hold(&payer(4), 60), budget.hold(&payer(5), 40)];
        assert!(!budget.has_room(&payer(3), 1));
        drop((parts, more));
        assert!(budget.hold(&payer(3), 0).grow(1));
    }
}
