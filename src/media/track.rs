//! What a feed or a rendition carries, by track.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::Rate;

/// Video codecs that the appliance names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
}
