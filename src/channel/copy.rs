//! A copy channel as a state machine without IO: the source's own packets, cut at the source's keyframes, no worker.
//!
//! A splice (a publisher that comes or comes back) is a discontinuity: there is no slate to bridge the hole.

use std::time::Duration;

use crate::base::metrics::metrics;
use crate::base::{MediaTime, Mono, Rate, Ticks};
use crate::channel::clock::ProgrammeClock;
use crate::channel::copy_cutter::{CopyCutter, LongGop};
use crate::channel::feed::{FeedEvent, SourceUnit};
use crate::channel::feeds::FeedInfo;
use crate::channel::monitor::Monitor;
use crate::channel::plan::ChannelPlan;
use crate::channel::programme::{Action, Remains};
use crate::channel::recorder::{Note, Recorder, text};
use crate::channel::run::Reception;
use crate::channel::sequence::Sequence;
use crate::channel::source;
use crate::channel::status::{ChannelStatus, RungStatus, State};
use crate::channel::timeline::{Mapped, Timeline};
use crate::media::{Grid, Track};
use crate::pack::{OutputTrack, PackError, Packager, Presentation, SegmentSet, Window};

/// A feed that sends nothing for this long no longer counts as live.
const QUIET_LIMIT: Duration = Duration::from_secs(5);
/// A feed is not read while it is further ahead of the clock than this.
const LEAD: Ticks = Ticks::from_millis(1_000);
/// The timeline places a splice on this grid; the packets keep their own distances.
const ANCHOR_RATE: Rate = Rate::new(50, 1);

#[derive(Debug)]
struct Feed {
    info: FeedInfo,
    monitor: Monitor,
    tracks: Vec<Track>,
    cutter: CopyCutter,
    last_unit: Option<Mono>,
}

/// The state machine.
#[derive(Debug)]
pub struct CopyProgramme {
    plan: ChannelPlan,
    clock: ProgrammeClock,
    timeline: Timeline,
    feed: Option<Feed>,
    packager: Option<Packager>,
    outputs: Vec<OutputTrack>,
    newest: Option<Sequence>,
    listed: bool,
    discontinuity: bool,
    /// How many there were before its packager.
    discontinuities: u64,
    actions: Vec<Action>,
    recorder: Recorder,
}

impl CopyProgramme {
    /// A channel that waits for its first publisher. `sequence` is what its last life remembered.
    pub fn new(plan: ChannelPlan, clock: ProgrammeClock, sequence: Option<Sequence>) -> CopyProgramme {
        let grid = Grid::fitted(ANCHOR_RATE, plan.gop, plan.segment);
        CopyProgramme {
            timeline: Timeline::new(grid),
            discontinuity: sequence.is_some(),
            discontinuities: 0,
            plan,
            clock,
            feed: None,
            packager: None,
            outputs: Vec::new(),
            newest: sequence,
            listed: false,
            actions: Vec::new(),
            recorder: Recorder::default(),
        }
    }

    /// How it runs.
    pub fn plan(&self) -> &ChannelPlan {
        &self.plan
    }

    /// Takes another plan that differs in nothing but what takes effect at once.
    pub fn take_plan(&mut self, plan: ChannelPlan, now: Mono) {
        let is_gone = |feed: &Feed| plan.feeds.iter().all(|there| there.name != feed.info.name);
        if self.feed.as_ref().is_some_and(is_gone) {
            self.feed_closed(now);
        }
        if let Some(packager) = &mut self.packager {
            packager.set_window(plan.window);
        }
        self.plan = plan;
    }

    /// Goes on where another machine of the same channel ended.
    pub fn follow(&mut self, discontinuities: u64) {
        self.discontinuities = discontinuities;
    }

    /// Ends for another machine that takes the channel over: what was collected is listed, the rest is given away.
    pub fn leave(&mut self, now: Mono) -> Remains {
        let feeds = self.feed.as_ref().map(|feed| (feed.info.clone(), feed.tracks.clone())).into_iter().collect();
        self.feed_closed(now);
        let packager = self.packager.take();
        Remains {
            feeds,
            sequence: self.newest,
            discontinuities: packager.as_ref().map_or(self.discontinuities, Packager::discontinuities),
            files: packager.map(Packager::abandon).unwrap_or_default(),
            window: self.plan.window,
        }
    }

    /// The channel's flight recorder.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// A publisher was admitted.
    pub fn feed_opened(&mut self, info: FeedInfo, now: Mono) {
        self.feed_closed(now);
        tracing::info!(channel = self.plan.name, feed = info.name, peer = info.peer, "publisher connected");
        self.recorder.feed_note(&info.name, Note::FeedOpened, now);
        let monitor = Monitor::new(&self.plan.name, &info.name, now);
        self.feed = Some(Feed { info, monitor, tracks: Vec::new(), cutter: CopyCutter::new(&[], self.plan.segment), last_unit: None });
    }

