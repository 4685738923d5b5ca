//! Where samples go: one unbroken line of samples counted from the origin, cut into frames of 1024 on the absolute grid.
//!
//! Sound that continues within 40 ms of where it should be is taken as it comes, and its drift is worked off by stretching
//! ([`SampleLine::stretch_ppm`]). Anything else is a join: placed exactly, with silence or tone in the hole before it or its
//! overlap cut off, and both sides faded over 5 ms so that nothing clicks.

use super::tone::tone;

/// Samples in a frame.
const FRAME: usize = 1024;
/// Deviation that is worked off by stretching, in milliseconds.
const TOLERANCE_MS: i64 = 40;
/// Deviation from which stretching begins, and at which it ends.
const STRETCH_FROM_MS: i64 = 5;
const STRETCH_UNTIL_MS: i64 = 1;
/// Time in which a deviation is to be worked off, in seconds.
const STRETCH_SECONDS: f64 = 4.0;
/// How much of each new deviation enters the average: AAC frames over RTMP jitter by a millisecond each.
const AVERAGING: f64 = 1.0 / 16.0;

/// What fills a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// Nothing is heard.
    Silence,
    /// The test pattern's tone.
    Tone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Source,
    Filler(Filler),
    /// Sound of a slate.
    Given,
}

/// The line of one audio rung.
#[derive(Debug)]
pub struct SampleLine {
    rate: i64,
    fade: usize,
    /// Index of the first pending sample.
    begin: i64,
    pending: Vec<Vec<f32>>,
    /// From here on pending samples are filler that source may replace.
    filler_from: i64,
    tail: Kind,
    /// Samples of the tail's kind that are still to be faded in.
    fade_in_left: usize,
    deviation: f64,
    stretching: bool,
    inserted: u64,
    dropped: u64,
}

impl SampleLine {
    /// A line whose first sample has the index `start`, a multiple of 1024.
    pub fn new(rate: u32, channels: u8, start: i64) -> SampleLine {
        let rate = i64::from(rate);
        SampleLine {
            rate,
            fade: (rate / 200).max(1) as usize,
            begin: start,
            pending: vec![Vec::new(); usize::from(channels)],
            filler_from: start,
            tail: Kind::Filler(Filler::Silence),
            fade_in_left: 0,
            deviation: 0.0,
            stretching: false,
            inserted: 0,
            dropped: 0,
        }
    }

    /// How many channels each frame has.
    pub fn channels(&self) -> usize {
        self.pending.len()
    }

    /// Index of the sample that comes next.
    pub fn next(&self) -> i64 {
        self.begin + self.held() as i64
    }

    /// Samples put into holes between source sound, and source samples cut off, so far.
    pub fn repairs(&self) -> (u64, u64) {
        (self.inserted, self.dropped)
    }

    /// How much the source is to be stretched to work off its drift, in parts in a million.
    pub fn stretch_ppm(&mut self) -> i32 {
        let away = self.deviation.abs() * 1000.0 / self.rate as f64;
        self.stretching = away > if self.stretching { STRETCH_UNTIL_MS as f64 } else { STRETCH_FROM_MS as f64 };
        match self.stretching {
            true => (self.deviation / self.rate as f64 / STRETCH_SECONDS * 1e6).clamp(-5000.0, 5000.0) as i32,
            false => 0,
        }
    }

    /// The source breaks here: what comes next is placed exactly.
    pub fn splice(&mut self) {
        if self.tail == Kind::Source {
            self.turn(Kind::Filler(Filler::Silence));
        }
    }

    /// Sound of the source that should begin at index `at`; `filler` goes into a hole before it.
    pub fn place(&mut self, at: i64, sound: &[Vec<f32>], filler: Filler) {
        let samples = sound.first().map_or(0, Vec::len);
        let deviation = at - self.next();
        let continues = self.tail == Kind::Source && deviation.abs() <= self.rate * TOLERANCE_MS / 1000;
        if continues {
            self.deviation += (deviation as f64 - self.deviation) * AVERAGING;
            self.append(sound, 0);
            return;
        }
        let skip = self.join(at, samples, filler);
        if skip < samples {
            self.turn(Kind::Source);
            self.append(sound, skip);
        }
    }

    /// Extends the line with filler towards the index `at`, where sound will be placed, by at most a second. True while there is more to
    /// bridge: whoever places takes frames in between, so that no hole is held as a whole.
    pub fn bridge(&mut self, at: i64, filler: Filler) -> bool {
        let hole = at.saturating_sub(self.next());
        if hole <= self.rate {
            return false;
        }
        if self.tail == Kind::Source {
            self.inserted = self.inserted.saturating_add(hole as u64);
        }
        self.fill(self.next() + self.rate, filler);
        true
    }

    /// Extends the line with filler up to the index `to`.
    fn fill(&mut self, to: i64, filler: Filler) {
        let from = self.next();
        if to <= from {
            return;
        }
        self.turn(Kind::Filler(filler));
        let rate = self.rate;
        let made: Vec<f32> = match filler {
            Filler::Silence => vec![0.0; (to - from) as usize],
            Filler::Tone => (from..to).map(|index| tone(index, rate)).collect(),
        };
        let sound = vec![made; self.pending.len()];
        self.append(&sound, 0);
    }

