//! The rungs of a ladder as the encoder is to make them.

use serde::{Deserialize, Serialize};

use super::track::VideoCodec;

/// Names of presets as x264 has them, fastest first.
pub const PRESETS: [&str; 10] = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"];

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

    /// How many presets are faster than its own; none for a preset of no known name.
    pub fn faster_presets(&self) -> u8 {
        PRESETS.iter().position(|name| *name == self.preset).unwrap_or(0) as u8
    }

    /// The preset that is so many faster than its own, at most the fastest of all.
    pub fn faster_preset(&self, faster: u8) -> &str {
        let own = PRESETS.iter().position(|name| *name == self.preset);
        own.and_then(|own| PRESETS.get(own.saturating_sub(usize::from(faster)))).copied().unwrap_or(&self.preset)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_get_faster_down_to_the_fastest_and_unknown_ones_stay() {
        let rung = Rung::new("360p", 640, 360, 800_000, "veryfast");
        assert_eq!((rung.faster_presets(), rung.faster_preset(1), rung.faster_preset(9)), (2, "superfast", "ultrafast"));
        let odd = Rung::new("360p", 640, 360, 800_000, "p4");
        assert_eq!((odd.faster_presets(), odd.faster_preset(3)), (0, "p4"));
    }
}
