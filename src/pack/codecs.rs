//! RFC 6381 codec strings.

use crate::media::{AudioCodec, Track, VideoCodec};

/// The codec string of a track.
pub fn codec_string(track: &Track) -> String {
    match track {
        Track::Video(video) => match (video.codec, video.config.get(1..4)) {
            (VideoCodec::H264, Some([profile, compatibility, level])) => format!("avc1.{profile:02x}{compatibility:02x}{level:02x}"),
            (VideoCodec::H264, _) => "avc1".into(),
            (VideoCodec::Hevc, _) => "hvc1".into(),
            (VideoCodec::Av1, _) => "av01".into(),
            (VideoCodec::Other, _) => video.other.clone(),
        },
        Track::Audio(audio) => match audio.codec {
            AudioCodec::Aac => format!("mp4a.40.{}", audio.config.first().map_or(2, |first| first >> 3)),
            AudioCodec::Opus => "opus".into(),
            AudioCodec::Mp3 => "mp4a.40.34".into(),
            AudioCodec::Other => audio.other.clone(),
        },
    }
}
