//! One encoded channel as a state machine without IO: feed events, worker messages and time go in; messages for the
//! worker, files for the shelf and requests to start or end a worker come out.

use std::time::Duration;

use crate::base::metrics::metrics;
use crate::base::{Fault, MediaTime, Mono, Rate, Ticks};
use crate::channel::air::OnAir;
use crate::channel::clock::ProgrammeClock;
use crate::channel::feed::{FeedEvent, SourceUnit};
use crate::channel::plan::{ChannelPlan, Idle, LadderPlan};
use crate::channel::quarantine::Quarantine;
use crate::channel::sequence::Sequence;
use crate::channel::source;
use crate::channel::status::{ChannelStatus, State};
use crate::channel::supervisor::{Due, Supervisor};
use crate::media::{Grid, Rung, Slot, Track};
use crate::pack::Change;
use crate::placement;
use crate::wire::link::Fill;

pub use workers::Immovable;

mod workers;

/// How far the made programme trails the clock: the jitter that a feed may have before its last picture is held.
pub const SLACK: Ticks = Ticks::from_millis(1_000);
/// A feed is not read while it is further ahead of the clock than this; a publisher that is faster than real time waits.
const LEAD: Ticks = Ticks::from_millis(1_000);
/// The grid of a channel that begins with the pattern and names no rate.
const PATTERN_RATE: Rate = Rate::new(25, 1);
/// Units that wait for the worker before the feed is no longer read.
const UNSENT_UNITS: usize = 512;

/// What the programme asks of its driver.
#[derive(Debug)]
pub enum Action {
    /// Start a worker under this number; it is asked for messages by [`Programme::next_message`].
    StartWorker(u64),
    /// End this worker.
    EndWorker(u64),
    /// This worker drains: it is told no more, but still heard, until [`Action::EndWorker`]. The next one is started after it.
    SetAside(u64),
    /// Hand these to the shelf.
    Apply(Vec<Change>),
    /// Keep this for the next start.
    Remember(Sequence),
}

/// Who publishes.
#[derive(Clone, Debug)]
pub struct FeedInfo {
    /// The feed's name in metrics.
    pub name: String,
    /// Its address.
    pub peer: String,
    /// After this span its clock starts over.
    pub wrap: Ticks,
}

#[derive(Debug)]
struct Feed {
    info: FeedInfo,
    tracks: Vec<Track>,
    /// Units that wait until the grid is known, with their arrival.
    held: Vec<(SourceUnit, MediaTime)>,
    last_unit: Option<Mono>,
    spliced: bool,
}

/// The state machine.
#[derive(Debug)]
pub struct Programme {
    plan: ChannelPlan,
    clock: ProgrammeClock,
    cores: usize,
    sequence: Option<Sequence>,
    air: Option<OnAir>,
    feed: Option<Feed>,
    was_live: bool,
    supervisor: Supervisor,
    quarantine: Quarantine,
    /// Name of the feed whose media was spliced in last: it answers for workers that die of their input.
    spliced: String,
    actions: Vec<Action>,
}

impl Programme {
    /// A channel that is about to start, on a machine with `cores` cores. `sequence` is what its last life remembered.
    pub fn new(plan: ChannelPlan, clock: ProgrammeClock, cores: usize, sequence: Option<Sequence>) -> Programme {
        Programme {
            plan,
            clock,
            cores,
            sequence,
            air: None,
            feed: None,
            was_live: false,
            supervisor: Supervisor::default(),
            quarantine: Quarantine::default(),
            spliced: String::new(),
            actions: Vec::new(),
        }
    }

    /// Puts the pattern on the air where the plan says so.
    ///
    /// It begins a whole segment in the past, so that viewers need not wait for the first one.
    pub fn start(&mut self, now: Mono) {
        if self.plan.idle == Idle::Pattern {
            let grid = self.grid(self.plan.rate.unwrap_or(PATTERN_RATE));
            let newest = grid.segment_of(grid.slot_at(self.clock.at(now) - SLACK));
            let rungs = self.rungs(None, grid.rate);
            self.go_on_air(grid, rungs, grid.segment_start(newest - 1));
            self.tick(now);
        }
    }

    /// A publisher was admitted. Whoever was before is gone.
    pub fn feed_opened(&mut self, info: FeedInfo, now: Mono) {
        self.feed_closed(now);
        tracing::info!(channel = self.plan.name, feed = info.name, peer = info.peer, "publisher connected");
        self.feed = Some(Feed { info, tracks: Vec::new(), held: Vec::new(), last_unit: None, spliced: false });
    }

