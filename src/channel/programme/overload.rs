//! When less is made of a ladder that the machine cannot carry, and when more again. No IO; time is an argument.
//!
//! Steps are taken one after another, in the order of the configuration, and taken back in reverse. Whatever is decided here, a worker
//! that is behind leaves pictures out by itself: lag has a bound with every step taken and with none.

use std::time::Duration;

use crate::base::{Mono, Ticks};
use crate::channel::plan::Relief;
use crate::media::{Grid, Rung};
use crate::wire::link::{Easing, Stage};

/// Further behind than this for [`LATE_FOR`], the ladder is too large. Below what makes the worker leave pictures out (a second), above
/// what decoders and queues hold.
const LATE: Ticks = Ticks::from_millis(700);
/// Shorter than this it is a burst of input or of another process: two reports after the first that was late.
const LATE_FOR: Duration = Duration::from_millis(1_100);
/// No further behind than this there is nothing to complain about.
const CALM: Ticks = Ticks::from_millis(500);
/// And where no thread was at work for more of its time than this, there is room for more.
const CALM_BUSY_PERCENT: u8 = 60;
/// Less behind by this than a second ago, it is on its way: two slots of 25 a second.
const FALL: Ticks = Ticks::from_millis(80);
/// Of pictures, left out in this share: one step will not do.
const FAR_TOO_SLOW_PERCENT: u64 = 33;
/// What was told longer ago says nothing of now.
const STALE: Duration = Duration::from_secs(2);
/// How long a step takes to show, from the slot in which the worker takes it.
const EFFECT: Duration = Duration::from_millis(1_500);
/// Another preset begins with an IDR, for which no longer is waited than this.
const LONGEST_GOP: Duration = Duration::from_secs(4);
/// Calm for this long, one step is taken back.
const FIRST_BACK_AFTER: Duration = Duration::from_secs(10);
/// After each step that had to be taken again it is twice as long, up to this. Without any step for as long, all is forgotten.
const LONGEST_BACK_AFTER: Duration = Duration::from_secs(15 * 60);
/// A step that has to be taken again this soon was taken back too early.
const RELAPSE: Duration = Duration::from_secs(60);
/// A worker that begins in the past is not too slow but on its way; how that goes shows by then.
const CATCHING_UP: Duration = Duration::from_secs(10);
/// Fewer pictures a second than this are no programme.
const LEAST_RATE: f64 = 10.0;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The fastest preset on every rung.
    Preset,
    /// Half the pictures on the larger half of the rungs.
    FrameRate,
    /// Nothing of this rung.
    Rung(usize),
}

impl Step {
    /// What the configuration calls it.
    pub fn relief(self) -> Relief {
        match self {
            Step::Preset => Relief::Preset,
            Step::FrameRate => Relief::FrameRate,
            Step::Rung(_) => Relief::Rungs,
        }
    }
}

/// A step that is taken now, or taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub step: Step,
    /// Taken: less is made. Else more again.
    pub is_less: bool,
    /// Why, in words.
    pub reason: String,
    /// How far the slowest stage was behind.
    pub lag: Ticks,
}

/// What a stage of the worker told of itself.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Which.
    pub stage: Stage,
    /// How far it is behind the newest input.
    pub lag: Ticks,
    /// How busy its busiest thread was.
    pub busy_percent: u8,
    /// Pictures through it since the worker began.
    pub done: u64,
    /// Pictures left out in front of it since then.
    pub dropped: u64,
}

/// The newest of a stage.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Mono,
    lag: Ticks,
    busy_percent: u8,
}

/// Decides for one channel on the air.
#[derive(Debug)]
pub struct Overload {
    steps: Vec<Step>,
    level: usize,
    /// For each rung by how many presets it may be faster.
    faster: Vec<u8>,
    gop: Duration,
    told: [Option<Told>; 3],
    /// What the worker's scaler had made and left out when it last told.
    counted: (u64, u64),
    /// Of the pictures since it told before, the percentage that was left out.
    dropped_percent: u64,
    is_dropping: bool,
    /// How far the encoders were behind when they last told, and the time before.
    lags: [Ticks; 2],
    /// They are clearly less behind than then.
    is_falling: bool,
    began: Mono,
    /// The present worker has caught up, or will not.
    is_settled: bool,
    late_since: Option<Mono>,
    calm_since: Option<Mono>,
    /// No further step before this: the last one has not shown yet.
    not_before: Mono,
    changed: Mono,
    taken_back: Option<Mono>,
    back_after: Duration,
}

