//! The newest input, kept so that a replacement worker can decode its way to the commit point.
//!
//! It is also the queue to the worker: a cursor runs over it, so what a worker has not been sent is held once.

use std::collections::VecDeque;

use crate::base::{MediaTime, Ticks};
use crate::media::{AccessUnit, Track};

/// Bounds, from the architecture: beyond them the oldest input is given up, up to the next entry.
const LONGEST: Ticks = Ticks::from_millis(30_000);
const MOST_BYTES: usize = 64 << 20;
/// Sound is needed from a little before the commit point: the encoder is primed two frames early.
const AUDIO_LEAD: Ticks = Ticks::from_millis(200);

/// One thing that the worker is told, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// New tracks: decoders are reopened.
    Tracks(Vec<Track>),
    /// Media, and whether it is video.
    Unit(AccessUnit, bool),
    /// The input has ended.
    End,
}

/// Input from a clean entry on.
#[derive(Debug, Default)]
pub struct Replay {
    items: VecDeque<Item>,
    /// What was in force before the first item.
    tracks: Option<Vec<Track>>,
    bytes: usize,
    /// Index of the next item for the worker.
    cursor: usize,
    /// The tracks in force must be told first.
    tracks_due: bool,
}

impl Replay {
    /// Appends; returns how many units had to be given up to stay within bounds.
    pub fn push(&mut self, item: Item) -> usize {
        self.bytes += size(&item);
        self.items.push_back(item);
        let mut given_up = 0;
        while self.is_over() {
            given_up += self.give_up_one_gop();
        }
        given_up
    }

    /// The next item for the worker.
    pub fn take_next(&mut self) -> Option<Item> {
        if std::mem::take(&mut self.tracks_due)
            && let Some(tracks) = &self.tracks
        {
            return Some(Item::Tracks(tracks.clone()));
        }
        let item = self.items.get(self.cursor)?;
        self.cursor += 1;
        Some(item.clone())
    }

    /// Everything has been handed out.
    pub fn is_sent(&self) -> bool {
        !self.tracks_due && self.cursor == self.items.len()
    }

    /// Units that the worker has not been sent.
    pub fn unsent(&self) -> usize {
        self.items.len() - self.cursor
    }

    /// A new worker starts over from the oldest item.
    pub fn rewind(&mut self) {
        self.cursor = 0;
        self.tracks_due = self.tracks.is_some();
    }

    /// Lets go of what no replacement needs any more: everything before the newest entry at or before `published`.
    pub fn trim(&mut self, published: MediaTime) {
        let is_entry = |item: &Item| matches!(item, Item::Unit(unit, true) if unit.entry && unit.pts <= published);
        let has_video = self.items.iter().any(|item| matches!(item, Item::Unit(_, true)));
        let keep = if has_video {
            self.items.iter().take(self.cursor).rposition(is_entry).unwrap_or(0)
        } else {
            self.items.iter().take(self.cursor).position(|item| is_needed_sound(item, published)).unwrap_or(self.cursor)
        };
        let end = self.items.iter().take(self.cursor).rposition(|item| matches!(item, Item::End));
        let ended_before = end.filter(|end| self.items.iter().take(*end).all(|item| is_over_before(item, published)));
        let keep = keep.max(ended_before.map_or(0, |end| end + 1));
        let sound: Vec<Item> = self.items.iter().take(keep).filter(|item| is_needed_sound(item, published)).cloned().collect();
        let ends_in_front = self.items.iter().take(keep).any(|item| matches!(item, Item::Tracks(_) | Item::End));
        self.drop_front(keep);
        if !ends_in_front {
            self.cursor += sound.len();
            for item in sound.into_iter().rev() {
                self.bytes += size(&item);
                self.items.push_front(item);
            }
        }
    }

    fn is_over(&self) -> bool {
        let first = self.items.iter().find_map(time);
        let last = self.items.iter().rev().find_map(time);
        let span = first.zip(last).map_or(Ticks::ZERO, |(first, last)| last - first);
        self.items.len() > 1 && (span > LONGEST || self.bytes > MOST_BYTES)
    }

    fn give_up_one_gop(&mut self) -> usize {
        let next_entry = self.items.iter().enumerate().skip(1).find(|(_, item)| matches!(item, Item::Unit(unit, true) if unit.entry));
        let count = next_entry.map_or(self.items.len() - 1, |(index, _)| index);
        // What the worker has been sent is not lost by it.
        let lost = count.saturating_sub(self.cursor);
        self.drop_front(count);
        lost
    }

