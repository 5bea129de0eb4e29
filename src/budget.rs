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

/// A payer that holds its share divided by this number, or less, holds little.
const LITTLE: usize = 8;

/// A budget of bytes.
pub(crate) struct Budget {
    bytes_max: usize,
    payer_bytes_max: usize,
    held: Mutex<Parts>,
    /// Bytes were given back.
    freed: Notify,
}

/// One part of each payer leads: it may exceed the share of the payer. One part of all leads: it may exceed the budget and the
/// share. So parts that grow at the same time cannot all wait for each other.
#[derive(Default)]
struct Parts {
    /// Bytes of all parts.
    bytes: usize,
    by_payer: HashMap<Payer, OfPayer>,
    has_lead: bool,
}

#[derive(Clone, Copy, Default)]
struct OfPayer {
    bytes: usize,
    has_lead: bool,
}

impl Budget {
    /// A budget of `bytes_max` in all and of `payer_bytes_max` for one payer.
    pub fn new(bytes_max: usize, payer_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, payer_bytes_max, held: Mutex::default(), freed: Notify::new() })
    }

    fn held(&self) -> MutexGuard<'_, Parts> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a part may be added.
    pub fn has_room(&self, payer: &Payer, bytes: usize) -> bool {
        let parts = self.held();
        let of_payer = parts.by_payer.get(payer).map_or(0, |of_payer| of_payer.bytes);
        of_payer + bytes <= self.payer_bytes_max && parts.bytes + bytes <= self.bytes_max_of(of_payer + bytes)
    }

    /// How large all parts may be if a payer holds so much. For a payer that holds little the budget is twice as large, so that
    /// other payers cannot use up all of it.
    fn bytes_max_of(&self, of_payer: usize) -> usize {
        if of_payer <= self.payer_bytes_max / LITTLE { 2 * self.bytes_max } else { self.bytes_max }
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
        let mut parts = self.held();
        parts.bytes += bytes;
        parts.by_payer.entry(payer.clone()).or_default().bytes += bytes;
        Held { budget: Arc::clone(self), payer: payer.clone(), bytes, leads_payer: false, leads_all: false }
    }
}

/// A part of a budget. Dropping it gives the bytes back.
pub(crate) struct Held {
    budget: Arc<Budget>,
    payer: Payer,
    bytes: usize,
    leads_payer: bool,
    leads_all: bool,
}

impl Held {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds bytes as soon as there is room for them. `false` if there is none in time.
    pub async fn grow_in_time(&mut self, bytes: usize) -> bool {
        let budget = Arc::clone(&self.budget);
        budget.fits_in_time(|| self.grow(bytes)).await
    }

    /// Adds bytes if there is room for them.
    fn grow(&mut self, bytes: usize) -> bool {
        let mut parts = self.budget.held();
        let mut of_payer = parts.by_payer.get(&self.payer).copied().unwrap_or_default();
        let leads_all = self.leads_all || parts.bytes + bytes > self.budget.bytes_max_of(of_payer.bytes + bytes);
        let leads_payer = self.leads_payer || !leads_all && of_payer.bytes + bytes > self.budget.payer_bytes_max;
        if leads_payer && !self.leads_payer && of_payer.has_lead || leads_all && !self.leads_all && parts.has_lead {
            return false;
        }
        of_payer.bytes += bytes;
        of_payer.has_lead |= leads_payer;
        parts.by_payer.insert(self.payer.clone(), of_payer);
        parts.bytes += bytes;
        parts.has_lead |= leads_all;
        (self.bytes, self.leads_payer, self.leads_all) = (self.bytes + bytes, leads_payer, leads_all);
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut parts = self.budget.held();
        parts.bytes = parts.bytes.saturating_sub(self.bytes);
        parts.has_lead &= !self.leads_all;
        if let Some(of_payer) = parts.by_payer.get_mut(&self.payer) {
            of_payer.bytes = of_payer.bytes.saturating_sub(self.bytes);
            of_payer.has_lead &= !self.leads_payer;
            if of_payer.bytes == 0 {
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
        assert!(first.grow(20), "one part of a payer may exceed its share");
        let mut more = budget.hold(&payer(1), 0);
        assert!(!more.grow(1) && first.grow(1), "the others wait for it");
        assert!(!budget.has_room(&payer(1), 1) && budget.has_room(&payer(2), 40));
        let mut second = budget.hold(&payer(2), 30);
        assert!(second.grow(10) && second.grow(1));
        drop(first);
        assert!(more.grow(40) && more.grow(1) && budget.has_room(&payer(3), 10));
        drop((second, more));
        let parts = budget.held();
        assert_eq!((parts.bytes, parts.by_payer.len(), parts.has_lead), (0, 0, false));
    }

    #[tokio::test]
    async fn a_part_waits_for_room() {
        let budget = Budget::new(100, 40);
        let payer = payer(1);
        let first = budget.hold(&payer, 30);
        let mut lead = budget.hold(&payer, 5);
        assert!(lead.grow(6));
        let mut second = budget.hold(&payer, 5);
        let freed = async {
            tokio::task::yield_now().await;
            drop((first, lead));
        };
        let (has_grown, has_room, ()) = tokio::join!(second.grow_in_time(30), budget.room(&payer, 5), freed);
        assert!(has_grown && has_room);
    }

    #[test]
    fn one_part_may_exceed_the_budget() {
        let budget = Budget::new(100, 40);
        let mut parts: Vec<_> = (1..=3).map(|n| budget.hold(&payer(n), 33)).collect();
        let grown: Vec<bool> = parts.iter_mut().map(|part| part.grow(5)).collect();
        assert_eq!(grown, [true, false, false]);
        let mut second = budget.hold(&payer(1), 1);
        assert!(!second.grow(1) && parts[0].grow(50), "the lead of all needs no other room");
        parts.remove(0);
        assert!(parts.iter_mut().all(|part| part.grow(5)));
    }

    #[test]
    fn a_full_budget_has_room_for_payers_that_hold_little() {
        let budget = Budget::new(100, 64);
        let parts = [budget.hold(&payer(1), 64), budget.hold(&payer(2), 40)];
        assert!(!budget.has_room(&payer(2), 1) && budget.has_room(&payer(3), 8) && !budget.has_room(&payer(3), 9));
        let mut little = budget.hold(&payer(3), 0);
        assert!(little.grow(8));
        let more = [budget.hold(&payer(4), 48), budget.hold(&payer(5), 40)];
        assert!(!budget.has_room(&payer(6), 1));
        drop((parts, more));
        assert!(budget.has_room(&payer(6), 1));
    }
}
