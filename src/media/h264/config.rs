//! The decoder configuration record of H.264, avcC (ISO/IEC 14496-15 clause 5.3.3.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::Sps;
use crate::media::bits::Fields;
use crate::media::malformed::Malformed;
use crate::media::nal::units;

const RECORD: &str = "avcC";

/// What the record says in profiles above Main.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcExtension {
    /// chroma_format_idc.
    pub chroma_format: u8,
    /// Bits of a luma sample, 8 to 15.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample, 8 to 15.
    pub bit_depth_chroma: u8,
    /// SPS extension NAL units.
    pub sps_extensions: Vec<Bytes>,
}

/// avcC as fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcConfig {
    /// AVCProfileIndication.
    pub profile: u8,
    /// profile_compatibility.
    pub compatibility: u8,
    /// AVCLevelIndication.
    pub level: u8,
    /// Bytes of the length before each NAL unit of a sample, 1 to 4.
    pub length_size: u8,
    /// SPS NAL units, at most 31.
    pub sps: Vec<Bytes>,
    /// PPS NAL units, at most 255.
    pub pps: Vec<Bytes>,
    /// The fields of profiles above Main; `None` in lower ones, and where the writer left them out.
    pub extension: Option<AvcExtension>,
}

impl AvcConfig {
    /// Reads a record without its box header. Missing extension fields are no error: writers forget them.
    pub fn parse(record: &[u8]) -> Result<AvcConfig, Malformed> {
        let mut fields = Fields::new(RECORD, record);
        let version = fields.byte(8, "configurationVersion")?;
        if version != 1 {
            return Err(fields.value("configurationVersion", version.into()));
        }
        let profile = fields.byte(8, "AVCProfileIndication")?;
        let compatibility = fields.byte(8, "profile_compatibility")?;
        let level = fields.byte(8, "AVCLevelIndication")?;
        fields.skip(6, "reserved")?;
        let length_size = fields.byte(2, "lengthSizeMinusOne")? + 1;
        fields.skip(3, "reserved")?;
        let sps_count = fields.byte(5, "numOfSequenceParameterSets")?;
        let sps = sets(&mut fields, sps_count, "sequenceParameterSetNALUnit")?;
        let pps_count = fields.byte(8, "numOfPictureParameterSets")?;
        let pps = sets(&mut fields, pps_count, "pictureParameterSetNALUnit")?;
        let extension = if has_extension(profile) { extension(&mut fields).ok() } else { None };
        Ok(AvcConfig { profile, compatibility, level, length_size, sps, pps, extension })
    }

    /// The record of a stream with these parameter sets (NAL units with header), for samples with four-byte lengths.
    /// Profile and level are those of the first SPS. Sets beyond what the record can count are left out.
    pub fn from_parameter_sets(sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<AvcConfig, Malformed> {
        let first = Sps::parse(sps.first().map(Bytes::as_ref).unwrap_or_default())?;
        let fits = |sets: Vec<Bytes>, most: usize| -> Vec<Bytes> {
            sets.into_iter().filter(|set| !set.is_empty() && set.len() <= usize::from(u16::MAX)).take(most).collect()
        };
        let extension = has_extension(first.profile).then(|| AvcExtension {
            chroma_format: first.chroma_format,
            bit_depth_luma: first.bit_depth_luma,
            bit_depth_chroma: first.bit_depth_chroma,
            sps_extensions: Vec::new(),
        });
        Ok(AvcConfig {
            profile: first.profile,
            compatibility: first.compatibility,
            level: first.level,
            length_size: 4,
            sps: fits(sps, 31),
            pps: fits(pps, 255),
            extension,
        })
    }

    /// The record of the parameter sets that an access unit of four-byte lengths carries; `None` unless it has both kinds.
    pub fn from_access_unit(data: &[u8]) -> Option<AvcConfig> {
        let of = |wanted| -> Vec<Bytes> {
            let mut sets: Vec<Bytes> = Vec::new();
            for unit in units(data).filter(|unit| super::nal_type(unit) == Some(wanted)) {
                if !sets.iter().any(|set| set == unit) {
                    sets.push(Bytes::copy_from_slice(unit));
                }
            }
            sets
        };
        let pps = of(super::PPS);
        if pps.is_empty() { None } else { AvcConfig::from_parameter_sets(of(super::SPS), pps).ok() }
    }

    /// The record as bytes, without box header.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(&[1, self.profile, self.compatibility, self.level, 0xfc | (self.length_size.wrapping_sub(1) & 3)]);
        put_sets(&mut out, &self.sps, 31, 0xe0);
        put_sets(&mut out, &self.pps, 255, 0);
        if let Some(extension) = &self.extension {
            out.put_u8(0xfc | (extension.chroma_format & 3));
            out.put_u8(0xf8 | (extension.bit_depth_luma.saturating_sub(8) & 7));
            out.put_u8(0xf8 | (extension.bit_depth_chroma.saturating_sub(8) & 7));
            put_sets(&mut out, &extension.sps_extensions, 255, 0);
        }
        out.freeze()
    }

