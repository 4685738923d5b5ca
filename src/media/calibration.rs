//! What a machine was measured to do, in pixels a second.

use serde::{Deserialize, Serialize};

/// How fast pictures go through the stages, in pixels a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixelRates {
    /// Decoded (H.264).
    pub decoded: f64,
    /// Scaled; pixels of the result.
    pub scaled: f64,
    /// Encoded (H.264, `veryfast`).
    pub encoded: f64,
}

/// The same of a GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuRates {
    /// Its UUID.
    pub uuid: String,
    /// Pixels that its encoders make of pictures in a second, all of them together.
    pub encoded: f64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// One core, in a second of its own time.
    pub software: PixelRates,
    /// Each GPU that encodes, in a second of the clock.
    #[serde(default)]
    pub gpus: Vec<GpuRates>,
}
