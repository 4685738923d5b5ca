//! Workers die, stand still and are changed, in simulated time: what is listed shows every picture of the source once, in order.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use proptest::prelude::*;

use super::super::tests::{audio_track, plan, video_track};
use super::super::*;
use super::*;
use crate::base::WallTime;
use crate::channel::plan::ChannelPlan;
use crate::wire::link::{Open, RungConfig, Stage};
use crate::worker::conform::{Conform, Show};

const STEP: Duration = Duration::from_millis(40);
/// Pictures of a GOP of the source.
const GOP: i64 = 48;
/// Pictures that the decoder and the encoder of a worker hold back.
const DECODER_HOLDS: usize = 3;
const ENCODER_HOLDS: usize = 12;
/// Messages that a worker takes in a step: it catches up about four times as fast as real time.
const SPEED: usize = 16;
/// Steps from the start of a worker to its first message.
const START_STEPS: u32 = 3;
const FILL: i64 = -1;

/// Decodes, conforms and encodes as a worker does; each packet holds the number of the picture that its slot shows.
struct Worker {
    id: u64,
    starting: u32,
    open: Option<Open>,
    conform: Option<Conform<i64>>,
    awaits_entry: bool,
    decoder: BTreeMap<MediaTime, i64>,
    encoder: VecDeque<(Slot, i64)>,
    next_frame: i64,
    has_stopped: bool,
    has_left: bool,
    says: VecDeque<(FromWorker, Bytes)>,
}

