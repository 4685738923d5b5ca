//! Time codes of the pictures inside an encoder: put in with a picture, taken out with its packet, whatever came between.

use std::collections::VecDeque;

use crate::base::{FLICKS_PER_SECOND, Rate, Ticks};
use crate::media::h264::ClockTimestamp;

/// Pictures that an encoder may hold: x264 looks ahead at most 250 and reorders 16.
const MAX_WAITING: usize = 512;

/// The time codes of one encoder.
#[derive(Debug)]
pub(in crate::codec) struct Timecodes {
    rate: Rate,
    /// Slot and time code of pictures that have not come out.
    waiting: VecDeque<(i64, ClockTimestamp)>,
    /// Slot and time of day of the newest time code.
    newest: Option<(i64, Ticks)>,
}

impl Timecodes {
    /// For pictures of this rate.
    pub(in crate::codec) fn new(rate: Rate) -> Timecodes {
        Timecodes { rate, waiting: VecDeque::new(), newest: None }
    }

    /// The picture of `slot` goes in, with its time code as libavutil packs it. Pictures go in in the order they are shown.
    pub(in crate::codec) fn submitted(&mut self, slot: i64, packed: Option<u32>) {
        let Some(mut clock) = packed.and_then(|packed| unpacked(packed, self.rate)) else { return };
        let at = self.time_of_day(&clock);
        clock.discontinuity = self.newest.is_some_and(|(before, earlier)| {
            let passed = self.rate.period().0.saturating_mul(slot - before);
            // Counting in whole pictures and leaving counts out moves a clock by less than a second against the slots.
            at < earlier || ((at - earlier).0 - passed).abs() > FLICKS_PER_SECOND
        });
        self.newest = Some((slot, at));
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((slot, clock));
    }

    /// The packet of `slot` comes out: its time code, if its picture had one.
    pub(in crate::codec) fn taken(&mut self, slot: i64) -> Option<ClockTimestamp> {
        let at = self.waiting.iter().position(|(waiting, _)| *waiting == slot)?;
        self.waiting.remove(at).map(|(_, clock)| clock)
    }

    /// clockTimestamp of ITU-T H.264 equation D-1, without offset.
    fn time_of_day(&self, clock: &ClockTimestamp) -> Ticks {
        let seconds = (i64::from(clock.hours) * 60 + i64::from(clock.minutes)) * 60 + i64::from(clock.seconds);
        Ticks(seconds * FLICKS_PER_SECOND + i64::from(clock.frames) * self.rate.period().0)
    }
}

