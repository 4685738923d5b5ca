//! Frame rates as exact fractions.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::{FLICKS_PER_SECOND, Ticks};

/// A frame rate: `numerator / denominator` pictures a second, both above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rate {
    /// Pictures in `denominator` seconds.
    pub numerator: u32,
    /// Seconds that `numerator` pictures last.
    pub denominator: u32,
}

/// The rates that a channel's grid may have, slowest first.
pub const GRID_RATES: [Rate; 11] = [
    Rate::new(10, 1),
    Rate::new(12, 1),
    Rate::new(15, 1),
    Rate::new(24_000, 1001),
    Rate::new(24, 1),
    Rate::new(25, 1),
    Rate::new(30_000, 1001),
    Rate::new(30, 1),
    Rate::new(50, 1),
    Rate::new(60_000, 1001),
    Rate::new(60, 1),
];

impl Rate {
    /// `numerator / denominator` pictures a second.
    pub const fn new(numerator: u32, denominator: u32) -> Rate {
        Rate { numerator, denominator }
    }

    /// Pictures a second.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// How long one picture lasts; exact for every rate of [`GRID_RATES`].
    pub fn period(self) -> Ticks {
        Ticks(FLICKS_PER_SECOND * i64::from(self.denominator) / i64::from(self.numerator))
    }

    /// The grid rate nearest to `pictures_per_second`, which may be what an encoder claims or what was measured.
    pub fn snapped(pictures_per_second: f64) -> Rate {
        let distance = |rate: &Rate| (rate.as_f64() / pictures_per_second.max(0.001)).ln().abs();
        let nearest = |a: &&Rate, b: &&Rate| distance(a).total_cmp(&distance(b));
        GRID_RATES.iter().min_by(nearest).copied().unwrap_or(Rate::new(25, 1))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grid_rate_has_an_exact_period() {
        for rate in GRID_RATES {
            assert_eq!(rate.period().0 * i64::from(rate.numerator), FLICKS_PER_SECOND * i64::from(rate.denominator), "{rate}");
        }
    }

    #[test]
    fn a_measured_rate_snaps_to_the_broadcast_rate() {
        assert_eq!(Rate::snapped(29.96), Rate::new(30_000, 1001));
        assert_eq!(Rate::snapped(23.98), Rate::new(24_000, 1001));
        assert_eq!(Rate::snapped(25.01), Rate::new(25, 1));
        assert_eq!(Rate::snapped(120.0), Rate::new(60, 1));
        assert_eq!(Rate::snapped(0.0), Rate::new(10, 1));
    }
}
