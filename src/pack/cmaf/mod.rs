//! CMAF (ISO/IEC 23000-19): one header per configuration, one segment file per media sequence number.
//!
//! ```text
//! init-N.mp4   ftyp moov                            nothing but the configuration
//! N.m4s        styp (moof mdat) (moof mdat) ...     one fragment per GOP; audio has one fragment
//! ```

mod entry;
mod fragment;
mod header;

pub use fragment::{Fragmenter, check_size};
pub use header::header;

use super::presentation::OutputTrack;
use crate::base::FLICKS_PER_SECOND;
use crate::media::{AudioCodec, Track};

/// Units of a second in which a track's times are written: whole for every picture of its rate and every sample.
///
/// 90 kHz wherever a picture lasts a whole number of its ticks, so that CMAF, MPEG-TS and DASH share their numbers.
pub fn timescale(track: &OutputTrack) -> u32 {
    const MPEG: u32 = 90_000;
    match &track.track {
        Track::Audio(audio) if audio.codec == AudioCodec::Opus => 48_000,
        Track::Audio(audio) if audio.sample_rate > 0 => audio.sample_rate,
        Track::Audio(_) => MPEG,
        Track::Video(video) => match track.rate.or(video.rate) {
            Some(rate) if rate.numerator > 0 && !is_whole(rate.denominator, rate.numerator, MPEG) => {
                let fine_enough = 10_000u32.div_ceil(rate.numerator);
                rate.numerator.checked_mul(fine_enough).filter(|scale| i64::from(*scale) <= FLICKS_PER_SECOND).unwrap_or(MPEG)
            }
            _ => MPEG,
        },
    }
}

fn is_whole(numerator: u32, denominator: u32, scale: u32) -> bool {
    (u64::from(numerator) * u64::from(scale)).is_multiple_of(u64::from(denominator))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rate;
    use crate::base::rate::GRID_RATES;
    use crate::pack::tests::fixtures;

    #[test]
    fn every_picture_of_every_grid_rate_begins_on_a_whole_tick() {
        for rate in GRID_RATES {
            let scale = timescale(&fixtures::video("v", 1280, 720, rate));
            assert!(is_whole(rate.denominator, rate.numerator, scale), "{rate} in {scale}");
            assert!(scale >= 10_000, "{rate} in {scale}");
        }
        assert_eq!(timescale(&fixtures::video("v", 1280, 720, Rate::new(25, 1))), 90_000);
        assert_eq!(timescale(&fixtures::video("v", 1280, 720, Rate::new(24_000, 1001))), 24_000);
    }
}
