//! What a ladder costs in cores, roughly: pictures are pixels, and every stage moves so many of them in a second of a core.
//!
//! Measured with libx264 on drone, street and film clips at 1080p30 down to 360p on a server core. Easy pictures cost
//! half as much, newer cores do a third more, the machine's load moves the same work by 15 %: a guide for choosing a
//! ladder, no promise.

use crate::base::Rate;
use crate::media::Rung;

/// Source pixels that a core decodes in a second (H.264 at broadcast bitrates).
const DECODED: f64 = 178e6;

/// Rung pixels that a core scales to in a second (bicubic, each rung from the next larger one).
const SCALED: f64 = 648e6;

/// Rung pixels that a core encodes in a second at `veryfast`.
const ENCODED_VERYFAST: f64 = 48e6;

/// Audio, packaging and sockets of one channel, in cores.
const REST: f64 = 0.05;

/// CPU time of the x264 presets in multiples of `veryfast` (medians of clips at 720p, one thread).
const PRESETS: [(&str, f64); 10] = [
    ("ultrafast", 0.25),
    ("superfast", 0.6),
    ("veryfast", 1.0),
    ("faster", 1.7),
    ("fast", 2.1),
    ("medium", 2.5),
    ("slow", 3.6),
    ("slower", 6.0),
    ("veryslow", 10.0),
    ("placebo", 34.0),
];

/// The x264 presets, fastest first.
pub fn presets() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// Cores that a live channel needs for these rungs from a source of this size; `None` stands for the test pattern, which
/// is not decoded.
pub fn cores_needed(source: Option<(u32, u32)>, rate: Rate, rungs: &[Rung]) -> f64 {
    let pixels = |width: u32, height: u32| f64::from(width) * f64::from(height) * rate.as_f64();
    let decode = source.map_or(0.0, |(width, height)| pixels(width, height) / DECODED);
    let make = |rung: &Rung| pixels(rung.width, rung.height) * (1.0 / SCALED + preset_factor(&rung.preset) / ENCODED_VERYFAST);
    decode + rungs.iter().map(make).sum::<f64>() + REST
}

/// CPU time of a preset in multiples of `veryfast`; an unknown one counts as `medium`, x264's own default.
fn preset_factor(preset: &str) -> f64 {
    PRESETS.iter().find(|(name, _)| *name == preset).map_or(2.5, |(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::ladder;

    #[test]
    fn the_standard_ladder_from_1080p30_costs_what_was_measured() {
        let cores = cores_needed(Some((1920, 1080)), Rate::new(30, 1), &ladder("standard").unwrap());
        assert!((2.5..3.0).contains(&cores), "{cores}");
    }

    #[test]
    fn slower_presets_cost_more() {
        let mut last = 0.0;
        for preset in presets() {
            let cores = cores_needed(None, Rate::new(25, 1), &[Rung::new("720p", 1280, 720, 2_000_000, preset)]);
            assert!(cores > last, "{preset}");
            last = cores;
        }
    }
}
