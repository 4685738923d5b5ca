//! Pictures as byte streams with start codes (ISO/IEC 14496-10 annex B), parameter sets in front of every IDR.

use bytes::Bytes;

use super::psi;
use crate::media::VideoCodec;
use crate::media::h264::AvcConfig;
use crate::media::hevc::HevcConfig;
use crate::media::malformed::Malformed;
use crate::media::nal::{NalError, prefixed};

const START_CODE: &[u8] = &[0, 0, 0, 1];
const H264_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x09, 0xf0];
const HEVC_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x46, 0x01, 0x50];

/// How pictures of one track are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoStream {
    hevc: bool,
    parameter_sets: Vec<u8>,
}

impl VideoStream {
    /// From an avcC or hvcC record; the reason where it cannot be used, or the codec has no place in a transport stream.
    pub fn new(codec: VideoCodec, config: &[u8]) -> Result<VideoStream, String> {
        let read = |malformed: Malformed| malformed.to_string();
        let (length_size, parameter_sets) = match codec {
            VideoCodec::H264 => {
                let config = AvcConfig::parse(config).map_err(read)?;
                (config.length_size, with_start_codes(config.parameter_sets()))
            }
            VideoCodec::Hevc => {
                let config = HevcConfig::parse(config).map_err(read)?;
                (config.length_size, with_start_codes(config.parameter_sets()))
            }
            VideoCodec::Av1 | VideoCodec::Other => return Err("its codec has no place in a transport stream".into()),
        };
        match (length_size, parameter_sets.is_empty()) {
            (4, false) => Ok(VideoStream { hevc: codec == VideoCodec::Hevc, parameter_sets }),
            (4, true) => Err("it holds no parameter sets".into()),
            (size, _) => Err(format!("it announces NAL lengths of {size} bytes where packets have four")),
        }
    }

    /// The stream type of the PMT.
    pub fn stream_type(&self) -> u8 {
        if self.hevc { psi::STREAM_HEVC } else { psi::STREAM_H264 }
    }

    /// The picture in pieces: delimiter, parameter sets before an IDR that has none of its own, then its NAL units with start codes.
    ///
    /// NAL units behind a length that is wrong are left out.
    pub fn pieces<'a>(&'a self, data: &'a [u8], key: bool, out: &mut Vec<&'a [u8]>) -> Result<(), NalError> {
        out.push(if self.hevc { HEVC_DELIMITER } else { H264_DELIMITER });
        let at = out.len();
        let mut own_sets = false;
        let mut result = Ok(());
        for unit in prefixed(data, 4) {
            match unit {
                Ok(unit) => {
                    own_sets |= self.is_sequence_set(unit);
                    if !self.is_delimiter(unit) {
                        out.extend([START_CODE, unit]);
                    }
                }
                Err(malformed) => result = Err(malformed),
            }
        }
        if key && !own_sets {
            out.insert(at, &self.parameter_sets);
        }
        result
    }

    fn is_delimiter(&self, unit: &[u8]) -> bool {
        self.unit_type(unit) == if self.hevc { 35 } else { 9 }
    }

    fn is_sequence_set(&self, unit: &[u8]) -> bool {
        self.unit_type(unit) == if self.hevc { 33 } else { 7 }
    }

    fn unit_type(&self, unit: &[u8]) -> u8 {
        let first = unit.first().copied().unwrap_or(0);
        if self.hevc { first >> 1 & 0x3f } else { first & 0x1f }
    }
}

fn with_start_codes<'a>(units: impl Iterator<Item = &'a Bytes>) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in units {
        out.extend_from_slice(START_CODE);
        out.extend_from_slice(unit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::pack::tests::fixtures::AVCC as CONFIG;

    fn written(data: &[u8], key: bool) -> (Vec<u8>, bool) {
        let stream = VideoStream::new(VideoCodec::H264, CONFIG).unwrap();
        let mut pieces = Vec::new();
        let result = stream.pieces(data, key, &mut pieces);
        (pieces.concat(), result.is_ok())
    }

    #[test]
    fn an_idr_comes_with_delimiter_and_parameter_sets() {
        let (bytes, result) = written(&[0, 0, 0, 2, 0x65, 9], true);
        let expected = [H264_DELIMITER, START_CODE, &CONFIG[8..34], START_CODE, &CONFIG[37..41], START_CODE, &[0x65, 9]];
        assert_eq!(bytes, expected.concat());
        assert!(result);
    }

    #[test]
    fn sets_and_delimiters_that_the_source_sends_are_not_doubled() {
        let (bytes, _) = written(&[0, 0, 0, 2, 9, 0x10, 0, 0, 0, 2, 0x67, 5, 0, 0, 0, 2, 0x68, 5, 0, 0, 0, 2, 0x65, 9], true);
        assert_eq!(bytes, b"\0\0\0\x01\x09\xf0\0\0\0\x01\x67\x05\0\0\0\x01\x68\x05\0\0\0\x01\x65\x09");
    }

    #[test]
    fn a_length_beyond_the_packet_costs_only_what_follows_it() {
        let (bytes, result) = written(&[0, 0, 0, 1, 0x41, 0, 0, 0, 9, 1], false);
        assert_eq!(bytes, b"\0\0\0\x01\x09\xf0\0\0\0\x01\x41");
        assert!(!result);
    }

    #[test]
    fn a_configuration_cut_anywhere_is_refused() {
        // The last four bytes are an extension that older records do not have.
        for length in 0..CONFIG.len() - 4 {
            assert!(VideoStream::new(VideoCodec::H264, &CONFIG[..length]).is_err(), "{length}");
        }
    }
}
