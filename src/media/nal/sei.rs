//! Supplemental enhancement information: messages inside a SEI NAL unit, one form for H.264 (clause 7.3.2.3) and HEVC (7.3.5).

use bytes::Bytes;

use crate::media::bits::{escaped, unescaped};

/// Payload type of registered user data (ITU-T T.35), which carries closed captions.
pub const REGISTERED_USER_DATA: u32 = 4;
/// Payload type of a recovery point (H.264 clause D.1.8).
pub const RECOVERY_POINT: u32 = 6;

/// One SEI message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeiMessage {
    /// payloadType.
    pub payload_type: u32,
    /// The payload, without emulation prevention.
    pub payload: Bytes,
}

impl SeiMessage {
    /// Whether the message is `cc_data` of CEA-608 and CEA-708 captions (ATSC A/53 part 4 clause 6.2.3): country 0xB5,
    /// provider 0x0031, identifier `GA94`, type 3. HDR10+ and others share the payload type and are not.
    pub fn is_captions(&self) -> bool {
        self.payload_type == REGISTERED_USER_DATA && self.payload.starts_with(b"\xb5\x00\x31GA94\x03")
    }
}

/// The messages of a SEI NAL unit whose header has `header_size` bytes (1 in H.264, 2 in HEVC), as far as they are whole.
pub fn messages(nal: &[u8], header_size: usize) -> Vec<SeiMessage> {
    let plain = unescaped(nal.get(header_size..).unwrap_or_default());
    let mut rest: &[u8] = &plain;
    let mut found = Vec::new();
    while let Some(message) = next_message(&mut rest) {
        found.push(message);
    }
    found
}

fn next_message(rest: &mut &[u8]) -> Option<SeiMessage> {
    // rbsp_trailing_bits are one set bit and zeros; no message is as short as that.
    if matches!(rest, [] | [_]) {
        return None;
    }
    let payload_type = extended(rest)?;
    let size = extended(rest)? as usize;
    let (payload, after) = rest.split_at_checked(size)?;
    *rest = after;
    Some(SeiMessage { payload_type, payload: Bytes::copy_from_slice(payload) })
}

/// A number as a run of 255s and a last byte.
fn extended(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value = value.checked_add(byte.into())?;
        if byte != 255 {
            return Some(value);
        }
    }
}

/// A SEI NAL unit of these messages, with emulation prevention. `header` is the unit's header: `[0x06]` in H.264,
/// `[0x4e, 0x01]` for a prefix SEI in HEVC.
pub fn nal_unit<'a>(header: &[u8], messages: impl IntoIterator<Item = &'a SeiMessage>) -> Bytes {
    let mut plain = Vec::new();
    for message in messages {
        put_extended(&mut plain, message.payload_type);
        put_extended(&mut plain, u32::try_from(message.payload.len()).unwrap_or(u32::MAX));
        plain.extend_from_slice(&message.payload);
    }
    plain.push(0x80);
    let mut nal = header.to_vec();
    nal.extend(escaped(&plain));
    nal.into()
}

fn put_extended(plain: &mut Vec<u8>, value: u32) {
    plain.extend(std::iter::repeat_n(255, (value / 255) as usize));
    plain.push((value % 255) as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_messages_of_one_unit_are_told_apart() {
        // Buffering period and picture timing, then trailing bits.
        let nal = [0x06, 0x00, 0x05, 0x93, 0xc6, 0x70, 0x46, 0x53, 0x01, 0x02, 0x00, 0x12, 0x80];
        let found = messages(&nal, 1);
        assert_eq!(found.iter().map(|m| (m.payload_type, m.payload.len())).collect::<Vec<_>>(), [(0, 5), (1, 2)]);
        assert!(messages(&nal[..6], 1).is_empty());
    }

    #[test]
    fn only_caption_data_is_captions() {
        let of = |payload: &'static [u8]| SeiMessage { payload_type: 4, payload: Bytes::from_static(payload) };
        assert!(of(b"\xb5\x00\x31GA94\x03\xc1\xff").is_captions());
        assert!(!of(b"\xb5\x00\x31DTG1\x41\xf8").is_captions());
        assert!(!of(b"\xb5\x00\x3c\x00\x01\x04").is_captions());
    }

    proptest! {
        #[test]
        fn built_units_come_back(all in prop::collection::vec((0u32..600, prop::collection::vec(0u8..4, 0..600)), 1..4)) {
            let sent: Vec<SeiMessage> = all.into_iter().map(|(payload_type, p)| SeiMessage { payload_type, payload: p.into() }).collect();
            let nal = nal_unit(&[0x4e, 0x01], &sent);
            prop_assert!(!nal.windows(3).any(|window| window == [0, 0, 1] || window == [0, 0, 0]));
            prop_assert_eq!(messages(&nal, 2), sent);
        }

        #[test]
        fn noise_is_no_danger(nal in prop::collection::vec(any::<u8>(), 0..64), header in 0usize..4) {
            messages(&nal, header);
        }
    }
}
