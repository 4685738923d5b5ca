//! A ladder, a machine that gets slower and faster again, and a worker that leaves pictures out as the real one does, in simulated time.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::super::tests::{audio_track, plan, video_track};
use crate::base::{MediaTime, Mono, Ticks, WallTime};
use crate::channel::clock::ProgrammeClock;
use crate::channel::plan::{ChannelPlan, Idle, LadderPlan, Relief};
use crate::channel::programme::{Action, Programme};
use crate::channel::seats::SeatDesk;
use crate::channel::sequence::Sequence;
use crate::channel::status::OverloadStatus;
use crate::media::{Grid, Rung, Slot};
use crate::pack::Change;
use crate::wire::link::{Easing, FromWorker, Open, RungConfig, Stage, ToWorker};
use crate::worker::easing::{Easings, Wishes};
use crate::worker::overload::Overload as Shedding;

const STEP: Duration = Duration::from_millis(40);
/// Work for a picture of each rung with its own preset; a machine that makes so much in a step is just fast enough.
const COSTS: [f64; 3] = [10.0, 5.0, 2.0];
const WHOLE: f64 = 17.0;
/// What the fastest preset leaves of it.
const FASTEST: f64 = 0.6;

/// A worker that makes slots one after the other with the work that it is given.
struct Worker {
    id: u64,
    open: Option<Open>,
    wishes: Wishes,
    easings: Option<Easings>,
    shedding: Option<Shedding>,
    next: i64,
    next_frame: i64,
    newest: MediaTime,
    /// Work that is left over, or owed.
    work: f64,
    used: f64,
    given: f64,
    done: u64,
    dropped: u64,
    pending: [Option<(MediaTime, bool)>; 3],
    said: Vec<FromWorker>,
}

impl Worker {
    fn new(id: u64) -> Worker {
        Worker {
            id,
            open: None,
            wishes: Wishes::new(3),
            easings: None,
            shedding: None,
            next: 0,
            next_frame: 0,
            newest: MediaTime(0),
            work: 0.0,
            used: 0.0,
            given: 0.0,
            done: 0,
            dropped: 0,
            pending: [None; 3],
            said: Vec::new(),
        }
    }

    fn hear(&mut self, message: ToWorker) {
        match message {
            ToWorker::Open(open) => {
                self.next = open.start.0;
                self.next_frame = (open.grid.start(open.start).in_scale(48_000) + 1023) / 1024;
                self.easings = Some(Easings::new(open.grid, self.wishes.clone()));
                self.shedding = Some(Shedding::new(open.shed_after));
                self.open = Some(*open);
                let video = || RungConfig { track: video_track(None), reorder: Ticks::ZERO };
                let configs = vec![video(), video(), video(), RungConfig { track: audio_track(), reorder: Ticks::ZERO }];
                self.said.push(FromWorker::Opened { configs });
            }
            ToWorker::Ease { rung, easing } => self.wishes.set(rung, easing),
            ToWorker::Advance { to } => {
                self.newest = to;
                while MediaTime::from_scale(self.next_frame * 1024, 48_000) < to {
                    let pts = MediaTime::from_scale(self.next_frame * 1024, 48_000);
                    self.said.push(FromWorker::Packet { rung: 3, pts, dts: pts, duration: Ticks::from_scale(1024, 48_000), key: true });
                    self.next_frame += 1;
                }
            }
            _ => {}
        }
    }

    fn lag(&self, grid: Grid) -> Ticks {
        self.newest - grid.start(Slot(self.next))
    }

    /// Makes slots as far as `work` goes.
    fn run(&mut self, work: f64) {
        let Some((grid, start)) = self.open.as_ref().map(|open| (open.grid, open.start)) else { return };
        self.given += work;
        self.work = (self.work + work).min(work);
        while self.work > 0.0 && grid.start(Slot(self.next)) < self.newest {
            let slot = Slot(self.next);
            let (begins, key) = (grid.start(slot), slot == start || grid.is_key(slot));
            let lag = self.lag(grid);
            self.next += 1;
            if !key && self.shedding.as_mut().is_some_and(|shedding| shedding.sheds(begins, lag)) {
                self.dropped += 1;
                continue;
            }
            self.slot(slot, begins, key);
            self.done += 1;
        }
    }

