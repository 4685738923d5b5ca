//! Whether the present worker is too late for too long, or calm. No IO; time is an argument.

use std::time::Duration;

use crate::base::{MediaTime, Mono, Ticks};
use crate::wire::link::Stage;

/// Further behind than this for [`LATE_FOR`], the ladder is too large. Below what makes the worker leave pictures out (a second), above
/// what decoders and queues hold.
const LATE: Ticks = Ticks::from_millis(700);
/// Shorter than this it is a burst of input or of another process: two reports after the first that was late.
const LATE_FOR: Duration = Duration::from_millis(1_100);
/// Further behind by this than it was within the last seconds, for [`CREEPING_FOR`]: a ladder that is too large by a little falls behind
/// slowly, and would take long to be [`LATE`].
const CREPT: Ticks = Ticks::from_millis(300);
const CREEPING_FOR: Duration = Duration::from_millis(2_600);
/// The least lag of this span and of the one before is what the ladder is behind when all is well: decoders and queues hold something.
const LEAST_OF: Duration = Duration::from_secs(5);
/// No further behind than this there is nothing to complain about.
const CALM: Ticks = Ticks::from_millis(500);
/// And where no thread was at work for more of its time than this, there is room for more.
const CALM_BUSY_PERCENT: u8 = 60;
/// Less behind by this than a second ago, it is on its way: two slots of 25 a second.
const FALL: Ticks = Ticks::from_millis(80);
/// What was told longer ago says nothing of now.
pub(super) const STALE: Duration = Duration::from_secs(2);
/// A worker that begins in the past is not too slow but on its way; how that goes shows by then.
const CATCHING_UP: Duration = Duration::from_secs(10);

/// What a stage of the worker told of itself.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Which.
    pub stage: Stage,
    /// How far it is.
    pub pts: MediaTime,
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

/// What the stages of one worker told, and since when that is good or bad.
#[derive(Debug, Default)]
pub(super) struct Lateness {
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
    /// The least lag of the present span, of the one before, and when the present one began.
    least: [Ticks; 2],
    least_from: Mono,
    late_since: Option<Mono>,
    creeping_since: Option<Mono>,
    calm_since: Option<Mono>,
}

impl Lateness {
    /// A worker has opened its encoders, perhaps far in the past.
    pub(super) fn worker_began(&mut self, now: Mono) {
        *self = Lateness { began: now, ..Lateness::default() };
    }

    /// One stage tells of itself, about twice a second.
    pub(super) fn hear(&mut self, reading: &Reading, now: Mono) {
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

    /// Less is made from now on: what was counted against it or for it does not count any more.
    pub(super) fn restart(&mut self) {
        (self.calm_since, self.creeping_since) = (None, None);
    }

    /// How far the slower of scaler and encoders was behind when it last told.
    pub(super) fn lag(&self) -> Ticks {
        self.told.iter().skip(1).flatten().map(|told| told.lag).max().unwrap_or(Ticks::ZERO)
    }

    /// How far decoder, scaler and encoders are behind the newest input, as far as they told lately.
    pub(super) fn lags(&self, now: Mono) -> [Option<Ticks>; 3] {
        self.told.map(|told| told.filter(|told| now.since(told.at) < STALE).map(|told| told.lag.max(Ticks::ZERO)))
    }

    /// Of the pictures since the scaler told before, the percentage that was left out.
    pub(super) fn dropped_percent(&self) -> u64 {
        self.dropped_percent
    }

    /// How busy the busiest thread of all was lately.
    pub(super) fn busy_percent(&self, now: Mono) -> u8 {
        let fresh = self.told.iter().flatten().filter(|told| now.since(told.at) < STALE);
        fresh.map(|told| told.busy_percent).max().unwrap_or(0)
    }

    /// Whether what was told lately says how things are.
    pub(super) fn is_known(&self, now: Mono) -> bool {
        self.is_settled && self.told.iter().skip(1).all(|told| told.is_some_and(|told| now.since(told.at) < STALE))
    }

    /// Whether less has to be made. Input that came in a burst goes by itself, and so does what a step has left behind: who falls is not
    /// too late.
    pub(super) fn is_too_late(&self, now: Mono) -> bool {
        let lasts = |since: Option<Mono>, span| since.is_some_and(|since| now.since(since) >= span);
        !self.is_falling && (lasts(self.late_since, LATE_FOR) || lasts(self.creeping_since, CREEPING_FOR))
    }

    /// Since when there has been room for more.
    pub(super) fn calm_since(&self) -> Option<Mono> {
        self.calm_since
    }

    fn judge(&mut self, now: Mono) {
        let lag = self.lag();
        self.note_least(lag, now);
        self.is_settled |= lag < CALM || self.is_dropping || now.since(self.began) > CATCHING_UP;
        let is_late = lag >= LATE || self.is_dropping;
        self.late_since = if is_late { self.late_since.or(Some(now)) } else { None };
        let has_crept = lag >= self.least[0].min(self.least[1]) + CREPT;
        self.creeping_since = if has_crept && !self.is_falling { self.creeping_since.or(Some(now)) } else { None };
        let is_calm = lag <= CALM && !self.is_dropping && self.busy_percent(now) <= CALM_BUSY_PERCENT;
        self.calm_since = if is_calm { self.calm_since.or(Some(now)) } else { None };
    }

    fn note_least(&mut self, lag: Ticks, now: Mono) {
        if !self.is_settled {
            (self.least, self.least_from) = ([lag; 2], now);
        } else if now.since(self.least_from) >= LEAST_OF {
            (self.least, self.least_from) = ([lag, self.least[0]], now);
        }
        self.least[0] = self.least[0].min(lag);
    }
}