    /// Something came from the publisher.
    pub fn feed_event(&mut self, event: FeedEvent, now: Mono) {
        let Some(feed) = &mut self.feed else { return };
        match event {
            FeedEvent::Tracks(tracks) => {
                tracing::info!(channel = self.plan.name, peer = feed.info.peer, source = source::description(&tracks), "source described");
                feed.tracks = tracks;
                self.tracks_changed();
            }
            FeedEvent::Unit(unit) => self.feed_unit(unit, now),
        }
    }

    /// The publisher is gone.
    pub fn feed_closed(&mut self, _now: Mono) {
        let Some(feed) = self.feed.take() else { return };
        tracing::info!(channel = self.plan.name, feed = feed.info.name, peer = feed.info.peer, "publisher gone");
        if feed.spliced
            && let Some(air) = &mut self.air
        {
            air.end_input();
        }
    }

    /// Time passes: starts, watches and feeds the worker. To be called about every 40 ms.
    pub fn tick(&mut self, now: Mono) {
        let media_now = self.clock.at(now);
        self.release_feeds(now);
        let Some(air) = &mut self.air else { return };
        air.advance(media_now - SLACK, media_now);
        if air.has_backlog() {
            self.supervisor.has_work();
        }
        match self.supervisor.look(now) {
            Due::Nothing => {}
            Due::Start => self.start_worker(),
            Due::Replace(why) => {
                tracing::warn!(
                    channel = self.plan.name,
                    worker = self.supervisor.id(),
                    cause = why,
                    "worker is stuck; it is ended and replaced"
                );
                self.replace_worker(Fault::SessionLost, now);
            }
        }
    }

    /// Whether the feed may be read now; else its socket fills up and its publisher waits.
    pub fn wants_feed(&self, now: Mono) -> bool {
        let media_now = self.clock.at(now);
        self.air.as_ref().is_none_or(|air| air.lead(media_now).is_none_or(|lead| lead < LEAD) && air.unsent() < UNSENT_UNITS)
    }

    /// What the driver is to do.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// What the channel tells about itself.
    pub fn status(&self, now: Mono) -> ChannelStatus {
        let state = self.state(now);
        let on_air = match (state, self.plan.idle, self.air.is_some()) {
            (State::Live, ..) => self.feed.as_ref().map_or("publisher", |feed| feed.info.name.as_str()),
            (_, Idle::Pattern, true) => "pattern",
            (_, Idle::Wait, true) => "slate",
            (_, _, false) => "none",
        };
        let publisher = self.feed.as_ref();
        let mut formats = Vec::new();
        formats.extend(self.plan.formats.cmaf.then(|| "cmaf".to_owned()));
        formats.extend(self.plan.formats.ts.then(|| "ts".to_owned()));
        ChannelStatus {
            name: self.plan.name.clone(),
            state,
            feed: on_air.to_owned(),
            peer: publisher.map(|feed| feed.info.peer.clone()),
            source: publisher.filter(|feed| !feed.tracks.is_empty()).map(|feed| source::description(&feed.tracks)),
            rate: self.air.as_ref().map(|air| air.grid().rate.to_string()),
            rungs: self.air.as_ref().map(OnAir::rung_statuses).unwrap_or_default(),
            formats,
            newest_segment: self.air.as_ref().and_then(OnAir::newest_segment),
            worker_restarts: self.supervisor.restarts(),
            quarantined: self.quarantine.barred(),
        }
    }

    /// When the newest listed segment ends, for its age and for readiness.
    pub fn listed_to(&self) -> Option<MediaTime> {
        self.air.as_ref().and_then(OnAir::listed_to)
    }

    fn state(&self, now: Mono) -> State {
        let patience = Duration::from(self.plan.hold) + Duration::from(SLACK);
        let is_live = |feed: &Feed| feed.spliced && feed.last_unit.is_some_and(|last| now.since(last) < patience);
        match (self.feed.as_ref().is_some_and(is_live), self.was_live) {
            (true, _) => State::Live,
            (false, true) => State::Slate,
            (false, false) => State::Waiting,
        }
    }

    fn tracks_changed(&mut self) {
        let Some((feed, air)) = self.feed.as_mut().zip(self.air.as_mut()) else { return };
        if self.quarantine.is_barred(&feed.info.name) {
            return;
        }
        if feed.spliced {
            air.change_tracks(&feed.tracks);
        } else {
            air.splice(&feed.tracks, feed.info.wrap);
            feed.spliced = true;
            self.spliced.clone_from(&feed.info.name);
        }
    }

