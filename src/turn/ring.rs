//! Heavy calls that wait, by sender: the senders take turns.

use std::collections::VecDeque;

use super::call::{Call, Sender};
use crate::payer::Payer;

/// The senders with heavy calls, in the order of their turns. A sender that had its turn goes to the end.
#[derive(Default)]
pub(super) struct Ring {
    senders: VecDeque<(Sender, VecDeque<Call>)>,
    count: usize,
}

impl Ring {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn of(&mut self, sender: &Sender) -> Option<&mut VecDeque<Call>> {
        self.senders.iter_mut().find(|(of, _)| of == sender).map(|(_, calls)| calls)
    }

    /// Adds a call behind the other calls of its sender.
    pub fn push(&mut self, call: Call) {
        self.count += 1;
        let sender = call.sender();
        match self.of(&sender) {
            Some(calls) => calls.push_back(call),
            None => self.senders.push_back((sender, VecDeque::from([call]))),
        }
    }

    /// Adds calls before all others. The sender of the first one has the next turn.
    pub fn push_front(&mut self, calls: Vec<Call>) {
        for call in calls.into_iter().rev() {
            self.count += 1;
            let sender = call.sender();
            let at = self.senders.iter().position(|(of, _)| *of == sender);
            let mut calls = at.and_then(|at| self.senders.remove(at)).map(|(_, calls)| calls).unwrap_or_default();
            calls.push_front(call);
            self.senders.push_front((sender, calls));
        }
    }

    /// Takes the first call of the first sender whose first call may run.
    pub fn take(&mut self, may_run: impl Fn(&Call) -> bool) -> Option<Call> {
        let at = self.senders.iter().position(|(_, calls)| calls.front().is_some_and(&may_run))?;
        let (sender, mut calls) = self.senders.remove(at)?;
        let call = calls.pop_front();
        if !calls.is_empty() {
            self.senders.push_back((sender, calls));
        }
        self.count -= usize::from(call.is_some());
        call
    }

    /// Removes a call.
    pub fn remove(&mut self, id: u64) -> Option<Call> {
        let place = |calls: &VecDeque<Call>| calls.iter().position(|call| call.id == id);
        let (at, place) = self.senders.iter().enumerate().find_map(|(at, (_, calls))| Some((at, place(calls)?)))?;
        let (_, calls) = self.senders.get_mut(at)?;
        let removed = calls.remove(place)?;
        if calls.is_empty() {
            self.senders.remove(at);
        }
        self.count -= 1;
        Some(removed)
    }

    /// Removes all calls of a payer.
    pub fn take_of(&mut self, payer: &Payer) -> Vec<Call> {
        let senders = std::mem::take(&mut self.senders);
        let (of_payer, others): (Vec<_>, Vec<_>) = senders.into_iter().partition(|((of, _), _)| of == payer);
        self.senders = others.into();
        let calls: Vec<_> = of_payer.into_iter().flat_map(|(_, calls)| calls).collect();
        self.count -= calls.len();
        calls
    }

    /// Removes all calls.
    pub fn drain(&mut self) -> Vec<Call> {
        self.count = 0;
        self.senders.drain(..).flat_map(|(_, calls)| calls).collect()
    }
}
