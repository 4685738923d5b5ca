//! What the enhanced headers of audio and video share: modifiers, multitrack, FourCC.

use bytes::{Buf, Bytes};

use super::error::{Error, FourCc};

/// The packet type that puts a modifier in front (`ModEx`), of both kinds.
const MODIFIER: u8 = 7;

/// An enhanced header taken off its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) packet: u8,
    pub(super) code: FourCc,
    /// Offset to the message's timestamp in nanoseconds.
    pub(super) nanos: u32,
    pub(super) body: Bytes,
}

/// Reads modifiers: each is a size less one, data, then its type and the next packet type in one byte.
/// Returns the packet type after them and the offset in nanoseconds.
pub(super) fn modifiers(what: &'static str, mut packet: u8, rest: &mut Bytes) -> Result<(u8, u32), Error> {
    let mut nanos = 0;
    while packet == MODIFIER {
        let mut size = usize::from(byte(what, rest)?) + 1;
        if size == 256 {
            let low = take(what, rest, 2)?.get_u16();
            size = usize::from(low) + 1;
        }
        let data = take(what, rest, size)?;
        let types = byte(what, rest)?;
        packet = types & 0x0f;
        if types >> 4 == 0 {
            // TimestampOffsetNano: 24 bits, at most 999,999.
            let offset = data.iter().take(3).fold(0u32, |offset, &byte| offset << 8 | u32::from(byte));
            nanos = offset.min(999_999);
        }
    }
    Ok((packet, nanos))
}

/// Reads FourCC and track behind the packet type; `None` when the message has no track 0.
pub(super) fn extended(what: &'static str, multitrack: u8, packet: u8, nanos: u32, mut rest: Bytes) -> Result<Option<Extended>, Error> {
    if packet != multitrack {
        let code = four_cc(what, &mut rest)?;
        return Ok(Some(Extended { packet, code, nanos, body: rest }));
    }
    let types = byte(what, &mut rest)?;
    let (layout, packet) = (types >> 4, types & 0x0f);
    if layout > 2 || packet == multitrack {
        return Err(Error::PacketType { what, packet: types });
    }
    // 0: one track, 1: many tracks of one codec, 2: many tracks with a codec each.
    let mut code = if layout == 2 { None } else { Some(four_cc(what, &mut rest)?) };
    while !rest.is_empty() {
        if layout == 2 {
            code = Some(four_cc(what, &mut rest)?);
        }
        let track = byte(what, &mut rest)?;
        let size = if layout == 0 { rest.len() } else { take(what, &mut rest, 3)?.get_uint(3) as usize };
        let body = take(what, &mut rest, size)?;
        if let (0, Some(code)) = (track, code) {
            return Ok(Some(Extended { packet, code, nanos, body }));
        }
    }
    Ok(None)
}

fn four_cc(what: &'static str, rest: &mut Bytes) -> Result<FourCc, Error> {
    take(what, rest, 4).map(|mut code| FourCc(code.get_u32().to_be_bytes()))
}

/// The next byte.
pub(super) fn byte(what: &'static str, rest: &mut Bytes) -> Result<u8, Error> {
    take(what, rest, 1).map(|mut byte| byte.get_u8())
}

/// The next `length` bytes.
pub(super) fn take(what: &'static str, rest: &mut Bytes, length: usize) -> Result<Bytes, Error> {
    if rest.len() < length { Err(Error::Truncated(what)) } else { Ok(rest.split_to(length)) }
}
