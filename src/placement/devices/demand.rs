//! What a ladder takes of a GPU: encode sessions and device memory. Estimates on the safe side; only the driver knows.

use crate::base::Rate;
use crate::media::Rung;
use crate::media::device::GpuReport;

/// Pictures that a rung keeps on the device: what waits, what its encoder holds for look-ahead and B pictures, and what is shown again in holes.
const PICTURES_OF_A_RUNG: u64 = 32;
/// Pictures of its rung's size that an encode session keeps for itself: references, reconstruction, motion search.
const PICTURES_OF_A_SESSION: u64 = 16;
/// Surfaces of a decoder: the 16 references that H.264 allows, and as much again for what is mapped and displayed.
const PICTURES_OF_A_DECODER: u64 = 24;
/// A source whose size is not known counts as this.
const USUAL_SOURCE: (u32, u32) = (1920, 1088);
/// Bitstream buffers, tables, and the driver's own of a session or a decoder, in bytes.
const FIXED_BYTES: u64 = 16 << 20;
/// A context that could not be measured counts as this, in bytes.
const USUAL_CONTEXT_BYTES: u64 = 400 << 20;
/// Of a GPU's memory this stays free, in bytes: estimates err, and a device without memory fails all of its channels.
const RESERVE_BYTES: u64 = 256 << 20;

/// What one ladder takes of a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Encode sessions: one for each rung where the device encodes.
    pub sessions: u32,
    /// Device memory in bytes.
    pub bytes: u64,
    /// Pixels that are made on all rungs in a second, for balance.
    pub pixels_per_s: u64,
}

impl Demand {
    /// What these rungs at this rate, from a source of this size, take of `gpu`.
    pub fn of(rungs: &[Rung], rate: Rate, source: Option<(u32, u32)>, gpu: &GpuReport, encodes: bool) -> Demand {
        let (width, height) = source.filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(USUAL_SOURCE);
        let context = if gpu.context_bytes == 0 { USUAL_CONTEXT_BYTES } else { gpu.context_bytes };
        let decoder = picture_bytes(width, height).saturating_mul(PICTURES_OF_A_DECODER).saturating_add(FIXED_BYTES);
        let pictures = PICTURES_OF_A_RUNG + if encodes { PICTURES_OF_A_SESSION } else { 0 };
        let rung = |rung: &Rung| picture_bytes(rung.width, rung.height).saturating_mul(pictures).saturating_add(FIXED_BYTES);
        Demand {
            sessions: if encodes { u32::try_from(rungs.len()).unwrap_or(u32::MAX) } else { 0 },
            bytes: rungs.iter().map(rung).fold(context.saturating_add(decoder), u64::saturating_add),
            pixels_per_s: (rungs.iter().map(|rung| f64::from(rung.width) * f64::from(rung.height)).sum::<f64>() * rate.as_f64()) as u64,
        }
    }
}

/// Memory of `gpu` that channels may have, in bytes.
pub fn lendable_bytes(gpu: &GpuReport) -> u64 {
    gpu.free_bytes.min(gpu.memory_bytes).saturating_sub(RESERVE_BYTES)
}

/// A picture of 4:2:0 with two bytes a sample, since a source's depth may change in the middle, and lines padded to 512 bytes.
fn picture_bytes(width: u32, height: u32) -> u64 {
    let pitch = (u64::from(width) * 2).next_multiple_of(512);
    pitch.saturating_mul(u64::from(height).next_multiple_of(16)) / 2 * 3
}
