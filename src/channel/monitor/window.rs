//! Windows over what came last: each of bounded memory, none with a clock.

use std::collections::VecDeque;

use super::report::GopReport;
use crate::base::{FLICKS_PER_SECOND, Mono, Ticks};

/// Bytes are summed in steps of this many nanoseconds.
const STEP_NS: u64 = 100_000_000;
/// Steps of the window over which a bitrate is taken: two seconds.
const STEPS: u64 = 20;
/// Decode times over which the frame rate is taken.
const RATE_SPAN: Ticks = Ticks::from_millis(2_000);
/// Pictures that are remembered at most.
const RATE_PICTURES: usize = 512;
/// Arrivals over which the jitter is taken.
const JITTER_NS: u64 = 10_000_000_000;
/// Arrivals that are remembered at most.
const JITTER_UNITS: usize = 1024;
/// A break of the clock that moves the lateness by less than this is a hole in which time passed too.
const SAME_CLOCK: Ticks = Ticks::from_millis(500);
/// Weight of the newest arrival in the usual lateness is one in this many.
const SMOOTHING: i64 = 16;

/// Bits a second over the last two seconds.
#[derive(Debug, Default)]
pub(super) struct ByteRate {
    /// Bytes by the number of their step, of steps that had any.
    steps: VecDeque<(u64, u64)>,
    /// The step in which the first byte came.
    first: Option<u64>,
}

impl ByteRate {
    pub(super) fn add(&mut self, bytes: usize, now: Mono) {
        let step = now.0 / STEP_NS;
        self.first.get_or_insert(step);
        match self.steps.back_mut() {
            Some((newest, sum)) if *newest >= step => *sum = sum.saturating_add(bytes as u64),
            _ => self.steps.push_back((step, bytes as u64)),
        }
        while self.steps.front().is_some_and(|(oldest, _)| step.saturating_sub(*oldest) > STEPS) {
            self.steps.pop_front();
        }
    }

    /// Over the steps that are over at `now`; a feed that is younger than the window counts from its first step on.
    pub(super) fn bits_per_second(&self, now: Mono) -> u64 {
        let current = now.0 / STEP_NS;
        let known = current.saturating_sub(self.first.unwrap_or(current)).min(STEPS);
        let over = self.steps.iter().filter(|(step, _)| *step < current && current - step <= STEPS);
        let bytes: u64 = over.map(|(_, sum)| sum).sum();
        bytes.saturating_mul(8 * (1_000_000_000 / STEP_NS)) / known.max(1)
    }
}

/// Pictures a second by decode times, however they arrive.
#[derive(Debug, Default)]
pub(super) struct PictureRate {
    times: VecDeque<Ticks>,
}

impl PictureRate {
    pub(super) fn add(&mut self, dts: Ticks, breaks: bool) {
        if breaks {
            self.times.clear();
        }
        self.times.push_back(dts);
        while self.times.len() > 2 && (self.times.len() > RATE_PICTURES || self.span() > RATE_SPAN) {
            self.times.pop_front();
        }
    }

    /// `None` before two pictures came, or where all have one time.
    pub(super) fn rate(&self) -> Option<f64> {
        let span = self.span().0;
        let rate = (self.times.len().saturating_sub(1)) as f64 * FLICKS_PER_SECOND as f64 / span as f64;
        (span > 0).then_some((rate * 1000.0).round() / 1000.0)
    }

    /// Pictures that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    fn span(&self) -> Ticks {
        match (self.times.front(), self.times.back()) {
            (Some(first), Some(last)) => Ticks(last.0.saturating_sub(first.0)),
            _ => Ticks::ZERO,
        }
    }
}

/// From one picture where decoding can begin to the next.
#[derive(Debug, Default)]
pub(super) struct Gops {
    begun: Option<Ticks>,
    pictures: u64,
    last: Option<(u64, Ticks)>,
    longest: (u64, Ticks),
    open: bool,
    /// Length so far of the GOP that is running.
    running: Ticks,
}

impl Gops {
    /// `open`: `None` for a picture inside a GOP, else whether the GOP that begins is an open one.
    pub(super) fn add(&mut self, dts: Ticks, open: Option<bool>, breaks: bool) {
        if breaks {
            // How long the GOP would have been cannot be known.
            self.begun = None;
        }
        self.running = self.begun.map_or(Ticks::ZERO, |begun| Ticks(dts.0.saturating_sub(begun.0)));
        if let Some(open) = open {
            if self.begun.is_some() {
                self.last = Some((self.pictures, self.running));
                self.longest = (self.longest.0.max(self.pictures), self.longest.1.max(self.running));
            }
            (self.begun, self.pictures, self.running, self.open) = (Some(dts), 0, Ticks::ZERO, open);
        }
        self.pictures += 1;
    }

    /// `None` before the first whole GOP.
    pub(super) fn report(&self) -> Option<GopReport> {
        let (pictures, length) = self.last?;
        Some(GopReport {
            pictures,
            seconds: seconds(length),
            longest_pictures: self.longest.0,
            longest_seconds: seconds(self.longest.1),
            running_seconds: seconds(self.running),
            open: self.open,
        })
    }
}

/// How much later than its timestamp says a track's media comes, up to a constant.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    arrivals: VecDeque<(Mono, Ticks)>,
    usual: Option<Ticks>,
}

impl Lateness {
    /// `breaks`: the decode time does not follow the one before.
    pub(super) fn add(&mut self, dts: Ticks, breaks: bool, now: Mono) {
        let arrival = Ticks::from_scale(now.0.min(i64::MAX as u64) as i64, 1_000_000_000);
        let lateness = Ticks(arrival.0.saturating_sub(dts.0));
        let before = self.arrivals.back().map_or(lateness, |(_, before)| *before);
        if breaks && lateness.0.abs_diff(before.0) > SAME_CLOCK.0.unsigned_abs() {
            self.arrivals.clear();
            self.usual = None;
        }
        self.usual = Some(match self.usual {
            Some(usual) => Ticks(usual.0.saturating_add(lateness.0.saturating_sub(usual.0) / SMOOTHING)),
            None => lateness,
        });
        self.arrivals.push_back((now, lateness));
        while self.arrivals.len() > JITTER_UNITS || self.arrivals.front().is_some_and(|(at, _)| now.0.saturating_sub(at.0) > JITTER_NS) {
            self.arrivals.pop_front();
        }
    }

    /// Arrivals that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Smoothed over some sixteen units.
    pub(super) fn usual(&self) -> Option<Ticks> {
        self.usual
    }

    /// How much later than the earliest of ten seconds nineteen of twenty units come at most: the buffer that would make the feed even.
    pub(super) fn jitter(&self, now: Mono) -> Ticks {
        let recent = self.arrivals.iter().filter(|(at, _)| now.0.saturating_sub(at.0) <= JITTER_NS);
        let mut late: Vec<i64> = recent.map(|(_, lateness)| lateness.0).collect();
        let Some(earliest) = late.iter().min().copied() else { return Ticks::ZERO };
        let place = (late.len() - 1) * 95 / 100;
        let (_, at_place, _) = late.select_nth_unstable(place);
        Ticks(at_place.saturating_sub(earliest))
    }
}

fn seconds(span: Ticks) -> f64 {
    (span.as_secs_f64() * 1000.0).round() / 1000.0
}
