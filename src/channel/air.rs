//! A channel on the air: what is fixed from its first picture on, and the way of media through it.

use bytes::Bytes;

use crate::base::metrics::metrics;
use crate::base::{MediaTime, Ticks};
use crate::channel::commit::{Commit, Committed};
use crate::channel::feed::SourceUnit;
use crate::channel::handover::Handover;
use crate::channel::plan::ChannelPlan;
use crate::channel::replay::{Item, Replay};
use crate::channel::sequence::Sequence;
use crate::channel::status::RungStatus;
use crate::channel::timeline::{Bend, Mapped, Timeline};
use crate::media::device::Seat;
use crate::media::{AccessUnit, AudioRung, Grid, Rung, Slot, Track};
use crate::pack::{Change, OutputTrack, PackError, Packager, Presentation, Window};
use crate::placement::needs::no_slower;
use crate::wire::link::{Easing, Fill, FromWorker, Open, RungConfig, Stage, ToWorker, VERSION, Watch};

mod asked;
mod changing;
mod look;
mod replacing;
mod work;

pub use changing::Ladder;
pub use look::Look;

use changing::Coming;

/// A codec worker further behind its input than this leaves pictures out.
const SHED_AFTER: Ticks = Ticks::from_millis(1_000);
/// Input further ahead of the clock than this is not used.
const FUTURE_LIMIT: Ticks = Ticks::from_millis(10_000);

/// What a worker's message led to.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing to be done.
    Nothing,
    /// A small picture of the input, JPEG.
    Thumbnail(Bytes),
    /// A segment is listed.
    Listed {
        /// For the shelf.
        changes: Vec<Change>,
        /// For the state directory.
        sequence: Sequence,
    },
}

/// Everything that exists once a channel is on the air.
#[derive(Debug)]
pub struct OnAir {
    channel: String,
    plan: ChannelPlan,
    grid: Grid,
    rungs: Vec<Rung>,
    audio: AudioRung,
    fill: Fill,
    timeline: Timeline,
    replay: Replay,
    commit: Commit,
    packager: Option<Packager>,
    configs: Vec<RungConfig>,
    /// Where the present worker is to work.
    seat: Seat,
    /// The slowest preset that it may use there.
    preset: Option<&'static str>,
    /// The worker must be told `Open` first.
    open_due: bool,
    /// The first slot of the present worker.
    begin: Slot,
    /// The present worker was sent media.
    was_fed: bool,
    /// Input was given up since the present worker began, or since there is none.
    gave_input_up: bool,
    /// The unit that was sent last is a picture.
    sent_video: bool,
    /// How far the present worker has made pictures, whether it has put them out yet or not.
    made: MediaTime,
    handover: Option<Handover>,
    /// How much less is to be made of each rung.
    easings: Vec<Easing>,
    /// What of that the present worker has not been told.
    easings_due: Vec<(u8, Easing)>,
    coming: Coming,
    /// The ladder has changed, and nobody has been told.
    is_other_ladder: bool,
    /// How many discontinuities there were before its packager.
    discontinuities: u64,
    /// What it has been told of what is published.
    committed_due: Vec<(u8, MediaTime)>,
    advance_to: MediaTime,
    advance_sent: MediaTime,
    newest: Option<(u64, MediaTime)>,
    now: MediaTime,
    look: Look,
    /// Counters of the present worker's stages, as it last told them.
    told: Vec<(Stage, u64, u64)>,
    /// Pixels of a picture of the source; 0 where it has none.
    source_pixels: u64,
    /// Where the newest packet of each rung ends, the sound's last.
    rung_ends: Vec<MediaTime>,
}

impl OnAir {
    /// A channel whose programme begins with slot `start`.
    pub fn new(plan: &ChannelPlan, grid: Grid, rungs: Vec<Rung>, fill: Fill, start: Slot, last: Option<Sequence>) -> OnAir {
        let natural = grid.segment_of(start).max(0) as u64;
        let first_number = last.map_or(natural, |last| natural.max(last.number + 1));
        let mut commit = Commit::new(grid, rungs.len(), true, start, first_number);
        if last.is_some() {
            commit.mark_discontinuity();
        }
        OnAir {
            channel: plan.name.clone(),
            plan: plan.clone(),
            grid,
            audio: plan.audio.clone(),
            fill,
            timeline: Timeline::new(grid),
            replay: Replay::default(),
            commit,
            packager: None,
            configs: Vec::new(),
            seat: Seat::Software,
            preset: None,
            open_due: true,
            begin: start,
            was_fed: false,
            gave_input_up: false,
            sent_video: false,
            made: grid.start(start),
            handover: None,
            easings: vec![Easing::default(); rungs.len()],
            easings_due: Vec::new(),
            coming: Coming::default(),
            is_other_ladder: false,
            discontinuities: 0,
            committed_due: Vec::new(),
            advance_to: grid.start(start),
            advance_sent: grid.start(start),
            newest: None,
            now: grid.start(start),
            look: Look::default(),
            told: Vec::new(),
            source_pixels: 0,
            rung_ends: Vec::new(),
            rungs,
        }
    }

