//! Clock timestamps in the picture timing SEI of H.264 (clauses D.1.3 and D.2.3), which is where SMPTE time code travels.

use bytes::Bytes;

use super::{SEI, SEI_HEADER, nal_type};
use crate::media::bits::BitWriter;
use crate::media::nal::{SeiMessage, joined, sei, units};

/// payloadType of picture timing.
pub const PICTURE_TIMING: u32 = 1;

/// ct_type of a source of which it is not known whether it was interlaced (table D-2).
const SCAN_UNKNOWN: u32 = 2;
/// Values of counting_type (table D-3): no count is dropped; 0 and 1 are dropped as in SMPTE drop frame; any counts are.
const NONE_DROPPED: u32 = 0;
const TWO_LOWEST_DROPPED: u32 = 4;
const OTHERS_DROPPED: u32 = 6;
/// Length of time_offset where the SPS has no HRD parameters (clause E.2.2).
const TIME_OFFSET_BITS: u32 = 24;

/// The time of day of a picture, counted in pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockTimestamp {
    /// 0..=23.
    pub hours: u8,
    /// 0..=59.
    pub minutes: u8,
    /// 0..=59.
    pub seconds: u8,
    /// Pictures since the second began.
    pub frames: u8,
    /// Counts are left out so that the time of day keeps up with a rate of 1000/1001.
    pub drop_frame: bool,
    /// Pictures are counted faster than 30 a second, where drop frame leaves out more than the two lowest counts.
    pub high_rate: bool,
    /// The time since the timestamp before is not the time between the two pictures. Must be set where the clock goes back.
    pub discontinuity: bool,
}

impl ClockTimestamp {
    /// The payload of a picture timing message of a whole progressive frame, in a stream without HRD parameters whose SPS has
    /// pic_struct_present_flag set and a tick of half a picture.
    fn payload(&self) -> Bytes {
        let mut bits = BitWriter::new();
        bits.bits(0, 4); // pic_struct: a frame, which has one timestamp
        bits.flag(true); // clock_timestamp_flag
        bits.bits(SCAN_UNKNOWN, 2);
        bits.flag(true); // nuit_field_based_flag: a picture lasts two ticks (equation D-1)
        bits.bits(self.counting_type(), 5);
        bits.flag(true); // full_timestamp_flag
        bits.flag(self.discontinuity);
        bits.flag(self.drop_frame); // cnt_dropped_flag: readers know drop frame by it, on every picture
        bits.bits(self.frames.into(), 8);
        bits.bits(self.seconds.into(), 6);
        bits.bits(self.minutes.into(), 6);
        bits.bits(self.hours.into(), 5);
        bits.bits(0, TIME_OFFSET_BITS);
        bits.flag(true); // bit_equal_to_one, then zeros (clause 7.3.2.3.1): the fields end within a byte
        bits.finish().into()
    }

    /// counting_type, which H.264 and HEVC number alike.
    pub(in crate::media) fn counting_type(&self) -> u32 {
        match (self.drop_frame, self.high_rate) {
            (false, _) => NONE_DROPPED,
            (true, false) => TWO_LOWEST_DROPPED,
            (true, true) => OTHERS_DROPPED,
        }
    }

    /// The fields of a full timestamp, which HEVC (clause D.2.27) and AV1 (clause 5.8.7) write alike: H.264 counts pictures in a byte.
    pub(in crate::media) fn write_full(&self, bits: &mut BitWriter) {
        bits.bits(self.counting_type(), 5);
        bits.flag(true); // full_timestamp_flag
        bits.flag(self.discontinuity);
        bits.flag(self.drop_frame); // cnt_dropped_flag
        bits.bits(self.frames.into(), 9);
        bits.bits(self.seconds.into(), 6);
        bits.bits(self.minutes.into(), 6);
        bits.bits(self.hours.into(), 5);
        bits.bits(0, 5); // time_offset_length
    }
}

/// An access unit of four-byte lengths with this clock timestamp in its picture timing message.
///
/// For streams without HRD parameters. Only a message of a whole progressive frame (pic_struct 0) is rewritten; where there
/// is none, the access unit comes back as it was.
pub fn with_clock_timestamp(data: Bytes, clock: &ClockTimestamp) -> Bytes {
    let mut rewritten = false;
    let all: Vec<Bytes> = units(&data)
        .map(|unit| match timed(unit, clock) {
            Some(timed) => {
                rewritten = true;
                timed
            }
            None => data.slice_ref(unit),
        })
        .collect();
    if !rewritten {
        return data;
    }
    joined(all.iter().map(|unit| &unit[..]))
}

