//! The worker: a process that runs SQL and can do nothing else. It has one connection, to its server.

mod calls;
mod open;
mod sandbox;
#[cfg(test)]
mod sandbox_tests;
mod server;
mod waiting;

use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Barrier};

use calls::Calls;
use server::Server;

use super::engine::Engine;
use super::wire::{self, FromWorker, ToWorker};

/// Calls that run at the same time on a processor if they are long, so that they stop no short one.
const LONG_CALLS_OF_PROCESSOR: usize = 2;
/// Room for databases that are being opened while others are being closed.
const SPARE_INSTANCES: u32 = 32;

/// What a worker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Short calls. It keeps databases open.
    Fast,
    /// Calls that need longer. It has a low priority, and keeps no database open.
    Slow,
}

impl Kind {
    /// How many databases stay open.
    fn databases_max(self) -> u32 {
        match self {
            Self::Fast => 1_024,
            Self::Slow => 0,
        }
    }

    /// Memory of all databases, in bytes.
    fn memory_max(self) -> usize {
        match self {
            Self::Fast => 1 << 30,
            Self::Slow => 512 << 20,
        }
    }

    /// How many pages a call keeps outside of the memory of SQLite: 4 MiB, or a whole database.
    fn pages_kept_max(self) -> usize {
        match self {
            Self::Fast => 1_024,
            Self::Slow => 4_096,
        }
    }

    /// How many calls run at the same time, or wait for pages.
    fn threads(self) -> u32 {
        match self {
            Self::Fast => 32,
            Self::Slow => 5,
        }
    }

    /// How much other processes come first.
    fn niceness(self) -> i32 {
        match self {
            Self::Fast => 1,
            Self::Slow => 10,
        }
    }
}

/// Runs a worker until its server closes the connection, which is its standard input.
///
/// # Errors
/// If the connection fails.
pub fn run(kind: Kind) -> io::Result<()> {
    // A panic would read files to describe itself.
    std::panic::set_hook(Box::new(|_panic| std::process::exit(101)));
    let connection = || io::stdin().as_fd().try_clone_to_owned().map(|connection: OwnedFd| File::from(connection));
    let (from_server, server) = (connection()?, Server::new(connection()?));
    match start(kind, &server) {
        Ok((calls, weaker)) => {
            server.send(&FromWorker::Ready { weaker });
            let mut from_server = BufReader::with_capacity(256 << 10, from_server);
            let served = serve(&mut from_server, &calls);
            // What a normal end does, the sandbox may not allow.
            std::process::exit(i32::from(served.is_err()))
        }
        Err(error) => {
            server.send(&FromWorker::NotReady { why: error.to_string() });
            Ok(())
        }
    }
}

/// Compiles SQLite, starts the threads, and gives up every right that the worker does not need.
fn start(kind: Kind, server: &Server) -> wasmtime::Result<(Arc<Calls>, Vec<String>)> {
    let instances_max = kind.databases_max() + kind.threads() + SPARE_INSTANCES;
    let engine = Engine::compile(instances_max, kind.memory_max())?;
    engine.warm_up().map_err(|stopped| wasmtime::Error::msg(format!("SQLite does not start: {stopped:?}")))?;
    let threads = usize::try_from(kind.threads())?;
    let active = match kind {
        Kind::Fast => {
            let processors = std::thread::available_parallelism()?.get();
            [processors, LONG_CALLS_OF_PROCESSOR * processors]
        }
        // The server sends as many as may run.
        Kind::Slow => [threads, threads],
    };
    let weaker = sandbox::before_threads(kind.niceness());
    let (databases, pages_kept) = (kind.databases_max(), kind.pages_kept_max());
    let calls = Arc::new(Calls::new(engine, server.clone(), databases, pages_kept, active));
    // A thread that starts needs system calls that the sandbox does not allow.
    let started = Arc::new(Barrier::new(threads + 2));
    for _ in 0..threads {
        let (calls, started) = (Arc::clone(&calls), Arc::clone(&started));
        std::thread::Builder::new().spawn(move || {
            started.wait();
            calls.run_all();
        })?;
    }
    let (ticking, ticker_started) = (Arc::clone(&calls), Arc::clone(&started));
    std::thread::Builder::new().spawn(move || {
        ticker_started.wait();
        ticking.tick_all();
    })?;
    started.wait();
    sandbox::after_threads()?;
    Ok((calls, weaker))
}

fn serve(from_server: &mut BufReader<File>, calls: &Arc<Calls>) -> io::Result<()> {
    while let Some(message) = wire::read(from_server)? {
        match message {
            ToWorker::Run(run) => calls.add(run),
            ToWorker::Pages { id, pages } => calls.give_pages(id, pages),
            ToWorker::Tables { id, tables } => calls.give_tables(id, tables),
            ToWorker::Cancel { id } => calls.cancel(id),
        }
    }
    Ok(())
}
