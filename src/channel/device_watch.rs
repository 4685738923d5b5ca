//! Asks what the machine's GPUs are good for, in a child: a driver that hangs or crashes there costs nobody anything.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::watch;

use crate::base::{Fault, clock};
use crate::channel::seats::SeatDesk;
use crate::channel::worker_process::WorkerProgram;
use crate::media::device::DeviceReport;

/// A probe that has not ended by then is killed. Loading the driver and compiling the kernels for a new device takes seconds.
pub const PROBE_LIMIT: Duration = Duration::from_secs(15);
/// Longest answer of a probe in bytes: dozens of GPUs fit.
const LONGEST_ANSWER: u64 = 1 << 20;
/// How often condemned devices are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Why it is not known what the GPUs are good for.
#[derive(Debug, thiserror::Error)]
pub enum ProbeFailure {
    /// The child cannot be started or read.
    #[error("the probe cannot be run: {0}")]
    Run(#[from] std::io::Error),
    /// It did not end in time.
    #[error("the probe did not end within {} s and was killed: the driver hangs", .0.as_secs())]
    Late(Duration),
    /// It failed.
    #[error("the probe failed ({0}); its own message is above")]
    Failed(std::process::ExitStatus),
    /// What it said is no report.
    #[error("the probe's answer cannot be read: {0}; is headend-worker of the same package as headend?")]
    Answer(#[from] serde_json::Error),
}

impl ProbeFailure {
    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            ProbeFailure::Run(_) => Fault::Transient,
            ProbeFailure::Late(_) | ProbeFailure::Failed(_) => Fault::DeviceLost,
            ProbeFailure::Answer(_) => Fault::Bug,
        }
    }
}

/// Runs `headend-worker devices` and reads its report.
///
/// # Errors
/// Where it cannot be run, fails, says something else, or takes longer than `limit`.
pub async fn probe_devices(program: &WorkerProgram, limit: Duration) -> Result<DeviceReport, ProbeFailure> {
    let mut command = Command::new(&program.path);
    command.args(["devices", "--log", &program.log]).env("HEADEND_LOG", &program.log_levels);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.kill_on_drop(true).spawn()?;
    let stdout = child.stdout.take();
    let answered = async {
        let mut text = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(LONGEST_ANSWER).read_to_end(&mut text).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, text))
    };
    let (status, text) = tokio::time::timeout(limit, answered).await.map_err(|_| ProbeFailure::Late(limit))??;
    if !status.success() {
        return Err(ProbeFailure::Failed(status));
    }
    Ok(serde_json::from_slice(&text)?)
}

/// Probes devices that are suspected or condemned, until `stop` turns true.
pub async fn watch_devices(desk: SeatDesk, program: WorkerProgram, mut stop: watch::Receiver<bool>) {
    if !desk.has_devices() {
        return;
    }
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            () = desk.suspicion() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if !desk.begin_probe(clock::mono()) {
            continue;
        }
        tokio::select! {
            _ = stop.changed() => return,
            outcome = probe_devices(&program, PROBE_LIMIT) => {
                let outcome = outcome.map_err(|cause| cause.to_string());
                if let Err(cause) = &outcome {
                    tracing::warn!(cause, "a device that failed was probed and does not answer");
                }
                desk.probed(outcome.as_ref().map_err(String::as_str), clock::mono());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that does as the text says.
    fn worker(folder: &std::path::Path, script: &str) -> WorkerProgram {
        std::fs::write(folder.join("script"), script).unwrap();
        // The shell reads the text: a file that was just written may still be open in a process that another test is starting.
        let shell = folder.join("headend-worker");
        std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stand_in_probe.sh"), &shell).unwrap();
        WorkerProgram::at(shell, "text", "info")
    }

    #[tokio::test]
    async fn a_report_is_read_and_a_failure_a_hang_and_nonsense_are_told_apart() {
        let report = serde_json::to_string(&DeviceReport { absent: Some("none".into()), ..DeviceReport::default() }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let well = worker(folder.path(), &format!("echo '{report}'"));
        assert_eq!(probe_devices(&well, PROBE_LIMIT).await.unwrap().absent.as_deref(), Some("none"));
        for (script, expected) in [("exit 3", "exit status: 3"), ("echo hello", "cannot be read"), ("exec sleep 60", "hangs")] {
            let folder = tempfile::tempdir().unwrap();
            let limit = if expected == "hangs" { Duration::from_millis(300) } else { PROBE_LIMIT };
            let cause = probe_devices(&worker(folder.path(), script), limit).await.unwrap_err().to_string();
            assert!(cause.contains(expected), "{script}: {cause}");
        }
    }
}
