//! The state machine against a simulated worker and simulated time.

use super::*;
use crate::base::WallTime;
use crate::channel::plan::{FeedPlan, Formats, SecondPublisher, StreamKey};
use crate::media::{AudioCodec, AudioRung, AudioTrack, Packet, VideoCodec, VideoTrack};
use crate::wire::link::{FromWorker, Open, RungConfig, ToWorker};
use bytes::Bytes;
use std::collections::BTreeMap;

/// avcC of a 640x360 High profile stream made by libx264 (`ffmpeg -f lavfi -i testsrc2=s=640x360:r=25 -c:v libx264`).
const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x1e, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00,
    0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96, 0x01, 0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8,
    0x00,
];
const AAC_LC_48K_STEREO: &[u8] = &[0x11, 0x90];
const TICK_MS: u64 = 40;

pub(in crate::channel) fn plan(idle: Idle) -> ChannelPlan {
    ChannelPlan {
        name: "demo".into(),
        stream_key: StreamKey::new("demo"),
        idle,
        rate: (idle == Idle::Pattern).then_some(Rate::new(25, 1)),
        ladder: LadderPlan::Rungs(vec![Rung::new("360p", 640, 360, 800_000, "superfast")]),
        audio: AudioRung::default(),
        formats: Formats { cmaf: true, ts: false },
        gop: Ticks::from_millis(2_000),
        segment: Ticks::from_millis(4_000),
        window: Ticks::from_millis(60_000),
        hold: Ticks::from_millis(1_000),
        feeds: FeedPlan::publisher(&StreamKey::new("demo")),
        failover: Default::default(),
        watch: Default::default(),
        slate: Default::default(),
        thumbnail_every: None,
        overload: crate::channel::plan::Relief::ALL.to_vec(),
        device: Default::default(),
        priority: Default::default(),
        second_publisher: SecondPublisher::Refuse,
        srt: None,
    }
}

pub(super) fn video_track(rate: Option<Rate>) -> Track {
    Track::Video(VideoTrack {
        codec: VideoCodec::H264,
        other: String::new(),
        config: Bytes::from_static(AVCC),
        width: 640,
        height: 360,
        rate,
    })
}

pub(super) fn audio_track() -> Track {
    let config = Bytes::from_static(AAC_LC_48K_STEREO);
    Track::Audio(AudioTrack { codec: AudioCodec::Aac, other: String::new(), config, sample_rate: 48_000, channels: 2 })
}

/// Puts out every slot and audio frame up to what it was told, as a worker does, and keeps what it was told.
#[derive(Default)]
struct SimulatedWorker {
    id: u64,
    open: Option<Open>,
    next_slot: i64,
    next_frame: i64,
    heard: Vec<&'static str>,
    units: Vec<MediaTime>,
    /// Lengths of the units' data, runs of the same one once.
    shown: Vec<usize>,
    stopped: bool,
}

struct Simulation {
    programme: Programme,
    now: Mono,
    worker: Option<SimulatedWorker>,
    files: BTreeMap<String, Bytes>,
    sequences: Vec<Sequence>,
    ended: Vec<u64>,
}

impl Simulation {
    fn new(idle: Idle, last: Option<Sequence>) -> Simulation {
        let clock = ProgrammeClock::starting(Mono(0), WallTime(1_790_000_001_234_567));
        let mut programme = Programme::new(plan(idle), clock, 2, SeatDesk::default(), last);
        programme.start(Mono(0));
        Simulation { programme, now: Mono(0), worker: None, files: BTreeMap::new(), sequences: Vec::new(), ended: Vec::new() }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / TICK_MS {
            self.now = self.now.after(Duration::from_millis(TICK_MS));
            self.programme.tick(self.now);
            self.settle();
        }
    }

