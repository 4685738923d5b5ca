//! A channel with its source and its workers in simulated time.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::{Fault, MediaTime, Mono, Ticks, WallTime};
use crate::channel::clock::ProgrammeClock;
use crate::channel::feed::{FeedEvent, SourceUnit};
use crate::channel::plan::{ChannelPlan, Idle};
use crate::channel::programme::tests::{audio_track, plan, video_track};
use crate::channel::programme::{Action, FeedInfo, Programme};
use crate::channel::seats::{Lease, SeatDesk};
use crate::channel::sequence::Sequence;
use crate::channel::status::State;
use crate::media::Slot;
use crate::media::Track;
use crate::media::device::Seat;
use crate::pack::Change;
use crate::placement::{DeviceWish, Priority};
use crate::wire::link::{FromWorker, Open, RungConfig, Stage, ToWorker};
use crate::worker::conform::{Conform, Show};

pub(super) const STEP: Duration = Duration::from_millis(40);
/// Pictures of a GOP of the source.
pub(super) const GOP: i64 = 48;
/// Pictures that the decoder and the encoder of a worker hold back.
pub(super) const DECODER_HOLDS: usize = 3;
pub(super) const ENCODER_HOLDS: usize = 12;
/// Messages that a worker takes in a step: it catches up about four times as fast as real time.
pub(super) const SPEED: usize = 16;
/// Steps from the start of a worker to its first message.
pub(super) const START_STEPS: u32 = 3;
pub(super) const FILL: i64 = -1;

/// Decodes, conforms and encodes as a worker does; each packet holds the number of the picture that its slot shows.
pub(super) struct Worker {
    pub(super) id: u64,
    pub(super) starting: u32,
    pub(super) open: Option<Open>,
    pub(super) conform: Option<Conform<i64>>,
    pub(super) awaits_entry: bool,
    pub(super) decoder: BTreeMap<MediaTime, i64>,
    pub(super) encoder: VecDeque<(Slot, i64)>,
    pub(super) next_frame: i64,
    pub(super) has_stopped: bool,
    pub(super) has_left: bool,
    pub(super) says: VecDeque<(FromWorker, Bytes)>,
    /// Given back when it ends.
    pub(super) lease: Option<Arc<Lease>>,
}

impl Worker {
    pub(super) fn new(id: u64) -> Worker {
        Worker {
            id,
            starting: START_STEPS,
            open: None,
            conform: None,
            awaits_entry: true,
            decoder: BTreeMap::new(),
            encoder: VecDeque::new(),
            next_frame: 0,
            has_stopped: false,
            has_left: false,
            says: VecDeque::new(),
            lease: None,
        }
    }

    pub(super) fn hear(&mut self, message: ToWorker, data: &Bytes) {
        match message {
            ToWorker::Open(open) => {
                self.conform = Some(Conform::new(open.grid, open.start, open.hold, true));
                self.next_frame = (open.grid.start(open.start).in_scale(48_000) - 512 + 1023).div_euclid(1024);
                let video = match open.seat {
                    Seat::Software => video_track(None),
                    Seat::Cuda(_) => device_track(),
                };
                let videos = std::iter::repeat_n(video, open.rungs.len());
                let configs = videos.chain([audio_track()]).map(|track| RungConfig { track, reorder: Ticks::ZERO });
                self.says.push_back((FromWorker::Opened { configs: configs.collect() }, Bytes::new()));
                self.open = Some(*open);
            }
            ToWorker::Tracks(_) => {
                self.show_decoded(0);
                self.awaits_entry = true;
            }
            ToWorker::Au { track: 0, pts, entry, .. } => {
                self.awaits_entry &= !entry;
                if !self.awaits_entry {
                    self.decoder.insert(pts, i64::from_be_bytes(data[..8].try_into().expect("a number")));
                    self.show_decoded(DECODER_HOLDS);
                }
            }
            ToWorker::InputEnd => {
                self.show_decoded(0);
                self.conform.as_mut().expect("open").end();
            }
            ToWorker::Advance { to } => self.advance(to),
            ToWorker::Drain => {
                self.show_decoded(0);
                self.encode(0);
                self.says.push_back((FromWorker::Drained, Bytes::new()));
                self.has_left = true;
            }
            _ => {}
        }
    }

    pub(super) fn show_decoded(&mut self, holds: usize) {
        while self.decoder.len() > holds {
            let (pts, number) = self.decoder.pop_first().expect("it holds some");
            let encoder = &mut self.encoder;
            let mut emit = |slot, show| -> Result<(), Infallible> {
                encoder.push_back((slot, shown(show)));
                Ok(())
            };
            let _ = self.conform.as_mut().expect("open").picture(pts, number, &mut emit);
        }
        self.encode(ENCODER_HOLDS);
    }

