//! CPU time and memory of processes, from `/proc`.

use std::fs;

use crate::load::Cpu;

/// The unit of CPU time in `/proc`, in seconds; the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time so far, in seconds: of servers, of a postmaster with its children, and of the rest of the machine.
pub fn cpu(servers: &[u32], postmaster: u32) -> Cpu {
    let server = servers.iter().filter_map(|pid| process_cpu(*pid)).sum();
    let mut postgres = process_cpu(postmaster).unwrap_or_default();
    postgres += children(postmaster).into_iter().filter_map(process_cpu).sum::<f64>();
    let stat = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let fields: Vec<f64> =
        stat.lines().next().expect("a line").split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq
    let busy: f64 =
        fields.iter().enumerate().filter(|(place, _)| ![3, 4].contains(place)).map(|(_, ticks)| ticks).sum();
    Cpu { server, postgres, other: busy / TICKS_PER_SECOND - server - postgres }
}

/// The peak memory of a process, in MiB.
pub fn peak_mib(pid: u32) -> f64 {
    memory_mib(pid, "VmHWM:")
}

/// The memory of a process, in MiB.
pub fn rss_mib(pid: u32) -> f64 {
    memory_mib(pid, "VmRSS:")
}

/// Lets the peak memory of a process begin anew.
pub fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the server is alive");
}

/// The processes that a process has started.
pub fn children(pid: u32) -> Vec<u32> {
    processes().filter(|child| parent(*child) == Some(pid)).collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

fn memory_mib(pid: u32, measure: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server is alive");
    let found =
        status.lines().find_map(|line| line.strip_prefix(measure)?.trim().strip_suffix(" kB")?.trim().parse().ok());
    let kib: f64 = found.expect("Linux says it");
    kib / 1_024.0
}

/// The fields of `/proc/<pid>/stat` after the process name, which may contain spaces and parentheses.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// User and system time, including ended children.
fn process_cpu(pid: u32) -> Option<f64> {
    let fields = stat(pid)?;
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Some(ticks / TICKS_PER_SECOND)
}
