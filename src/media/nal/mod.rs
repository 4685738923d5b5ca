//! NAL units in the two forms that carry them: Annex B start codes and length prefixes (ISO/IEC 14496-15).

pub mod sei;
pub(crate) mod vui;

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::base::Fault;

pub use sei::SeiMessage;

/// Length-prefixed data that does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NalError {
    /// A length points past the end, or the data ends inside a length. All before `at` is whole, so
    /// `data[..at]` is what can be saved.
    #[error("NAL unit at byte {at} claims {claimed} bytes where {left} are left")]
    Truncated {
        /// Offset of the length field.
        at: usize,
        /// Bytes that it announces, or the size of the field where the field itself is cut.
        claimed: usize,
        /// Bytes that follow.
        left: usize,
    },
    /// A length field is 1 to 4 bytes wide (ISO/IEC 14496-15 clause 5.3.3.1).
    #[error("NAL lengths of {size} bytes do not exist")]
    LengthSize {
        /// The width asked for.
        size: u8,
    },
}

impl NalError {
    /// The class of the error.
    pub fn fault(&self) -> Fault {
        Fault::Corrupt
    }
}

/// The NAL units of an Annex B byte stream, none empty, without start codes and trailing zeros. Bytes before the first
/// start code are passed over.
pub fn annex_b(data: &[u8]) -> AnnexB<'_> {
    AnnexB { rest: after_start_code(data) }
}

/// Iterator of [`annex_b`].
#[derive(Clone, Debug)]
pub struct AnnexB<'a> {
    rest: Option<&'a [u8]>,
}

fn start_code(data: &[u8]) -> Option<usize> {
    data.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(data: &[u8]) -> Option<&[u8]> {
    start_code(data).and_then(|at| data.get(at + 3..))
}

impl<'a> Iterator for AnnexB<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let Some(rest) = self.rest {
            let end = start_code(rest);
            self.rest = end.and_then(|at| rest.get(at + 3..));
            let unit = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            // trailing_zero_8bits and the zero_byte of the next start code belong to no unit (H.264 annex B.1).
            let size = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            if let Some(unit @ [_, ..]) = unit.get(..size) {
                return Some(unit);
            }
        }
        None
    }
}

/// The NAL units of data with length prefixes of `length_size` bytes, none empty. The first length that does not fit
/// is an error, and the last item.
pub fn prefixed(data: &[u8], length_size: u8) -> Prefixed<'_> {
    Prefixed { data, at: 0, length_size }
}

/// The units of the house's form, four-byte lengths, as far as they are whole.
pub fn units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    prefixed(data, 4).map_while(Result::ok)
}

/// Iterator of [`prefixed`].
#[derive(Clone, Debug)]
pub struct Prefixed<'a> {
    data: &'a [u8],
    at: usize,
    length_size: u8,
}

impl<'a> Prefixed<'a> {
    fn step(&mut self) -> Result<&'a [u8], NalError> {
        let size = match self.length_size {
            1..=4 => usize::from(self.length_size),
            size => return Err(NalError::LengthSize { size }),
        };
        let at = self.at;
        let rest = self.data.get(at..).unwrap_or_default();
        let Some((field, body)) = rest.split_at_checked(size) else {
            return Err(NalError::Truncated { at, claimed: size, left: rest.len() });
        };
        let claimed = field.iter().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
        let unit = body.get(..claimed).ok_or(NalError::Truncated { at, claimed, left: body.len() })?;
        self.at = at + size + claimed;
        Ok(unit)
    }
}

