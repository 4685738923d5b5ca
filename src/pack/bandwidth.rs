//! Declared bandwidths: what is expected, raised to what was measured, never lowered.
//!
//! RFC 8216 4.3.4.2 wants BANDWIDTH to be an upper bound of the peak segment bitrate. A playlist whose numbers
//! move with every segment makes players switch for no reason, so a declared number rises in steps and stays.

use std::collections::VecDeque;

use crate::base::Ticks;

/// The largest and the average bitrate of one playlist's segments.
#[derive(Clone, Debug)]
pub struct Bandwidth {
    target: Ticks,
    declared_peak: u64,
    declared_average: u64,
    recent: VecDeque<(u64, Ticks)>,
    measured_peak: u64,
    bytes: u64,
    duration: Ticks,
    exact: bool,
}

/// Measured before the average may move a declared one.
const SETTLING: Ticks = Ticks::from_millis(30_000);

impl Bandwidth {
    /// Expects `peak_bps` and `average_bps` (0 where unknown) of segments near `target`.
    ///
    /// With `exact`, declares what was measured and nothing else: for presentations whose playlists are written at the end.
    pub fn expecting(peak_bps: u64, average_bps: u64, target: Ticks, exact: bool) -> Bandwidth {
        Bandwidth {
            target,
            declared_peak: peak_bps.max(average_bps),
            declared_average: average_bps,
            recent: VecDeque::new(),
            measured_peak: 0,
            bytes: 0,
            duration: Ticks::ZERO,
            exact,
        }
    }

    /// A segment of this size and length was published.
    pub fn observe(&mut self, bytes: u64, duration: Ticks) {
        let first = self.bytes == 0;
        self.bytes += bytes;
        self.duration += duration;
        self.recent.push_back((bytes, duration));
        self.measure_peak();
        if self.measured_peak > self.declared_peak {
            // A copy channel's first segment says little about the peaks to come.
            let headroom = if self.declared_peak == 0 { 25 } else { 10 };
            self.declared_peak = stepped(self.measured_peak, headroom);
        }
        let average = rate(self.bytes, self.duration);
        let unknown = first && self.declared_average == 0;
        if unknown || (self.duration >= SETTLING && average > self.declared_average.saturating_add(self.declared_average / 20)) {
            self.declared_average = stepped(average, 4);
        }
    }

    /// Measures every run of segments that ends with the newest and lasts between half and one and a half target
    /// durations, which is how RFC 8216 defines a peak segment bitrate.
    fn measure_peak(&mut self) {
        let (mut bytes, mut duration) = (0u64, Ticks::ZERO);
        let mut used = 0;
        for (size, length) in self.recent.iter().rev() {
            bytes += size;
            duration += *length;
            used += 1;
            let long_enough = duration.0.saturating_mul(2) >= self.target.0;
            let short_enough = duration.0.saturating_mul(2) <= self.target.0.saturating_mul(3);
            if long_enough && (short_enough || used == 1) {
                self.measured_peak = self.measured_peak.max(rate(bytes, duration));
            }
            if !short_enough {
                break;
            }
        }
        while self.recent.len() > used {
            self.recent.pop_front();
        }
    }

    /// BANDWIDTH in bit/s; 0 before anything is known.
    pub fn peak_bps(&self) -> u64 {
        match self.exact {
            true => self.measured_peak.max(rate(self.bytes, self.duration)),
            false => self.declared_peak.max(self.declared_average),
        }
    }

    /// AVERAGE-BANDWIDTH in bit/s; 0 before anything is known.
    pub fn average_bps(&self) -> u64 {
        match self.exact {
            true => rate(self.bytes, self.duration),
            false => self.declared_average,
        }
    }
}

/// Bits a second; 0 for no time.
pub fn rate(bytes: u64, duration: Ticks) -> u64 {
    let micros = u128::try_from(duration.in_scale(1_000_000)).unwrap_or(0);
    match micros {
        0 => 0,
        _ => u64::try_from(u128::from(bytes) * 8_000_000 / micros).unwrap_or(u64::MAX),
    }
}

/// `bps` and `percent` more, rounded up to the next thousand.
fn stepped(bps: u64, percent: u64) -> u64 {
    bps.saturating_add(bps / 100 * percent).div_ceil(1000).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIX: Ticks = Ticks::from_millis(6000);

    #[test]
    fn a_segment_above_the_expectation_raises_it_once() {
        let mut bandwidth = Bandwidth::expecting(1_000_000, 900_000, SIX, false);
        bandwidth.observe(600_000, SIX);
        assert_eq!(bandwidth.peak_bps(), 1_000_000);
        bandwidth.observe(900_000, SIX);
        assert_eq!(bandwidth.peak_bps(), 1_320_000);
        bandwidth.observe(950_000, SIX);
        bandwidth.observe(100_000, SIX);
        assert_eq!(bandwidth.peak_bps(), 1_320_000, "moved although it held");
    }

    #[test]
    fn a_short_last_segment_is_no_peak() {
        let mut bandwidth = Bandwidth::expecting(0, 0, SIX, true);
        bandwidth.observe(600_000, SIX);
        bandwidth.observe(40_000, Ticks::from_millis(40));
        assert_eq!(bandwidth.peak_bps(), rate(640_000, Ticks::from_millis(6040)));
        assert!(bandwidth.average_bps() <= bandwidth.peak_bps());
    }

    #[test]
    fn an_unknown_rate_is_taken_from_the_first_segment_with_headroom() {
        let mut bandwidth = Bandwidth::expecting(0, 0, SIX, false);
        bandwidth.observe(750_000, SIX);
        assert_eq!((bandwidth.peak_bps(), bandwidth.average_bps()), (1_250_000, 1_040_000));
    }
}
