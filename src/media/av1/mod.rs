//! AV1: open bitstream units, the sequence header, the av1C record, key frames, metadata.

mod config;
mod metadata;
mod sequence;

use bytes::{BufMut, Bytes, BytesMut};

pub use config::Av1Config;
pub use metadata::{t35_unit, time_code_unit, with_metadata};
pub use sequence::SequenceHeader;

use super::bits::{BitReader, Fields};
use super::malformed::Malformed;

/// obu_type of a sequence header.
pub const SEQUENCE_HEADER: u8 = 1;
/// obu_type of a temporal delimiter.
pub const TEMPORAL_DELIMITER: u8 = 2;
/// obu_type of a frame header without tiles.
pub const FRAME_HEADER: u8 = 3;
/// obu_type of metadata (HDR10+, ITU-T T.35 ...).
pub const METADATA: u8 = 5;
/// obu_type of a frame header with its tiles.
pub const FRAME: u8 = 6;
/// obu_type of padding.
pub const PADDING: u8 = 15;

const RECORD: &str = "AV1 OBU";

/// One open bitstream unit (AV1 specification clause 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obu<'a> {
    /// obu_type.
    pub kind: u8,
    /// The extension byte with temporal and spatial layer, where there is one.
    pub extension: Option<u8>,
    /// The unit had its own size, and need not be the last of its data.
    pub sized: bool,
    /// What follows header and size.
    pub payload: &'a [u8],
}

impl Obu<'_> {
    /// Appends the unit with its own size.
    fn put_sized(&self, out: &mut BytesMut) {
        out.put_u8((self.kind & 15) << 3 | u8::from(self.extension.is_some()) << 2 | 2);
        out.put_slice(self.extension.as_slice());
        let mut size = self.payload.len();
        while size > 0x7f {
            out.put_u8(0x80 | (size & 0x7f) as u8);
            size >>= 7;
        }
        out.put_u8(size as u8);
        out.put_slice(self.payload);
    }
}

/// The units of a temporal unit. A unit without its own size takes all that is left. The first that is not whole is an
/// error, and the last item.
pub fn obus(data: &[u8]) -> Obus<'_> {
    Obus { rest: data }
}

/// Iterator of [`obus`].
#[derive(Clone, Debug)]
pub struct Obus<'a> {
    rest: &'a [u8],
}

impl<'a> Obus<'a> {
    fn step(&mut self) -> Result<Obu<'a>, Malformed> {
        let mut fields = Fields::new(RECORD, self.rest);
        if fields.flag("obu_forbidden_bit")? {
            return Err(fields.value("obu_forbidden_bit", 1));
        }
        let kind = fields.byte(4, "obu_type")?;
        let extended = fields.flag("obu_extension_flag")?;
        let sized = fields.flag("obu_has_size_field")?;
        fields.skip(1, "obu_reserved_1bit")?;
        let extension = if extended { Some(fields.byte(8, "obu_extension_header")?) } else { None };
        let size = if sized { leb128(&mut fields)? } else { fields.remaining() / 8 };
        let payload = fields.bytes(size, "obu_size")?;
        self.rest = fields.rest();
        Ok(Obu { kind, extension, sized, payload })
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Result<Obu<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.rest = &[];
        }
        Some(step)
    }
}

/// A number in base 128, least significant group first, at most 32 bits in 8 bytes (clause 4.10.5).
fn leb128(fields: &mut Fields<'_>) -> Result<usize, Malformed> {
    let mut value = 0u64;
    for group in 0..8 {
        let more = fields.flag("leb128")?;
        value |= u64::from(fields.byte(7, "leb128")?) << (7 * group);
        if !more {
            return match u32::try_from(value) {
                Ok(size) => Ok(size as usize),
                Err(_) => Err(fields.value("obu_size", value)),
            };
        }
    }
    Err(fields.value("obu_size", value))
}

/// A temporal unit as samples of ISO BMFF and the house carry it: every unit with its own size, no temporal delimiters.
/// Shares the bytes where they are so already.
pub fn normalised(data: &Bytes) -> Result<Bytes, Malformed> {
    let units: Vec<Obu<'_>> = obus(data).collect::<Result<_, _>>()?;
    if units.iter().all(|unit| unit.sized && unit.kind != TEMPORAL_DELIMITER) {
        return Ok(data.clone());
    }
    let mut out = BytesMut::with_capacity(data.len() + 8);
    units.iter().filter(|unit| unit.kind != TEMPORAL_DELIMITER).for_each(|unit| unit.put_sized(&mut out));
    Ok(out.freeze())
}

/// The unit with which `data` begins, with its own size; one without takes all.
pub fn with_size(data: &[u8]) -> Result<Bytes, Malformed> {
    let mut out = BytesMut::with_capacity(data.len() + 8);
    if let Some(unit) = obus(data).next() {
        unit?.put_sized(&mut out);
    }
    Ok(out.freeze())
}

