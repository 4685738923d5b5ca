//! Access units of the house as the byte streams that the parser takes.

use super::COMPONENT;
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::media::av1::{self, Av1Config};
use crate::media::h264::{self, AvcConfig};
use crate::media::hevc::{self, HevcConfig};
use crate::media::nal::units;
use crate::media::{AccessUnit, VideoCodec, VideoTrack};

const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// An empty temporal delimiter unit with its size.
const TEMPORAL_DELIMITER: [u8; 2] = [av1::TEMPORAL_DELIMITER << 3 | 2, 0];

/// Makes byte streams. Parameter sets of the track go before the first unit; later ones come in units, and must not be undone.
#[derive(Debug)]
pub(super) struct Units {
    codec: VideoCodec,
    /// The track's parameter sets as the stream has them, until they are out.
    sets: Vec<u8>,
    /// Kept for its memory.
    stream: Vec<u8>,
}

impl Units {
    /// For the track's codec. A description that cannot be read is passed over: units may carry their own.
    pub(super) fn of(track: &VideoTrack) -> Result<Units, CodecError> {
        let mut sets = Vec::new();
        match track.codec {
            VideoCodec::H264 => {
                let config = AvcConfig::parse(&track.config).ok();
                config.iter().flat_map(AvcConfig::parameter_sets).for_each(|set| put(&mut sets, set));
            }
            VideoCodec::Hevc => {
                let config = HevcConfig::parse(&track.config).ok();
                config.iter().flat_map(HevcConfig::parameter_sets).for_each(|set| put(&mut sets, set));
            }
            VideoCodec::Av1 => sets.extend(Av1Config::parse(&track.config).iter().flat_map(|config| config.units.iter())),
            VideoCodec::Other => {
                return Err(CodecError::new(Fault::Unsupported, COMPONENT, format!("{} is not decoded on the device", track.other)));
            }
        }
        Ok(Units { codec: track.codec, sets, stream: Vec::new() })
    }

    /// The unit as a byte stream. Of a unit that is cut, all that is whole.
    pub(super) fn stream(&mut self, unit: &AccessUnit) -> Result<&[u8], CodecError> {
        self.stream.clear();
        if self.codec == VideoCodec::Av1 {
            self.stream.extend_from_slice(&TEMPORAL_DELIMITER);
        }
        self.stream.append(&mut self.sets);
        let before = self.stream.len();
        match self.codec {
            VideoCodec::Av1 => self.stream.extend_from_slice(&unit.data),
            _ => units(&unit.data).for_each(|unit| put(&mut self.stream, unit)),
        }
        if self.stream.len() == before {
            return Err(CodecError::new(Fault::Corrupt, COMPONENT, "an access unit without a whole NAL unit"));
        }
        Ok(&self.stream)
    }
}

fn put(stream: &mut Vec<u8>, unit: &[u8]) {
    stream.extend_from_slice(&START_CODE);
    stream.extend_from_slice(unit);
}

/// What a track's description says of its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Described {
    /// Bits of a sample.
    pub(super) bits: u8,
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    is_420: bool,
}

/// By the track's description, where it says. `Unsupported` for anything but 4:2:0.
pub(super) fn described(track: &VideoTrack) -> Result<Option<Described>, CodecError> {
    let found = match track.codec {
        VideoCodec::H264 => h264_sps(track).map(|sps| Described {
            bits: sps.bit_depth_luma.max(sps.bit_depth_chroma),
            size: (sps.width, sps.height),
            is_420: sps.chroma_format == 1,
        }),
        VideoCodec::Hevc => hevc_sps(track).map(|sps| Described {
            bits: sps.bit_depth_luma.max(sps.bit_depth_chroma),
            size: (sps.width, sps.height),
            is_420: sps.chroma_format == 1,
        }),
        VideoCodec::Av1 => av1_header(track).map(|header| Described {
            bits: header.bit_depth,
            size: (header.width, header.height),
            is_420: !header.monochrome && header.subsampling_x && header.subsampling_y,
        }),
        VideoCodec::Other => None,
    };
    match found {
        Some(Described { is_420: false, .. }) => Err(CodecError::new(Fault::Unsupported, COMPONENT, "the source's chroma is not 4:2:0")),
        known => Ok(known),
    }
}

