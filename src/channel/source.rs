//! What a channel needs to know of its first source before it can go on the air: the rate, and in words what it is.

use std::fmt::Write;

use crate::base::{Rate, Ticks};
use crate::channel::feed::SourceUnit;
use crate::media::{AudioCodec, Track, VideoCodec};

/// Pictures after which the measured rate is believed.
const PICTURES: usize = 16;
/// Units that are held at most while the rate is being found.
pub const HELD_UNITS: usize = 160;
/// The grid of a programme whose source has no pictures.
const RATE_WITHOUT_PICTURES: Rate = Rate::new(25, 1);
/// A claim outside of this is a timer resolution, not a frame rate.
const CREDIBLE: std::ops::RangeInclusive<f64> = 5.0..=121.0;

/// The grid rate for a source: what its headers claim if credible, else what the first pictures show.
///
/// `None` while too few pictures are known.
pub fn grid_rate(tracks: &[Track], units: &[SourceUnit]) -> Option<Rate> {
    let Some(video) = tracks.iter().find_map(Track::video) else { return Some(RATE_WITHOUT_PICTURES) };
    if let Some(claimed) = video.rate.map(Rate::as_f64).filter(|claimed| CREDIBLE.contains(claimed)) {
        return Some(Rate::snapped(claimed));
    }
    let index = tracks.iter().position(|track| track.video().is_some()).unwrap_or(0);
    let times: Vec<Ticks> = units.iter().filter(|unit| usize::from(unit.track) == index).map(|unit| unit.dts).collect();
    if times.len() < PICTURES && units.len() < HELD_UNITS {
        return None;
    }
    Some(measured(&times).unwrap_or(RATE_WITHOUT_PICTURES))
}

/// The rate of the middle steps: robust against a hole and against the whole milliseconds of RTMP.
fn measured(times: &[Ticks]) -> Option<Rate> {
    let mut steps: Vec<i64> = times.windows(2).map(|pair| (pair[1] - pair[0]).0).filter(|step| *step > 0).collect();
    steps.sort_unstable();
    let quarter = steps.len() / 4;
    let middle = steps.get(quarter..steps.len() - quarter).filter(|middle| !middle.is_empty())?;
    let mean = middle.iter().sum::<i64>() as f64 / middle.len() as f64;
    Some(Rate::snapped(crate::base::FLICKS_PER_SECOND as f64 / mean))
}

/// A source in words: `H.264 1280x720 24 fps, AAC 48 kHz 2 channels`.
pub fn description(tracks: &[Track]) -> String {
    let mut text = String::new();
    for track in tracks {
        if !text.is_empty() {
            text.push_str(", ");
        }
        match track {
            Track::Video(video) => {
                let name = match video.codec {
                    VideoCodec::H264 => "H.264",
                    VideoCodec::Hevc => "HEVC",
                    VideoCodec::Av1 => "AV1",
                    VideoCodec::Other => &video.other,
                };
                let _ = write!(text, "{name} {}x{}", video.width, video.height);
                if let Some(rate) = video.rate {
                    let _ = write!(text, " {:.4} fps", rate.as_f64());
                }
            }
            Track::Audio(audio) => {
                let name = match audio.codec {
                    AudioCodec::Aac => "AAC",
                    AudioCodec::Opus => "Opus",
                    AudioCodec::Mp3 => "MP3",
                    AudioCodec::Other => &audio.other,
                };
                let _ = write!(text, "{name} {} Hz {} channels", audio.sample_rate, audio.channels);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::VideoTrack;
    use bytes::Bytes;

    fn video(rate: Option<Rate>) -> Vec<Track> {
        vec![Track::Video(VideoTrack { codec: VideoCodec::H264, other: String::new(), config: Bytes::new(), width: 64, height: 64, rate })]
    }

    fn pictures(steps_ms: impl Iterator<Item = i64>) -> Vec<SourceUnit> {
        let mut at = 0;
        steps_ms
            .map(|step| {
                at += step;
                SourceUnit { track: 0, dts: Ticks::from_millis(at), offset: Ticks::ZERO, entry: false, data: Bytes::new() }
            })
            .collect()
    }

    #[test]
    fn a_claim_of_a_thousand_pictures_a_second_is_measured_instead() {
        let units = pictures([33, 33, 34].into_iter().cycle().take(20));
        assert_eq!(grid_rate(&video(Some(Rate::new(1000, 1))), &units), Some(Rate::new(30, 1)));
        assert_eq!(grid_rate(&video(None), &units[..5]), None);
    }

    #[test]
    fn a_hole_in_the_first_second_does_not_change_the_rate() {
        let units = pictures((0..20).map(|n| if n == 7 { 900 } else { 40 }));
        assert_eq!(grid_rate(&video(None), &units), Some(Rate::new(25, 1)));
    }

    #[test]
    fn sound_alone_has_a_grid_too() {
        assert_eq!(grid_rate(&[], &[]), Some(Rate::new(25, 1)));
    }
}