impl Overload {
    /// For these rungs, largest first, with what may be given up in this order.
    pub fn new(order: &[Relief], rungs: &[Rung], grid: Grid) -> Overload {
        let faster: Vec<u8> = rungs.iter().map(Rung::faster_presets).collect();
        let mut steps = Vec::new();
        for relief in order {
            match relief {
                Relief::Preset => steps.extend(faster.iter().any(|faster| *faster > 0).then_some(Step::Preset)),
                Relief::FrameRate => {
                    let has_half = !rungs.is_empty() && grid.gop_slots > 1 && grid.rate.as_f64() / 2.0 >= LEAST_RATE;
                    steps.extend(has_half.then_some(Step::FrameRate));
                }
                Relief::Rungs => steps.extend((0..rungs.len().saturating_sub(1)).map(Step::Rung)),
            }
        }
        Overload {
            steps,
            level: 0,
            faster,
            gop: Duration::from(grid.gop_duration()).min(LONGEST_GOP),
            told: [None; 3],
            counted: (0, 0),
            dropped_percent: 0,
            is_dropping: false,
            lags: [Ticks::ZERO; 2],
            is_falling: false,
            began: Mono::default(),
            is_settled: false,
            late_since: None,
            calm_since: None,
            not_before: Mono::default(),
            changed: Mono::default(),
            taken_back: None,
            back_after: FIRST_BACK_AFTER,
        }
    }

    /// How many steps are taken.
    pub fn level(&self) -> usize {
        self.level
    }

    /// How many steps there are.
    pub fn levels(&self) -> usize {
        self.steps.len()
    }

    /// The steps that are taken, in the order in which they were.
    pub fn taken(&self) -> &[Step] {
        self.steps.get(..self.level).unwrap_or_default()
    }

    /// How far the slowest stage was behind when it last told.
    pub fn lag(&self) -> Ticks {
        self.told.iter().skip(1).flatten().map(|told| told.lag).max().unwrap_or(Ticks::ZERO)
    }

    /// How far decoder, scaler and encoders are behind the newest input, as far as they told lately.
    pub fn lags(&self, now: Mono) -> [Option<Ticks>; 3] {
        self.told.map(|told| told.filter(|told| now.since(told.at) < STALE).map(|told| told.lag.max(Ticks::ZERO)))
    }

    /// How much less is to be made of each rung.
    pub fn easings(&self) -> Vec<Easing> {
        let taken = self.taken();
        let upper = self.faster.len().div_ceil(2);
        let easing = |(rung, faster): (usize, &u8)| Easing {
            faster: if taken.contains(&Step::Preset) { *faster } else { 0 },
            halved: taken.contains(&Step::FrameRate) && rung < upper,
            off: taken.contains(&Step::Rung(rung)),
        };
        self.faster.iter().enumerate().map(easing).collect()
    }

    /// A worker has opened its encoders, perhaps far in the past. It makes what is made at present.
    pub fn worker_began(&mut self, now: Mono) {
        self.told = [None; 3];
        self.counted = (0, 0);
        (self.is_dropping, self.is_falling, self.dropped_percent) = (false, false, 0);
        (self.began, self.is_settled) = (now, false);
        (self.late_since, self.calm_since) = (None, None);
    }

