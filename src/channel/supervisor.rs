//! When a channel's worker is started, when it counts as stuck, and how long the next one waits. No IO; time is an argument.

use std::time::Duration;

use crate::base::Mono;
use crate::base::backoff::Backoff;

/// A worker that has not opened its encoders by then is replaced.
const OPENING_LIMIT: Duration = Duration::from_secs(5);
/// On a device: the driver starts, and compiles the kernels when it meets a device for the first time.
const DEVICE_OPENING_LIMIT: Duration = Duration::from_secs(10);
/// A worker that was told something to do, and of which no stage but the sound gets on for this long, is replaced. Beside eight busy loops on two cores the longest silence of a worker was 0.8 s with a ladder
/// that the machine carries, 1.8 s with one far beyond it.
const STALL_LIMIT: Duration = Duration::from_secs(2);
/// After each worker that listed nothing the limits double, up to eightfold: a machine that is merely slow must get there.
const MOST_DOUBLINGS: u32 = 3;
/// A look that comes late counts as this much: whoever stopped this process for minutes has stopped the workers too.
const LONGEST_LOOK: Duration = Duration::from_millis(200);
/// A worker that is told to drain and leave is given up after this.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// The wait before the second replacement in a row; the first one starts at once.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// None, and none before this instant.
    None { not_before: Mono },
    /// Asked for; its encoders are not open yet.
    Opening,
    /// Its encoders are open.
    Up,
}

/// A worker that drains while the next one is started.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    id: u64,
    quiet: Duration,
}

/// Which worker a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The one that makes the programme from here on.
    Present,
    /// The one that drains.
    Leaving,
    /// One that was replaced.
    Nobodys,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// A worker is to be started.
    Start,
    /// This worker is stuck, in these words.
    Replace(Whose, &'static str),
}

/// The state of a channel's workers.
#[derive(Debug)]
pub struct Supervisor {
    id: u64,
    phase: Phase,
    was_up: bool,
    opening_limit: Duration,
    leaving: Option<Leaving>,
    /// How long the present worker has not got on although it had work, as far as anybody was looking.
    quiet: Duration,
    /// It was told something to do since it last got on. A feed that ran ahead and stopped leaves it nothing to do for seconds.
    has_work: bool,
    looked: Mono,
    lost: Option<Mono>,
    restarts: u64,
    backoff: Backoff,
}

impl Default for Supervisor {
    fn default() -> Supervisor {
        Supervisor {
            id: 0,
            phase: Phase::None { not_before: Mono::default() },
            was_up: false,
            opening_limit: OPENING_LIMIT,
            leaving: None,
            quiet: Duration::ZERO,
            has_work: false,
            looked: Mono::default(),
            lost: None,
            restarts: 0,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
        }
    }
}

impl Supervisor {
    /// Number of the present worker, or of the last one.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Workers lost since the start.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Which worker `id` is.
    pub fn whose(&self, id: u64) -> Whose {
        match self.leaving {
            Some(leaving) if leaving.id == id => Whose::Leaving,
            _ if id == self.id && !matches!(self.phase, Phase::None { .. }) => Whose::Present,
            _ => Whose::Nobodys,
        }
    }

