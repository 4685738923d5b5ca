//! LATM in LOAS: AAC with its configuration in the stream (ISO/IEC 14496-3 clauses 1.7.2 and 1.7.3).
//!
//! What broadcasts use is read: one programme, one layer, frames that say their length. Frames are not aligned to bytes.

use bytes::Bytes;

use super::AacConfig;
use crate::media::bits::BitReader;
use crate::media::malformed::Malformed;

const RECORD: &str = "LATM";

/// Bytes of an AudioSyncStream header: 11 bits of sync, 13 bits of length.
pub const HEADER_SIZE: usize = 3;

/// Bytes of an AudioMuxElement by the AudioSyncStream header with which `data` begins; `None` where that is no header.
pub fn loas_length(data: &[u8]) -> Option<usize> {
    let &[first, second, third] = data.first_chunk::<HEADER_SIZE>()?;
    (first == 0x56 && second & 0xe0 == 0xe0).then_some(usize::from(second & 0x1f) << 8 | usize::from(third))
}

/// Reads AudioMuxElements; keeps the configuration that later ones refer to.
#[derive(Clone, Debug, Default)]
pub struct LatmReader {
    mux: Option<Mux>,
}

#[derive(Clone, Debug)]
struct Mux {
    config: AacConfig,
    sub_frames: u32,
    other_data_bits: usize,
}

impl LatmReader {
    /// A reader that has seen no configuration.
    pub fn new() -> LatmReader {
        LatmReader::default()
    }

    /// The configuration in force.
    pub fn config(&self) -> Option<&AacConfig> {
        self.mux.as_ref().map(|mux| &mux.config)
    }

    /// The raw frames of one AudioMuxElement, what follows an AudioSyncStream header; none before the first configuration.
    pub fn frames(&mut self, element: &[u8]) -> Result<Vec<Bytes>, Malformed> {
        let mut bits = BitReader::new(element);
        let short = |field| Malformed::Short { record: RECORD, field, length: element.len() };
        if !bits.flag().ok_or(short("useSameStreamMux"))? {
            self.mux = Some(Mux::read(&mut bits, element.len())?);
        }
        let Some(mux) = &self.mux else { return Ok(Vec::new()) };
        let mut frames = Vec::new();
        for _ in 0..=mux.sub_frames {
            let length = payload_length(&mut bits).ok_or(short("MuxSlotLengthBytes"))?;
            frames.push(unaligned(&mut bits, length).ok_or(short("payload"))?);
        }
        bits.skip(mux.other_data_bits).ok_or(short("otherDataBit"))?;
        frames.retain(|frame| !frame.is_empty());
        Ok(frames)
    }
}

impl Mux {
    /// StreamMuxConfig (clause 1.7.3.1).
    fn read(bits: &mut BitReader<'_>, length: usize) -> Result<Mux, Malformed> {
        let short = |field| Malformed::Short { record: RECORD, field, length };
        let value = |field, value: u32| Malformed::Value { record: RECORD, field, value: value.into() };
        let zero = |bits: &mut BitReader<'_>, count, field| match bits.bits(count).ok_or(short(field))? {
            0 => Ok(()),
            other => Err(value(field, other)),
        };
        let version = bits.flag().ok_or(short("audioMuxVersion"))?;
        if version {
            zero(bits, 1, "audioMuxVersionA")?;
            variable(bits).ok_or(short("taraBufferFullness"))?;
        }
        if !bits.flag().ok_or(short("allStreamsSameTimeFraming"))? {
            return Err(value("allStreamsSameTimeFraming", 0));
        }
        let sub_frames = bits.bits(6).ok_or(short("numSubFrames"))?;
        zero(bits, 4, "numProgram")?;
        zero(bits, 3, "numLayer")?;
        let config = if version { sized_config(bits, &short)? } else { config(bits, &short)? };
        zero(bits, 3, "frameLengthType")?;
        bits.skip(8).ok_or(short("latmBufferFullness"))?;
        let mut other_data_bits = 0;
        if bits.flag().ok_or(short("otherDataPresent"))? {
            other_data_bits = other_data(bits, version).ok_or(short("otherDataLenBits"))?;
        }
        if bits.flag().ok_or(short("crcCheckPresent"))? {
            bits.skip(8).ok_or(short("crcCheckSum"))?;
        }
        Ok(Mux { config, sub_frames, other_data_bits })
    }
}

/// A configuration that says its length (version 1).
fn sized_config(bits: &mut BitReader<'_>, short: &impl Fn(&'static str) -> Malformed) -> Result<AacConfig, Malformed> {
    let size = variable(bits).ok_or(short("ascLen"))? as usize;
    let mut own = bits.clone();
    let bytes = unaligned(&mut own, size.min(bits.remaining()) / 8).ok_or(short("AudioSpecificConfig"))?;
    let mut bytes = bytes.to_vec();
    if let Some(rest) = own.bits((size % 8) as u32).filter(|_| !size.is_multiple_of(8)) {
        bytes.push((rest << (8 - size % 8)) as u8);
    }
    bits.skip(size).ok_or(short("AudioSpecificConfig"))?;
    AacConfig::parse(&bytes)
}

