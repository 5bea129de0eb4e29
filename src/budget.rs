//! A budget of memory, in all and per payer: requests that arrive and answers that wait to be read hold parts of one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::payer::Payer;

/// A budget of bytes.
pub(crate) struct Budget {
    bytes_max: usize,
    payer_bytes_max: usize,
    held: Mutex<Parts>,
}

#[derive(Default)]
struct Parts {
    bytes: usize,
    by_payer: HashMap<Payer, usize>,
}

impl Budget {
    /// A budget of `bytes_max` in all and of `payer_bytes_max` for one payer.
    pub fn new(bytes_max: usize, payer_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, payer_bytes_max, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Parts> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a part may be added. A payer that holds nothing may hold one part of any size, so that no request is too large
    /// for ever.
    pub fn has_room(&self, payer: &Payer, bytes: usize) -> bool {
        let parts = self.held();
        let of_payer = parts.by_payer.get(payer).copied().unwrap_or_default();
        parts.bytes < self.bytes_max && (of_payer == 0 || of_payer + bytes <= self.payer_bytes_max)
    }

    /// Holds bytes that exist already, even if there is no room.
    pub fn hold(self: &Arc<Self>, payer: &Payer, bytes: usize) -> Held {
        let mut held = Held { budget: Arc::clone(self), payer: payer.clone(), bytes: 0 };
        held.add(bytes);
        held
    }
}

/// A part of a budget. Dropping it gives the bytes back.
pub(crate) struct Held {
    budget: Arc<Budget>,
    payer: Payer,
    bytes: usize,
}

impl Held {
    fn add(&mut self, bytes: usize) {
        let mut parts = self.budget.held();
        parts.bytes += bytes;
        *parts.by_payer.entry(self.payer.clone()).or_default() += bytes;
        self.bytes += bytes;
    }

    /// Adds bytes if there is room for them. A part that is the only one of its payer may grow to any size.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let has_room = {
            let parts = self.budget.held();
            let of_payer = parts.by_payer.get(&self.payer).copied().unwrap_or_default();
            let is_only = of_payer == self.bytes;
            parts.bytes < self.budget.bytes_max && (is_only || of_payer + bytes <= self.budget.payer_bytes_max)
        };
        if has_room {
            self.add(bytes);
        }
        has_room
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut parts = self.budget.held();
        parts.bytes = parts.bytes.saturating_sub(self.bytes);
        if let Some(of_payer) = parts.by_payer.get_mut(&self.payer) {
            *of_payer = of_payer.saturating_sub(self.bytes);
            if *of_payer == 0 {
                parts.by_payer.remove(&self.payer);
            }
        }
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
        assert!(!budget.has_room(&payer(1), 1) && budget.has_room(&payer(2), 90));
        let mut second = budget.hold(&payer(2), 30);
        let mut third = budget.hold(&payer(2), 5);
        assert!(third.grow(5) && !third.grow(1) && !second.grow(1));
        drop((first, third));
        assert!(budget.has_room(&payer(1), 40) && budget.has_room(&payer(2), 10) && !budget.has_room(&payer(2), 11));
        drop(second);
        let parts = budget.held();
        assert_eq!((parts.bytes, parts.by_payer.len()), (0, 0));
    }

    #[test]
    fn nobody_has_room_in_a_full_budget() {
        let budget = Budget::new(100, 60);
        let parts = [budget.hold(&payer(1), 60), budget.hold(&payer(2), 60)];
        assert!(!budget.has_room(&payer(3), 1));
        drop(parts);
        assert!(budget.has_room(&payer(3), 1));
    }
}
