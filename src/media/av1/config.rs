//! The decoder configuration record of AV1, av1C (AV1-ISOBMFF clause 2.3), and the codec string.

use bytes::{BufMut, Bytes, BytesMut};

use super::{SequenceHeader, sequence_header};
use crate::media::bits::Fields;
use crate::media::malformed::Malformed;

const RECORD: &str = "av1C";

/// av1C as fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Av1Config {
    /// seq_profile.
    pub profile: u8,
    /// seq_level_idx_0.
    pub level: u8,
    /// seq_tier_0: High tier and not Main tier.
    pub high_tier: bool,
    /// Bits of a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// There is no chroma.
    pub monochrome: bool,
    /// Chroma has half the width.
    pub subsampling_x: bool,
    /// Chroma has half the height.
    pub subsampling_y: bool,
    /// chroma_sample_position.
    pub chroma_sample_position: u8,
    /// Frames that a decoder should hold before it shows the first, 1 to 16.
    pub presentation_delay: Option<u8>,
    /// configOBUs: the sequence header unit and maybe metadata, each with its own size.
    pub units: Bytes,
}

impl Av1Config {
    /// Reads a record without its box header.
    pub fn parse(record: &[u8]) -> Result<Av1Config, Malformed> {
        let mut fields = Fields::new(RECORD, record);
        let start = fields.byte(8, "version")?;
        if start != 0x81 {
            return Err(fields.value("marker and version", start.into()));
        }
        let profile = fields.byte(3, "seq_profile")?;
        let level = fields.byte(5, "seq_level_idx_0")?;
        let high_tier = fields.flag("seq_tier_0")?;
        let high_depth = fields.flag("high_bitdepth")?;
        let twelve_bit = fields.flag("twelve_bit")?;
        let monochrome = fields.flag("monochrome")?;
        let subsampling_x = fields.flag("chroma_subsampling_x")?;
        let subsampling_y = fields.flag("chroma_subsampling_y")?;
        let chroma_sample_position = fields.byte(2, "chroma_sample_position")?;
        fields.skip(3, "reserved")?;
        let delayed = fields.flag("initial_presentation_delay_present")?;
        let delay = fields.byte(4, "initial_presentation_delay_minus_one")? + 1;
        let bit_depth = match (high_depth, twelve_bit) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        };
        Ok(Av1Config {
            profile,
            level,
            high_tier,
            bit_depth,
            monochrome,
            subsampling_x,
            subsampling_y,
            chroma_sample_position,
            presentation_delay: delayed.then_some(delay),
            units: Bytes::copy_from_slice(fields.rest()),
        })
    }

    /// The record of a stream by a temporal unit that carries its sequence header; `None` where it carries none.
    pub fn from_temporal_unit(data: &[u8]) -> Option<Av1Config> {
        let (units, header) = sequence_header(data)?;
        Some(Av1Config {
            profile: header.profile,
            level: header.level,
            high_tier: header.high_tier,
            bit_depth: header.bit_depth,
            monochrome: header.monochrome,
            subsampling_x: header.subsampling_x,
            subsampling_y: header.subsampling_y,
            chroma_sample_position: header.chroma_sample_position,
            presentation_delay: None,
            units,
        })
    }

    /// The record as bytes, without box header.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(4 + self.units.len());
        out.put_u8(0x81);
        out.put_u8((self.profile & 7) << 5 | (self.level & 31));
        let depth = u8::from(self.bit_depth > 8) << 6 | u8::from(self.bit_depth > 10) << 5;
        let chroma = u8::from(self.monochrome) << 4 | u8::from(self.subsampling_x) << 3 | u8::from(self.subsampling_y) << 2;
        out.put_u8(u8::from(self.high_tier) << 7 | depth | chroma | (self.chroma_sample_position & 3));
        out.put_u8(self.presentation_delay.map_or(0, |delay| 0x10 | (delay.wrapping_sub(1) & 15)));
        out.put_slice(&self.units);
        out.freeze()
    }

    /// The sequence header in the record, where there is one.
    pub fn sequence_header(&self) -> Option<SequenceHeader> {
        sequence_header(&self.units).map(|(_, header)| header)
    }

    /// Codec string, `av01.0.08M.08`, and with chroma and colour fields where those are not what their absence means
    /// (AV1-ISOBMFF clause 5): 4:2:0, BT.709, video range.
    pub fn codec_string(&self) -> String {
        let tier = if self.high_tier { 'H' } else { 'M' };
        let short = format!("av01.{}.{:02}{tier}.{:02}", self.profile, self.level, self.bit_depth);
        let color = self.sequence_header().map(|header| header.color).unwrap_or_default();
        let usual = |code: u8| matches!(code, 1 | 2);
        let plain_color = usual(color.primaries) && usual(color.transfer) && usual(color.matrix) && !color.full_range;
        if plain_color && !self.monochrome && self.subsampling_x && self.subsampling_y {
            return short;
        }
        let position = if self.subsampling_x && self.subsampling_y { self.chroma_sample_position } else { 0 };
        format!(
            "{short}.{}.{}{}{position}.{:02}.{:02}.{:02}.{}",
            u8::from(self.monochrome),
            u8::from(self.subsampling_x),
            u8::from(self.subsampling_y),
            color.primaries,
            color.transfer,
            color.matrix,
            u8::from(color.full_range),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // av1C of: ffmpeg -f lavfi -i testsrc=s=1920x1080:r=30000/1001 -pix_fmt yuv420p -c:v libsvtav1 out.mp4
    const MAIN: &[u8] = b"\x81\x08\x0c\x00\x0a\x0b\x00\x00\x00\x42\xab\xbf\xc3\x73\xef\xe4\x01";
    // The same at 854x480, yuv420p10le, -c:v libaom-av1.
    const MAIN_10: &[u8] = b"\x81\x04\x4c\x00\x0a\x0b\x00\x00\x00\x24\xc6\xab\xdf\x36\xbe\x50\x10";

    #[test]
    fn a_record_comes_back_byte_for_byte() {
        for (record, codec, width) in [(MAIN, "av01.0.08M.08", 1920), (MAIN_10, "av01.0.04M.10", 854)] {
            let config = Av1Config::parse(record).unwrap();
            assert_eq!(config.to_bytes(), record);
            assert_eq!(config.codec_string(), codec);
            assert_eq!(config.sequence_header().unwrap().width, width);
            assert_eq!(Av1Config::from_temporal_unit(&record[4..]).unwrap(), config);
        }
    }

    #[test]
    fn unusual_chroma_is_named_in_full() {
        let mut config = Av1Config::parse(MAIN).unwrap();
        (config.profile, config.subsampling_x, config.subsampling_y) = (1, false, false);
        assert_eq!(config.codec_string(), "av01.1.08M.08.0.000.02.02.02.0");
    }

    #[test]
    fn a_record_of_another_version_is_refused() {
        assert!(Av1Config::parse(&[0x82, 0, 0, 0]).is_err());
        assert!(Av1Config::parse(&MAIN[..3]).is_err());
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..40)) {
            let record = [&[0x81][..], &data].concat();
            if let Ok(config) = Av1Config::parse(&record) {
                config.codec_string();
                prop_assert_eq!(Av1Config::parse(&config.to_bytes()).unwrap(), config);
            }
        }
    }
}
