//! SMPTE time codes of a source's pictures, packed as libavutil packs them: the software path has them from there.

use crate::base::Rate;
use crate::media::bits::BitReader;
use crate::media::h264::{self, AvcConfig, ClockTimestamp, Sps, TimingLayout};
use crate::media::hevc::{self, HevcConfig};
use crate::media::nal::{sei, units};
use crate::media::{VideoCodec, VideoTrack};

/// Clock timestamps by pic_struct (H.264 table D-1).
const TIMESTAMPS: [u32; 9] = [1, 1, 1, 2, 2, 3, 3, 2, 3];
/// Bits of n_frames.
const H264_COUNT: u32 = 8;
const HEVC_COUNT: u32 = 9;

/// What is needed of parameter sets to read time codes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timecodes {
    layout: TimingLayout,
    rate: Option<Rate>,
}

impl Timecodes {
    /// For the pictures of a track.
    pub(super) fn of(track: &VideoTrack) -> Timecodes {
        let mut timecodes = Timecodes { layout: TimingLayout::default(), rate: track.rate };
        match track.codec {
            VideoCodec::H264 => {
                if let Some(sps) = AvcConfig::parse(&track.config).ok().and_then(|config| config.first_sps().ok()) {
                    timecodes.follow(&sps);
                }
            }
            VideoCodec::Hevc => timecodes.rate = HevcConfig::parse(&track.config).ok().and_then(|config| config.rate()).or(track.rate),
            VideoCodec::Av1 | VideoCodec::Other => {}
        }
        timecodes
    }

    fn follow(&mut self, sps: &Sps) {
        (self.layout, self.rate) = (sps.timing, sps.rate.or(self.rate));
    }

    /// The time code of an access unit, if it has one.
    pub(super) fn read(&mut self, codec: VideoCodec, data: &[u8]) -> Option<u32> {
        let clock = match codec {
            VideoCodec::H264 => self.of_h264(data),
            VideoCodec::Hevc => of_hevc(data),
            VideoCodec::Av1 | VideoCodec::Other => None,
        };
        clock.map(|clock| packed(&clock, self.rate))
    }

    fn of_h264(&mut self, data: &[u8]) -> Option<ClockTimestamp> {
        let mut found = None;
        for unit in units(data) {
            match h264::nal_type(unit) {
                Some(h264::SPS) => {
                    if let Ok(sps) = Sps::parse(unit) {
                        self.follow(&sps);
                    }
                }
                Some(h264::SEI) => {
                    let timing = sei::messages(unit, 1).into_iter().find(|message| message.payload_type == h264::PICTURE_TIMING);
                    found = found.or(timing.and_then(|message| of_picture_timing(&message.payload, &self.layout)));
                }
                _ => {}
            }
        }
        found
    }
}

/// The first clock timestamp of a picture timing message (H.264 clause D.1.3).
fn of_picture_timing(payload: &[u8], layout: &TimingLayout) -> Option<ClockTimestamp> {
    let mut bits = BitReader::new(payload);
    bits.skip(layout.delay_bits as usize)?;
    if !layout.has_pic_struct {
        return None;
    }
    let count = *TIMESTAMPS.get(bits.bits(4)? as usize)?;
    for _ in 0..count {
        if bits.flag()? {
            // ct_type, nuit_field_based_flag.
            bits.skip(3)?;
            return clock(&mut bits, H264_COUNT);
        }
    }
    None
}

fn of_hevc(data: &[u8]) -> Option<ClockTimestamp> {
    let of_sei = units(data).filter(|unit| hevc::nal_type(unit) == Some(hevc::PREFIX_SEI));
    let codes = of_sei.flat_map(|unit| sei::messages(unit, 2)).find(|message| message.payload_type == hevc::TIME_CODE)?;
    let mut bits = BitReader::new(&codes.payload);
    for _ in 0..bits.bits(2)? {
        if bits.flag()? {
            // units_field_based_flag.
            bits.skip(1)?;
            return clock(&mut bits, HEVC_COUNT);
        }
    }
    None
}

/// The fields that both standards have in common, from counting_type on. A time that is not told in full is told from midnight on.
fn clock(bits: &mut BitReader<'_>, count_bits: u32) -> Option<ClockTimestamp> {
    bits.skip(5)?;
    let full = bits.flag()?;
    let (discontinuity, drop_frame) = (bits.flag()?, bits.flag()?);
    let frames = u8::try_from(bits.bits(count_bits)?).ok()?;
    let mut field = |asked: bool, width: u32| match asked && (full || bits.flag()?) {
        true => bits.bits(width).map(|value| Some(value as u8)),
        false => Some(None),
    };
    let seconds = field(true, 6)?;
    let minutes = field(seconds.is_some(), 6)?;
    let hours = field(minutes.is_some(), 5)?;
    let [seconds, minutes, hours] = [seconds, minutes, hours].map(Option::unwrap_or_default);
    Some(ClockTimestamp { hours, minutes, seconds, frames, drop_frame, high_rate: false, discontinuity })
}

