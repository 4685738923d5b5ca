//! What the NAL units of H.264 and HEVC say of the access unit that they are in.

use crate::media::bits::BitReader;
use crate::media::h264::{self, AvcConfig, Sps};
use crate::media::hevc::{self, HevcConfig};
use crate::media::nal::units;
use crate::media::{VideoCodec, VideoTrack};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    H264,
    Hevc,
}

/// What the first bytes of a NAL unit say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// A slice.
    pub(super) slice: bool,
    /// Behind a slice it begins another access unit (H.264 clause 7.4.1.2.3, HEVC clause 7.4.2.4.4).
    pub(super) begins: bool,
    /// It begins a picture: what `begins` means where it is a slice.
    pub(super) first_slice: bool,
    /// A sequence parameter set.
    pub(super) sequence: bool,
    /// It says nothing that units with lengths and times do not: delimiters and filler.
    pub(super) idle: bool,
}

impl Codec {
    /// Bytes of a NAL unit that [`Codec::role`] wants.
    pub(super) fn role_bytes(self) -> usize {
        match self {
            Codec::H264 => 2,
            Codec::Hevc => 3,
        }
    }

    /// The role of a NAL unit by its first bytes.
    pub(super) fn role(self, unit: &[u8]) -> Role {
        match self {
            Codec::H264 => h264_role(unit),
            Codec::Hevc => hevc_role(unit),
        }
    }

    /// The track of an access unit that carries all its parameter sets.
    pub(super) fn track(self, data: &[u8]) -> Option<VideoTrack> {
        let (codec, config) = match self {
            Codec::H264 => (VideoCodec::H264, AvcConfig::from_access_unit(data)?.to_bytes()),
            Codec::Hevc => (VideoCodec::Hevc, HevcConfig::from_access_unit(data)?.to_bytes()),
        };
        let track = VideoTrack { codec, other: String::new(), config, width: 0, height: 0, rate: None };
        Some(track.described_by_config())
    }

    /// Whether coded pictures may be fields, two to a frame, by a sequence parameter set.
    pub(super) fn has_fields(self, sequence: &[u8]) -> bool {
        self == Codec::H264 && Sps::parse(sequence).is_ok_and(|sps| !sps.progressive)
    }

    /// Whether decoding can begin with an access unit: the bitstream decides, and the sender's word counts where that leaves
    /// it open.
    pub(super) fn is_entry(self, data: &[u8], random_access: bool) -> bool {
        match self {
            Codec::H264 => match h264::access_unit_is_entry(data) {
                h264::Entry::Idr => true,
                // A gradual refresh has these too, and begins with pictures that are not intra.
                h264::Entry::RecoveryPoint => random_access || is_intra(data),
                // Encoders of broadcasters leave the recovery point out.
                h264::Entry::None => random_access && has_sequence(data) && is_intra(data),
            },
            Codec::Hevc => hevc::access_unit_is_entry(data) != hevc::Entry::None,
        }
    }
}

fn h264_role(unit: &[u8]) -> Role {
    let kind = h264::nal_type(unit).unwrap_or_default();
    // first_mb_in_slice of zero is a single set bit.
    let first = unit.get(1).is_some_and(|byte| byte & 0x80 != 0);
    match kind {
        1 | 2 | 5 => Role { slice: true, begins: first, first_slice: first, ..Role::default() },
        3 | 4 => Role { slice: true, ..Role::default() },
        h264::SPS => Role { begins: true, sequence: true, ..Role::default() },
        h264::ACCESS_UNIT_DELIMITER => Role { begins: true, idle: true, ..Role::default() },
        h264::FILLER => Role { idle: true, ..Role::default() },
        h264::SEI | h264::PPS | 15..=18 => Role { begins: true, ..Role::default() },
        _ => Role::default(),
    }
}

fn hevc_role(unit: &[u8]) -> Role {
    // Pictures of other layers belong to the access unit of the base layer.
    let Some(kind) = hevc::nal_type(unit) else { return Role::default() };
    let first = unit.get(2).is_some_and(|byte| byte & 0x80 != 0);
    match kind {
        0..=31 => Role { slice: true, begins: first, first_slice: first, ..Role::default() },
        hevc::SPS => Role { begins: true, sequence: true, ..Role::default() },
        hevc::ACCESS_UNIT_DELIMITER => Role { begins: true, idle: true, ..Role::default() },
        hevc::FILLER => Role { idle: true, ..Role::default() },
        hevc::VPS | hevc::PPS | hevc::PREFIX_SEI | 41..=44 | 48..=55 => Role { begins: true, ..Role::default() },
        _ => Role::default(),
    }
}

fn has_sequence(data: &[u8]) -> bool {
    units(data).any(|unit| h264::nal_type(unit) == Some(h264::SPS))
}

/// Whether every slice of an H.264 picture is intra (clause 7.4.3, table 7-6).
fn is_intra(data: &[u8]) -> bool {
    let slice_type = |unit: &[u8]| {
        let mut header = BitReader::new(unit.get(1..).unwrap_or_default());
        header.ue()?;
        header.ue()
    };
    let mut slices = units(data).filter(|unit| matches!(h264::nal_type(unit), Some(1 | 2 | 5))).peekable();
    slices.peek().is_some() && slices.all(|unit| matches!(slice_type(unit), Some(2 | 4 | 7 | 9)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::nal::joined;

    const SPS: &[u8] = &[0x67, 0x42];
    const RECOVERY: &[u8] = &[0x06, 0x06, 0x01, 0xc4, 0x80];
    // first_mb_in_slice 0 and slice_type 7 (intra), 5 (predicted)
    const INTRA: &[u8] = &[0x41, 0b1000_1000, 0xff];
    const PREDICTED: &[u8] = &[0x41, 0b1001_1000, 0xff];

    #[test]
    fn an_open_group_begins_where_its_picture_is_intra_or_the_sender_says_so() {
        let entry = |units: &[&[u8]], said| Codec::H264.is_entry(&joined(units.iter().copied()), said);
        assert!(entry(&[RECOVERY, INTRA], false) && entry(&[RECOVERY, PREDICTED], true), "recovery points");
        assert!(!entry(&[RECOVERY, PREDICTED], false), "a gradual refresh");
        assert!(entry(&[SPS, INTRA, INTRA], true) && !entry(&[SPS, INTRA, PREDICTED], true) && !entry(&[SPS, INTRA], false));
        assert!(entry(&[&[0x65, 0x88]], false));
    }

    #[test]
    fn roles_are_those_of_the_standards() {
        let role = |codec: Codec, unit: &[u8]| {
            let role = codec.role(unit);
            (role.slice, role.begins, role.idle)
        };
        assert_eq!(role(Codec::H264, &[0x09, 0xf0]), (false, true, true));
        assert_eq!(role(Codec::H264, &[0x41, 0x9a]), (true, true, false));
        assert_eq!(role(Codec::H264, &[0x41, 0x40]), (true, false, false), "not the first slice");
        assert_eq!(role(Codec::H264, &[0x0c, 0xff]), (false, false, true));
        assert_eq!(role(Codec::Hevc, &[0x26, 0x01, 0xaf]), (true, true, false));
        assert_eq!(role(Codec::Hevc, &[0x26, 0x01, 0x2f]), (true, false, false), "not the first slice");
        assert_eq!(role(Codec::Hevc, &[0x50, 0x01, 0x00]), (false, false, false), "SEI behind the picture");
        assert_eq!(role(Codec::Hevc, &[0x26, 0x09, 0xaf]), (false, false, false), "another layer");
    }
}
