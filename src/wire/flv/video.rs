//! Video tag bodies, legacy and enhanced.

use bytes::{Buf, Bytes};

use super::error::{Error, FourCc};
use super::extended::{byte, extended, modifiers, take};
use crate::media::VideoCodec;

const WHAT: &str = "video";

/// Frame type: a seekable picture.
const KEY: u8 = 1;

/// Frame type: a command to a player and no picture.
const COMMAND: u8 = 5;

/// Enhanced packet type: several tracks.
const MULTITRACK: u8 = 6;

/// What a tag carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// A decoder configuration record.
    Configuration(Bytes),
    /// A picture.
    Picture { offset_ms: i32, data: Bytes },
}

/// One video tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VideoTag {
    pub(super) codec: VideoCodec,
    /// The sender says that decoding can begin here.
    pub(super) key: bool,
    /// Offset to the message's timestamp in nanoseconds.
    pub(super) nanos: u32,
    pub(super) packet: Packet,
}

/// Reads a body; `None` for what carries no media, such as the end of a sequence.
pub(super) fn parse(mut body: Bytes) -> Result<Option<VideoTag>, Error> {
    if body.is_empty() {
        return Ok(None);
    }
    let first = byte(WHAT, &mut body)?;
    if first & 0x80 == 0 { legacy(first, body) } else { enhanced(first, body) }
}

fn legacy(first: u8, mut body: Bytes) -> Result<Option<VideoTag>, Error> {
    let frame = first >> 4;
    if frame == COMMAND {
        return Ok(None);
    }
    let codec = match first & 0x0f {
        7 => VideoCodec::H264,
        // Not in Adobe's list, but what encoders sent for HEVC before there was a FourCC.
        12 => VideoCodec::Hevc,
        other => return Err(Error::VideoCodec(other)),
    };
    let packet = byte(WHAT, &mut body)?;
    let offset_ms = signed_24(&mut body)?;
    let packet = match packet {
        0 => Packet::Configuration(body),
        1 => Packet::Picture { offset_ms, data: body },
        2 => return Ok(None),
        packet => return Err(Error::PacketType { what: WHAT, packet }),
    };
    Ok(Some(VideoTag { codec, key: frame == KEY, nanos: 0, packet }))
}

fn enhanced(first: u8, mut body: Bytes) -> Result<Option<VideoTag>, Error> {
    let frame = first >> 4 & 0x07;
    let (packet, nanos) = modifiers(WHAT, first & 0x0f, &mut body)?;
    if frame == COMMAND {
        return Ok(None);
    }
    let Some(tag) = extended(WHAT, MULTITRACK, packet, nanos, body)? else { return Ok(None) };
    let codec = codec(tag.code)?;
    let mut data = tag.body;
    let packet = match tag.packet {
        0 => Packet::Configuration(data),
        1 => {
            // AV1 has no composition time; its pictures come out in order.
            let offset_ms = if codec == VideoCodec::Av1 { 0 } else { signed_24(&mut data)? };
            Packet::Picture { offset_ms, data }
        }
        3 => Packet::Picture { offset_ms: 0, data },
        // 2 ends the sequence, 4 is metadata about colour that the pictures carry as well.
        2 | 4 => return Ok(None),
        5 => return Err(Error::TsSequenceStart),
        packet => return Err(Error::PacketType { what: WHAT, packet }),
    };
    Ok(Some(VideoTag { codec, key: frame == KEY, nanos: tag.nanos, packet }))
}

fn codec(code: FourCc) -> Result<VideoCodec, Error> {
    match &code.0 {
        b"avc1" => Ok(VideoCodec::H264),
        b"hvc1" => Ok(VideoCodec::Hevc),
        b"av01" => Ok(VideoCodec::Av1),
        _ => Err(Error::FourCc(code)),
    }
}

/// A composition time in milliseconds.
fn signed_24(body: &mut Bytes) -> Result<i32, Error> {
    take(WHAT, body, 3).map(|mut bytes| bytes.get_int(3) as i32)
}
