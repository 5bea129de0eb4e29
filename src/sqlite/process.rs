//! The processes of the workers: started with the first call, and again when they die.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use clap::ValueEnum as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::metrics::WorkerMetrics;
use super::wire::{self, FromWorker, Kept, ToWorker};
use super::worker::Kind;

/// Pause before a worker that cannot start is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// A worker is replaced if it has neither ended a call for so long nor asked for a page. A call that waits in it is cancelled
/// after half of that time.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How often the driver looks for calls without an answer.
const SILENCE_CHECKED: Duration = Duration::from_secs(5);
/// Size of a read from the connection.
const READ_BYTES: usize = 64 << 10;
/// The user id of the workers if the server is root. No account has it, and no file belongs to it.
const WORKER_USER: u32 = 64_917;

/// An order to the driver of a worker.
pub(super) enum Order {
    /// Sends the first message of a call.
    Run { id: u64, message: Vec<u8>, caller: Caller },
    /// Sends the answer to a question of the worker.
    Answer { id: u64, message: Vec<u8> },
    /// Nobody waits for the call any more: it ends.
    Cancel { id: u64 },
}

/// The task that waits for a call.
pub(super) struct Caller {
    answers: UnboundedSender<Reply>,
    _held: HeldByCall,
}

impl Caller {
    ///   held  what the call holds until it has ended in the worker, also if its caller hangs up
    pub fn new(answers: UnboundedSender<Reply>, held: HeldByCall) -> Self {
        Self { answers, _held: held }
    }
}

/// Anything that is given back when it is dropped.
pub(super) type HeldByCall = Arc<dyn Send + Sync>;

/// A reply of a worker to a call.
#[derive(Debug)]
pub(super) enum Reply {
    /// An answer, or a question.
    Message(FromWorker),
    /// The worker died. Nothing was changed.
    Died,
}

/// A worker. Its thread and its process start with the first call.
pub(super) struct Worker {
    kind: Kind,
    program: PathBuf,
    metrics: WorkerMetrics,
    orders: Mutex<Option<UnboundedSender<Order>>>,
}

impl Worker {
    /// The worker of this kind.
    ///   program  this program, which is the worker's too
    pub fn new(kind: Kind, program: PathBuf, metrics: WorkerMetrics) -> Self {
        Self { kind, program, metrics, orders: Mutex::default() }
    }

    /// Whether it is for short calls.
    pub fn is_fast(&self) -> bool {
        self.kind == Kind::Fast
    }

    /// Gives an order.
    pub fn order(&self, order: Order) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = orders.get_or_insert_with(|| self.start()).send(order);
        if sent.is_err() {
            // Its thread did not start. The sender of the answers was dropped with the order, which the call sees. The next
            // order tries again.
            *orders = None;
        }
    }

    /// Starts the thread that looks after the process, which dies with it. The thread ends with the worker.
    fn start(&self) -> UnboundedSender<Order> {
        let (orders, receiver) = unbounded_channel();
        let (kind, program, metrics) = (self.kind, self.program.clone(), self.metrics.clone());
        let started = std::thread::Builder::new().name(format!("sql-{}", name(kind))).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(drive(kind, &program, receiver, &metrics)),
                Err(error) => tracing::error!(%error, "SQL does not work: no runtime"),
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "SQL does not work: no thread");
        }
        orders
    }
}

