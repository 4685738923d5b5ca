//! Asks what the machine's GPUs are good for, in a child: a driver that hangs or crashes there costs nobody anything.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
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
    probe(program, &[], limit, &mut None).await
}

/// As [`probe_devices`]. A child that was killed and has not ended yet is left in `late`: in a hung driver not even that ends it.
async fn probe(program: &WorkerProgram, known: &[String], limit: Duration, late: &mut Option<Child>) -> Result<DeviceReport, ProbeFailure> {
    let mut command = Command::new(&program.path);
    command.args(["devices", "--log", &program.log]).env("HEADEND_LOG", &program.log_levels);
    command.args(known.iter().flat_map(|uuid| ["--known", uuid]));
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
    let Ok(answered) = tokio::time::timeout(limit, answered).await else {
        let _ = child.start_kill();
        *late = Some(child);
        return Err(ProbeFailure::Late(limit));
    };
    let (status, text) = answered?;
    if !status.success() {
        return Err(ProbeFailure::Failed(status));
    }
    Ok(serde_json::from_slice(&text)?)
}

/// Whether a probe that was killed has ended; one that has is forgotten.
fn has_ended(late: &mut Option<Child>) -> bool {
    late.take_if(|child| !matches!(child.try_wait(), Ok(None)));
    late.is_none()
}

/// Probes devices that are suspected or condemned, and looks for more where there may be more, until `stop` turns true. One probe at a time:
/// none begins while the last one sits in the driver.
pub async fn watch_devices(desk: SeatDesk, program: WorkerProgram, mut stop: watch::Receiver<bool>) {
    if !desk.has_devices() {
        return;
    }
    let (mut late, mut is_told) = (None, false);
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            () = desk.suspicion() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if !has_ended(&mut late) {
            if !std::mem::replace(&mut is_told, true) {
                let process = late.as_ref().and_then(Child::id);
                tracing::error!(
                    process,
                    "a probe that was killed does not end: the driver hangs in the kernel. No other begins before it ends"
                );
            }
            continue;
        }
        is_told = false;
        if !desk.begin_probe(clock::mono()) {
            continue;
        }
        let known = desk.known();
        tokio::select! {
            _ = stop.changed() => return,
            outcome = probe(&program, &known, PROBE_LIMIT, &mut late) => {
                let outcome = outcome.map_err(|cause| cause.to_string());
                if let Err(cause) = &outcome {
                    tracing::warn!(cause, "GPUs were probed again and do not answer");
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

    #[tokio::test]
    async fn a_probe_that_was_killed_is_waited_for_before_another_begins() {
        let folder = tempfile::tempdir().unwrap();
        let mut late = None;
        let hangs = worker(folder.path(), "exec sleep 60");
        assert!(probe(&hangs, &[], Duration::from_millis(100), &mut late).await.is_err());
        late.as_mut().expect("it is kept").wait().await.unwrap();
        assert!(has_ended(&mut late));
        let mut runs = Some(Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap());
        assert!(!has_ended(&mut runs) && runs.is_some());
    }
}