    pub(super) fn advance(&mut self, to: MediaTime) {
        let encoder = &mut self.encoder;
        let mut emit = |slot, show| -> Result<(), Infallible> {
            encoder.push_back((slot, shown(show)));
            Ok(())
        };
        let _ = self.conform.as_mut().expect("open").advance(to, &mut emit);
        while MediaTime::from_scale(self.next_frame * 1024, 48_000) < to {
            let pts = MediaTime::from_scale(self.next_frame * 1024, 48_000);
            let rung = self.open.as_ref().expect("open").rungs.len() as u8;
            let packet = FromWorker::Packet { rung, pts, dts: pts, duration: Ticks::from_scale(1024, 48_000), key: true };
            self.says.push_back((packet, labelled(b"SND", self.next_frame)));
            self.next_frame += 1;
        }
        self.encode(ENCODER_HOLDS);
    }

    pub(super) fn encode(&mut self, holds: usize) {
        if let Some((slot, _)) = self.encoder.back() {
            let pts = self.open.as_ref().expect("open").grid.start(*slot);
            self.says.push_back((
                FromWorker::Progress {
                    stage: Stage::Scale,
                    pts,
                    done: slot.0 as u64,
                    dropped: 0,
                    queued: 0,
                    lag: Ticks::ZERO,
                    busy_percent: 0,
                },
                Bytes::new(),
            ));
        }
        let grid = self.open.as_ref().expect("open").grid;
        while self.encoder.len() > holds {
            let (slot, number) = self.encoder.pop_front().expect("it holds some");
            let pts = grid.start(slot);
            let data: Bytes = [labelled(b"PIC", number), labelled(b"WRK", self.id as i64)].concat().into();
            for rung in 0..self.open.as_ref().expect("open").rungs.len() as u8 {
                let packet = FromWorker::Packet { rung, pts, dts: pts, duration: grid.rate.period(), key: grid.is_key(slot) };
                self.says.push_back((packet, data.clone()));
            }
        }
    }
}

/// What an encoder on a device makes: the same pictures under other parameter sets.
fn device_track() -> Track {
    let Track::Video(mut track) = video_track(None) else { panic!("a video track") };
    let mut config = track.config.to_vec();
    let at = config.len() - 5;
    config[at] ^= 0x01;
    track.config = config.into();
    Track::Video(track)
}

pub(super) fn shown(show: Show<i64>) -> i64 {
    match show {
        Show::Picture(number) | Show::Hold(number) => number,
        Show::Fill => FILL,
    }
}

/// A unit of an IDR slice that holds a name and a number.
pub(super) fn labelled(name: &[u8; 3], number: i64) -> Bytes {
    Bytes::from([&[0, 0, 0, 12, 0x65][..], name, &number.to_be_bytes()].concat())
}

pub(super) fn labels(name: &[u8; 3], data: &[u8]) -> Vec<i64> {
    let found = data.windows(11).filter(|window| window[..3] == name[..]);
    found.map(|window| i64::from_be_bytes(window[3..].try_into().expect("eight bytes"))).collect()
}

/// Numbers of the pictures of a GOP in decode order: I P b b P b b ... P b.
pub(super) fn decode_order() -> Vec<i64> {
    let mut order = vec![0];
    (3..GOP).step_by(3).for_each(|p| order.extend([p, p - 2, p - 1]));
    order.extend([GOP - 1, GOP - 2]);
    order
}

/// A channel with one rung, its source, its workers.
pub(super) struct House {
    pub(super) programme: Programme,
    pub(super) now: Mono,
    pub(super) present: Option<Worker>,
    pub(super) leaving: Option<Worker>,
    pub(super) sequences: Vec<Sequence>,
    pub(super) listed_at: Vec<Mono>,
    pub(super) pictures: Vec<i64>,
    pub(super) sounds: Vec<i64>,
    pub(super) playlist: String,
    pub(super) master: String,
    /// Files of what the channel was before.
    pub(super) retired: Vec<String>,
    /// Workers with more rungs than this die before they open them.
    pub(super) most_rungs: usize,
    /// Pictures that the source has sent.
    pub(super) sent: i64,
    /// A picture that kills whoever decodes it.
    pub(super) poison: Option<i64>,
    pub(super) deaths: u32,
    /// The worker that is told to drain dies before it says anything more.
    pub(super) dies_draining: bool,
    /// It says nothing more and does not die either.
    pub(super) hangs_draining: bool,
}

