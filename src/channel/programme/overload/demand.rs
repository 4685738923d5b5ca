//! What a ladder asks of the encoders, and what each step that is taken saved of it. No IO; time is an argument.

use crate::base::{MediaTime, Mono, Ticks};

use super::lateness::Reading;

/// Reports about the last two seconds, at two a second.
const REPORTS: usize = 4;
/// With more of the thread's time than this the ladder is at the edge.
const ROOM_PERCENT: f64 = 85.0;
/// What is asked when a step has to be taken, at least: more than there is, whatever the encoders say of themselves. A thread that waits for
/// a core between two pictures does not count that as work.
const TOO_MUCH_PERCENT: f64 = 100.0;
/// Further behind than this the encoders work off what a step has left, faster than the programme goes.
const CAUGHT_UP: Ticks = Ticks::from_millis(300);
/// No larger share of pictures left out than this is taken for a measure of the others.
const MOST_DROPPED_PERCENT: u64 = 90;

/// How long the encoders' busiest thread was at work, and on how much of the programme.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    worked_s: f64,
    made_s: f64,
}

/// A step that is taken.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// What was asked when it was, in percent of the thread's time.
    before: f64,
    /// How many times less is asked since it has shown.
    saved: Option<f64>,
    /// Steps that were taken so soon after each other that nobody can tell which of them saved it have the same number.
    group: u32,
}

/// How much of the time of the busiest encoder's thread the programme asks, measured over two seconds; more than 100 % where it is too much.
///
/// This is time that passes, not time on a core: other processes make it longer. So what a step saved is kept as a ratio, taken within
/// seconds and so under much the same load of others, and what would be asked without the step follows from what is asked with it now.
#[derive(Debug, Default)]
pub(super) struct Demand {
    last: Option<(Mono, MediaTime)>,
    spans: Vec<Span>,
    taken: Vec<Taken>,
    groups: u32,
    /// The group of the step that was taken back last, and what was asked with it.
    parted: Option<(u32, f64)>,
    /// The last step, taken or taken back, has not shown before this.
    shows_at: Mono,
}

impl Demand {
    /// Another worker begins. What the steps saved stays.
    pub(super) fn worker_began(&mut self) {
        self.last = None;
        self.spans.clear();
    }

    /// The encoders tell of themselves. Of the pictures, `dropped_percent` were left out in front of them since they told before.
    pub(super) fn hear(&mut self, reading: &Reading, dropped_percent: u64, now: Mono) {
        let Reading { pts, lag, busy_percent, .. } = *reading;
        let Some((then, from)) = self.last.replace((now, pts)) else { return };
        if then < self.shows_at {
            return;
        }
        if lag > CAUGHT_UP && self.unsettled().next().is_some() {
            self.spans.clear();
            return;
        }
        let made_share = 1.0 - dropped_percent.min(MOST_DROPPED_PERCENT) as f64 / 100.0;
        let worked_s = now.since(then).as_secs_f64() * f64::from(busy_percent) / 100.0;
        self.spans.truncate(REPORTS - 1);
        self.spans.insert(0, Span { worked_s, made_s: (pts - from).as_secs_f64().max(0.0) * made_share });
        self.settle();
    }

    /// In percent; none as long as too little is known.
    fn percent(&self) -> Option<f64> {
        if self.spans.len() == REPORTS { self.percent_so_far() } else { None }
    }

    fn percent_so_far(&self) -> Option<f64> {
        let sum = |of: fn(&Span) -> f64| self.spans.iter().map(of).sum::<f64>();
        let (worked_s, made_s) = (sum(|span| span.worked_s), sum(|span| span.made_s));
        (made_s > 0.0).then(|| worked_s * 100.0 / made_s)
    }

    /// A step is taken, which shows from then on.
    pub(super) fn take(&mut self, shows_at: Mono) {
        let before = self.unsettled().next().map(|taken| taken.before).or(self.percent_so_far());
        self.taken.push(Taken { before: before.map_or(TOO_MUCH_PERCENT, |percent| percent.max(TOO_MUCH_PERCENT)), saved: None, group: 0 });
        self.restart(shows_at);
        self.parted = None;
    }

