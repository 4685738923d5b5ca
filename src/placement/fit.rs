//! Limits a ladder to what a source has to show.

use std::fmt;

use crate::media::Rung;

/// Smallest side that a rung may have in pixels: one macroblock. Only sources below it are enlarged.
const SMALLEST_SIDE: u32 = 16;

/// Largest side that a rung may have in pixels, whatever a source claims.
const LARGEST_SIDE: u32 = 8192;

/// Smallest bitrate of a rung that was made for a tiny source, in bit/s.
const SMALLEST_BITRATE_BPS: u64 = 100_000;

/// A rung that was left out.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// The rung, as its ladder has it.
    pub rung: Rung,
    /// Why.
    pub reason: Reason,
}

/// Why a rung was left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The source has fewer lines, and pictures are never enlarged.
    LargerThanSource {
        /// Lines of the source (its shorter side).
        source_lines: u32,
    },
    /// The machine has too few cores.
    Cores {
        /// What the ladder up to this rung needs, in cores.
        needed: f64,
        /// What it may use, in cores.
        budget: f64,
        /// Cores that the process may use.
        cores: usize,
    },
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::LargerThanSource { source_lines } => {
                write!(f, "{} is left out: the source has {source_lines} lines and is never enlarged", self.rung.name)
            }
            Reason::Cores { needed, budget, cores } => write!(
                f,
                "{} is left out: with it the ladder needs about {needed:.1} cores, and {budget:.1} of {cores} may be used; \
                 name a ladder in the configuration to have it all the same",
                self.rung.name
            ),
        }
    }
}

/// `ladder` limited to a source of this size (in square pixels), and what was left out.
///
/// Rungs with more lines than the source are left out; the others keep their lines and take the source's shape, so 480p
/// is 854x480 of a 16:9 source and 640x480 of a 4:3 one. A source that is smaller than every rung gets one rung of its
/// own size, named by its lines, at the smallest rung's bits per pixel. Lines are counted on the shorter side, so that
/// `720p` of an upright phone is 720x1280. An empty ladder stays empty.
pub fn fitted(ladder: &[Rung], source_width: u32, source_height: u32) -> (Vec<Rung>, Vec<LeftOut>) {
    let source_lines = source_width.min(source_height);
    let (fits, larger): (Vec<&Rung>, Vec<&Rung>) = ladder.iter().partition(|rung| lines(rung) <= source_lines);
    let left_out =
        larger.into_iter().map(|rung| LeftOut { rung: rung.clone(), reason: Reason::LargerThanSource { source_lines } }).collect();
    let mut rungs: Vec<Rung> = fits.into_iter().map(|rung| shaped(rung, lines(rung), source_width, source_height)).collect();
    if rungs.is_empty() {
        rungs.extend(ladder.iter().min_by_key(|rung| lines(rung)).map(|smallest| own_size(smallest, source_width, source_height)));
    }
    (rungs, left_out)
}

fn lines(rung: &Rung) -> u32 {
    rung.width.min(rung.height)
}

/// `rung` with this many lines in the shape of the source.
fn shaped(rung: &Rung, lines: u32, source_width: u32, source_height: u32) -> Rung {
    let (short, long) = (source_width.min(source_height).max(1), source_width.max(source_height));
    // The nearest even number, and no more than the source has: half a pixel of an odd source would be enlarging.
    let doubled = (u64::from(long) * u64::from(lines) + u64::from(short)) / (2 * u64::from(short));
    let long_side = side((doubled * 2).min(u64::from(long)).min(u64::from(LARGEST_SIDE)) as u32);
    let short_side = side(lines);
    let (width, height) = if source_width >= source_height { (long_side, short_side) } else { (short_side, long_side) };
    Rung { width, height, ..rung.clone() }
}

