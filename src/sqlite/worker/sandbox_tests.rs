//! Attempts out of the sandbox: the test runs itself as a process that closes the sandbox, as a worker does, and then does
//! what a worker may not do.

#![cfg(target_os = "linux")]

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus};
use std::{env, fs, io, process, thread};

use nix::unistd::Pid;

use super::sandbox;
use crate::sqlite::engine::Engine;

/// The variables of such a process: the name of the attempt, and the part of the sandbox that it closes.
const ATTEMPT: &str = "PAYERBASE_TEST_ATTEMPT";
const CLOSED: &str = "PAYERBASE_TEST_SANDBOX";
const TEST: &str = "sqlite::worker::sandbox_tests::what_a_worker_may_not_do_ends_it";

/// How much of the sandbox is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Nothing,
    /// Without the filter of system calls.
    FirstPart,
    All,
}

struct Attempt {
    name: &'static str,
    run: fn() -> io::Result<()>,
    /// Whether it fails without a sandbox, and with its first part.
    fails: [bool; 2],
}

const fn attempt(name: &'static str, fails: [bool; 2], run: fn() -> io::Result<()>) -> Attempt {
    Attempt { name, run, fails }
}

const ATTEMPTS: [Attempt; 16] = [
    attempt("read a file", [false, true], || fs::read("/etc/passwd").map(drop)),
    attempt("write a file", [false, true], || fs::write(env::temp_dir().join("payerbase-sandbox"), "a")),
    attempt("list a folder", [false, true], || fs::read_dir("/").map(drop)),
    attempt("look for a file", [false, false], || fs::metadata("/etc/passwd").map(drop)),
    attempt("read its environment", [false, true], || fs::read("/proc/self/environ").map(drop)),
    attempt("read its memory map", [false, true], || fs::read("/proc/self/maps").map(drop)),
    attempt("listen", [false, true], || TcpListener::bind("127.0.0.1:0").map(drop)),
    attempt("open a UDP socket", [false, true], || UdpSocket::bind("127.0.0.1:0").map(drop)),
    attempt("open a Unix socket", [false, true], || UnixStream::pair().map(drop)),
    attempt("become another program", [false, true], || Err(Command::new("/bin/true").exec())),
    attempt("start a program", [false, true], || Command::new("/bin/true").status().map(drop)),
    attempt("fork", [false, true], || {
        Command::new("/bin/true").gid(rustix::process::getgid().as_raw()).status().map(drop)
    }),
    attempt("start a thread", [false, false], || thread::Builder::new().spawn(|| ()).map(drop)),
    // There is no such process.
    attempt("trace a process", [true, true], || Ok(nix::sys::ptrace::detach(Pid::from_raw(i32::MAX), None)?)),
    attempt("send a signal", [false, false], || {
        rustix::process::test_kill_process(rustix::process::getpid()).map_err(Into::into)
    }),
    attempt("compile code", [false, false], || Engine::compile(1, 64 << 20).map(drop).map_err(io::Error::other)),
];

/// The life of such a process.
fn live(name: &str, closed: &str) -> ! {
    let attempt = ATTEMPTS.iter().find(|attempt| attempt.name == name).unwrap();
    if closed != "Nothing" {
        assert_eq!(sandbox::before_threads(0), Vec::<String>::new(), "this machine has all of it");
    }
    if closed == "All" {
        sandbox::after_threads().unwrap();
    }
    process::exit(i32::from((attempt.run)().is_err()))
}

fn end(attempt: &Attempt, closed: Closed) -> ExitStatus {
    let mut process = Command::new(env::current_exe().unwrap());
    process.args(["--exact", TEST, "--test-threads=1"]).env(ATTEMPT, attempt.name).env(CLOSED, format!("{closed:?}"));
    let ended = process.output().unwrap();
    eprint!("{}", String::from_utf8_lossy(&ended.stderr));
    ended.status
}

#[test]
fn what_a_worker_may_not_do_ends_it() {
    if let Ok(name) = env::var(ATTEMPT) {
        live(&name, &env::var(CLOSED).unwrap());
    }
    for attempt in &ATTEMPTS {
        for (closed, fails) in [Closed::Nothing, Closed::FirstPart].into_iter().zip(attempt.fails) {
            assert_eq!(end(attempt, closed).code(), Some(i32::from(fails)), "{}: {closed:?}", attempt.name);
        }
        let killed = end(attempt, Closed::All);
        assert_eq!(killed.signal(), Some(nix::libc::SIGSYS), "{}: {killed}", attempt.name);
    }
}