    fn feed_unit(&mut self, unit: SourceUnit, now: Mono) {
        let arrival = self.clock.at(now);
        let Some(feed) = &mut self.feed else { return };
        if self.quarantine.is_barred(&feed.info.name) {
            metrics().frames_dropped.with_label_values(&[&*self.plan.name, "quarantined"]).inc();
            return;
        }
        feed.last_unit = Some(now);
        if self.air.is_none() {
            feed.held.push((unit, arrival));
            self.try_to_go_on_air();
            return;
        }
        self.was_live = true;
        self.place(unit, arrival);
    }

    fn place(&mut self, unit: SourceUnit, arrival: MediaTime) {
        let Some((feed, air)) = self.feed.as_ref().filter(|feed| feed.spliced).zip(self.air.as_mut()) else { return };
        air.feed_unit(&unit, &feed.tracks, arrival);
        for (track, bend) in air.take_bends() {
            metrics().ingest_gaps.with_label_values(&[&*self.plan.name, &*feed.info.name, bend.label()]).inc();
            tracing::debug!(
                channel = self.plan.name,
                peer = feed.info.peer,
                track,
                kind = bend.label(),
                "the source's clock is not straight"
            );
        }
    }

    /// The first source decides the grid and, with `auto`, the ladder.
    fn try_to_go_on_air(&mut self) {
        let Some(feed) = &mut self.feed else { return };
        let units: Vec<SourceUnit> = feed.held.iter().map(|(unit, _)| unit.clone()).collect();
        let Some(rate) = self.plan.rate.or_else(|| source::grid_rate(&feed.tracks, &units)) else { return };
        let has_video = feed.tracks.iter().any(|track| track.video().is_some());
        let is_anchor = |unit: &SourceUnit| {
            unit.entry && (!has_video || feed.tracks.get(usize::from(unit.track)).is_some_and(|track| track.video().is_some()))
        };
        let Some(arrival) = feed.held.iter().find(|(unit, _)| is_anchor(unit)).map(|(_, arrival)| *arrival) else {
            feed.held.clear();
            return;
        };
        let tracks = feed.tracks.clone();
        let held = std::mem::take(&mut feed.held);
        let grid = self.grid(rate);
        let rungs = self.rungs(tracks.iter().find_map(Track::video).map(|video| (video.width, video.height)), rate);
        self.go_on_air(grid, rungs, grid.first_from(arrival));
        self.tracks_changed();
        self.was_live = true;
        for (unit, arrival) in held {
            self.place(unit, arrival);
        }
    }

    fn grid(&self, rate: Rate) -> Grid {
        Grid::fitted(rate, self.plan.gop, self.plan.segment)
    }

    fn rungs(&self, source: Option<(u32, u32)>, rate: Rate) -> Vec<Rung> {
        match &self.plan.ladder {
            LadderPlan::Rungs(rungs) => rungs.clone(),
            LadderPlan::Copy => Vec::new(),
            LadderPlan::Auto => {
                let (width, height) = source.filter(|(width, height)| *width > 0 && *height > 0).unwrap_or((1280, 720));
                let (rungs, left_out) = placement::auto(width, height, rate, self.cores);
                for left_out in &left_out {
                    tracing::warn!(channel = self.plan.name, rung = left_out.rung.name, "{left_out}");
                }
                rungs
            }
        }
    }

    fn go_on_air(&mut self, grid: Grid, rungs: Vec<Rung>, start: Slot) {
        let fill = match self.plan.idle {
            Idle::Pattern => Fill::Pattern,
            Idle::Wait => Fill::Slate,
        };
        // A clock that was set back since must not keep the channel off the air until it has caught up: numbers go on, times do not.
        let soon = grid.start(start) + grid.segment_duration() + grid.segment_duration();
        let floor = self.sequence.filter(|last| last.end <= soon).map(|last| grid.first_from(last.end));
        let start = floor.map_or(start, |floor| start.max(floor));
        let names: Vec<&str> = rungs.iter().map(|rung| rung.name.as_str()).collect();
        tracing::info!(channel = self.plan.name, rate = %grid.rate, rungs = names.join(" "), "on the air");
        self.air = Some(OnAir::new(&self.plan, grid, rungs, fill, start, self.sequence));
    }
}

#[cfg(test)]
mod tests;