    fn slot(&mut self, slot: Slot, begins: MediaTime, key: bool) {
        let Some(easings) = &mut self.easings else { return };
        let changed = easings.begin(slot, key);
        self.said.extend(changed.into_iter().map(|(rung, easing)| FromWorker::Eased { rung, easing, from: begins }));
        for (rung, cost) in COSTS.iter().enumerate() {
            let Some((effort, _)) = easings.turn(rung, slot, key, &Bytes::new()) else { continue };
            let cost = if effort.faster > 0 { cost * FASTEST } else { *cost };
            self.work -= cost;
            self.used += cost;
            // A packet lasts until the next one's time is known.
            if let Some((pts, key)) = self.pending[rung].replace((begins, key)) {
                self.said.push(FromWorker::Packet { rung: rung as u8, pts, dts: pts, duration: begins - pts, key });
            }
        }
    }

    fn report(&mut self) {
        let Some(grid) = self.open.as_ref().map(|open| open.grid) else { return };
        let busy_percent = (self.used * 100.0 / self.given.max(1.0)).min(100.0) as u8;
        (self.used, self.given) = (0.0, 0.0);
        let (pts, lag) = (grid.start(Slot(self.next - 1)), self.lag(grid).max(Ticks::ZERO));
        for stage in [Stage::Scale, Stage::Encode] {
            let (done, dropped) = (self.done, if stage == Stage::Scale { self.dropped } else { 0 });
            self.said.push(FromWorker::Progress { stage, pts, done, dropped, queued: 0, lag, busy_percent });
        }
    }
}

struct Machine {
    programme: Programme,
    now: Mono,
    steps: u64,
    worker: Option<Worker>,
    /// Work that is done in a step, as a multiple of what the whole ladder takes.
    speed: f64,
    sequences: Vec<(Mono, Sequence)>,
    files: BTreeMap<String, Bytes>,
    longest_lag: Ticks,
}