    /// Lets messages and actions run until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for action in self.programme.take_actions() {
                moved = true;
                match action {
                    Action::StartWorker(id, _) => self.worker = Some(SimulatedWorker { id, ..SimulatedWorker::default() }),
                    Action::EndWorker(id) => self.ended.push(id),
                    Action::SetAside(_) => panic!("nobody asked for a change of workers"),
                    Action::Apply(changes) => self.apply(changes),
                    Action::Remember(sequence) => self.sequences.push(sequence),
                    Action::Thumbnail(_) | Action::Retire(..) => {}
                }
            }
            let Some(worker) = self.worker.as_mut().filter(|worker| !worker.stopped) else { return };
            while let Some((message, payload)) = self.programme.next_message() {
                moved = true;
                if !payload.is_empty() && worker.shown.last() != Some(&payload.len()) {
                    worker.shown.push(payload.len());
                }
                for answer in worker.hear(message) {
                    self.programme.worker_message(worker.id, answer, Bytes::from_static(&[0, 0, 0, 1, 0x65]), self.now);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put { path, body, .. } => self.files.insert(path, body),
                Change::Remove { path } => self.files.remove(&path),
            };
        }
    }

    fn playlist(&self) -> String {
        String::from_utf8(self.files["360p/playlist.m3u8"].to_vec()).unwrap()
    }

    fn publish(&mut self, tracks: Vec<Track>) {
        let info = FeedInfo { index: 0, name: "publisher".into(), peer: "192.0.2.1:1".into(), wrap: Ticks::from_millis(1 << 32) };
        self.programme.feed_opened(info, self.now);
        self.programme.feed_event(0, FeedEvent::Tracks(tracks), self.now);
    }

    /// `count` pictures in real time, from `first_ms` on the source's clock.
    fn pictures(&mut self, first_ms: i64, count: i64) {
        for n in 0..count {
            let dts = Ticks::from_millis(first_ms + n * 40);
            let unit = SourceUnit { track: 0, dts, offset: Ticks::ZERO, entry: n % 50 == 0, data: Bytes::from_static(b"picture") };
            self.programme.feed_event(0, FeedEvent::Unit(unit), self.now);
            self.pass(TICK_MS);
        }
    }

    fn numbers_are_consecutive(&self) -> bool {
        self.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1)
    }
}

impl SimulatedWorker {
    fn hear(&mut self, message: ToWorker) -> Vec<FromWorker> {
        match message {
            ToWorker::Open(open) => {
                self.heard.push("open");
                self.next_slot = open.start.0;
                self.next_frame = (open.grid.start(open.start).in_scale(48_000) + 1023) / 1024;
                self.open = Some(*open);
                let video = RungConfig { track: video_track(None), reorder: Ticks::ZERO };
                vec![FromWorker::Opened { configs: vec![video, RungConfig { track: audio_track(), reorder: Ticks::ZERO }] }]
            }
            ToWorker::Tracks(_) => {
                self.heard.push("tracks");
                Vec::new()
            }
            ToWorker::Au { pts, .. } => {
                self.units.push(pts);
                Vec::new()
            }
            ToWorker::InputEnd => {
                self.heard.push("end");
                Vec::new()
            }
            ToWorker::Advance { to } => self.advance(to),
            _ => Vec::new(),
        }
    }

    fn advance(&mut self, to: MediaTime) -> Vec<FromWorker> {
        let grid = self.open.as_ref().expect("open comes first").grid;
        let mut out = Vec::new();
        while grid.start(Slot(self.next_slot)) < to {
            let pts = grid.start(Slot(self.next_slot));
            let key = grid.is_key(Slot(self.next_slot));
            out.push(FromWorker::Packet { rung: 0, pts, dts: pts, duration: grid.rate.period(), key });
            self.next_slot += 1;
        }
        while MediaTime::from_scale(self.next_frame * 1024, 48_000) < to {
            let pts = MediaTime::from_scale(self.next_frame * 1024, 48_000);
            out.push(FromWorker::Packet { rung: 1, pts, dts: pts, duration: Ticks::from_scale(1024, 48_000), key: true });
            self.next_frame += 1;
        }
        out
    }
}

