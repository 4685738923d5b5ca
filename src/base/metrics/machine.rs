//! The processes of the appliance and what they stand on.

use prometheus::{CounterVec, GaugeVec, IntGaugeVec, Opts, Registry};

use super::described::registered;

const LABELS: [&str; 2] = ["role", "channel"];

/// Families of processes. `role` is `front`, `codec`, `srt` or `load`; `channel` is empty where a process has none, as the worker
/// that stands by.
#[derive(Debug)]
pub struct MachineMetrics {
    /// 1, by version, architecture and profile.
    pub build_info: IntGaugeVec,
    /// Processes, by role and channel.
    pub processes: IntGaugeVec,
    /// Resident memory.
    pub resident: IntGaugeVec,
    /// CPU time, user and system; it goes on over replacements.
    pub cpu: CounterVec,
    /// When the newest process began, in seconds since 1970.
    pub started: GaugeVec,
    /// Threads.
    pub threads: IntGaugeVec,
    /// Descriptors that the front has open.
    pub descriptors: IntGaugeVec,
    /// Descriptors that the front may have open.
    pub descriptor_limit: IntGaugeVec,
    /// Bytes of the state directory's file system that can be written to.
    pub state_free: IntGaugeVec,
    /// 1 where a part of the lock-down of workers is whole, by part.
    pub sandbox: IntGaugeVec,
    /// Size of that file system in bytes.
    pub state_size: IntGaugeVec,
}

impl MachineMetrics {
    pub(super) fn new(registry: &Registry) -> MachineMetrics {
        let gauge = |name: &str, help: &str, labels: &[&str]| registered(registry, IntGaugeVec::new(Opts::new(name, help), labels));
        let build_info = gauge("headend_build_info", "What runs.", &["version", "arch", "profile"]);
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, profile]).set(1);
        MachineMetrics {
            build_info,
            processes: gauge("headend_processes", "Processes of the appliance.", &LABELS),
            resident: gauge("headend_process_resident_bytes", "Resident memory.", &LABELS),
            cpu: registered(registry, CounterVec::new(Opts::new("headend_process_cpu_seconds_total", "CPU time."), &LABELS)),
            started: registered(
                registry,
                GaugeVec::new(Opts::new("headend_process_start_time_seconds", "When the process began, since 1970."), &LABELS),
            ),
            threads: gauge("headend_process_threads", "Threads.", &LABELS),
            descriptors: gauge("headend_process_open_descriptors", "Descriptors that are open.", &["role"]),
            descriptor_limit: gauge("headend_process_descriptor_limit", "Descriptors that may be open.", &["role"]),
            state_free: gauge("headend_state_directory_free_bytes", "What can be written where the state directory is.", &[]),
            sandbox: gauge("headend_sandbox", "1 where this part of the lock-down of workers is whole.", &["part"]),
            state_size: gauge("headend_state_directory_size_bytes", "Size of the file system of the state directory.", &[]),
        }
    }
}
