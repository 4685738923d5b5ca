//! Bits within bytes: reading and writing fields, Exp-Golomb codes, emulation prevention.

use std::borrow::Cow;

use super::malformed::Malformed;

/// Reads fields, most significant bit first. A read past the end is `None` and leaves the position where it was.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit of `data`.
    pub fn new(data: &'a [u8]) -> BitReader<'a> {
        BitReader { data, position: 0 }
    }

    /// Bits read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bits left to read.
    pub fn remaining(&self) -> usize {
        self.data.len().saturating_mul(8).saturating_sub(self.position)
    }

    /// The next `count` bits as a number; `None` where fewer are left or `count` is above 32.
    pub fn bits(&mut self, count: u32) -> Option<u32> {
        if count > 32 || self.remaining() < count as usize {
            return None;
        }
        let mut value = 0u64;
        let mut wanted = count as usize;
        while wanted > 0 {
            let byte = u64::from(*self.data.get(self.position / 8)?);
            let left_in_byte = 8 - self.position % 8;
            let taken = wanted.min(left_in_byte);
            value = value << taken | (byte >> (left_in_byte - taken)) & ((1 << taken) - 1);
            self.position += taken;
            wanted -= taken;
        }
        Some(value as u32)
    }

    /// The next bit.
    pub fn flag(&mut self) -> Option<bool> {
        self.bits(1).map(|bit| bit == 1)
    }

    /// Passes over `count` bits.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        if self.remaining() < count {
            return None;
        }
        self.position += count;
        Some(())
    }

    /// Moves to the next multiple of 8 bits from the start.
    pub fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }

    /// An unsigned Exp-Golomb code, `ue(v)` of H.264 clause 9.1; `None` also for codes above 32 bits.
    pub fn ue(&mut self) -> Option<u32> {
        let start = self.position;
        let mut zeros = 0;
        while !self.flag().or_else(|| self.back_to(start))? {
            zeros += 1;
            if zeros > 31 {
                return self.back_to(start);
            }
        }
        let Some(rest) = self.bits(zeros) else { return self.back_to(start) };
        Some(((1u64 << zeros) - 1) as u32 + rest)
    }

    /// A signed Exp-Golomb code, `se(v)` of H.264 clause 9.1.1.
    pub fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }

    fn back_to<T>(&mut self, position: usize) -> Option<T> {
        self.position = position;
        None
    }
}

/// A [`BitReader`] whose reads name the field, so that the error says where a record ended.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    record: &'static str,
    data: &'a [u8],
    reader: BitReader<'a>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(record: &'static str, data: &'a [u8]) -> Fields<'a> {
        Fields { record, data, reader: BitReader::new(data) }
    }

    pub(crate) fn bits(&mut self, count: u32, field: &'static str) -> Result<u32, Malformed> {
        self.reader.bits(count).ok_or_else(|| self.short(field))
    }

    /// Up to 8 bits; more is a defect of the caller and cut off.
    pub(crate) fn byte(&mut self, count: u32, field: &'static str) -> Result<u8, Malformed> {
        Ok(self.bits(count.min(8), field)? as u8)
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, Malformed> {
        self.reader.flag().ok_or_else(|| self.short(field))
    }

    pub(crate) fn skip(&mut self, count: usize, field: &'static str) -> Result<(), Malformed> {
        self.reader.skip(count).ok_or_else(|| self.short(field))
    }

    pub(crate) fn ue(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.reader.ue().ok_or_else(|| self.short(field))
    }

    /// An Exp-Golomb code of at most `limit`.
    pub(crate) fn ue_max(&mut self, limit: u32, field: &'static str) -> Result<u32, Malformed> {
        let value = self.ue(field)?;
        if value > limit { Err(self.value(field, value.into())) } else { Ok(value) }
    }

    pub(crate) fn se(&mut self, field: &'static str) -> Result<i32, Malformed> {
        self.reader.se().ok_or_else(|| self.short(field))
    }

    pub(crate) fn align(&mut self) {
        self.reader.align();
    }

    pub(crate) fn remaining(&self) -> usize {
        self.reader.remaining()
    }

    /// The next `count` whole bytes; the position must be a multiple of 8 bits.
    pub(crate) fn bytes(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let data = self.data;
        let start = self.reader.position().div_ceil(8);
        let bytes = data.get(start..).and_then(|rest| rest.get(..count)).ok_or_else(|| self.short(field))?;
        self.skip(count * 8, field)?;
        Ok(bytes)
    }

    /// The bytes that follow the position, which must be a multiple of 8 bits.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.data.get(self.reader.position().div_ceil(8)..).unwrap_or_default()
    }

    pub(crate) fn short(&self, field: &'static str) -> Malformed {
        Malformed::Short { record: self.record, field, length: self.data.len() }
    }

    pub(crate) fn value(&self, field: &'static str, value: u64) -> Malformed {
        Malformed::Value { record: self.record, field, value }
    }
}