    /// Something came from the publisher.
    pub fn feed_event(&mut self, event: FeedEvent, now: Mono) -> Reception {
        if let Some(feed) = &mut self.feed {
            feed.monitor.event(&event, now);
        }
        match event {
            FeedEvent::Tracks(tracks) => {
                self.tracks(tracks, now);
                Reception::Taken
            }
            FeedEvent::Unit(unit) => self.unit(&unit, now),
        }
    }

    /// The publisher is gone: what it sent is listed, up to its last packet.
    pub fn feed_closed(&mut self, now: Mono) {
        let Some(mut feed) = self.feed.take() else { return };
        self.recorder.feed_note(&feed.info.name, Note::FeedClosed, now);
        tracing::info!(channel = self.plan.name, feed = feed.info.name, peer = feed.info.peer, "publisher gone");
        let rest = feed.cutter.finish();
        self.list(&feed.tracks, rest, now);
        self.timeline.forget_feed();
        self.discontinuity = true;
    }

    /// Time passes: a cut does not wait for sound for ever.
    pub fn tick(&mut self, now: Mono) {
        let Some(mut feed) = self.feed.take() else { return };
        let cuts = feed.cutter.take(now);
        self.list(&feed.tracks, cuts, now);
        self.feed = Some(feed);
        let age = self.newest.map_or(Ticks::ZERO, |newest| self.clock.at(now) - newest.end);
        metrics().segment_age.with_label_values(&[&*self.plan.name]).set(age.as_secs_f64());
    }

    /// Whether the feed may be read now.
    pub fn wants_feed(&self, now: Mono) -> bool {
        self.timeline.lead(self.clock.at(now)).is_none_or(|lead| lead < LEAD)
    }

    /// What the driver is to do.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// What the channel tells about itself.
    pub fn status(&self, now: Mono) -> ChannelStatus {
        let live = self.feed.as_ref().filter(|feed| feed.last_unit.is_some_and(|last| now.since(last) < QUIET_LIMIT));
        let mut formats = Vec::new();
        formats.extend(self.plan.formats.cmaf.then(|| "cmaf".to_owned()));
        formats.extend(self.plan.formats.ts.then(|| "ts".to_owned()));
        ChannelStatus {
            name: self.plan.name.clone(),
            state: if live.is_some() { State::Live } else { State::Waiting },
            feed: live.map_or("none", |feed| feed.info.name.as_str()).to_owned(),
            peer: self.feed.as_ref().map(|feed| feed.info.peer.clone()),
            source: self.feed.as_ref().filter(|feed| !feed.tracks.is_empty()).map(|feed| source::description(&feed.tracks)),
            rate: self.outputs.iter().find_map(|output| output.rate).map(|rate| rate.to_string()),
            rungs: self.outputs.iter().enumerate().map(|(index, output)| self.rung_status(index, output)).collect(),
            formats,
            newest_segment: self.newest.filter(|_| self.listed).map(|newest| newest.number),
            worker_restarts: 0,
            seat: None,
            fallback: None,
            overload: None,
            latency: None,
            quarantined: Vec::new(),
            look: Vec::new(),
            feeds: self.feed.as_ref().map(|feed| feed.monitor.report(now)).into_iter().collect(),
        }
    }

    fn rung_status(&self, index: usize, output: &OutputTrack) -> RungStatus {
        let (width, height) = output.track.video().map_or((0, 0), |video| (video.width, video.height));
        let measured = self.packager.as_ref().map_or(0, |packager| packager.measured_bitrate(index));
        RungStatus {
            name: output.name.clone(),
            width,
            height,
            bitrate: measured,
            measured_bitrate: measured,
            codecs: output.track.codec_string(),
        }
    }

    fn tracks(&mut self, tracks: Vec<Track>, now: Mono) {
        let Some(mut feed) = self.feed.take() else { return };
        self.recorder.feed_note(&feed.info.name, Note::Source(text(&source::description(&tracks))), now);
        tracing::info!(channel = self.plan.name, peer = feed.info.peer, source = source::description(&tracks), "source described");
        let rest = feed.cutter.finish();
        self.list(&feed.tracks, rest, now);
        let has_video = tracks.iter().any(|track| track.video().is_some());
        self.timeline.splice(tracks.len(), has_video, feed.info.wrap);
        feed.cutter = CopyCutter::new(&tracks, self.plan.segment);
        feed.tracks = tracks;
        self.feed = Some(feed);
        self.discontinuity = true;
        self.outputs.clear();
    }

