//! Coded data on its way in and out.

use bytes::Bytes;

use crate::base::{MediaTime, Ticks};

/// One coded input picture or audio frame, already on the output timeline.
///
/// H.264 and HEVC data are NAL units with four-byte lengths (ISO/IEC 14496-15); AV1 is a temporal unit of OBUs with
/// sizes and no temporal delimiter; AAC is a raw frame with no ADTS header; Opus is one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Index into the feed's tracks.
    pub track: u8,
    /// When it is shown or heard.
    pub pts: MediaTime,
    /// When it is decoded, at most `pts`.
    pub dts: MediaTime,
    /// Decoding can begin here.
    pub entry: bool,
    /// The coded bytes.
    pub data: Bytes,
}

/// One coded output picture or audio frame of a rung. Data as in [`AccessUnit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Index into the channel's rungs; the audio rung comes after the video rungs.
    pub rung: u8,
    /// When it is shown or heard.
    pub pts: MediaTime,
    /// Its place in decode order on the timeline: the n-th packet of a rung carries the n-th smallest `pts`, so that an
    /// IDR of a closed GOP has `dts == pts` and `pts - dts` (the composition offset) may be negative.
    pub dts: MediaTime,
    /// How long it lasts in decode order.
    pub duration: Ticks,
    /// An IDR, or any audio frame.
    pub key: bool,
    /// The coded bytes.
    pub data: Bytes,
}
