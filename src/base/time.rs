//! One type per clock, so that mixing them does not compile.
//!
//! Media time is counted in flicks (1/705 600 000 s), in which every common frame rate, audio rate and
//! the 90 kHz of MPEG are whole numbers: nothing is ever rounded on the way through the appliance.

use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Flicks in a second.
pub const FLICKS_PER_SECOND: i64 = 705_600_000;

/// A span of media time in flicks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticks(pub i64);

/// An instant on a channel's output timeline, in flicks since the Unix epoch.
///
/// Files (`headend transcode`) count from zero instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MediaTime(pub i64);

/// An instant of civil time, in microseconds since the Unix epoch. May jump; never used to measure spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WallTime(pub i64);

/// An instant of the monotonic clock, in nanoseconds since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Ticks {
    /// No time at all.
    pub const ZERO: Ticks = Ticks(0);

    /// `millis` milliseconds.
    pub const fn from_millis(millis: i64) -> Ticks {
        Ticks(millis * (FLICKS_PER_SECOND / 1000))
    }

    /// `value` units of which `timescale` make a second, rounded to the nearest flick.
    pub fn from_scale(value: i64, timescale: u32) -> Ticks {
        Ticks(rescale(value, FLICKS_PER_SECOND, i64::from(timescale)))
    }

    /// This span in units of which `timescale` make a second, rounded to the nearest.
    pub fn in_scale(self, timescale: u32) -> i64 {
        rescale(self.0, i64::from(timescale), FLICKS_PER_SECOND)
    }

    /// This span in seconds, for texts and metrics.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / FLICKS_PER_SECOND as f64
    }

    /// This span in whole milliseconds, rounded to the nearest.
    pub fn as_millis(self) -> i64 {
        self.in_scale(1000)
    }

    /// The magnitude of this span.
    pub fn abs(self) -> Ticks {
        Ticks(self.0.abs())
    }
}

impl MediaTime {
    /// `value` units since the origin, of which `timescale` make a second.
    pub fn from_scale(value: i64, timescale: u32) -> MediaTime {
        MediaTime(Ticks::from_scale(value, timescale).0)
    }

    /// This instant in units since the origin, of which `timescale` make a second, rounded to the nearest.
    pub fn in_scale(self, timescale: u32) -> i64 {
        Ticks(self.0).in_scale(timescale)
    }

    /// The civil time that this instant of a live programme stands for.
    pub fn as_wall(self) -> WallTime {
        WallTime(self.in_scale(1_000_000))
    }
}

impl WallTime {
    /// The instant of a live programme that stands for this civil time.
    pub fn as_media(self) -> MediaTime {
        MediaTime::from_scale(self.0, 1_000_000)
    }
}

impl Mono {
    /// The span since `earlier`, zero if `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved on by `span`.
    pub fn after(self, span: Duration) -> Mono {
        Mono(self.0.saturating_add(span.as_nanos().min(u128::from(u64::MAX)) as u64))
    }
}

/// `value * to / from`, rounded half away from zero, exact in 128 bits.
fn rescale(value: i64, to: i64, from: i64) -> i64 {
    let product = i128::from(value) * i128::from(to);
    let half = i128::from(from) / 2;
    let rounded = if product >= 0 { product + half } else { product - half } / i128::from(from);
    rounded.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

impl From<Duration> for Ticks {
    fn from(span: Duration) -> Ticks {
        Ticks::from_scale(span.as_nanos().min(i64::MAX as u128) as i64, 1_000_000_000)
    }
}

impl From<Ticks> for Duration {
    fn from(span: Ticks) -> Duration {
        Duration::from_nanos(span.in_scale(1_000_000_000).max(0) as u64)
    }
}

impl Add for Ticks {
    type Output = Ticks;
    fn add(self, other: Ticks) -> Ticks {
        Ticks(self.0 + other.0)
    }
}

impl Sub for Ticks {
    type Output = Ticks;
    fn sub(self, other: Ticks) -> Ticks {
        Ticks(self.0 - other.0)
    }
}

impl Neg for Ticks {
    type Output = Ticks;
    fn neg(self) -> Ticks {
        Ticks(-self.0)
    }
}

impl AddAssign for Ticks {
    fn add_assign(&mut self, other: Ticks) {
        self.0 += other.0;
    }
}

impl std::iter::Sum for Ticks {
    fn sum<I: Iterator<Item = Ticks>>(spans: I) -> Ticks {
        spans.fold(Ticks::ZERO, Add::add)
    }
}

impl Add<Ticks> for MediaTime {
    type Output = MediaTime;
    fn add(self, span: Ticks) -> MediaTime {
        MediaTime(self.0 + span.0)
    }
}

impl Sub<Ticks> for MediaTime {
    type Output = MediaTime;
    fn sub(self, span: Ticks) -> MediaTime {
        MediaTime(self.0 - span.0)
    }
}

impl Sub for MediaTime {
    type Output = Ticks;
    fn sub(self, earlier: MediaTime) -> Ticks {
        Ticks(self.0 - earlier.0)
    }
}

impl AddAssign<Ticks> for MediaTime {
    fn add_assign(&mut self, span: Ticks) {
        self.0 += span.0;
    }
}

impl SubAssign<Ticks> for MediaTime {
    fn sub_assign(&mut self, span: Ticks) {
        self.0 -= span.0;
    }
}

/// `2026-09-21T14:13:20.500Z`.
pub fn iso8601(at: WallTime) -> String {
    let millis = at.0.div_euclid(1000);
    let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second, milli) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of a count of days since 1970-01-01. Years begin in March here, so that the leap day is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_rates_are_whole_numbers_of_flicks() {
        for rate in [90_000, 48_000, 44_100, 24_000, 30_000, 60_000] {
            assert_eq!(FLICKS_PER_SECOND % rate, 0, "{rate}");
        }
    }

    #[test]
    fn today_survives_the_round_trip_through_90_khz() {
        let now = WallTime(1_790_000_000_123_456).as_media();
        let ticks = now.in_scale(90_000);
        assert!((MediaTime::from_scale(ticks, 90_000) - now).abs() < Ticks(7_841));
        assert_eq!(now.as_wall(), WallTime(1_790_000_000_123_456));
    }

    #[test]
    fn rescaling_rounds_to_the_nearest_and_saturates() {
        assert_eq!(Ticks::from_millis(1).in_scale(90_000), 90);
        assert_eq!(Ticks(-FLICKS_PER_SECOND / 2).in_scale(1), -1);
        assert_eq!(rescale(i64::MAX, i64::MAX, 1), i64::MAX);
    }
}
