//! What can be wrong with a tag.

use std::fmt;

use crate::base::Fault;
use crate::media::Malformed;
use crate::media::nal::NalError;
use crate::wire::rtmp::amf0::AmfError;

/// A codec's four characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FourCc(pub [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FourCc({self})")
    }
}

/// A tag that gives no media. Those of [`Fault::Unsupported`] stay so whatever comes next; the others cost one tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A video codec number that is not understood.
    #[error("video codec {0} is not supported: send H.264, HEVC or AV1")]
    VideoCodec(u8),
    /// A sound format number that is not understood.
    #[error("sound format {0} is not supported: send AAC, Opus or MP3")]
    SoundFormat(u8),
    /// A codec's four characters that are not understood.
    #[error("codec {0} is not supported: send avc1, hvc1 or av01 with mp4a, Opus or .mp3")]
    FourCc(FourCc),
    /// A configuration in the terms of MPEG-TS.
    #[error("an AV1 configuration as MPEG-TS descriptor is not supported: send av1C")]
    TsSequenceStart,
    /// A packet type that does not exist.
    #[error("{what} packet type {packet} does not exist")]
    PacketType {
        /// Audio or video.
        what: &'static str,
        /// The type.
        packet: u8,
    },
    /// The tag ends inside its header.
    #[error("{0} tag ends inside its header")]
    Truncated(&'static str),
    /// A sequence header cannot be what it claims to be.
    #[error("sequence header: {0}")]
    Configuration(#[from] Malformed),
    /// A sequence header without parameter sets.
    #[error("sequence header without parameter sets")]
    NoParameterSets,
    /// NAL units do not add up.
    #[error("picture: {0}")]
    Picture(#[from] NalError),
    /// AV1 units do not add up.
    #[error("AV1 temporal unit: {0}")]
    TemporalUnit(Malformed),
    /// An MP3 frame without a frame header.
    #[error("MP3 frame without a frame header")]
    Mp3,
    /// Media before its configuration, or in another codec than that.
    #[error("{0} before its sequence header")]
    NoConfiguration(&'static str),
    /// Metadata does not parse.
    #[error("metadata: {0}")]
    Metadata(#[from] AmfError),
}

impl Error {
    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            Error::VideoCodec(_) | Error::SoundFormat(_) | Error::FourCc(_) | Error::TsSequenceStart => Fault::Unsupported,
            _ => Fault::Corrupt,
        }
    }
}
