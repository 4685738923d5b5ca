//! The machine's GPUs, found before anything listens.

use std::io;

use tokio::runtime::Builder;

use crate::channel::device_watch::{PROBE_LIMIT, ProbeFailure, probe_devices};
use crate::channel::seats::{SeatDesk, report_lines};
use crate::channel::worker_process::WorkerProgram;
use crate::config::DevicesPlan;
use crate::media::device::DeviceReport;

/// A desk with what a probe finds, and a log line for each GPU or one that says why there is none. A probe that fails or hangs costs the
/// devices, not the start.
pub async fn desk(plan: DevicesPlan, program: &WorkerProgram) -> SeatDesk {
    if !plan.nvidia {
        let absent = Some("NVIDIA GPUs are left alone: devices.nvidia is \"off\"".to_owned());
        return SeatDesk::new(DeviceReport { absent, ..DeviceReport::default() }, plan.return_after);
    }
    let report = match probe_devices(program, PROBE_LIMIT).await {
        Ok(report) => report,
        Err(cause) => {
            tracing::warn!(%cause, fault = %cause.fault(), "NVIDIA GPUs cannot be used; GPUs are looked for again while headend runs");
            return SeatDesk::unknown(cause.to_string(), plan.return_after);
        }
    };
    for line in report_lines(&report) {
        match report.is_broken {
            true => tracing::warn!("{line}; GPUs are looked for again while headend runs"),
            false => tracing::info!("{line}"),
        }
    }
    SeatDesk::new(report, plan.return_after)
}

/// Asks in a child, for commands that run nothing else.
pub fn probed(program: &WorkerProgram) -> Result<DeviceReport, ProbeFailure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|cause: io::Error| ProbeFailure::Run(cause))?;
    runtime.block_on(probe_devices(program, PROBE_LIMIT))
}
