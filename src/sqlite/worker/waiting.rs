//! The calls that wait for a thread, and for their databases.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// A call that waits.
pub(super) trait Waits {
    /// The database that it needs alone.
    fn database(&self) -> &str;
}

/// The calls that wait, and the threads' way to them. `C` is a call.
pub(super) struct Waiting<C> {
    queue: Mutex<Queue<C>>,
    /// How many calls run at the same time: more than processors only cost changes between threads.
    active_usual: usize,
    /// How many run if others wait for longer than a tick.
    active_max: usize,
    /// A call has begun.
    began: Condvar,
}

struct Queue<C> {
    waiting: VecDeque<C>,
    /// The databases in use: one call of a database runs at a time.
    busy: HashSet<String>,
    /// The calls that wait for a database in use.
    behind: HashMap<String, VecDeque<C>>,
    /// How many threads have a place: they run a call, or are woken for one. A call that waits for an answer of the server
    /// gives its place up.
    active: usize,
    /// The threads without a call. The last one is woken first: its memory is in the caches of the processor.
    idle: Vec<Thread>,
}

impl<C: Waits> Queue<C> {
    /// Takes the first call whose database is not in use.
    fn take(&mut self) -> Option<C> {
        while let Some(call) = self.waiting.pop_front() {
            if self.busy.insert(call.database().to_owned()) {
                return Some(call);
            }
            self.behind.entry(call.database().to_owned()).or_default().push_back(call);
        }
        None
    }
}

impl<C: Waits> Waiting<C> {
    pub fn new(active_usual: usize, active_max: usize) -> Self {
        let (waiting, busy, behind) = (VecDeque::new(), HashSet::new(), HashMap::new());
        let queue = Mutex::new(Queue { waiting, busy, behind, active: 0, idle: Vec::new() });
        Self { queue, active_usual, active_max, began: Condvar::new() }
    }

    /// Adds a call.
    pub fn add(&self, call: C) {
        let mut queue = self.queue();
        queue.waiting.push_back(call);
        wake(queue, self.active_usual);
    }

    /// A tick: if calls wait, those that run are long.
    pub fn tick(&self) {
        wake(self.queue(), self.active_max);
    }

    /// Waits for a call whose database is not in use.
    pub fn next(&self) -> C {
        let mut queue = self.queue();
        let mut has_place = queue.active < self.active_max;
        queue.active += usize::from(has_place);
        loop {
            if has_place {
                if let Some(call) = queue.take() {
                    if queue.busy.len() == 1 {
                        self.began.notify_one();
                    }
                    return call;
                }
                queue.active -= 1;
            }
            queue = self.sleep(queue);
            has_place = true;
        }
    }

    /// Sleeps until this thread is woken, which gives it a place.
    fn sleep<'a>(&'a self, mut queue: MutexGuard<'a, Queue<C>>) -> MutexGuard<'a, Queue<C>> {
        let this = thread::current();
        queue.idle.push(this.clone());
        // It may also wake for no reason.
        while queue.idle.iter().any(|idle| idle.id() == this.id()) {
            drop(queue);
            thread::park();
            queue = self.queue();
        }
        queue
    }

    /// A call has ended: the next one may use its database. The thread of this call takes the next one.
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
    }

    /// A call waits for an answer: another one may run.
    pub fn pause(&self) {
        let mut queue = self.queue();
        queue.active -= 1;
        wake(queue, self.active_usual);
    }

    /// A call has its answer. It goes on at once, even if many run.
    pub fn go_on(&self) {
        self.queue().active += 1;
    }

    /// Waits until a call runs.
    pub fn until_busy(&self) {
        drop(self.began.wait_while(self.queue(), |queue| queue.busy.is_empty()));
    }

    fn queue(&self) -> MutexGuard<'_, Queue<C>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a thread if there is a call for it and fewer run than may.
