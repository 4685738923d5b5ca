//! SEI payloads that an encoder passes on from its source (ITU-T H.264 annex D).

use crate::codec::frame::Attached;

/// Payload type of `user_data_registered_itu_t_t35`.
pub(in crate::codec) const USER_DATA_T35: i32 = 4;

/// Captions that fit one picture: 31 triplets (ATSC A/53 part 4, 6.2.3).
const MAX_CAPTION_TRIPLETS: usize = 31;

/// The ATSC A/53 user data for the captions of a picture, if it has any.
pub(in crate::codec) fn caption_payload(attached: &Attached) -> Option<Vec<u8>> {
    let triplets = (attached.captions.len() / 3).min(MAX_CAPTION_TRIPLETS);
    let data = attached.captions.get(..triplets * 3).filter(|data| !data.is_empty())?;
    // Country USA, provider ATSC, "GA94", type 3 (cc_data), process_cc_data_flag with the count, em_data.
    let mut payload = vec![0xB5, 0x00, 0x31, b'G', b'A', b'9', b'4', 0x03, 0x40 | triplets as u8, 0xFF];
    payload.extend_from_slice(data);
    payload.push(0xFF);
    Some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn captions_are_wrapped_as_atsc_has_them() {
        let attached = Attached { captions: Bytes::from_static(&[0xFC, 0x94, 0x20, 0xFD, 0x80]), timecode: None };
        assert_eq!(caption_payload(&attached).unwrap(), [0xB5, 0, 0x31, b'G', b'A', b'9', b'4', 3, 0x41, 0xFF, 0xFC, 0x94, 0x20, 0xFF]);
    }

    #[test]
    fn more_captions_than_a_picture_may_carry_are_cut() {
        let attached = Attached { captions: Bytes::from(vec![1; 300]), timecode: None };
        assert_eq!(caption_payload(&attached).unwrap().len(), 11 + 31 * 3);
        assert_eq!(caption_payload(&Attached::default()), None);
    }
}