impl Machine {
    fn new(order: &[Relief], speed: f64) -> Machine {
        let rungs = ["1080p", "720p", "360p"].map(|name| Rung::new(name, 640, 360, 800_000, "veryfast")).to_vec();
        let plan = ChannelPlan {
            name: format!("relief-{}-{speed}", order.len()),
            ladder: LadderPlan::Rungs(rungs),
            overload: order.to_vec(),
            segment: Ticks::from_millis(2_000),
            ..plan(Idle::Pattern)
        };
        let clock = ProgrammeClock::starting(Mono(0), WallTime(1_790_000_001_234_567));
        let mut programme = Programme::new(plan, clock, 2, SeatDesk::default(), None);
        programme.start(Mono(0));
        let (sequences, files) = (Vec::new(), BTreeMap::new());
        Machine { programme, now: Mono(0), steps: 0, worker: None, speed, sequences, files, longest_lag: Ticks::ZERO }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 25 {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now = self.now.after(STEP);
        self.steps += 1;
        self.programme.tick(self.now);
        self.act();
        while let Some((message, _)) = self.programme.next_message() {
            if let Some(worker) = &mut self.worker {
                worker.hear(message);
            }
        }
        if let Some(worker) = &mut self.worker {
            worker.run(self.speed * WHOLE);
            if self.steps.is_multiple_of(12) {
                worker.report();
            }
            let lag = worker.open.as_ref().map_or(Ticks::ZERO, |open| worker.lag(open.grid));
            self.longest_lag = self.longest_lag.max(lag);
            for message in std::mem::take(&mut worker.said) {
                let data = Bytes::from_static(&[0, 0, 0, 1, 0x65]);
                self.programme.worker_message(worker.id, message, data, self.now);
            }
        }
        self.act();
    }

    fn act(&mut self) {
        for action in self.programme.take_actions() {
            match action {
                Action::StartWorker(id, _) => self.worker = Some(Worker::new(id)),
                Action::EndWorker(_) => self.worker = None,
                Action::Remember(sequence) => self.sequences.push((self.now, sequence)),
                Action::Apply(changes) => changes.into_iter().for_each(|change| match change {
                    Change::Put { path, body, .. } => drop(self.files.insert(path, body)),
                    Change::Remove { path } => drop(self.files.remove(&path)),
                }),
                Action::SetAside(_) | Action::Thumbnail(_) | Action::Retire(..) => {}
            }
        }
    }

    fn status(&self) -> OverloadStatus {
        self.programme.overload_status().expect("on the air")
    }

    fn playlist(&self, rung: &str) -> &str {
        std::str::from_utf8(&self.files[&format!("{rung}/playlist.m3u8")]).expect("text")
    }

    fn dropped(&self) -> u64 {
        self.worker.as_ref().map_or(0, |worker| worker.dropped)
    }

    /// No number missing, no worker lost, no segment much later than its end.
    fn assert_on_air(&self) {
        assert!(self.sequences.windows(2).all(|pair| pair[1].1.number == pair[0].1.number + 1));
        assert_eq!(self.programme.status(self.now).worker_restarts, 0);
        let late = self.sequences.iter().skip(4).map(|(at, sequence)| (self.programme.clock.at(*at) - sequence.end).as_millis()).max();
        assert!(late.is_some_and(|late| late <= 5_000), "{late:?} ms late");
        assert!(!self.playlist("360p").contains("DISCONTINUITY\n") && !self.playlist("360p").contains("GAP"));
    }
}

#[test]
fn a_ladder_twice_too_large_settles_within_ten_seconds_and_comes_back_when_the_load_goes() {
    let mut machine = Machine::new(&Relief::ALL, 1.8);
    machine.pass(20);
    assert_eq!(machine.status().level, 0);
    machine.speed = 0.5;
    machine.longest_lag = Ticks::ZERO;
    machine.pass(10);
    let (status, dropped) = (machine.status(), machine.dropped());
    assert_eq!(status.steps, ["preset", "frame_rate"], "{status:?}");
    machine.pass(20);
    assert_eq!((machine.status().steps, machine.dropped()), (status.steps, dropped), "it has settled");
    assert!(machine.status().lag_ms < 700 && machine.longest_lag <= Ticks::from_millis(2_500), "{:?}", machine.longest_lag);
    machine.speed = 1.8;
    machine.pass(40);
    assert_eq!((machine.status().level, machine.dropped()), (0, dropped));
    assert!(!machine.playlist("1080p").contains("GAP"));
    machine.assert_on_air();
}

#[test]
fn a_ladder_too_large_by_a_little_settles_within_ten_seconds_before_a_picture_is_left_out() {
    for speed in [0.93, 0.9, 0.8] {
        let mut machine = Machine::new(&Relief::ALL, 1.8);
        machine.pass(20);
        machine.speed = speed;
        machine.longest_lag = Ticks::ZERO;
        machine.pass(10);
        assert_eq!(machine.status().steps, ["preset"], "at {speed}");
        machine.pass(20);
        assert_eq!((machine.status().level, machine.dropped()), (1, 0), "at {speed}");
        assert!(machine.longest_lag < Ticks::from_millis(1_300), "{:?} at {speed}", machine.longest_lag);
    }
}

#[test]
fn a_step_that_would_have_to_be_taken_again_is_not_taken_back_while_the_machine_is_as_slow() {
    let mut machine = Machine::new(&[Relief::FrameRate], 1.8);
    machine.pass(20);
    machine.speed = 0.96;
    machine.pass(30);
    let (status, dropped) = (machine.status(), machine.dropped());
    assert_eq!(status.steps, ["frame_rate"]);
    let calm_s = (0..200).take_while(|_| {
        machine.pass(1);
        machine.status().level == 1
    });
    let calm_s = calm_s.count();
    assert!((80..=130).contains(&calm_s), "{calm_s} s until it is tried after all");
    machine.pass(30);
    assert_eq!((machine.status().level, machine.dropped()), (1, dropped), "and taken again");
    machine.pass(200);
    assert_eq!(machine.status().level, 1, "now for longer");
}

#[test]
fn a_step_that_other_work_cost_is_taken_back_as_soon_as_that_is_gone() {
    let mut machine = Machine::new(&[Relief::FrameRate], 1.8);
    machine.pass(20);
    machine.speed = 0.96;
    machine.pass(60);
    assert_eq!(machine.status().level, 1);
    machine.speed = 1.8;
    machine.pass(5);
    assert_eq!(machine.status().level, 0);
}

#[test]
fn far_too_large_costs_the_largest_rung_which_is_a_gap_and_leaves_the_list_until_it_is_back() {
    let mut machine = Machine::new(&Relief::ALL, 1.8);
    machine.pass(20);
    machine.speed = 0.19;
    machine.pass(15);
    assert_eq!(machine.status().steps, ["preset", "frame_rate", "rungs 1080p"]);
    let dropped = machine.dropped();
    machine.pass(15);
    assert_eq!(machine.dropped(), dropped, "it has settled");
    assert!(machine.playlist("1080p").ends_with("m4s\n") && machine.playlist("1080p").contains("EXT-X-GAP"));
    let master = |machine: &Machine| String::from_utf8_lossy(&machine.files["master.m3u8"]).contains("\n1080p/playlist");
    assert!(!master(&machine));
    machine.speed = 1.8;
    machine.pass(60);
    assert_eq!(machine.status().level, 0);
    let newest: Vec<&str> = machine.playlist("1080p").lines().rev().take(8).collect();
    assert!(master(&machine) && !newest.contains(&"#EXT-X-GAP"), "{newest:?}");
    machine.assert_on_air();
}

#[test]
fn with_nothing_to_give_up_pictures_are_left_out_and_lag_has_its_bound() {
    let mut machine = Machine::new(&[], 1.8);
    machine.pass(20);
    machine.speed = 0.5;
    machine.longest_lag = Ticks::ZERO;
    machine.pass(60);
    assert_eq!(machine.status().levels, 0);
    assert!(machine.dropped() > 300 && machine.longest_lag <= Ticks::from_millis(2_500), "{} {:?}", machine.dropped(), machine.longest_lag);
    machine.assert_on_air();
}

#[test]
fn a_replacement_begins_with_what_is_given_up() {
    let mut machine = Machine::new(&Relief::ALL, 1.8);
    machine.pass(20);
    machine.speed = 0.18;
    machine.pass(20);
    let taken = machine.status().steps;
    let id = machine.worker.take().expect("a worker").id;
    machine.programme.worker_gone(id, "killed by signal 9", machine.now);
    machine.speed = 0.3;
    machine.step();
    machine.step();
    let worker = machine.worker.as_mut().expect("another one");
    assert_ne!(worker.id, id);
    machine.pass(1);
    assert_eq!(machine.status().steps, taken);
    let easings = machine.worker.as_mut().and_then(|worker| worker.easings.as_mut()).expect("open");
    assert!(easings.is_off(0) && !easings.is_off(1));
    machine.pass(30);
    assert!(machine.sequences.windows(2).all(|pair| pair[1].1.number == pair[0].1.number + 1));
    assert!(machine.playlist("360p").ends_with("m4s\n") && !machine.playlist("360p").contains("GAP"));
}

#[test]
fn other_rungs_are_told_nothing() {
    let mut machine = Machine::new(&[Relief::Rungs], 1.8);
    machine.pass(20);
    machine.speed = 0.5;
    machine.pass(10);
    assert_eq!(machine.status().steps, ["rungs 1080p"]);
    let easings = machine.programme.overload.as_ref().expect("a policy").easings();
    assert_eq!(easings, [Easing { off: true, ..Easing::default() }, Easing::default(), Easing::default()]);
}

#[test]
fn stages_that_fall_behind_show_where_the_time_goes() {
    let mut machine = Machine::new(&[], 1.8);
    machine.pass(20);
    let quick = machine.programme.status(machine.now).latency.expect("on the air");
    machine.speed = 0.5;
    machine.pass(20);
    let slow = machine.programme.status(machine.now).latency.expect("on the air");
    assert_eq!((slow.input_ms, slow.decode_ms), (None, None), "the pattern comes in by nobody");
    assert!(slow.scale_ms > Some(500) && slow.scale_ms > quick.scale_ms, "{slow:?} after {quick:?}");
    assert_eq!(slow.encode_ms, Some(0), "what the scaler is behind is not counted twice");
    assert!((0..3_000).contains(&quick.segment_ms.unwrap_or(-1)) && slow.segment_ms > quick.segment_ms, "{slow:?} after {quick:?}");
}