    /// The last step is taken back.
    pub(super) fn take_back(&mut self, shows_at: Mono) {
        let percent = self.percent();
        self.parted = self.taken.pop().and_then(|taken| Some((taken.group, percent?)));
        self.restart(shows_at);
    }

    fn restart(&mut self, shows_at: Mono) {
        self.shows_at = shows_at;
        self.spans.clear();
    }

    /// What would be asked without the last step, in percent; none where that cannot be told.
    pub(super) fn without_last(&self) -> Option<f64> {
        let saved = self.taken.last()?.saved?;
        Some(self.percent()? * saved)
    }

    /// Whether the ladder would fit without the last step, as far as that can be told.
    pub(super) fn has_room(&self) -> bool {
        self.without_last().is_none_or(|percent| percent <= ROOM_PERCENT)
    }

    fn unsettled(&self) -> impl Iterator<Item = &Taken> {
        self.taken.iter().filter(|taken| taken.saved.is_none())
    }

    /// What the last step saved, the first time that it can be told. Steps that were taken too soon after each other share it: each is taken
    /// to have saved all of it, until the one after it is taken back.
    fn settle(&mut self) {
        let Some(after) = self.percent().map(|percent| percent.max(1.0)) else { return };
        if let Some((group, before)) = self.parted.take() {
            let others = self.taken.iter_mut().filter(|taken| taken.group == group);
            others.for_each(|taken| taken.saved = taken.saved.map(|saved| (saved * before / after).max(1.0)));
        }
        let is_first = self.unsettled().next().is_some();
        self.groups += u32::from(is_first);
        for taken in self.taken.iter_mut().filter(|taken| taken.saved.is_none()) {
            (taken.saved, taken.group) = (Some((taken.before / after).max(1.0)), self.groups);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::Stage;

    /// Encoders that tell every half second, in time.
    struct Told {
        demand: Demand,
        now: Mono,
    }

    impl Told {
        fn hear(&mut self, busy_percent: u8, reports: u64) {
            for _ in 0..reports {
                self.now = Mono(self.now.0 + 500_000_000);
                let pts = MediaTime(0) + Ticks::from_millis((self.now.0 / 1_000_000) as i64);
                let reading = Reading { stage: Stage::Encode, pts, lag: Ticks::ZERO, busy_percent, done: 0, dropped: 0 };
                self.demand.hear(&reading, 0, self.now);
            }
        }
    }

    fn told() -> Told {
        Told { demand: Demand::default(), now: Mono(0) }
    }

    #[test]
    fn what_a_step_saved_says_what_would_be_asked_without_it_under_another_load() {
        let mut told = told();
        told.hear(100, 8);
        told.demand.take(told.now);
        assert_eq!(told.demand.without_last(), None);
        told.hear(50, 8);
        assert_eq!(told.demand.without_last().map(f64::round), Some(100.0));
        assert!(!told.demand.has_room());
        told.hear(20, 8);
        assert_eq!(told.demand.without_last().map(f64::round), Some(40.0));
        assert!(told.demand.has_room());
    }

    #[test]
    fn steps_taken_at_once_are_one_until_one_of_them_is_taken_back() {
        let mut told = told();
        told.hear(100, 8);
        told.demand.take(told.now);
        told.demand.take(told.now);
        told.hear(25, 8);
        assert_eq!(told.demand.without_last().map(f64::round), Some(100.0), "the last step alone may have saved it all");
        told.hear(20, 8);
        told.demand.take_back(told.now);
        told.hear(40, 8);
        assert_eq!(told.demand.without_last().map(f64::round), Some(80.0), "half of it was the other one's");
    }

    #[test]
    fn a_step_that_had_to_be_taken_saved_something_whatever_the_threads_say() {
        let mut told = told();
        told.hear(30, 8);
        told.demand.take(told.now);
        told.hear(20, 8);
        assert!(!told.demand.has_room());
    }
}
