//! A source's clock against ours: no two crystals agree, and a channel runs for months.
//!
//! What arrives is late by the network's jitter but never early, so the largest lead of a while shows the clocks alone.
//! A slow control loop keeps that lead where it was when the feed was spliced in, by stretching the feed's times by a few
//! parts in a million; pictures go to the nearest slot as ever, sound is resampled by as much.

use crate::base::{MediaTime, Ticks};

/// The lead of this long a while counts as one observation.
const WINDOW: Ticks = Ticks::from_millis(10_000);
/// Sound is stretched by at most this (0.5 %), in parts in a million.
const MOST_PPM: f64 = 5_000.0;
/// An error up to this is worked off as if it were not larger than [`CALM_ERROR_S`]: nobody hears so little.
const CALM_UP_TO_S: f64 = 0.3;
const CALM_ERROR_S: f64 = 0.05;
/// An error is worked off in about this long, in seconds.
const PATIENCE_S: f64 = 100.0;

/// The control loop and what it has decided so far. Times are those of the timeline before stretching.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    /// Where the present rate began, and what had come together by then.
    since: MediaTime,
    shift: Ticks,
    ppm: f64,
    window: Option<(MediaTime, Ticks)>,
    /// The lead that is kept.
    reference: Option<Ticks>,
    integral_ppm: f64,
}

impl Drift {
    /// How far something at `time` is moved.
    pub fn shift(&self, time: MediaTime) -> Ticks {
        self.shift + Ticks(((time - self.since).0 as f64 * self.ppm / 1e6) as i64)
    }

    /// How much the feed is stretched at present, in parts in a million.
    pub fn ppm(&self) -> i32 {
        self.ppm.round() as i32
    }

    /// Takes notice that something at `time`, moved as [`Drift::shift`] says, arrived when the programme's clock read `now`.
    pub fn observe(&mut self, time: MediaTime, now: MediaTime) {
        let lead = time + self.shift(time) - now;
        let (since, best) = *self.window.get_or_insert((now, lead));
        if now - since < WINDOW {
            self.window = Some((since, best.max(lead)));
            return;
        }
        self.window = None;
        let Some(reference) = self.reference else {
            self.reference = Some(best);
            return;
        };
        self.decide(time, (best - reference).as_secs_f64(), (now - since).as_secs_f64());
    }

    /// The feed was moved by `moved` from here on: what was observed no longer applies, the clocks' rates still do.
    pub fn moved(&mut self, moved: Ticks) {
        self.since += moved;
        self.window = None;
        self.reference = None;
    }

    fn decide(&mut self, time: MediaTime, error_s: f64, elapsed_s: f64) {
        let error_s = if error_s.abs() <= CALM_UP_TO_S { error_s.clamp(-CALM_ERROR_S, CALM_ERROR_S) } else { error_s };
        let gain = 1e6 / PATIENCE_S;
        self.integral_ppm = (self.integral_ppm + gain / (4.0 * PATIENCE_S) * error_s * elapsed_s).clamp(-MOST_PPM, MOST_PPM);
        let ppm = -(gain * error_s + self.integral_ppm).clamp(-MOST_PPM, MOST_PPM);
        self.shift = self.shift(time);
        self.since = time;
        self.ppm = ppm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: f64) -> Ticks {
        Ticks((millis * 705_600.0) as i64)
    }

    /// Runs a source whose clock is `ppm` fast, with arrivals late by up to `jitter_ms`; the largest error of the last half, in ms.
    fn run(ppm: f64, jitter_ms: f64, seconds: i64) -> (f64, i32) {
        let mut drift = Drift::default();
        let mut worst: f64 = 0.0;
        for n in 0..seconds * 25 {
            let now = n as f64 * 40.0;
            let source = MediaTime(ms(now * (1.0 + ppm / 1e6)).0);
            let late = jitter_ms * ((n * 7919 % 101) as f64 / 100.0);
            drift.observe(source, MediaTime(ms(now + late).0));
            if n > seconds * 25 / 2 {
                let lead = source + drift.shift(source) - MediaTime(ms(now).0);
                worst = worst.max(lead.as_secs_f64().abs() * 1e3);
            }
        }
        (worst, drift.ppm())
    }

    #[test]
    fn a_clock_that_is_500_ppm_off_is_followed_to_within_ten_milliseconds() {
        for ppm in [500.0, -500.0, 20.0] {
            let (worst_ms, found) = run(ppm, 80.0, 3 * 3600);
            assert!(worst_ms < 10.0, "{worst_ms} ms at {ppm} ppm");
            assert!((f64::from(found) + ppm).abs() < 30.0, "{found} for {ppm}");
        }
    }

    #[test]
    fn a_clock_that_is_nearly_half_a_percent_off_is_still_followed() {
        let (worst_ms, found) = run(-4_500.0, 20.0, 4 * 3600);
        assert!(worst_ms < 100.0 && (f64::from(found) - 4_500.0).abs() < 100.0, "{worst_ms} ms, {found} ppm");
    }

    #[test]
    fn jitter_alone_stretches_nothing_that_could_be_heard() {
        let (worst_ms, found) = run(0.0, 400.0, 3600);
        assert!(worst_ms < 15.0 && found.abs() < 100, "{worst_ms} ms, {found} ppm");
    }
}
