//! The card on the bench, and what every check needs of it.

use std::fs;
use std::sync::Arc;

use headend::base::Rate;
use headend::codec::nvidia::cuda::Device;
use headend::media::Grid;
use headend::media::device::{CudaSeat, GpuReport, Seat, Verdict};

use crate::clips::Clips;
use crate::options::Options;

/// The card.
pub struct Bench {
    /// What the probe found of it.
    pub gpu: GpuReport,
    /// It is a double of the driver.
    pub is_double: bool,
    /// Fewer and smaller pictures.
    pub quick: bool,
    /// Openings and closings.
    pub cycles: u32,
    /// Where clips come from.
    pub clips: Clips,
}

/// Whether a card is a double of the driver.
pub fn is_double(gpu: &GpuReport) -> bool {
    gpu.name.starts_with("Double of a GPU")
}

impl Bench {
    /// In a child, with the card that its parent has found.
    pub fn new(options: &Options) -> Result<Bench, String> {
        let file = options.card.as_deref().ok_or("--run goes with --card")?;
        let text = fs::read(file).map_err(|cause| format!("{}: {cause}", file.display()))?;
        let gpu: GpuReport = serde_json::from_slice(&text).map_err(|cause| format!("{}: {cause}", file.display()))?;
        let cycles = options.cycles.unwrap_or(if options.quick { 6 } else { 50 });
        Ok(Bench { is_double: is_double(&gpu), quick: options.quick, cycles, clips: Clips::new(options.clips.clone()), gpu })
    }

    /// The device.
    pub fn device(&self) -> Result<Arc<Device>, String> {
        Device::open(self.gpu.ordinal).map_err(|cause| cause.to_string())
    }

    /// Whether it encodes.
    pub fn encodes(&self) -> bool {
        self.gpu.verdict == Verdict::Full
    }

    /// Why it decodes nothing, where it does not.
    pub fn no_decoder(&self) -> Option<String> {
        (self.gpu.verdict == Verdict::None).then(|| self.gpu.reason.clone())
    }

    /// Why it encodes nothing, where it does not.
    pub fn no_encoder(&self) -> Option<String> {
        (!self.encodes()).then(|| self.gpu.reason.clone())
    }

    /// The seat on it.
    pub fn seat(&self) -> Seat {
        Seat::Cuda(CudaSeat { ordinal: self.gpu.ordinal, uuid: self.gpu.uuid.clone(), encodes: self.encodes() })
    }
}

/// The grid of every clip: 25 pictures a second, an IDR a second.
pub fn grid() -> Grid {
    Grid { rate: Rate::new(25, 1), gop_slots: 25, segment_slots: 50 }
}

/// Any error in words.
pub fn words(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}
