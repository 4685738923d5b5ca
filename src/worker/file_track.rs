//! Streams of files as tracks of the house: one form of each codec, whatever the container's.

use bytes::Bytes;

use crate::codec::software::{StreamInfo, StreamKind};
use crate::media::av1;
use crate::media::h264::AvcConfig;
use crate::media::hevc::HevcConfig;
use crate::media::nal::{from_annex_b, relength};
use crate::media::{AudioCodec, AudioTrack, Track, VideoCodec, VideoTrack};

/// How a stream's units become those of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// They are so already.
    Plain,
    /// NAL units with lengths of this many bytes.
    Lengths(u8),
    /// NAL units with start codes.
    AnnexB,
    /// OBUs, perhaps without sizes or with temporal delimiters.
    Obus,
}

/// A track and how to make its units.
#[derive(Debug)]
pub(super) struct TrackForm {
    pub(super) track: Track,
    form: Form,
}

impl TrackForm {
    /// The track for a stream.
    pub(super) fn of(stream: &StreamInfo) -> TrackForm {
        match stream.kind {
            StreamKind::Video => video(stream),
            StreamKind::Audio => audio(stream),
        }
    }

    /// A unit in the track's form; none if it is broken beyond use.
    pub(super) fn unit(&self, data: Bytes) -> Option<Bytes> {
        let converted = match self.form {
            Form::Plain => Some(data),
            Form::Lengths(size) => relength(&data, size).ok(),
            Form::AnnexB => Some(from_annex_b(&data)),
            Form::Obus => av1::normalised(&data).ok(),
        };
        converted.filter(|data| !data.is_empty())
    }
}

fn video(stream: &StreamInfo) -> TrackForm {
    let (codec, config, form) =
        match stream.codec.as_str() {
            "h264" => avc(&stream.extradata)
                .map_or((VideoCodec::Other, None, Form::Plain), |(config, form)| (VideoCodec::H264, Some(config), form)),
            "hevc" => hevc(&stream.extradata)
                .map_or((VideoCodec::Other, None, Form::Plain), |(config, form)| (VideoCodec::Hevc, Some(config), form)),
            "av1" => (VideoCodec::Av1, None, Form::Obus),
            _ => (VideoCodec::Other, None, Form::Plain),
        };
    let track = VideoTrack {
        codec,
        other: if codec == VideoCodec::Other { stream.codec.clone() } else { String::new() },
        config: config.unwrap_or_else(|| stream.extradata.clone()),
        width: stream.width,
        height: stream.height,
        rate: stream.rate,
    };
    TrackForm { track: Track::Video(track), form }
}

/// The avcC record with four-byte lengths, from one with any or from Annex B parameter sets.
fn avc(extradata: &Bytes) -> Option<(Bytes, Form)> {
    if extradata.first() == Some(&1) {
        let config = AvcConfig::parse(extradata).ok()?;
        let form = Form::Lengths(config.length_size);
        return Some((AvcConfig { length_size: 4, ..config }.to_bytes(), form));
    }
    AvcConfig::from_access_unit(&from_annex_b(extradata)).map(|config| (config.to_bytes(), Form::AnnexB))
}

/// The hvcC record, likewise.
fn hevc(extradata: &Bytes) -> Option<(Bytes, Form)> {
    if extradata.first() == Some(&1) {
        let config = HevcConfig::parse(extradata).ok()?;
        let form = Form::Lengths(config.length_size);
        return Some((HevcConfig { length_size: 4, ..config }.to_bytes(), form));
    }
    HevcConfig::from_access_unit(&from_annex_b(extradata)).map(|config| (config.to_bytes(), Form::AnnexB))
}

/// AAC without a configuration has ADTS headers, which libavcodec reads by itself.
fn audio(stream: &StreamInfo) -> TrackForm {
    let codec = match stream.codec.as_str() {
        "aac" if !stream.extradata.is_empty() => AudioCodec::Aac,
        "opus" => AudioCodec::Opus,
        "mp3" => AudioCodec::Mp3,
        _ => AudioCodec::Other,
    };
    let track = AudioTrack {
        codec,
        other: if codec == AudioCodec::Other { stream.codec.clone() } else { String::new() },
        config: stream.extradata.clone(),
        sample_rate: stream.sample_rate,
        channels: stream.channels,
    };
    TrackForm { track: Track::Audio(track), form: Form::Plain }
}