impl<'a> Iterator for Prefixed<'a> {
    type Item = Result<&'a [u8], NalError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.data.len() {
            match self.step() {
                Ok([]) => {}
                Ok(unit) => return Some(Ok(unit)),
                Err(error) => {
                    self.at = self.data.len();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// Units joined with four-byte lengths.
pub fn joined<'a>(units: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    let mut data = BytesMut::new();
    for unit in units {
        let Ok(length) = u32::try_from(unit.len()) else { continue };
        data.put_u32(length);
        data.put_slice(unit);
    }
    data.freeze()
}

/// An Annex B byte stream with its start codes made four-byte lengths.
pub fn from_annex_b(data: &[u8]) -> Bytes {
    joined(annex_b(data))
}

/// Data with four-byte lengths as an Annex B byte stream, a four-byte start code before every unit.
pub fn to_annex_b(data: &[u8]) -> Result<Bytes, NalError> {
    let mut stream = BytesMut::with_capacity(data.len());
    for unit in prefixed(data, 4) {
        stream.put_slice(&[0, 0, 0, 1]);
        stream.put_slice(unit?);
    }
    Ok(stream.freeze())
}

/// The same units with four-byte lengths; shares the bytes where the lengths are that wide already. Either way the
/// result is known to be whole.
pub fn relength(data: &Bytes, from_length_size: u8) -> Result<Bytes, NalError> {
    if from_length_size == 4 {
        prefixed(data, 4).try_for_each(|unit| unit.map(drop))?;
        return Ok(data.clone());
    }
    let units: Vec<&[u8]> = prefixed(data, from_length_size).collect::<Result<_, _>>()?;
    Ok(joined(units))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn start_codes_of_both_lengths_and_trailing_zeros_part_units() {
        let stream = [9, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 0, 1, 0x65, 0, 0, 3, 1];
        let units: Vec<&[u8]> = annex_b(&stream).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x68, 2], &[0x65, 0, 0, 3, 1]]);
    }

    #[test]
    fn a_length_past_the_end_says_where_and_keeps_what_was_whole() {
        let data = [0, 0, 0, 1, 0x65, 0, 0, 0, 9, 0x41, 0x42];
        let error = NalError::Truncated { at: 5, claimed: 9, left: 2 };
        assert_eq!(prefixed(&data, 4).collect::<Vec<_>>(), [Ok(&[0x65][..]), Err(error)]);
        assert_eq!(to_annex_b(&data), Err(error));
        assert_eq!(to_annex_b(&data[..5]).unwrap(), &[0, 0, 0, 1, 0x65][..]);
        assert_eq!(units(&data).count(), 1);
    }

    #[test]
    fn a_cut_length_field_is_an_error_and_not_the_end() {
        assert_eq!(prefixed(&[0, 0, 1], 4).last(), Some(Err(NalError::Truncated { at: 0, claimed: 4, left: 3 })));
        assert_eq!(prefixed(&[0], 0).last(), Some(Err(NalError::LengthSize { size: 0 })));
        assert_eq!(prefixed(&[0; 9], 5).count(), 1);
    }

    #[test]
    fn lengths_of_other_widths_become_four_bytes() {
        let expected = &[0, 0, 0, 2, 0x65, 7, 0, 0, 0, 1, 0x41][..];
        assert_eq!(relength(&Bytes::from_static(&[2, 0x65, 7, 0, 1, 0x41]), 1).unwrap(), expected);
        assert_eq!(relength(&Bytes::from_static(&[0, 2, 0x65, 7, 0, 1, 0x41]), 2).unwrap(), expected);
        let whole = Bytes::copy_from_slice(expected);
        assert_eq!(relength(&whole, 4).unwrap().as_ptr(), whole.as_ptr());
        assert!(relength(&whole.slice(..8), 4).is_err());
    }

    proptest! {
        #[test]
        fn units_survive_both_forms(units in prop::collection::vec(prop::collection::vec(1u8.., 1..20), 0..8)) {
            let data = joined(units.iter().map(Vec::as_slice));
            prop_assert_eq!(from_annex_b(&to_annex_b(&data).unwrap()), data);
        }

        #[test]
        fn noise_ends_in_units_or_an_error(data in prop::collection::vec(0u8..4, 0..64), size in 0u8..=5) {
            let total: usize = annex_b(&data).map(<[u8]>::len).sum();
            prop_assert!(total <= data.len());
            if let Some(Err(NalError::Truncated { at, .. })) = prefixed(&data, size).last() {
                prop_assert!(prefixed(&data[..at], size).all(|unit| unit.is_ok()));
            }
            let _ = relength(&Bytes::from(data), size);
        }
    }
}
