//! When pictures are left out because the machine cannot keep up.

use crate::base::{MediaTime, Ticks};

/// A worker that starts in the past (a replacement) has caught up once it is this near.
const CAUGHT_UP: Ticks = Ticks::from_millis(500);
/// How far behind a worker may be that has never caught up.
const START_LIMIT: Ticks = Ticks::from_millis(10_000);

/// A replacement whose lag is below this has all its input in front of it, so that its lag is what it seems.
const MEASURABLE: Ticks = Ticks::from_millis(8_000);
/// The lag is measured over this much of the programme, from the worst of the first second on.
const MEASURED_FROM: Ticks = Ticks::from_millis(1_000);
const MEASURED_TO: Ticks = Ticks::from_millis(4_000);
/// What it must have lost by then: three seconds made in less than 2.3 s, 1.3 times as fast as they pass.
const LEAST_GAIN: Ticks = Ticks::from_millis(700);

/// Decides picture by picture; the caller never asks for IDR slots.
#[derive(Debug)]
pub struct Overload {
    /// Behind by more than this, every other picture is left out; half as much again, every picture but IDRs.
    limit: Ticks,
    caught_up: bool,
    shed_last: bool,
    /// Where the measurement began, and the largest lag of its first second.
    measured: Option<(MediaTime, Ticks)>,
    /// Where it was first found further behind than one may be that has never caught up.
    beyond: Option<MediaTime>,
}

impl Overload {
    /// A worker that has still to catch up.
    pub fn new(limit: Ticks) -> Overload {
        Overload { limit, caught_up: false, shed_last: false, measured: None, beyond: None }
    }

    /// Whether the picture of a slot that begins at `begins`, `lag` behind the newest input, is to be left out.
    pub fn sheds(&mut self, begins: MediaTime, lag: Ticks) -> bool {
        // One that is too slow to catch up leaves pictures out instead, as if it had.
        self.caught_up = self.caught_up || lag < CAUGHT_UP || self.stays_beyond(begins, lag) || self.is_too_slow(begins, lag);
        let over = if self.caught_up { lag > self.limit } else { lag > START_LIMIT.max(self.limit) };
        self.shed_last = over && (lag > self.limit + Ticks(self.limit.0 / 2) || !self.shed_last);
        self.shed_last
    }

    /// Whether it is still too far behind when as much of the programme has passed as is measured elsewhere. Else it would stay there: what
    /// it leaves out up to the limit, it loses again.
    fn stays_beyond(&mut self, begins: MediaTime, lag: Ticks) -> bool {
        lag > START_LIMIT && begins - *self.beyond.get_or_insert(begins) >= MEASURED_TO
    }

    fn is_too_slow(&mut self, begins: MediaTime, lag: Ticks) -> bool {
        if lag > MEASURABLE {
            self.measured = None;
            return false;
        }
        let (from, worst) = self.measured.get_or_insert((begins, lag));
        let made = begins - *from;
        if made <= MEASURED_FROM {
            *worst = lag.max(*worst);
        }
        if made < MEASURED_TO {
            return false;
        }
        let gained = *worst - lag;
        self.measured = None;
        gained < LEAST_GAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Ticks = Ticks::from_millis(1000);

    fn shed(overload: &mut Overload, lag_ms: i64, pictures: usize) -> usize {
        (0..pictures).filter(|_| overload.sheds(MediaTime(0), Ticks::from_millis(lag_ms))).count()
    }

    /// Makes ten seconds from 6 s behind, `speed` times as fast as they pass; how many of the 250 pictures are left out.
    fn shed_catching_up(speed: f64) -> usize {
        let mut overload = Overload::new(LIMIT);
        let sheds = |slot: i64| {
            let lag_ms = 6_000.0 + slot as f64 * 40.0 * (1.0 / speed - 1.0);
            overload.sheds(MediaTime(Ticks::from_millis(slot * 40).0), Ticks::from_millis(lag_ms as i64))
        };
        (0..250).map(sheds).filter(|shed| *shed).count()
    }

    #[test]
    fn who_is_too_slow_to_catch_up_leaves_pictures_out_and_who_is_fast_enough_none() {
        assert_eq!(shed_catching_up(1.5), 0);
        assert_eq!(shed_catching_up(1.35), 0);
        assert_eq!(shed_catching_up(1.2), 150, "all after the first four seconds");
        assert_eq!(shed_catching_up(0.9), 150);
    }

    #[test]
    fn one_that_begins_far_behind_and_is_too_slow_does_not_stay_there() {
        let mut overload = Overload::new(LIMIT);
        let mut lag_ms = 10_500;
        for slot in 0..1_000 {
            // Half as fast as real time; what is left out costs nothing.
            let sheds = overload.sheds(MediaTime(Ticks::from_millis(slot * 40).0), Ticks::from_millis(lag_ms));
            lag_ms = (lag_ms + if sheds { -40 } else { 40 }).max(0);
        }
        assert!(lag_ms < 1_600, "{lag_ms} ms behind");
    }

    #[test]
    fn input_that_is_still_coming_in_when_it_begins_is_no_loss_of_speed() {
        let mut overload = Overload::new(LIMIT);
        let lags = [200, 900, 3_000, 5_900].into_iter().chain((0..146).map(|n| 6_000 - n * 20));
        let shed = lags
            .enumerate()
            .filter(|(n, lag)| overload.sheds(MediaTime(Ticks::from_millis(*n as i64 * 40).0), Ticks::from_millis(500 + *lag)));
        assert_eq!(shed.count(), 0);
    }

    #[test]
    fn a_second_behind_halves_the_rate_and_more_leaves_only_idrs() {
        let mut overload = Overload::new(LIMIT);
        assert_eq!(shed(&mut overload, 100, 10), 0);
        assert_eq!(shed(&mut overload, 1000, 10), 0);
        assert_eq!(shed(&mut overload, 1200, 10), 5);
        assert_eq!(shed(&mut overload, 1600, 10), 10);
        assert_eq!(shed(&mut overload, 900, 10), 0);
    }

    #[test]
    fn a_replacement_catches_up_without_losing_pictures() {
        let mut overload = Overload::new(LIMIT);
        assert_eq!(shed(&mut overload, 8000, 10), 0);
        assert_eq!(shed(&mut overload, 400, 10), 0);
        assert_eq!(shed(&mut overload, 8000, 10), 10);
    }
}
