//! ADTS: the seven bytes ahead of a raw frame outside of ISO BMFF (ISO/IEC 14496-3 clause 1.A.2.2).

use super::config::AacConfig;
use super::program::ProgramConfig;
use super::{SAMPLE_RATES, rate_index};
use crate::media::bits::Fields;
use crate::media::malformed::Malformed;

const RECORD: &str = "ADTS header";
const HEADER_SIZE: usize = 7;
const MAX_FRAME: usize = 0x1fff;
/// id_syn_ele of a program_config_element (ISO/IEC 14496-3 table 4.85).
const PROGRAM_CONFIG_ELEMENT: u32 = 5;

/// The header of a raw frame of `raw_frame_len` bytes, without checksum. `None` where ADTS cannot say it: an object
/// type above 4, a rate without index, more than 8 channels, a frame beyond 8184 bytes. SBR and PS are implicit.
/// Where the layout is in a program config, the frames themselves must carry it.
pub fn adts_header(config: &AacConfig, raw_frame_len: usize) -> Option<[u8; 7]> {
    let profile = config.object_type.checked_sub(1).filter(|&profile| profile < 4)?;
    let index = rate_index(config.sample_rate)?;
    let channels = Some(config.channel_configuration).filter(|&channels| channels < 8)?;
    let length = raw_frame_len.checked_add(HEADER_SIZE).filter(|&length| length <= MAX_FRAME)?;
    Some([
        0xff,
        0xf1,
        profile << 6 | index << 2 | channels >> 2,
        (channels & 3) << 6 | (length >> 11) as u8,
        (length >> 3) as u8,
        // adts_buffer_fullness is all ones, "variable rate"; one raw data block.
        ((length & 7) << 5) as u8 | 0x1f,
        0xfc,
    ])
}

/// What an ADTS header says of its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdtsFrame {
    /// The config that frames like this one need. ADTS has no explicit signalling of SBR.
    pub config: AacConfig,
    /// Bytes from the start of the header to the raw frame: 7, or 9 with checksum.
    pub header_size: usize,
    /// Bytes from the start of the header to the next, at least `header_size`.
    pub frame_size: usize,
    /// Raw data blocks in the frame, 1 to 4. Nobody writes more than one.
    pub blocks: u8,
}

impl AdtsFrame {
    /// The config with the layout that a raw frame carries itself, which it must where `channel_configuration` is 0
    /// (clause 1.A.3.2.2); else the config as it is.
    pub fn config_with(&self, raw: &[u8]) -> AacConfig {
        let mut fields = Fields::new(RECORD, raw);
        let is_program = self.config.channel_configuration == 0 && fields.bits(3, "id_syn_ele") == Ok(PROGRAM_CONFIG_ELEMENT);
        let program = is_program.then(|| ProgramConfig::read(&mut fields).ok()).flatten();
        AacConfig { program, ..self.config.clone() }
    }

    /// The raw frame of `data`, which begins with the header; `None` where it is not whole.
    pub fn raw<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        data.get(self.header_size..self.frame_size)
    }
}

