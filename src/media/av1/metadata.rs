//! Metadata units of AV1 (clauses 5.8 and 6.7) that travel with a picture: closed captions and time code.

use bytes::{Bytes, BytesMut};

use super::{FRAME, FRAME_HEADER, METADATA, Obu, obus};
use crate::media::bits::BitWriter;
use crate::media::h264::ClockTimestamp;

/// metadata_type of ITU-T T.35 data.
const ITU_T_T35: u8 = 4;
/// metadata_type of a time code.
const TIMECODE: u32 = 5;

/// A metadata unit with a picture's ITU-T T.35 message, which begins with its country code.
pub fn t35_unit(message: &[u8]) -> Bytes {
    let mut payload = vec![ITU_T_T35];
    payload.extend_from_slice(message);
    payload.push(0x80); // trailing bits
    unit(&payload)
}

/// A metadata unit with the time code of a picture.
pub fn time_code_unit(clock: &ClockTimestamp) -> Bytes {
    let mut bits = BitWriter::new();
    bits.bits(TIMECODE, 8);
    clock.write_full(&mut bits);
    bits.flag(true); // trailing bits: the fields end one bit before a byte does
    unit(&bits.finish())
}

/// A temporal unit with metadata units before its first frame, where they belong to that frame (clause 7.5).
pub fn with_metadata(data: &Bytes, metadata: &[Bytes]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + metadata.iter().map(Bytes::len).sum::<usize>());
    let mut at = 0;
    let mut units = obus(data);
    while let Some(Ok(unit)) = units.next() {
        if matches!(unit.kind, FRAME | FRAME_HEADER) {
            break;
        }
        at = data.len() - units.rest.len();
    }
    out.extend_from_slice(data.get(..at).unwrap_or_default());
    metadata.iter().for_each(|unit| out.extend_from_slice(unit));
    out.extend_from_slice(data.get(at..).unwrap_or_default());
    out.freeze()
}

fn unit(payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    Obu { kind: METADATA, extension: None, sized: true, payload }.put_sized(&mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Sequence header of libaom at 854x480, and the first six bytes of its frame.
    const UNIT: &[u8] = b"\x0a\x0b\x00\x00\x00\x24\xc6\xab\xdf\x36\xbe\x40\x10\x32\x06\x14\x00\xa0\xf8\x10\x00";

    #[test]
    fn metadata_comes_after_the_sequence_header_and_before_the_frame() {
        let data = with_metadata(&Bytes::from_static(UNIT), &[t35_unit(b"\xb5\x00\x31")]);
        let kinds: Vec<u8> = obus(&data).map(|unit| unit.unwrap().kind).collect();
        assert_eq!(kinds, [super::super::SEQUENCE_HEADER, METADATA, FRAME]);
        assert_eq!(data[13..20], [0x2a, 5, 4, 0xb5, 0x00, 0x31, 0x80]);
    }

    #[test]
    fn the_fields_of_a_time_code_lie_as_the_specification_lists_them() {
        let clock =
            ClockTimestamp { hours: 12, minutes: 34, seconds: 56, frames: 17, drop_frame: false, high_rate: false, discontinuity: true };
        let bits = "00000101 00000 1 1 0 000010001 111000 100010 01100 00000 1";
        let plain: Vec<u8> = bits.bytes().filter(|bit| *bit != b' ').map(|bit| bit - b'0').collect();
        let expected: Vec<u8> = plain.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect();
        assert_eq!(time_code_unit(&clock)[2..], expected);
    }

    proptest! {
        #[test]
        fn nothing_of_a_unit_is_lost_whatever_it_is(data in prop::collection::vec(any::<u8>(), 0..60)) {
            let extra = t35_unit(b"\xb5");
            let out = with_metadata(&Bytes::from(data.clone()), std::slice::from_ref(&extra));
            prop_assert_eq!(out.len(), data.len() + extra.len());
        }
    }
}
