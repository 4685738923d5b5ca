//! The `avcC` record of an encoder's parameter sets (ISO/IEC 14496-15, 5.3.3.1).

use bytes::{BufMut, Bytes, BytesMut};

/// The record for one SPS and one PPS (without lengths or start codes), 8-bit 4:2:0, four-byte NAL lengths.
pub(super) fn avc_config(sps: &[u8], pps: &[u8]) -> Option<Bytes> {
    let [_header, profile, compatibility, level, ..] = *sps else { return None };
    let mut record = BytesMut::new();
    record.put_slice(&[1, profile, compatibility, level, 0xFC | 3, 0xE0 | 1]);
    record.put_u16(u16::try_from(sps.len()).ok()?);
    record.put_slice(sps);
    record.put_u8(1);
    record.put_u16(u16::try_from(pps.len()).ok()?);
    record.put_slice(pps);
    // High profiles add chroma format and bit depths.
    if matches!(profile, 100 | 110 | 122 | 144) {
        record.put_slice(&[0xFC | 1, 0xF8, 0xF8, 0]);
    }
    Some(record.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_profile_record_says_its_chroma_format() {
        let record = avc_config(&[0x67, 100, 0, 31, 9], &[0x68, 1]).unwrap();
        assert_eq!(&record[..], [1, 100, 0, 31, 0xFF, 0xE1, 0, 5, 0x67, 100, 0, 31, 9, 1, 0, 2, 0x68, 1, 0xFD, 0xF8, 0xF8, 0]);
    }

    #[test]
    fn an_sps_too_short_for_its_profile_makes_no_record() {
        assert_eq!(avc_config(&[0x67, 66], &[0x68]), None);
    }
}