fn wake<C>(mut queue: MutexGuard<'_, Queue<C>>, active_max: usize) {
    if !queue.waiting.is_empty()
        && queue.active < active_max
        && let Some(idle) = queue.idle.pop()
    {
        queue.active += 1;
        drop(queue);
        idle.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
    use std::time::Duration;

    use super::*;

    impl Waits for &'static str {
        /// Its first letter.
        fn database(&self) -> &str {
            &self[..1]
        }
    }

    /// What a running call does next.
    enum Step {
        Pause,
        GoOn,
        End,
    }

    /// A call that runs.
    struct Running {
        name: &'static str,
        steps: Sender<Step>,
    }

    /// Threads as a worker has them.
    struct Threads {
        waiting: Arc<Waiting<&'static str>>,
        began: Receiver<Running>,
    }

    impl Threads {
        fn new(active_usual: usize, active_max: usize) -> Self {
            let waiting = Arc::new(Waiting::new(active_usual, active_max));
            let (began, receiver) = channel();
            for _ in 0..8 {
                let (waiting, began) = (Arc::clone(&waiting), began.clone());
                thread::spawn(move || run_all(&waiting, &began));
            }
            while waiting.queue().idle.len() < 8 {
                thread::yield_now();
            }
            Self { waiting, began: receiver }
        }

        fn add(&self, calls: &[&'static str]) {
            calls.iter().for_each(|call| self.waiting.add(call));
        }

        fn next(&self) -> Running {
            self.began.recv_timeout(Duration::from_secs(30)).unwrap()
        }

        fn names<const N: usize>(&self) -> ([Running; N], Vec<&'static str>) {
            let running = std::array::from_fn(|_| self.next());
            let mut names: Vec<_> = running.iter().map(|running: &Running| running.name).collect();
            names.sort_unstable();
            (running, names)
        }

        /// No other call begins for a while.
        fn no_other(&self) {
            let other = self.began.recv_timeout(Duration::from_millis(50)).map(|running| running.name);
            assert_eq!(other, Err(RecvTimeoutError::Timeout));
        }
    }

    impl Running {
        fn now(&self, step: Step) {
            self.steps.send(step).unwrap();
        }
    }

    fn run_all(waiting: &Waiting<&'static str>, began: &Sender<Running>) {
        loop {
            let name = waiting.next();
            let (steps, receiver) = channel();
            if began.send(Running { name, steps }).is_err() {
                return;
            }
            for step in receiver {
                match step {
                    Step::Pause => waiting.pause(),
                    Step::GoOn => waiting.go_on(),
                    Step::End => break,
                }
            }
            waiting.free(name.database());
        }
    }

    #[test]
    fn a_database_runs_one_call_at_a_time_in_order() {
        let threads = Threads::new(4, 4);
        threads.add(&["a1", "a2", "a3", "b1"]);
        let (running, names) = threads.names::<2>();
        assert_eq!(names, ["a1", "b1"], "those behind do not stop others");
        threads.no_other();
        let [a1, b1] = if running[0].name == "a1" { [0, 1] } else { [1, 0] };
        running[b1].now(Step::End);
        threads.no_other();
        running[a1].now(Step::End);
        let a2 = threads.next();
        a2.now(Step::End);
        assert_eq!([a2.name, threads.next().name], ["a2", "a3"]);
    }

    #[test]
    fn a_call_that_waits_for_an_answer_makes_room() {
        let threads = Threads::new(2, 2);
        threads.add(&["a", "b", "c", "d"]);
        let ([one, two], _names) = threads.names();
        threads.no_other();
        one.now(Step::Pause);
        let three = threads.next();
        one.now(Step::GoOn);
        // Three run now: two must end before the next begins.
        one.now(Step::End);
        threads.no_other();
        two.now(Step::End);
        threads.next();
        drop(three);
    }

    #[test]
    fn more_calls_run_if_those_that_run_are_long() {
        let threads = Threads::new(1, 2);
        threads.add(&["a", "b", "c"]);
        let _long = threads.next();
        threads.no_other();
        threads.waiting.tick();
        let short = threads.next();
        threads.waiting.tick();
        threads.no_other();
        short.now(Step::End);
        threads.next();
    }
}
