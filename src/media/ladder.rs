//! The rungs of a ladder as the encoder is to make them.

use serde::{Deserialize, Serialize};

use super::track::VideoCodec;

/// One video rendition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Its name in addresses, metrics and logs: `720p`.
    pub name: String,
    /// What it is coded as. The software encoder makes H.264.
    pub codec: VideoCodec,
    /// Width of the coded picture in pixels, even.
    pub width: u32,
    /// Height of the coded picture in pixels, even.
    pub height: u32,
    /// Target video bitrate in bit/s.
    pub bitrate_bps: u32,
    /// Largest rate of the VBV in bit/s.
    pub vbv_rate_bps: u32,
    /// Size of the VBV in bits.
    pub vbv_size_bits: u32,
    /// x264 preset name (`superfast`, `veryfast` ...).
    pub preset: String,
    /// x264 tuning (`zerolatency`, `film` ...), empty for none.
    pub tune: String,
    /// Profile: `baseline`, `main`, `high` of H.264; `main`, `main10` of HEVC and AV1.
    pub profile: String,
}

impl Rung {
    /// A rung with the house's VBV: largest rate 1.07 times and size 1.5 times the target.
    pub fn new(name: &str, width: u32, height: u32, bitrate_bps: u32, preset: &str) -> Rung {
        let scaled = |percent: u64| (u64::from(bitrate_bps) * percent / 100).min(u64::from(u32::MAX)) as u32;
        Rung {
            name: name.into(),
            codec: VideoCodec::H264,
            width,
            height,
            bitrate_bps,
            vbv_rate_bps: scaled(107),
            vbv_size_bits: scaled(150),
            preset: preset.into(),
            tune: String::new(),
            profile: "high".into(),
        }
    }
}

/// The audio rendition that all video rungs share: AAC-LC, 48 kHz.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioRung {
    /// Its name in addresses, metrics and logs: `audio`.
    pub name: String,
    /// Target bitrate in bit/s.
    pub bitrate_bps: u32,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels; sources with more are mixed down.
    pub channels: u8,
}

impl Default for AudioRung {
    fn default() -> AudioRung {
        AudioRung { name: "audio".into(), bitrate_bps: 128_000, sample_rate: 48_000, channels: 2 }
    }
}
