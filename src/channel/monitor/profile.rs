//! Codecs and profiles by the names that people and encoders' menus use.

use crate::media::aac::AacConfig;
use crate::media::av1::Av1Config;
use crate::media::h264::{self, AvcConfig};
use crate::media::hevc::{self, HevcConfig};
use crate::media::{AudioCodec, AudioTrack, VideoCodec, VideoTrack};

pub(super) fn video_codec(track: &VideoTrack) -> &str {
    match track.codec {
        VideoCodec::H264 => "H.264",
        VideoCodec::Hevc => "HEVC",
        VideoCodec::Av1 => "AV1",
        VideoCodec::Other => &track.other,
    }
}

pub(super) fn audio_codec(track: &AudioTrack) -> &str {
    match track.codec {
        AudioCodec::Aac => "AAC",
        AudioCodec::Opus => "Opus",
        AudioCodec::Mp3 => "MP3",
        AudioCodec::Other => &track.other,
    }
}

/// The profile that a decoder configuration names; `None` where it names none that has a name.
pub(super) fn of_video(track: &VideoTrack) -> Option<String> {
    let name = match track.codec {
        VideoCodec::H264 => avc(&AvcConfig::parse(&track.config).ok()?),
        VideoCodec::Hevc => match HevcConfig::parse(&track.config).ok()?.profile.profile {
            1 => "Main",
            2 => "Main 10",
            3 => "Main Still Picture",
            4 => "Range Extensions",
            _ => return None,
        },
        VideoCodec::Av1 => match Av1Config::parse(&track.config).ok()?.profile {
            0 => "Main",
            1 => "High",
            2 => "Professional",
            _ => return None,
        },
        VideoCodec::Other => return None,
    };
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

/// profile_idc (ITU-T H.264 annex A); flag 1 of the compatibility flags makes Baseline the Constrained one.
fn avc(config: &AvcConfig) -> &'static str {
    match config.profile {
        66 if config.compatibility & 0x40 != 0 => "Constrained Baseline",
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 => "High",
        110 => "High 10",
        122 => "High 4:2:2",
        244 => "High 4:4:4 Predictive",
        _ => "",
    }
}

/// The audio object type (ISO/IEC 14496-3 table 1.17) by the last number of the codec string.
pub(super) fn of_audio(track: &AudioTrack) -> Option<String> {
    if track.codec != AudioCodec::Aac {
        return None;
    }
    let name = match AacConfig::parse(&track.config).ok()?.codec_string().rsplit('.').next()? {
        "1" => "Main",
        "2" => "LC",
        "5" => "HE",
        "29" => "HE v2",
        "23" => "LD",
        _ => return None,
    };
    Some(name.to_owned())
}

/// Whether the GOP that begins here is open: its first pictures in display order need the GOP before.
pub(super) fn is_open(codec: VideoCodec, data: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => h264::access_unit_is_entry(data) == h264::Entry::RecoveryPoint,
        VideoCodec::Hevc => hevc::access_unit_is_entry(data) == hevc::Entry::Cra,
        VideoCodec::Av1 | VideoCodec::Other => false,
    }
}
