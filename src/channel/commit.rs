//! The commit line: what is published is a segment, closed when every live rung has it.
//!
//! Segments are spans of slots, counted from the timeline's origin; a replacement worker therefore fills the very same
//! segment that its predecessor left open.

use std::collections::VecDeque;

use crate::base::{MediaTime, Ticks};
use crate::media::{Grid, Packet, Slot};
use crate::pack::SegmentSet;

/// Packets that one rung may hold uncommitted; beyond it the oldest rung's absence is no longer waited for.
const HELD_PACKETS: usize = 8_192;
/// Sound that begins this much before the first slot belongs to it: half a frame of AAC at 48 kHz.
const HALF_FRAME: Ticks = Ticks::from_millis(11);

#[derive(Debug, Default)]
struct Line {
    packets: VecDeque<Packet>,
}

/// A segment that was closed, with the rungs that did not deliver it.
#[derive(Debug)]
pub struct Committed {
    /// The segment for the packagers.
    pub set: SegmentSet,
    /// Numbers of the rungs that are missing in it.
    pub missing: Vec<usize>,
}

/// Collects packets by rung and closes segments.
#[derive(Debug)]
pub struct Commit {
    grid: Grid,
    videos: usize,
    lines: Vec<Line>,
    /// Index of the open segment.
    open: i64,
    /// First slot that is published at all.
    first: Slot,
    /// Sequence number minus index.
    number_base: i64,
    /// Audio that begins before this is published already.
    audio_floor: MediaTime,
    discontinuity: bool,
    /// When the first rung had the whole open segment.
    first_had_it: Option<MediaTime>,
    /// Of what lies before this instant no more comes.
    final_to: MediaTime,
}

impl Commit {
    /// A commit line that begins with `first`, whose segment gets the sequence number `first_number`.
    pub fn new(grid: Grid, videos: usize, audio: bool, first: Slot, first_number: u64) -> Commit {
        let open = grid.segment_of(first);
        Commit {
            grid,
            videos,
            lines: (0..videos + usize::from(audio)).map(|_| Line::default()).collect(),
            open,
            first,
            number_base: first_number as i64 - open,
            audio_floor: grid.start(first) - HALF_FRAME,
            discontinuity: false,
            first_had_it: None,
            final_to: MediaTime(i64::MIN),
        }
    }

    /// The first slot that is not published: where a replacement worker begins.
    pub fn resume_slot(&self) -> Slot {
        self.first.max(self.grid.segment_start(self.open))
    }

    /// The instant up to which everything is published.
    pub fn published_to(&self) -> MediaTime {
        self.grid.start(self.resume_slot())
    }

    /// Where the longest video rung ends (the audio rung, where there is no video).
    pub fn newest_end(&self) -> MediaTime {
        let ends = self
            .lines
            .iter()
            .take(self.videos.max(1))
            .filter_map(|line| line.packets.iter().map(|packet| packet.dts + packet.duration).max());
        ends.max().unwrap_or_else(|| self.published_to())
    }

    /// Sequence number of the open segment.
    pub fn next_number(&self) -> u64 {
        (self.open + self.number_base).max(0) as u64
    }

    /// Forgets what is not published; a replacement worker makes it again.
    pub fn restart(&mut self) {
        self.lines.iter_mut().for_each(|line| line.packets.clear());
        self.final_to = MediaTime(i64::MIN);
        self.first_had_it = None;
    }

    /// Another number of video rungs from the open segment on; what was held is given up.
    pub fn reshape(&mut self, videos: usize) {
        let audio = self.lines.len() - self.videos;
        self.videos = videos;
        self.lines = (0..videos + audio).map(|_| Line::default()).collect();
        self.first_had_it = None;
    }

    /// Gives up what is not published before the segment of `slot`, which gets the number that is next and follows a discontinuity.
    pub fn skip_to(&mut self, slot: Slot) {
        let index = self.grid.segment_of(slot);
        if index <= self.open {
            return;
        }
        self.number_base += self.open - index;
        self.open = index;
        self.audio_floor = self.grid.start(self.grid.segment_start(index)) - HALF_FRAME;
        self.discontinuity = true;
        self.restart();
    }

    /// Nobody makes any more of what lies before `to`: its segments wait for no rung.
    pub fn expect_no_more(&mut self, to: MediaTime) {
        self.final_to = to;
    }

    /// The next segment follows a change of configuration.
    pub fn mark_discontinuity(&mut self) {
        self.discontinuity = true;
    }

