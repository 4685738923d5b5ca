//! When less is made of a ladder that the machine cannot carry, and when more again. No IO; time is an argument.
//!
//! Steps are taken one after another, in the order of the configuration, and taken back in reverse. Whatever is decided here, a worker
//! that is behind leaves pictures out by itself: lag has a bound with every step taken and with none.

use std::time::Duration;

use demand::Demand;
use lateness::Lateness;
pub use lateness::Reading;

use crate::base::{Mono, Ticks};
use crate::channel::plan::Relief;
use crate::media::{Grid, Rung};
use crate::wire::link::{Easing, Stage};

mod demand;
mod lateness;

/// Of pictures, left out in this share: one step will not do.
const FAR_TOO_SLOW_PERCENT: u64 = 33;
/// How long a step takes to show, from the slot in which the worker takes it.
const EFFECT: Duration = Duration::from_millis(1_500);
/// Another preset begins with an IDR, for which no longer is waited than this.
const LONGEST_GOP: Duration = Duration::from_secs(4);
/// Calm for this long, one step is taken back.
const FIRST_BACK_AFTER: Duration = Duration::from_secs(10);
/// And for this long where what was measured says that it will have to be taken again. Programmes change, so that it is tried.
const UNLIKELY_BACK_AFTER: Duration = Duration::from_secs(2 * 60);
/// After each step that had to be taken again it is twice as long, up to this. Without any step for as long, all is forgotten.
const LONGEST_BACK_AFTER: Duration = Duration::from_secs(15 * 60);
/// A step that has to be taken again this soon was taken back too early.
const RELAPSE: Duration = Duration::from_secs(60);
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

/// Decides for one channel on the air.
#[derive(Debug)]
pub struct Overload {
    steps: Vec<Step>,
    level: usize,
    /// For each rung by how many presets it may be faster.
    faster: Vec<u8>,
    gop: Duration,
    lateness: Lateness,
    demand: Demand,
    /// No further step before this: the last one has not shown yet.
    not_before: Mono,
    changed: Mono,
    taken_back: Option<Mono>,
    /// How long it was calm before the last step was taken back.
    waited: Duration,
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
            lateness: Lateness::default(),
            demand: Demand::default(),
            not_before: Mono::default(),
            changed: Mono::default(),
            taken_back: None,
            waited: FIRST_BACK_AFTER,
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
        self.lateness.lag()
    }

    /// How far decoder, scaler and encoders are behind the newest input, as far as they told lately.
    pub fn lags(&self, now: Mono) -> [Option<Ticks>; 3] {
        self.lateness.lags(now)
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
        self.lateness.worker_began(now);
        self.demand.worker_began();
    }

    /// A stage of the present worker tells of itself, about twice a second.
    pub fn hear(&mut self, reading: &Reading, now: Mono) {
        self.lateness.hear(reading, now);
        if reading.stage == Stage::Encode {
            self.demand.hear(reading, self.lateness.dropped_percent(), now);
        }
    }

    /// Looks at the clock; what is given up or taken back now.
    pub fn look(&mut self, now: Mono) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.lateness.is_known(now) {
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

    /// Steps to be taken at once.
    fn steps_due(&self, now: Mono) -> usize {
        if now < self.not_before || !self.lateness.is_too_late(now) {
            return 0;
        }
        // One rung after the other: each is a picture that somebody watches.
        let is_rung = matches!(self.steps.get(self.level + 1), Some(Step::Rung(_)));
        if self.lateness.dropped_percent() >= FAR_TOO_SLOW_PERCENT && !is_rung { 2 } else { 1 }
    }

    fn step_down(&mut self, now: Mono) -> Option<Change> {
        let step = self.steps.get(self.level).copied()?;
        self.level += 1;
        if self.taken_back.take().is_some_and(|at| now.since(at) < RELAPSE) {
            self.back_after = (self.waited * 2).min(LONGEST_BACK_AFTER);
        }
        self.not_before = self.not_before.max(self.shows_at(step, now));
        self.demand.take(self.not_before);
        self.changed = now;
        self.lateness.restart();
        let lag = self.lag();
        let reason = match self.lateness.dropped_percent() {
            0 => format!("{:.1} s behind", lag.as_secs_f64()),
            percent => format!("{:.1} s behind, {percent} % of pictures left out", lag.as_secs_f64()),
        };
        Some(Change { step, is_less: true, reason, lag })
    }

    fn step_up(&mut self, now: Mono) -> Option<Change> {
        let since = self.lateness.calm_since()?.max(self.changed);
        let wait = if self.demand.has_room() { self.back_after } else { self.back_after.max(UNLIKELY_BACK_AFTER) };
        if now.since(since) < wait {
            return None;
        }
        let level = self.level.checked_sub(1)?;
        let step = self.steps.get(level).copied()?;
        self.level = level;
        (self.changed, self.taken_back, self.waited) = (now, Some(now), wait);
        let reason = match self.demand.without_last() {
            Some(percent) => format!("in time for {} s, threads expected to be busy for {percent:.0} %", wait.as_secs()),
            None => format!("in time for {} s, threads busy for {} %", wait.as_secs(), self.lateness.busy_percent(now)),
        };
        self.demand.take_back(self.shows_at(step, now));
        Some(Change { step, is_less: false, reason, lag: self.lag() })
    }

    /// By when a change that is made now has shown.
    fn shows_at(&self, step: Step, now: Mono) -> Mono {
        now.after(EFFECT + if step == Step::Preset { self.gop } else { Duration::ZERO })
    }
}

#[cfg(test)]
mod tests;