/// A rung of the source's own size with the settings of `smallest`.
fn own_size(smallest: &Rung, source_width: u32, source_height: u32) -> Rung {
    let own = shaped(smallest, source_width.min(source_height), source_width, source_height);
    let pixels = |rung: &Rung| u64::from(rung.width) * u64::from(rung.height);
    let share = |bits: u32| {
        let scaled = u128::from(bits) * u128::from(pixels(&own)) / u128::from(pixels(smallest).max(1));
        scaled.clamp(u128::from(SMALLEST_BITRATE_BPS), u128::from(u32::MAX)) as u32
    };
    let named = Rung::new(&format!("{}p", lines(&own)), own.width, own.height, share(smallest.bitrate_bps), &smallest.preset);
    Rung { tune: own.tune, profile: own.profile, ..named }
}

/// An even side within what an encoder takes.
fn side(pixels: u32) -> u32 {
    pixels.clamp(SMALLEST_SIDE, LARGEST_SIDE) & !1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::ladder;
    use proptest::prelude::*;

    fn sizes(width: u32, height: u32) -> Vec<(String, u32, u32)> {
        let (rungs, left_out) = fitted(&ladder("standard").unwrap(), width, height);
        assert!(rungs.len() + left_out.len() >= 4);
        rungs.into_iter().map(|rung| (rung.name, rung.width, rung.height)).collect()
    }

    fn named(expected: &[(&str, u32, u32)]) -> Vec<(String, u32, u32)> {
        expected.iter().map(|(name, width, height)| ((*name).into(), *width, *height)).collect()
    }

    #[test]
    fn a_full_hd_source_gets_every_rung() {
        let expected = [("1080p", 1920, 1080), ("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)];
        assert_eq!(sizes(1920, 1080), named(&expected));
        assert_eq!(sizes(3840, 2160), named(&expected));
    }

    #[test]
    fn a_source_between_rungs_is_not_enlarged() {
        assert_eq!(sizes(1600, 900), named(&[("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)]));
        assert_eq!(sizes(720, 576), named(&[("480p", 600, 480), ("360p", 450, 360)]));
    }

    #[test]
    fn widths_follow_the_shape_of_the_source() {
        assert_eq!(sizes(640, 480), named(&[("480p", 640, 480), ("360p", 480, 360)]));
        assert_eq!(sizes(853, 480)[0], ("480p".into(), 852, 480));
    }

    #[test]
    fn an_upright_phone_keeps_its_lines() {
        assert_eq!(sizes(720, 1280), named(&[("720p", 720, 1280), ("480p", 480, 854), ("360p", 360, 640)]));
    }

    #[test]
    fn a_tiny_source_gets_one_rung_of_its_own_size() {
        let (rungs, left_out) = fitted(&ladder("standard").unwrap(), 426, 240);
        assert_eq!((rungs.len(), left_out.len()), (1, 4));
        assert_eq!((rungs[0].name.as_str(), rungs[0].width, rungs[0].height, rungs[0].bitrate_bps), ("240p", 426, 240, 355_000));
        assert_eq!(rungs[0].vbv_rate_bps, 379_850);
        assert_eq!(left_out[3].to_string(), "360p is left out: the source has 240 lines and is never enlarged");
    }

    #[test]
    fn no_ladder_stays_no_ladder() {
        assert_eq!(fitted(&[], 640, 480), (vec![], vec![]));
    }

    proptest! {
        #[test]
        fn whatever_a_source_claims_the_rungs_can_be_encoded(width in any::<u32>(), height in any::<u32>(), small in any::<bool>()) {
            let (width, height) = if small { (width % 3000, height % 3000) } else { (width, height) };
            let (rungs, left_out) = fitted(&ladder("standard").unwrap(), width, height);
            prop_assert!(!rungs.is_empty() && (rungs.len() + left_out.len() == 4 || rungs.len() == 1));
            for rung in &rungs {
                prop_assert!(rung.width % 2 == 0 && rung.height % 2 == 0);
                prop_assert!(rung.width <= width.max(SMALLEST_SIDE) && rung.height <= height.max(SMALLEST_SIDE));
                prop_assert!((SMALLEST_SIDE..=LARGEST_SIDE).contains(&rung.width) && (SMALLEST_SIDE..=LARGEST_SIDE).contains(&rung.height));
                prop_assert!(rung.bitrate_bps >= SMALLEST_BITRATE_BPS as u32);
            }
        }
    }
}