    /// Takes a packet in. Packets before the commit line are dropped: they are published.
    pub fn push(&mut self, packet: Packet) {
        let rung = usize::from(packet.rung);
        let is_video = rung < self.videos;
        let floor = if is_video { self.published_to() } else { self.audio_floor };
        let Some(line) = self.lines.get_mut(rung) else { return };
        if packet.pts < floor || line.packets.back().is_some_and(|last| packet.dts <= last.dts) || line.packets.len() >= HELD_PACKETS {
            return;
        }
        line.packets.push_back(packet);
    }

    /// The open segment, if every rung has it, or if the ones that lack it are a segment later than the first one that had it.
    ///
    /// `now` is the programme's clock. How far rungs are apart in media time says nothing: a worker that catches up makes
    /// seconds of a small rung while it makes one picture of a large one.
    pub fn take(&mut self, now: MediaTime) -> Option<Committed> {
        let end = self.grid.start(self.grid.segment_start(self.open + 1));
        let missing: Vec<usize> = (0..self.lines.len()).filter(|rung| !self.reaches(*rung, end)).collect();
        let has_picture = (0..self.videos).any(|rung| !missing.contains(&rung));
        if missing.len() == self.lines.len() || (self.videos > 0 && !has_picture) {
            // Sound alone is no reason to give pictures up: a worker that catches up has it first.
            return None;
        }
        let first_had_it = *self.first_had_it.get_or_insert(now);
        if !missing.is_empty() && end > self.final_to && now - first_had_it <= self.grid.segment_duration() {
            return None;
        }
        Some(self.close(end, missing))
    }

    /// The packager refused the segment that was just taken: its number is free again, and a hole precedes the next one.
    pub fn refused(&mut self) {
        self.number_base -= 1;
        self.discontinuity = true;
    }

    /// What is left at the end of a file, up to `end`.
    pub fn finish(&mut self, end: MediaTime) -> Option<Committed> {
        let holds_video = self.lines.iter().take(self.videos.max(1)).any(|line| !line.packets.is_empty());
        (holds_video && end > self.published_to()).then(|| self.close(end, Vec::new()))
    }

    fn reaches(&self, rung: usize, end: MediaTime) -> bool {
        self.lines[rung].packets.back().is_some_and(|last| last.dts + last.duration >= end)
    }