fn name(kind: Kind) -> String {
    kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The calls in a process.
type Pending = HashMap<u64, PendingCall>;

struct PendingCall {
    caller: Caller,
    /// Since when the worker owes a message; `None` while it waits for an answer.
    owed_since: Option<Instant>,
}

/// Starts a process at the first order, and another one when it dies.
async fn drive(kind: Kind, program: &Path, mut orders: UnboundedReceiver<Order>, metrics: &WorkerMetrics) {
    let mut pending = Pending::default();
    while let Some(order) = orders.recv().await {
        if !matches!(order, Order::Run { .. }) {
            // The process that knew the call is gone.
            continue;
        }
        let ended = match start(kind, program) {
            Ok((mut child, connection)) => {
                metrics.started();
                let ended = serve(connection, order, &mut orders, &mut pending, kind, metrics).await;
                metrics.keeps(&Kept::default());
                // It may have closed its connection alone.
                let _dead = child.kill();
                let status = child.wait().map(|status| status.to_string()).unwrap_or_default();
                ended.map_err(|error| format!("{error} ({status})"))
            }
            Err(error) => {
                // The call sees that its sender is dropped.
                drop(order);
                Err(format!("it cannot be started: {error}"))
            }
        };
        for (_id, call) in pending.drain() {
            let _gone = call.caller.answers.send(Reply::Died);
        }
        match ended {
            Ok(Served::ToTheEnd) => return,
            Ok(Served::InSilence) => {
                tracing::error!(worker = name(kind), "a worker of SQL did not answer: another one is started")
            }
            Err(error) => {
                tracing::error!(worker = name(kind), error, "a worker of SQL died: another one is started");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Starts the process. Its standard input is the connection; it has nothing else of the server.
fn start(kind: Kind, program: &Path) -> io::Result<(std::process::Child, UnixStream)> {
    let run = |user: Option<u32>| {
        let (ours, theirs) = StdStream::pair()?;
        let mut command = Command::new(program);
        command.arg0("payerbase").args(["sql-worker", &name(kind)]).env_clear().current_dir("/");
        // Otherwise the allocator reads files to count them, which ends a worker.
        command.env("MIMALLOC_USE_NUMA_NODES", "1");
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        // A signal from the terminal is for the server, which finishes its calls.
        command.process_group(0);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let child = command.spawn()?;
        ours.set_nonblocking(true)?;
        Ok((child, UnixStream::from_std(ours)?))
    };
    if rustix::process::geteuid().is_root() {
        // Another user may be unable to read the program.
        run(Some(WORKER_USER)).or_else(|error: io::Error| {
            tracing::warn!(%error, user = WORKER_USER, "a worker of SQL cannot run as another user: it runs as root");
            run(None)
        })
    } else {
        run(None)
    }
}

/// How the service of a process ended.
enum Served {
    /// The server stops.
    ToTheEnd,
    /// The process does not answer.
    InSilence,
}

/// Passes messages on, until the process ends or is replaced.
async fn serve(
    connection: UnixStream,
    first: Order,
    orders: &mut UnboundedReceiver<Order>,
    pending: &mut Pending,
    kind: Kind,
    metrics: &WorkerMetrics,
) -> io::Result<Served> {
    let (from_worker, mut to_worker) = connection.into_split();
    let mut messages = Messages::new(from_worker);
    let mut bytes = BytesMut::new();
    take(first, pending, &mut bytes)?;
    let mut check = tokio::time::interval(SILENCE_CHECKED);
    loop {
        tokio::select! {
            _ = check.tick() => {
                let is_silent = |since: Instant| since.elapsed() > SILENCE_MAX;
                if pending.values().any(|call| call.owed_since.is_some_and(is_silent)) {
                    return Ok(Served::InSilence);
                }
            }
            order = orders.recv() => match order {
                None => return Ok(Served::ToTheEnd),
                Some(order) => {
                    take(order, pending, &mut bytes)?;
                    // Orders that wait are written together.
                    while let Ok(order) = orders.try_recv() {
                        take(order, pending, &mut bytes)?;
                    }
                }
            },
            written = to_worker.write_buf(&mut bytes), if !bytes.is_empty() => drop(written?),
            message = messages.next() => match message? {
                FromWorker::Ready { weaker } => tell_weaker(kind, &weaker),
                FromWorker::NotReady { why } => return Err(io::Error::other(why)),
                FromWorker::Kept(kept) => metrics.keeps(&kept),
                message @ (FromWorker::Need { .. }
                | FromWorker::NeedTables { .. }
                | FromWorker::Done { .. }
                | FromWorker::Stopped { .. }) => {
                    give(message, pending)?;
                }
            },
        }
    }
}

/// Takes an order. Its message is written next.
fn take(order: Order, pending: &mut Pending, bytes: &mut BytesMut) -> io::Result<()> {
    match order {
        Order::Run { id, message, caller } => {
            pending.insert(id, PendingCall { caller, owed_since: Some(Instant::now()) });
            bytes.extend_from_slice(&message);
        }
        Order::Answer { id, message } => {
            if let Some(call) = pending.get_mut(&id) {
                call.owed_since = Some(Instant::now());
                bytes.extend_from_slice(&message);
            }
        }
        Order::Cancel { id } if let Some(call) = pending.get_mut(&id) => {
            call.owed_since.get_or_insert_with(Instant::now);
            bytes.extend_from_slice(&wire::encode(&ToWorker::Cancel { id })?);
        }
        // Its process is gone, or the call has ended.
        Order::Cancel { .. } => {}
    }
    Ok(())
}

/// Gives a message to its call.
fn give(message: FromWorker, pending: &mut Pending) -> io::Result<()> {
    match &message {
        FromWorker::Ready { .. } | FromWorker::NotReady { .. } | FromWorker::Kept(_) => {}
        FromWorker::Need { id, .. } | FromWorker::NeedTables { id, .. } => {
            if let Some(call) = pending.get_mut(id) {
                if call.owed_since.take().is_none() {
                    return Err(io::Error::other("it asks again before it has an answer"));
                }
                // A caller that has hung up has cancelled its call, which must end.
                if call.caller.answers.send(Reply::Message(message)).is_err() {
                    call.owed_since = Some(Instant::now());
                }
            }
        }
        FromWorker::Done { id, .. } | FromWorker::Stopped { id, .. } => {
            if let Some(call) = pending.remove(id) {
                let _gone = call.caller.answers.send(Reply::Message(message));
            }
        }
    }
    Ok(())
}

fn tell_weaker(kind: Kind, weaker: &[String]) {
    if !weaker.is_empty() {
        tracing::warn!(worker = name(kind), ?weaker, "the sandbox of a worker of SQL is weaker on this machine");
    }
}

/// The messages of a process.
struct Messages {
    from_worker: OwnedReadHalf,
    bytes: BytesMut,
}

impl Messages {
    fn new(from_worker: OwnedReadHalf) -> Self {
        Self { from_worker, bytes: BytesMut::with_capacity(READ_BYTES) }
    }

    /// The next one. Nothing is lost if this future is dropped.
    async fn next(&mut self) -> io::Result<FromWorker> {
        loop {
            let length = self.bytes.first_chunk().map(|head| wire::length(*head)).transpose()?;
            if let Some(message) = length.and_then(|length| self.bytes.get(4..4 + length)) {
                let message = (message.len(), wire::decode(message)?);
                self.bytes.advance(4 + message.0);
                return Ok(message.1);
            }
            self.bytes.reserve(length.map_or(READ_BYTES, |length| length.max(READ_BYTES)));
            if self.from_worker.read_buf(&mut self.bytes).await? == 0 {
                return Err(io::Error::other("it closed its connection"));
            }
        }
    }
}
