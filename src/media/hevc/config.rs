//! The decoder configuration record of HEVC, hvcC (ISO/IEC 14496-15 clause 8.3.2.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::{ProfileTierLevel, Sps};
use crate::base::Rate;
use crate::media::bits::Fields;
use crate::media::malformed::Malformed;
use crate::media::nal::units;

const RECORD: &str = "hvcC";

/// NAL units of one type in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    /// array_completeness: no more of this type come with the samples. `hvc1` demands it of parameter sets.
    pub complete: bool,
    /// nal_unit_type.
    pub nal_type: u8,
    /// The NAL units with header.
    pub units: Vec<Bytes>,
}

/// hvcC as fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HevcConfig {
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// min_spatial_segmentation_idc; 0 says nothing.
    pub min_spatial_segmentation: u16,
    /// parallelismType; 0 says nothing.
    pub parallelism: u8,
    /// chroma_format_idc.
    pub chroma_format: u8,
    /// Bits of a luma sample, 8 to 15.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample, 8 to 15.
    pub bit_depth_chroma: u8,
    /// avgFrameRate: pictures in 256 seconds; 0 says nothing.
    pub average_rate: u16,
    /// constantFrameRate.
    pub constant_rate: u8,
    /// numTemporalLayers; 0 says nothing.
    pub temporal_layers: u8,
    /// temporalIdNested.
    pub temporal_nesting: bool,
    /// Bytes of the length before each NAL unit of a sample, 1 to 4.
    pub length_size: u8,
    /// The NAL units by type: VPS, SPS, PPS and maybe SEI.
    pub arrays: Vec<ParameterSets>,
}

impl HevcConfig {
    /// Reads a record without its box header.
    pub fn parse(record: &[u8]) -> Result<HevcConfig, Malformed> {
        let mut fields = Fields::new(RECORD, record);
        let version = fields.byte(8, "configurationVersion")?;
        // Files of the time before the standard was final have version 0 and are otherwise alike.
        if version > 1 {
            return Err(fields.value("configurationVersion", version.into()));
        }
        let profile = ProfileTierLevel::read(&mut fields)?;
        fields.skip(4, "reserved")?;
        let min_spatial_segmentation = fields.bits(12, "min_spatial_segmentation_idc")? as u16;
        fields.skip(6, "reserved")?;
        let parallelism = fields.byte(2, "parallelismType")?;
        fields.skip(6, "reserved")?;
        let chroma_format = fields.byte(2, "chroma_format_idc")?;
        fields.skip(5, "reserved")?;
        let bit_depth_luma = fields.byte(3, "bit_depth_luma_minus8")? + 8;
        fields.skip(5, "reserved")?;
        let bit_depth_chroma = fields.byte(3, "bit_depth_chroma_minus8")? + 8;
        let average_rate = fields.bits(16, "avgFrameRate")? as u16;
        let constant_rate = fields.byte(2, "constantFrameRate")?;
        let temporal_layers = fields.byte(3, "numTemporalLayers")?;
        let temporal_nesting = fields.flag("temporalIdNested")?;
        let length_size = fields.byte(2, "lengthSizeMinusOne")? + 1;
        let arrays = arrays(&mut fields)?;
        Ok(HevcConfig {
            profile,
            min_spatial_segmentation,
            parallelism,
            chroma_format,
            bit_depth_luma,
            bit_depth_chroma,
            average_rate,
            constant_rate,
            temporal_layers,
            temporal_nesting,
            length_size,
            arrays,
        })
    }

    /// The record of a stream with these parameter sets (NAL units with header), for samples with four-byte lengths.
    /// All but the sets is taken from the first SPS.
    pub fn from_parameter_sets(vps: Vec<Bytes>, sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<HevcConfig, Malformed> {
        let first = Sps::parse(sps.first().map(Bytes::as_ref).unwrap_or_default())?;
        let array = |nal_type, units: Vec<Bytes>| ParameterSets { complete: true, nal_type, units };
        Ok(HevcConfig {
            profile: first.profile,
            min_spatial_segmentation: 0,
            parallelism: 0,
            chroma_format: first.chroma_format,
            bit_depth_luma: first.bit_depth_luma,
            bit_depth_chroma: first.bit_depth_chroma,
            average_rate: 0,
            constant_rate: 0,
            temporal_layers: first.sub_layers,
            temporal_nesting: first.temporal_nesting,
            length_size: 4,
            arrays: vec![array(super::VPS, vps), array(super::SPS, sps), array(super::PPS, pps)],
        })
    }

    /// The record of the parameter sets that an access unit of four-byte lengths carries; `None` unless it has all three kinds.
    pub fn from_access_unit(data: &[u8]) -> Option<HevcConfig> {
        let of = |wanted| -> Vec<Bytes> {
            let mut sets: Vec<Bytes> = Vec::new();
            for unit in units(data).filter(|unit| super::nal_type(unit) == Some(wanted)) {
                if !sets.iter().any(|set| set == unit) {
                    sets.push(Bytes::copy_from_slice(unit));
                }
            }
            sets
        };
        let (vps, pps) = (of(super::VPS), of(super::PPS));
        if vps.is_empty() || pps.is_empty() { None } else { HevcConfig::from_parameter_sets(vps, of(super::SPS), pps).ok() }
    }

    /// The record as bytes, without box header.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(1);
        out.put_slice(&self.profile.to_bytes());
        out.put_u16(0xf000 | (self.min_spatial_segmentation & 0xfff));
        out.put_u8(0xfc | (self.parallelism & 3));
        out.put_u8(0xfc | (self.chroma_format & 3));
        out.put_u8(0xf8 | (self.bit_depth_luma.saturating_sub(8) & 7));
        out.put_u8(0xf8 | (self.bit_depth_chroma.saturating_sub(8) & 7));
        out.put_u16(self.average_rate);
        let nesting = u8::from(self.temporal_nesting);
        out.put_u8((self.constant_rate & 3) << 6 | (self.temporal_layers & 7) << 3 | nesting << 2 | (self.length_size.wrapping_sub(1) & 3));
        let arrays = self.arrays.iter().take(255);
        out.put_u8(arrays.len() as u8);
        for array in arrays {
            let writable = || array.units.iter().filter(|unit| unit.len() <= usize::from(u16::MAX)).take(usize::from(u16::MAX));
            out.put_u8(u8::from(array.complete) << 7 | (array.nal_type & 0x3f));
            out.put_u16(writable().count() as u16);
            for unit in writable() {
                out.put_u16(unit.len() as u16);
                out.put_slice(unit);
            }
        }
        out.freeze()
    }

