//! Silent sound.

use crate::base::{MediaTime, Ticks};
use crate::wire::link::Watch;

use super::condition::{Condition, Lasting};

/// Watches the samples of one input after the other.
#[derive(Debug)]
pub(in crate::worker) struct SoundWatch {
    rate: u32,
    /// What is louder than this is sound.
    level: f32,
    /// The input has sound.
    active: bool,
    silence: Condition,
}

impl SoundWatch {
    pub(in crate::worker) fn new(watch: &Watch, rate: u32) -> SoundWatch {
        let level = 10f32.powf(watch.silence_db / 20.0);
        SoundWatch { rate, level, active: false, silence: Condition::new(watch.silence_after) }
    }

    /// Another input, or none: nothing of the one before counts any longer.
    pub(in crate::worker) fn begin(&mut self, active: bool) {
        self.active = active;
        self.silence.ends();
    }

    /// Samples of the input, one vector per channel, the first heard at `at`.
    pub(in crate::worker) fn heard(&mut self, at: MediaTime, samples: &[Vec<f32>]) {
        let length = samples.first().map_or(0, Vec::len);
        if !self.active || !self.silence.is_wanted() || length == 0 {
            return;
        }
        let instant = |samples: usize| MediaTime(at.0.saturating_add(Ticks::from_scale(samples as i64, self.rate).0));
        // A sample that is not a number is no silence either.
        let is_loud = |sample: &f32| sample.abs() > self.level || sample.is_nan();
        let last_loud = samples.iter().filter_map(|channel| channel.iter().rposition(is_loud)).max();
        let since = match last_loud {
            Some(loud) => {
                self.silence.ends();
                instant(loud + 1)
            }
            None => at,
        };
        self.silence.holds(since, instant(length));
    }

    /// The clock has come to `to`: sound that does not come is silent.
    pub(in crate::worker) fn advance(&mut self, to: MediaTime) {
        if self.active {
            self.silence.holds(to, to);
        }
    }

    pub(in crate::worker) fn told(&self) -> Lasting {
        self.silence.told()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    fn ms(millis: i64) -> MediaTime {
        MediaTime(Ticks::from_millis(millis).0)
    }

    fn watch() -> SoundWatch {
        let mut watch = SoundWatch::new(&Watch { silence_after: Some(Ticks::from_millis(1000)), ..Watch::default() }, RATE);
        watch.begin(true);
        watch
    }

    /// A second of noise of this amplitude on the second of two channels.
    fn second(watch: &mut SoundWatch, from_ms: i64, level: f32) -> Lasting {
        for block in 0..10 {
            let quiet = vec![0.0; 4800];
            let loud = (0..4800).map(|index| if index % 2 == 0 { level } else { -level }).collect();
            watch.heard(ms(from_ms + block * 100), &[quiet, loud]);
        }
        watch.told()
    }

    #[test]
    fn hiss_below_the_threshold_is_silence_and_music_is_not() {
        let mut watch = watch();
        assert_eq!(second(&mut watch, 0, 0.1), Lasting { counts: false, span: Ticks::ZERO });
        let almost = second(&mut watch, 1000, 0.0009);
        assert_eq!(almost, Lasting { counts: true, span: Ticks::from_millis(1000) });
        assert!(!second(&mut watch, 2000, 0.0011).counts);
    }

    #[test]
    fn a_pause_between_words_is_no_silence() {
        let mut watch = watch();
        for sentence in 0..5 {
            second(&mut watch, sentence * 1900, 0.2);
            watch.heard(ms(sentence * 1900 + 1000), &[vec![0.0; 43_200]]);
            assert!(!watch.told().counts, "{:?}", watch.told());
        }
    }

    #[test]
    fn sound_that_stops_coming_is_silent_but_without_input_all_is_well() {
        let mut watch = watch();
        second(&mut watch, 0, 0.2);
        watch.advance(ms(900));
        assert!(!watch.told().counts);
        watch.advance(ms(2100));
        assert!(watch.told().counts);
        watch.begin(false);
        watch.advance(ms(9000));
        assert_eq!(watch.told(), Lasting::default());
    }
}
