//! Whether the threads of the front get to run: what CPU time they take, and how late they are.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};

use prometheus::{CounterVec, HistogramOpts, HistogramVec, Opts, Registry};

use super::registered;

/// Names of the front's threads, without the number that follows; the values of the `role` label.
const ROLES: [&str; 7] = ["ingest", "packaging", "edge", "blocking", "sequences", "flights", "service"];

/// A thread: its id and when it started, since ids are used again.
type Thread = (u32, u64);

/// Families about the scheduling of the front.
#[derive(Debug)]
pub struct SchedulingMetrics {
    /// From the reading of the last byte of an access unit to its taking up by the channel, by channel.
    pub ingest_lag: HistogramVec,
    /// How late a timer of a runtime is, which is how long what arrives there waits, by role.
    pub runtime_lag: HistogramVec,
    thread_cpu: CounterVec,
    /// Clock ticks of each thread when it was last looked at.
    seen: Mutex<BTreeMap<Thread, u64>>,
}

impl SchedulingMetrics {
    pub(super) fn new(registry: &Registry) -> SchedulingMetrics {
        let lag = |name: &str, help: &str, label: &str| {
            let buckets = vec![0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0];
            registered(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &[label]))
        };
        let cpu = Opts::new("headend_thread_cpu_seconds_total", "CPU time of the front's threads.");
        SchedulingMetrics {
            ingest_lag: lag(
                "headend_ingest_lag_seconds",
                "From the reading of the last byte of an access unit to its taking up by the channel.",
                "channel",
            ),
            runtime_lag: lag("headend_runtime_lag_seconds", "How late a timer of a runtime is woken.", "role"),
            thread_cpu: registered(registry, CounterVec::new(cpu, &["role"])),
            seen: Mutex::default(),
        }
    }

    /// Adds what the threads have taken since the last time; reads files of `/proc`. What a thread took between that and its end is lost.
    pub fn refresh(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *seen);
        let tick_s = 1.0 / rustix::param::clock_ticks_per_second().max(1) as f64;
        for thread in threads() {
            let id = (thread.id, thread.started);
            let more = thread.ticks.saturating_sub(before.get(&id).copied().unwrap_or(0));
            self.thread_cpu.with_label_values(&[thread.role]).inc_by(more as f64 * tick_s);
            seen.insert(id, thread.ticks);
        }
    }
}

struct Usage {
    id: u32,
    started: u64,
    role: &'static str,
    ticks: u64,
}

/// The threads of this process that have not ended.
fn threads() -> Vec<Usage> {
    let main = std::process::id();
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let usage = |entry: fs::DirEntry| parsed(&fs::read_to_string(entry.path().join("stat")).ok()?, main);
    entries.filter_map(usage).collect()
}

/// A line of `/proc/PID/task/TID/stat` (proc_pid_stat(5)): user time is field 14, system time 15, the start 22. The name is in
/// brackets and may hold brackets itself.
fn parsed(stat: &str, main: u32) -> Option<Usage> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (id, name) = head.split_once('(')?;
    let id = id.trim().parse().ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let (user, system) = (fields.nth(11)?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    let started = fields.nth(6)?.parse().ok()?;
    let role = if id == main { "main" } else { role(name) };
    Some(Usage { id, started, role, ticks: user.saturating_add(system) })
}

/// `ingest-0` is `ingest`; what has no known name is `other`.
fn role(name: &str) -> &'static str {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
    ROLES.into_iter().find(|role| *role == stem).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;
    use crate::base::metrics::metrics;
    use std::time::Duration;

    #[test]
    fn a_line_of_the_kernel_is_read_by_its_last_bracket() {
        let line = "4242 (edge-1) S 1 2 3 0 -1 64 5 6 7 8 150 50 0 0 20 0 9 0 777 1 2";
        let usage = parsed(line, 1).unwrap();
        assert_eq!((usage.id, usage.role, usage.ticks, usage.started), (4242, "edge", 200, 777));
        assert_eq!(parsed(&line.replace("edge-1", "a) (b"), 1).unwrap().role, "other");
        assert_eq!(parsed(line, 4242).unwrap().role, "main");
        assert!(parsed("4242 (edge-1) S 1 2", 1).is_none() && parsed("", 1).is_none());
    }

    #[test]
    fn a_busy_thread_shows_under_its_role_and_does_not_shrink_when_it_has_ended() {
        let busy = std::thread::Builder::new().name("flights".into()).spawn(|| {
            let start = clock::mono();
            let mut sum = 0u64;
            while clock::mono().since(start) < Duration::from_millis(200) {
                sum = std::hint::black_box(sum.wrapping_add(1));
            }
            metrics().scheduling.refresh();
        });
        busy.unwrap().join().unwrap();
        let seconds = || metrics().scheduling.thread_cpu.with_label_values(&["flights"]).get();
        let after = seconds();
        assert!(after > 0.02, "{after}");
        metrics().scheduling.refresh();
        assert!(seconds() >= after);
        assert!(metrics().render().contains("headend_thread_cpu_seconds_total{role=\"flights\"}"));
    }
}
