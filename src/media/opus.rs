//! Opus: OpusHead (RFC 7845), its form in ISO BMFF, packet durations (RFC 6716).

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Fields;
use super::malformed::Malformed;

const MAGIC: &[u8; 8] = b"OpusHead";
/// A packet lasts at most 120 ms (RFC 6716 section 3.2.5 [R5]), in samples at 48 kHz.
const LONGEST_PACKET: u32 = 5760;

/// How streams within a packet become channels (RFC 7845 section 5.1.1); absent where family 0 implies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelMapping {
    /// Streams in a packet.
    pub streams: u8,
    /// How many of them, from the first, are stereo.
    pub coupled: u8,
    /// For each output channel the decoded channel, or 255 for silence.
    pub channels: Vec<u8>,
}

/// The identification header, which OpusHead and dOps hold in different byte orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpusConfig {
    /// Output channels, 1 to 255.
    pub channels: u8,
    /// Samples at 48 kHz to drop from the beginning of the decoded sound.
    pub pre_skip: u16,
    /// Samples a second before encoding; decoding is at 48 kHz whatever this says. 0 where unknown.
    pub input_rate: u32,
    /// Gain to apply in 1/256 dB.
    pub gain: i16,
    /// Channel mapping family: 0 mono and stereo, 1 Vorbis order, 255 unordered.
    pub family: u8,
    /// The mapping, in families other than 0.
    pub mapping: Option<ChannelMapping>,
}

impl OpusConfig {
    /// Reads OpusHead, magic signature included (RFC 7845 section 5.1).
    pub fn parse(head: &[u8]) -> Result<OpusConfig, Malformed> {
        let mut fields = Fields::new("OpusHead", head);
        let magic = fields.bytes(MAGIC.len(), "magic signature")?;
        if magic != MAGIC {
            return Err(fields.value("magic signature", magic.first().copied().unwrap_or_default().into()));
        }
        let version = fields.byte(8, "version")?;
        // Versions below 16 are compatible by definition.
        if version > 15 {
            return Err(fields.value("version", version.into()));
        }
        let channels = fields.byte(8, "output channel count")?;
        let pre_skip = (fields.bits(16, "pre-skip")? as u16).swap_bytes();
        let input_rate = fields.bits(32, "input sample rate")?.swap_bytes();
        let gain = (fields.bits(16, "output gain")? as u16).swap_bytes() as i16;
        OpusConfig::with_mapping(fields, OpusConfig { channels, pre_skip, input_rate, gain, family: 0, mapping: None })
    }

    /// Reads the body of a dOps box (Opus in ISO BMFF clause 4.3.2).
    pub fn parse_dops(body: &[u8]) -> Result<OpusConfig, Malformed> {
        let mut fields = Fields::new("dOps", body);
        let version = fields.byte(8, "Version")?;
        if version != 0 {
            return Err(fields.value("Version", version.into()));
        }
        let channels = fields.byte(8, "OutputChannelCount")?;
        let pre_skip = fields.bits(16, "PreSkip")? as u16;
        let input_rate = fields.bits(32, "InputSampleRate")?;
        let gain = fields.bits(16, "OutputGain")? as u16 as i16;
        OpusConfig::with_mapping(fields, OpusConfig { channels, pre_skip, input_rate, gain, family: 0, mapping: None })
    }

    fn with_mapping(mut fields: Fields<'_>, mut config: OpusConfig) -> Result<OpusConfig, Malformed> {
        config.family = fields.byte(8, "channel mapping family")?;
        let most = if config.family == 0 { 2 } else { 255 };
        if !(1..=most).contains(&config.channels) {
            return Err(fields.value("output channel count", config.channels.into()));
        }
        if config.family != 0 {
            let streams = fields.byte(8, "stream count")?;
            let coupled = fields.byte(8, "coupled stream count")?;
            if streams == 0 || coupled > streams || u16::from(streams) + u16::from(coupled) > 255 {
                return Err(fields.value("stream count", streams.into()));
            }
            let channels = fields.bytes(config.channels.into(), "channel mapping")?.to_vec();
            config.mapping = Some(ChannelMapping { streams, coupled, channels });
        }
        Ok(config)
    }

