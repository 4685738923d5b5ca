//! Pictures in device memory as they travel from stage to stage.

use std::sync::Arc;

use super::pool::DevicePicture;

/// A picture in device memory. Cloning shares it.
#[derive(Clone, Debug)]
pub enum CudaSurface {
    /// A decoded picture in the size of every rung: it was scaled when it was decoded, and the decoder has its surface back.
    Ladder(Arc<ScaledLadder>),
    /// The picture of one rung.
    Rung(Arc<DevicePicture>),
}

/// One source picture in the size of every rung, in the order of the rungs.
#[derive(Debug)]
pub struct ScaledLadder {
    /// The ordinal of the device.
    pub ordinal: u32,
    /// A picture per rung. What is queued on the channel's stream from now on finds them written.
    pub rungs: Vec<Arc<DevicePicture>>,
}

impl CudaSurface {
    /// The ordinal of its device.
    pub fn ordinal(&self) -> u32 {
        match self {
            CudaSurface::Ladder(ladder) => ladder.ordinal,
            CudaSurface::Rung(picture) => picture.pool().ordinal(),
        }
    }

    /// Whether both are the very same samples.
    pub fn is(&self, other: &CudaSurface) -> bool {
        match (self, other) {
            (CudaSurface::Ladder(one), CudaSurface::Ladder(other)) => Arc::ptr_eq(one, other),
            (CudaSurface::Rung(one), CudaSurface::Rung(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}
