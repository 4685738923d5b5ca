//! Sequence headers to tracks.

use bytes::Bytes;

use super::error::Error;
use crate::base::Rate;
use crate::media::aac::AacConfig;
use crate::media::av1::Av1Config;
use crate::media::h264::AvcConfig;
use crate::media::hevc::{self, HevcConfig};
use crate::media::opus::OpusConfig;
use crate::media::{AudioCodec, AudioTrack, VideoCodec, VideoTrack};

/// A video track and the width of the NAL lengths that its pictures come with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Video {
    /// Its configuration says four bytes, which is what the pictures are brought to.
    pub(super) track: VideoTrack,
    pub(super) length_size: u8,
}

/// The track of a video sequence header. `rate` is what the metadata claims; the configuration knows better if it says.
pub(super) fn video(codec: VideoCodec, header: Bytes, rate: Option<Rate>) -> Result<Video, Error> {
    let (config, length_size) = match codec {
        VideoCodec::H264 => avc(&header)?,
        VideoCodec::Hevc => hevc(&header)?,
        VideoCodec::Av1 | VideoCodec::Other => {
            Av1Config::parse(&header)?;
            (header, 4)
        }
    };
    let track = VideoTrack { codec, other: String::new(), config, width: 0, height: 0, rate };
    Ok(Video { track: track.described_by_config(), length_size })
}

fn avc(header: &Bytes) -> Result<(Bytes, u8), Error> {
    let mut config = AvcConfig::parse(header)?;
    if config.sps.is_empty() || config.pps.is_empty() {
        return Err(Error::NoParameterSets);
    }
    config.first_sps()?;
    let length_size = std::mem::replace(&mut config.length_size, 4);
    Ok((if length_size == 4 { header.clone() } else { config.to_bytes() }, length_size))
}

fn hevc(header: &Bytes) -> Result<(Bytes, u8), Error> {
    let mut config = HevcConfig::parse(header)?;
    if config.sets(hevc::SPS).next().is_none() || config.sets(hevc::PPS).next().is_none() {
        return Err(Error::NoParameterSets);
    }
    config.first_sps()?;
    let length_size = std::mem::replace(&mut config.length_size, 4);
    Ok((if length_size == 4 { header.clone() } else { config.to_bytes() }, length_size))
}

/// The track of an audio sequence header.
pub(super) fn audio(codec: AudioCodec, header: Bytes) -> Result<AudioTrack, Error> {
    match codec {
        AudioCodec::Aac => AacConfig::parse(&header).map(drop)?,
        AudioCodec::Opus => OpusConfig::parse(&header).map(drop)?,
        AudioCodec::Mp3 | AudioCodec::Other => {}
    }
    let track = AudioTrack { codec, other: String::new(), config: header, sample_rate: 0, channels: 0 };
    Ok(track.described_by_config())
}

/// The track that an MP3 frame belongs to, by its frame header (ISO/IEC 11172-3, section 2.4.1.3, and 13818-3).
pub(super) fn mp3(frame: &[u8]) -> Result<AudioTrack, Error> {
    let Some([0xff, second, third, fourth]) = frame.first_chunk().copied() else { return Err(Error::Mp3) };
    let layer_3 = second & 0xe6 == 0xe2;
    let half = match second >> 3 & 3 {
        0 => 4,
        2 => 2,
        3 => 1,
        _ => return Err(Error::Mp3),
    };
    let full_rate = match third >> 2 & 3 {
        0 => 44_100,
        1 => 48_000,
        2 => 32_000,
        _ => return Err(Error::Mp3),
    };
    if !layer_3 {
        return Err(Error::Mp3);
    }
    let channels = if fourth >> 6 == 3 { 1 } else { 2 };
    let (sample_rate, config) = (full_rate / half, Bytes::new());
    Ok(AudioTrack { codec: AudioCodec::Mp3, other: String::new(), config, sample_rate, channels })
}
