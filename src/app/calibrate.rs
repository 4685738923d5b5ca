//! What this machine does in a second, measured once and kept in the state directory. Until it is known the cost model's own figures hold.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::app::ask_worker::{NoAnswer, ask_worker};
use crate::app::kept_file::replace;
use crate::channel::seats::SeatDesk;
use crate::channel::worker_process::WorkerProgram;
use crate::config::Plan;
use crate::media::calibration::{GpuRates, Measured};
use crate::media::device::{DeviceReport, GpuReport, Verdict};
use crate::placement::Inventory;

/// What the worker is asked for.
const ROLE: &str = "calibrate";
/// The file below the state directory.
const FILE: &str = "calibration.json";
/// The first channels of a machine open their encoders before it is measured.
const BEGINS_AFTER: Duration = Duration::from_secs(30);
/// Each part takes a second or two of a core's time; on one that is busy, longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Encode sessions that measure a GPU that lends as many as are asked for: as many as the largest cards have engines.
const GPU_SESSIONS: u32 = 3;

/// A measurement and what it holds for.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    fingerprint: String,
    measured: Measured,
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
    let (state_dir, fingerprint, asked) = (plan.state_dir.clone(), inventory.fingerprint(), inventory.clone());
    let read = tokio::task::spawn_blocking(move || kept(&state_dir, &asked));
    match read.await.ok().flatten() {
        Some(measured) => desk.measured(&measured),
        None => {
            let (kept, gpus) = (Keep { state_dir: plan.state_dir.clone(), fingerprint }, encoding(&inventory.nvidia));
            drop(tokio::spawn(measure(desk.clone(), program.clone(), kept, gpus, stop.clone())));
        }
    }
}

/// Where a measurement is kept, and what for.
struct Keep {
    state_dir: PathBuf,
    fingerprint: String,
}

/// A GPU that is to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GpuToMeasure {
    uuid: String,
    ordinal: u32,
    sessions: u32,
}

/// The GPUs that encode. One that lends few sessions is measured by one of them, which no channel misses for long.
fn encoding(report: &DeviceReport) -> Vec<GpuToMeasure> {
    let full = report.gpus.iter().filter(|gpu| gpu.verdict == Verdict::Full);
    let sessions = |gpu: &GpuReport| gpu.most_sessions.map_or(GPU_SESSIONS, |_| 1);
    full.map(|gpu| GpuToMeasure { uuid: gpu.uuid.clone(), ordinal: gpu.ordinal, sessions: sessions(gpu) }).collect()
}

/// Measures the machine some time after the start, for the seats that are asked for from then on, and keeps the result.
async fn measure(desk: SeatDesk, program: WorkerProgram, keep: Keep, gpus: Vec<GpuToMeasure>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        _ = stop.changed() => return,
        () = tokio::time::sleep(BEGINS_AFTER) => {}
    }
    tokio::select! {
        _ = stop.changed() => {}
        measured = measured(&program, &gpus) => match measured {
            Ok(measured) => {
                say(&measured);
                desk.measured(&measured);
                // Without one of its GPUs the measurement is worth something until the next start only.
                if measured.gpus.len() < gpus.len() {
                    return;
                }
                if let Ok(Err(cause)) = tokio::task::spawn_blocking(move || keep.keep(measured)).await {
                    tracing::warn!(%cause, "the measurement cannot be kept in the state directory; the next start measures again");
                }
            }
            Err(cause) => tracing::warn!(%cause, "this machine could not be measured; channels are admitted by the figures of another"),
        },
    }
}

fn say(measured: &Measured) {
    let megapixels = |rate: f64| (rate / 1e6).round();
    let rates = &measured.software;
    tracing::info!(
        decoded = megapixels(rates.decoded),
        scaled = megapixels(rates.scaled),
        encoded = megapixels(rates.encoded),
        "a core of this machine was measured, in megapixels a second; channels are admitted by that from now on"
    );
    for GpuRates { uuid, encoded } in &measured.gpus {
        let encoded = megapixels(*encoded);
        tracing::info!(gpu = uuid, encoded, "a GPU was measured, in megapixels a second; channels go where there is most room by that");
    }
}

