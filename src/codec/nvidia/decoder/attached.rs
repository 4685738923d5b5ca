//! What travels with pictures besides their samples, kept while they are inside the decoder. NVDEC's parser does not hand it through.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::base::MediaTime;
use crate::codec::frame::Attached;
use crate::media::{AccessUnit, VideoCodec, VideoTrack, av1, h264, hevc};

use super::timecode::Timecodes;

/// Pictures that a decoder may hold: sixteen in every standard, with room for times that never come back.
const MAX_WAITING: usize = 64;
/// metadata_type of ITU-T T.35 (AV1 clause 6.7.1).
const METADATA_T35: u8 = 4;

/// By the times of pictures inside the decoder.
#[derive(Debug, Default)]
pub(super) struct AttachedQueue {
    waiting: VecDeque<(MediaTime, Attached)>,
    timecodes: Timecodes,
}

impl AttachedQueue {
    /// For the pictures of a track.
    pub(super) fn of(track: &VideoTrack) -> AttachedQueue {
        AttachedQueue { waiting: VecDeque::new(), timecodes: Timecodes::of(track) }
    }

    /// A unit goes in.
    pub(super) fn submitted(&mut self, codec: VideoCodec, unit: &AccessUnit) {
        let attached = Attached { captions: captions(codec, &unit.data), timecode: self.timecodes.read(codec, &unit.data) };
        if attached == Attached::default() {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((unit.pts, attached));
    }

    /// The picture of this time comes out.
    pub(super) fn taken(&mut self, pts: MediaTime) -> Attached {
        let at = self.waiting.iter().position(|(waiting, _)| *waiting == pts);
        at.and_then(|at| self.waiting.remove(at)).map(|(_, attached)| attached).unwrap_or_default()
    }
}

/// The caption triplets of an access unit.
fn captions(codec: VideoCodec, data: &[u8]) -> Bytes {
    let payloads = match codec {
        VideoCodec::H264 => h264::captions(data),
        VideoCodec::Hevc => hevc::captions(data),
        VideoCodec::Av1 => av1_captions(data),
        VideoCodec::Other => Vec::new(),
    };
    let mut found = BytesMut::new();
    payloads.iter().for_each(|payload| found.extend_from_slice(triplets(payload)));
    found.freeze()
}

fn av1_captions(data: &[u8]) -> Vec<Bytes> {
    let metadata = av1::obus(data).map_while(Result::ok).filter(|unit| unit.kind == av1::METADATA);
    let payloads = metadata.filter_map(|unit| unit.payload.strip_prefix(&[METADATA_T35]));
    payloads.filter(|payload| payload.starts_with(b"\xb5\x00\x31GA94\x03")).map(Bytes::copy_from_slice).collect()
}

/// The triplets of `cc_data` in an ATSC A/53 payload (part 4 clause 6.2.3.1); none where it is cut, or says that it is not to be processed.
fn triplets(payload: &[u8]) -> &[u8] {
    let Some([flags, _em_data, rest @ ..]) = payload.get(8..) else { return &[] };
    let length = usize::from(flags & 31) * 3;
    match flags & 0x40 {
        0 => &[],
        _ => rest.get(..length).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::nal::{SeiMessage, joined, sei};

    fn payload(number: u8) -> Bytes {
        Bytes::copy_from_slice(&[0xB5, 0, 0x31, b'G', b'A', b'9', b'4', 3, 0x42, 0xFF, 0xFC, number, 1, 0xFD, 0x80, 0x80, 0xFF])
    }

    fn unit(codec: VideoCodec, pts: i64, number: u8) -> AccessUnit {
        let message = SeiMessage { payload_type: sei::REGISTERED_USER_DATA, payload: payload(number) };
        let data = match codec {
            VideoCodec::H264 => joined([&sei::nal_unit(&h264::SEI_HEADER, [&message])[..], &[0x41, 0x9a]]),
            VideoCodec::Hevc => joined([&sei::nal_unit(&hevc::PREFIX_SEI_HEADER, [&message])[..], &[0x02, 0x01, 0x9a]]),
            _ => [&[av1::METADATA << 3 | 2, 19, METADATA_T35][..], &payload(number), &[0x80, 0x32, 1, 9]].concat().into(),
        };
        AccessUnit { track: 0, pts: MediaTime(pts), dts: MediaTime(0), entry: false, data }
    }

    #[test]
    fn captions_come_out_with_their_own_picture_whatever_the_order() {
        for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
            let mut queue = AttachedQueue::default();
            [(0, 10), (4, 14), (2, 12)].iter().for_each(|&(pts, number)| queue.submitted(codec, &unit(codec, pts, number)));
            for (pts, number) in [(0, 10), (2, 12), (4, 14)] {
                assert_eq!(queue.taken(MediaTime(pts)).captions[..], [0xFC, number, 1, 0xFD, 0x80, 0x80], "{codec:?}");
            }
            assert_eq!(queue.taken(MediaTime(4)), Attached::default());
        }
    }

    #[test]
    fn a_decoder_that_gives_nothing_back_fills_no_memory() {
        let mut queue = AttachedQueue::default();
        (0..1000).for_each(|pts| queue.submitted(VideoCodec::H264, &unit(VideoCodec::H264, pts, 1)));
        assert_eq!(queue.waiting.len(), MAX_WAITING);
    }

    #[test]
    fn cut_and_unprocessed_captions_are_none() {
        let whole = payload(9);
        assert_eq!(triplets(&whole).len(), 6);
        assert!(triplets(&whole[..12]).is_empty() && triplets(&whole[..9]).is_empty());
        let unprocessed: Vec<u8> = whole.iter().enumerate().map(|(at, byte)| if at == 8 { byte & !0x40 } else { *byte }).collect();
        assert!(triplets(&unprocessed).is_empty());
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..64)) {
            triplets(&data);
            for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
                captions(codec, &data);
            }
        }
    }
}
