//! Chooses a live ladder by the source's size and rate and by this machine's cores.

use crate::base::Rate;
use crate::media::Rung;

use super::cost::Speed;
use super::fit::{LeftOut, Reason, fitted};
use super::inventory::LENT_SHARE;
use super::ladders::ladder;

/// The rungs of `standard` that a live source of this size (in square pixels) and rate gets on `cores` cores, largest
/// first, and what was left out and why, for the log.
///
/// Rungs are taken from the smallest up while what they need stays within three quarters of the cores, so that every
/// viewer has something to watch before anyone has more. The smallest rung is always there. Other channels of the
/// machine are not taken into account.
pub fn auto(source_width: u32, source_height: u32, rate: Rate, cores: usize) -> (Vec<Rung>, Vec<LeftOut>) {
    let lent = cores.max(1) as f64 * LENT_SHARE;
    auto_within((source_width, source_height), rate, Speed::default(), lent, cores)
}

/// The same where channels may have `free` of the machine's `cores`, on cores of this speed.
pub fn auto_within(source: (u32, u32), rate: Rate, speed: Speed, free: f64, cores: usize) -> (Vec<Rung>, Vec<LeftOut>) {
    let (fits, mut left_out) = fitted(&ladder("standard").unwrap_or_default(), source.0, source.1);
    let needed = |from: usize| speed.cores_needed(Some(source), rate, fits.get(from..).unwrap_or_default());
    let first = (0..fits.len()).find(|first| needed(*first) <= free).unwrap_or(fits.len().saturating_sub(1));
    left_out.extend(
        fits.iter()
            .take(first)
            .enumerate()
            .map(|(index, rung)| LeftOut { rung: rung.clone(), reason: Reason::Cores { needed: needed(index), budget: free, cores } }),
    );
    (fits.into_iter().skip(first).collect(), left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::cores_needed;
    use proptest::prelude::*;

    fn names(width: u32, height: u32, rate: Rate, cores: usize) -> Vec<String> {
        auto(width, height, rate, cores).0.into_iter().map(|rung| rung.name).collect()
    }

    #[test]
    fn two_cores_carry_a_full_hd_source_without_its_largest_rung() {
        let (rungs, left_out) = auto(1920, 1080, Rate::new(30, 1), 2);
        assert_eq!(rungs.iter().map(|rung| rung.name.as_str()).collect::<Vec<_>>(), ["720p", "480p", "360p"]);
        let reasons: Vec<String> = left_out.iter().map(LeftOut::to_string).collect();
        let expected = "1080p is left out: with it the ladder needs about 2.8 cores, and 1.5 of 2 may be used; \
                        name a ladder in the configuration to have it all the same";
        assert_eq!(reasons, [expected]);
    }

    #[test]
    fn four_cores_carry_all_of_it() {
        assert_eq!(names(1920, 1080, Rate::new(30, 1), 4), ["1080p", "720p", "480p", "360p"]);
        assert_eq!(names(1920, 1080, Rate::new(60, 1), 4), ["720p", "480p", "360p"]);
    }

    #[test]
    fn something_is_always_on_the_air() {
        assert_eq!(names(3840, 2160, Rate::new(60, 1), 1), ["360p"]);
        assert_eq!(names(320, 240, Rate::new(25, 1), 0), ["240p"]);
    }

    #[test]
    fn a_small_source_on_a_large_machine_says_why_it_has_few_rungs() {
        let (rungs, left_out) = auto(854, 480, Rate::new(25, 1), 64);
        assert_eq!((rungs.len(), left_out.len()), (2, 2));
        assert!(left_out.iter().all(|rung| rung.reason == Reason::LargerThanSource { source_lines: 480 }));
    }

    proptest! {
        #[test]
        fn more_cores_never_give_fewer_rungs(width in 2u32..4000, height in 2u32..4000, rate in 10u32..60, cores in 1usize..64) {
            let (rungs, left_out) = auto(width, height, Rate::new(rate, 1), cores);
            let (more, _) = auto(width, height, Rate::new(rate, 1), cores + 1);
            prop_assert!(!rungs.is_empty() && more.len() >= rungs.len() && more.ends_with(&rungs));
            prop_assert!(rungs.len() + left_out.len() == 4 || rungs.len() == 1);
            prop_assert!(rungs.len() == 1 || cores_needed(Some((width, height)), Rate::new(rate, 1), &rungs) <= cores as f64 * LENT_SHARE);
        }
    }
}
