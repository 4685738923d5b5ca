//! Something that lasts, and counts once it has lasted long enough.

use crate::base::{MediaTime, Ticks};

/// A condition of the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    after: Option<Ticks>,
    since: Option<MediaTime>,
    now: MediaTime,
}

/// A condition as it is told: whether it counts, and how long it has lasted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct Lasting {
    pub(in crate::worker) counts: bool,
    pub(in crate::worker) span: Ticks,
}

impl Condition {
    pub(super) fn new(after: Option<Ticks>) -> Condition {
        Condition { after, since: None, now: MediaTime::default() }
    }

    /// Whether it is looked for at all.
    pub(super) fn is_wanted(&self) -> bool {
        self.after.is_some()
    }

    /// It holds at `now`, since `since` unless it did before.
    pub(super) fn holds(&mut self, since: MediaTime, now: MediaTime) {
        self.now = match self.since {
            Some(_) => self.now.max(now),
            None => now.max(since),
        };
        self.since.get_or_insert(since);
    }

    /// It does not hold.
    pub(super) fn ends(&mut self) {
        self.since = None;
    }

    pub(super) fn told(&self) -> Lasting {
        match (self.after, self.since) {
            (Some(after), Some(since)) => {
                let span = Ticks(self.now.0.saturating_sub(since.0).max(0));
                Lasting { counts: span >= after, span }
            }
            _ => Lasting::default(),
        }
    }
}
