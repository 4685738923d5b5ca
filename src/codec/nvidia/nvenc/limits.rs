//! What a device's encoder can do for one codec.

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::_NV_ENC_CAPS as Capability;

use super::error::NvencError;
use super::session::Session;
use crate::media::VideoCodec;

/// The limits of one codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest width in pixels.
    pub max_width: u32,
    /// Largest height in pixels.
    pub max_height: u32,
    /// Smallest width in pixels.
    pub min_width: u32,
    /// Smallest height in pixels.
    pub min_height: u32,
    /// It takes 10-bit pictures.
    pub ten_bit: bool,
    /// B pictures in a row.
    pub b_pictures: u32,
    /// The middle one of a row of B pictures may be a reference.
    pub b_reference: bool,
    /// It looks ahead.
    pub look_ahead: bool,
    /// It spreads bits by what pictures have in common.
    pub temporal_aq: bool,
    /// The size of the VBV can be set.
    pub vbv_size: bool,
    /// Context-adaptive arithmetic coding of H.264.
    pub cabac: bool,
}

impl Session {
    /// The codecs of this device that the house names.
    pub fn codecs(&self) -> Result<Vec<VideoCodec>, NvencError> {
        let known = self.codec_ids()?;
        let is_there = |codec: &VideoCodec| codec_id(*codec).is_some_and(|id| known.contains(&id));
        Ok([VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1].into_iter().filter(is_there).collect())
    }

    /// The limits of a codec; one that this device does not have is an error.
    pub fn limits(&self, codec: VideoCodec) -> Result<Limits, NvencError> {
        let known = codec_id(codec).filter(|id| self.codec_ids().is_ok_and(|all| all.contains(id)));
        let Some(id) = known else {
            let detail = format!(": this device does not encode {codec:?}");
            return Err(NvencError::Call { call: "nvEncGetEncodeGUIDs", status: 12, detail });
        };
        let ask = |capability| self.capability(id, capability);
        let count = |capability| ask(capability).map(|value| u32::try_from(value).unwrap_or(0));
        let yes = |capability| ask(capability).map(|value| value > 0);
        Ok(Limits {
            max_width: count(Capability::NV_ENC_CAPS_WIDTH_MAX)?,
            max_height: count(Capability::NV_ENC_CAPS_HEIGHT_MAX)?,
            min_width: count(Capability::NV_ENC_CAPS_WIDTH_MIN)?,
            min_height: count(Capability::NV_ENC_CAPS_HEIGHT_MIN)?,
            ten_bit: yes(Capability::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE)?,
            b_pictures: count(Capability::NV_ENC_CAPS_NUM_MAX_BFRAMES)?,
            // A bit per mode: 1 each, 2 the middle one.
            b_reference: ask(Capability::NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE)? & 2 != 0,
            look_ahead: yes(Capability::NV_ENC_CAPS_SUPPORT_LOOKAHEAD)?,
            temporal_aq: yes(Capability::NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ)?,
            vbv_size: yes(Capability::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE)?,
            cabac: yes(Capability::NV_ENC_CAPS_SUPPORT_CABAC)?,
        })
    }
}

/// The codec's GUID in nvEncodeAPI.h.
pub(super) fn codec_id(codec: VideoCodec) -> Option<sdk::GUID> {
    match codec {
        VideoCodec::H264 => Some(sdk::NV_ENC_CODEC_H264_GUID),
        VideoCodec::Hevc => Some(sdk::NV_ENC_CODEC_HEVC_GUID),
        VideoCodec::Av1 => Some(sdk::NV_ENC_CODEC_AV1_GUID),
        VideoCodec::Other => None,
    }
}