/// The temporal units of a low-overhead byte stream (clause 5.1), parted where their delimiters stand, each as
/// [`normalised`] and none empty. A stream that begins without a delimiter begins within one.
pub fn temporal_units(data: &Bytes) -> Result<Vec<Bytes>, Malformed> {
    let mut parts = vec![BytesMut::new()];
    for unit in obus(data) {
        let unit = unit?;
        if unit.kind == TEMPORAL_DELIMITER {
            parts.push(BytesMut::new());
        } else if let Some(part) = parts.last_mut() {
            unit.put_sized(part);
        }
    }
    Ok(parts.into_iter().filter(|part| !part.is_empty()).map(BytesMut::freeze).collect())
}

/// The first sequence header of a temporal unit, as a whole unit with its own size (the form of configOBUs) and read.
pub fn sequence_header(data: &[u8]) -> Option<(Bytes, SequenceHeader)> {
    let unit = obus(data).map_while(Result::ok).find(|unit| unit.kind == SEQUENCE_HEADER)?;
    let header = SequenceHeader::parse(unit.payload).ok()?;
    let mut bytes = BytesMut::new();
    unit.put_sized(&mut bytes);
    Some((bytes.freeze(), header))
}

/// Whether decoding can begin with a temporal unit: its first frame is a key frame that is shown (AV1-ISOBMFF clause 2.4).
/// A key frame that is only shown later, by show_existing_frame, is no entry.
pub fn is_key_frame(data: &[u8]) -> bool {
    let mut still = false;
    for unit in obus(data).map_while(Result::ok) {
        match unit.kind {
            SEQUENCE_HEADER => still = SequenceHeader::parse(unit.payload).is_ok_and(|header| header.reduced_still_picture),
            FRAME | FRAME_HEADER => return still || starts_shown_key_frame(unit.payload).unwrap_or(false),
            _ => {}
        }
    }
    false
}

/// The beginning of uncompressed_header (clause 5.9.2).
fn starts_shown_key_frame(payload: &[u8]) -> Option<bool> {
    let mut bits = BitReader::new(payload);
    let show_existing_frame = bits.flag()?;
    let frame_type = bits.bits(2)?;
    let show_frame = bits.flag()?;
    Some(!show_existing_frame && frame_type == 0 && show_frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Begin of the first temporal unit of: ffmpeg -f lavfi -i testsrc=s=854x480:r=25 -c:v libaom-av1 -pix_fmt yuv420p -f obu;
    // the frame is cut to its first six bytes.
    const UNIT: &[u8] = b"\x12\x00\x0a\x0b\x00\x00\x00\x24\xc6\xab\xdf\x36\xbe\x40\x10\x32\x06\x14\x00\xa0\xf8\x10\x00";

    #[test]
    fn a_temporal_unit_loses_its_delimiter_and_nothing_else() {
        let whole = Bytes::from_static(UNIT);
        let normal = normalised(&whole).unwrap();
        assert_eq!(normal, UNIT[2..]);
        assert_eq!(normalised(&normal).unwrap().as_ptr(), normal.as_ptr());
    }

    #[test]
    fn a_last_unit_without_size_is_given_one() {
        let unsized_frame = Bytes::from_static(b"\x0a\x01\x55\x30\x14\x00\xa0");
        assert_eq!(normalised(&unsized_frame).unwrap(), &b"\x0a\x01\x55\x32\x03\x14\x00\xa0"[..]);
        let long = Bytes::from([&[0x30][..], &[7; 300]].concat());
        let normal = normalised(&long).unwrap();
        assert_eq!(normal[..3], [0x32, 0xac, 0x02]);
        assert_eq!(obus(&normal).next().unwrap().unwrap().payload, &long[1..]);
    }

    #[test]
    fn a_key_frame_must_be_shown_to_be_an_entry() {
        assert!(is_key_frame(UNIT));
        let frame = |first: u8| is_key_frame(&[0x32, 0x02, first, 0x00]);
        // show_existing_frame, frame_type, show_frame: key shown, key hidden, inter shown, shown once more.
        assert_eq!([0b0001_0000, 0b0000_0000, 0b0011_0000, 0b1000_0000].map(frame), [true, false, false, false]);
        assert!(!is_key_frame(&UNIT[..15]));
    }

    #[test]
    fn a_size_past_the_end_is_an_error() {
        let error = obus(&[0x0a, 0x0b, 0, 0]).last().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "AV1 OBU of 4 bytes ends inside obu_size");
        assert!(obus(&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).last().unwrap().is_err());
        assert!(obus(&[0x80]).last().unwrap().is_err());
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 5, 0x0a, 0x12, 0x32, 0x36, 0x30, 0x83, 0xff]), 0..64)) {
            is_key_frame(&data);
            sequence_header(&data);
            if let Ok(normal) = normalised(&Bytes::from(data)) {
                prop_assert!(obus(&normal).all(|unit| unit.is_ok_and(|unit| unit.sized)));
            }
        }
    }
}