    /// The first SPS, read.
    pub fn first_sps(&self) -> Result<Sps, Malformed> {
        Sps::parse(self.sps.first().map(Bytes::as_ref).unwrap_or_default())
    }

    /// The parameter sets in the order in which a decoder wants them, each a NAL unit.
    pub fn parameter_sets(&self) -> impl Iterator<Item = &Bytes> {
        let extensions = self.extension.iter().flat_map(|extension| &extension.sps_extensions);
        self.sps.iter().chain(extensions).chain(&self.pps)
    }

    /// Codec string with profile, compatibility and level in hexadecimal, `avc1.64001f` (RFC 6381 clause 3.3).
    pub fn codec_string(&self) -> String {
        format!("avc1.{:02x}{:02x}{:02x}", self.profile, self.compatibility, self.level)
    }
}

/// Profiles for which the record goes on after the PPS.
fn has_extension(profile: u8) -> bool {
    !matches!(profile, 66 | 77 | 88)
}

fn sets(fields: &mut Fields<'_>, count: u8, field: &'static str) -> Result<Vec<Bytes>, Malformed> {
    let mut sets = Vec::new();
    for _ in 0..count {
        let size = fields.bits(16, field)? as usize;
        let set = fields.bytes(size, field)?;
        if !set.is_empty() {
            sets.push(Bytes::copy_from_slice(set));
        }
    }
    Ok(sets)
}

fn extension(fields: &mut Fields<'_>) -> Result<AvcExtension, Malformed> {
    fields.skip(6, "reserved")?;
    let chroma_format = fields.byte(2, "chroma_format")?;
    fields.skip(5, "reserved")?;
    let bit_depth_luma = fields.byte(3, "bit_depth_luma_minus8")? + 8;
    fields.skip(5, "reserved")?;
    let bit_depth_chroma = fields.byte(3, "bit_depth_chroma_minus8")? + 8;
    let count = fields.byte(8, "numOfSequenceParameterSetExt")?;
    let sps_extensions = sets(fields, count, "sequenceParameterSetExtNALUnit")?;
    Ok(AvcExtension { chroma_format, bit_depth_luma, bit_depth_chroma, sps_extensions })
}

fn put_sets(out: &mut BytesMut, sets: &[Bytes], most: usize, reserved: u8) {
    let writable = || sets.iter().filter(|set| set.len() <= usize::from(u16::MAX)).take(most);
    out.put_u8(reserved | writable().count() as u8);
    for set in writable() {
        out.put_u16(set.len() as u16);
        out.put_slice(set);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::nal::joined;

    // avcC of: ffmpeg -f lavfi -i testsrc=s=1920x1080:r=30000/1001 -pix_fmt yuv420p -c:v libx264 out.mp4
    const HIGH: &[u8] = b"\x01\x64\x00\x28\xff\xe1\x00\x19\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\x00";

    #[test]
    fn a_record_comes_back_byte_for_byte() {
        let config = AvcConfig::parse(HIGH).unwrap();
        assert_eq!((config.length_size, config.sps.len(), config.pps.len()), (4, 1, 1));
        assert_eq!(config.codec_string(), "avc1.640028");
        assert_eq!(config.first_sps().unwrap().height, 1080);
        assert_eq!(config.to_bytes(), HIGH);
    }

    #[test]
    fn an_access_unit_yields_the_record_that_ffmpeg_writes() {
        let config = AvcConfig::parse(HIGH).unwrap();
        let twice: Vec<&[u8]> = config.parameter_sets().chain(config.parameter_sets()).map(Bytes::as_ref).collect();
        assert_eq!(AvcConfig::from_access_unit(&joined(twice)).unwrap().to_bytes(), HIGH);
        assert_eq!(AvcConfig::from_access_unit(&joined([&config.sps[0][..]])), None);
    }

    #[test]
    fn a_record_without_its_extension_is_read() {
        let config = AvcConfig::parse(&HIGH[..HIGH.len() - 4]).unwrap();
        assert_eq!((config.extension, config.pps.len()), (None, 1));
    }

    #[test]
    fn a_record_that_ends_inside_a_set_says_so() {
        let error = AvcConfig::parse(&HIGH[..20]).unwrap_err();
        assert_eq!(error.to_string(), "avcC of 20 bytes ends inside sequenceParameterSetNALUnit");
        assert!(AvcConfig::parse(&[0, 0, 0, 1, 0x67]).is_err());
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(mut data in prop::collection::vec(any::<u8>(), 1..80)) {
            data[0] = 1;
            if let Ok(config) = AvcConfig::parse(&data) {
                prop_assert_eq!(AvcConfig::parse(&config.to_bytes()).unwrap(), config);
            }
        }
    }
}
