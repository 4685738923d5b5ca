//! What a ladder takes of a machine: cores by the cost model, memory by what libraries hold. Estimates; only running it tells.

use super::cost::preset_factor;
use super::cost::{REST, Speed, presets};
use super::devices::Need;
use super::pool::Amount;
use crate::media::Rung;

/// A worker with its libraries, its queues and sound.
const WORKER_BYTES: u64 = 64 << 20;
/// The driver and a context, in main memory.
const CONTEXT_BYTES: u64 = 256 << 20;
/// Bytes for each pixel of the source: twenty pictures of the decoder and of what waits to be shown.
const SOURCE_BYTES: u64 = 30;
/// Bytes for each pixel of a rung: what x264 holds for look-ahead and reference in several copies, and pictures on their way.
const RUNG_BYTES: u64 = 80;

/// The presets that a fallback may take instead of slower ones, slowest first.
pub const FALLBACK_PRESETS: [&str; 2] = ["superfast", "ultrafast"];

/// A core's speed turned to what channels need.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// What a core does.
    pub speed: Speed,
}

impl Cost {
    /// In software, with these of the rungs that are asked for. A source whose size is not known is taken to be as large as the largest one
    /// that is asked for.
    pub fn in_software(&self, need: &Need, rungs: &[Rung]) -> Amount {
        let largest = need.rungs.iter().max_by_key(|rung| rung_pixels(rung)).map(|rung| (rung.width, rung.height));
        let known = need.source.map(|source| (source.width, source.height)).filter(|(width, height)| *width > 0 && *height > 0);
        let source = known.or(largest);
        let source_pixels = source.map_or(0, |(width, height)| u64::from(width).saturating_mul(u64::from(height)));
        let bytes = WORKER_BYTES.saturating_add(source_pixels.saturating_mul(SOURCE_BYTES)).saturating_add(encoder_bytes(rungs));
        Amount::new(self.speed.cores_needed(source, need.load.rate, rungs), bytes) + kept(need, rungs)
    }

    /// What a seat on a device takes of the rest of the machine: sound and packaging, and x264 where the device does not encode.
    pub fn beside_a_device(&self, need: &Need, encodes: bool) -> Amount {
        let (cores, bytes) = match encodes {
            true => (REST, 0),
            false => (self.speed.cores_to_encode(need.load.rate, need.rungs), encoder_bytes(need.rungs)),
        };
        Amount::new(cores, bytes.saturating_add(CONTEXT_BYTES)) + kept(need, need.rungs)
    }
}

fn rung_pixels(rung: &Rung) -> u64 {
    u64::from(rung.width).saturating_mul(u64::from(rung.height))
}

fn encoder_bytes(rungs: &[Rung]) -> u64 {
    rungs.iter().map(|rung| rung_pixels(rung).saturating_mul(RUNG_BYTES)).fold(0, u64::saturating_add)
}

/// What the front keeps for viewers.
fn kept(need: &Need, rungs: &[Rung]) -> Amount {
    let bytes_per_s: f64 = rungs.iter().map(|rung| f64::from(rung.bitrate_bps) / 8.0).sum();
    Amount { millicores: 0, bytes: (bytes_per_s * need.load.kept_s) as u64 }
}

/// The rungs with no preset slower than this one.
pub fn no_slower(rungs: &[Rung], preset: &str) -> Vec<Rung> {
    let fastest = preset_factor(preset);
    let capped = |rung: &Rung| match preset_factor(&rung.preset) > fastest {
        true => Rung { preset: preset.to_owned(), ..rung.clone() },
        false => rung.clone(),
    };
    rungs.iter().map(capped).collect()
}

/// What would fit instead of `need.rungs`, in words: fewer rungs, faster presets, and where neither helps both or a lower rate.
pub fn nearest(cost: &Cost, need: &Need, fits: impl Fn(Amount) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let fits_in_software = |rungs: &[Rung]| !rungs.is_empty() && fits(cost.in_software(need, rungs));
    let fewer = (1..need.rungs.len()).find(|left_out| fits_in_software(need.rungs.get(*left_out..).unwrap_or_default()));
    found.extend(fewer.map(|left_out| format!("without {}", names(need.rungs.get(..left_out).unwrap_or_default()))));
    let slowest = need.rungs.iter().map(|rung| preset_factor(&rung.preset)).fold(0.0, f64::max);
    let mut faster: Vec<&str> = presets().filter(|preset| preset_factor(preset) < slowest).collect();
    faster.reverse();
    found.extend(
        faster.into_iter().find(|preset| fits_in_software(&no_slower(need.rungs, preset))).map(|preset| format!("with preset {preset}")),
    );
    if found.is_empty() {
        let fast = no_slower(need.rungs, "ultrafast");
        let fewer = (1..fast.len()).find(|left_out| fits_in_software(fast.get(*left_out..).unwrap_or_default()));
        found.extend(
            fewer.map(|left_out| format!("without {} and with preset ultrafast", names(need.rungs.get(..left_out).unwrap_or_default()))),
        );
    }
    found
}

/// `1080p and 720p`.
fn names(rungs: &[Rung]) -> String {
    rungs.iter().map(|rung| rung.name.as_str()).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::devices::{DeviceWish, Load};
    use crate::placement::ladder;

    fn standard(fits: impl Fn(Amount) -> bool) -> Vec<String> {
        let (wish, rungs) = (DeviceWish::default(), ladder("standard").unwrap());
        nearest(&Cost::default(), &Need { wish: &wish, source: None, rungs: &rungs, avoid: &[], load: Load::default() }, fits)
    }

    #[test]
    fn a_full_hd_ladder_on_two_cores_fits_without_its_largest_rung_or_with_a_faster_preset() {
        assert_eq!(standard(|amount| amount.millicores <= 2000), ["without 1080p", "with preset superfast"]);
        assert_eq!(standard(|amount| amount.millicores <= 1200), ["without 1080p and 720p", "with preset ultrafast"]);
        assert_eq!(standard(|amount| amount.millicores <= 480), ["without 1080p and 720p and 480p and with preset ultrafast"]);
        assert_eq!(standard(|_| false), [""; 0]);
    }

    #[test]
    fn a_preset_that_is_fast_already_stays() {
        let rungs = no_slower(&[Rung::new("a", 640, 360, 1, "ultrafast"), Rung::new("b", 320, 180, 1, "slow")], "superfast");
        assert_eq!(rungs.iter().map(|rung| rung.preset.as_str()).collect::<Vec<_>>(), ["ultrafast", "superfast"]);
    }

    #[test]
    fn a_device_takes_the_work_and_one_without_an_encoder_half_of_it() {
        let (wish, rungs) = (DeviceWish::default(), ladder("standard").unwrap());
        let need = Need { wish: &wish, source: None, rungs: &rungs, avoid: &[], load: Load { kept_s: 60.0, ..Load::default() } };
        let cost = Cost::default();
        let (software, hybrid, full) =
            (cost.in_software(&need, &rungs), cost.beside_a_device(&need, false), cost.beside_a_device(&need, true));
        assert!(software.millicores > hybrid.millicores && hybrid.millicores > 20 * full.millicores);
        assert_eq!(full.bytes, (256 << 20) + 75_000_000, "a minute of 10 Mbit/s");
    }
}
