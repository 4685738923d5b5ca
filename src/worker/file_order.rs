//! Times for pictures of a file that has none (a raw elementary stream): counted at the frame rate, in presentation order.

use crate::base::Ticks;
use crate::codec::software::FileUnit;

/// Pictures that wait for the next entry at most.
const MAX_GROUP: usize = 600;

/// Collects pictures from entry to entry and numbers them.
#[derive(Debug)]
pub(super) struct Untimed {
    period: Ticks,
    reorder: i64,
    /// Pictures numbered before.
    before: i64,
    group: Vec<(i32, FileUnit)>,
}

impl Untimed {
    /// Pictures `period` apart, of which presentation lags `reorder` behind decoding.
    pub(super) fn new(period: Ticks, reorder: u32) -> Untimed {
        Untimed { period, reorder: i64::from(reorder), before: 0, group: Vec::new() }
    }

    /// A picture in decode order with its picture order count; returns those that have their times now.
    pub(super) fn push(&mut self, number: i32, unit: FileUnit) -> Vec<FileUnit> {
        let ready = if unit.entry || self.group.len() >= MAX_GROUP { self.flush() } else { Vec::new() };
        self.group.push((number, unit));
        ready
    }

    /// The pictures that still wait.
    pub(super) fn flush(&mut self) -> Vec<FileUnit> {
        let group = std::mem::take(&mut self.group);
        let mut order: Vec<usize> = (0..group.len()).collect();
        order.sort_by_key(|index| group.get(*index).map(|(number, _)| *number));
        let mut shown = vec![0; group.len()];
        for (rank, index) in order.into_iter().enumerate() {
            if let Some(place) = shown.get_mut(index) {
                *place = self.before + rank as i64;
            }
        }
        let first = self.before;
        self.before += group.len() as i64;
        let timed = |(index, (shown, (_, unit))): (usize, (i64, (i32, FileUnit)))| {
            let decoded = (first + index as i64 - self.reorder).min(shown);
            FileUnit { pts: Some(Ticks(shown * self.period.0)), dts: Some(Ticks(decoded * self.period.0)), ..unit }
        };
        shown.into_iter().zip(group).enumerate().map(timed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn unit(entry: bool) -> FileUnit {
        FileUnit { stream: 0, pts: None, dts: None, duration: Ticks::ZERO, entry, data: Bytes::new() }
    }

    #[test]
    fn b_pictures_are_shown_before_the_picture_they_follow() {
        let mut untimed = Untimed::new(Ticks(10), 1);
        let mut out = Vec::new();
        // I P B B, then I B (leading) P.
        for (number, entry) in [(0, true), (6, false), (2, false), (4, false), (8, true), (7, false), (10, false)] {
            out.extend(untimed.push(number, unit(entry)));
        }
        out.extend(untimed.flush());
        let times: Vec<(i64, i64)> = out.iter().map(|unit| (unit.pts.unwrap().0, unit.dts.unwrap().0)).collect();
        assert_eq!(times, [(0, -10), (30, 0), (10, 10), (20, 20), (50, 30), (40, 40), (60, 50)]);
    }

    #[test]
    fn a_stream_of_one_entry_does_not_wait_for_ever() {
        let mut untimed = Untimed::new(Ticks(1), 0);
        let out: usize = (0..2000).map(|number| untimed.push(number, unit(number == 0)).len()).sum();
        assert_eq!(out, 1800);
    }
}
