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
/// And bytes: a minute at 35 Mb/s.
const HELD_BYTES: usize = 256 << 20;
/// Sound that begins this much before the first slot belongs to it: half a frame of AAC at 48 kHz.
const HALF_FRAME: Ticks = Ticks::from_millis(11);

/// Changes of who is left out that one rung may have ahead of the commit line.
const HELD_CHANGES: usize = 32;

#[derive(Debug, Default)]
struct Line {
    packets: VecDeque<Packet>,
    bytes: usize,
    /// From when on nothing is made of the rung by plan, and from when on it is made again, in order.
    left_out: VecDeque<(MediaTime, bool)>,
}

impl Line {
    fn change(&mut self, from: MediaTime, is_left_out: bool) {
        self.left_out.retain(|(at, _)| *at < from);
        if self.left_out.len() >= HELD_CHANGES {
            self.left_out.pop_front();
        }
        self.left_out.push_back((from, is_left_out));
    }

    /// Whether nothing is made of any part of this span.
    fn is_left_out(&self, start: MediaTime, end: MediaTime) -> bool {
        let at_start = self.left_out.iter().rev().find(|(at, _)| *at <= start).is_some_and(|(_, out)| *out);
        at_start || self.left_out.iter().any(|(at, out)| *out && start < *at && *at < end)
    }

    /// Forgets what no longer matters after `start`.
    fn forget(&mut self, start: MediaTime) {
        while self.left_out.get(1).is_some_and(|(at, _)| *at <= start) {
            self.left_out.pop_front();
        }
    }
}

/// A segment that was closed, with the rungs that did not deliver it.
#[derive(Debug)]
pub struct Committed {
    /// The segment for the packagers.
    pub set: SegmentSet,
    /// Numbers of the rungs that are late and therefore missing in it.
    pub missing: Vec<usize>,
    /// Numbers of those that are missing by plan.
    pub left_out: Vec<usize>,
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
        for line in &mut self.lines {
            line.packets.clear();
            line.bytes = 0;
        }
        self.expect_all(MediaTime(i64::MIN));
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

    /// Nothing is made of a rung from this instant on: segments do not wait for it, and it is a gap in them. With `false` it is made again.
    pub fn leave_out(&mut self, rung: usize, from: MediaTime, is_left_out: bool) {
        if let Some(line) = self.lines.get_mut(rung).filter(|_| rung < self.videos) {
            line.change(from, is_left_out);
        }
    }

    /// Every rung is made from this instant on.
    pub fn expect_all(&mut self, from: MediaTime) {
        for line in &mut self.lines {
            line.left_out.retain(|(at, _)| *at < from);
            if line.left_out.back().is_some_and(|(_, out)| *out) {
                line.left_out.push_back((from, false));
            }
        }
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
        let is_full = line.packets.len() >= HELD_PACKETS || line.bytes.saturating_add(packet.data.len()) > HELD_BYTES;
        if packet.pts < floor || line.packets.back().is_some_and(|last| packet.dts <= last.dts) || is_full {
            return;
        }
        line.bytes += packet.data.len();
        line.packets.push_back(packet);
    }

    /// The open segment, if every rung has it, or if the ones that lack it are a segment later than the first one that had it.
    ///
    /// `now` is the programme's clock. How far rungs are apart in media time says nothing: a worker that catches up makes
    /// seconds of a small rung while it makes one picture of a large one.
    pub fn take(&mut self, now: MediaTime) -> Option<Committed> {
        let end = self.grid.start(self.grid.segment_start(self.open + 1));
        let left_out = self.left_out(end);
        let missing: Vec<usize> = (0..self.lines.len()).filter(|rung| !left_out.contains(rung) && !self.reaches(*rung, end)).collect();
        let has_picture = (0..self.videos).any(|rung| !missing.contains(&rung) && !left_out.contains(&rung));
        if missing.len() + left_out.len() == self.lines.len() || (self.videos > 0 && !has_picture) {
            // Sound alone is no reason to give pictures up: a worker that catches up has it first.
            return None;
        }
        let first_had_it = *self.first_had_it.get_or_insert(now);
        if !missing.is_empty() && end > self.final_to && now - first_had_it <= self.grid.segment_duration() {
            return None;
        }
        Some(self.close(end, missing, left_out))
    }

    /// The packager refused the segment that was just taken: its number is free again, and a hole precedes the next one.
    pub fn refused(&mut self) {
        self.number_base -= 1;
        self.discontinuity = true;
    }

    /// What is left at the end of a file, up to `end`.
    pub fn finish(&mut self, end: MediaTime) -> Option<Committed> {
        let holds_video = self.lines.iter().take(self.videos.max(1)).any(|line| !line.packets.is_empty());
        (holds_video && end > self.published_to()).then(|| {
            let left_out = self.left_out(end);
            self.close(end, Vec::new(), left_out)
        })
    }

    fn reaches(&self, rung: usize, end: MediaTime) -> bool {
        self.lines[rung].packets.back().is_some_and(|last| last.dts + last.duration >= end)
    }

    /// Video rungs of which nothing is made in the open segment, by plan.
    fn left_out(&self, end: MediaTime) -> Vec<usize> {
        let start = self.published_to();
        (0..self.videos).filter(|rung| self.lines.get(*rung).is_some_and(|line| line.is_left_out(start, end))).collect()
    }

    fn close(&mut self, end: MediaTime, missing: Vec<usize>, left_out: Vec<usize>) -> Committed {
        let start = self.published_to();
        let packets = self.lines.iter_mut().enumerate().map(|(rung, line)| {
            let count = line.packets.iter().take_while(|packet| packet.pts.min(packet.dts) < end).count();
            let taken: Vec<Packet> = line.packets.drain(..count).collect();
            line.bytes -= taken.iter().map(|packet| packet.data.len()).sum::<usize>();
            line.forget(end);
            (!missing.contains(&rung) && !left_out.contains(&rung) && !taken.is_empty()).then_some(taken)
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
        Committed { set, missing, left_out }
    }
}

#[cfg(test)]
mod tests;
