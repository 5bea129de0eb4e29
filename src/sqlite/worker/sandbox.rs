//! The sandbox of a worker: what the process may still do. Two walls are between a statement and this machine: the memory of
//! WebAssembly, and this one.

/// Drops the rights of this thread, and so of the threads that it starts later. Returns the parts of the sandbox that this
/// machine lacks.
#[cfg(target_os = "linux")]
pub(super) fn before_threads(niceness: i32) -> Vec<String> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetStatus, Scope,
    };
    use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

    let mut weaker = Vec::new();
    let mut note = |what: &str, result: Result<(), String>| {
        if let Err(error) = result {
            weaker.push(format!("{what}: {error}"));
        }
    };
    let words = |error: rustix::io::Errno| error.to_string();
    let dies_with_server = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    note("the signal at the end of the server", dies_with_server.map_err(words));
    let not_dumpable = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    note("no core dumps, no debuggers", not_dumpable.map_err(words));
    note("priority", rustix::process::setpriority_process(None, niceness).map_err(words));
    let abi = ABI::V6;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(abi)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.restrict_self());
    note(
        "landlock",
        match ruleset.map(|status| status.ruleset) {
            Ok(RulesetStatus::FullyEnforced) => Ok(()),
            Ok(RulesetStatus::PartiallyEnforced) => Err("an older kernel enforces a part".into()),
            Ok(RulesetStatus::NotEnforced) => Err("the kernel does not have it".into()),
            Err(error) => Err(error.to_string()),
        },
    );
    for (what, resource) in
        [("no core file", Resource::Core), ("no file can grow", Resource::Fsize), ("no more files", Resource::Nofile)]
    {
        let limit = Rlimit { current: Some(0), maximum: Some(0) };
        note(what, rustix::process::setrlimit(resource, limit).map_err(words));
    }
    weaker
}

/// Gives up all other system calls, for all threads. Without that, a worker does not start: each Linux has it.
#[cfg(target_os = "linux")]
pub(super) fn after_threads() -> wasmtime::Result<()> {
    let applied =
        filter().and_then(|filter| seccompiler::apply_filter_all_threads(&filter).map_err(|error| error.to_string()));
    applied.map_err(|error| wasmtime::Error::msg(format!("there is no seccomp: {error}")))
}

/// The system calls that a worker needs: its connection, memory, threads that wait, time and chance. Any other ends it.
#[cfg(target_os = "linux")]
fn filter() -> Result<seccompiler::BpfProgram, String> {
    use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule};

    /// Of `prctl`: names memory.
    const PR_SET_VMA: u64 = 0x53_56_4d_41;
    /// Of memory, in `mmap` and `mprotect`.
    const PROT_EXEC: u64 = 4;

    // No code besides that of the program and of SQLite, which is compiled.
    let no_code = || {
        let condition = SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(PROT_EXEC), 0)?;
        SeccompRule::new(vec![condition]).map(|rule| vec![rule])
    };
    let always = [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_read,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
        libc::SYS_write,
    ];
    let rules = || {
        // The allocator names the memory that it gets.
        let naming = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, PR_SET_VMA)?;
        let naming = SeccompRule::new(vec![naming])?;
        let mut rules: std::collections::BTreeMap<_, _> = always.iter().map(|call| (*call, Vec::new())).collect();
        rules.insert(libc::SYS_prctl, vec![naming]);
        rules.insert(libc::SYS_mmap, no_code()?);
        rules.insert(libc::SYS_mprotect, no_code()?);
        let architecture = std::env::consts::ARCH.try_into()?;
        let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?;
        seccompiler::BpfProgram::try_from(filter)
    };
    rules().map_err(|error: seccompiler::BackendError| error.to_string())
}

/// Other systems have no such sandbox.
#[cfg(not(target_os = "linux"))]
pub(super) fn before_threads(niceness: i32) -> Vec<String> {
    let priority = rustix::process::setpriority_process(None, niceness).err().map(|error| format!("priority: {error}"));
    ["landlock and seccomp: they exist on Linux".to_owned()].into_iter().chain(priority).collect()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn after_threads() -> wasmtime::Result<()> {
    Ok(())
}