/// Writes fields, most significant bit first.
#[derive(Clone, Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    free_bits: u32,
}

impl BitWriter {
    /// An empty writer.
    pub fn new() -> BitWriter {
        BitWriter::default()
    }

    /// Appends the low `count` bits of `value`, at most 32.
    pub fn bits(&mut self, value: u32, count: u32) {
        for shift in (0..count.min(32)).rev() {
            if self.free_bits == 0 {
                self.bytes.push(0);
                self.free_bits = 8;
            }
            self.free_bits -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> shift & 1) as u8) << self.free_bits;
            }
        }
    }

    /// Appends one bit.
    pub fn flag(&mut self, value: bool) {
        self.bits(value.into(), 1);
    }

    /// Fills the last byte with zeros.
    pub fn align(&mut self) {
        self.free_bits = 0;
    }

    /// What was written, the last byte filled with zeros.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// The payload of a NAL unit without its emulation prevention bytes (H.264 clause 7.3.1, HEVC clause 7.3.1.1): `00 00 03`
/// becomes `00 00`. Borrows where there are none.
pub fn unescaped(nal: &[u8]) -> Cow<'_, [u8]> {
    if !nal.windows(3).any(|window| window == [0, 0, 3]) {
        return Cow::Borrowed(nal);
    }
    let mut plain = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    Cow::Owned(plain)
}

/// The inverse of [`unescaped`]: puts an emulation prevention byte wherever three bytes would look like a start code.
pub fn escaped(plain: &[u8]) -> Vec<u8> {
    let mut nal = Vec::with_capacity(plain.len() + plain.len() / 64 + 1);
    let mut zeros = 0;
    for &byte in plain {
        if zeros >= 2 && byte <= 3 {
            nal.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        nal.push(byte);
    }
    if zeros > 0 {
        // A NAL unit must not end in a zero byte (H.264 clause 7.4.1).
        nal.push(3);
    }
    nal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exp_golomb_codes_are_those_of_the_table_in_the_standard() {
        // 1 | 010 | 011 | 00100 | 00101: ue 0 1 2 3 4, se 0 1 -1 2 -2 (H.264 tables 9-2 and 9-3).
        let data = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut unsigned = BitReader::new(&data);
        assert_eq!([(); 5].map(|()| unsigned.ue()), [0, 1, 2, 3, 4].map(Some));
        let mut signed = BitReader::new(&data);
        assert_eq!([(); 5].map(|()| signed.se()), [0, 1, -1, 2, -2].map(Some));
    }

    #[test]
    fn the_longest_code_is_read_and_a_longer_one_refused() {
        let longest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe];
        assert_eq!(BitReader::new(&longest).ue(), Some(u32::MAX - 1));
        let mut reader = BitReader::new(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!((reader.ue(), reader.position()), (None, 0));
    }

    #[test]
    fn a_read_past_the_end_leaves_the_rest_readable() {
        let mut reader = BitReader::new(&[0xa5]);
        assert_eq!((reader.bits(9), reader.bits(33), reader.bits(8), reader.bits(0)), (None, None, Some(0xa5), Some(0)));
    }

    #[test]
    fn a_start_code_inside_a_payload_is_hidden() {
        assert_eq!(escaped(&[0, 0, 1, 0, 0, 0]), [0, 0, 3, 1, 0, 0, 3, 0, 3]);
        assert_eq!(&*unescaped(&[0, 0, 3, 1, 9]), &[0, 0, 1, 9]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec((any::<u32>(), 1u32..=32), 0..40)) {
            let mut writer = BitWriter::new();
            for &(value, count) in &values {
                writer.bits(value, count);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for (value, count) in values {
                let masked = (u64::from(value) & ((1u64 << count) - 1)) as u32;
                prop_assert_eq!(reader.bits(count), Some(masked));
            }
        }

        #[test]
        fn escaping_comes_back_and_leaves_no_start_code(mut plain in prop::collection::vec(0u8..5, 0..64)) {
            plain.push(0x80); // every payload ends in a stop bit
            let nal = escaped(&plain);
            prop_assert!(!nal.windows(3).any(|w| w.starts_with(&[0, 0]) && w.last() <= Some(&2)));
            prop_assert_eq!(&*unescaped(&nal), &plain);
        }

        #[test]
        fn noise_is_no_danger_to_codes(data in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = BitReader::new(&data);
            while reader.ue().is_some() && reader.se().is_some() {}
        }
    }
}
