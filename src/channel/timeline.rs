//! From a source's clocks to the one output timeline of a channel.
//!
//! Packagers and encoders never see a source timestamp. One offset per splice maps all tracks of a feed, so lip-sync
//! is the source's. A clock that wraps, jumps or starts over is bridged per track; when both tracks jump together they
//! keep one offset. A feed that falls behind the programme for good is spliced anew at its next entry.

use crate::base::{MediaTime, Ticks};
use crate::channel::drift::Drift;
use crate::channel::feed::SourceUnit;
use crate::media::Grid;

/// A step between neighbours of one track that is longer than this is looked at as a possible jump of the clock.
const STEP_LIMIT: Ticks = Ticks::from_millis(1_000);
/// A unit that would come out this far ahead of the programme cannot be a late arrival: its clock has jumped.
const LEAD_LIMIT: Ticks = Ticks::from_millis(3_000);
/// A new splice begins at most this far ahead, whatever was placed before it: publishers that come and go in bursts, each ahead of its
/// time, must not push the programme further and further into the future.
const ANCHOR_LIMIT: Ticks = Ticks::from_millis(250);
/// A feed that is this far behind the programme is spliced anew at its next entry.
const LAG_LIMIT: Ticks = Ticks::from_millis(2_500);
/// Two jumps of different tracks within this distance are the same event and share one offset.
const SAME_EVENT: Ticks = Ticks::from_millis(5_000);
/// A shared offset may leave a seam of at most this in the second track.
const SEAM_LIMIT: Ticks = Ticks::from_millis(500);
/// No encoder reorders further than this; a larger composition offset is damage.
const OFFSET_LIMIT: Ticks = Ticks::from_millis(5_000);
/// The step that is assumed over a jump before any step was seen.
const FIRST_STEP: Ticks = Ticks::from_millis(20);

/// What became of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// It has its place on the output timeline.
    At {
        /// When it is shown or heard.
        pts: MediaTime,
        /// When it is decoded; strictly increasing per track.
        dts: MediaTime,
    },
    /// It comes before the splice's first entry and cannot be used.
    BeforeEntry,
}

/// A bend in the source's clock, for the `kind` label and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bend {
    /// The clock went back or forth and was bridged.
    Jump,
    /// A hole in the media: the clock and the arrival agree that time passed.
    Gap,
    /// The feed was too far behind the programme and was placed anew.
    Resplice,
    /// Decode times stood still or went back a little.
    Disorder,
}

impl Bend {
    /// The value of the `kind` label.
    pub fn label(self) -> &'static str {
        match self {
            Bend::Jump => "jump",
            Bend::Gap => "gap",
            Bend::Resplice => "resplice",
            Bend::Disorder => "disorder",
        }
    }
}

#[derive(Clone, Debug, Default)]
struct TrackClock {
    /// Decode time as the source last wrote it.
    raw: Option<Ticks>,
    /// The same without wraps.
    unwrapped: Ticks,
    /// Output minus unwrapped; differs between tracks only after jumps of one of them.
    offset: Ticks,
    /// The last plausible step between neighbours.
    step: Option<Ticks>,
    /// Output decode time of the last unit.
    out: Option<MediaTime>,
    /// When and by how much this track's offset last moved.
    jumped: Option<(MediaTime, Ticks)>,
}

/// The timeline of one channel. Time is an argument: `now` is the programme's clock.
#[derive(Clone, Debug)]
pub struct Timeline {
    grid: Grid,
    wrap: Ticks,
    has_video: bool,
    anchored: bool,
    tracks: Vec<TrackClock>,
    floor: MediaTime,
    /// Nothing is placed before this: it is published already.
    published: MediaTime,
    drift: Drift,
    bends: Vec<(u8, Bend)>,
}

impl Timeline {
    /// Splices begin on the slots of this grid from now on.
    pub fn set_grid(&mut self, grid: Grid) {
        self.grid = grid;
    }

    /// A timeline on `grid` that nothing is spliced into yet.
    pub fn new(grid: Grid) -> Timeline {
        Timeline {
            grid,
            wrap: Ticks::ZERO,
            has_video: false,
            anchored: false,
            tracks: Vec::new(),
            floor: MediaTime(i64::MIN),
            published: MediaTime(i64::MIN),
            drift: Drift::default(),
            bends: Vec::new(),
        }
    }

