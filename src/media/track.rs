//! What a feed or a rendition carries, by track.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::aac::AacConfig;
use super::av1::Av1Config;
use super::h264::AvcConfig;
use super::hevc::HevcConfig;
use super::opus::OpusConfig;
use crate::base::Rate;

/// Video codecs that the appliance names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    Hevc,
    /// AOMedia AV1.
    Av1,
    /// Another codec of a file, by libavcodec's name for it in [`VideoTrack::other`].
    Other,
}

/// Audio codecs that the appliance names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioCodec {
    /// MPEG-4 AAC.
    Aac,
    /// Opus.
    Opus,
    /// MPEG audio layer 3.
    Mp3,
    /// Another codec of a file, by libavcodec's name for it in [`AudioTrack::other`].
    Other,
}

/// A video track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// The codec.
    pub codec: VideoCodec,
    /// libavcodec's name where `codec` is `Other`, else empty.
    pub other: String,
    /// Decoder configuration: avcC, hvcC or av1C record (ISO/IEC 14496-15, AV1-ISOBMFF), without the box header.
    pub config: Bytes,
    /// Width of the shown picture in pixels; 0 where unknown.
    pub width: u32,
    /// Height of the shown picture in pixels; 0 where unknown.
    pub height: u32,
    /// Rate that the source claims.
    pub rate: Option<Rate>,
}

/// An audio track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioTrack {
    /// The codec.
    pub codec: AudioCodec,
    /// libavcodec's name where `codec` is `Other`, else empty.
    pub other: String,
    /// Decoder configuration: AudioSpecificConfig (ISO/IEC 14496-3), OpusHead (RFC 7845), or empty.
    pub config: Bytes,
    /// Samples a second; 0 where unknown.
    pub sample_rate: u32,
    /// Channels; 0 where unknown.
    pub channels: u8,
}

/// A track of either kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Track {
    /// Pictures.
    Video(VideoTrack),
    /// Sound.
    Audio(AudioTrack),
}

impl Track {
    /// The track as video, if it is.
    pub fn video(&self) -> Option<&VideoTrack> {
        match self {
            Track::Video(track) => Some(track),
            Track::Audio(_) => None,
        }
    }

    /// The track as audio, if it is.
    pub fn audio(&self) -> Option<&AudioTrack> {
        match self {
            Track::Audio(track) => Some(track),
            Track::Video(_) => None,
        }
    }
    /// Codec string for playlists, manifests and players (RFC 6381). Where the configuration cannot be read it names the
    /// codec without its profile, or with the most common one; for other codecs it is libavcodec's name.
    pub fn codec_string(&self) -> String {
        match self {
            Track::Video(track) => track.codec_string(),
            Track::Audio(track) => track.codec_string(),
        }
    }
}

/// Rates that timing information can mean; outside are the clocks of streams with variable rate.
const BELIEVABLE_RATES: std::ops::RangeInclusive<f64> = 1.0..=300.0;

impl VideoTrack {
    /// As [`Track::codec_string`].
    pub fn codec_string(&self) -> String {
        let described = match self.codec {
            VideoCodec::H264 => AvcConfig::parse(&self.config).map(|config| config.codec_string()),
            VideoCodec::Hevc => HevcConfig::parse(&self.config).map(|config| config.codec_string()),
            VideoCodec::Av1 => Av1Config::parse(&self.config).map(|config| config.codec_string()),
            VideoCodec::Other => return self.other.clone(),
        };
        let bare = match self.codec {
            VideoCodec::Hevc => "hvc1",
            VideoCodec::Av1 => "av01",
            _ => "avc1",
        };
        described.unwrap_or_else(|_| bare.into())
    }

    /// The track with width, height and rate as its configuration says, where it does; the rest as it was.
    pub fn described_by_config(&self) -> VideoTrack {
        let Some((width, height, rate)) = self.pictures() else { return self.clone() };
        let believable = rate.filter(|rate| BELIEVABLE_RATES.contains(&rate.as_f64()));
        VideoTrack { width, height, rate: believable.or(self.rate), ..self.clone() }
    }

    /// Width, height and rate by the configuration.
    fn pictures(&self) -> Option<(u32, u32, Option<Rate>)> {
        match self.codec {
            VideoCodec::H264 => {
                let sps = AvcConfig::parse(&self.config).ok()?.first_sps().ok()?;
                Some((sps.width, sps.height, sps.rate))
            }
            VideoCodec::Hevc => {
                let config = HevcConfig::parse(&self.config).ok()?;
                let sps = config.first_sps().ok()?;
                Some((sps.width, sps.height, config.rate()))
            }
            VideoCodec::Av1 => {
                let header = Av1Config::parse(&self.config).ok()?.sequence_header()?;
                Some((header.width, header.height, header.rate))
            }
            VideoCodec::Other => None,
        }
    }
}

