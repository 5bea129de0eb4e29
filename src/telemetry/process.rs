//! Metrics of the process, under the names that Prometheus' clients use.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Measures this process when it is asked.
#[derive(Debug)]
struct Process {
    started: SystemTime,
}

/// The metrics of this process, which are not named after payerbase.
#[must_use]
pub(crate) fn process_registry() -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process { started: SystemTime::now() }));
    registry
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut write = |name: &str, help: &str, unit: Option<Unit>, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), metric.metric_type())?)
        };
        let start = ConstGauge::new(started);
        write("process_start_time", "Start of the process, since 1970", Some(Unit::Seconds), &start)?;
        let cpu = ConstCounter::new(cpu_seconds());
        write("process_cpu", "CPU time of the process", Some(Unit::Seconds), &cpu)?;
        if let Some(bytes) = resident_bytes() {
            let memory = ConstGauge::new(bytes);
            write("process_resident_memory", "Memory of the process", Some(Unit::Bytes), &memory)?;
        }
        if let Some(open) = open_descriptors() {
            write("process_open_fds", "Open file descriptors", None, &ConstGauge::new(open))?;
        }
        let max = getrlimit(Resource::Nofile).current.and_then(|max| i64::try_from(max).ok());
        if let Some(max) = max {
            write("process_max_fds", "Maximum number of open file descriptors", None, &ConstGauge::new(max))?;
        }
        Ok(())
    }
}

#[expect(clippy::as_conversions, reason = "CPU time in seconds is far below 2^53")]
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Only Linux says it in a file.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

fn open_descriptors() -> Option<i64> {
    // The folder itself is open while it is read.
    i64::try_from(std::fs::read_dir("/dev/fd").ok()?.count()).ok().map(|count| count - 1)
}
