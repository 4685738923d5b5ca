//! Pictures as byte streams with start codes (ISO/IEC 14496-10 annex B), parameter sets in front of every IDR.

use super::psi;
use crate::media::VideoCodec;

const START_CODE: &[u8] = &[0, 0, 0, 1];
const H264_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x09, 0xf0];
const HEVC_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x46, 0x01, 0x50];

/// Lengths in a packet or a configuration do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// How pictures of one track are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoStream {
    hevc: bool,
    parameter_sets: Vec<u8>,
}

impl VideoStream {
    /// From an avcC or hvcC record; the reason where it cannot be used, or the codec has no place in a transport stream.
    pub fn new(codec: VideoCodec, config: &[u8]) -> Result<VideoStream, &'static str> {
        let parameter_sets = match codec {
            VideoCodec::H264 => avc_parameter_sets(config),
            VideoCodec::Hevc => hevc_parameter_sets(config),
            VideoCodec::Av1 | VideoCodec::Other => return Err("its codec has no place in a transport stream"),
        };
        let parameter_sets = parameter_sets.ok_or("its parameter sets are cut short")?;
        Ok(VideoStream { hevc: codec == VideoCodec::Hevc, parameter_sets })
    }

    /// The stream type of the PMT.
    pub fn stream_type(&self) -> u8 {
        if self.hevc { psi::STREAM_HEVC } else { psi::STREAM_H264 }
    }

    /// The picture in pieces: delimiter, parameter sets before an IDR that has none of its own, then its NAL units with start codes.
    ///
    /// NAL units behind a length that is wrong are left out.
    pub fn pieces<'a>(&'a self, data: &'a [u8], key: bool, out: &mut Vec<&'a [u8]>) -> Result<(), Malformed> {
        out.push(if self.hevc { HEVC_DELIMITER } else { H264_DELIMITER });
        let at = out.len();
        let mut own_sets = false;
        let mut units = Units { data };
        let result = loop {
            match units.next_unit() {
                Ok(Some(unit)) => {
                    own_sets |= self.is_sequence_set(unit);
                    if !self.is_delimiter(unit) {
                        out.push(START_CODE);
                        out.push(unit);
                    }
                }
                Ok(None) => break Ok(()),
                Err(malformed) => break Err(malformed),
            }
        };
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

/// NAL units with lengths of four bytes.
struct Units<'a> {
    data: &'a [u8],
}

impl<'a> Units<'a> {
    fn next_unit(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        while !self.data.is_empty() {
            let (length, rest) = self.data.split_first_chunk::<4>().ok_or(Malformed)?;
            let length = u32::from_be_bytes(*length) as usize;
            let unit = rest.get(..length).ok_or(Malformed)?;
            self.data = rest.get(length..).unwrap_or_default();
            if !unit.is_empty() {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }
}

/// Takes a unit with a length of two bytes off the front.
fn take_set<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = data.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let set = rest.get(..length)?;
    *data = rest.get(length..)?;
    Some(set)
}

fn push_set(out: &mut Vec<u8>, set: &[u8]) {
    out.extend_from_slice(START_CODE);
    out.extend_from_slice(set);
}

/// SPS and PPS of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3.1).
fn avc_parameter_sets(config: &[u8]) -> Option<Vec<u8>> {
    let (head, mut rest) = config.split_first_chunk::<6>()?;
    let mut out = Vec::new();
    for _ in 0..head[5] & 0x1f {
        push_set(&mut out, take_set(&mut rest)?);
    }
    let (count, mut rest) = rest.split_first()?;
    for _ in 0..*count {
        push_set(&mut out, take_set(&mut rest)?);
    }
    (head[0] == 1 && !out.is_empty()).then_some(out)
}

/// VPS, SPS and PPS of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.3.1).
fn hevc_parameter_sets(config: &[u8]) -> Option<Vec<u8>> {
    let (head, mut rest) = config.split_first_chunk::<23>()?;
    let mut out = Vec::new();
    for _ in 0..head[22] {
        let (array, after) = rest.split_first_chunk::<3>()?;
        rest = after;
        for _ in 0..u16::from_be_bytes([array[1], array[2]]) {
            let set = take_set(&mut rest)?;
            if matches!(array[0] & 0x3f, 32..=34) {
                push_set(&mut out, set);
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &[u8] = &[1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 3, 0x67, 1, 2, 1, 0, 2, 0x68, 3];

    fn written(data: &[u8], key: bool) -> (Vec<u8>, Result<(), Malformed>) {
        let stream = VideoStream::new(VideoCodec::H264, CONFIG).unwrap();
        let mut pieces = Vec::new();
        let result = stream.pieces(data, key, &mut pieces);
        (pieces.concat(), result)
    }

    #[test]
    fn an_idr_comes_with_delimiter_and_parameter_sets() {
        let (bytes, result) = written(&[0, 0, 0, 2, 0x65, 9], true);
        assert_eq!(bytes, b"\0\0\0\x01\x09\xf0\0\0\0\x01\x67\x01\x02\0\0\0\x01\x68\x03\0\0\0\x01\x65\x09");
        assert_eq!(result, Ok(()));
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
        assert_eq!(result, Err(Malformed));
    }

    #[test]
    fn a_configuration_cut_anywhere_is_refused() {
        for length in 0..CONFIG.len() {
            assert!(VideoStream::new(VideoCodec::H264, &CONFIG[..length]).is_err(), "{length}");
        }
    }
}