/// As `AV_FRAME_DATA_S12M_TIMECODE` has it: BCD fields of SMPTE ST 12-1, hours lowest. Above 30 pictures a second pairs are counted, and
/// the second of a pair has a mark: bit 7 at 50, else bit 23 (ST 12-1 clause 12.1).
fn packed(clock: &ClockTimestamp, rate: Option<Rate>) -> u32 {
    let digits = |value: u8| u32::from(value / 10) << 4 | u32::from(value % 10);
    let rate = rate.map_or(0.0, |rate| rate.as_f64());
    let (frames, mark) = match rate > 30.0 {
        true if clock.frames % 2 == 1 => (clock.frames / 2, if rate == 50.0 { 1 << 7 } else { 1 << 23 }),
        true => (clock.frames / 2, 0),
        false => (clock.frames, 0),
    };
    let time = digits(frames % 40) << 24 | digits(clock.seconds.min(59)) << 16 | digits(clock.minutes.min(59)) << 8;
    u32::from(clock.drop_frame) << 30 | time | digits(clock.hours % 24) | mark
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::media::nal::{SeiMessage, joined};

    const CLOCK: ClockTimestamp =
        ClockTimestamp { hours: 12, minutes: 34, seconds: 56, frames: 17, drop_frame: true, high_rate: false, discontinuity: false };

    /// An access unit as our own encoders write it.
    fn unit_of_h264() -> Bytes {
        let timing = SeiMessage { payload_type: h264::PICTURE_TIMING, payload: Bytes::from_static(&[0x04]) };
        let plain = joined([&sei::nal_unit(&h264::SEI_HEADER, [&timing])[..], &[0x41, 0x9a]]);
        h264::with_clock_timestamp(plain, &CLOCK)
    }

    fn unit_of_hevc() -> Bytes {
        joined([&hevc::time_code_unit(&CLOCK)[..], &[0x02, 0x01, 0x9a]])
    }

    fn timecodes(rate: Rate) -> Timecodes {
        Timecodes { layout: TimingLayout { delay_bits: 0, has_pic_struct: true }, rate: Some(rate) }
    }

    #[test]
    fn what_our_encoders_write_is_read() {
        let told = 1 << 30 | 0x17_56_34_12;
        assert_eq!(timecodes(Rate::new(25, 1)).read(VideoCodec::H264, &unit_of_h264()), Some(told));
        assert_eq!(timecodes(Rate::new(25, 1)).read(VideoCodec::Hevc, &unit_of_hevc()), Some(told));
        assert_eq!(Timecodes::default().read(VideoCodec::H264, &unit_of_h264()), None, "without pic_struct there are none");
    }

    #[test]
    fn pairs_are_counted_above_thirty_a_second() {
        let (fifty, sixty) = (packed(&CLOCK, Some(Rate::new(50, 1))), packed(&CLOCK, Some(Rate::new(60_000, 1001))));
        assert_eq!((fifty, sixty), (1 << 30 | 0x08_56_34_92, 1 << 30 | 0x08_D6_34_12));
    }

    #[test]
    fn delays_of_an_hrd_stand_before_the_timestamp_and_short_times_begin_at_midnight() {
        // Twelve bits of delays, pic_struct 0, clock_timestamp_flag, ct_type, nuit, counting_type, not full, no flags, 5 frames, 7 seconds.
        let text = "101010101010 0000 1 00 1 00000 0 0 0 00000101 1 000111 0 1000000";
        let plain: Vec<char> = text.chars().filter(|bit| *bit != ' ').collect();
        let bytes: Vec<u8> = plain.chunks(8).map(|byte| u8::from_str_radix(&byte.iter().collect::<String>(), 2).unwrap()).collect();
        let layout = TimingLayout { delay_bits: 12, has_pic_struct: true };
        let clock = of_picture_timing(&bytes, &layout).unwrap();
        assert_eq!((clock.hours, clock.minutes, clock.seconds, clock.frames), (0, 0, 7, 5));
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..64), delay_bits in 0u32..80) {
            let layout = TimingLayout { delay_bits, has_pic_struct: true };
            of_picture_timing(&data, &layout);
            for (header, codec) in [(&h264::SEI_HEADER[..], VideoCodec::H264), (&hevc::PREFIX_SEI_HEADER, VideoCodec::Hevc)] {
                timecodes(Rate::new(25, 1)).read(codec, &joined([&[header, &data].concat()[..]]));
            }
        }
    }
}
