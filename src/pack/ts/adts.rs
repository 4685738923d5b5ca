//! ADTS headers (ISO/IEC 14496-3 1.A.2) in front of raw AAC frames.

/// The seven bytes in front of a frame.
pub type AdtsHeader = [u8; 7];

/// Writes the headers of one AAC track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adts {
    profile: u8,
    frequency_index: u8,
    channels: u8,
}

/// The sample rates that an index stands for (ISO/IEC 14496-3 table 1.18).
const RATES: [u32; 13] = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

impl Adts {
    /// From an AudioSpecificConfig; the reason where ADTS cannot say what it says.
    pub fn from_specific_config(config: &[u8]) -> Result<Adts, &'static str> {
        let mut bits = Bits { bytes: config, position: 0 };
        let cut_short = "its AudioSpecificConfig is cut short";
        let mut object = object_type(&mut bits).ok_or(cut_short)?;
        let frequency_index = rate_index(&mut bits).ok_or(cut_short)?;
        let channels = bits.read(4).ok_or(cut_short)? as u8;
        // Explicitly signalled SBR and PS: ADTS carries the core, decoders find the extension in the frames.
        if object == 5 || object == 29 {
            rate_index(&mut bits).ok_or(cut_short)?;
            object = object_type(&mut bits).ok_or(cut_short)?;
        }
        match (object, frequency_index, channels) {
            (1..=4, Some(frequency_index), 1..=7) => Ok(Adts { profile: object as u8 - 1, frequency_index, channels }),
            (1..=4, Some(_), _) => Err("its channels are described in a way that ADTS does not know"),
            (1..=4, None, _) => Err("its sample rate is none that ADTS knows"),
            _ => Err("its AAC object type is none that ADTS knows"),
        }
    }

    /// The header of a frame of `length` bytes; `None` if the frame is larger than ADTS can say.
    pub fn header(&self, length: usize) -> Option<AdtsHeader> {
        let whole = length.checked_add(7).filter(|whole| *whole < 1 << 13)?;
        let mut header = [0xff, 0xf1, 0, 0, 0, 0, 0xfc];
        header[2] = self.profile << 6 | self.frequency_index << 2 | self.channels >> 2;
        header[3] = (self.channels & 3) << 6 | (whole >> 11) as u8;
        header[4] = (whole >> 3) as u8;
        header[5] = (whole << 5) as u8 | 0x1f;
        Some(header)
    }
}

fn object_type(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.read(5)? {
        31 => Some(32 + bits.read(6)?),
        object => Some(object),
    }
}

/// The index; `Some(None)` for a rate written out that has no index.
fn rate_index(bits: &mut Bits<'_>) -> Option<Option<u8>> {
    match bits.read(4)? {
        15 => {
            let rate = bits.read(24)?;
            Some(RATES.iter().position(|known| *known == rate).map(|index| index as u8))
        }
        index => Some(Some(index as u8).filter(|index| usize::from(*index) < RATES.len())),
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.position / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_complexity_stereo_at_48_khz() {
        let adts = Adts::from_specific_config(&[0x11, 0x90]).unwrap();
        assert_eq!(adts, Adts { profile: 1, frequency_index: 3, channels: 2 });
        assert_eq!(adts.header(0x155).unwrap(), [0xff, 0xf1, 0x4c, 0x80, 0x2b, 0x9f, 0xfc]);
    }

    #[test]
    fn explicit_sbr_is_carried_as_its_core() {
        // Object 5, 24 kHz, stereo, extension 48 kHz, core object 2.
        let adts = Adts::from_specific_config(&[0x2b, 0x11, 0x88, 0x00]).unwrap();
        assert_eq!(adts, Adts { profile: 1, frequency_index: 6, channels: 2 });
    }

    #[test]
    fn what_adts_cannot_say_is_refused_with_the_reason() {
        assert!(Adts::from_specific_config(&[0x11]).unwrap_err().contains("cut short"));
        assert!(Adts::from_specific_config(&[0x11, 0x80]).unwrap_err().contains("channels"));
        assert_eq!(Adts::from_specific_config(&[0x11, 0x90]).unwrap().header(8185), None);
    }
}