#[test]
fn the_pattern_is_listed_at_once_and_then_every_four_seconds() {
    let mut simulation = Simulation::new(Idle::Pattern, None);
    simulation.pass(2 * TICK_MS);
    assert!(!simulation.sequences.is_empty(), "a whole segment lies in the past");
    simulation.pass(20_000);
    assert!((6..=7).contains(&simulation.sequences.len()), "{:?}", simulation.sequences);
    assert!(simulation.numbers_are_consecutive());
    assert_eq!(simulation.programme.status(simulation.now).state, State::Waiting);
    assert_eq!(simulation.programme.status(simulation.now).feed, "pattern");
}

#[test]
fn a_worker_that_dies_costs_no_number_and_no_discontinuity() {
    let mut simulation = Simulation::new(Idle::Pattern, None);
    simulation.publish(vec![video_track(Some(Rate::new(25, 1)))]);
    simulation.pictures(5_000, 150);
    let before = simulation.worker.as_ref().unwrap().id;
    let published = simulation.sequences.last().unwrap().end;
    simulation.programme.worker_gone(before, "killed by signal 9", simulation.now);
    simulation.pictures(11_000, 150);
    let worker = simulation.worker.as_ref().unwrap();
    assert_ne!(worker.id, before);
    assert_eq!(simulation.ended, [before]);
    assert_eq!(worker.heard[..2], ["open", "tracks"]);
    let start = worker.open.as_ref().map(|open| open.grid.start(open.start)).unwrap();
    assert_eq!(start, published, "resumes at the commit point");
    assert!(worker.units[0] <= start && start - worker.units[0] <= Ticks::from_millis(2_000), "from the keyframe before it");
    assert!(simulation.numbers_are_consecutive());
    assert!(!simulation.playlist().contains("DISCONTINUITY\n"), "{}", simulation.playlist());
}

#[test]
fn a_worker_that_stands_still_is_replaced() {
    let mut simulation = Simulation::new(Idle::Pattern, None);
    simulation.pass(4_000);
    simulation.worker.as_mut().unwrap().stopped = true;
    simulation.pass(8_000);
    assert_eq!(simulation.ended, [1]);
    simulation.pass(8_000);
    assert!(simulation.numbers_are_consecutive());
    assert_eq!(simulation.programme.status(simulation.now).worker_restarts, 1);
}

#[test]
fn pattern_publisher_pattern_is_one_programme() {
    let mut simulation = Simulation::new(Idle::Pattern, None);
    simulation.pass(8_000);
    simulation.publish(vec![video_track(None), audio_track()]);
    simulation.pictures(77_000, 100);
    assert_eq!(simulation.programme.status(simulation.now).state, State::Live);
    assert_eq!(simulation.programme.status(simulation.now).feed, "publisher");
    simulation.programme.feed_closed(0, simulation.now);
    simulation.pass(8_000);
    let status = simulation.programme.status(simulation.now);
    assert_eq!((status.state, status.feed.as_str()), (State::Slate, "pattern"));
    assert_eq!(simulation.worker.as_ref().unwrap().heard, ["open", "tracks", "end"]);
    assert!(simulation.numbers_are_consecutive());
    assert!(!simulation.playlist().contains("EXT-X-DISCONTINUITY\n"));
}

#[test]
fn the_first_source_decides_the_grid() {
    let mut simulation = Simulation::new(Idle::Wait, None);
    simulation.pass(3_000);
    assert!(simulation.worker.is_none());
    assert_eq!(simulation.programme.status(simulation.now).feed, "none");
    simulation.publish(vec![video_track(None)]);
    simulation.pictures(0, 40);
    let open = simulation.worker.as_ref().unwrap().open.clone().unwrap();
    assert_eq!(open.grid.rate, Rate::new(25, 1));
    assert_eq!(simulation.worker.as_ref().unwrap().units[0], open.grid.start(open.start), "begins with the first picture");
}