    /// It goes on where another programme ended, after so many discontinuities.
    pub fn follow(&mut self, discontinuities: u64) {
        self.discontinuities = discontinuities;
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// A new publisher with these tracks.
    pub fn splice(&mut self, tracks: &[Track], wrap: Ticks) {
        let has_video = tracks.iter().any(|track| track.video().is_some());
        self.timeline.splice(tracks.len(), has_video, wrap);
        self.note_source(tracks);
        self.push(Item::Tracks(tracks.to_vec()));
    }

    /// Another feed takes the place of the one before at once; see [`Timeline::splice_warm`].
    pub fn splice_warm(&mut self, tracks: &[Track], wrap: Ticks) {
        let has_video = tracks.iter().any(|track| track.video().is_some());
        self.timeline.splice_warm(tracks.len(), has_video, wrap);
        self.note_source(tracks);
        self.push(Item::Tracks(tracks.to_vec()));
    }

    /// The same publisher changed its decoder configuration. A changed number of tracks begins a splice of its own.
    pub fn change_tracks(&mut self, tracks: &[Track]) {
        if !self.timeline.has_tracks(tracks.len()) {
            let has_video = tracks.iter().any(|track| track.video().is_some());
            self.timeline.resplice_tracks(tracks.len(), has_video);
        }
        self.note_source(tracks);
        self.push(Item::Tracks(tracks.to_vec()));
    }

    /// The publisher is gone.
    pub fn end_input(&mut self) {
        self.timeline.forget_feed();
        self.push(Item::End);
    }

    /// Media from the publisher; its place on the programme, if it got one.
    pub fn feed_unit(&mut self, unit: &SourceUnit, tracks: &[Track], arrival: MediaTime) -> Option<MediaTime> {
        let is_video = tracks.get(usize::from(unit.track)).is_some_and(|track| track.video().is_some());
        let Mapped::At { pts, dts } = self.timeline.map(unit, is_video, arrival) else { return None };
        // Whatever the timeline makes of a source: the worker would paint every slot up to a picture from the future.
        if pts - arrival > FUTURE_LIMIT {
            metrics().frames_dropped.with_label_values(&[&*self.channel, "future"]).inc();
            return None;
        }
        let unit = AccessUnit { track: unit.track, pts, dts, entry: unit.entry, data: unit.data.clone() };
        self.push(Item::Unit(unit, is_video));
        Some(pts)
    }

    /// What the input looks and sounds like, as the worker last said.
    pub fn look(&self) -> Look {
        self.look
    }

    /// Bends of the source's clock since the last call.
    pub fn take_bends(&mut self) -> Vec<(u8, Bend)> {
        self.timeline.take_bends()
    }

    /// How far the feed is ahead of `now`.
    pub fn lead(&self, now: MediaTime) -> Option<Ticks> {
        self.timeline.lead(now)
    }

    /// Units that wait for the worker.
    pub fn unsent(&self) -> usize {
        self.replay.unsent()
    }

    /// The programme is to be made up to `to`; the clock reads `now`.
    pub fn advance(&mut self, to: MediaTime, now: MediaTime) {
        self.advance_to = self.advance_to.max(to);
        self.now = now;
        let age = self.newest.map_or(Ticks::ZERO, |(_, end)| now - end);
        metrics().segment_age.with_label_values(&[&*self.channel]).set(age.as_secs_f64());
        metrics().queue_depth.with_label_values(&[&*self.channel, "replay_unsent"]).set(self.replay.unsent() as i64);
        self.show_lag();
    }

    /// The next message for the worker: first how to run, then input in order, then how far the clock is.
    pub fn next_message(&mut self) -> Option<(ToWorker, Bytes)> {
        if std::mem::take(&mut self.open_due) {
            return Some((ToWorker::Open(Box::new(self.open())), Bytes::new()));
        }
        if let Some((rung, easing)) = self.easings_due.pop() {
            return Some((ToWorker::Ease { rung, easing }, Bytes::new()));
        }
        if let Some((rung, to)) = self.committed_due.pop() {
            return Some((ToWorker::Committed { rung, to }, Bytes::new()));
        }
        if let Some(message) = self.handover.as_mut().and_then(Handover::farewell) {
            return Some((message, Bytes::new()));
        }
        let item = self.replay.take_next();
        if let Some((handover, item)) = self.handover.as_mut().zip(item.as_ref()) {
            handover.sends(item);
        }
        match item {
            Some(Item::Tracks(tracks)) => return Some((ToWorker::Tracks(tracks), Bytes::new())),
            Some(Item::Unit(unit, is_video)) => {
                let AccessUnit { track, pts, dts, entry, data } = unit;
                self.was_fed = true;
                self.sent_video = is_video;
                return Some((ToWorker::Au { track, pts, dts, entry }, data));
            }
            Some(Item::End) => return Some((ToWorker::InputEnd, Bytes::new())),
            None => {}
        }
        if let Some(handover) = self.handover.as_mut().filter(|handover| !handover.has_parted()) {
            handover.look(self.advance_to);
            if let Some(message) = handover.farewell() {
                return Some((message, Bytes::new()));
            }
        }
        let due = self.advance_to - self.advance_sent >= self.grid.rate.period();
        due.then(|| {
            self.advance_sent = self.advance_to;
            (ToWorker::Advance { to: self.advance_to }, Bytes::new())
        })
    }

    /// Takes a worker's message in.
    pub fn worker_message(&mut self, message: FromWorker, payload: Bytes) -> Result<Outcome, PackError> {
        match message {
            FromWorker::Opened { configs } => self.opened(configs)?,
            FromWorker::Thumbnail { .. } => return asked::thumbnail(payload).map(Outcome::Thumbnail),
            FromWorker::Picture { frozen, black, silence, .. } => self.see(Look { frozen, black, silent: silence }),
            FromWorker::Eased { rung, easing, from } => {
                self.commit.leave_out(usize::from(rung), from, easing.off);
                return self.list();
            }
            FromWorker::Progress { stage, pts, done, dropped, queued, .. } => {
                if stage == Stage::Scale {
                    self.made = self.made.max(pts + self.grid.rate.period());
                }
                self.progress(stage, done, dropped, queued);
            }
            FromWorker::Fault { fault, place, detail } => {
                metrics().faults.with_label_values(&[&*self.channel, fault.label()]).inc();
                tracing::warn!(channel = self.channel, fault = %fault, place, detail, "worker reports a fault");
            }
            message => {
                if let Some(packet) = message.into_packet(payload) {
                    asked::packet(&packet, self.advance_to)?;
                    self.note_packet(&packet);
                    if self.rungs.is_empty() || usize::from(packet.rung) < self.rungs.len() {
                        self.made = self.made.max(packet.pts + packet.duration);
                    }
                    self.commit.push(packet);
                    return self.list();
                }
            }
        }
        Ok(Outcome::Nothing)
    }

    /// The renditions as the API shows them.
    pub fn rung_statuses(&self) -> Vec<RungStatus> {
        let measured = |index| self.packager.as_ref().map_or(0, |packager| packager.measured_bitrate(index));
        let codecs = |index: usize| self.configs.get(index).map_or_else(String::new, |config| config.track.codec_string());
        let video = self.rungs.iter().enumerate().map(|(index, rung)| RungStatus {
            name: rung.name.clone(),
            width: rung.width,
            height: rung.height,
            bitrate: rung.bitrate_bps,
            measured_bitrate: measured(index),
            codecs: codecs(index),
        });
        let audio = RungStatus {
            name: self.audio.name.clone(),
            width: 0,
            height: 0,
            bitrate: self.audio.bitrate_bps,
            measured_bitrate: measured(self.rungs.len()),
            codecs: codecs(self.rungs.len()),
        };
        video.chain([audio]).collect()
    }

    /// Number of the newest listed segment.
    pub fn newest_segment(&self) -> Option<u64> {
        self.newest.map(|(number, _)| number)
    }

    /// End of the newest listed segment.
    pub fn listed_to(&self) -> Option<MediaTime> {
        self.newest.map(|(_, end)| end)
    }

    fn push(&mut self, item: Item) {
        let lost = self.replay.push(item);
        if lost.full > 0 {
            metrics().frames_dropped.with_label_values(&[&*self.channel, "replay_full"]).inc_by(lost.full as u64);
            // Once for each worker: a channel may wait for hours.
            if !std::mem::replace(&mut self.gave_input_up, true) {
                tracing::warn!(channel = self.channel, units = lost.full, "input given up: no worker has taken it for too long");
            }
        }
        if lost.before_entry > 0 {
            metrics().frames_dropped.with_label_values(&[&*self.channel, "before_entry"]).inc_by(lost.before_entry as u64);
        }
    }

    fn see(&mut self, look: Look) {
        for (kind, is_so) in look.kinds() {
            metrics().input_faults.with_label_values(&[&*self.channel, kind]).set(i64::from(is_so));
        }
        if look != self.look {
            match look.is_faulty() {
                true => tracing::warn!(
                    channel = self.channel,
                    look = look.words().join(" and "),
                    "the input delivers, but not what viewers should see; look at its source"
                ),
                false => tracing::info!(channel = self.channel, "the input's picture and sound are well again"),
            }
        }
        self.look = look;
    }

    fn open(&self) -> Open {
        let (rungs, audio) = self.ladder_to_open();
        Open {
            version: VERSION,
            channel: self.channel.clone(),
            seat: self.seat.clone(),
            grid: self.grid,
            start: self.begin,
            rungs: self.preset.map_or_else(|| rungs.to_vec(), |preset| no_slower(rungs, preset)),
            audio: Some(audio.clone()),
            fill: self.fill,
            text: self.plan.slate.text.clone(),
            hold: self.plan.hold,
            live: true,
            shed_after: SHED_AFTER,
            watch: Watch {
                freeze_after: self.plan.watch.freeze_after,
                black_after: self.plan.watch.black_after,
                silence_after: self.plan.watch.silence_after,
                ..Watch::default()
            },
            thumbnail_every: self.plan.thumbnail_every,
        }
    }

    fn opened(&mut self, configs: Vec<RungConfig>) -> Result<(), PackError> {
        self.end_joining();
        if self.plan.watch == Default::default() {
            // Nobody looks any more, and so nobody would say that it is well again.
            self.see(Look::default());
        }
        self.commit.expect_all(self.grid.start(self.begin));
        if configs == self.configs {
            return Ok(());
        }
        let tracks = self.output_tracks(&configs);
        match &mut self.packager {
            Some(packager) => {
                tracing::warn!(channel = self.channel, "parameter sets changed: a discontinuity and a new map follow");
                packager.reconfigure(tracks)?;
                self.commit.mark_discontinuity();
            }
            None => {
                let presentation = Presentation {
                    channel: self.channel.clone(),
                    tracks,
                    segment: self.grid.segment_duration(),
                    window: Window::Live(self.plan.window),
                    cmaf: self.plan.formats.cmaf,
                    ts: self.plan.formats.ts,
                };
                self.packager = Some(Packager::following(presentation, self.discontinuities)?);
            }
        }
        self.configs = configs;
        self.log_notes();
        Ok(())
    }

    /// Renditions that a format cannot hold are left out of it, and this says so.
    fn log_notes(&mut self) {
        for note in self.packager.as_mut().map(Packager::notes).unwrap_or_default() {
            tracing::warn!(channel = self.channel, note, "packaging");
        }
    }

    fn output_tracks(&self, configs: &[RungConfig]) -> Vec<OutputTrack> {
        let rung = |index: usize| self.rungs.get(index);
        let track = |(index, config): (usize, &RungConfig)| OutputTrack {
            name: rung(index).map_or_else(|| self.audio.name.clone(), |rung| rung.name.clone()),
            track: config.track.clone(),
            bitrate_bps: rung(index).map_or(self.audio.bitrate_bps, |rung| rung.bitrate_bps),
            peak_bps: rung(index).map_or(self.audio.bitrate_bps, |rung| rung.vbv_rate_bps),
            rate: rung(index).map(|_| self.grid.rate),
            reorder: config.reorder,
        };
        configs.iter().enumerate().map(track).collect()
    }

    pub(super) fn list(&mut self) -> Result<Outcome, PackError> {
        let Some((packager, committed)) = self.packager.as_mut().and_then(|packager| Some((packager, self.commit.take(self.now)?))) else {
            return Ok(Outcome::Nothing);
        };
        let Committed { set, missing, left_out } = committed;
        for rung in left_out.iter().filter_map(|rung| self.rungs.get(*rung)) {
            metrics().segment_gaps.with_label_values(&[&*self.channel, &*rung.name]).inc();
        }
        for rung in missing {
            let name = self.rungs.get(rung).map_or(&self.audio.name, |rung| &rung.name);
            metrics().segment_gaps.with_label_values(&[&*self.channel, &**name]).inc();
            tracing::error!(
                channel = self.channel,
                rung = name,
                segment = set.number,
                "rung is a segment late; its absence is listed as a gap"
            );
        }
        let sequence = Sequence { number: set.number, end: set.start + set.duration };
        let changes = match packager.push(set) {
            Ok(changes) => changes,
            Err(cause) => {
                self.commit.refused();
                return Err(cause);
            }
        };
        self.log_notes();
        metrics().segments.with_label_values(&[&*self.channel]).inc();
        self.newest = Some((sequence.number, sequence.end));
        self.replay.trim(sequence.end);
        if !self.is_joining() {
            // A worker with another ladder does not know these rungs.
            self.committed_due = (0..=self.rungs.len() as u8).map(|rung| (rung, sequence.end)).collect();
        }
        Ok(Outcome::Listed { changes, sequence })
    }
}
