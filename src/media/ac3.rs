//! AC-3 and Enhanced AC-3 frame headers (ETSI TS 102 366 clause 4.3 and annex E.1.2).

use super::bits::Fields;
use super::malformed::Malformed;

const RECORD: &str = "AC-3 header";

/// Bytes that [`Ac3Frame::parse`] wants.
pub const HEADER_SIZE: usize = 7;

/// Bitrates in kbit/s by frmsizecod / 2 (table 4.13).
const BITRATES_KBPS: [u32; 19] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
const RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Full bandwidth channels by acmod (table 4.3).
const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
/// Samples of an audio block.
const BLOCK: u32 = 256;

/// What a header says of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ac3Frame {
    /// Enhanced AC-3.
    pub enhanced: bool,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels of this substream, the low frequency one included.
    pub channels: u8,
    /// Bytes from the start of the header to the next.
    pub frame_size: usize,
    /// Samples of each channel.
    pub samples: u32,
    /// The frame belongs to the one before it: a dependent substream, or a further programme (annex E.1.3.1.1).
    pub follows: bool,
}

impl Ac3Frame {
    /// Reads the header with which `data` begins; of the frame itself nothing need be there.
    pub fn parse(data: &[u8]) -> Result<Ac3Frame, Malformed> {
        let mut fields = Fields::new(RECORD, data.get(..HEADER_SIZE).unwrap_or(data));
        let sync = fields.bits(16, "syncword")?;
        if sync != 0x0b77 {
            return Err(fields.value("syncword", sync.into()));
        }
        let id = *data.get(5).ok_or(fields.short("bsid"))? >> 3;
        match id {
            ..=10 => Ac3Frame::basic(fields, id),
            11..=16 => Ac3Frame::enhanced(fields),
            _ => Err(fields.value("bsid", id.into())),
        }
    }

    fn basic(mut fields: Fields<'_>, id: u8) -> Result<Ac3Frame, Malformed> {
        fields.skip(16, "crc1")?;
        let rate_code = fields.byte(2, "fscod")?;
        let size_code = fields.byte(6, "frmsizecod")?;
        fields.skip(5 + 3, "bsid")?;
        let mode = fields.byte(3, "acmod")?;
        if mode & 1 == 1 && mode != 1 {
            fields.skip(2, "cmixlev")?;
        }
        if mode & 4 == 4 {
            fields.skip(2, "surmixlev")?;
        }
        if mode == 2 {
            fields.skip(2, "dsurmod")?;
        }
        let low = fields.flag("lfeon")?;
        let full_rate = *RATES.get(usize::from(rate_code)).ok_or(fields.value("fscod", rate_code.into()))?;
        let kbps = *BITRATES_KBPS.get(usize::from(size_code / 2)).ok_or(fields.value("frmsizecod", size_code.into()))?;
        // A frame is 1536 samples; at 44.1 kHz an odd code is the frame that is one word longer.
        let words = 1536 * kbps * 1000 / full_rate / 16 + if full_rate == 44_100 { u32::from(size_code & 1) } else { 0 };
        Ok(Ac3Frame {
            enhanced: false,
            // bsid 9 and 10 are the half and quarter rates that some encoders write.
            sample_rate: full_rate >> id.saturating_sub(8),
            channels: channels(mode, low),
            frame_size: words as usize * 2,
            samples: 6 * BLOCK,
            follows: false,
        })
    }

    fn enhanced(mut fields: Fields<'_>) -> Result<Ac3Frame, Malformed> {
        let kind = fields.byte(2, "strmtyp")?;
        let substream = fields.byte(3, "substreamid")?;
        let words = fields.bits(11, "frmsiz")? + 1;
        let rate_code = fields.byte(2, "fscod")?;
        let second_code = fields.byte(2, "numblkscod")?;
        let mode = fields.byte(3, "acmod")?;
        let low = fields.flag("lfeon")?;
        if kind == 3 {
            return Err(fields.value("strmtyp", 3));
        }
        let (sample_rate, blocks) = match RATES.get(usize::from(rate_code)) {
            Some(&rate) => (rate, [1, 2, 3, 6].get(usize::from(second_code)).copied().unwrap_or(6)),
            // The second code is then fscod2: half of the rates, six blocks.
            None => {
                let rate = RATES.get(usize::from(second_code)).ok_or(fields.value("fscod2", second_code.into()))?;
                (rate / 2, 6)
            }
        };
        let frame_size = words as usize * 2;
        if frame_size < HEADER_SIZE {
            return Err(fields.value("frmsiz", words.into()));
        }
        let follows = kind == 1 || substream > 0;
        Ok(Ac3Frame { enhanced: true, sample_rate, channels: channels(mode, low), frame_size, samples: blocks * BLOCK, follows })
    }
}

fn channels(mode: u8, low: bool) -> u8 {
    CHANNELS.get(usize::from(mode)).copied().unwrap_or(2) + u8::from(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // First bytes of: ffmpeg -f lavfi -i sine=r=RATE -ac CHANNELS -c:a ac3|eac3 out
    const BASIC: [u8; 8] = [0x0b, 0x77, 0xd6, 0x76, 0x14, 0x40, 0x43, 0xe1];

    #[test]
    fn headers_give_the_sizes_of_the_standard() {
        let frame = Ac3Frame::parse(&BASIC).unwrap();
        assert_eq!((frame.sample_rate, frame.channels, frame.frame_size, frame.samples), (48_000, 2, 768, 1536));
        let surround = Ac3Frame::parse(&[0x0b, 0x77, 0xab, 0xaa, 0x5d, 0x40, 0xeb, 0xf8]).unwrap();
        assert_eq!((surround.sample_rate, surround.channels, surround.frame_size), (44_100, 6, 1672));
        let enhanced = Ac3Frame::parse(&[0x0b, 0x77, 0x01, 0x7f, 0x34, 0x87, 0xc0, 0]).unwrap();
        assert_eq!((enhanced.enhanced, enhanced.sample_rate, enhanced.channels, enhanced.frame_size), (true, 48_000, 2, 768));
        assert!(!enhanced.follows);
        assert!(Ac3Frame::parse(&[0x0b, 0x77, 0x41, 0x7f, 0x34, 0x87, 0xc0, 0]).unwrap().follows, "a dependent substream");
    }

    #[test]
    fn a_header_that_is_cut_or_reserved_is_refused() {
        assert!(Ac3Frame::parse(&BASIC[..6]).is_err());
        assert!(Ac3Frame::parse(&[0x0b, 0x77, 0, 0, 0xd4, 0x40, 0x43]).is_err(), "fscod 3");
        assert!(Ac3Frame::parse(&[0x0b, 0x77, 0, 0, 0x26, 0x40, 0x43]).is_err(), "frmsizecod 38");
        assert!(Ac3Frame::parse(&[0x0b, 0x77, 0, 0, 0x14, 0x88, 0x43]).is_err(), "bsid 17");
    }

    proptest! {
        #[test]
        fn a_frame_is_longer_than_its_header(tail in prop::array::uniform6(any::<u8>())) {
            if let Ok(frame) = Ac3Frame::parse(&[&[0x0b, 0x77][..], &tail].concat()) {
                prop_assert!(frame.frame_size >= HEADER_SIZE && frame.sample_rate > 0 && frame.samples > 0);
            }
        }
    }
}
