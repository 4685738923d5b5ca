//! How busy GPUs are by what the driver says: what the child that asks the driver tells the front.

use serde::{Deserialize, Serialize};

/// The figures of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Why there are none, in words for an operator.
    pub absent: Option<String>,
    /// Every GPU that answers.
    pub gpus: Vec<GpuLoad>,
}

/// How busy a GPU is. What its driver or card does not say is none. All of it is of the whole machine, not of headend alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GpuLoad {
    /// `GPU-` and a UUID.
    pub uuid: String,
    /// Time in which kernels ran, in per cent of the driver's sampling period.
    pub kernels_percent: Option<u32>,
    /// Time in which device memory was read or written, in per cent.
    pub memory_percent: Option<u32>,
    /// Time in which the encoder worked, in per cent.
    pub encoder_percent: Option<u32>,
    /// Time in which the decoder worked, in per cent.
    pub decoder_percent: Option<u32>,
    /// Device memory in use, in bytes.
    pub memory_used_bytes: Option<u64>,
    /// Device memory that is free, in bytes.
    pub memory_free_bytes: Option<u64>,
    /// Temperature of the GPU in degrees Celsius.
    pub temperature_celsius: Option<u32>,
    /// Temperature at which it slows itself down, in degrees Celsius.
    pub temperature_limit_celsius: Option<u32>,
    /// Power that the card draws, in milliwatts.
    pub power_milliwatts: Option<u32>,
    /// Power that it may draw, in milliwatts.
    pub power_limit_milliwatts: Option<u32>,
    /// Clock of the multiprocessors in MHz.
    pub graphics_clock_mhz: Option<u32>,
    /// Clock of the memory in MHz.
    pub memory_clock_mhz: Option<u32>,
    /// Clock of the encoder and the decoder in MHz.
    pub video_clock_mhz: Option<u32>,
    /// Encode sessions of every process.
    pub encode_sessions: Option<u32>,
    /// What holds the clocks down now.
    pub throttled: Option<Vec<Throttle>>,
    /// Memory errors that were corrected since the driver was loaded.
    pub ecc_corrected: Option<u64>,
    /// Memory errors that were not.
    pub ecc_uncorrected: Option<u64>,
    /// Pages of memory that are out of use for their errors. Cards that remap rows instead (Ampere and later) say none.
    pub retired_pages: Option<u64>,
    /// Pages wait for a reboot to be taken out of use.
    pub retirement_pending: Option<bool>,
}

/// What holds the clocks of a GPU down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Throttle {
    /// It draws as much power as it may.
    Power,
    /// It, or its memory, is too hot.
    Heat,
    /// The card's own protection: heat, its supply, or a brake from outside.
    Hardware,
    /// Clocks that somebody has set, a display, or a group of cards that keep one clock.
    Setting,
}

impl Throttle {
    /// Every reason.
    pub const ALL: [Throttle; 4] = [Throttle::Power, Throttle::Heat, Throttle::Hardware, Throttle::Setting];

    /// The value of the `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Throttle::Power => "power",
            Throttle::Heat => "heat",
            Throttle::Hardware => "hardware",
            Throttle::Setting => "setting",
        }
    }
}
