//! What a decoder configuration says about the look of the pictures, for containers and playlists to repeat.

use crate::media::av1::Av1Config;
use crate::media::color::Color;
use crate::media::h264::AvcConfig;
use crate::media::hevc::HevcConfig;
use crate::media::{VideoCodec, VideoTrack};

/// Colour and pixel shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appearance {
    /// The colour description.
    pub color: Color,
    /// Width to height of a sample, where it is not known to be 1 to 1.
    pub sample_aspect: Option<(u16, u16)>,
}

impl Appearance {
    /// As the configuration of a track has it; nothing specified where it cannot be read.
    pub fn of(track: &VideoTrack) -> Appearance {
        Appearance::read(track).unwrap_or_default()
    }

    fn read(track: &VideoTrack) -> Option<Appearance> {
        let (color, sample_aspect) = match track.codec {
            VideoCodec::H264 => {
                let sps = AvcConfig::parse(&track.config).ok()?.first_sps().ok()?;
                (sps.color, sps.sample_aspect)
            }
            VideoCodec::Hevc => {
                let sps = HevcConfig::parse(&track.config).ok()?.first_sps().ok()?;
                (sps.color, sps.sample_aspect)
            }
            VideoCodec::Av1 => (Av1Config::parse(&track.config).ok()?.sequence_header()?.color, None),
            VideoCodec::Other => return None,
        };
        Some(Appearance { color, sample_aspect: sample_aspect.filter(|(width, height)| *width > 0 && *height > 0) })
    }

    /// The value of VIDEO-RANGE (RFC 8216bis 4.4.6.2).
    pub fn video_range(&self) -> &'static str {
        match self.color.transfer {
            16 => "PQ",
            18 => "HLG",
            _ => "SDR",
        }
    }
}