#[test]
fn a_publisher_faster_than_real_time_waits() {
    let mut simulation = Simulation::new(Idle::Pattern, None);
    simulation.publish(vec![video_track(None)]);
    let mut taken = 0;
    while simulation.programme.wants_feed(0, simulation.now) && taken < 1_000 {
        let unit =
            SourceUnit { track: 0, dts: Ticks::from_millis(taken * 40), offset: Ticks::ZERO, entry: taken % 50 == 0, data: Bytes::new() };
        simulation.programme.feed_event(0, FeedEvent::Unit(unit), simulation.now);
        taken += 1;
    }
    assert!((24..=27).contains(&taken), "{taken} pictures are a second");
    simulation.pass(1_000);
    assert!(simulation.programme.wants_feed(0, simulation.now));
}

#[test]
fn numbers_go_on_after_a_restart_of_the_front_even_if_the_clock_went_back() {
    let last = Sequence { number: 900_000_000, end: MediaTime::from_scale(1_700_000_000, 1) };
    let mut simulation = Simulation::new(Idle::Pattern, Some(last));
    simulation.pass(4_000);
    assert_eq!(simulation.sequences[0].number, 900_000_001);
    assert!(simulation.playlist().contains("#EXT-X-DISCONTINUITY\n"));
}

#[test]
fn a_clock_that_was_ahead_by_an_hour_does_not_keep_the_channel_off_the_air_for_an_hour() {
    let end = WallTime(1_790_000_001_234_567).as_media() + Ticks::from_millis(3_600_000);
    let mut simulation = Simulation::new(Idle::Pattern, Some(Sequence { number: 900_000_000, end }));
    simulation.pass(8_000);
    assert!(simulation.playlist().contains("#EXT-X-MEDIA-SEQUENCE:900000001\n"), "{}", simulation.playlist());
}

#[test]
fn packets_of_a_worker_that_was_replaced_are_dropped() {
    let mut simulation = Simulation::new(Idle::Pattern, None);
    simulation.pass(4_000);
    simulation.programme.worker_gone(1, "killed", simulation.now);
    let listed = simulation.sequences.len();
    let stray = Packet { rung: 0, pts: MediaTime(0), dts: MediaTime(0), duration: Ticks(1), key: true, data: Bytes::new() };
    let message = FromWorker::Packet { rung: 0, pts: stray.pts, dts: stray.dts, duration: stray.duration, key: true };
    simulation.programme.worker_message(1, message, Bytes::new(), simulation.now);
    simulation.settle();
    assert_eq!(simulation.sequences.len(), listed);
}

/// Two feeds in real time: units of each while its span lasts; what is seen of each by the worker is told by the size of the data.
fn two_feeds(simulation: &mut Simulation, millis: u64, delivers: impl Fn(usize, u64) -> bool) {
    for n in 0..millis / TICK_MS {
        for index in 0..2 {
            if delivers(index, n * TICK_MS) {
                let dts = Ticks::from_millis((n * TICK_MS) as i64 + 1_000_000 * index as i64);
                let entry = (n + 13 * index as u64).is_multiple_of(50);
                let data = Bytes::from_static(if index == 0 { b"main" } else { b"backup" });
                let unit = SourceUnit { track: 0, dts, offset: Ticks::ZERO, entry, data };
                simulation.programme.feed_event(index, FeedEvent::Unit(unit), simulation.now);
            }
        }
        simulation.pass(TICK_MS);
    }
}

fn with_two_feeds() -> Simulation {
    let clock = ProgrammeClock::starting(Mono(0), WallTime(1_790_000_001_234_567));
    let mut plan = plan(Idle::Pattern);
    let feed = |name: &str| FeedPlan { name: name.into(), source: crate::channel::plan::FeedSource::Publish(StreamKey::new(name)) };
    plan.feeds = vec![feed("main"), feed("backup")];
    let mut programme = Programme::new(plan, clock, 2, SeatDesk::default(), None);
    programme.start(Mono(0));
    let mut simulation =
        Simulation { programme, now: Mono(0), worker: None, files: BTreeMap::new(), sequences: Vec::new(), ended: Vec::new() };
    for (index, name) in ["main", "backup"].into_iter().enumerate() {
        let info = FeedInfo { index, name: name.into(), peer: "192.0.2.1:1".into(), wrap: Ticks::from_millis(1 << 32) };
        simulation.programme.feed_opened(info, simulation.now);
        simulation.programme.feed_event(index, FeedEvent::Tracks(vec![video_track(Some(Rate::new(25, 1)))]), simulation.now);
    }
    simulation
}