    /// Begins a splice: a feed with `tracks` tracks, whose clock starts over after `wrap`. The next entry anchors it.
    pub fn splice(&mut self, tracks: usize, has_video: bool, wrap: Ticks) {
        self.tracks = vec![TrackClock::default(); tracks];
        self.wrap = wrap;
        self.has_video = has_video;
        self.anchored = false;
        self.drift = Drift::default();
    }

    /// As [`Timeline::splice`], with a feed that was kept ready: its units are placed by their arrival even where the feed before
    /// has been placed already. The worker shows each instant once, so what is late is decoded and not shown.
    pub fn splice_warm(&mut self, tracks: usize, has_video: bool, wrap: Ticks) {
        self.splice(tracks, has_video, wrap);
        self.floor = MediaTime(i64::MIN);
    }

    /// The same feed from here on has `tracks` tracks: what was known of their clocks no longer applies.
    pub fn resplice_tracks(&mut self, tracks: usize, has_video: bool) {
        self.splice(tracks, has_video, self.wrap);
    }

    /// Whether the feed has this many tracks.
    pub fn has_tracks(&self, tracks: usize) -> bool {
        self.tracks.len() == tracks
    }

    /// The feed is gone: what it was ahead no longer holds anybody up.
    pub fn forget_feed(&mut self) {
        self.splice(0, false, self.wrap);
    }

    /// Nothing that is spliced in later may begin before `end`: what lies there is published already.
    pub fn not_before(&mut self, end: MediaTime) {
        self.published = self.published.max(end);
    }

    /// Bends since the last call, with their tracks.
    pub fn take_bends(&mut self) -> Vec<(u8, Bend)> {
        std::mem::take(&mut self.bends)
    }

    /// Maps one unit that arrived when the programme's clock stood at `now`.
    pub fn map(&mut self, unit: &SourceUnit, is_video: bool, now: MediaTime) -> Mapped {
        let index = usize::from(unit.track);
        let Some(track) = self.tracks.get_mut(index) else { return Mapped::BeforeEntry };
        let mut unit = unit.clone();
        if unit.offset.abs() > OFFSET_LIMIT {
            self.bends.push((unit.track, Bend::Disorder));
            unit.offset = Ticks::ZERO;
        }
        let unit = &unit;
        let step = track.unwrap(unit.dts, self.wrap);
        if !self.anchored {
            if !unit.entry || is_video != self.has_video {
                return Mapped::BeforeEntry;
            }
            self.anchor(index, unit, now);
        } else {
            self.bridge(index, step, now);
            if is_video == self.has_video && unit.entry && self.is_lagging(index, unit, now) {
                self.bends.push((unit.track, Bend::Resplice));
                self.resplice(index, unit, now);
            }
        }
        if is_video == self.has_video {
            let track = &self.tracks[index];
            self.drift.observe(MediaTime((track.unwrapped + track.offset).0), now);
        }
        self.place(index, unit)
    }

    /// How much the source's clock is stretched at present, in parts in a million.
    pub fn stretch_ppm(&self) -> i32 {
        self.drift.ppm()
    }

    /// How far ahead of `now` the newest unit lies; negative when the feed is behind.
    pub fn lead(&self, now: MediaTime) -> Option<Ticks> {
        self.tracks.iter().filter_map(|track| track.out).max().map(|newest| newest - now)
    }

    /// Puts the unit's `pts` on the first slot from `now` on that is after what was published, and after what was mapped before unless
    /// that is far ahead; all tracks alike.
    fn anchor(&mut self, index: usize, unit: &SourceUnit, now: MediaTime) {
        let after_the_last = self.floor.min(now + ANCHOR_LIMIT).max(self.published.min(now + LEAD_LIMIT)).max(now);
        let pts = self.grid.start(self.grid.first_from(after_the_last));
        let offset = pts - MediaTime((self.tracks[index].unwrapped + unit.offset).0);
        let reference = self.tracks[index].unwrapped;
        let wrap = self.wrap;
        for track in &mut self.tracks {
            // What came before the entry may lie on the other side of a wrap.
            track.unwrapped = match track.raw {
                Some(raw) if wrap.0 > 0 => reference + nearest_step(raw, Ticks(reference.0.rem_euclid(wrap.0)), wrap),
                Some(_) => track.unwrapped,
                None => reference,
            };
            track.offset = offset;
            track.jumped = None;
        }
        self.anchored = true;
    }