    /// Whether the present worker's encoders are open and no other one drains.
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Up && self.leaving.is_none()
    }

    /// Whether a worker was asked for whose encoders are not open yet.
    pub fn is_opening(&self) -> bool {
        self.phase == Phase::Opening
    }

    /// Whether the present worker, or the last one, had opened its encoders.
    pub fn was_up(&self) -> bool {
        self.was_up
    }

    /// The worker that drains.
    pub fn leaving(&self) -> Option<u64> {
        self.leaving.map(|leaving| leaving.id)
    }

    /// Looks at the clock; to be called about every 40 ms.
    pub fn look(&mut self, now: Mono) -> Due {
        let passed = now.since(self.looked).min(LONGEST_LOOK);
        self.looked = now;
        if self.has_work {
            self.quiet += passed;
        }
        if let Some(leaving) = &mut self.leaving {
            leaving.quiet += passed;
            if leaving.quiet > DRAIN_LIMIT {
                return Due::Replace(Whose::Leaving, "does not drain");
            }
        }
        match self.phase {
            Phase::None { not_before } if now >= not_before => Due::Start,
            Phase::Opening if self.quiet > self.patience(self.opening_limit) => Due::Replace(Whose::Present, "does not open its encoders"),
            Phase::Up if self.quiet > self.patience(STALL_LIMIT) => Due::Replace(Whose::Present, "gets no picture done"),
            _ => Due::Nothing,
        }
    }

    /// There is no seat for a worker; the next look for one is at `not_before`.
    pub fn has_no_seat(&mut self, not_before: Mono) {
        self.phase = Phase::None { not_before };
    }

    /// A worker is started now, on a device or not; its number.
    pub fn started(&mut self, on_device: bool) -> u64 {
        self.id += 1;
        self.opening_limit = if on_device { DEVICE_OPENING_LIMIT } else { OPENING_LIMIT };
        (self.phase, self.was_up) = (Phase::Opening, false);
        self.quiet = Duration::ZERO;
        self.has_work = true;
        self.id
    }

    /// The present worker drains and leaves while the next one is started; the number of the next one.
    pub fn hands_over(&mut self, on_device: bool) -> u64 {
        self.leaving = Some(Leaving { id: self.id, quiet: Duration::ZERO });
        self.started(on_device)
    }

    /// The worker that drained is done.
    pub fn has_left(&mut self) {
        self.leaving = None;
    }

    /// The present worker has opened its encoders.
    pub fn opened(&mut self) {
        (self.phase, self.was_up) = (Phase::Up, true);
        self.gets_on();
    }

    /// The present worker was told something of which pictures come.
    pub fn has_work(&mut self) {
        self.has_work = true;
    }

    /// A stage of the present worker got on.
    pub fn gets_on(&mut self) {
        self.quiet = Duration::ZERO;
        self.has_work = self.phase == Phase::Opening;
    }

    /// A segment is listed: all is well.
    pub fn succeeded(&mut self) {
        self.backoff.succeeded();
    }

    /// How long the channel was without packets, once, when the first one of a replacement comes.
    pub fn takeover(&mut self, now: Mono) -> Option<Duration> {
        self.lost.take().map(|lost| now.since(lost))
    }

    /// The present worker, and one that drains, are given up on purpose: the next one starts at once.
    pub fn begins_anew(&mut self, now: Mono) {
        self.leaving = None;
        self.phase = Phase::None { not_before: now };
    }

    /// The present worker is lost, and with it one that drained. The next one may start at once if `forgiven` or if this is the
    /// first one in a row that listed nothing.
    pub fn lost(&mut self, forgiven: bool, now: Mono) {
        self.restarts += 1;
        self.leaving = None;
        self.lost.get_or_insert(now);
        if forgiven {
            self.backoff.succeeded();
        }
        let is_first = self.backoff.failures() == 0;
        let wait = self.backoff.failed();
        self.phase = Phase::None { not_before: if is_first { now } else { now.after(wait) } };
    }

    fn patience(&self, limit: Duration) -> Duration {
        limit * (1 << self.backoff.failures().min(MOST_DOUBLINGS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(40);

    /// Looks every 40 ms from `now` on; the instant and the outcome of the first look that asks for something.
    fn first_due(supervisor: &mut Supervisor, mut now: Mono, within: Duration) -> Option<(Duration, Due)> {
        let from = now;
        while now.since(from) < within {
            now = now.after(LOOK);
            match supervisor.look(now) {
                Due::Nothing => {}
                due => return Some((now.since(from), due)),
            }
        }
        None
    }

    fn up(now: Mono) -> Supervisor {
        let mut supervisor = Supervisor::default();
        assert_eq!(supervisor.look(now), Due::Start);
        supervisor.started(false);
        supervisor.opened();
        supervisor.has_work();
        supervisor
    }

    #[test]
    fn a_silent_worker_is_stuck_after_two_seconds_and_a_busy_one_never() {
        let start = Mono(1_000_000_000);
        let mut supervisor = up(start);
        let mut now = start;
        for _ in 0..250 {
            now = now.after(LOOK);
            assert_eq!(supervisor.look(now), Due::Nothing);
            supervisor.gets_on();
            supervisor.has_work();
        }
        let (after, due) = first_due(&mut supervisor, now, Duration::from_secs(10)).expect("it is noticed");
        assert_eq!(due, Due::Replace(Whose::Present, "gets no picture done"));
        assert!(after > STALL_LIMIT && after <= STALL_LIMIT + LOOK * 2, "{after:?}");
    }

    #[test]
    fn a_worker_without_work_may_be_silent() {
        let start = Mono(1_000_000_000);
        let mut supervisor = up(start);
        supervisor.gets_on();
        assert!(first_due(&mut supervisor, start, Duration::from_secs(60)).is_none());
        supervisor.has_work();
        assert!(first_due(&mut supervisor, start.after(Duration::from_secs(60)), Duration::from_secs(60)).is_some());
    }

    #[test]
    fn a_front_that_was_stopped_itself_blames_nobody() {
        let start = Mono(1_000_000_000);
        let mut supervisor = up(start);
        let later = start.after(Duration::from_secs(3600));
        assert_eq!(supervisor.look(later), Due::Nothing);
        assert!(first_due(&mut supervisor, later, Duration::from_secs(1)).is_none());
    }

    #[test]
    fn patience_and_waits_grow_until_a_segment_is_listed() {
        let start = Mono(1_000_000_000);
        let mut supervisor = up(start);
        supervisor.lost(false, start);
        assert_eq!(supervisor.look(start), Due::Start, "the first replacement starts at once");
        supervisor.started(false);
        supervisor.opened();
        supervisor.has_work();
        let (after, _) = first_due(&mut supervisor, start, Duration::from_secs(60)).expect("it is noticed");
        assert!(after > STALL_LIMIT * 2, "{after:?}");
        supervisor.lost(false, start);
        assert_eq!(supervisor.look(start), Due::Nothing, "the second one waits");
        let (wait, _) = first_due(&mut supervisor, start, Duration::from_secs(60)).expect("it starts");
        assert!(wait >= FIRST_WAIT * 2 && wait < Duration::from_secs(1), "{wait:?}");
        supervisor.started(false);
        supervisor.opened();
        supervisor.has_work();
        supervisor.succeeded();
        let (after, _) = first_due(&mut supervisor, start, Duration::from_secs(60)).expect("it is noticed");
        assert!(after <= STALL_LIMIT + LOOK * 7, "{after:?}");
    }

    #[test]
    fn a_worker_that_never_drains_is_not_waited_for() {
        let start = Mono(1_000_000_000);
        let mut supervisor = up(start);
        let (old, new) = (supervisor.id(), supervisor.hands_over(false));
        supervisor.opened();
        assert_eq!((supervisor.whose(old), supervisor.whose(new)), (Whose::Leaving, Whose::Present));
        let mut now = start;
        let due = loop {
            now = now.after(LOOK);
            supervisor.gets_on();
            match supervisor.look(now) {
                Due::Nothing => assert!(now.since(start) < DRAIN_LIMIT * 2),
                due => break due,
            }
        };
        assert_eq!(due, Due::Replace(Whose::Leaving, "does not drain"));
        supervisor.lost(false, now);
        assert_eq!((supervisor.whose(old), supervisor.whose(new)), (Whose::Nobodys, Whose::Nobodys));
    }
}