    /// OpusHead with its magic signature, version 1.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(MAGIC);
        out.put_slice(&[1, self.channels]);
        out.put_u16_le(self.pre_skip);
        out.put_u32_le(self.input_rate);
        out.put_i16_le(self.gain);
        self.put_mapping(&mut out);
        out.freeze()
    }

    /// The body of a dOps box.
    pub fn to_dops(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(&[0, self.channels]);
        out.put_u16(self.pre_skip);
        out.put_u32(self.input_rate);
        out.put_i16(self.gain);
        self.put_mapping(&mut out);
        out.freeze()
    }

    fn put_mapping(&self, out: &mut BytesMut) {
        out.put_u8(self.family);
        if let Some(mapping) = &self.mapping {
            out.put_slice(&[mapping.streams, mapping.coupled]);
            out.put_slice(&mapping.channels);
        }
    }
}

/// How many samples at 48 kHz a packet lasts, by its first bytes (RFC 6716 section 3.1); `None` where they are not those of a packet.
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let (&toc, rest) = packet.split_first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880].get(usize::from(config & 3)).copied()?,
        config @ 12..=15 => 480 << (config & 1),
        config => 120u32 << (config & 3),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    let samples = frame * frames;
    (1..=LONGEST_PACKET).contains(&samples).then_some(samples)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // OpusHead and dOps of: ffmpeg -f lavfi -i sine=r=48000 -c:a libopus -ac CHANNELS out.ogg, out.mp4
    const STEREO: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";
    const SURROUND: &[u8] = b"OpusHead\x01\x06\x38\x01\x80\xbb\x00\x00\x00\x00\x01\x04\x02\x00\x04\x01\x02\x03\x05";
    const SURROUND_DOPS: &[u8] = b"\x00\x06\x01\x38\x00\x00\xbb\x80\x00\x00\x01\x04\x02\x00\x04\x01\x02\x03\x05";

    #[test]
    fn a_header_comes_back_byte_for_byte() {
        let stereo = OpusConfig::parse(STEREO).unwrap();
        assert_eq!((stereo.channels, stereo.pre_skip, stereo.input_rate, stereo.mapping.clone()), (2, 312, 48_000, None));
        assert_eq!(stereo.to_bytes(), STEREO);
        let surround = OpusConfig::parse(SURROUND).unwrap();
        assert_eq!(surround.to_bytes(), SURROUND);
        assert_eq!(surround.to_dops(), SURROUND_DOPS);
        assert_eq!(OpusConfig::parse_dops(SURROUND_DOPS).unwrap(), surround);
    }

    #[test]
    fn impossible_channels_are_refused() {
        let with = |at: usize, value: u8| {
            let mut head = SURROUND.to_vec();
            head[at] = value;
            OpusConfig::parse(&head)
        };
        assert!(with(9, 0).is_err() && with(9, 7).is_err() && with(19, 0).is_err() && with(20, 5).is_err() && with(8, 16).is_err());
        assert!(OpusConfig::parse(&STEREO[..18]).is_err());
    }

    #[test]
    fn packets_last_what_their_first_bytes_say() {
        // RFC 6716 table 2: SILK 60 ms, hybrid 20 ms, CELT 2.5 ms and 20 ms; then counts of one, two and three.
        let first = |config: u8, count: u8| packet_samples(&[config << 3 | count, 3]);
        assert_eq!([first(3, 0), first(13, 0), first(16, 0), first(31, 0)], [2880, 960, 120, 960].map(Some));
        assert_eq!([first(31, 1), first(31, 2), first(31, 3), first(3, 1)], [1920, 1920, 2880, 5760].map(Some));
        assert_eq!([first(3, 3), packet_samples(&[0xfb]), packet_samples(&[0xfb, 0]), packet_samples(&[])], [None; 4]);
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..40)) {
            packet_samples(&data);
            if let Ok(config) = OpusConfig::parse(&[&MAGIC[..], &data].concat()) {
                prop_assert_eq!(OpusConfig::parse(&config.to_bytes()).unwrap(), config.clone());
                prop_assert_eq!(OpusConfig::parse_dops(&config.to_dops()).unwrap(), config);
            }
            let _ = OpusConfig::parse_dops(&data);
        }
    }
}
