//! H.264: parameter sets, the avcC record, entry points, captions, clock timestamps.

mod config;
mod picture_timing;
mod sps;

use bytes::Bytes;

pub use config::{AvcConfig, AvcExtension};
pub use picture_timing::{ClockTimestamp, PICTURE_TIMING, with_clock_timestamp};
pub use sps::{Sps, TimingLayout};

use super::nal::{sei, units};

/// nal_unit_type of a slice of a picture that is not IDR.
pub const SLICE: u8 = 1;
/// nal_unit_type of a slice of an IDR picture.
pub const IDR_SLICE: u8 = 5;
/// nal_unit_type of supplemental enhancement information.
pub const SEI: u8 = 6;
/// nal_unit_type of a sequence parameter set.
pub const SPS: u8 = 7;
/// nal_unit_type of a picture parameter set.
pub const PPS: u8 = 8;
/// nal_unit_type of an access unit delimiter.
pub const ACCESS_UNIT_DELIMITER: u8 = 9;
/// nal_unit_type of the end of a coded sequence.
pub const END_OF_SEQUENCE: u8 = 10;
/// nal_unit_type of the end of the stream.
pub const END_OF_STREAM: u8 = 11;
/// nal_unit_type of filler data.
pub const FILLER: u8 = 12;
/// nal_unit_type of a sequence parameter set extension.
pub const SPS_EXTENSION: u8 = 13;

/// The header of a SEI NAL unit, for [`sei::nal_unit`].
pub const SEI_HEADER: [u8; 1] = [SEI];

/// Whether decoding can begin with an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// No.
    None,
    /// An IDR picture: nothing after it refers to anything before it.
    Idr,
    /// A recovery point: an open GOP, or the beginning of a gradual refresh. Pictures that follow may be damaged until it is over.
    RecoveryPoint,
}

/// nal_unit_type of a NAL unit; `None` where it is empty.
pub fn nal_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|header| header & 0x1f)
}

/// Whether decoding can begin with this access unit of four-byte lengths. Parts that are not whole do not count.
pub fn access_unit_is_entry(data: &[u8]) -> Entry {
    let mut entry = Entry::None;
    for unit in units(data) {
        match nal_type(unit) {
            Some(IDR_SLICE) => return Entry::Idr,
            Some(SEI) if sei::messages(unit, 1).iter().any(|m| m.payload_type == sei::RECOVERY_POINT) => {
                entry = Entry::RecoveryPoint;
            }
            // SEI comes before the first slice (clause 7.4.1.2.3), and IDR and other slices do not mix.
            Some(SLICE) => return entry,
            _ => {}
        }
    }
    entry
}

/// Payloads of the SEI messages with CEA-608 and CEA-708 captions in an access unit of four-byte lengths, in order.
///
/// Each is the payload of a message of type [`sei::REGISTERED_USER_DATA`]. Picture timing is left out: it is coded in
/// the terms of the source's own SPS and is wrong in any other stream.
pub fn captions(data: &[u8]) -> Vec<Bytes> {
    let of_sei = units(data).filter(|unit| nal_type(unit) == Some(SEI));
    of_sei.flat_map(|unit| sei::messages(unit, 1)).filter(sei::SeiMessage::is_captions).map(|message| message.payload).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::nal::{SeiMessage, joined};

    // First bytes of units made with: ffmpeg -f lavfi -i testsrc=s=854x480:r=25 -c:v libx264 -x264-params keyint=3:open-gop=1
    const OPEN_GOP_SEI: [u8; 5] = [0x06, 0x06, 0x01, 0xc4, 0x80];
    const INTRA_SLICE: [u8; 6] = [0x41, 0x88, 0x88, 0xc0, 0xaf, 0xfe];
    const IDR: [u8; 6] = [0x65, 0x88, 0x84, 0x00, 0x2b, 0xff];

    #[test]
    fn an_open_gop_is_entered_at_its_recovery_point() {
        assert_eq!(access_unit_is_entry(&joined([&OPEN_GOP_SEI[..], &INTRA_SLICE])), Entry::RecoveryPoint);
        assert_eq!(access_unit_is_entry(&joined([&INTRA_SLICE[..]])), Entry::None);
        assert_eq!(access_unit_is_entry(&joined([&OPEN_GOP_SEI[..], &IDR])), Entry::Idr);
        assert_eq!(access_unit_is_entry(&[]), Entry::None);
    }

    #[test]
    fn captions_are_found_among_other_messages() {
        let payload = Bytes::from_static(b"\xb5\x00\x31GA94\x03\xc1\xff\xfc\x00\x00\x00\xff");
        let sent = [
            SeiMessage { payload_type: 1, payload: Bytes::from_static(&[0x12]) },
            SeiMessage { payload_type: sei::REGISTERED_USER_DATA, payload: payload.clone() },
        ];
        let unit = sei::nal_unit(&SEI_HEADER, &sent);
        assert_eq!(captions(&joined([&unit[..], &IDR])), [payload]);
        assert!(captions(&joined([&OPEN_GOP_SEI[..], &IDR])).is_empty());
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(0u8..9, 0..64)) {
            access_unit_is_entry(&data);
            captions(&data);
        }
    }
}