/// Reads the ADTS header with which `data` begins; of the frame itself nothing need be there.
pub fn parse_adts(data: &[u8]) -> Result<AdtsFrame, Malformed> {
    let mut fields = Fields::new(RECORD, data);
    let sync = fields.bits(12, "syncword")?;
    if sync != 0xfff {
        return Err(fields.value("syncword", sync.into()));
    }
    fields.skip(1, "ID")?;
    let layer = fields.byte(2, "layer")?;
    if layer != 0 {
        return Err(fields.value("layer", layer.into()));
    }
    let unprotected = fields.flag("protection_absent")?;
    let object_type = fields.byte(2, "profile_ObjectType")? + 1;
    let index = fields.byte(4, "sampling_frequency_index")?;
    let sample_rate = *SAMPLE_RATES.get(usize::from(index)).ok_or(fields.value("sampling_frequency_index", index.into()))?;
    fields.skip(1, "private_bit")?;
    let channel_configuration = fields.byte(3, "channel_configuration")?;
    fields.skip(4, "original_copy")?;
    let frame_size = fields.bits(13, "aac_frame_length")? as usize;
    fields.skip(11, "adts_buffer_fullness")?;
    let blocks = fields.byte(2, "number_of_raw_data_blocks_in_frame")? + 1;
    let header_size = if unprotected { HEADER_SIZE } else { HEADER_SIZE + 2 };
    if frame_size < header_size {
        return Err(fields.value("aac_frame_length", frame_size as u64));
    }
    let config = AacConfig { object_type, sample_rate, channel_configuration, short_frames: false, program: None, extension: None };
    Ok(AdtsFrame { config, header_size, frame_size, blocks })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::aac::Element;
    use crate::media::bits::BitWriter;

    // The first header of: ffmpeg -f lavfi -i sine=r=44100 -c:a aac -ac 6 out.aac
    const SURROUND: [u8; 9] = [0xff, 0xf1, 0x51, 0x80, 0x32, 0x7f, 0xfc, 0xde, 0x02];

    #[test]
    fn a_real_header_is_read_and_written_alike() {
        let frame = parse_adts(&SURROUND).unwrap();
        assert_eq!((frame.config.channels(), frame.config.sample_rate, frame.blocks), (6, 44_100, 1));
        assert_eq!((frame.header_size, frame.frame_size, frame.raw(&SURROUND)), (7, 403, None));
        assert_eq!(adts_header(&frame.config, 403 - 7).unwrap(), SURROUND[..7]);
    }

    #[test]
    fn a_header_longer_than_its_frame_is_refused() {
        let mut header = SURROUND;
        (header[4], header[5]) = (0, 0xdf);
        assert_eq!(parse_adts(&header).unwrap_err().to_string(), "ADTS header: aac_frame_length must not be 6");
        assert!(parse_adts(&SURROUND[..6]).is_err());
    }

    #[test]
    fn a_layout_that_the_frame_carries_is_taken_from_there() {
        let program = ProgramConfig {
            tag: 0,
            object_type: 1,
            rate_index: 3,
            front: vec![Element { pair: false, tag: 0 }, Element { pair: false, tag: 1 }],
            side: Vec::new(),
            back: Vec::new(),
            lfe: Vec::new(),
            data: Vec::new(),
            coupling: Vec::new(),
            mono_mixdown: None,
            stereo_mixdown: None,
            matrix_mixdown: None,
            comment: Vec::new(),
        };
        let mut raw = BitWriter::new();
        raw.bits(PROGRAM_CONFIG_ELEMENT, 3);
        program.write(&mut raw);
        let mut header = SURROUND;
        (header[2], header[3]) = (0x4c, 0x00);
        let frame = parse_adts(&header).unwrap();
        let config = frame.config_with(&raw.finish());
        assert_eq!((config.program.as_ref(), config.channels()), (Some(&program), 2));
        assert_eq!(AacConfig::parse(&config.to_bytes()).unwrap(), config);
        assert_eq!(frame.config_with(&[0x21]).channels(), 0);
    }

    #[test]
    fn what_the_header_cannot_say_has_none() {
        let config = AacConfig::lc(48_000, 2).unwrap();
        assert!(adts_header(&config, 8184).is_some());
        assert_eq!(adts_header(&config, 8185), None);
        assert_eq!(adts_header(&AacConfig::lc(50_000, 2).unwrap(), 100), None);
    }

    proptest! {
        #[test]
        fn headers_come_back(index in 0..13usize, channels in 1u8..=6, length in 0..8184usize) {
            let config = AacConfig::lc(SAMPLE_RATES[index], channels).unwrap();
            let frame = parse_adts(&adts_header(&config, length).unwrap()).unwrap();
            prop_assert_eq!((frame.config, frame.frame_size), (config, length + 7));
        }

        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..12)) {
            let noise = [&[0xff, 0xf1][..], &data].concat();
            if let Ok(frame) = parse_adts(&noise) {
                frame.raw(&noise);
            }
        }
    }
}
