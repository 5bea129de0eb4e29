//! The calls that this server has refused, until they are in the logs of their payers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::limits::REFUSALS_NOTED;
use super::proof::Proof;
use super::token::TokenId;
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// The problems that a payer finds in its log.
const NOTED: &[Code] = &[
    Code::TokenExpired,
    Code::TokenRevoked,
    Code::MissingScope,
    Code::TokenLimited,
    Code::NotGranted,
    Code::AllowanceExceeded,
    Code::PaymentRequired,
    Code::QuotaExceeded,
    Code::RateLimited,
];
/// Number of payers whose refusals are remembered. More: those who have an entry of each kind in the log are forgotten.
const PAYERS_MAX: usize = 10_000;
/// Number of kinds of refusals of a payer that are remembered. Further kinds do not count.
const KINDS_MAX: usize = 16;

/// Refused calls of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The token that was used; `None`: none, or the caller has too high a rate, with any of its tokens.
    pub token: Option<TokenId>,
    /// Code of the problem.
    pub code: String,
    /// Number of calls.
    pub calls: i64,
}

/// What refused calls have in common.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    token: Option<TokenId>,
    code: Code,
}

#[derive(Default)]
struct Count {
    /// Those that are not in the log.
    calls: i64,
    /// When the last ones were put into it.
    noted: Option<Instant>,
}

/// The calls that this server has refused since it last put them into the logs of their payers.
#[derive(Default)]
pub struct Refusals {
    payers: Mutex<HashMap<Payer, HashMap<Kind, Count>>>,
}

impl Refusals {
    /// Counts a refused call.
    pub fn add(&self, payer: &Payer, token: Option<&TokenId>, problem: &Problem) {
        let code = problem.code();
        if NOTED.contains(&code) {
            self.count(payer, Kind { token: token.cloned(), code }, 1);
        }
    }

    /// Counts a refused call of this caller. Those of visitors do not count.
    pub fn add_call(&self, proof: &Proof, problem: &Problem) {
        let token = proof.rights().map(|rights| &rights.token);
        if token.is_some() || proof.is_signed() {
            self.add(proof.caller(), token, problem);
        }
    }

    /// Takes what must be put into the logs now: kinds that are new, and those that were not put there for a while. Everything
    /// if `all`.
    #[must_use]
    pub fn take(&self, all: bool) -> Vec<(Payer, Vec<Refused>)> {
        let mut taken = Vec::new();
        self.payers().retain(|payer, kinds| {
            let mut refused = Vec::new();
            kinds.retain(|kind, count| {
                let is_due = count.noted.is_none_or(|noted| noted.elapsed() >= REFUSALS_NOTED);
                if count.calls > 0 && (is_due || all) {
                    let (token, code) = (kind.token.clone(), kind.code.slug().to_owned());
                    refused.push(Refused { token, code, calls: count.calls });
                    *count = Count { calls: 0, noted: Some(Instant::now()) };
                    return true;
                }
                count.calls > 0 || !is_due
            });
            if !refused.is_empty() {
                taken.push((payer.clone(), refused));
            }
            !kinds.is_empty()
        });
        taken
    }

    /// Counts again what could not be put into the log. It is taken the next time.
    pub fn put_back(&self, payer: &Payer, refused: Vec<Refused>) {
        for Refused { token, code, calls } in refused {
            if let Some(code) = NOTED.iter().copied().find(|noted| noted.slug() == code) {
                let again =
                    |count: &mut Count| *count = Count { calls: count.calls.saturating_add(calls), noted: None };
                self.counted(payer, Kind { token, code }, again);
            }
        }
    }

    fn count(&self, payer: &Payer, kind: Kind, calls: i64) {
        self.counted(payer, kind, |count| count.calls = count.calls.saturating_add(calls));
    }

    fn counted(&self, payer: &Payer, kind: Kind, change: impl FnOnce(&mut Count)) {
        let mut payers = self.payers();
        if payers.len() >= PAYERS_MAX && !payers.contains_key(payer) {
            payers.retain(|_, kinds| kinds.values().any(|count| count.noted.is_none()));
            if payers.len() >= PAYERS_MAX {
                return;
            }
        }
        let kinds = payers.entry(payer.clone()).or_default();
        if kinds.len() < KINDS_MAX || kinds.contains_key(&kind) {
            change(kinds.entry(kind).or_default());
        }
    }

    fn payers(&self) -> MutexGuard<'_, HashMap<Payer, HashMap<Kind, Count>>> {
        self.payers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(digit: u8) -> Payer {
        format!("0x{digit:040x}").parse().unwrap()
    }

    fn refused(code: Code, calls: i64) -> Refused {
        Refused { token: None, code: code.slug().to_owned(), calls }
    }

    #[test]
    fn a_kind_is_taken_at_once_and_then_once_in_a_while() {
        let refusals = Refusals::default();
        let limited = Problem::new(Code::RateLimited);
        refusals.add(&payer(1), None, &limited);
        refusals.add(&payer(1), None, &limited);
        assert_eq!(refusals.take(false), [(payer(1), vec![refused(Code::RateLimited, 2)])]);
        refusals.add(&payer(1), None, &limited);
        assert_eq!(refusals.take(false), []);
        refusals.add(&payer(1), None, &Problem::new(Code::TokenExpired));
        assert_eq!(refusals.take(false), [(payer(1), vec![refused(Code::TokenExpired, 1)])]);
        assert_eq!(refusals.take(true), [(payer(1), vec![refused(Code::RateLimited, 1)])]);
    }

    #[test]
    fn what_is_put_back_is_taken_again() {
        let refusals = Refusals::default();
        refusals.add(&payer(1), None, &Problem::new(Code::RateLimited));
        for (payer, refused) in refusals.take(false) {
            refusals.put_back(&payer, refused);
        }
        assert_eq!(refusals.take(false), [(payer(1), vec![refused(Code::RateLimited, 1)])]);
        assert_eq!(refusals.take(true), []);
    }

    #[test]
    fn other_problems_do_not_count_and_one_payer_hides_no_other_one() {
        let refusals = Refusals::default();
        refusals.add(&payer(1), None, &Problem::new(Code::NotFound));
        assert_eq!(refusals.take(true), []);
        let refuse = |payer: &Payer, number: usize| {
            let token = TokenId::stored(number.to_string());
            refusals.add(payer, Some(&token), &Problem::new(Code::TokenRevoked));
        };
        (0..=KINDS_MAX).for_each(|number| refuse(&payer(1), number));
        assert_eq!(refusals.take(true)[0].1.len(), KINDS_MAX);
        for number in 0..=PAYERS_MAX {
            refuse(&format!("0x{:040x}", number + 2).parse().unwrap(), 0);
        }
        assert_eq!(refusals.take(true).len(), PAYERS_MAX);
        // Those in the log make room.
        refuse(&payer(1), 0);
        assert_eq!(refusals.take(true).len(), 1);
    }
}