/// A configuration that ends where its fields end (version 0), wherever in a byte that is.
fn config(bits: &mut BitReader<'_>, short: &impl Fn(&'static str) -> Malformed) -> Result<AacConfig, Malformed> {
    let mut own = bits.clone();
    let whole = own.remaining() / 8;
    let mut bytes = unaligned(&mut own, whole).ok_or(short("AudioSpecificConfig"))?.to_vec();
    let left = own.remaining() as u32;
    bytes.push((own.bits(left).unwrap_or(0) << (8 - left.min(8))) as u8);
    let (config, size) = AacConfig::parse_core(&bytes)?;
    bits.skip(size).ok_or(short("AudioSpecificConfig"))?;
    Ok(config)
}

/// LatmGetValue: one to four bytes, counted by the first two bits.
fn variable(bits: &mut BitReader<'_>) -> Option<u32> {
    let bytes = bits.bits(2)? + 1;
    bits.bits(bytes * 8)
}

fn other_data(bits: &mut BitReader<'_>, version: bool) -> Option<usize> {
    if version {
        return variable(bits).map(|length| length as usize);
    }
    let mut length = 0usize;
    loop {
        let more = bits.flag()?;
        length = length.checked_mul(256)?.checked_add(bits.bits(8)? as usize)?;
        if !more {
            return Some(length);
        }
    }
}

/// PayloadLengthInfo: a run of 255s and a last byte.
fn payload_length(bits: &mut BitReader<'_>) -> Option<usize> {
    let mut length = 0;
    loop {
        let byte = bits.bits(8)? as usize;
        length += byte;
        if byte != 255 {
            return Some(length);
        }
    }
}

/// `length` bytes from wherever in a byte the position is.
fn unaligned(bits: &mut BitReader<'_>, length: usize) -> Option<Bytes> {
    if bits.remaining() / 8 < length {
        return None;
    }
    let mut bytes = Vec::with_capacity(length);
    let mut left = length;
    while left >= 4 {
        bytes.extend_from_slice(&bits.bits(32)?.to_be_bytes());
        left -= 4;
    }
    for _ in 0..left {
        bytes.push(bits.bits(8)? as u8);
    }
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::bits::BitWriter;

    /// An element of AAC-LC at 48 kHz in stereo with this frame; with its configuration if asked.
    fn element(configured: bool, version: bool, frame: &[u8]) -> Vec<u8> {
        let mut bits = BitWriter::new();
        bits.flag(!configured);
        if configured {
            bits.flag(version);
            if version {
                bits.bits(0, 1 + 2 + 8);
            }
            bits.bits(1 << 13, 14); // same time framing, one frame, one programme, one layer
            if version {
                bits.bits(16, 2 + 8);
            }
            bits.bits(0x1190, 16);
            bits.bits(0xff, 3 + 8);
            bits.bits(0, 2); // no other data, no checksum
        }
        bits.bits(255, if frame.len() >= 255 { 8 } else { 0 });
        bits.bits((frame.len() % 255) as u32, 8);
        frame.iter().for_each(|&byte| bits.bits(byte.into(), 8));
        bits.finish()
    }

    #[test]
    fn frames_come_out_whole_wherever_in_a_byte_they_begin() {
        let frame: Vec<u8> = (0..300u32).map(|n| (n * 7) as u8).collect();
        for version in [false, true] {
            let mut reader = LatmReader::new();
            assert_eq!(reader.frames(&element(false, version, &frame)).unwrap(), Vec::<Bytes>::new(), "no configuration yet");
            assert_eq!(reader.frames(&element(true, version, &frame)).unwrap(), [&frame[..]]);
            assert_eq!(reader.frames(&element(false, version, &frame[..9])).unwrap(), [&frame[..9]]);
            assert_eq!(reader.frames(&element(false, version, &[])).unwrap(), Vec::<Bytes>::new(), "an empty one");
            assert_eq!(reader.config(), AacConfig::lc(48_000, 2).as_ref());
        }
    }

    #[test]
    fn a_frame_longer_than_its_element_is_refused() {
        let whole = element(true, false, &[1; 40]);
        assert!(LatmReader::new().frames(&whole[..30]).is_err());
        assert!(LatmReader::new().frames(&[]).is_err());
    }

    #[test]
    fn the_length_stands_behind_the_sync_word() {
        assert_eq!(loas_length(&[0x56, 0xe1, 0x02, 9]), Some(258));
        assert_eq!(loas_length(&[0x56, 0xc1, 0x02]), None);
        assert_eq!(loas_length(&[0x56, 0xe1]), None);
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = LatmReader::new();
            let _ = reader.frames(&data);
            let _ = reader.frames(&data);
        }
    }
}
