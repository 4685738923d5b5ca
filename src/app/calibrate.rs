//! What this machine does in a second, measured once and kept in the state directory. Until it is known the cost model's own figures hold.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, process::Stdio};

use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::sync::watch;

use crate::app::kept_file::replace;
use crate::channel::seats::SeatDesk;
use crate::channel::worker_process::WorkerProgram;
use crate::config::Plan;
use crate::media::calibration::Measured;
use crate::placement::Inventory;

/// The file below the state directory.
const FILE: &str = "calibration.json";
/// The first channels of a machine open their encoders before it is measured.
const BEGINS_AFTER: Duration = Duration::from_secs(30);
/// It takes a second or two of a core's time; on one that is busy, longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A measurement and what it holds for.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    fingerprint: String,
    measured: Measured,
}

/// Why the machine was not measured.
#[derive(Debug, thiserror::Error)]
enum NotMeasured {
    /// The child cannot be run, or what it said cannot be kept.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It failed.
    #[error("the worker failed ({0}); its own message is above")]
    Failed(std::process::ExitStatus),
    /// It took too long.
    #[error("it took longer than {} s", LIMIT.as_secs())]
    Late,
    /// It said something else.
    #[error("what the worker said cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
}

/// What was measured on this machine as it is now; none where that was never done, or the machine has changed since.
pub fn kept(state_dir: &Path, inventory: &Inventory) -> Option<Measured> {
    let text = fs::read(state_dir.join(FILE)).ok()?;
    let kept: Kept = serde_json::from_slice(&text).ok()?;
    (kept.fingerprint == inventory.fingerprint()).then_some(kept.measured)
}

/// Takes up what was measured of this machine before, or has it measured, where the configuration lets it.
pub async fn begin(plan: &Plan, inventory: Inventory, desk: &SeatDesk, program: &WorkerProgram, stop: &watch::Receiver<bool>) {
    if !plan.calibration {
        return;
    }
    let (state_dir, fingerprint) = (plan.state_dir.clone(), inventory.fingerprint());
    let read = tokio::task::spawn_blocking(move || kept(&state_dir, &inventory));
    match read.await.ok().flatten() {
        Some(measured) => desk.measured(&measured),
        None => drop(tokio::spawn(measure(desk.clone(), program.clone(), plan.state_dir.clone(), fingerprint, stop.clone()))),
    }
}

/// Measures the machine some time after the start, for the seats that are asked for from then on, and keeps the result.
async fn measure(desk: SeatDesk, program: WorkerProgram, state_dir: PathBuf, fingerprint: String, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        _ = stop.changed() => return,
        () = tokio::time::sleep(BEGINS_AFTER) => {}
    }
    tokio::select! {
        _ = stop.changed() => {}
        measured = measured(&program) => match measured {
            Ok(measured) => {
                let megapixels = |rate: f64| (rate / 1e6).round();
                let rates = &measured.software;
                tracing::info!(
                    decoded = megapixels(rates.decoded),
                    scaled = megapixels(rates.scaled),
                    encoded = megapixels(rates.encoded),
                    "a core of this machine was measured, in megapixels a second; channels are admitted by that from now on"
                );
                desk.measured(&measured);
                let kept = tokio::task::spawn_blocking(move || keep(&state_dir, fingerprint, measured)).await;
                if let Ok(Err(cause)) = kept {
                    tracing::warn!(%cause, "the measurement cannot be kept in the state directory; the next start measures again");
                }
            }
            Err(cause) => tracing::warn!(%cause, "this machine could not be measured; channels are admitted by the figures of another"),
        },
    }
}

async fn measured(program: &WorkerProgram) -> Result<Measured, NotMeasured> {
    let mut command = Command::new(&program.path);
    command.args(["calibrate", "--log", &program.log]).env("HEADEND_LOG", &program.log_levels);
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.map_err(|_| NotMeasured::Late)??;
    if !output.status.success() {
        return Err(NotMeasured::Failed(output.status));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn keep(state_dir: &Path, fingerprint: String, measured: Measured) -> Result<(), NotMeasured> {
    let kept = Kept { fingerprint, measured };
    Ok(replace(&state_dir.join(FILE), &serde_json::to_vec_pretty(&kept)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::calibration::PixelRates;

    fn rates() -> Measured {
        Measured { software: PixelRates { decoded: 1e8, scaled: 2e8, encoded: 3e7 }, gpus: Vec::new() }
    }

    #[test]
    fn what_was_measured_holds_for_this_machine_and_no_other() {
        let state = tempfile::tempdir().unwrap();
        let inventory = Inventory::new(2, 2, 0, 0);
        assert_eq!(kept(state.path(), &inventory), None);
        keep(state.path(), inventory.fingerprint(), rates()).unwrap();
        assert_eq!(kept(state.path(), &inventory), Some(rates()));
        assert_eq!(kept(state.path(), &Inventory::new(4, 4, 0, 0)), None);
        fs::write(state.path().join(FILE), "{").unwrap();
        assert_eq!(kept(state.path(), &inventory), None, "a broken file is none");
    }

    #[tokio::test]
    async fn a_worker_that_fails_or_talks_nonsense_measures_nothing() {
        let shell = |script: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("script"), script).unwrap();
            let path = folder.path().join("headend-worker");
            std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stand_in_probe.sh"), &path).unwrap();
            (folder, WorkerProgram::at(path, "text", "info"))
        };
        let (_folder, fails) = shell("exit 3");
        assert!(matches!(measured(&fails).await, Err(NotMeasured::Failed(_))));
        let (_folder, talks) = shell("echo hello");
        assert!(matches!(measured(&talks).await, Err(NotMeasured::Answer(_))));
        let (_folder, well) = shell(&format!("echo '{}'", serde_json::to_string(&rates()).unwrap()));
        assert_eq!(measured(&well).await.unwrap(), rates());
    }
}