impl House {
    pub(super) fn new() -> House {
        House::seated("demo", SeatDesk::default(), DeviceWish::default())
    }

    /// On a machine with devices.
    pub(super) fn seated(name: &str, seats: SeatDesk, device: DeviceWish) -> House {
        House::placed(name, seats, device, Priority::Main)
    }

    /// Among channels that come first, or that it comes before.
    pub(super) fn placed(name: &str, seats: SeatDesk, device: DeviceWish, priority: Priority) -> House {
        let plan = ChannelPlan { name: name.into(), segment: Ticks::from_millis(2_000), device, priority, ..plan(Idle::Pattern) };
        let clock = ProgrammeClock::starting(Mono(0), WallTime(1_790_000_001_234_567));
        let mut programme = Programme::new(plan, clock, 2, seats, None);
        programme.start(Mono(0));
        House {
            programme,
            now: Mono(0),
            present: None,
            leaving: None,
            sequences: Vec::new(),
            listed_at: Vec::new(),
            pictures: Vec::new(),
            sounds: Vec::new(),
            playlist: String::new(),
            master: String::new(),
            retired: Vec::new(),
            most_rungs: usize::MAX,
            sent: 0,
            poison: None,
            deaths: 0,
            dies_draining: false,
            hangs_draining: false,
        }
    }

    /// On the air for six seconds with the source.
    pub(super) fn live() -> House {
        House::new().on_air()
    }

    pub(super) fn on_air(self) -> House {
        let mut house = self;
        house.publish();
        house.run(150);
        assert_eq!(house.programme.status(house.now).state, State::Live);
        house
    }

    pub(super) fn publish(&mut self) {
        let info = FeedInfo { index: 0, name: "publisher".into(), peer: "192.0.2.1:1".into(), wrap: Ticks::from_millis(1 << 32) };
        self.programme.feed_opened(info, self.now);
        self.programme.feed_event(0, FeedEvent::Tracks(vec![video_track(None)]), self.now);
    }

