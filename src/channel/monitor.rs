//! What comes in on a feed, measured: rates, GOPs, lateness, errors.
//!
//! [`Monitor`] sees every event of one feed with its arrival. It reads no clock, its memory is bounded, and it costs one
//! look at the headers of a picture where decoding can begin. [`Monitor::report`] is for the API and the page, and sets
//! the feed's gauges; when the monitor goes, its series go.

mod gauges;
mod profile;
mod report;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;

use self::gauges::Gauges;
pub use self::report::{AudioReport, FeedReport, GopReport, VideoReport};
use self::window::{ByteRate, Gops, Lateness, PictureRate};
use crate::base::{Mono, Ticks};
use crate::channel::feed::{FeedEvent, SourceUnit};
use crate::channel::timeline::Bend;
use crate::media::{AudioTrack, Track, VideoTrack};

/// A step of a track's decode times that is longer than this, or backwards, is a break of its clock.
const STEP_LIMIT: Ticks = Ticks::from_millis(1_000);

/// What is measured of the pictures or of the sound. Of several tracks of a kind the first is measured; their bytes are summed.
#[derive(Debug, Default)]
struct Measured {
    bytes: ByteRate,
    lateness: Lateness,
    last_dts: Option<Ticks>,
    last_arrival: Option<Mono>,
}

/// Watches one feed from its admission to its end.
#[derive(Debug)]
pub struct Monitor {
    feed: String,
    opened: Mono,
    tracks: Vec<Track>,
    video: Measured,
    audio: Measured,
    pictures: PictureRate,
    gops: Gops,
    last_unit: Mono,
    longest_pause: Ticks,
    errors: BTreeMap<&'static str, u64>,
    gauges: Gauges,
}

impl Monitor {
    /// Watches the feed named `feed` of `channel`, which was admitted at `now`.
    pub fn new(channel: &str, feed: &str, now: Mono) -> Monitor {
        Monitor {
            feed: feed.to_owned(),
            opened: now,
            tracks: Vec::new(),
            video: Measured::default(),
            audio: Measured::default(),
            pictures: PictureRate::default(),
            gops: Gops::default(),
            last_unit: now,
            longest_pause: Ticks::ZERO,
            errors: BTreeMap::new(),
            gauges: Gauges::new(channel, feed),
        }
    }

    /// Something came from the feed. `now` is when the channel took it, so a feed that is held back counts as late.
    pub fn event(&mut self, event: &FeedEvent, now: Mono) {
        match event {
            FeedEvent::Tracks(tracks) => self.tracks(tracks),
            FeedEvent::Unit(unit) => self.unit(unit, now),
        }
    }

    /// The timeline had to bend the feed's clock.
    pub fn bend(&mut self, bend: Bend) {
        self.error(bend.label());
    }

    /// Something was wrong with the feed, by kind: a name from the code and never a peer's text.
    pub fn error(&mut self, kind: &'static str) {
        let count = self.errors.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    /// What is known at `now`. Sets the gauges.
    pub fn report(&self, now: Mono) -> FeedReport {
        let video = self.tracks.iter().find_map(Track::video).map(|track| self.video_report(track, now));
        let audio = self.tracks.iter().find_map(Track::audio).map(|track| self.audio_report(track, now));
        let leading = if video.is_some() { &self.video } else { &self.audio };
        let pause = self.longest_pause.max(Ticks::from(now.since(self.last_unit)));
        let mut report = FeedReport {
            name: self.feed.clone(),
            connected_ms: millis(Ticks::from(now.since(self.opened))),
            bitrate_bps: video.as_ref().map_or(0, |video| video.bitrate_bps) + audio.as_ref().map_or(0, |audio| audio.bitrate_bps),
            video,
            audio,
            av_skew_ms: self.skew().map(Ticks::as_millis),
            arrival_jitter_ms: millis(leading.lateness.jitter(now)),
            longest_pause_ms: millis(pause),
            errors: self.errors.clone(),
            warnings: Vec::new(),
        };
        report.warnings = report.faults_in_words();
        self.gauges.set(&report);
        report
    }

    /// New tracks are a new source as far as rates and GOPs go; errors and pauses belong to the connection.
    fn tracks(&mut self, tracks: &[Track]) {
        self.tracks = tracks.to_vec();
        self.pictures = PictureRate::default();
        self.gops = Gops::default();
        for measured in [&mut self.video, &mut self.audio] {
            measured.last_dts = None;
            measured.lateness = Lateness::default();
        }
    }

    fn unit(&mut self, unit: &SourceUnit, now: Mono) {
        let index = usize::from(unit.track);
        let Some(track) = self.tracks.get(index) else { return };
        let first = self.tracks.iter().position(|other| other.video().is_some() == track.video().is_some()) == Some(index);
        self.longest_pause = self.longest_pause.max(Ticks::from(now.since(self.last_unit)));
        self.last_unit = now;
        let measured = if track.video().is_some() { &mut self.video } else { &mut self.audio };
        measured.bytes.add(unit.data.len(), now);
        if !first {
            return;
        }
        let step = measured.last_dts.map(|last| Ticks(unit.dts.0.saturating_sub(last.0)));
        let breaks = step.is_some_and(|step| step < Ticks::ZERO || step > STEP_LIMIT);
        measured.lateness.add(unit.dts, breaks, now);
        measured.last_dts = Some(unit.dts);
        measured.last_arrival = Some(now);
        if let Some(video) = track.video() {
            let open = unit.entry.then(|| profile::is_open(video.codec, &unit.data));
            self.pictures.add(unit.dts, breaks);
            self.gops.add(unit.dts, open, breaks);
        }
    }

    /// How far the pictures' timestamps are ahead of the sound's that come at the same moment.
    fn skew(&self) -> Option<Ticks> {
        let (video, audio) = (self.video.lateness.usual()?, self.audio.lateness.usual()?);
        Some(Ticks(audio.0.saturating_sub(video.0)))
    }

    fn video_report(&self, track: &VideoTrack, now: Mono) -> VideoReport {
        VideoReport {
            codec: profile::video_codec(track).to_owned(),
            codec_string: track.codec_string(),
            profile: profile::of_video(track),
            width: track.width,
            height: track.height,
            bitrate_bps: self.video.bytes.bits_per_second(now),
            frame_rate: self.pictures.rate(),
            gop: self.gops.report(),
            age_ms: self.video.age_ms(now),
        }
    }

    fn audio_report(&self, track: &AudioTrack, now: Mono) -> AudioReport {
        AudioReport {
            codec: profile::audio_codec(track).to_owned(),
            codec_string: track.codec_string(),
            profile: profile::of_audio(track),
            sample_rate: track.sample_rate,
            channels: track.channels,
            bitrate_bps: self.audio.bytes.bits_per_second(now),
            age_ms: self.audio.age_ms(now),
        }
    }
}

impl Measured {
    fn age_ms(&self, now: Mono) -> Option<u64> {
        self.last_arrival.map(|last| millis(Ticks::from(now.since(last))))
    }
}

fn millis(span: Ticks) -> u64 {
    span.as_millis().max(0) as u64
}
