//! AAC: AudioSpecificConfig (ISO/IEC 14496-3 clause 1.6.2), ADTS headers, LATM.

mod adts;
mod config;
pub mod latm;
mod program;

pub use adts::{AdtsFrame, adts_header, parse_adts};
pub use config::{AacConfig, Extension, Signalling};
pub use latm::LatmReader;
pub use program::{Element, ProgramConfig};

/// Audio object type of AAC Main.
pub const AAC_MAIN: u8 = 1;
/// Audio object type of AAC Low Complexity.
pub const AAC_LC: u8 = 2;
/// Audio object type of spectral band replication, HE-AAC.
pub const SBR: u8 = 5;
/// Audio object type of parametric stereo, HE-AAC v2.
pub const PS: u8 = 29;

/// Sampling frequencies by index (ISO/IEC 14496-3 table 1.18).
pub const SAMPLE_RATES: [u32; 13] = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// The index of a sampling frequency, where it has one.
pub fn rate_index(sample_rate: u32) -> Option<u8> {
    SAMPLE_RATES.iter().position(|&rate| rate == sample_rate).map(|index| index as u8)
}