fn h264_sps(track: &VideoTrack) -> Option<h264::Sps> {
    AvcConfig::parse(&track.config).ok()?.first_sps().ok()
}

fn hevc_sps(track: &VideoTrack) -> Option<hevc::Sps> {
    HevcConfig::parse(&track.config).ok()?.first_sps().ok()
}

fn av1_header(track: &VideoTrack) -> Option<av1::SequenceHeader> {
    Av1Config::parse(&track.config).ok()?.sequence_header()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::base::MediaTime;
    use crate::media::nal::joined;

    // Records of ffmpeg's libx264 and libsvtav1 at 1920x1080.
    const AVCC: &[u8] = b"\x01\x64\x00\x28\xff\xe1\x00\x19\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\x00";
    const AV1C: &[u8] = b"\x81\x08\x0c\x00\x0a\x0b\x00\x00\x00\x42\xab\xbf\xc3\x73\xef\xe4\x01";

    fn track(codec: VideoCodec, config: &'static [u8]) -> VideoTrack {
        VideoTrack { codec, other: "mpeg2video".into(), config: Bytes::from_static(config), width: 0, height: 0, rate: None }
    }

    fn unit(data: Bytes) -> AccessUnit {
        AccessUnit { track: 0, pts: MediaTime(0), dts: MediaTime(0), entry: true, data }
    }

    #[test]
    fn parameter_sets_go_before_the_first_unit_only() {
        let mut units = Units::of(&track(VideoCodec::H264, AVCC)).unwrap();
        let picture = unit(joined([&[0x65, 1, 2][..], &[0x65, 3]]));
        let first = units.stream(&picture).unwrap().to_vec();
        assert_eq!((&first[..5], &first[29..34]), (&[0, 0, 0, 1, 0x67][..], &[0, 0, 0, 1, 0x68][..]));
        assert!(first.ends_with(&[0, 0, 0, 1, 0x65, 1, 2, 0, 0, 0, 1, 0x65, 3]));
        assert_eq!(units.stream(&picture).unwrap(), [0, 0, 0, 1, 0x65, 1, 2, 0, 0, 0, 1, 0x65, 3]);
    }

    #[test]
    fn a_unit_that_is_cut_gives_what_is_whole_of_it_and_an_empty_one_is_refused() {
        let mut units = Units::of(&track(VideoCodec::Hevc, b"")).unwrap();
        let cut = unit(Bytes::from_static(&[0, 0, 0, 2, 0x26, 1, 0, 0, 0, 9, 1]));
        assert_eq!(units.stream(&cut).unwrap(), [0, 0, 0, 1, 0x26, 1]);
        assert_eq!(units.stream(&unit(Bytes::from_static(&[0, 0, 0, 9, 1]))).unwrap_err().fault(), Fault::Corrupt);
    }

    #[test]
    fn temporal_units_of_av1_are_parted_by_delimiters() {
        let mut units = Units::of(&track(VideoCodec::Av1, AV1C)).unwrap();
        let first = units.stream(&unit(Bytes::from_static(&[0x32, 1, 9]))).unwrap().to_vec();
        assert_eq!((&first[..4], &first[first.len() - 3..]), (&[0x12, 0, 0x0A, 0x0B][..], &[0x32, 1, 9][..]));
        assert_eq!(units.stream(&unit(Bytes::from_static(&[0x32, 1, 9]))).unwrap(), [0x12, 0, 0x32, 1, 9]);
    }

    #[test]
    fn the_description_tells_depth_and_size_before_anything_is_decoded() {
        let full_hd = Some(Described { bits: 8, size: (1920, 1080), is_420: true });
        assert_eq!(described(&track(VideoCodec::H264, AVCC)).unwrap(), full_hd);
        assert_eq!(described(&track(VideoCodec::Av1, AV1C)).unwrap(), full_hd);
        assert_eq!(described(&track(VideoCodec::H264, b"\x07")).unwrap(), None);
        assert_eq!(Units::of(&track(VideoCodec::Other, b"")).unwrap_err().fault(), Fault::Unsupported);
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(0u8..9, 0..64)) {
            for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
                let _ = Units::of(&track(codec, AVCC)).unwrap().stream(&unit(data.clone().into()));
            }
        }
    }
}
