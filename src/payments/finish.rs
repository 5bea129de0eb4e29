//! What an answer of a facilitator, or of a network, means for a payment.

use std::time::Duration;

use super::record::{Ending, Reason, State};
use crate::chain::Verdict;
use crate::facilitator::Answer;
use crate::wallet::Network;
use crate::x402::{self, Outcome};

/// How soon the network is asked about a payment whose outcome is not known.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest time between two questions, at first, and after about a day.
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);
const LATE_RETRY: Duration = Duration::from_secs(60 * 60);
const LATE_TRIES: u32 = 300;
/// When the network is asked about a payment that was not sent, or that a facilitator has rejected: it has expired then, and
/// somebody may have sent it.
const LAST_QUESTION_AFTER: Duration = Duration::from_secs(150);

/// The pause after `tries` questions.
fn pause(tries: u32) -> Duration {
    match tries {
        LATE_TRIES.. => LATE_RETRY,
        tries => FIRST_RETRY.saturating_mul(2_u32.saturating_pow(tries.min(16))).min(RETRY_MAX),
    }
}

impl Ending {
    fn of(state: State, retry: Option<Duration>) -> Self {
        Self { state, transaction: None, reason: None, retry }
    }

    fn settled(transaction: String) -> Self {
        Self { transaction: Some(transaction), ..Self::of(State::Settled, None) }
    }

    /// After a settlement.
    ///   is_first  whether no earlier settlement of the payment may have moved the money
    pub fn after_settlement(answer: Answer, network: Network, is_first: bool, tries: u32) -> Self {
        let unknown = Self::of(State::Unknown, Some(pause(tries)));
        let is_evm = matches!(network, Network::Evm { .. });
        match answer {
            Answer::Outcome(Outcome::Settled { transaction, .. }) if is_evm => Self::settled(transaction),
            // Facilitators of Stacks answer when they have sent the transaction, whose hash is known. It may fail.
            Answer::Outcome(Outcome::Settled { .. } | Outcome::Pending { .. }) if !is_evm => {
                Self { state: State::SettledUnconfirmed, ..unknown }
            }
            Answer::Outcome(Outcome::Settled { transaction, .. } | Outcome::Pending { transaction }) => {
                Self { transaction: Some(transaction), ..unknown }
            }
            // Facilitators of Stacks send a transaction before they check it.
            Answer::Outcome(Outcome::Rejected(reason)) if is_first && is_evm => {
                let reason = match reason {
                    x402::Reason::InsufficientFunds => Reason::InsufficientFunds,
                    x402::Reason::Expired => Reason::Expired,
                    x402::Reason::FacilitatorMismatch => Reason::FacilitatorMismatch,
                    x402::Reason::Invalid => Reason::Invalid,
                };
                Self { reason: Some(reason), ..Self::of(State::Rejected, Some(LAST_QUESTION_AFTER)) }
            }
            Answer::NotSent | Answer::Limited { .. } | Answer::Outcome(Outcome::Refused { .. }) if is_first => {
                Self::of(State::Received, Some(LAST_QUESTION_AFTER))
            }
            Answer::Outcome(Outcome::Unknown | Outcome::Rejected(_) | Outcome::Refused { .. })
            | Answer::NotSent
            | Answer::Limited { .. }
            | Answer::Missing => unknown,
        }
    }

    /// After a question to the network. `None`: the payment can be settled again.
    pub fn after_question(verdict: Verdict, state: State, tries: u32) -> Option<Self> {
        Some(match (verdict, state) {
            (Verdict::Settled { transaction }, _) => Self::settled(transaction),
            (Verdict::Canceled | Verdict::Reversed, _) => {
                Self { reason: Some(Reason::Canceled), ..Self::of(State::Rejected, None) }
            }
            // It keeps the reason that it has.
            (Verdict::Expired, State::Rejected) => Self::of(State::Rejected, None),
            (Verdict::Expired, _) => Self { reason: Some(Reason::Expired), ..Self::of(State::Rejected, None) },
            (Verdict::Open, State::Unknown) => return None,
            (Verdict::Pending { .. } | Verdict::Open, state) => Self::unanswered(state, tries),
        })
    }

    /// After a question that had no answer: nothing changes, and it is asked again.
    pub fn unanswered(state: State, tries: u32) -> Self {
        Self::of(state, Some(pause(tries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVM: Network = Network::Evm { chain_id: 84_532 };

    fn after(network: Network, outcome: Outcome, is_first: bool) -> Ending {
        Ending::after_settlement(Answer::Outcome(outcome), network, is_first, 0)
    }

    #[test]
    fn only_the_first_settlement_on_an_evm_chain_can_reject_a_payment() {
        for reason in [x402::Reason::Expired, x402::Reason::InsufficientFunds, x402::Reason::Invalid] {
            let rejected = after(EVM, Outcome::Rejected(reason), true);
            assert_eq!((rejected.state, rejected.retry), (State::Rejected, Some(LAST_QUESTION_AFTER)));
            assert_eq!(after(EVM, Outcome::Rejected(reason), false).state, State::Unknown);
            assert_eq!(after(Network::Stacks, Outcome::Rejected(reason), true).state, State::Unknown);
        }
        for answer in [Answer::NotSent, Answer::Limited { retry_after: None }] {
            assert_eq!(Ending::after_settlement(answer.clone(), EVM, true, 0).state, State::Received);
            assert_eq!(Ending::after_settlement(answer, EVM, false, 0).state, State::Unknown);
        }
        assert_eq!(Ending::after_settlement(Answer::Missing, EVM, true, 0).state, State::Unknown);
        assert_eq!(after(EVM, Outcome::Unknown, true).state, State::Unknown);
    }

    #[test]
    fn a_facilitator_of_stacks_is_not_believed_and_its_hash_is_not_kept() {
        let settled = || Outcome::Settled { transaction: "0x1".to_owned(), payer: None };
        assert_eq!(after(EVM, settled(), true).state, State::Settled);
        let sent = after(Network::Stacks, settled(), true);
        assert_eq!((sent.state, sent.transaction), (State::SettledUnconfirmed, None));
        assert!(sent.retry.is_some());
    }

    #[test]
    fn the_network_decides() {
        let after = |verdict: Verdict, state| Ending::after_question(verdict, state, 3).map(|ending| ending.state);
        let settled = || Verdict::Settled { transaction: "0x1".to_owned() };
        for state in [State::Unknown, State::Received, State::SettledUnconfirmed, State::Rejected] {
            assert_eq!(after(settled(), state), Some(State::Settled));
            assert_eq!(after(Verdict::Canceled, state), Some(State::Rejected));
            assert_eq!(after(Verdict::Expired, state), Some(State::Rejected));
        }
        assert_eq!(after(Verdict::Open, State::Unknown), None);
        for state in [State::Received, State::SettledUnconfirmed, State::Rejected] {
            assert_eq!(after(Verdict::Open, state), Some(state));
        }
        assert_eq!(Ending::after_question(Verdict::Expired, State::Rejected, 3).unwrap().reason, None);
    }

    #[test]
    fn the_pause_between_questions_grows() {
        assert_eq!([0, 1, 3, 40, 300].map(|tries| pause(tries).as_secs()), [1, 2, 8, 300, 3_600]);
    }
}
