//! The sound of the test pattern: 1 kHz, with a higher beep at the start of every other second.

use std::f64::consts::TAU;

/// -20 dBFS.
const LEVEL: f64 = 0.1;
const TONE_HZ: i64 = 1000;
const BEEP_HZ: i64 = 2000;
/// Length of the beep as a fraction of a second: whole periods of both tones, so the change makes no click.
const BEEP_PART: i64 = 10;

/// The sample with this index since the origin, at `rate` samples a second; the same for every worker.
pub fn tone(index: i64, rate: i64) -> f32 {
    let rate = rate.max(1);
    let (second, within) = (index.div_euclid(rate), index.rem_euclid(rate));
    let beep = second.rem_euclid(2) == 0 && within < rate / BEEP_PART;
    let pitch = if beep { BEEP_HZ } else { TONE_HZ };
    let phase = (within * pitch).rem_euclid(rate) as f64 / rate as f64;
    (LEVEL * (TAU * phase).sin()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tone_is_loud_as_said_and_never_jumps() {
        let samples: Vec<f32> = (48_000 * 1_790_000_000_i64..).take(96_000).map(|index| tone(index, 48_000)).collect();
        let loudest = samples.iter().fold(0f32, |loudest, sample| loudest.max(sample.abs()));
        assert!((loudest - 0.1).abs() < 0.001);
        let steepest = samples.windows(2).fold(0f32, |steepest, pair| steepest.max((pair[1] - pair[0]).abs()));
        assert!(steepest < 0.03, "{steepest}");
    }
}
