//! The calls that wait for a thread, and for their databases.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A call that waits.
pub(super) trait Waits {
    /// The database that it needs alone.
    fn database(&self) -> &str;
}

/// The calls that wait, and the threads' way to them. `J` is a call.
pub(super) struct Waiting<J> {
    queue: Mutex<Queue<J>>,
    /// How many calls run at the same time. More threads than processors only cost changes between them.
    active_max: usize,
    added: Condvar,
    /// A call has begun.
    began: Condvar,
}

struct Queue<J> {
    waiting: VecDeque<J>,
    /// The databases in use: one call of a database runs at a time.
    busy: HashSet<String>,
    /// The calls that wait for a database in use.
    behind: HashMap<String, VecDeque<J>>,
    /// How many calls run, without those that wait for an answer of the server.
    active: usize,
}

impl<J: Waits> Waiting<J> {
    pub fn new(active_max: usize) -> Self {
        let (waiting, busy, behind) = (VecDeque::new(), HashSet::new(), HashMap::new());
        let queue = Mutex::new(Queue { waiting, busy, behind, active: 0 });
        Self { queue, active_max, added: Condvar::new(), began: Condvar::new() }
    }

    /// Adds a call.
    pub fn add(&self, job: J) {
        let mut queue = self.queue();
        queue.waiting.push_back(job);
        self.wake(queue);
    }

    /// Wakes a thread if there is a call for it.
    fn wake(&self, queue: MutexGuard<'_, Queue<J>>) {
        let has_work = !queue.waiting.is_empty() && queue.active < self.active_max;
        drop(queue);
        if has_work {
            self.added.notify_one();
        }
    }

    /// Waits for a call whose database is not in use.
    pub fn next(&self) -> J {
        let mut queue = self.queue();
        loop {
            while queue.active < self.active_max
                && let Some(job) = queue.waiting.pop_front()
            {
                if queue.busy.insert(job.database().to_owned()) {
                    queue.active += 1;
                    if queue.busy.len() == 1 {
                        self.began.notify_one();
                    }
                    self.wake(queue);
                    return job;
                }
                queue.behind.entry(job.database().to_owned()).or_default().push_back(job);
            }
            queue = self.added.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A call has ended: the next one may use its database.
    pub fn free(&self, database: &str) {
        let mut queue = self.queue();
        queue.active -= 1;
        queue.busy.remove(database);
        if let Some(behind) = queue.behind.get_mut(database) {
            let next = behind.pop_front();
            if behind.is_empty() {
                queue.behind.remove(database);
            }
            queue.waiting.extend(next);
        }
        self.wake(queue);
    }

    /// A call waits for an answer: another one may run.
    pub fn pause(&self) {
        let mut queue = self.queue();
        queue.active -= 1;
        self.wake(queue);
    }

    /// A call has its answer. It goes on at once, even if many run.
    pub fn go_on(&self) {
        self.queue().active += 1;
    }

    /// Waits until a call runs.
    pub fn until_busy(&self) {
        drop(self.began.wait_while(self.queue(), |queue| queue.busy.is_empty()));
    }

    fn queue(&self) -> MutexGuard<'_, Queue<J>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