#[test]
fn a_backup_takes_over_within_its_last_gop_and_gives_the_place_back() {
    let mut simulation = with_two_feeds();
    two_feeds(&mut simulation, 60_000, |index, at| index == 1 || !(10_000..15_000).contains(&at));
    let worker = simulation.worker.as_ref().unwrap();
    assert_eq!(worker.heard, ["open", "tracks", "tracks", "tracks"], "main, backup, main; the worker is the same");
    assert_eq!(worker.shown, [4, 6, 4]);
    let steps = worker.units.windows(2).map(|pair| pair[1] - pair[0]);
    let holes: Vec<i64> = steps.map(|step| step.as_millis()).filter(|step| *step > 60).collect();
    assert_eq!(holes, [1_520], "from main's last picture to backup's last entry before the switch, and none at the return");
    assert_eq!(simulation.programme.status(simulation.now).feed, "main");
    assert!(simulation.numbers_are_consecutive() && !simulation.playlist().contains("EXT-X-DISCONTINUITY\n"));
}

#[test]
fn an_operator_changes_the_feed_without_a_seam() {
    let mut simulation = with_two_feeds();
    two_feeds(&mut simulation, 8_000, |_, _| true);
    simulation.programme.ask_feed(Some(1), simulation.now);
    assert_eq!(simulation.programme.status(simulation.now).feed, "backup", "at once: its last entry is at hand");
    simulation.programme.ask_feed(None, simulation.now);
    two_feeds(&mut simulation, 40_000, |_, _| true);
    assert_eq!(simulation.programme.status(simulation.now).feed, "main");
    assert!(simulation.numbers_are_consecutive());
}

#[test]
fn a_feed_that_pauses_is_held_then_covered_then_live_again() {
    let mut simulation = Simulation::new(Idle::Pattern, None);
    simulation.publish(vec![video_track(None)]);
    simulation.pictures(0, 50);
    let mut states = vec![simulation.programme.status(simulation.now).state];
    for _ in 0..3 {
        simulation.pass(1_200);
        states.push(simulation.programme.status(simulation.now).state);
    }
    simulation.pictures(5_600, 50);
    states.push(simulation.programme.status(simulation.now).state);
    assert_eq!(states, [State::Live, State::Holding, State::Slate, State::Slate, State::Live]);
    assert!(simulation.numbers_are_consecutive());
}

#[test]
fn a_recorded_feed_makes_the_same_segments_again() {
    let run = || {
        let mut simulation = with_two_feeds();
        two_feeds(&mut simulation, 30_000, |index, at| index == 1 || !(10_000..15_000).contains(&at) && at % 7 != 0);
        (simulation.files, simulation.sequences)
    };
    let (one, other) = (run(), run());
    assert!(one.0.len() > 5 && one == other);
}

#[test]
fn a_feed_whose_quarantine_ends_while_it_is_away_is_taken_up_when_it_returns() {
    let mut simulation = Simulation::new(Idle::Pattern, None);
    for _ in 0..9 {
        simulation.publish(vec![video_track(None)]);
        simulation.pictures(0, 10);
        let id = simulation.worker.as_ref().unwrap().id;
        simulation.programme.worker_gone(id, "killed", simulation.now);
        simulation.programme.feed_closed(0, simulation.now);
        simulation.settle();
    }
    assert_eq!(simulation.programme.status(simulation.now).quarantined, ["publisher"]);
    simulation.publish(vec![video_track(None)]);
    simulation.pictures(0, 25);
    assert_ne!(simulation.programme.status(simulation.now).state, State::Live, "left out, although it has come back");
    simulation.programme.feed_closed(0, simulation.now);
    simulation.pass(10_000);
    simulation.publish(vec![video_track(None)]);
    simulation.pictures(0, 75);
    assert_eq!(simulation.programme.status(simulation.now).state, State::Live);
}
