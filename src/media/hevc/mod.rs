//! HEVC: parameter sets, the hvcC record, entry points, captions.

mod config;
mod profile;
mod sps;
mod time_code;

use bytes::Bytes;

pub use config::{HevcConfig, ParameterSets};
pub use profile::ProfileTierLevel;
pub use sps::{Sps, vps_rate};
pub use time_code::{TIME_CODE, time_code_unit};

use super::nal::{sei, units};

/// nal_unit_type of the first intra random access point type (BLA_W_LP); all up to [`LAST_IRAP`] are such.
pub const FIRST_IRAP: u8 = 16;
/// nal_unit_type of an IDR picture that leading pictures may follow (IDR_W_RADL).
pub const IDR_W_RADL: u8 = 19;
/// nal_unit_type of an IDR picture without leading pictures (IDR_N_LP).
pub const IDR_N_LP: u8 = 20;
/// nal_unit_type of a clean random access picture, the entry of an open GOP.
pub const CRA: u8 = 21;
/// nal_unit_type of the last intra random access point type, reserved.
pub const LAST_IRAP: u8 = 23;
/// nal_unit_type of a video parameter set.
pub const VPS: u8 = 32;
/// nal_unit_type of a sequence parameter set.
pub const SPS: u8 = 33;
/// nal_unit_type of a picture parameter set.
pub const PPS: u8 = 34;
/// nal_unit_type of an access unit delimiter.
pub const ACCESS_UNIT_DELIMITER: u8 = 35;
/// nal_unit_type of filler data.
pub const FILLER: u8 = 38;
/// nal_unit_type of supplemental enhancement information before the picture.
pub const PREFIX_SEI: u8 = 39;
/// nal_unit_type of supplemental enhancement information after the picture.
pub const SUFFIX_SEI: u8 = 40;

/// The header of a prefix SEI NAL unit, for [`sei::nal_unit`].
pub const PREFIX_SEI_HEADER: [u8; 2] = [PREFIX_SEI << 1, 1];

/// Whether decoding can begin with an access unit (HEVC clause 7.4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// No.
    None,
    /// An IDR picture: nothing after it refers to anything before it.
    Idr,
    /// A clean random access picture: leading pictures after it may refer to before it, and cannot be decoded from here.
    Cra,
    /// A broken link: as [`Entry::Cra`] where a splice took away what leading pictures refer to.
    Bla,
}

/// nal_unit_type of a NAL unit of the base layer; `None` where the header is not whole or the layer is another.
pub fn nal_type(unit: &[u8]) -> Option<u8> {
    let [first, second, ..] = unit else { return None };
    let layer = (first & 1) << 5 | second >> 3;
    (layer == 0).then_some(first >> 1 & 0x3f)
}

/// Whether decoding can begin with this access unit of four-byte lengths. Parts that are not whole do not count.
pub fn access_unit_is_entry(data: &[u8]) -> Entry {
    let first_slice = units(data).filter_map(nal_type).find(|&kind| kind < VPS);
    match first_slice {
        Some(IDR_W_RADL | IDR_N_LP) => Entry::Idr,
        Some(kind @ FIRST_IRAP..=LAST_IRAP) if kind < IDR_W_RADL => Entry::Bla,
        Some(FIRST_IRAP..=LAST_IRAP) => Entry::Cra,
        _ => Entry::None,
    }
}

/// Payloads of the prefix SEI messages with CEA-608 and CEA-708 captions in an access unit of four-byte lengths, in order.
pub fn captions(data: &[u8]) -> Vec<Bytes> {
    let of_sei = units(data).filter(|unit| nal_type(unit) == Some(PREFIX_SEI));
    of_sei.flat_map(|unit| sei::messages(unit, 2)).filter(sei::SeiMessage::is_captions).map(|message| message.payload).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::nal::{SeiMessage, joined};

    #[test]
    fn every_kind_of_random_access_point_is_named() {
        // Slices of x265 with open-gop=1: IDR_N_LP, CRA, TRAIL_N; BLA_W_RADL is the CRA's header with type 17.
        let entry = |first: u8| access_unit_is_entry(&joined([&[0x46, 0x01, 0x50][..], &[first, 0x01, 0xaf, 0x0a]]));
        assert_eq!(
            [0x28, 0x26, 0x2a, 0x22, 0x02, 0x12].map(entry),
            [Entry::Idr, Entry::Idr, Entry::Cra, Entry::Bla, Entry::None, Entry::None]
        );
    }

    #[test]
    fn a_picture_of_another_layer_is_no_entry() {
        assert_eq!(access_unit_is_entry(&joined([&[0x28, 0x09, 0xaf][..]])), Entry::None);
    }

    #[test]
    fn captions_are_found_in_a_prefix_message() {
        let payload = Bytes::from_static(b"\xb5\x00\x31GA94\x03\xc1\xff\xfc\x00\x00\x00\xff");
        let message = SeiMessage { payload_type: sei::REGISTERED_USER_DATA, payload: payload.clone() };
        let unit = sei::nal_unit(&PREFIX_SEI_HEADER, [&message]);
        assert_eq!(captions(&joined([&unit[..], &[0x28, 0x01, 0xaf]])), [payload]);
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(0u8..80, 0..64)) {
            access_unit_is_entry(&data);
            captions(&data);
        }
    }
}
