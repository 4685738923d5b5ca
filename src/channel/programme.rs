//! One encoded channel as a state machine without IO: feed events, worker messages and time go in; messages for the
//! worker, files for the shelf and requests to start or end a worker come out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::events::{self, EventKind};
use crate::base::metrics::metrics;
use crate::base::{MediaTime, Mono, Rate, Ticks};
use crate::channel::air::{Look, OnAir};
use crate::channel::clock::ProgrammeClock;
use crate::channel::feed::{FeedEvent, SourceUnit};
use crate::channel::feeds::{FeedInfo, Feeds};
use crate::channel::monitor::Monitor;
use crate::channel::plan::{ChannelPlan, Idle, LadderPlan};
use crate::channel::quarantine::Quarantine;
use crate::channel::recorder::{Note, Recorder, text};
use crate::channel::seats::{Cutting, Lease, SeatDesk};
use crate::channel::sequence::Sequence;
use crate::channel::source;
use crate::channel::status::{ChannelStatus, State};
use crate::channel::supervisor::{Due, Supervisor};
use crate::media::{Grid, Rung, Slot, Track};
use crate::pack::Change;
use crate::placement;
use crate::placement::devices::SourceShape;

use overload::Overload;
use seating::{Loss, Seating};

use changing::PlanChange;
pub use changing::Remains;
pub use seating::MoveTo;
pub use workers::Immovable;

mod changing;
mod overload;
mod relief;
mod seating;
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
    /// Start a worker under this number in this seat; it is asked for messages by [`Programme::next_message`].
    StartWorker(u64, Arc<Lease>),
    /// End this worker.
    EndWorker(u64),
    /// This worker drains: it is told no more, but still heard, until [`Action::EndWorker`]. The next one is started after it.
    SetAside(u64),
    /// Hand these to the shelf.
    Apply(Vec<Change>),
    /// Keep this for the next start.
    Remember(Sequence),
    /// Show this small picture of the input on the page.
    Thumbnail(Bytes),
    /// These files belong to what the channel was before; to be removed when playlists that named them, this long, have passed.
    Retire(Vec<String>, Ticks),
}

/// The state machine.
#[derive(Debug)]
pub struct Programme {
    plan: ChannelPlan,
    clock: ProgrammeClock,
    cores: usize,
    sequence: Option<Sequence>,
    air: Option<OnAir>,
    /// What is given up while the machine cannot carry the ladder that is on the air.
    overload: Option<Overload>,
    feeds: Feeds,
    was_live: bool,
    supervisor: Supervisor,
    seating: Seating,
    quarantine: Quarantine,
    /// Name of the feed whose media was spliced in last: it answers for workers that die of their input.
    spliced: String,
    /// What is left to be done for the plan's sake.
    change: Option<PlanChange>,
    /// The next worker begins with the ladder that waits.
    joins_in_place: bool,
    /// Leave for the planned change of workers under way.
    cutting: Option<Cutting>,
    /// How many discontinuities there were before.
    discontinuities: u64,
    actions: Vec<Action>,
    recorder: Recorder,
}

impl Programme {
    /// A channel that is about to start, on a machine with `cores` cores and the devices of `seats`. `sequence` is what its last life
    /// remembered.
    pub fn new(plan: ChannelPlan, clock: ProgrammeClock, cores: usize, seats: SeatDesk, sequence: Option<Sequence>) -> Programme {
        Programme {
            seating: Seating::new(seats, &plan),
            feeds: Feeds::new(plan.feeds.len(), plan.failover),
            plan,
            clock,
            cores,
            sequence,
            air: None,
            overload: None,
            was_live: false,
            supervisor: Supervisor::default(),
            quarantine: Quarantine::default(),
            spliced: String::new(),
            change: None,
            joins_in_place: false,
            cutting: None,
            discontinuities: 0,
            actions: Vec::new(),
            recorder: Recorder::default(),
        }
    }

