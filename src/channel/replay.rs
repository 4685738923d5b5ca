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

/// Units that nobody will be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Given up to stay within bounds.
    pub full: usize,
    /// Left out since they cannot be decoded without what was given up before them.
    pub before_entry: usize,
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
    /// The newest tracks have pictures.
    has_video: bool,
    /// Units are left out up to the next entry; `items` holds no unit then.
    awaits_entry: bool,
}

impl Replay {
    /// Appends; returns which units are lost to every worker by that.
    pub fn push(&mut self, item: Item) -> Lost {
        let mut lost = Lost::default();
        match &item {
            Item::Tracks(tracks) => self.has_video = tracks.iter().any(|track| track.video().is_some()),
            Item::Unit(unit, is_video) if self.awaits_entry => {
                if !unit.entry || *is_video != self.has_video {
                    lost.before_entry = 1;
                    return lost;
                }
                self.awaits_entry = false;
            }
            _ => {}
        }
        self.bytes += size(&item);
        self.items.push_back(item);
        while self.is_over() {
            lost.full += self.give_up_one_gop();
        }
        lost
    }

    /// Gives up all that was handed out, and what follows up to the next entry, whether it is here yet or not.
    ///
    /// Returns how many units that is so far.
    pub fn skip(&mut self) -> usize {
        let mut count = self.cursor;
        let mut has_video = self.tracks.iter().flatten().any(|track| track.video().is_some());
        for (index, item) in self.items.iter().enumerate() {
            match item {
                Item::Tracks(tracks) => has_video = tracks.iter().any(|track| track.video().is_some()),
                Item::Unit(unit, is_video) if index >= self.cursor && unit.entry && *is_video == has_video => break,
                _ => {}
            }
            count = count.max(index + 1);
        }
        self.awaits_entry = count == self.items.len();
        let units = self.items.iter().take(count).filter(|item| matches!(item, Item::Unit(..))).count();
        self.drop_front(count);
        units
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

    /// How many tracks the input that was handed out last has; none after its end.
    pub fn tracks_sent(&self) -> usize {
        let told = self.items.iter().take(self.cursor).rev().find_map(|item| match item {
            Item::Tracks(tracks) => Some(tracks.len()),
            Item::End => Some(0),
            Item::Unit(..) => None,
        });
        told.unwrap_or_else(|| self.tracks.as_ref().map_or(0, Vec::len))
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
        // What is left would follow a hole.
        self.awaits_entry = lost > 0 && next_entry.is_none();
        let count = if self.awaits_entry { self.items.len() } else { count };
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
    fn after_thirty_seconds_of_one_gop_nothing_is_sent_before_the_next_keyframe() {
        let mut replay = Replay::default();
        replay.push(tracks());
        let mut lost = Lost::default();
        for n in 0..1_000 {
            let now = replay.push(unit(true, n * 40, n == 0));
            lost = Lost { full: lost.full + now.full, before_entry: lost.before_entry + now.before_entry };
        }
        assert_eq!((lost.full, lost.before_entry), (752, 248), "thirty seconds are kept, then all is given up");
        assert_eq!(rest(&mut replay), [tracks()]);
        replay.push(unit(false, 40_000, true));
        replay.push(unit(true, 40_000, true));
        replay.push(unit(true, 40_040, false));
        assert_eq!(rest(&mut replay), [unit(true, 40_000, true), unit(true, 40_040, false)]);
    }

    #[test]
    fn sixty_four_megabytes_are_the_most_that_is_held() {
        let mut replay = Replay::default();
        replay.push(tracks());
        for n in 0..200 {
            let Item::Unit(big, _) = unit(true, n * 40, n % 25 == 0) else { panic!("a unit") };
            replay.push(Item::Unit(AccessUnit { data: Bytes::from(vec![0; 1 << 20]), ..big }, true));
            assert!(replay.bytes <= MOST_BYTES);
        }
        assert!(matches!(rest(&mut replay).get(1), Some(Item::Unit(unit, true)) if unit.entry));
    }

    #[test]
    fn a_skipped_place_reaches_to_the_entry_after_all_that_was_sent() {
        let mut replay = filled(8);
        for _ in 0..=110 {
            replay.take_next();
        }
        assert_eq!(replay.skip(), 201, "up to the keyframe at four seconds");
        replay.rewind();
        assert_eq!(rest(&mut replay)[..2], [tracks(), unit(true, 4_000, true)]);
        replay.skip();
        let lost = replay.push(unit(false, 8_100, true));
        assert_eq!((lost.before_entry, replay.push(unit(true, 8_040, false)).before_entry), (1, 1));
        replay.rewind();
        assert_eq!(rest(&mut replay), [tracks()]);
        replay.push(unit(true, 8_080, true));
        assert_eq!(rest(&mut replay), [unit(true, 8_080, true)], "the entry that came later is sent");
    }

    #[test]
    fn sound_alone_is_skipped_to_its_next_unit() {
        let mut replay = Replay::default();
        replay.push(Item::Tracks(Vec::new()));
        (0..10).for_each(|n| assert_eq!(replay.push(unit(false, n * 20, true)), Lost::default()));
        (0..5).for_each(|_| drop(replay.take_next()));
        assert_eq!(replay.skip(), 4);
        replay.rewind();
        assert_eq!(rest(&mut replay)[1], unit(false, 80, true));
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