/// Reads `AV_FRAME_DATA_S12M_TIMECODE`: SMPTE ST 12-1's BCD fields, hours lowest. None where it is no time of day, or counts
/// more pictures than n_frames may at this rate (ITU-T H.264 clause D.2.3: fewer than ticks a second, two a picture).
fn unpacked(packed: u32, rate: Rate) -> Option<ClockTimestamp> {
    let field = |shift: u32, tens_mask: u32, end: u8| {
        let (tens, units) = (packed >> (shift + 4) & tens_mask, packed >> shift & 15);
        Some((tens * 10 + units) as u8).filter(|value| units < 10 && *value < end)
    };
    let high_rate = rate.as_f64() > 30.0;
    let counted = field(24, 3, 40)?;
    // Above 30 pictures a second, pairs are counted and the second of a pair has a mark: bit 7 in 50 Hz systems, bit 23 in
    // 60 Hz systems (ST 12-1 clause 12.1). The source may be of the other system than the grid.
    let second = u8::from(packed & (1 << 7 | 1 << 23) != 0);
    let frames = if high_rate { counted * 2 + second } else { counted };
    if f64::from(frames) >= 2.0 * rate.as_f64() {
        return None;
    }
    Some(ClockTimestamp {
        hours: field(0, 3, 24)?,
        minutes: field(8, 7, 60)?,
        seconds: field(16, 7, 60)?,
        frames,
        drop_frame: packed & 1 << 30 != 0,
        high_rate,
        discontinuity: false,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::rate::GRID_RATES;

    const PAL: Rate = Rate::new(25, 1);
    const NTSC: Rate = Rate::new(30_000, 1001);

    /// The fields of a time code as ST 12-1 packs them: `0xFFSSMMHH` with a digit per nibble.
    fn told(packed: u32, rate: Rate) -> Option<(u8, u8, u8, u8, bool)> {
        unpacked(packed, rate).map(|clock| (clock.hours, clock.minutes, clock.seconds, clock.frames, clock.drop_frame))
    }

    #[test]
    fn digits_are_read_and_the_drop_frame_bit_is_none() {
        assert_eq!(told(0x24_56_34_12, PAL), Some((12, 34, 56, 24, false)));
        assert_eq!(told(0x69_59_59_23, NTSC), Some((23, 59, 59, 29, true)));
    }

    #[test]
    fn above_thirty_a_second_the_mark_tells_the_second_of_a_pair() {
        assert_eq!(told(0x24_00_00_00, Rate::new(50, 1)), Some((0, 0, 0, 48, false)));
        assert_eq!(told(0x24_00_00_80, Rate::new(50, 1)), Some((0, 0, 0, 49, false)));
        assert_eq!(told(0x69_80_00_00, Rate::new(60_000, 1001)), Some((0, 0, 0, 59, true)));
        // 50 pictures a second shown at 25: every other one, counted as pairs.
        assert_eq!(told(0x24_00_00_80, PAL), Some((0, 0, 0, 24, false)));
    }

    #[test]
    fn what_is_no_time_of_day_is_left_out() {
        for packed in [0x00_00_00_24, 0x00_00_60_00, 0x00_60_00_00, 0x0A_00_00_00, 0x00_00_00_0A, 0x00_7F_00_00] {
            assert_eq!(told(packed, PAL), None, "{packed:08x}");
        }
        assert_eq!(told(0x29_00_00_00, Rate::new(12, 1)), None);
    }

    #[test]
    fn every_picture_gets_its_own_though_they_come_out_in_another_order() {
        let mut timecodes = Timecodes::new(PAL);
        for (slot, packed) in [(0, Some(0x00_00_00_10)), (1, Some(0x01_00_00_10)), (2, None), (3, Some(0x03_00_00_10))] {
            timecodes.submitted(slot, packed);
        }
        let out = [0, 3, 1, 2].map(|slot| timecodes.taken(slot).map(|clock| clock.frames));
        assert_eq!(out, [Some(0), Some(3), Some(1), None]);
        assert_eq!(timecodes.taken(3), None);
    }

    fn discontinuities(rate: Rate, pictures: &[(i64, u32)]) -> Vec<bool> {
        let mut timecodes = Timecodes::new(rate);
        let each = |&(slot, packed): &(i64, u32)| {
            timecodes.submitted(slot, Some(packed));
            timecodes.taken(slot).unwrap().discontinuity
        };
        pictures.iter().map(each).collect()
    }

    #[test]
    fn midnight_is_a_discontinuity_since_the_clock_goes_back() {
        assert_eq!(discontinuities(PAL, &[(0, 0x24_59_59_23), (1, 0x00_00_00_00), (2, 0x01_00_00_00)]), [false, true, false]);
    }

    #[test]
    fn another_source_is_a_discontinuity_and_a_count_left_out_is_none() {
        assert_eq!(discontinuities(PAL, &[(0, 0x00_00_00_10), (1, 0x01_00_30_10), (2, 0x02_00_30_10)]), [false, true, false]);
        assert_eq!(discontinuities(PAL, &[(0, 0x00_00_00_10), (75, 0x00_03_00_10)]), [false, false]);
        // 59;29 of minute 0 and 00;02 of minute 1.
        assert_eq!(discontinuities(NTSC, &[(0, 0x69_59_00_10), (1, 0x42_00_01_10)]), [false, false]);
    }

    #[test]
    fn an_encoder_that_gives_nothing_back_fills_no_memory() {
        let mut timecodes = Timecodes::new(PAL);
        (0..2000).for_each(|slot| timecodes.submitted(slot, Some(0)));
        assert_eq!(timecodes.waiting.len(), MAX_WAITING);
    }

    proptest! {
        #[test]
        fn any_word_is_a_legal_timestamp_or_none(packed: u32, rate in prop::sample::select(GRID_RATES.to_vec())) {
            if let Some(clock) = unpacked(packed, rate) {
                prop_assert!(clock.hours < 24 && clock.minutes < 60 && clock.seconds < 60);
                prop_assert!(f64::from(clock.frames) < (2.0 * rate.as_f64()).ceil());
            }
        }
    }
}