    /// Moves every track by the distance that brings this entry to `now`; offsets that jumps have set apart stay apart.
    fn resplice(&mut self, index: usize, unit: &SourceUnit, now: MediaTime) {
        let late = self.stretched(index) + unit.offset;
        let moved = self.grid.start(self.grid.first_from(self.floor.max(now))) - late;
        for track in &mut self.tracks {
            track.offset += moved;
        }
        self.drift.moved(moved);
    }

    /// Where the newest unit of a track comes out.
    fn stretched(&self, index: usize) -> MediaTime {
        let track = &self.tracks[index];
        let time = MediaTime((track.unwrapped + track.offset).0);
        time + self.drift.shift(time)
    }

    fn is_lagging(&self, index: usize, unit: &SourceUnit, now: MediaTime) -> bool {
        now - (self.stretched(index) + unit.offset) > LAG_LIMIT
    }

    /// Decides whether a long step is a hole or a jump of the clock, and bridges the jump.
    fn bridge(&mut self, index: usize, step: Option<Ticks>, now: MediaTime) {
        let track = &self.tracks[index];
        let Some(step) = step else {
            // The first unit of a track whose clock has nothing to do with that of the track that anchored the splice.
            let lead = self.stretched(index) - now;
            if lead.abs() > LEAD_LIMIT {
                self.tracks[index].offset += -lead;
                self.bends.push((index as u8, Bend::Jump));
            }
            return;
        };
        if step >= Ticks::ZERO && step <= STEP_LIMIT {
            self.tracks[index].step = Some(step);
            return;
        }
        let lead = self.stretched(index) - now;
        let small_disorder = step < Ticks::ZERO && -step <= STEP_LIMIT;
        if small_disorder {
            return;
        }
        if step > Ticks::ZERO && lead <= LEAD_LIMIT {
            self.bends.push((index as u8, Bend::Gap));
            return;
        }
        let usual = track.step.unwrap_or(FIRST_STEP);
        let own = usual - step;
        let shared = self.tracks.iter().enumerate().filter(|(other, _)| *other != index).find_map(|(_, other)| {
            let (when, moved) = other.jumped?;
            let same_event = (now - when).abs() <= SAME_EVENT && (moved - own).abs() <= SEAM_LIMIT;
            (same_event && other.offset - track.offset == moved).then_some(moved)
        });
        let moved = shared.unwrap_or(own);
        let track = &mut self.tracks[index];
        track.offset += moved;
        track.jumped = Some((now, moved));
        self.bends.push((index as u8, Bend::Jump));
    }

    /// The output times of a unit; decode times of a track strictly increase.
    fn place(&mut self, index: usize, unit: &SourceUnit) -> Mapped {
        let mut dts = self.stretched(index);
        let track = &mut self.tracks[index];
        let pts = dts + unit.offset;
        if let Some(last) = track.out.filter(|last| dts <= *last) {
            self.bends.push((unit.track, Bend::Disorder));
            dts = last + Ticks(1);
        }
        track.out = Some(dts);
        let pts = pts.max(dts);
        self.floor = self.floor.max(pts);
        Mapped::At { pts, dts }
    }
}

impl TrackClock {
    /// Takes the next raw time in; the step from the one before, without wraps.
    fn unwrap(&mut self, raw: Ticks, wrap: Ticks) -> Option<Ticks> {
        let Some(last) = self.raw.replace(raw) else {
            if self.unwrapped == Ticks::ZERO || wrap.0 <= 0 {
                self.unwrapped = raw;
            } else {
                self.unwrapped += nearest_step(raw, Ticks(self.unwrapped.0.rem_euclid(wrap.0)), wrap);
            }
            return None;
        };
        let step = nearest_step(raw, last, wrap);
        self.unwrapped += step;
        Some(step)
    }
}

/// The shortest way from `last` to `raw` on a clock that starts over after `wrap` (never, if that is zero).
fn nearest_step(raw: Ticks, last: Ticks, wrap: Ticks) -> Ticks {
    let step = raw.0.saturating_sub(last.0);
    if wrap.0 <= 0 {
        return Ticks(step);
    }
    let wrapped = step.rem_euclid(wrap.0);
    Ticks(if wrapped > wrap.0 / 2 { wrapped - wrap.0 } else { wrapped })
}

#[cfg(test)]
mod tests;
