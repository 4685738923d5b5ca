//! What playlists list: one entry per segment number, and what each playlist has under it.

use std::collections::VecDeque;

use super::epoch::{Epoch, Stream, Tree};
use super::presentation::{SegmentSet, Window};
use crate::base::{MediaTime, Ticks};

/// An IDR inside a segment file, as a byte range that decodes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IFrame {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// When it is shown.
    pub start: MediaTime,
    /// Until the next IDR.
    pub duration: Ticks,
}

/// One segment file of one playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// When its first picture is shown or its first sample heard.
    pub start: MediaTime,
    /// Its length, as EXTINF gives it.
    pub duration: Ticks,
    /// `start` in units of the track's timescale, as the fragment's decode time gives it.
    pub scaled_start: i64,
    /// Sum of the sample durations in units of the track's timescale.
    pub scaled_duration: i64,
    /// Size of the file.
    pub bytes: u64,
    /// The IDRs in it; none for audio.
    pub iframes: Vec<IFrame>,
}

/// One media sequence number.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The number.
    pub number: u64,
    /// Beginning of the span.
    pub start: MediaTime,
    /// Length of the span.
    pub duration: Ticks,
    /// Whether EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// Discontinuity sequence number of the segment: how many EXT-X-DISCONTINUITY there were up to here.
    pub discontinuity_sequence: u64,
    /// The configuration in force.
    pub epoch: u64,
    /// The DASH Period.
    pub period: u64,
    /// By stream of the configuration; `None` is a gap.
    pub made: Vec<Option<Made>>,
    /// By stream of the configuration: media sequence number of its first line in the I-frame playlist.
    pub iframe_numbers: Vec<u64>,
}

/// A DASH Period: a run of entries with one configuration, one timeline and the same renditions.
#[derive(Clone, Debug)]
pub struct Period {
    /// Number of the first segment; unique over restarts, so that no player mistakes one Period for another.
    pub id: u64,
    /// Where it begins.
    pub start: MediaTime,
    /// Where it ends so far.
    pub end: MediaTime,
    /// The configuration.
    pub epoch: u64,
    /// By stream: whether it is there.
    pub present: Vec<bool>,
    /// The Period before, where only the set of renditions changed and the timeline and configuration go on.
    pub continues: Option<u64>,
}

/// Everything that the texts are written from.
#[derive(Debug)]
pub struct Programme {
    /// TARGETDURATION.
    pub target_s: u32,
    /// Longest length of a segment.
    pub segment: Ticks,
    /// What is listed.
    pub window: Window,
    /// Whether the last segment is in.
    pub ended: bool,
    /// How many discontinuities preceded the first segment: those of a presentation that this one goes on from.
    pub discontinuities_before: u64,
    /// The first instant ever published.
    pub origin: MediaTime,
    /// Listed entries, oldest first.
    pub entries: VecDeque<Entry>,
    /// Configurations of listed entries, oldest first; the last is in force.
    pub epochs: VecDeque<Epoch>,
    /// Periods of listed entries, oldest first.
    pub periods: VecDeque<Period>,
}

impl Programme {
    /// The configuration of an entry.
    pub fn epoch(&self, id: u64) -> Option<&Epoch> {
        let first = self.epochs.front()?.id;
        self.epochs.get(usize::try_from(id.checked_sub(first)?).ok()?)
    }

    /// The configuration in force.
    pub fn newest(&self) -> Option<&Epoch> {
        self.epochs.back()
    }

    /// What the playlist `name` of `tree` is in an entry: its stream and that stream's index, if the configuration has it.
    pub fn stream(&self, entry: &Entry, tree: Tree, name: &str) -> Option<(usize, &Stream)> {
        self.epoch(entry.epoch)?.stream(tree, name)
    }

    /// Length of everything listed.
    pub fn listed(&self) -> Ticks {
        self.entries.iter().map(|entry| entry.duration).sum()
    }

    /// How much of the past a live playlist keeps: the wish, and at least three target durations (RFC 8216 6.2.2).
    pub fn depth(&self) -> Ticks {
        match self.window {
            Window::Live(wish) => Ticks(wish.0.max(self.three_targets().0)),
            Window::Event | Window::Vod => Ticks(i64::MAX),
        }
    }

    fn three_targets(&self) -> Ticks {
        Ticks::from_millis(i64::from(self.target_s) * 3000)
    }

    /// Takes the oldest entry off the list if what remains is still deep enough in every playlist.
    pub fn slide(&mut self) -> Option<Entry> {
        if !matches!(self.window, Window::Live(_)) || self.entries.len() < 2 {
            return None;
        }
        let remaining: Ticks = self.entries.iter().skip(1).map(|entry| entry.duration).sum();
        if remaining < self.depth() || !self.deep_enough_in_every_playlist() {
            return None;
        }
        self.entries.pop_front()
    }

    /// Audio segments end at frames, so that their sum may lie below that of the video by up to a frame.
    fn deep_enough_in_every_playlist(&self) -> bool {
        let streams = self.entries.iter().map(|entry| entry.made.len()).max().unwrap_or(0);
        let need = self.three_targets();
        (0..streams).all(|index| {
            let length = |entry: &Entry| entry.made.get(index).and_then(|made| made.as_ref()).map_or(entry.duration, |made| made.duration);
            self.entries.iter().skip(1).map(length).sum::<Ticks>() >= need
        })
    }

    /// Drops configurations and Periods that no listed entry has any more.
    pub fn forget(&mut self) {
        let Some((epoch, period)) = self.entries.front().map(|entry| (entry.epoch, entry.period)) else { return };
        while self.epochs.front().is_some_and(|first| first.id < epoch) {
            self.epochs.pop_front();
        }
        while self.periods.front().is_some_and(|first| first.id < period) {
            self.periods.pop_front();
        }
    }

    /// Prolongs the newest Period, or begins another where the configuration, the timeline or the set of renditions changes.
    pub fn extend_period(&mut self, set: &SegmentSet, epoch: u64, present: Vec<bool>, discontinuity: bool) {
        let end = set.start + set.duration;
        let newest = self.periods.back_mut();
        let goes_on = |period: &Period| !discontinuity && period.epoch == epoch;
        match newest {
            Some(period) if goes_on(period) && period.present == present => period.end = end,
            newest => {
                let continues = newest.filter(|period| goes_on(period)).map(|period| period.id);
                self.periods.push_back(Period { id: set.number, start: set.start, end, epoch, present, continues });
            }
        }
    }
}