/// Measures a core, then each GPU. Each in a process of its own: a driver that crashes or hangs costs the figure of its GPU and no other.
async fn measured(program: &WorkerProgram, gpus: &[GpuToMeasure]) -> Result<Measured, NoAnswer> {
    let mut measured = Measured { software: ask_worker(program, ROLE, &[], LIMIT).await?, gpus: Vec::new() };
    for gpu in gpus {
        let (ordinal, sessions) = (gpu.ordinal.to_string(), gpu.sessions.to_string());
        match ask_worker(program, ROLE, &["--gpu", &gpu.uuid, "--ordinal", &ordinal, "--sessions", &sessions], LIMIT).await {
            Ok(rates) => measured.gpus.push(rates),
            Err(cause) => {
                tracing::warn!(gpu = gpu.uuid, %cause, "a GPU could not be measured; it is taken for a usual one until the next start")
            }
        }
    }
    Ok(measured)
}

impl Keep {
    fn keep(self, measured: Measured) -> io::Result<()> {
        let kept = Kept { fingerprint: self.fingerprint, measured };
        replace(&self.state_dir.join(FILE), &serde_json::to_vec_pretty(&kept).map_err(io::Error::other)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::calibration::PixelRates;

    fn rates() -> Measured {
        Measured { software: PixelRates { decoded: 1e8, scaled: 2e8, encoded: 3e7 }, gpus: Vec::new() }
    }

    fn gpu(uuid: &str, verdict: Verdict, most_sessions: Option<u32>) -> GpuReport {
        GpuReport { uuid: uuid.to_owned(), ..crate::placement::devices::tests::gpu(1, verdict, most_sessions, 1_000) }
    }

    /// A worker program that is this script.
    fn shell(script: &str) -> (tempfile::TempDir, WorkerProgram) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("script"), script).unwrap();
        let path = folder.path().join("headend-worker");
        std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stand_in_probe.sh"), &path).unwrap();
        (folder, WorkerProgram::at(path, "text", "info"))
    }

    #[test]
    fn what_was_measured_holds_for_this_machine_and_no_other() {
        let state = tempfile::tempdir().unwrap();
        let inventory = Inventory::new(2, 2, 0, 0);
        assert_eq!(kept(state.path(), &inventory), None);
        Keep { state_dir: state.path().to_owned(), fingerprint: inventory.fingerprint() }.keep(rates()).unwrap();
        assert_eq!(kept(state.path(), &inventory), Some(rates()));
        assert_eq!(kept(state.path(), &Inventory::new(4, 4, 0, 0)), None);
        fs::write(state.path().join(FILE), "{").unwrap();
        assert_eq!(kept(state.path(), &inventory), None, "a broken file is none");
    }

    #[tokio::test]
    async fn a_worker_that_fails_or_talks_nonsense_measures_nothing() {
        let (_folder, fails) = shell("exit 3");
        assert!(matches!(measured(&fails, &[]).await, Err(NoAnswer::Failed(_))));
        let (_folder, talks) = shell("echo hello");
        assert!(matches!(measured(&talks, &[]).await, Err(NoAnswer::Answer(_))));
        let (_folder, well) = shell(&format!("echo '{}'", serde_json::to_string(&rates().software).unwrap()));
        assert_eq!(measured(&well, &[]).await.unwrap(), rates());
    }

    #[tokio::test]
    async fn gpus_that_encode_are_measured_and_one_that_fails_costs_no_other() {
        let few = gpu("GPU-few", Verdict::Full, Some(3));
        let report = DeviceReport {
            gpus: vec![
                gpu("GPU-a", Verdict::Full, None),
                gpu("GPU-hybrid", Verdict::Hybrid, None),
                few,
                gpu("GPU-bad", Verdict::Full, None),
            ],
            ..DeviceReport::default()
        };
        let gpus = encoding(&report);
        let asked: Vec<(&str, u32)> = gpus.iter().map(|gpu| (gpu.uuid.as_str(), gpu.sessions)).collect();
        assert_eq!(asked, [("GPU-a", GPU_SESSIONS), ("GPU-few", 1), ("GPU-bad", GPU_SESSIONS)]);
        let software = serde_json::to_string(&rates().software).unwrap();
        let script = format!(
            r#"case "$*" in
            *GPU-bad*) exit 4 ;;
            *"--gpu GPU-"*"--ordinal 1 --sessions "*) while [ "$1" != --gpu ]; do shift; done; echo "{{\"uuid\": \"$2\", \"encoded\": $6.5}}" ;;
            *) echo '{software}' ;;
            esac"#
        );
        let (_folder, program) = shell(&script);
        let measured = measured(&program, &gpus).await.unwrap();
        let rate = |uuid: &str, encoded| GpuRates { uuid: uuid.to_owned(), encoded };
        assert_eq!(measured.gpus, [rate("GPU-a", 3.5), rate("GPU-few", 1.5)]);
    }
}
