//! MPEG audio frame headers, layers 1 to 3 (ISO/IEC 11172-3 clause 2.4.1.3, ISO/IEC 13818-3 clause 2.4.2.3).

use super::malformed::Malformed;

const RECORD: &str = "MPEG audio header";

/// Bytes of a header.
pub const HEADER_SIZE: usize = 4;

/// Bitrates in kbit/s by bitrate_index: layers 1 to 3 of MPEG-1, then layer 1 and layers 2 and 3 of lower sampling rates.
const BITRATES_KBPS: [[u32; 15]; 5] = [
    [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// What a header says of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpegAudioFrame {
    /// 1, 2 or 3.
    pub layer: u8,
    /// Samples a second.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
    /// Bytes from the start of the header to the next.
    pub frame_size: usize,
    /// Samples of each channel.
    pub samples: u32,
}

impl MpegAudioFrame {
    /// Reads the header with which `data` begins; of the frame itself nothing need be there. Free format, whose frames
    /// do not say how long they are, is refused.
    pub fn parse(data: &[u8]) -> Result<MpegAudioFrame, Malformed> {
        let short = Malformed::Short { record: RECORD, field: "header", length: data.len() };
        let &[first, second, third, fourth] = data.first_chunk::<HEADER_SIZE>().ok_or(short)?;
        let value = |field, value: u8| Malformed::Value { record: RECORD, field, value: value.into() };
        if first != 0xff || second & 0xe0 != 0xe0 {
            return Err(value("syncword", first));
        }
        let divisor = match second >> 3 & 3 {
            0 => 4,
            2 => 2,
            3 => 1,
            reserved => return Err(value("version", reserved)),
        };
        let layer = match second >> 1 & 3 {
            0 => return Err(value("layer", 0)),
            bits => 4 - bits,
        };
        let full_rate = match third >> 2 & 3 {
            0 => 44_100,
            1 => 48_000,
            2 => 32_000,
            reserved => return Err(value("sampling_frequency", reserved)),
        };
        let table = match (divisor, layer) {
            (1, layer) => usize::from(layer - 1),
            (_, 1) => 3,
            _ => 4,
        };
        let index = third >> 4;
        let bitrate = BITRATES_KBPS.get(table).and_then(|rates| rates.get(usize::from(index))).copied().unwrap_or(0) * 1000;
        if bitrate == 0 {
            return Err(value("bitrate_index", index));
        }
        let samples = match (layer, divisor) {
            (1, _) => 384,
            (3, 2 | 4) => 576,
            _ => 1152,
        };
        let sample_rate = full_rate / divisor;
        let slot_bytes = if layer == 1 { 4 } else { 1 };
        let slots = samples / 8 / slot_bytes * bitrate / sample_rate + u32::from(third >> 1 & 1);
        let channels = if fourth >> 6 == 3 { 1 } else { 2 };
        Ok(MpegAudioFrame { layer, sample_rate, channels, frame_size: (slots * slot_bytes) as usize, samples })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_of_all_layers_give_the_sizes_of_the_standard() {
        // 384 kbit/s and 48 kHz in layer 2; 128 kbit/s and 44.1 kHz with padding in layer 3, mono; 64 kbit/s and 24 kHz in
        // layer 3 of the lower rates; 256 kbit/s and 32 kHz in layer 1.
        let of = |bytes: [u8; 4]| MpegAudioFrame::parse(&bytes).map(|f| (f.layer, f.sample_rate, f.channels, f.frame_size, f.samples));
        assert_eq!(of([0xff, 0xfd, 0xe4, 0x00]), Ok((2, 48_000, 2, 1152, 1152)));
        assert_eq!(of([0xff, 0xfb, 0x92, 0xc0]), Ok((3, 44_100, 1, 418, 1152)));
        assert_eq!(of([0xff, 0xf3, 0x84, 0x00]), Ok((3, 24_000, 2, 192, 576)));
        assert_eq!(of([0xff, 0xff, 0x88, 0x00]), Ok((1, 32_000, 2, 384, 384)));
    }

    #[test]
    fn reserved_values_and_free_format_are_refused() {
        for header in [[0xff, 0xfd, 0x04, 0], [0xff, 0xfd, 0xf4, 0], [0xff, 0xfd, 0xec, 0], [0xff, 0xf9, 0xe4, 0], [0xff, 0xed, 0xe4, 0]] {
            assert!(MpegAudioFrame::parse(&header).is_err(), "{header:x?}");
        }
        assert!(MpegAudioFrame::parse(&[0xff, 0xfd, 0xe4]).is_err());
    }

    proptest! {
        #[test]
        fn a_frame_is_longer_than_its_header(second in 0xe0u8.., third: u8, fourth: u8) {
            if let Ok(frame) = MpegAudioFrame::parse(&[0xff, second, third, fourth]) {
                prop_assert!(frame.frame_size > HEADER_SIZE && frame.sample_rate > 0);
            }
        }
    }
}