    fn unit(&mut self, unit: &SourceUnit, now: Mono) -> Reception {
        let Some(mut feed) = self.feed.take() else { return Reception::Taken };
        feed.last_unit = Some(now);
        let is_video = feed.tracks.get(usize::from(unit.track)).is_some_and(|track| track.video().is_some());
        let mapped = self.timeline.map(unit, is_video, self.clock.at(now));
        let pts = if let Mapped::At { pts, .. } = mapped { Some(pts) } else { None };
        self.recorder.unit(&feed.info.name, unit, pts, now);
        for (track, bend) in self.timeline.take_bends() {
            feed.monitor.bend(bend);
            self.recorder.feed_note(&feed.info.name, Note::Bend { track, kind: bend }, now);
            metrics().ingest_gaps.with_label_values(&[&*self.plan.name, &*feed.info.name, bend.label()]).inc();
        }
        let mut reception = Reception::Taken;
        if let Mapped::At { pts, dts } = mapped {
            match feed.cutter.push(unit, pts, dts, now) {
                Ok(()) => {
                    let cuts = feed.cutter.take(now);
                    self.list(&feed.tracks, cuts, now);
                }
                Err(LongGop { seconds }) => {
                    let remedy = format!("set the encoder's keyframe interval to {:.0} s or less", self.plan.segment.as_secs_f64());
                    tracing::error!(
                        channel = self.plan.name,
                        peer = feed.info.peer,
                        gop_s = seconds,
                        remedy,
                        "no keyframe for longer than a segment may last; the feed is closed"
                    );
                    // What was collected since the last cut is longer than playlists promise.
                    feed.cutter = CopyCutter::new(&[], self.plan.segment);
                    reception = Reception::Refused(format!("no keyframe for {seconds:.1} s: {remedy}"));
                }
            }
        }
        self.feed = Some(feed);
        reception
    }

    fn list(&mut self, tracks: &[Track], cuts: Vec<crate::channel::copy_cutter::Cut>, now: Mono) {
        for cut in cuts {
            if let Err(cause) = self.list_one(tracks, cut, now) {
                tracing::error!(channel = self.plan.name, %cause, "segment cannot be packaged and is left out");
            }
        }
    }

    fn list_one(&mut self, tracks: &[Track], cut: crate::channel::copy_cutter::Cut, now: Mono) -> Result<(), PackError> {
        if self.outputs.is_empty() {
            self.configure(tracks, cut.reorder)?;
        }
        let Some(packager) = &mut self.packager else { return Ok(()) };
        let natural = self.clock.at(now).0.div_euclid(self.plan.segment.0.max(1)).max(0) as u64;
        let number = self.newest.map_or(natural, |newest| if self.listed { newest.number + 1 } else { natural.max(newest.number + 1) });
        let end: MediaTime = cut.start + cut.duration;
        let set = SegmentSet {
            number,
            start: cut.start,
            duration: cut.duration,
            discontinuity: std::mem::take(&mut self.discontinuity) && self.newest.is_some(),
            packets: cut.packets,
        };
        let changes = packager.push(set)?;
        self.timeline.not_before(end);
        for note in packager.notes() {
            tracing::warn!(channel = self.plan.name, note, "packaging");
        }
        metrics().segments.with_label_values(&[&*self.plan.name]).inc();
        let sequence = Sequence { number, end };
        self.newest = Some(sequence);
        self.listed = true;
        self.actions.push(Action::Apply(changes));
        self.actions.push(Action::Remember(sequence));
        Ok(())
    }

    fn configure(&mut self, tracks: &[Track], reorder: Ticks) -> Result<(), PackError> {
        let mut outputs: Vec<OutputTrack> = tracks.iter().map(|track| output(track, reorder)).collect();
        outputs.sort_by_key(|output| output.track.audio().is_some());
        match &mut self.packager {
            Some(packager) => packager.reconfigure(outputs.clone())?,
            None => {
                let presentation = Presentation {
                    channel: self.plan.name.clone(),
                    tracks: outputs.clone(),
                    segment: self.plan.segment,
                    window: Window::Live(self.plan.window),
                    cmaf: self.plan.formats.cmaf,
                    ts: self.plan.formats.ts,
                };
                self.packager = Some(Packager::following(presentation, self.discontinuities)?);
            }
        }
        self.outputs = outputs;
        Ok(())
    }
}

fn output(track: &Track, reorder: Ticks) -> OutputTrack {
    let (name, rate, reorder) = match track {
        Track::Video(video) if video.height > 0 => (format!("{}p", video.height), video.rate, reorder),
        Track::Video(video) => ("source".to_owned(), video.rate, reorder),
        Track::Audio(_) => ("audio".to_owned(), None, Ticks::ZERO),
    };
    OutputTrack { name, track: track.clone(), bitrate_bps: 0, peak_bps: 0, rate, reorder }
}

#[cfg(test)]
mod tests;