/// A SEI unit with its picture timing rewritten; none where the unit holds no such message.
fn timed(unit: &[u8], clock: &ClockTimestamp) -> Option<Bytes> {
    if nal_type(unit) != Some(SEI) {
        return None;
    }
    let mut messages = sei::messages(unit, SEI_HEADER.len());
    let is_of_frame =
        |message: &&mut SeiMessage| message.payload_type == PICTURE_TIMING && message.payload.first().is_some_and(|first| first >> 4 == 0);
    messages.iter_mut().find(is_of_frame)?.payload = clock.payload();
    Some(sei::nal_unit(&SEI_HEADER, &messages))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: ClockTimestamp =
        ClockTimestamp { hours: 12, minutes: 34, seconds: 56, frames: 17, drop_frame: false, high_rate: false, discontinuity: false };
    const SLICE: [u8; 4] = [0x41, 0x9a, 0x02, 0x05];

    /// The bits of a payload as the standard lists them, blanks between fields.
    fn payload(fields: &str) -> Vec<u8> {
        let bits: Vec<char> = fields.chars().filter(|bit| *bit != ' ').collect();
        assert_eq!(bits.len() % 8, 0);
        bits.chunks(8).map(|byte| u8::from_str_radix(&byte.iter().collect::<String>(), 2).unwrap()).collect()
    }

    #[test]
    fn the_fields_lie_as_the_standard_lists_them() {
        // pic_struct, clock flag, ct_type, nuit, counting, full, discontinuity, dropped, frames, s, min, h, offset, alignment.
        let expected = payload("0000 1 10 1 00000 1 0 0 00010001 111000 100010 01100 000000000000000000000000 1000000");
        assert_eq!(NOON.payload(), expected);
    }

    #[test]
    fn drop_frame_is_told_with_the_way_it_counts() {
        let low = ClockTimestamp { drop_frame: true, discontinuity: true, ..NOON };
        let expected = payload("0000 1 10 1 00100 1 1 1 00010001 111000 100010 01100 000000000000000000000000 1000000");
        assert_eq!(low.payload(), expected);
        let high = ClockTimestamp { high_rate: true, ..low };
        assert_eq!(high.payload()[1] >> 3, 6);
    }

    #[test]
    fn captions_beside_the_timing_stay() {
        let captions = SeiMessage { payload_type: sei::REGISTERED_USER_DATA, payload: Bytes::from_static(b"\xb5\x00\x31GA94\x03\xc1") };
        let timing = SeiMessage { payload_type: PICTURE_TIMING, payload: Bytes::from_static(&[0x04]) };
        let both = sei::nal_unit(&SEI_HEADER, [&captions, &timing]);
        let data = with_clock_timestamp(joined([&both[..], &SLICE]), &NOON);
        let all: Vec<&[u8]> = units(&data).collect();
        let expected = SeiMessage { payload_type: PICTURE_TIMING, payload: NOON.payload() };
        assert_eq!(sei::messages(all[0], 1), [captions, expected]);
        assert_eq!(all[1..], [&SLICE[..]]);
    }

    #[test]
    fn a_midnight_full_of_zeros_makes_no_start_code() {
        let midnight = ClockTimestamp { hours: 0, minutes: 0, seconds: 0, frames: 0, ..NOON };
        let data = with_clock_timestamp(joined([&[0x06, 0x01, 0x01, 0x04, 0x80][..], &SLICE]), &midnight);
        let unit = units(&data).next().unwrap();
        assert!(!unit.windows(3).any(|window| window < &[0, 0, 3][..]), "{unit:x?}");
        assert_eq!(sei::messages(unit, 1)[0].payload, midnight.payload());
    }

    #[test]
    fn what_has_no_timing_of_a_whole_frame_stays_as_it_is() {
        // The second is a frame of two fields (pic_struct 3), which would need two timestamps.
        for unit in [&SLICE[..], &[0x06, 0x01, 0x01, 0x32, 0x80]] {
            let data = joined([unit, &SLICE]);
            assert_eq!(with_clock_timestamp(data.clone(), &NOON), data);
        }
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(0u8..9, 0..64)) {
            with_clock_timestamp(joined([&[&[SEI], &data[..]].concat()[..]]), &NOON);
            with_clock_timestamp(data.into(), &NOON);
        }
    }
}