    /// Makes every frame that begins before the index `to` whole with filler: silence before `tone_from`, tone after it. The line grows by
    /// about a second at most; true while there is more to fill, once frames are taken.
    pub fn advance(&mut self, to: i64, tone_from: Option<i64>) -> bool {
        let step = self.next().saturating_add(self.rate);
        self.fill_frames(to.min(step), tone_from);
        to > step
    }

    /// How many samples of a slate are due until every frame that begins before `to` is whole: a second's worth at most.
    pub fn due(&self, to: i64) -> usize {
        let to = to.min(self.next().saturating_add(self.rate));
        let frame = FRAME as i64;
        let whole = self.begin + (to - self.begin + frame - 1).div_euclid(frame) * frame;
        if self.next() >= whole { 0 } else { (whole - self.next()) as usize + self.fade }
    }

    /// Extends the line with sound of a slate, which gives way to the source like filler.
    pub fn give(&mut self, sound: &[Vec<f32>]) {
        self.turn(Kind::Given);
        self.append(sound, 0);
    }

    fn fill_frames(&mut self, to: i64, tone_from: Option<i64>) {
        let frame = FRAME as i64;
        let whole = self.begin + (to - self.begin + frame - 1).div_euclid(frame) * frame;
        if self.next() >= whole {
            return;
        }
        // Enough beyond the last frame to fade out when sound comes.
        let end = whole + self.fade as i64;
        self.fill(tone_from.unwrap_or(end).clamp(self.next(), end), Filler::Silence);
        self.fill(end, Filler::Tone);
    }

    /// The next frame and its first index, if one is whole: with enough behind it to fade out, or beginning before `urgent`.
    pub fn take(&mut self, urgent: i64) -> Option<(i64, Vec<Vec<f32>>)> {
        let needed = if self.begin < urgent { FRAME } else { FRAME + self.fade };
        if self.held() < needed {
            return None;
        }
        let frame = self.pending.iter_mut().map(|channel| channel.drain(..FRAME).collect()).collect();
        let start = self.begin;
        self.begin += FRAME as i64;
        self.filler_from = self.filler_from.max(self.begin);
        Some((start, frame))
    }

    /// The line ends: its last frame is made whole with silence.
    pub fn end(&mut self) {
        let odd = self.held() % FRAME;
        let only_filler = self.filler_from <= self.begin + (self.held() - odd) as i64 && self.tail != Kind::Source;
        if odd > 0 && only_filler {
            self.truncate(self.held() - odd);
        } else if odd > 0 {
            self.pending.iter_mut().for_each(|channel| channel.resize(channel.len() + FRAME - odd, 0.0));
        }
    }

    fn held(&self) -> usize {
        self.pending.first().map_or(0, Vec::len)
    }

    fn truncate(&mut self, length: usize) {
        self.pending.iter_mut().for_each(|channel| channel.truncate(length));
    }

    /// Makes the line end at `at` if it can; tells how many samples of what comes must be left out.
    fn join(&mut self, at: i64, samples: usize, filler: Filler) -> usize {
        if at > self.next() {
            if self.tail == Kind::Source {
                self.inserted += (at - self.next()) as u64;
            }
            self.fill(at, filler);
        }
        // Filler that is not out yet gives way.
        let end = match self.tail {
            Kind::Source => self.next(),
            Kind::Filler(_) | Kind::Given => at.max(self.filler_from).max(self.begin).min(self.next()),
        };
        let skip = usize::try_from(end - at).unwrap_or(0).min(samples);
        if skip < samples {
            self.truncate((end - self.begin) as usize);
            if self.tail == Kind::Source {
                self.turn(Kind::Filler(Filler::Silence));
            }
        }
        self.dropped += skip as u64;
        skip
    }

    /// What follows is of another kind: fades out what is pending and fades in what comes.
    fn turn(&mut self, kind: Kind) {
        if self.tail == kind {
            return;
        }
        if self.tail != Kind::Filler(Filler::Silence) {
            let fade = self.fade;
            for channel in &mut self.pending {
                let length = channel.len().min(fade);
                for (distance, sample) in channel.iter_mut().rev().take(length).enumerate() {
                    *sample *= distance as f32 / length as f32;
                }
            }
        }
        if self.tail == Kind::Source {
            self.filler_from = self.next();
        }
        self.fade_in_left = if kind == Kind::Filler(Filler::Silence) { 0 } else { self.fade };
        self.tail = kind;
        self.deviation = 0.0;
        self.stretching = false;
    }

    fn append(&mut self, sound: &[Vec<f32>], skip: usize) {
        let before = self.held();
        for (index, channel) in self.pending.iter_mut().enumerate() {
            channel.extend_from_slice(sound.get(index).and_then(|sound| sound.get(skip..)).unwrap_or_default());
        }
        let added = self.held() - before;
        let faded = self.fade_in_left.min(added);
        let done = self.fade - self.fade_in_left.min(self.fade);
        for channel in &mut self.pending {
            for (index, sample) in channel.iter_mut().skip(before).take(faded).enumerate() {
                *sample *= (done + index) as f32 / self.fade as f32;
            }
        }
        self.fade_in_left -= faded;
    }
}

#[cfg(test)]
mod tests;
