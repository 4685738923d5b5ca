//! Audio tag bodies, legacy and enhanced.

use bytes::Bytes;

use super::error::{Error, FourCc};
use super::extended::{byte, extended, modifiers};
use crate::media::AudioCodec;

const WHAT: &str = "audio";

/// Enhanced packet type: several tracks.
const MULTITRACK: u8 = 5;

/// What a tag carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// AudioSpecificConfig or OpusHead.
    Configuration(Bytes),
    /// One coded frame.
    Frame(Bytes),
}

/// One audio tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AudioTag {
    pub(super) codec: AudioCodec,
    /// Offset to the message's timestamp in nanoseconds.
    pub(super) nanos: u32,
    pub(super) packet: Packet,
}

/// Reads a body; `None` for what carries no media, such as the end of a sequence.
pub(super) fn parse(mut body: Bytes) -> Result<Option<AudioTag>, Error> {
    if body.is_empty() {
        return Ok(None);
    }
    let first = byte(WHAT, &mut body)?;
    match first >> 4 {
        2 | 14 => Ok(frame(AudioCodec::Mp3, 0, body)),
        9 => enhanced(first & 0x0f, body),
        10 => match byte(WHAT, &mut body)? {
            0 => Ok(Some(AudioTag { codec: AudioCodec::Aac, nanos: 0, packet: Packet::Configuration(body) })),
            1 => Ok(frame(AudioCodec::Aac, 0, body)),
            packet => Err(Error::PacketType { what: WHAT, packet }),
        },
        other => Err(Error::SoundFormat(other)),
    }
}

fn enhanced(packet: u8, mut body: Bytes) -> Result<Option<AudioTag>, Error> {
    let (packet, nanos) = modifiers(WHAT, packet, &mut body)?;
    let Some(tag) = extended(WHAT, MULTITRACK, packet, nanos, body)? else { return Ok(None) };
    let codec = codec(tag.code)?;
    match tag.packet {
        // MP3 has no configuration, whatever stands there.
        0 if codec == AudioCodec::Mp3 => Ok(None),
        0 => Ok(Some(AudioTag { codec, nanos, packet: Packet::Configuration(tag.body) })),
        1 => Ok(frame(codec, nanos, tag.body)),
        // 2 ends the sequence, 4 names loudspeakers that the codec's own configuration names too.
        2 | 4 => Ok(None),
        packet => Err(Error::PacketType { what: WHAT, packet }),
    }
}

/// A frame, unless it is empty: encoders send such to keep a connection alive.
fn frame(codec: AudioCodec, nanos: u32, data: Bytes) -> Option<AudioTag> {
    (!data.is_empty()).then_some(AudioTag { codec, nanos, packet: Packet::Frame(data) })
}

fn codec(code: FourCc) -> Result<AudioCodec, Error> {
    match &code.0 {
        b"mp4a" => Ok(AudioCodec::Aac),
        b"Opus" => Ok(AudioCodec::Opus),
        b".mp3" => Ok(AudioCodec::Mp3),
        _ => Err(Error::FourCc(code)),
    }
}
