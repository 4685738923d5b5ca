//! AudioSpecificConfig (ISO/IEC 14496-3 clause 1.6.2.1).

use bytes::Bytes;

use super::program::ProgramConfig;
use super::{PS, SAMPLE_RATES, SBR, rate_index};
use crate::media::bits::{BitWriter, Fields};
use crate::media::malformed::Malformed;

const RECORD: &str = "AudioSpecificConfig";
const SYNC_SBR: u32 = 0x2b7;
const SYNC_PS: u32 = 0x548;

/// How a config announces its extension (clause 1.6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalling {
    /// Ahead of the core: decoders without the extension refuse the stream.
    Hierarchical,
    /// Behind the core, where decoders without the extension do not look.
    BackwardCompatible,
}

/// Explicit signalling of spectral band replication and parametric stereo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Where it is announced.
    pub signalling: Signalling,
    /// Samples a second with SBR; `None` where the config says that there is no SBR.
    pub sample_rate: Option<u32>,
    /// Whether there is parametric stereo; `None` where that is not said.
    pub parametric_stereo: Option<bool>,
}

/// AudioSpecificConfig as fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacConfig {
    /// Audio object type of the core: 2 AAC-LC ... At most 95.
    pub object_type: u8,
    /// Samples a second of the core.
    pub sample_rate: u32,
    /// channelConfiguration; 0 means that `program` says it.
    pub channel_configuration: u8,
    /// Frames have 960 and not 1024 samples (480 and not 512 in AAC-LD).
    pub short_frames: bool,
    /// The layout, where `channel_configuration` is 0.
    pub program: Option<ProgramConfig>,
    /// Explicit signalling of SBR and PS.
    pub extension: Option<Extension>,
}

impl AacConfig {
    /// AAC-LC with this rate and this many channels (1 to 6, 8). No config names other counts; `None` for them.
    pub fn lc(sample_rate: u32, channels: u8) -> Option<AacConfig> {
        let channel_configuration = match channels {
            1..=6 => channels,
            8 => 7,
            _ => return None,
        };
        Some(AacConfig {
            object_type: super::AAC_LC,
            sample_rate,
            channel_configuration,
            short_frames: false,
            program: None,
            extension: None,
        })
    }

    /// Reads a config. Object types other than AAC's own (1 to 4, error resilient 17, low delay 23) are refused.
    pub fn parse(config: &[u8]) -> Result<AacConfig, Malformed> {
        let mut fields = Fields::new(RECORD, config);
        let mut aac = AacConfig::core(&mut fields)?;
        if aac.extension.is_none() {
            // Zeros and noise behind the core are common and mean nothing.
            aac.extension = trailing_extension(fields);
        }
        Ok(aac)
    }

    /// Reads the config with which `data` begins and tells how many bits it has, for carriers that put other fields right
    /// behind it. An extension behind the core is not looked for.
    pub fn parse_core(data: &[u8]) -> Result<(AacConfig, usize), Malformed> {
        let mut fields = Fields::new(RECORD, data);
        let total = fields.remaining();
        let aac = AacConfig::core(&mut fields)?;
        Ok((aac, total - fields.remaining()))
    }

    fn core(fields: &mut Fields<'_>) -> Result<AacConfig, Malformed> {
        let mut object_type = read_object_type(fields)?;
        let sample_rate = read_rate(fields)?;
        let channel_configuration = fields.byte(4, "channelConfiguration")?;
        let mut extension = None;
        if matches!(object_type, SBR | PS) {
            extension = Some(Extension {
                signalling: Signalling::Hierarchical,
                parametric_stereo: (object_type == PS).then_some(true),
                sample_rate: Some(read_rate(fields)?),
            });
            object_type = read_object_type(fields)?;
        }
        if !matches!(object_type, 1..=4 | 17 | 23) {
            return Err(fields.value("audioObjectType", object_type.into()));
        }
        let mut aac = AacConfig { object_type, sample_rate, channel_configuration, short_frames: false, program: None, extension };
        aac.general(fields)?;
        Ok(aac)
    }

    /// GASpecificConfig (clause 4.4.1).
    fn general(&mut self, fields: &mut Fields<'_>) -> Result<(), Malformed> {
        self.short_frames = fields.flag("frameLengthFlag")?;
        if fields.flag("dependsOnCoreCoder")? {
            return Err(fields.value("dependsOnCoreCoder", 1));
        }
        let extended = fields.flag("extensionFlag")?;
        if self.channel_configuration == 0 {
            self.program = Some(ProgramConfig::read(fields)?);
        }
        let resilient = self.object_type > 4;
        if extended {
            fields.skip(if resilient { 3 + 1 } else { 1 }, "extensionFlag3")?;
        }
        if resilient {
            fields.skip(2, "epConfig")?;
        }
        Ok(())
    }