    /// The NAL units of one type.
    pub fn sets(&self, nal_type: u8) -> impl Iterator<Item = &Bytes> {
        self.arrays.iter().filter(move |array| array.nal_type == nal_type).flat_map(|array| &array.units)
    }

    /// The parameter sets in the order in which a decoder wants them, each a NAL unit.
    pub fn parameter_sets(&self) -> impl Iterator<Item = &Bytes> {
        self.sets(super::VPS).chain(self.sets(super::SPS)).chain(self.sets(super::PPS))
    }

    /// The first SPS, read.
    pub fn first_sps(&self) -> Result<Sps, Malformed> {
        Sps::parse(self.sets(super::SPS).next().map(Bytes::as_ref).unwrap_or_default())
    }

    /// Pictures a second: of the SPS, else of the VPS.
    pub fn rate(&self) -> Option<Rate> {
        let of_sps = self.first_sps().ok().and_then(|sps| sps.rate);
        of_sps.or_else(|| self.sets(super::VPS).find_map(|vps| super::vps_rate(vps)))
    }

    /// Codec string, `hvc1.1.6.L120.90` (ISO/IEC 14496-15 annex E.3).
    pub fn codec_string(&self) -> String {
        self.profile.codec_string()
    }
}

fn arrays(fields: &mut Fields<'_>) -> Result<Vec<ParameterSets>, Malformed> {
    let mut arrays = Vec::new();
    for _ in 0..fields.byte(8, "numOfArrays")? {
        let complete = fields.flag("array_completeness")?;
        fields.skip(1, "reserved")?;
        let nal_type = fields.byte(6, "NAL_unit_type")?;
        let mut units = Vec::new();
        for _ in 0..fields.bits(16, "numNalus")? {
            let size = fields.bits(16, "nalUnitLength")? as usize;
            let unit = fields.bytes(size, "nalUnit")?;
            if !unit.is_empty() {
                units.push(Bytes::copy_from_slice(unit));
            }
        }
        arrays.push(ParameterSets { complete, nal_type, units });
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::nal::joined;

    // hvcC of: ffmpeg -f lavfi -i testsrc=s=1920x1080:r=30000/1001 -pix_fmt yuv420p -c:v libx265 -tag:v hvc1 out.mp4,
    // without the fourth array, which is the encoder's own message.
    const MAIN: &[u8] = b"\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x78\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x03\xa0\x00\x01\x00\x18\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x78\x95\x98\x09\xa1\x00\x01\x00\x29\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x78\xa0\x03\xc0\x80\x10\xe5\x96\x56\x69\x24\xca\xf0\x16\x80\x80\x00\x01\xf4\x80\x00\x3a\x98\x04\xa2\x00\x01\x00\x07\x44\x01\xc1\x72\xb4\x62\x40";

    #[test]
    fn a_record_comes_back_byte_for_byte() {
        let config = HevcConfig::parse(MAIN).unwrap();
        assert_eq!((config.length_size, config.parameter_sets().count()), (4, 3));
        assert_eq!(config.codec_string(), "hvc1.1.6.L120.90");
        assert_eq!((config.first_sps().unwrap().width, config.rate()), (1920, Some(Rate::new(30_000, 1001))));
        assert_eq!(config.to_bytes(), MAIN);
    }

    #[test]
    fn an_access_unit_yields_the_record_that_ffmpeg_writes() {
        let config = HevcConfig::parse(MAIN).unwrap();
        let built = HevcConfig::from_access_unit(&joined(config.parameter_sets().map(Bytes::as_ref))).unwrap();
        assert_eq!(built, config);
        assert_eq!(HevcConfig::from_access_unit(&joined([&config.arrays[1].units[0][..]])), None);
    }

    #[test]
    fn a_record_that_ends_inside_a_set_says_so() {
        let error = HevcConfig::parse(&MAIN[..60]).unwrap_err();
        assert_eq!(error.to_string(), "hvcC of 60 bytes ends inside nalUnit");
        assert!(HevcConfig::parse(&[9; 40]).is_err());
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..80)) {
            let record = [&MAIN[..22], &data].concat();
            if let Ok(config) = HevcConfig::parse(&record) {
                prop_assert_eq!(HevcConfig::parse(&config.to_bytes()).unwrap(), config);
            }
        }
    }
}
