use proptest::prelude::*;

use super::lateness::STALE;
use super::*;
use crate::base::{MediaTime, Rate};

const REPORT: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(40);
const GRID: Grid = Grid { rate: Rate::new(25, 1), gop_slots: 50, segment_slots: 100 };

fn ladder() -> Vec<Rung> {
    ["1080p", "720p", "360p"].iter().map(|name| Rung::new(name, 640, 360, 800_000, "veryfast")).collect()
}

/// A policy in simulated time, told the same until something else is said.
struct Told {
    overload: Overload,
    now: Mono,
    report_due: Mono,
    counted: (u64, u64),
    changes: Vec<(Mono, Change)>,
}

impl Told {
    fn new(order: &[Relief]) -> Told {
        let mut overload = Overload::new(order, &ladder(), GRID);
        let now = Mono(1_000_000_000);
        overload.worker_began(now);
        Told { overload, now, report_due: now, counted: (0, 0), changes: Vec::new() }
    }

    fn pass(&mut self, millis: u64, lag_ms: i64, busy_percent: u8, dropped: u64) {
        let until = self.now.after(Duration::from_millis(millis));
        while self.now < until {
            self.now = self.now.after(LOOK);
            if self.now >= self.report_due {
                self.report_due = self.now.after(REPORT);
                self.counted = (self.counted.0 + 12, self.counted.1 + dropped);
                for stage in [Stage::Scale, Stage::Encode] {
                    let (lag, (done, dropped)) = (Ticks::from_millis(lag_ms), self.counted);
                    let pts = MediaTime(0) + Ticks::from_millis(self.now.since(Mono::default()).as_millis() as i64) - lag;
                    self.overload.hear(&Reading { stage, pts, lag, busy_percent, done, dropped }, self.now);
                }
            }
            let changes = self.overload.look(self.now);
            self.changes.extend(changes.into_iter().map(|change| (self.now, change)));
        }
    }

    fn steps(&self) -> Vec<(Step, bool)> {
        self.changes.iter().map(|(_, change)| (change.step, change.is_less)).collect()
    }
}

#[test]
fn steps_are_taken_in_the_configured_order_and_taken_back_in_reverse() {
    let mut told = Told::new(&Relief::ALL);
    told.pass(3_000, 100, 50, 0);
    assert_eq!(told.overload.level(), 0);
    told.pass(30_000, 900, 100, 0);
    let down = [Step::Preset, Step::FrameRate, Step::Rung(0), Step::Rung(1)];
    assert_eq!(told.steps(), down.map(|step| (step, true)));
    // They help, and a while later other work goes.
    told.pass(10_000, 100, 70, 0);
    assert_eq!(told.overload.level(), 4);
    told.pass(60_000, 100, 30, 0);
    let up: Vec<_> = down.iter().rev().map(|step| (*step, false)).collect();
    assert_eq!(told.steps()[4..], up);
    assert!(told.overload.easings().iter().all(|easing| *easing == Easing::default()));
}

#[test]
fn the_first_step_comes_after_a_second_and_the_next_when_it_has_had_its_time() {
    let mut told = Told::new(&[Relief::Rungs, Relief::FrameRate]);
    told.pass(3_000, 100, 50, 0);
    let from = told.now;
    told.pass(8_000, 900, 100, 0);
    let at: Vec<Duration> = told.changes.iter().map(|(at, _)| at.since(from)).collect();
    assert!(at[0] >= Duration::from_secs(1) && at[0] <= Duration::from_millis(1_800), "{at:?}");
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= EFFECT && pair[1] - pair[0] <= EFFECT + REPORT), "{at:?}");
    assert_eq!(told.steps(), [(Step::Rung(0), true), (Step::Rung(1), true), (Step::FrameRate, true)]);
}

#[test]
fn what_is_made_of_each_rung_follows_the_steps() {
    let mut told = Told::new(&Relief::ALL);
    told.pass(2_000, 100, 50, 0);
    told.pass(60_000, 900, 100, 0);
    let easing = |halved, off| Easing { faster: 2, halved, off };
    assert_eq!(told.overload.easings(), [easing(true, true), easing(true, true), easing(false, false)]);
}

#[test]
fn far_too_slow_takes_two_steps_at_once() {
    let mut told = Told::new(&Relief::ALL);
    told.pass(2_000, 100, 50, 0);
    told.pass(2_000, 1_200, 100, 12);
    assert_eq!(told.steps(), [(Step::Preset, true), (Step::FrameRate, true)]);
}

#[test]
fn a_burst_of_input_that_is_worked_off_is_no_overload() {
    let mut told = Told::new(&Relief::ALL);
    told.pass(2_000, 100, 50, 0);
    for lag_ms in [1_400, 1_200, 1_000, 850, 720, 500] {
        told.pass(500, lag_ms, 100, 0);
    }
    assert_eq!(told.steps(), []);
}

#[test]
fn a_replacement_that_catches_up_costs_nothing() {
    let mut told = Told::new(&Relief::ALL);
    for lag_ms in [6_000, 5_500, 5_500, 5_000, 4_000, 3_000, 2_000, 1_000] {
        told.pass(500, lag_ms, 100, 0);
    }
    told.pass(5_000, 100, 80, 0);
    assert_eq!(told.steps(), []);
}