    fn drop_front(&mut self, count: usize) {
        for item in self.items.drain(..count) {
            self.bytes -= size(&item);
            match item {
                Item::Tracks(tracks) => self.tracks = Some(tracks),
                Item::End => self.tracks = None,
                Item::Unit(..) => {}
            }
        }
        self.tracks_due |= self.cursor < count && self.tracks.is_some();
        self.cursor = self.cursor.saturating_sub(count);
    }
}

fn size(item: &Item) -> usize {
    match item {
        Item::Unit(unit, _) => unit.data.len() + size_of::<Item>(),
        _ => size_of::<Item>(),
    }
}

fn time(item: &Item) -> Option<MediaTime> {
    match item {
        Item::Unit(unit, _) => Some(unit.dts),
        _ => None,
    }
}

fn is_needed_sound(item: &Item, published: MediaTime) -> bool {
    matches!(item, Item::Unit(unit, false) if unit.pts >= published - AUDIO_LEAD)
}

fn is_over_before(item: &Item, published: MediaTime) -> bool {
    match item {
        Item::Unit(unit, _) => unit.pts < published - AUDIO_LEAD,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{VideoCodec, VideoTrack};
    use bytes::Bytes;

    fn unit(video: bool, millis: i64, entry: bool) -> Item {
        let at = MediaTime(Ticks::from_millis(millis).0);
        Item::Unit(AccessUnit { track: u8::from(!video), pts: at, dts: at, entry, data: Bytes::from_static(&[0; 100]) }, video)
    }

    fn tracks() -> Item {
        let video = VideoTrack { codec: VideoCodec::H264, other: String::new(), config: Bytes::new(), width: 0, height: 0, rate: None };
        Item::Tracks(vec![Track::Video(video)])
    }

    fn filled(seconds: i64) -> Replay {
        let mut replay = Replay::default();
        replay.push(tracks());
        for n in 0..seconds * 25 {
            replay.push(unit(false, n * 40 + 300, true));
            replay.push(unit(true, n * 40, n % 50 == 0));
        }
        replay
    }

    fn rest(replay: &mut Replay) -> Vec<Item> {
        std::iter::from_fn(|| replay.take_next()).collect()
    }

    fn at(millis: i64) -> MediaTime {
        MediaTime(Ticks::from_millis(millis).0)
    }

    #[test]
    fn a_replacement_gets_the_tracks_then_the_entry_before_the_commit_point() {
        let mut replay = filled(8);
        rest(&mut replay);
        replay.trim(at(5_000));
        replay.rewind();
        let again = rest(&mut replay);
        assert_eq!(again.first(), Some(&tracks()));
        let first_video = again.iter().find(|item| matches!(item, Item::Unit(_, true)));
        assert_eq!(first_video, Some(&unit(true, 4_000, true)));
        let first_sound = again.iter().find_map(|item| matches!(item, Item::Unit(_, false)).then(|| time(item)).flatten());
        assert!(first_sound <= Some(at(5_000 - 100)), "{first_sound:?}");
        assert_eq!(again.last(), Some(&unit(true, 7_960, false)));
    }

    #[test]
    fn trimming_never_takes_what_the_worker_has_not_been_sent() {
        let mut replay = filled(4);
        for _ in 0..10 {
            replay.take_next();
        }
        let left = replay.unsent();
        replay.trim(at(60_000));
        assert_eq!(replay.unsent(), left);
    }

    #[test]
    fn a_worker_that_reads_nothing_costs_bounded_memory() {
        let mut replay = filled(120);
        let held = rest(&mut replay);
        let times: Vec<MediaTime> = held.iter().filter_map(time).collect();
        assert!(*times.last().unwrap() - times[0] <= LONGEST);
        assert_eq!(held.first(), Some(&tracks()), "the tracks in force are told first");
    }

    #[test]
    fn an_input_that_ended_and_is_published_is_forgotten() {
        let mut replay = filled(4);
        replay.push(Item::End);
        rest(&mut replay);
        replay.trim(at(2_000));
        replay.rewind();
        assert!(rest(&mut replay).contains(&Item::End));
        replay.trim(at(20_000));
        replay.rewind();
        assert!(rest(&mut replay).is_empty());
    }
}