    /// The config as bytes; without the resilience tools of object types above 4, which no player of ours knows.
    pub fn to_bytes(&self) -> Bytes {
        let mut bits = BitWriter::new();
        let ahead = self.extension.filter(|extension| extension.signalling == Signalling::Hierarchical);
        let extended_rate = ahead.and_then(|extension| extension.sample_rate);
        let outer = match ahead {
            Some(Extension { parametric_stereo: Some(true), .. }) => PS,
            Some(_) if extended_rate.is_some() => SBR,
            _ => self.object_type,
        };
        write_object_type(&mut bits, outer);
        write_rate(&mut bits, self.sample_rate);
        bits.bits(self.channel_configuration.into(), 4);
        if outer != self.object_type {
            write_rate(&mut bits, extended_rate.unwrap_or(self.sample_rate));
            write_object_type(&mut bits, self.object_type);
        }
        bits.flag(self.short_frames);
        bits.bits(0, 2);
        if let Some(program) = self.program.as_ref().filter(|_| self.channel_configuration == 0) {
            program.write(&mut bits);
        }
        bits.bits(0, if self.object_type > 4 { 2 } else { 0 });
        if let Some(extension) = self.extension.filter(|extension| extension.signalling == Signalling::BackwardCompatible) {
            write_trailing(&mut bits, extension);
        }
        bits.finish().into()
    }

    /// Output channels; 0 where nothing says. Parametric stereo makes two of one.
    pub fn channels(&self) -> u8 {
        let core = match (self.channel_configuration, &self.program) {
            (0, program) => program.as_ref().map_or(0, ProgramConfig::channels),
            (count @ 1..=6, _) => count,
            (7 | 12 | 14, _) => 8,
            (11, _) => 7,
            (13, _) => 24,
            _ => 0,
        };
        if core == 1 && self.has_parametric_stereo() { 2 } else { core }
    }

    /// Samples a second that come out, SBR included.
    pub fn output_rate(&self) -> u32 {
        self.extension.and_then(|extension| extension.sample_rate).unwrap_or(self.sample_rate)
    }

    /// Samples of the core in a frame.
    pub fn frame_samples(&self) -> u32 {
        match (self.object_type, self.short_frames) {
            (23, false) => 512,
            (23, true) => 480,
            (_, false) => 1024,
            (_, true) => 960,
        }
    }

    /// Codec string, `mp4a.40.2` (RFC 6381 section 3.3): 5 with SBR and 29 with parametric stereo, however announced.
    pub fn codec_string(&self) -> String {
        let with_sbr = self.extension.is_some_and(|extension| extension.sample_rate.is_some());
        let object_type = match with_sbr {
            true if self.has_parametric_stereo() => PS,
            true => SBR,
            false => self.object_type,
        };
        format!("mp4a.40.{object_type}")
    }

    fn has_parametric_stereo(&self) -> bool {
        self.extension.is_some_and(|extension| extension.parametric_stereo == Some(true))
    }
}

fn read_object_type(fields: &mut Fields<'_>) -> Result<u8, Malformed> {
    match fields.byte(5, "audioObjectType")? {
        31 => Ok(32 + fields.byte(6, "audioObjectTypeExt")?),
        object_type => Ok(object_type),
    }
}

fn write_object_type(bits: &mut BitWriter, object_type: u8) {
    match object_type.checked_sub(32) {
        Some(beyond) => bits.bits(31 << 6 | u32::from(beyond & 63), 11),
        None => bits.bits(object_type.into(), 5),
    }
}

fn read_rate(fields: &mut Fields<'_>) -> Result<u32, Malformed> {
    let index = fields.byte(4, "samplingFrequencyIndex")?;
    let rate =
        if index == 15 { fields.bits(24, "samplingFrequency")? } else { SAMPLE_RATES.get(usize::from(index)).copied().unwrap_or_default() };
    // Time is counted in samples: a rate of zero would divide by it.
    if rate == 0 { Err(fields.value("samplingFrequencyIndex", index.into())) } else { Ok(rate) }
}

fn write_rate(bits: &mut BitWriter, rate: u32) {
    match rate_index(rate) {
        Some(index) => bits.bits(index.into(), 4),
        None => bits.bits(15 << 24 | rate.min(0xff_ffff), 28),
    }
}

/// The extension that backward compatible signalling puts behind the core; `None` where none is there, or it is cut.
fn trailing_extension(mut fields: Fields<'_>) -> Option<Extension> {
    if fields.remaining() < 16 || fields.bits(11, "syncExtensionType").ok()? != SYNC_SBR || read_object_type(&mut fields).ok()? != SBR {
        return None;
    }
    let mut extension = Extension { signalling: Signalling::BackwardCompatible, sample_rate: None, parametric_stereo: None };
    if fields.flag("sbrPresentFlag").ok()? {
        extension.sample_rate = Some(read_rate(&mut fields).ok()?);
        if fields.remaining() >= 12 && fields.bits(11, "syncExtensionType").ok()? == SYNC_PS {
            extension.parametric_stereo = fields.flag("psPresentFlag").ok();
        }
    }
    Some(extension)
}

fn write_trailing(bits: &mut BitWriter, extension: Extension) {
    bits.bits(SYNC_SBR, 11);
    write_object_type(bits, SBR);
    bits.flag(extension.sample_rate.is_some());
    if let Some(rate) = extension.sample_rate {
        write_rate(bits, rate);
        if let Some(present) = extension.parametric_stereo {
            bits.bits(SYNC_PS, 11);
            bits.flag(present);
        }
    }
}

#[cfg(test)]
mod tests;
