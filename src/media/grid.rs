//! A channel's frame grid: pictures live in numbered slots, and cuts and IDRs are slot numbers.

use serde::{Deserialize, Serialize};

use crate::base::{MediaTime, Rate, Ticks};

/// The number of a slot since the origin of the timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(pub i64);

/// The grid: one slot per picture at a fixed rate, slot 0 at the origin of the timeline.
///
/// IDRs fall on multiples of `gop_slots`, segment cuts on multiples of `segment_slots`, on every rung and after
/// every restart of a worker, because both count from the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Pictures a second.
    pub rate: Rate,
    /// Slots between IDRs.
    pub gop_slots: u32,
    /// Slots in a segment; a multiple of `gop_slots`.
    pub segment_slots: u32,
}

impl Grid {
    /// The grid whose GOPs and segments are the whole slots nearest to the wished lengths (each at least one slot and one GOP).
    pub fn fitted(rate: Rate, gop: Ticks, segment: Ticks) -> Grid {
        let period = rate.period().0.max(1);
        let gop_slots = ((gop.0 + period / 2) / period).max(1);
        let gops = ((segment.0 + gop_slots * period / 2) / (gop_slots * period)).max(1);
        Grid { rate, gop_slots: gop_slots as u32, segment_slots: (gops * gop_slots) as u32 }
    }

    /// When `slot` begins.
    pub fn start(&self, slot: Slot) -> MediaTime {
        MediaTime(slot.0 * self.rate.period().0)
    }

    /// The slot in which `time` lies.
    pub fn slot_at(&self, time: MediaTime) -> Slot {
        Slot(time.0.div_euclid(self.rate.period().0))
    }

    /// The slot whose beginning is nearest to `time`.
    pub fn nearest(&self, time: MediaTime) -> Slot {
        let period = self.rate.period().0;
        Slot((time.0 + period / 2).div_euclid(period))
    }

    /// The first slot that begins at or after `time`.
    pub fn first_from(&self, time: MediaTime) -> Slot {
        let period = self.rate.period().0;
        Slot((time.0 + period - 1).div_euclid(period))
    }

    /// Whether an IDR belongs into `slot`.
    pub fn is_key(&self, slot: Slot) -> bool {
        slot.0.rem_euclid(i64::from(self.gop_slots)) == 0
    }

    /// Whether a segment begins with `slot`.
    pub fn is_cut(&self, slot: Slot) -> bool {
        slot.0.rem_euclid(i64::from(self.segment_slots)) == 0
    }

    /// The index, counted from the origin, of the segment that holds `slot`.
    pub fn segment_of(&self, slot: Slot) -> i64 {
        slot.0.div_euclid(i64::from(self.segment_slots))
    }

    /// The first slot of the segment with this index.
    pub fn segment_start(&self, index: i64) -> Slot {
        Slot(index * i64::from(self.segment_slots))
    }

    /// How long a whole segment lasts.
    pub fn segment_duration(&self) -> Ticks {
        Ticks(self.rate.period().0 * i64::from(self.segment_slots))
    }

    /// How long a whole GOP lasts.
    pub fn gop_duration(&self) -> Ticks {
        Ticks(self.rate.period().0 * i64::from(self.gop_slots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn film_rate_segments_are_whole_gops_near_the_wish() {
        let grid = Grid::fitted(Rate::new(24_000, 1001), Ticks::from_millis(2000), Ticks::from_millis(6000));
        assert_eq!((grid.gop_slots, grid.segment_slots), (48, 144));
        assert_eq!(grid.segment_duration().as_millis(), 6006);
    }

    #[test]
    fn slots_and_times_agree_today() {
        let grid = Grid::fitted(Rate::new(30_000, 1001), Ticks::from_millis(2000), Ticks::from_millis(6000));
        let now = MediaTime::from_scale(1_790_000_000, 1);
        let slot = grid.slot_at(now);
        assert!(grid.start(slot) <= now && now < grid.start(Slot(slot.0 + 1)));
        assert_eq!(grid.first_from(grid.start(slot)), slot);
        assert_eq!(grid.nearest(grid.start(slot) + Ticks(1)), slot);
        assert!(grid.is_cut(grid.segment_start(grid.segment_of(slot))));
    }

    #[test]
    fn a_segment_shorter_than_a_gop_becomes_one_gop() {
        let grid = Grid::fitted(Rate::new(25, 1), Ticks::from_millis(2000), Ticks::from_millis(500));
        assert_eq!((grid.gop_slots, grid.segment_slots), (50, 50));
    }
}
