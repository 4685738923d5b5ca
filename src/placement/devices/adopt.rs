//! What a later probe changes: who is well again, who is new, and who is good for more than before.

use super::{Devices, Gpu, State, need};
use crate::base::Mono;
use crate::media::device::{DeviceReport, EncoderState, GpuReport, Verdict};
use crate::placement::devices::health::Health;

impl Devices {
    /// Takes GPUs over that are new, or good for more than before. What is in use of the others stays as it is.
    pub(super) fn adopt(&mut self, outcome: Result<&DeviceReport, &str>, now: Mono) -> Vec<usize> {
        let found = match outcome {
            Ok(found) if !found.gpus.is_empty() => found,
            Ok(DeviceReport { absent, .. }) if self.report.gpus.is_empty() => {
                self.report.absent = absent.clone();
                return Vec::new();
            }
            Err(reason) if self.report.gpus.is_empty() => {
                self.report.absent = Some(reason.to_owned());
                return Vec::new();
            }
            _ => return Vec::new(),
        };
        let mut adopted = Vec::new();
        for gpu in &found.gpus {
            let at = self.report.gpus.iter().position(|known| is_same(known, gpu));
            match at {
                None => {
                    self.report.gpus.push(gpu.clone());
                    self.gpus.push(Gpu { health: Health::well_since(now) });
                    adopted.push(self.gpus.len() - 1);
                }
                Some(index) => {
                    // A probe sees what is left beside this process's own workers.
                    let used = self.usage(index, &[]);
                    let (Some(known), Some(state)) = (self.report.gpus.get_mut(index), self.gpus.get_mut(index)) else { continue };
                    if rank(gpu.verdict) > rank(known.verdict) {
                        *known = gpu.clone();
                        known.free_bytes = known.free_bytes.saturating_add(used.bytes).min(known.memory_bytes);
                        known.most_sessions = known.most_sessions.map(|most| most.saturating_add(used.sessions));
                        if state.health.state() == State::Healthy {
                            state.health = Health::well_since(now);
                        }
                        adopted.push(index);
                    }
                }
            }
        }
        let gpus = std::mem::take(&mut self.report.gpus);
        let DeviceReport { driver, cuda_version, nvenc_version, .. } = found.clone();
        self.report = DeviceReport { driver, cuda_version, nvenc_version, gpus, ..DeviceReport::default() };
        self.has_driver = true;
        if !adopted.is_empty() {
            self.backoff.succeeded();
        }
        adopted
    }
}

/// Whether a GPU may turn out to be good for more: one that could not be used, and one whose encoder others filled up. A GPU without an
/// encoder stays without one.
pub(super) fn may_be_more(gpu: &GpuReport) -> bool {
    match gpu.verdict {
        Verdict::Full => false,
        Verdict::Hybrid => matches!(gpu.encoder, EncoderState::Busy | EncoderState::Failing),
        Verdict::None => true,
    }
}

/// What a probe says of a GPU that is known: it is well if it is listed and good for no less than before. An encoder whose sessions are all
/// held answers: this process's own channels may be those who hold them.
pub(super) fn verdict(known: &GpuReport, outcome: Result<&DeviceReport, &str>) -> Result<(), String> {
    let report = outcome.map_err(str::to_owned)?;
    match report.gpus.iter().find(|gpu| is_same(known, gpu)) {
        Some(gpu) if need::seats(gpu.verdict) && (rank(gpu.verdict) >= rank(known.verdict) || gpu.encoder == EncoderState::Busy) => Ok(()),
        Some(gpu) => Err(gpu.reason.clone()),
        None => Err(report.absent.clone().unwrap_or_else(|| "the driver no longer lists it".to_owned())),
    }
}

/// A GPU that fails early enough has no UUID in a report: its place among the others tells which it is.
fn is_same(known: &GpuReport, found: &GpuReport) -> bool {
    if found.uuid.is_empty() || known.uuid.is_empty() { found.ordinal == known.ordinal } else { found.uuid == known.uuid }
}

/// Higher is good for more.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::None => 0,
        Verdict::Hybrid => 1,
        Verdict::Full => 2,
    }
}
