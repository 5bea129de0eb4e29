//! Heavy calls that wait, by payer: the payers take turns.

use std::collections::VecDeque;

use super::call::Call;
use crate::payer::Payer;

/// The payers with heavy calls, in the order of their turns. A payer that had its turn goes to the end.
#[derive(Default)]
pub(super) struct Ring {
    payers: VecDeque<(Payer, VecDeque<Call>)>,
    count: usize,
}

impl Ring {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn of(&mut self, payer: &Payer) -> Option<&mut VecDeque<Call>> {
        self.payers.iter_mut().find(|(of, _)| of == payer).map(|(_, calls)| calls)
    }

    /// Adds a call behind the other calls of its payer.
    pub fn push(&mut self, call: Call) {
        self.count += 1;
        match self.of(&call.payer) {
            Some(calls) => calls.push_back(call),
            None => self.payers.push_back((call.payer.clone(), VecDeque::from([call]))),
        }
    }

    /// Adds calls before all others. The payer of the first one has the next turn.
    pub fn push_front(&mut self, calls: Vec<Call>) {
        for call in calls.into_iter().rev() {
            self.count += 1;
            let at = self.payers.iter().position(|(payer, _)| *payer == call.payer);
            let (payer, mut calls) =
                at.and_then(|at| self.payers.remove(at)).unwrap_or_else(|| (call.payer.clone(), VecDeque::new()));
            calls.push_front(call);
            self.payers.push_front((payer, calls));
        }
    }

    /// Takes the first call of the first payer whose first call may run.
    pub fn take(&mut self, may_run: impl Fn(&Call) -> bool) -> Option<Call> {
        let at = self.payers.iter().position(|(_, calls)| calls.front().is_some_and(&may_run))?;
        let (payer, mut calls) = self.payers.remove(at)?;
        let call = calls.pop_front();
        if !calls.is_empty() {
            self.payers.push_back((payer, calls));
        }
        self.count -= usize::from(call.is_some());
        call
    }

    /// Removes a call.
    pub fn remove(&mut self, id: u64) -> Option<Call> {
        let place = |calls: &VecDeque<Call>| calls.iter().position(|call| call.id == id);
        let (at, place) = self.payers.iter().enumerate().find_map(|(at, (_, calls))| Some((at, place(calls)?)))?;
        let (_, calls) = self.payers.get_mut(at)?;
        let removed = calls.remove(place)?;
        if calls.is_empty() {
            self.payers.remove(at);
        }
        self.count -= 1;
        Some(removed)
    }

    /// Removes all calls of a payer.
    pub fn take_of(&mut self, payer: &Payer) -> VecDeque<Call> {
        let at = self.payers.iter().position(|(of, _)| of == payer);
        let calls = at.and_then(|at| self.payers.remove(at)).map(|(_, calls)| calls).unwrap_or_default();
        self.count -= calls.len();
        calls
    }

    /// Removes all calls.
    pub fn drain(&mut self) -> Vec<Call> {
        self.count = 0;
        self.payers.drain(..).flat_map(|(_, calls)| calls).collect()
    }
}
