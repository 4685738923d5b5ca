//! The ladders that have a name without being configured.

use crate::media::Rung;

/// A rung of a named ladder; its width is that of a 16:9 picture.
struct Step {
    height: u32,
    bitrate_bps: u32,
    preset: &'static str,
}

const fn step(height: u32, bitrate_bps: u32, preset: &'static str) -> Step {
    Step { height, bitrate_bps, preset }
}

/// Four rungs up to 1080p, for files and for machines with cores to spare.
const STANDARD: &[Step] = &[
    step(1080, 5_000_000, "veryfast"),
    step(720, 2_800_000, "veryfast"),
    step(480, 1_400_000, "veryfast"),
    step(360, 800_000, "veryfast"),
];

/// Two rungs that a small machine carries beside other work.
const SMALL: &[Step] = &[step(720, 2_000_000, "superfast"), step(360, 600_000, "superfast")];

/// The names that [`ladder`] knows.
pub const NAMES: [&str; 2] = ["standard", "small"];

/// A named ladder, largest rung first, in 16:9; `None` where there is none of this name.
pub fn ladder(name: &str) -> Option<Vec<Rung>> {
    let steps = match name {
        "standard" => STANDARD,
        "small" => SMALL,
        _ => return None,
    };
    Some(steps.iter().map(rung).collect())
}

/// The even width nearest to 16:9 at this height: 854 at 480.
pub fn wide_width(height: u32) -> u32 {
    let doubled = (u64::from(height) * 16 + 9) / 18;
    (doubled * 2).min(u64::from(u32::MAX - 1)) as u32
}

fn rung(step: &Step) -> Rung {
    Rung::new(&format!("{}p", step.height), wide_width(step.height), step.height, step.bitrate_bps, step.preset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_ladder_is_the_promised_one() {
        let rungs = ladder("standard").unwrap();
        let short: Vec<_> = rungs.iter().map(|r| (r.name.as_str(), r.width, r.height, r.bitrate_bps)).collect();
        let expected =
            [("1080p", 1920, 1080, 5_000_000), ("720p", 1280, 720, 2_800_000), ("480p", 854, 480, 1_400_000), ("360p", 640, 360, 800_000)];
        assert_eq!(short, expected);
        assert_eq!((rungs[0].vbv_rate_bps, rungs[0].vbv_size_bits), (5_350_000, 7_500_000));
        assert!(rungs.iter().all(|rung| rung.preset == "veryfast" && rung.profile == "high"));
    }

    #[test]
    fn every_name_has_a_ladder_and_no_other_has() {
        for name in NAMES {
            let rungs = ladder(name).unwrap();
            assert!(rungs.windows(2).all(|pair| pair[0].height > pair[1].height && pair[0].bitrate_bps > pair[1].bitrate_bps), "{name}");
        }
        assert_eq!(ladder("Standard"), None);
    }

    #[test]
    fn widths_of_16_by_9_are_even() {
        assert_eq!([1080, 720, 576, 480, 432, 360, 240].map(wide_width), [1920, 1280, 1024, 854, 768, 640, 426]);
        assert_eq!(wide_width(u32::MAX) % 2, 0);
    }
}