#[test]
fn one_that_leaves_pictures_out_while_it_catches_up_is_too_slow() {
    let mut told = Told::new(&Relief::ALL);
    told.pass(3_000, 4_000, 100, 6);
    assert!(told.overload.level() > 0);
}

#[test]
fn without_room_nothing_is_taken_back() {
    let mut told = Told::new(&Relief::ALL);
    told.pass(2_000, 100, 50, 0);
    told.pass(3_000, 900, 100, 0);
    let level = told.overload.level();
    told.pass(600_000, 200, 80, 0);
    assert_eq!((told.overload.level(), level), (1, 1));
}

#[test]
fn who_says_nothing_changes_nothing() {
    let mut told = Told::new(&Relief::ALL);
    told.pass(2_000, 900, 100, 0);
    let now = told.now;
    assert!((0..100u64).all(|n| told.overload.look(now.after(STALE + LOOK * n as u32)).is_empty()));
}

#[test]
fn each_relapse_doubles_the_wait_up_to_a_quarter_of_an_hour() {
    let mut told = Told::new(&[Relief::Preset]);
    told.pass(2_000, 100, 50, 0);
    let mut waits = Vec::new();
    for _ in 0..12 {
        told.pass(10_000, 900, 100, 0);
        // The step helps, and a while later the other work goes.
        told.pass(10_000, 100, 70, 0);
        assert_eq!(told.overload.level(), 1);
        let (from, count) = (told.now, told.changes.len());
        while told.changes.len() == count {
            told.pass(1_000, 100, 30, 0);
        }
        waits.push(told.now.since(from).as_secs());
    }
    assert!((10..=12).contains(&waits[0]) && (20..=22).contains(&waits[1]) && (40..=42).contains(&waits[2]), "{waits:?}");
    assert!((900..=902).contains(&waits[11]), "{waits:?}");
    told.pass(LONGEST_BACK_AFTER.as_millis() as u64 + 1_000, 100, 30, 0);
    assert_eq!(told.overload.back_after, FIRST_BACK_AFTER, "all is forgotten");
}

#[test]
fn an_empty_order_and_a_ladder_of_one_rung_give_up_what_they_can() {
    assert_eq!(Overload::new(&[], &ladder(), GRID).levels(), 0);
    let fastest = [Rung::new("360p", 640, 360, 800_000, "ultrafast")];
    let slow = Grid { rate: Rate::new(15, 1), ..GRID };
    assert_eq!(Overload::new(&Relief::ALL, &fastest, slow).levels(), 0);
    assert_eq!(Overload::new(&Relief::ALL, &fastest, GRID).steps, [Step::FrameRate]);
    assert_eq!(Overload::new(&Relief::ALL, &[], GRID).levels(), 0);
}

fn order() -> impl Strategy<Value = Vec<Relief>> {
    (Just(Relief::ALL.to_vec()).prop_shuffle(), 0usize..=3).prop_map(|(mut order, count)| {
        order.truncate(count);
        order
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever a worker says: no more steps than there are, none faster than its hold allows, the smallest rung stays, and calm
    /// brings everything back in bounded time.
    #[test]
    fn it_never_swings_faster_than_its_waits_and_always_comes_back(
        order in order(),
        spans in proptest::collection::vec((100u64..20_000, 0i64..12_000, 0u8..=100, 0u64..25), 1..40),
    ) {
        let mut told = Told::new(&order);
        for (millis, lag_ms, busy, dropped) in spans {
            told.pass(millis, lag_ms, busy, if lag_ms > 1_000 { dropped } else { 0 });
            prop_assert!(told.overload.level() <= told.overload.levels());
            prop_assert!(!told.overload.easings().last().expect("a rung").off);
        }
        for pair in told.changes.windows(2) {
            let [(before, one), (after, two)] = pair else { continue };
            let waited = after.since(*before);
            match (one.is_less, two.is_less) {
                (_, false) => prop_assert!(waited >= FIRST_BACK_AFTER, "{waited:?}"),
                (true, true) => prop_assert!(waited >= EFFECT || waited.is_zero(), "{waited:?}"),
                (false, true) => prop_assert!(waited >= LOOK, "{waited:?}"),
            }
        }
        let at_once = told.changes.windows(3).filter(|three| three[0].0 == three[2].0).count();
        prop_assert_eq!(at_once, 0, "two steps at once at most");
        let longest = (LONGEST_BACK_AFTER + Duration::from_secs(2)) * (told.overload.levels() as u32 + 1);
        told.pass(longest.as_millis() as u64, 50, 20, 0);
        prop_assert_eq!(told.overload.level(), 0);
    }

    /// A machine that is always too slow by the same: over an hour it tries ever more seldom.
    #[test]
    fn an_hour_of_too_large_a_ladder_swings_a_few_times(needed in 1usize..=4) {
        let mut told = Told::new(&Relief::ALL);
        told.pass(2_000, 100, 50, 0);
        for _ in 0..3_600 {
            match told.overload.level() >= needed {
                true => told.pass(1_000, 100, 40, 0),
                false => told.pass(1_000, 900, 100, 0),
            }
        }
        prop_assert!(told.changes.len() <= 4 + 2 * 10, "{} changes", told.changes.len());
        prop_assert!(told.overload.level() + 1 >= needed);
    }
}