    fn close(&mut self, end: MediaTime, missing: Vec<usize>) -> Committed {
        let start = self.published_to();
        let packets = self.lines.iter_mut().enumerate().map(|(rung, line)| {
            let count = line.packets.iter().take_while(|packet| packet.pts.min(packet.dts) < end).count();
            let taken: Vec<Packet> = line.packets.drain(..count).collect();
            (!missing.contains(&rung) && !taken.is_empty()).then_some(taken)
        });
        let set = SegmentSet {
            number: (self.open + self.number_base).max(0) as u64,
            start,
            duration: end - start,
            discontinuity: std::mem::take(&mut self.discontinuity),
            packets: packets.collect(),
        };
        self.open += 1;
        self.first_had_it = None;
        self.audio_floor = self.audio_floor.max(end);
        Committed { set, missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rate;
    use bytes::Bytes;

    const RATE: Rate = Rate::new(25, 1);

    fn grid() -> Grid {
        Grid { rate: RATE, gop_slots: 50, segment_slots: 100 }
    }

    fn video(rung: u8, slot: i64) -> Packet {
        let at = grid().start(Slot(slot));
        Packet { rung, pts: at, dts: at, duration: RATE.period(), key: slot % 50 == 0, data: Bytes::new() }
    }

    fn audio(frame: i64) -> Packet {
        let at = MediaTime::from_scale(frame * 1024, 48_000);
        Packet { rung: 2, pts: at, dts: at, duration: Ticks::from_scale(1024, 48_000), key: true, data: Bytes::new() }
    }

    fn two_rungs() -> Commit {
        Commit::new(grid(), 2, true, Slot(1000), 77)
    }

    #[test]
    fn a_segment_closes_with_its_last_packet_on_every_rung() {
        let mut commit = two_rungs();
        (1875..2063).for_each(|frame| commit.push(audio(frame)));
        for slot in 1000..1100 {
            commit.push(video(0, slot));
            assert!(commit.take(MediaTime(0)).is_none());
            commit.push(video(1, slot));
        }
        let committed = commit.take(MediaTime(0)).expect("closed with the last packet");
        assert_eq!((committed.set.number, committed.set.duration.as_millis()), (77, 4000));
        assert_eq!(committed.set.packets.iter().map(|run| run.as_ref().map_or(0, Vec::len)).collect::<Vec<_>>(), [100, 100, 188]);
        assert_eq!(commit.resume_slot(), Slot(1100));
    }

    #[test]
    fn a_replacement_worker_fills_the_segment_that_was_left_open() {
        let mut commit = two_rungs();
        (1000..1060).for_each(|slot| commit.push(video(0, slot)));
        commit.restart();
        assert_eq!(commit.resume_slot(), Slot(1000));
        for slot in 1000..1100 {
            commit.push(video(0, slot));
            commit.push(video(1, slot));
        }
        (1875..2063).for_each(|frame| commit.push(audio(frame)));
        let set = commit.take(MediaTime(0)).expect("closed").set;
        assert_eq!((set.number, set.packets[0].as_ref().map(Vec::len), set.discontinuity), (77, Some(100), false));
    }

    #[test]
    fn segments_that_are_given_up_leave_no_hole_in_the_numbers() {
        let mut commit = two_rungs();
        (1000..1060).for_each(|slot| commit.push(video(0, slot)));
        commit.skip_to(Slot(2150));
        assert_eq!((commit.resume_slot(), commit.next_number()), (Slot(2100), 77));
        (2100..2200).for_each(|slot| (0..2).for_each(|rung| commit.push(video(rung, slot))));
        (3937..4126).for_each(|frame| commit.push(audio(frame)));
        let set = commit.take(MediaTime(0)).expect("closed").set;
        assert_eq!((set.number, set.start, set.discontinuity), (77, grid().start(Slot(2100)), true));
        commit.skip_to(Slot(1000));
        assert_eq!(commit.resume_slot(), Slot(2200), "never back");
    }

    #[test]
    fn a_rung_that_is_a_segment_late_is_left_out() {
        let mut commit = two_rungs();
        let first = grid().start(Slot(1000));
        (1875..2063).for_each(|frame| commit.push(audio(frame)));
        (1000..1100).for_each(|slot| commit.push(video(0, slot)));
        assert!(commit.take(first).is_none());
        assert!(commit.take(first + Ticks::from_millis(4_000)).is_none());
        let committed = commit.take(first + Ticks::from_millis(4_040)).expect("goes on without the late rung");
        assert_eq!(committed.missing, [1]);
        assert!(committed.set.packets[1].is_none() && committed.set.packets[0].is_some());
    }

    #[test]
    fn a_small_rung_that_runs_ahead_while_the_worker_catches_up_costs_the_others_nothing() {
        let mut commit = two_rungs();
        (1000..1500).for_each(|slot| commit.push(video(1, slot)));
        assert!(commit.take(MediaTime(0)).is_none());
        (1000..1100).for_each(|slot| commit.push(video(0, slot)));
        (1875..2063).for_each(|frame| commit.push(audio(frame)));
        assert!(commit.take(MediaTime(0)).expect("every rung has it").missing.is_empty());
    }

    #[test]
    fn what_nobody_makes_any_more_is_not_waited_for() {
        let mut commit = two_rungs();
        (1875..2063).for_each(|frame| commit.push(audio(frame)));
        (1000..1100).for_each(|slot| commit.push(video(0, slot)));
        assert!(commit.take(MediaTime(0)).is_none());
        commit.expect_no_more(grid().start(Slot(1100)));
        assert_eq!(commit.take(MediaTime(0)).expect("closed").missing, [1]);
    }

    #[test]
    fn sound_alone_closes_nothing() {
        let mut commit = two_rungs();
        (1875..2500).for_each(|frame| commit.push(audio(frame)));
        assert!(commit.take(MediaTime(0)).is_none());
        assert!(commit.take(grid().start(Slot(1000))).is_none());
    }

    #[test]
    fn a_refused_segment_gives_its_number_to_the_next() {
        let mut commit = two_rungs();
        (1875..2251).for_each(|frame| commit.push(audio(frame)));
        (1000..1200).for_each(|slot| (0..2).for_each(|rung| commit.push(video(rung, slot))));
        assert_eq!(commit.take(MediaTime(0)).expect("closed").set.number, 77);
        commit.refused();
        let set = commit.take(MediaTime(0)).expect("closed").set;
        assert_eq!((set.number, set.discontinuity), (77, true));
    }

    #[test]
    fn what_is_published_is_not_taken_twice() {
        let mut commit = two_rungs();
        for slot in 1000..1100 {
            commit.push(video(0, slot));
            commit.push(video(1, slot));
        }
        (1875..2063).for_each(|frame| commit.push(audio(frame)));
        commit.take(MediaTime(0)).expect("closed");
        commit.push(video(0, 1099));
        commit.push(audio(2000));
        assert!(commit.lines.iter().take(1).all(|line| line.packets.is_empty()));
        assert!(commit.lines[2].packets.is_empty());
    }
}