    /// Steps of 40 ms, in each of which the source sends a picture.
    pub(super) fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.feed_picture();
            self.step();
        }
    }

    pub(super) fn feed_picture(&mut self) {
        let number = self.sent / GOP * GOP + decode_order()[(self.sent % GOP) as usize];
        let dts = Ticks::from_millis(self.sent * 40);
        let offset = Ticks::from_millis(number * 40 + 80) - dts;
        let data = Bytes::copy_from_slice(&number.to_be_bytes());
        let unit = SourceUnit { track: 0, dts, offset, entry: self.sent % GOP == 0, data };
        self.programme.feed_event(0, FeedEvent::Unit(unit), self.now);
        self.sent += 1;
    }

    pub(super) fn step(&mut self) {
        self.now = self.now.after(STEP);
        self.programme.tick(self.now);
        self.act();
        self.work();
        self.hear();
        self.act();
    }

    pub(super) fn act(&mut self) {
        for action in self.programme.take_actions() {
            match action {
                Action::StartWorker(id, lease) => self.present = Some(Worker { lease: Some(lease), ..Worker::new(id) }),
                Action::SetAside(id) => self.leaving = self.present.take_if(|worker| worker.id == id),
                Action::EndWorker(id) => {
                    self.present.take_if(|worker| worker.id == id);
                    self.leaving.take_if(|worker| worker.id == id);
                }
                Action::Thumbnail(_) => {}
                Action::Retire(paths, _) => self.retired.extend(paths),
                Action::Apply(changes) => changes.into_iter().for_each(|change| self.list(change)),
                Action::Remember(sequence) => {
                    self.sequences.push(sequence);
                    self.listed_at.push(self.now);
                }
            }
        }
    }

    pub(super) fn list(&mut self, change: Change) {
        let Change::Put { path, body, .. } = change else { return };
        if path == "360p/playlist.m3u8" {
            self.playlist = String::from_utf8(body.to_vec()).expect("text");
        } else if path == "master.m3u8" {
            self.master = String::from_utf8(body.to_vec()).expect("text");
        } else if path.ends_with(".m4s") && (path.starts_with("360p/") || path.starts_with("audio/")) {
            let makers = labels(b"WRK", &body);
            assert!(makers.windows(2).all(|pair| pair[0] == pair[1]), "{path} refers to pictures of another encoder: {makers:?}");
            self.pictures.extend(labels(b"PIC", &body));
            self.sounds.extend(labels(b"SND", &body));
        }
    }

    /// The present worker takes as many messages as it can in a step.
    pub(super) fn work(&mut self) {
        for _ in 0..SPEED {
            let Some(worker) = self.present.as_mut().filter(|worker| !worker.has_stopped) else { return };
            if worker.starting > 0 {
                worker.starting -= 1;
                return;
            }
            let Some((message, data)) = self.programme.next_message() else { return };
            let number =
                matches!(message, ToWorker::Au { track: 0, .. }).then(|| i64::from_be_bytes(data[..8].try_into().expect("a number")));
            if matches!(&message, ToWorker::Open(open) if open.rungs.len() > self.most_rungs) {
                self.deaths += 1;
                self.kill();
                self.act();
                return;
            }
            worker.hear(message, &data);
            if number.is_some() && number == self.poison {
                self.deaths += 1;
                self.kill();
            }
            self.act();
        }
    }

    pub(super) fn hear(&mut self) {
        if self.dies_draining
            && let Some(leaving) = self.leaving.take()
        {
            self.programme.worker_gone(leaving.id, "killed by signal 9", self.now);
        }
        for (worker, hangs) in [(&mut self.leaving, self.hangs_draining), (&mut self.present, false)] {
            let Some(worker) = worker.as_mut().filter(|_| !hangs) else { continue };
            while let Some((message, data)) = worker.says.pop_front() {
                self.programme.worker_message(worker.id, message, data, self.now);
            }
        }
    }

    /// The present worker says what is wrong with it.
    pub(super) fn complain(&mut self, fault: Fault) {
        let id = self.present.as_ref().expect("a worker").id;
        let message = FromWorker::Fault { fault, place: "encode".into(), detail: "the driver said no".into() };
        self.programme.worker_message(id, message, Bytes::new(), self.now);
        self.act();
    }

    /// It says so and ends.
    pub(super) fn fail(&mut self, fault: Fault) {
        self.complain(fault);
        self.kill();
        self.act();
    }

    /// Where the present worker sits.
    pub(super) fn seat(&self) -> Option<&str> {
        self.present.as_ref().and_then(|worker| worker.lease.as_ref()).map(|lease| lease.name())
    }

    /// SIGKILL: what the worker has not said is lost.
    pub(super) fn kill(&mut self) {
        if let Some(worker) = self.present.take() {
            self.programme.worker_gone(worker.id, "killed by signal 9", self.now);
        }
    }

    /// Every slot once, every picture of the source once and in order, every frame of sound once; no number missing.
    pub(super) fn assert_unbroken(&self) {
        self.assert_unbroken_but_for(0);
    }

    /// The same with so many changes of parameter sets.
    pub(super) fn assert_unbroken_but_for(&self, discontinuities: usize) {
        assert!(self.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "{:?}", self.sequences);
        assert_eq!(self.playlist.matches("EXT-X-DISCONTINUITY\n").count(), discontinuities, "{}", self.playlist);
        assert_eq!(self.playlist.matches("EXT-X-MAP").count(), discontinuities + 1, "{}", self.playlist);
        let first = self.pictures.iter().position(|number| *number == 0).expect("the first picture is listed");
        assert!(self.pictures[..first].iter().all(|number| *number == FILL));
        let odd = self.pictures[first..].iter().enumerate().find(|(index, number)| **number != *index as i64);
        assert_eq!(odd, None, "around it: {:?}", odd.map(|(index, _)| &self.pictures[(first + index).saturating_sub(5)..][..10]));
        let slots: i64 = self.sequences.len() as i64 * 50;
        assert_eq!(self.pictures.len() as i64, slots);
        assert!(self.sounds.windows(2).all(|pair| pair[1] == pair[0] + 1), "frames of sound are missing or doubled");
    }

    /// How long after its end on the programme's clock the latest of the segments was listed, in steps, start-up apart.
    pub(super) fn latest(&self) -> i64 {
        let late = |(sequence, at): (&Sequence, &Mono)| (self.programme.clock.at(*at) - sequence.end).as_millis() / STEP.as_millis() as i64;
        self.sequences.iter().zip(&self.listed_at).skip(2).map(late).max().unwrap_or(0)
    }

    /// The longest time from one listing to the next, in steps.
    pub(super) fn longest_wait(&self) -> u128 {
        let waits = self.listed_at.windows(2).map(|pair| pair[1].since(pair[0]).as_millis() / STEP.as_millis());
        waits.max().unwrap_or(0)
    }
}
