//! The queue of texts to embed: bounded, and fair between payers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::embed_error::EmbedError;
use crate::payer::Payer;

/// Maximum number of tokens of one call: about half a minute of work for one core.
pub(super) const CALL_TOKENS_MAX: usize = 1 << 17;
/// Maximum number of tokens in the queue.
const WAITING_TOKENS_MAX: usize = 4 * CALL_TOKENS_MAX;
/// Number of tokens that fill a batch. Larger batches would hardly be faster, and all their texts would wait for the
/// last.
const BATCH_TOKENS: usize = 512;

/// A part of a text, as tokens for the model.
pub(super) struct Part {
    pub tokens: Vec<u32>,
    pub reply: oneshot::Sender<Answer>,
}

/// The vector of a part, or the reason why it failed.
pub(super) type Answer = Result<Vec<f32>, String>;

/// The parts in the queue, by payer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    /// The calls of each payer, and the parts of each call.
    waiting: HashMap<Payer, VecDeque<VecDeque<Part>>>,
    /// The payers in the order of their turns. A turn takes one part, and the calls of a payer alternate, so that a
    /// short query does not wait for a long text.
    turns: VecDeque<Payer>,
    tokens: usize,
    is_closed: bool,
}

impl State {
    fn take(&mut self) -> Vec<Part> {
        let (mut parts, mut tokens) = (Vec::new(), 0);
        while let Some(payer) = self.turns.pop_front() {
            let Some(of_payer) = self.waiting.get_mut(&payer) else { continue };
            let Some(mut call) = of_payer.pop_front() else { continue };
            let part = call.pop_front();
            if !call.is_empty() {
                of_payer.push_back(call);
            }
            if of_payer.is_empty() {
                self.waiting.remove(&payer);
            } else {
                self.turns.push_back(payer);
            }
            let Some(part) = part else { continue };
            self.tokens -= part.tokens.len();
            // The call may have been dropped.
            if !part.reply.is_closed() {
                tokens += part.tokens.len();
                parts.push(part);
            }
            if tokens >= BATCH_TOKENS {
                break;
            }
        }
        parts
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the parts of a call, all or none.
    pub fn push(&self, payer: &Payer, parts: Vec<Part>) -> Result<(), EmbedError> {
        let tokens: usize = parts.iter().map(|part| part.tokens.len()).sum();
        if tokens > CALL_TOKENS_MAX {
            return Err(EmbedError::TooLong { tokens, limit: CALL_TOKENS_MAX });
        }
        let mut state = self.state();
        if state.is_closed || state.tokens + tokens > WAITING_TOKENS_MAX {
            return Err(EmbedError::Overloaded);
        }
        state.tokens += tokens;
        let of_payer = state.waiting.entry(payer.clone()).or_default();
        let is_first = of_payer.is_empty();
        of_payer.push_back(parts.into());
        if is_first {
            state.turns.push_back(payer.clone());
        }
        drop(state);
        self.arrived.notify_all();
        Ok(())
    }

    /// Waits until there are parts, then takes one batch, one payer after the other (round robin). The last part may exceed
    /// the size of a batch. `None` when the queue is closed.
    pub fn take(&self) -> Option<Vec<Part>> {
        let mut state = self.state();
        while !state.is_closed {
            let parts = state.take();
            if !parts.is_empty() {
                return Some(parts);
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Closes the queue. The parts in it fail.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.waiting.clear();
        drop(state);
        self.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(number: u8) -> Payer {
        format!("0x{number:040x}").parse().unwrap()
    }

    fn parts(count: usize, tokens: usize) -> (Vec<Part>, Vec<oneshot::Receiver<Answer>>) {
        let parts = (0..count).map(|_| {
            let (reply, answer) = oneshot::channel();
            (Part { tokens: vec![7; tokens], reply }, answer)
        });
        parts.unzip()
    }

    #[test]
    fn a_short_text_does_not_wait_for_many_long_texts() {
        let queue = Queue::default();
        let (long, _long) = parts(400, 256);
        let (short, _short) = parts(1, 10);
        queue.push(&payer(1), long).unwrap();
        queue.push(&payer(2), short).unwrap();
        let first: Vec<usize> = queue.take().unwrap().iter().map(|part| part.tokens.len()).collect();
        assert_eq!(first, [256, 10, 256]);
        let (question, _question) = parts(1, 10);
        queue.push(&payer(1), question).unwrap();
        let next: Vec<usize> = queue.take().unwrap().iter().map(|part| part.tokens.len()).collect();
        assert_eq!(next, [256, 10, 256], "a short text of the same payer does not wait either");
    }

    #[test]
    fn the_queue_is_bounded_and_drops_parts_of_gone_callers() {
        let queue = Queue::default();
        let (too_long, _kept) = parts(513, 256);
        assert!(matches!(queue.push(&payer(1), too_long), Err(EmbedError::TooLong { .. })));
        for place in 0..5 {
            let (call, answers) = parts(512, 256);
            assert_eq!(queue.push(&payer(place), call).is_ok(), place < 4);
            drop(answers);
        }
        let (call, _kept) = parts(1, 5);
        queue.drop_gone_parts();
        queue.push(&payer(9), call).unwrap();
        assert_eq!(queue.take().unwrap().len(), 1);
        queue.close();
        assert!(queue.take().is_none() && queue.push(&payer(1), Vec::new()).is_err());
    }

    impl Queue {
        fn drop_gone_parts(&self) {
            assert!(self.state().take().is_empty());
        }
    }
}