impl AudioTrack {
    /// As [`Track::codec_string`].
    pub fn codec_string(&self) -> String {
        match self.codec {
            AudioCodec::Aac => AacConfig::parse(&self.config).map_or_else(|_| "mp4a.40.2".into(), |config| config.codec_string()),
            AudioCodec::Opus => "opus".into(),
            // MPEG-1 audio in the registry of MP4 object types; layer 3 has no number of its own.
            AudioCodec::Mp3 => "mp4a.6B".into(),
            AudioCodec::Other => self.other.clone(),
        }
    }

    /// The track with sample rate and channels as its configuration says, where it does; the rest as it was.
    pub fn described_by_config(&self) -> AudioTrack {
        let (sample_rate, channels) = match self.codec {
            // Opus always decodes at 48 kHz (RFC 7845 section 5.1).
            AudioCodec::Opus => OpusConfig::parse(&self.config).map_or((0, 0), |config| (48_000, config.channels)),
            AudioCodec::Aac => AacConfig::parse(&self.config).map_or((0, 0), |config| (config.output_rate(), config.channels())),
            AudioCodec::Mp3 | AudioCodec::Other => (0, 0),
        };
        AudioTrack {
            sample_rate: if sample_rate == 0 { self.sample_rate } else { sample_rate },
            channels: if channels == 0 { self.channels } else { channels },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Records of ffmpeg's libx264, libx265 and libsvtav1 at 1920x1080 and 30000/1001, of its aac encoder and of libopus.
    const AVCC: &[u8] = b"\x01\x64\x00\x28\xff\xe1\x00\x19\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\x00";
    const HVCC: &[u8] = b"\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x78\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x01\xa1\x00\x01\x00\x29\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x78\xa0\x03\xc0\x80\x10\xe5\x96\x56\x69\x24\xca\xf0\x16\x80\x80\x00\x01\xf4\x80\x00\x3a\x98\x04";
    const AV1C: &[u8] = b"\x81\x08\x0c\x00\x0a\x0b\x00\x00\x00\x42\xab\xbf\xc3\x73\xef\xe4\x01";
    const ASC: &[u8] = b"\x2b\x11\x88\x00";
    const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";

    fn video(codec: VideoCodec, config: &'static [u8]) -> VideoTrack {
        VideoTrack { codec, other: String::new(), config: Bytes::from_static(config), width: 2, height: 2, rate: Some(Rate::new(7, 1)) }
    }

    fn audio(codec: AudioCodec, config: &'static [u8]) -> AudioTrack {
        AudioTrack { codec, other: String::new(), config: Bytes::from_static(config), sample_rate: 7, channels: 7 }
    }

    #[test]
    fn the_configuration_overrules_what_a_publisher_claims() {
        let film = Some(Rate::new(30_000, 1001));
        for (codec, config, rate, name) in [
            (VideoCodec::H264, AVCC, film, "avc1.640028"),
            (VideoCodec::Hevc, HVCC, film, "hvc1.1.6.L120.90"),
            (VideoCodec::Av1, AV1C, Some(Rate::new(7, 1)), "av01.0.08M.08"),
        ] {
            let track = video(codec, config).described_by_config();
            assert_eq!((track.width, track.height, track.rate), (1920, 1080, rate), "{codec:?}");
            assert_eq!(Track::Video(track).codec_string(), name);
        }
        for (codec, config, name) in [(AudioCodec::Aac, ASC, "mp4a.40.5"), (AudioCodec::Opus, OPUS_HEAD, "opus")] {
            let track = audio(codec, config).described_by_config();
            assert_eq!((track.sample_rate, track.channels), (48_000, 2), "{codec:?}");
            assert_eq!(Track::Audio(track).codec_string(), name);
        }
    }

    #[test]
    fn a_broken_configuration_leaves_the_claims_and_a_bare_name() {
        for (codec, name) in [(VideoCodec::H264, "avc1"), (VideoCodec::Hevc, "hvc1"), (VideoCodec::Av1, "av01"), (VideoCodec::Other, "")] {
            let track = video(codec, b"\x07\x07");
            assert_eq!((track.described_by_config(), track.codec_string().as_str()), (track, name));
        }
        for (codec, name) in [(AudioCodec::Aac, "mp4a.40.2"), (AudioCodec::Mp3, "mp4a.6B"), (AudioCodec::Opus, "opus")] {
            let track = audio(codec, b"\xff");
            assert_eq!((track.described_by_config(), track.codec_string().as_str()), (track, name));
        }
    }
}
