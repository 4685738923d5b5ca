//! What this build can decode and encode.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::CStr;

use ffmpeg_sys_next as ffi;
use serde::Serialize;

/// The software back end of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// libx264's version.
    pub x264_version: String,
    /// libx264's build number.
    pub x264_build: u32,
    /// libavcodec's version.
    pub libavcodec_version: String,
    /// libavformat's version.
    pub libavformat_version: String,
    /// Encoders that headend uses, by the name of their codec.
    pub encoders: Vec<String>,
    /// Codecs that can be decoded, by libavcodec's names.
    pub decoders: Vec<String>,
}

/// Asks the libraries.
pub fn capabilities() -> Capabilities {
    let (x264_version, x264_build) = super::x264_params::version();
    // SAFETY: constant functions.
    let (codec, format) = unsafe { (ffi::avcodec_version(), ffi::avformat_version()) };
    let mut encoders = vec!["h264".to_owned()];
    // SAFETY: looks up a static description.
    if !unsafe { ffi::avcodec_find_encoder(ffi::AVCodecID::AV_CODEC_ID_AAC) }.is_null() {
        encoders.push("aac".to_owned());
    }
    Capabilities {
        x264_version,
        x264_build,
        libavcodec_version: dotted(codec),
        libavformat_version: dotted(format),
        encoders,
        decoders: decoders(),
    }
}

fn dotted(version: u32) -> String {
    format!("{}.{}.{}", version >> 16, version >> 8 & 0xFF, version & 0xFF)
}

/// Audio and video codecs with a decoder.
fn decoders() -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut position = std::ptr::null_mut();
    // SAFETY: av_codec_iterate walks static descriptions, whose names are C strings.
    unsafe {
        while let Some(codec) = ffi::av_codec_iterate(&mut position).as_ref() {
            let heard_or_seen = matches!(codec.type_, ffi::AVMediaType::AVMEDIA_TYPE_VIDEO | ffi::AVMediaType::AVMEDIA_TYPE_AUDIO);
            if heard_or_seen && ffi::av_codec_is_decoder(codec) != 0 {
                names.insert(CStr::from_ptr(ffi::avcodec_get_name(codec.id)).to_string_lossy().into_owned());
            }
        }
    }
    names.into_iter().collect()
}