impl Worker {
    fn new(id: u64) -> Worker {
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
        }
    }

    fn hear(&mut self, message: ToWorker, data: &Bytes) {
        match message {
            ToWorker::Open(open) => {
                self.conform = Some(Conform::new(open.grid, open.start, open.hold, true));
                self.next_frame = (open.grid.start(open.start).in_scale(48_000) - 512 + 1023).div_euclid(1024);
                self.open = Some(*open);
                let configs = [video_track(None), audio_track()].map(|track| RungConfig { track, reorder: Ticks::ZERO });
                self.says.push_back((FromWorker::Opened { configs: configs.to_vec() }, Bytes::new()));
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

    fn show_decoded(&mut self, holds: usize) {
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

    fn advance(&mut self, to: MediaTime) {
        let encoder = &mut self.encoder;
        let mut emit = |slot, show| -> Result<(), Infallible> {
            encoder.push_back((slot, shown(show)));
            Ok(())
        };
        let _ = self.conform.as_mut().expect("open").advance(to, &mut emit);
        while MediaTime::from_scale(self.next_frame * 1024, 48_000) < to {
            let pts = MediaTime::from_scale(self.next_frame * 1024, 48_000);
            let packet = FromWorker::Packet { rung: 1, pts, dts: pts, duration: Ticks::from_scale(1024, 48_000), key: true };
            self.says.push_back((packet, labelled(b"SND", self.next_frame)));
            self.next_frame += 1;
        }
        self.encode(ENCODER_HOLDS);
    }

    fn encode(&mut self, holds: usize) {
        if let Some((slot, _)) = self.encoder.back() {
            let pts = self.open.as_ref().expect("open").grid.start(*slot);
            self.says
                .push_back((FromWorker::Progress { stage: Stage::Scale, pts, done: slot.0 as u64, dropped: 0, queued: 0 }, Bytes::new()));
        }
        let grid = self.open.as_ref().expect("open").grid;
        while self.encoder.len() > holds {
            let (slot, number) = self.encoder.pop_front().expect("it holds some");
            let pts = grid.start(slot);
            let packet = FromWorker::Packet { rung: 0, pts, dts: pts, duration: grid.rate.period(), key: grid.is_key(slot) };
            self.says.push_back((packet, [labelled(b"PIC", number), labelled(b"WRK", self.id as i64)].concat().into()));
        }
    }
}

fn shown(show: Show<i64>) -> i64 {
    match show {
        Show::Picture(number) | Show::Hold(number) => number,
        Show::Fill => FILL,
    }
}

/// A unit of an IDR slice that holds a name and a number.
fn labelled(name: &[u8; 3], number: i64) -> Bytes {
    Bytes::from([&[0, 0, 0, 12, 0x65][..], name, &number.to_be_bytes()].concat())
}

fn labels(name: &[u8; 3], data: &[u8]) -> Vec<i64> {
    let found = data.windows(11).filter(|window| window[..3] == name[..]);
    found.map(|window| i64::from_be_bytes(window[3..].try_into().expect("eight bytes"))).collect()
}

/// Numbers of the pictures of a GOP in decode order: I P b b P b b ... P b.
fn decode_order() -> Vec<i64> {
    let mut order = vec![0];
    (3..GOP).step_by(3).for_each(|p| order.extend([p, p - 2, p - 1]));
    order.extend([GOP - 1, GOP - 2]);
    order
}

/// A channel with one rung, its source, its workers.
struct House {
    programme: Programme,
    now: Mono,
    present: Option<Worker>,
    leaving: Option<Worker>,
    sequences: Vec<Sequence>,
    listed_at: Vec<Mono>,
    pictures: Vec<i64>,
    sounds: Vec<i64>,
    playlist: String,
    /// Pictures that the source has sent.
    sent: i64,
    /// A picture that kills whoever decodes it.
    poison: Option<i64>,
    deaths: u32,
    /// The worker that is told to drain dies before it says anything more.
    dies_draining: bool,
    /// It says nothing more and does not die either.
    hangs_draining: bool,
}

impl House {
    fn new() -> House {
        let plan = ChannelPlan { segment: Ticks::from_millis(2_000), ..plan(Idle::Pattern) };
        let clock = ProgrammeClock::starting(Mono(0), WallTime(1_790_000_001_234_567));
        let mut programme = Programme::new(plan, clock, 2, None);
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
            sent: 0,
            poison: None,
            deaths: 0,
            dies_draining: false,
            hangs_draining: false,
        }
    }

    /// On the air for six seconds with the source.
    fn live() -> House {
        let mut house = House::new();
        house.publish();
        house.run(150);
        assert_eq!(house.programme.status(house.now).state, State::Live);
        house
    }

    fn publish(&mut self) {
        let info = FeedInfo { name: "publisher".into(), peer: "192.0.2.1:1".into(), wrap: Ticks::from_millis(1 << 32) };
        self.programme.feed_opened(info, self.now);
        self.programme.feed_event(FeedEvent::Tracks(vec![video_track(None)]), self.now);
    }

    /// Steps of 40 ms, in each of which the source sends a picture.
    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.feed_picture();
            self.step();
        }
    }

    fn feed_picture(&mut self) {
        let number = self.sent / GOP * GOP + decode_order()[(self.sent % GOP) as usize];
        let dts = Ticks::from_millis(self.sent * 40);
        let offset = Ticks::from_millis(number * 40 + 80) - dts;
        let data = Bytes::copy_from_slice(&number.to_be_bytes());
        let unit = SourceUnit { track: 0, dts, offset, entry: self.sent % GOP == 0, data };
        self.programme.feed_event(FeedEvent::Unit(unit), self.now);
        self.sent += 1;
    }

    fn step(&mut self) {
        self.now = self.now.after(STEP);
        self.programme.tick(self.now);
        self.act();
        self.work();
        self.hear();
        self.act();
    }

    fn act(&mut self) {
        for action in self.programme.take_actions() {
            match action {
                Action::StartWorker(id) => self.present = Some(Worker::new(id)),
                Action::SetAside(id) => self.leaving = self.present.take_if(|worker| worker.id == id),
                Action::EndWorker(id) => {
                    self.present.take_if(|worker| worker.id == id);
                    self.leaving.take_if(|worker| worker.id == id);
                }
                Action::Apply(changes) => changes.into_iter().for_each(|change| self.list(change)),
                Action::Remember(sequence) => {
                    self.sequences.push(sequence);
                    self.listed_at.push(self.now);
                }
            }
        }
    }

    fn list(&mut self, change: Change) {
        let Change::Put { path, body, .. } = change else { return };
        if path == "360p/playlist.m3u8" {
            self.playlist = String::from_utf8(body.to_vec()).expect("text");
        } else if path.ends_with(".m4s") {
            let makers = labels(b"WRK", &body);
            assert!(makers.windows(2).all(|pair| pair[0] == pair[1]), "{path} refers to pictures of another encoder: {makers:?}");
            self.pictures.extend(labels(b"PIC", &body));
            self.sounds.extend(labels(b"SND", &body));
        }
    }

    /// The present worker takes as many messages as it can in a step.
    fn work(&mut self) {
        for _ in 0..SPEED {
            let Some(worker) = self.present.as_mut().filter(|worker| !worker.has_stopped) else { return };
            if worker.starting > 0 {
                worker.starting -= 1;
                return;
            }
            let Some((message, data)) = self.programme.next_message() else { return };
            let number =
                matches!(message, ToWorker::Au { track: 0, .. }).then(|| i64::from_be_bytes(data[..8].try_into().expect("a number")));
            worker.hear(message, &data);
            if number.is_some() && number == self.poison {
                self.deaths += 1;
                self.kill();
            }
            self.act();
        }
    }

    fn hear(&mut self) {
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

    /// SIGKILL: what the worker has not said is lost.
    fn kill(&mut self) {
        if let Some(worker) = self.present.take() {
            self.programme.worker_gone(worker.id, "killed by signal 9", self.now);
        }
    }

    /// Every slot once, every picture of the source once and in order, every frame of sound once; no number missing.
    fn assert_unbroken(&self) {
        assert!(self.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "{:?}", self.sequences);
        assert!(!self.playlist.contains("EXT-X-DISCONTINUITY\n"), "{}", self.playlist);
        let first = self.pictures.iter().position(|number| *number == 0).expect("the first picture is listed");
        assert!(self.pictures[..first].iter().all(|number| *number == FILL));
        let odd = self.pictures[first..].iter().enumerate().find(|(index, number)| **number != *index as i64);
        assert_eq!(odd, None, "around it: {:?}", odd.map(|(index, _)| &self.pictures[(first + index).saturating_sub(5)..][..10]));
        let slots: i64 = self.sequences.len() as i64 * 50;
        assert_eq!(self.pictures.len() as i64, slots);
        assert!(self.sounds.windows(2).all(|pair| pair[1] == pair[0] + 1), "frames of sound are missing or doubled");
    }

    /// How long after its end on the programme's clock the latest of the segments was listed, in steps, start-up apart.
    fn latest(&self) -> i64 {
        let late = |(sequence, at): (&Sequence, &Mono)| (self.programme.clock.at(*at) - sequence.end).as_millis() / STEP.as_millis() as i64;
        self.sequences.iter().zip(&self.listed_at).skip(2).map(late).max().unwrap_or(0)
    }

    /// The longest time from one listing to the next, in steps.
    fn longest_wait(&self) -> u128 {
        let waits = self.listed_at.windows(2).map(|pair| pair[1].since(pair[0]).as_millis() / STEP.as_millis());
        waits.max().unwrap_or(0)
    }
}

#[test]
fn the_simulated_source_is_listed_picture_by_picture() {
    let mut house = House::live();
    house.run(500);
    house.assert_unbroken();
    assert!(house.longest_wait() <= 51);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// Kills and planned changes at any moment, kills of replacements that are just starting included.
    #[test]
    fn no_picture_is_lost_or_doubled_whenever_workers_are_killed_or_changed(
        events in proptest::collection::vec((76usize..200, 0u8..3, 1usize..12), 1..6)
    ) {
        let mut house = House::live();
        for (steps, event, soon) in events {
            house.run(steps);
            match event {
                0 => house.kill(),
                1 => {
                    house.kill();
                    house.run(soon);
                    house.kill();
                }
                _ => drop(house.programme.move_worker()),
            }
        }
        house.run(150);
        house.assert_unbroken();
        prop_assert!(house.longest_wait() <= 100, "more than a segment late: {} steps", house.longest_wait());
    }
}

#[test]
fn a_worker_that_is_stopped_costs_at_most_a_segment_of_delay() {
    for phase in [0, 10, 20, 30, 40, 48] {
        let mut house = House::live();
        house.run(100 + phase);
        house.present.as_mut().expect("a worker").has_stopped = true;
        house.run(200);
        house.assert_unbroken();
        assert_eq!(house.programme.status(house.now).worker_restarts, 1);
        // Two seconds until it is noticed; half a second to start and catch up, once the segment is due.
        assert!(house.longest_wait() <= 50 + 50 + 16, "phase {phase}: {} steps", house.longest_wait());
    }
}

#[test]
fn a_worker_whose_feed_ran_ahead_and_fell_silent_has_nothing_to_do() {
    let mut house = House::live();
    // Two and a half seconds at once, then nothing: the worker is ahead of the programme by more than it may be silent.
    for _ in 0..62 {
        house.feed_picture();
    }
    (0..250).for_each(|_| house.step());
    assert_eq!(house.programme.status(house.now).worker_restarts, 0);
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1) && house.longest_wait() <= 50 + 62);
}