    /// The channel's flight recorder.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
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
        } else if let Some(cause) = self.no_seat_foreseen() {
            tracing::warn!(
                channel = self.plan.name,
                cause,
                "this machine has no seat for this channel now: it will wait for one when its publisher comes"
            );
        }
    }

    /// Why no seat could be given now, in words, where that is known before a publisher comes.
    fn no_seat_foreseen(&self) -> Option<String> {
        match &self.plan.ladder {
            LadderPlan::Rungs(rungs) => self.seating.foreseen(rungs),
            LadderPlan::Auto => self.seating.foreseen(&placement::ladder("standard").unwrap_or_default()),
            LadderPlan::Copy => None,
        }
    }

    /// A feed's source was admitted. Whoever was in its place before is gone.
    pub fn feed_opened(&mut self, info: FeedInfo, now: Mono) {
        self.feed_closed(info.index, now);
        tracing::info!(channel = self.plan.name, feed = info.name, peer = info.peer, "publisher connected");
        self.recorder.feed_note(&info.name, Note::FeedOpened, now);
        let monitor = Monitor::new(&self.plan.name, &info.name, now);
        self.feeds.open(info, monitor);
    }

    /// Something came from feed `index`.
    pub fn feed_event(&mut self, index: usize, event: FeedEvent, now: Mono) {
        let Some(feed) = self.feeds.feed_mut(index) else { return };
        feed.monitor.event(&event, now);
        match event {
            FeedEvent::Tracks(tracks) => self.tracks(index, tracks, now),
            FeedEvent::Unit(unit) => self.feed_unit(index, unit, now),
        }
    }

    /// The source of feed `index` is gone.
    pub fn feed_closed(&mut self, index: usize, now: Mono) {
        let Some((feed, was_active)) = self.feeds.close(index) else { return };
        self.recorder.feed_note(&feed.info.name, Note::FeedClosed, now);
        tracing::info!(channel = self.plan.name, feed = feed.info.name, peer = feed.info.peer, "publisher gone");
        if let Some(air) = self.air.as_mut().filter(|_| was_active) {
            air.end_input();
            self.switch(now);
        }
    }

    /// Puts this feed on the air as long as it delivers; `None` leaves the choice to the policy again.
    pub fn ask_feed(&mut self, index: Option<usize>, now: Mono) {
        self.feeds.policy().ask(index);
        self.switch(now);
    }

    /// Time passes: starts, watches and feeds the worker. To be called about every 40 ms.
    pub fn tick(&mut self, now: Mono) {
        let media_now = self.clock.at(now);
        self.release_feeds(now);
        self.seating.tick(now);
        let Some(air) = &mut self.air else { return };
        air.advance(media_now - SLACK, media_now);
        if air.has_backlog() {
            self.supervisor.has_work();
        }
        if self.feeds.active().is_some() {
            let look = air.look();
            self.feeds.policy().picture(look.is_faulty(), now);
        }
        self.switch(now);
        match self.supervisor.look(now) {
            Due::Nothing => {}
            Due::Start => self.start_worker(now),
            Due::Replace(whose, why) => {
                tracing::warn!(
                    channel = self.plan.name,
                    worker = self.supervisor.id(),
                    cause = why,
                    "worker is stuck; it is ended and replaced"
                );
                self.replace_worker(whose, &Loss::Stuck(why), now);
            }
        }
        self.relieve(now);
        // Asked only now: the worker that was just put in another seat is not the one that was on the condemned device.
        match self.seating.condemned() {
            Some(whose) => self.leave_condemned(whose, now),
            None => self.return_to_device(now),
        }
        if let Some((whose, by)) = self.seating.pushed_out() {
            self.give_way(whose, by, now);
        }
        self.hand_over_when_clear();
        self.make_due_change(now);
    }

    /// Whether feed `index` may be read now; else its socket fills up and its publisher waits.
    pub fn wants_feed(&self, index: usize, now: Mono) -> bool {
        if self.feeds.active_index() != Some(index) {
            return true;
        }
        let media_now = self.clock.at(now);
        // A channel that waits for a seat keeps the newest input only: a publisher that is held up looks broken, and breaks.
        let has_room = |air: &OnAir| self.seating.is_waiting() || air.unsent() < UNSENT_UNITS;
        self.air.as_ref().is_none_or(|air| air.lead(media_now).is_none_or(|lead| lead < LEAD) && has_room(air))
    }

    /// What the driver is to do.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// What the channel tells about itself.
    pub fn status(&self, now: Mono) -> ChannelStatus {
        let state = self.state(now);
        let on_air = match (state, self.plan.idle, self.air.is_some() && !self.seating.is_waiting()) {
            (State::Live, ..) => self.feeds.active().map_or("publisher", |feed| feed.info.name.as_str()),
            (_, Idle::Pattern, true) if self.plan.slate.file.is_none() => "pattern",
            (_, _, true) => "slate",
            (_, _, false) => "none",
        };
        let publisher = self.feeds.present();
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
            seat: self.seating.name().map(str::to_owned),
            fallback: self.seating.fallback().map(str::to_owned),
            overload: self.overload_status(),
            latency: self.latency_status(now),
            quarantined: self.quarantine.barred(),
            look: self.look().words(),
            feeds: self.feeds.all().map(|feed| feed.monitor.report(now)).collect(),
        }
    }

    /// When the newest listed segment ends, for its age and for readiness.
    pub fn listed_to(&self) -> Option<MediaTime> {
        self.air.as_ref().and_then(OnAir::listed_to)
    }

    /// Only an input can look wrong: without one the slate is what it should be.
    fn look(&self) -> Look {
        self.air.as_ref().filter(|_| self.feeds.active().is_some()).map(OnAir::look).unwrap_or_default()
    }

    fn state(&self, now: Mono) -> State {
        if self.seating.is_waiting() {
            return State::Waiting;
        }
        let quiet = self.feeds.active().and_then(|feed| feed.last_unit).map(|last| now.since(last));
        let (slack, hold) = (Duration::from(SLACK), Duration::from(self.plan.hold));
        match quiet {
            Some(quiet) if quiet < slack => State::Live,
            Some(quiet) if quiet < slack + hold => State::Holding,
            _ if self.was_live => State::Slate,
            _ => State::Waiting,
        }
    }

    fn tracks(&mut self, index: usize, tracks: Vec<Track>, now: Mono) {
        let is_active = self.feeds.active_index() == Some(index);
        let Some(feed) = self.feeds.feed_mut(index) else { return };
        let source = source::description(&tracks);
        self.recorder.feed_note(&feed.info.name, Note::Source(text(&source)), now);
        tracing::info!(channel = self.plan.name, feed = feed.info.name, peer = feed.info.peer, source, "source described");
        feed.tracks = tracks;
        // What waits was described otherwise.
        feed.take_kept();
        if let Some(air) = self.air.as_mut().filter(|_| is_active) {
            air.change_tracks(&feed.tracks);
        }
    }

    fn feed_unit(&mut self, index: usize, unit: SourceUnit, now: Mono) {
        let arrival = self.clock.at(now);
        let barred = self.feeds.feed(index).is_some_and(|feed| self.quarantine.is_barred(&feed.info.name));
        if barred {
            metrics().frames_dropped.with_label_values(&[&*self.plan.name, "quarantined"]).inc();
        }
        if let Some(unit) = self.feeds.unit(index, unit, arrival, self.air.is_some(), now) {
            self.place(index, unit, arrival, now);
        } else if self.air.is_some() {
            self.switch(now);
        } else {
            self.try_to_go_on_air(now);
        }
    }

    fn place(&mut self, index: usize, unit: SourceUnit, arrival: MediaTime, now: Mono) {
        let Some((feed, air)) = self.feeds.feed_mut(index).zip(self.air.as_mut()) else { return };
        let pts = air.feed_unit(&unit, &feed.tracks, arrival);
        self.recorder.unit(&feed.info.name, &unit, pts, now);
        for (track, bend) in air.take_bends() {
            feed.monitor.bend(bend);
            self.recorder.feed_note(&feed.info.name, Note::Bend { track, kind: bend }, now);
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

    /// Puts another feed on the air where the policy wants it and the feed has an entry to begin with.
    fn switch(&mut self, now: Mono) {
        let Some((index, why)) = self.feeds.wanted(now) else { return };
        let from = self.feeds.active().map(|feed| feed.info.name.clone());
        let Some((feed, air)) = self.feeds.feed_mut(index).zip(self.air.as_mut()) else { return };
        let kept = feed.take_kept();
        // What begins with this very unit comes after all that was placed; what was kept ready is placed where it belongs.
        match kept.len() {
            0 | 1 => air.splice(&feed.tracks, feed.info.wrap),
            _ => air.splice_warm(&feed.tracks, feed.info.wrap),
        }
        if self.plan.feeds.len() > 1 {
            metrics().feed_switches.with_label_values(&[&*self.plan.name, &*feed.info.name, why.label()]).inc();
            let before = from.as_deref().unwrap_or("none");
            events::say(EventKind::Switch, &self.plan.name, format!("feed {} after {before}: {}", feed.info.name, why.label()));
            tracing::warn!(
                channel = self.plan.name,
                feed = feed.info.name,
                before = from.as_deref().unwrap_or("none"),
                reason = why.label(),
                "another feed is on the air"
            );
        }
        self.recorder.feed_note(&feed.info.name, Note::Switched(text(why.label())), now);
        self.spliced.clone_from(&feed.info.name);
        self.feeds.policy().switched(index, why, now);
        self.was_live = true;
        for (unit, arrival) in kept {
            self.place(index, unit, arrival, now);
        }
    }

    /// The first source decides the grid and, with `auto`, the ladder.
    fn try_to_go_on_air(&mut self, now: Mono) {
        let Some((index, _)) = self.feeds.wanted(now) else { return };
        let Some(feed) = self.feeds.feed(index) else { return };
        let units: Vec<SourceUnit> = feed.kept().iter().map(|(unit, _)| unit.clone()).collect();
        let Some(rate) = self.plan.rate.or_else(|| source::grid_rate(&feed.tracks, &units)) else { return };
        let Some(arrival) = feed.kept().iter().find(|(unit, _)| feed.is_anchor(unit)).map(|(_, arrival)| *arrival) else { return };
        let size = feed.tracks.iter().find_map(Track::video).map(|video| (video.width, video.height));
        let grid = self.grid(rate);
        let rungs = self.rungs(size, rate);
        self.go_on_air(grid, rungs, grid.first_from(arrival));
        self.switch(now);
    }

    /// The pictures that come in, as far as they are described.
    fn source_shape(&self) -> Option<SourceShape> {
        let feed = self.feeds.active().or_else(|| self.feeds.present())?;
        let video = feed.tracks.iter().find_map(Track::video)?;
        Some(SourceShape { codec: video.codec, width: video.width, height: video.height })
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
                let standard = placement::ladder("standard").unwrap_or_default();
                let whole = placement::fitted(&standard, width, height);
                // What a device encodes costs no cores.
                let on_device = self.seating.would_encode(&whole.0, self.source_shape());
                let (rungs, left_out) = match self.seating.free_cores() {
                    _ if on_device => whole,
                    Some(free) => placement::auto_within((width, height), rate, self.seating.speed(), free, self.cores),
                    None => placement::auto(width, height, rate, self.cores),
                };
                for left_out in &left_out {
                    tracing::warn!(channel = self.plan.name, rung = left_out.rung.name, "{left_out}");
                }
                rungs
            }
        }
    }

    fn go_on_air(&mut self, grid: Grid, rungs: Vec<Rung>, start: Slot) {
        // A clock that was set back since must not keep the channel off the air until it has caught up: numbers go on, times do not.
        let soon = grid.start(start) + grid.segment_duration() + grid.segment_duration();
        let floor = self.sequence.filter(|last| last.end <= soon).map(|last| grid.first_from(last.end));
        let start = floor.map_or(start, |floor| start.max(floor));
        self.seating.at_rate(grid.rate);
        let names: Vec<&str> = rungs.iter().map(|rung| rung.name.as_str()).collect();
        tracing::info!(channel = self.plan.name, rate = %grid.rate, rungs = names.join(" "), "on the air");
        let mut air = OnAir::new(&self.plan, grid, rungs, self.fill(), start, self.sequence);
        air.follow(self.discontinuities);
        self.air = Some(air);
        self.watch_load();
    }
}

#[cfg(test)]
pub(super) mod tests;