    /// A stage of the present worker tells of itself, about twice a second.
    pub fn hear(&mut self, reading: &Reading, now: Mono) {
        let index = match reading.stage {
            Stage::Decode => 0,
            Stage::Scale => 1,
            Stage::Encode => 2,
            Stage::Audio => return,
        };
        if reading.stage == Stage::Scale {
            let (done, dropped) = (reading.done.saturating_sub(self.counted.0), reading.dropped.saturating_sub(self.counted.1));
            self.counted = (reading.done, reading.dropped);
            self.is_dropping = dropped > 0;
            self.dropped_percent = dropped.saturating_mul(100) / done.saturating_add(dropped).max(1);
        }
        if let Some(told) = self.told.get_mut(index) {
            *told = Some(Told { at: now, lag: reading.lag, busy_percent: reading.busy_percent });
        }
        if reading.stage == Stage::Encode {
            let [last, earlier] = self.lags;
            self.is_falling = reading.lag + FALL <= earlier;
            self.lags = [reading.lag, last];
        }
        self.judge(now);
    }

    /// Looks at the clock; what is given up or taken back now.
    pub fn look(&mut self, now: Mono) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.is_known(now) {
            for _ in 0..self.steps_due(now) {
                changes.extend(self.step_down(now));
            }
            if changes.is_empty() {
                changes.extend(self.step_up(now));
            }
        }
        if self.level == 0 && now.since(self.changed) >= LONGEST_BACK_AFTER {
            self.back_after = FIRST_BACK_AFTER;
        }
        changes
    }

    /// Whether what was told lately says how things are.
    fn is_known(&self, now: Mono) -> bool {
        self.is_settled && self.told.iter().skip(1).all(|told| told.is_some_and(|told| now.since(told.at) < STALE))
    }

    fn judge(&mut self, now: Mono) {
        let lag = self.lag();
        self.is_settled |= lag < CALM || self.is_dropping || now.since(self.began) > CATCHING_UP;
        let is_late = lag >= LATE || self.is_dropping;
        self.late_since = if is_late { self.late_since.or(Some(now)) } else { None };
        let is_calm = lag <= CALM && !self.is_dropping && self.busy_percent(now) <= CALM_BUSY_PERCENT;
        self.calm_since = if is_calm { self.calm_since.or(Some(now)) } else { None };
    }

    fn busy_percent(&self, now: Mono) -> u8 {
        let fresh = self.told.iter().flatten().filter(|told| now.since(told.at) < STALE);
        fresh.map(|told| told.busy_percent).max().unwrap_or(0)
    }

    /// Steps to be taken at once.
    fn steps_due(&self, now: Mono) -> usize {
        let is_late = self.late_since.is_some_and(|since| now.since(since) >= LATE_FOR) && now >= self.not_before;
        // Input that came in a burst goes by itself, and so does what a step has left behind.
        if !is_late || self.is_falling {
            return 0;
        }
        // One rung after the other: each is a picture that somebody watches.
        let is_rung = matches!(self.steps.get(self.level + 1), Some(Step::Rung(_)));
        if self.dropped_percent >= FAR_TOO_SLOW_PERCENT && !is_rung { 2 } else { 1 }
    }

    fn step_down(&mut self, now: Mono) -> Option<Change> {
        let step = self.steps.get(self.level).copied()?;
        self.level += 1;
        if self.taken_back.take().is_some_and(|at| now.since(at) < RELAPSE) {
            self.back_after = (self.back_after * 2).min(LONGEST_BACK_AFTER);
        }
        let waits = if step == Step::Preset { self.gop } else { Duration::ZERO };
        self.not_before = self.not_before.max(now.after(EFFECT + waits));
        self.changed = now;
        self.calm_since = None;
        let lag = self.lag();
        let reason = match self.dropped_percent {
            0 => format!("{:.1} s behind", lag.as_secs_f64()),
            percent => format!("{:.1} s behind, {percent} % of pictures left out", lag.as_secs_f64()),
        };
        Some(Change { step, is_less: true, reason, lag })
    }

    fn step_up(&mut self, now: Mono) -> Option<Change> {
        let since = self.calm_since?.max(self.changed);
        if now.since(since) < self.back_after {
            return None;
        }
        let level = self.level.checked_sub(1)?;
        let step = self.steps.get(level).copied()?;
        self.level = level;
        (self.changed, self.taken_back) = (now, Some(now));
        let reason = format!("in time for {} s, threads busy for {} %", self.back_after.as_secs(), self.busy_percent(now));
        Some(Change { step, is_less: false, reason, lag: self.lag() })
    }
}

#[cfg(test)]
mod tests;
