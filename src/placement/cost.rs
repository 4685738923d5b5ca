//! What a ladder costs in cores, roughly: pictures are pixels, and every stage moves so many of them in a second of a core.
//!
//! Measured with libx264 on drone, street and film clips at 1080p30 down to 360p on a server core. Easy pictures cost
//! half as much, newer cores do a third more, the machine's load moves the same work by 15 %: a guide for choosing a
//! ladder, no promise.

use crate::base::Rate;
use crate::media::Rung;
use crate::media::calibration::PixelRates;

/// What the model's constants were measured with: a core that does the calibration's work at these rates.
const REFERENCE: PixelRates = PixelRates { decoded: 365e6, scaled: 382e6, encoded: 69e6 };

/// A calibration that is further off than this from the reference, either way, is not believed beyond it.
const LARGEST_FACTOR: f64 = 4.0;

/// Audio, packaging and sockets of one channel, in cores.
pub const REST: f64 = 0.05;

/// Pixels that a core of this machine moves through each stage in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(PixelRates);

impl Default for Speed {
    /// Of the core that the model was measured on: H.264 at broadcast bitrates decoded, bicubic scaling of each rung from the next larger
    /// one, x264 at `veryfast`.
    fn default() -> Speed {
        Speed(PixelRates { decoded: 178e6, scaled: 648e6, encoded: 48e6 })
    }
}

impl Speed {
    /// Of a core that was measured to do the calibration's work at these rates.
    pub fn calibrated(measured: &PixelRates) -> Speed {
        let Speed(model) = Speed::default();
        let scaled = |model: f64, measured: f64, reference: f64| {
            let factor = measured / reference;
            if factor.is_finite() && factor > 0.0 { model * factor.clamp(1.0 / LARGEST_FACTOR, LARGEST_FACTOR) } else { model }
        };
        Speed(PixelRates {
            decoded: scaled(model.decoded, measured.decoded, REFERENCE.decoded),
            scaled: scaled(model.scaled, measured.scaled, REFERENCE.scaled),
            encoded: scaled(model.encoded, measured.encoded, REFERENCE.encoded),
        })
    }

    /// Cores that a live channel needs for these rungs from a source of this size; `None` stands for the test pattern, which
    /// is not decoded.
    pub fn cores_needed(&self, source: Option<(u32, u32)>, rate: Rate, rungs: &[Rung]) -> f64 {
        let decode = source.map_or(0.0, |(width, height)| pixels(width, height, rate) / self.0.decoded);
        let scale: f64 = rungs.iter().map(|rung| pixels(rung.width, rung.height, rate) / self.0.scaled).sum();
        decode + scale + self.cores_to_encode(rate, rungs)
    }

    /// Cores for pictures that are decoded and scaled elsewhere.
    pub fn cores_to_encode(&self, rate: Rate, rungs: &[Rung]) -> f64 {
        let make = |rung: &Rung| pixels(rung.width, rung.height, rate) * preset_factor(&rung.preset) / self.0.encoded;
        rungs.iter().map(make).sum::<f64>() + REST
    }
}

fn pixels(width: u32, height: u32, rate: Rate) -> f64 {
    f64::from(width) * f64::from(height) * rate.as_f64()
}

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

/// [`Speed::cores_needed`] on a core that was not measured.
pub fn cores_needed(source: Option<(u32, u32)>, rate: Rate, rungs: &[Rung]) -> f64 {
    Speed::default().cores_needed(source, rate, rungs)
}

/// CPU time of a preset in multiples of `veryfast`; an unknown one counts as `medium`, x264's own default.
pub fn preset_factor(preset: &str) -> f64 {
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
    fn a_core_of_twice_the_speed_needs_half_the_time_and_nonsense_changes_nothing() {
        let rungs = ladder("standard").unwrap();
        let needed = |factor: f64| {
            let PixelRates { decoded, scaled, encoded } = REFERENCE;
            let measured = PixelRates { decoded: decoded * factor, scaled: scaled * factor, encoded: encoded * factor };
            Speed::calibrated(&measured).cores_needed(Some((1920, 1080)), Rate::new(30, 1), &rungs) - REST
        };
        assert!((needed(2.0) * 2.0 - needed(1.0)).abs() < 1e-9);
        assert_eq!((needed(0.0), needed(f64::NAN), needed(-1.0)), (needed(1.0), needed(1.0), needed(1.0)));
        assert_eq!((needed(1e9), needed(1e-9)), (needed(LARGEST_FACTOR), needed(1.0 / LARGEST_FACTOR)));
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