#[test]
fn a_planned_change_restarts_nothing_and_delays_nothing() {
    let mut house = House::live();
    let (before, usual) = (house.programme.supervisor.id(), house.latest());
    assert_eq!(house.programme.move_worker(), Ok(()));
    assert_eq!(house.programme.move_worker(), Err(Immovable::Moving));
    house.run(150);
    assert_eq!(house.programme.supervisor.id(), before + 1);
    assert_eq!(house.programme.status(house.now).worker_restarts, 0);
    assert!(house.leaving.is_none());
    house.assert_unbroken();
    assert!(house.latest() <= usual + 2, "{} steps, {usual} before", house.latest());
}

#[test]
fn a_change_while_the_slate_shows_needs_no_input() {
    let mut house = House::live();
    house.programme.feed_closed(house.now);
    (0..100).for_each(|_| house.step());
    let before = house.programme.supervisor.id();
    assert_eq!(house.programme.move_worker(), Ok(()));
    (0..150).for_each(|_| house.step());
    assert_eq!(house.programme.supervisor.id(), before + 1);
    assert!(house.leaving.is_none());
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert_eq!(house.pictures.len(), house.sequences.len() * 50);
    assert!(house.sounds.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn a_worker_that_dies_while_it_drains_is_replaced_as_any_other() {
    let mut house = House::live();
    house.programme.move_worker().expect("a worker is up");
    house.dies_draining = true;
    house.run(250);
    assert_eq!(house.programme.status(house.now).worker_restarts, 1);
    house.assert_unbroken();
}

#[test]
fn a_worker_that_never_drains_is_given_up_with_its_successor() {
    let mut house = House::live();
    house.programme.move_worker().expect("a worker is up");
    house.hangs_draining = true;
    house.run(100);
    assert!(house.leaving.is_some());
    house.run(200);
    assert!(house.leaving.is_none(), "it is ended");
    assert_eq!(house.programme.status(house.now).worker_restarts, 1);
    house.assert_unbroken();
}

#[test]
fn a_place_that_kills_three_workers_is_skipped_and_the_rest_is_shown() {
    let mut house = House::live();
    let poison = house.sent + 20;
    house.poison = Some(poison);
    house.run(400);
    assert_eq!(house.deaths, 3);
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "{:?}", house.sequences);
    let resumed = (poison / GOP + 1) * GOP;
    let after: Vec<i64> = house.pictures.iter().copied().filter(|number| *number > poison).collect();
    assert!(after.first() <= Some(&(resumed + GOP)) && after.windows(2).all(|pair| pair[1] == pair[0] + 1), "{after:?}");
    assert!(!house.pictures.contains(&poison));
    assert!(house.programme.status(house.now).quarantined.is_empty());
}

#[test]
fn a_feed_that_goes_on_killing_is_left_out_and_comes_back_when_it_has_learnt() {
    let mut house = House::live();
    for _ in 0..3 {
        house.poison = Some(house.sent / GOP * GOP + GOP);
        house.run(70);
    }
    assert_eq!(house.deaths, 9);
    house.programme.feed_closed(house.now);
    house.publish();
    house.poison = Some(house.sent / GOP * GOP + GOP);
    house.run(60);
    assert_eq!(house.deaths, 9, "connecting anew is no way out");
    let status = house.programme.status(house.now);
    assert_eq!((status.quarantined, status.state, status.feed), (vec!["publisher".to_string()], State::Slate, "pattern".to_string()));
    house.poison = None;
    house.run(200);
    let status = house.programme.status(house.now);
    assert_eq!((status.quarantined.len(), status.state), (0, State::Live));
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(house.pictures.iter().rev().take(20).all(|number| *number > 0), "the source is on the air again");
}

#[test]
fn what_a_publisher_left_behind_kills_no_more_than_three_workers() {
    let mut house = House::live();
    house.poison = Some(house.sent + 2);
    house.run(5);
    house.programme.feed_closed(house.now);
    (0..300).for_each(|_| house.step());
    assert_eq!(house.deaths, 3);
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(house.longest_wait() <= 100, "{} steps", house.longest_wait());
}

#[test]
fn deaths_without_input_blame_no_feed() {
    let mut house = House::new();
    for _ in 0..20 {
        (0..5).for_each(|_| house.step());
        house.kill();
    }
    assert!(house.programme.status(house.now).quarantined.is_empty());
    (0..400).for_each(|_| house.step());
    assert!(house.longest_wait() < 400 && !house.sequences.is_empty());
}

#[test]
fn a_worker_that_grows_too_large_is_replaced_without_a_trace() {
    let mut house = House::live();
    let id = house.programme.supervisor.id();
    house.programme.worker_too_large(id, 7 << 30, house.now);
    house.present = None;
    house.act();
    house.run(150);
    assert_eq!(house.programme.status(house.now).worker_restarts, 1);
    house.assert_unbroken();
}
