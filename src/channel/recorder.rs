//! The flight recorder: the headers of what came in last and what was decided about it.
//!
//! A [`Recorder`] is a handle on one channel's ring; whoever decides something for the channel holds a clone. The ring
//! holds thirty seconds and at most [`ENTRIES`] entries of fixed size. No coded byte, key or address goes in; texts come
//! from the code, and from workers about media. A [`Recording`] is a copy of the ring, as JSON lines for people and tools.

mod lines;
mod store;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::store::FlightStore;
use crate::base::{Fault, MediaTime, Mono, Ticks};
use crate::channel::feed::SourceUnit;
use crate::channel::timeline::Bend;

/// What a ring holds at most: 30 s of 60 pictures and 47 frames of sound a second, and decisions.
pub const ENTRIES: usize = 4096;
/// Older entries go.
const SPAN: Duration = Duration::from_secs(30);
/// Between two recordings of a channel that are written.
const DUMP_EVERY: Duration = Duration::from_secs(60);
/// Longest text of an entry in bytes.
const TEXT_BYTES: usize = 160;
/// Feeds whose names are held; an older name is looked up again.
const NAMES: usize = 16;

/// A decision, or an event that led to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A feed was admitted.
    FeedOpened,
    /// A feed is gone.
    FeedClosed,
    /// A feed described its tracks, in words.
    Source(Arc<str>),
    /// A feed's clock was bent.
    Bend {
        /// Index of the track.
        track: u8,
        /// How.
        kind: Bend,
    },
    /// The channel went into this state.
    State(&'static str),
    /// The programme went over to the feed, for this reason.
    Switched(Arc<str>),
    /// A worker was started.
    WorkerStarted(u64),
    /// A worker is gone or was given up.
    WorkerGone(u64, Arc<str>),
    /// A worker told of a fault, with its own words.
    WorkerFault(Fault, Arc<str>),
    /// A segment was listed.
    Listed {
        /// Its media sequence number.
        number: u64,
        /// Where it ends.
        end: MediaTime,
    },
    /// A feed was refused or closed for cause.
    Refused(Arc<str>),
    /// Anything else: what, and a text.
    Decision(&'static str, Arc<str>),
}

/// A text for a [`Note`], cut to what an entry may hold.
pub fn text(words: &str) -> Arc<str> {
    let end = (0..=TEXT_BYTES.min(words.len())).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
    Arc::from(words.get(..end).unwrap_or_default())
}

#[derive(Clone, Debug)]
struct Entry {
    at: Mono,
    feed: Option<Arc<str>>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Unit { track: u8, entry: bool, size: u32, dts: Ticks, offset: Ticks, pts: Option<MediaTime> },
    Note(Note),
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    names: VecDeque<Arc<str>>,
    dumped: Option<Mono>,
}

/// A handle on the ring of one channel. Clones share the ring.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Ring>>);

/// A copy of a ring at one instant.
#[derive(Clone, Debug)]
pub struct Recording {
    entries: Vec<Entry>,
    at: Mono,
}

impl Recorder {
    /// Records a unit of `feed` that the channel took at `now`. `pts` is its place on the programme, if it got one.
    pub fn unit(&self, feed: &str, unit: &SourceUnit, pts: Option<MediaTime>, now: Mono) {
        let size = unit.data.len().min(u32::MAX as usize) as u32;
        let what = What::Unit { track: unit.track, entry: unit.entry, size, dts: unit.dts, offset: unit.offset, pts };
        let mut ring = self.ring();
        let feed = Some(ring.name(feed));
        ring.push(Entry { at: now, feed, what });
    }

    /// Records something about `feed`.
    pub fn feed_note(&self, feed: &str, note: Note, now: Mono) {
        let mut ring = self.ring();
        let feed = Some(ring.name(feed));
        ring.push(Entry { at: now, feed, what: What::Note(note) });
    }

    /// Records something about the channel.
    pub fn note(&self, note: Note, now: Mono) {
        self.ring().push(Entry { at: now, feed: None, what: What::Note(note) });
    }

    /// What the ring holds at `now`.
    pub fn recording(&self, now: Mono) -> Recording {
        let ring = self.ring();
        let entries = ring.entries.iter().filter(|entry| now.since(entry.at) <= SPAN).cloned().collect();
        Recording { entries, at: now }
    }

    /// What the ring holds, to be written for a fault; `None` where one was taken less than a minute ago.
    pub fn recording_of_fault(&self, now: Mono) -> Option<Recording> {
        {
            let mut ring = self.ring();
            if ring.dumped.is_some_and(|dumped| now.since(dumped) < DUMP_EVERY) {
                return None;
            }
            ring.dumped = Some(now);
        }
        Some(self.recording(now))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, entry: Entry) {
        let now = entry.at;
        self.entries.push_back(entry);
        while self.entries.len() > ENTRIES || self.entries.front().is_some_and(|oldest| now.since(oldest.at) > SPAN) {
            self.entries.pop_front();
        }
    }

    fn name(&mut self, feed: &str) -> Arc<str> {
        if let Some(name) = self.names.iter().find(|name| &***name == feed) {
            return Arc::clone(name);
        }
        let name = text(feed);
        self.names.push_back(Arc::clone(&name));
        if self.names.len() > NAMES {
            self.names.pop_front();
        }
        name
    }
}
