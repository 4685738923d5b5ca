//! What is told to the front of the input: one picture of all conditions, whichever thread found one.

use std::sync::Mutex;

use crate::wire::link::{FromWorker, Spans};

use super::super::error::Stop;
use super::super::link_out::Outbox;
use super::condition::Lasting;

/// The conditions as last seen. Two threads tell of them: by its number the writer of the link knows a message that was overtaken.
#[derive(Debug, Default)]
pub(in crate::worker) struct Sight {
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    wanted: bool,
    /// How often anything was news.
    changes: u64,
    frozen: Lasting,
    black: Lasting,
    silence: Lasting,
}

impl Seen {
    fn message(self) -> FromWorker {
        let Seen { frozen, black, silence, .. } = self;
        FromWorker::Picture {
            frozen: frozen.counts,
            black: black.counts,
            silence: silence.counts,
            spans: Spans { frozen: frozen.span, black: black.span, silence: silence.span },
        }
    }

    fn counting(self) -> [bool; 3] {
        [self.frozen.counts, self.black.counts, self.silence.counts]
    }
}

impl Sight {
    /// From now on there is something to tell.
    pub(in crate::worker) fn begin(&self) {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).wanted = true;
    }

    /// What the pictures look like now; told at once if that is news.
    pub(in crate::worker) fn pictures(&self, (frozen, black): (Lasting, Lasting), outbox: &Outbox) -> Result<(), Stop> {
        self.change(outbox, |seen| (seen.frozen, seen.black) = (frozen, black))
    }

    /// What the sound sounds like now; told at once if that is news.
    pub(in crate::worker) fn sound(&self, silence: Lasting, outbox: &Outbox) -> Result<(), Stop> {
        self.change(outbox, |seen| seen.silence = silence)
    }

    /// The message that says how it is now, and its number, if anything is watched.
    pub(in crate::worker) fn message(&self) -> Option<(u64, FromWorker)> {
        let seen = *self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        seen.wanted.then(|| (seen.changes, seen.message()))
    }

    fn change(&self, outbox: &Outbox, change: impl FnOnce(&mut Seen)) -> Result<(), Stop> {
        let now = {
            let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let before = seen.counting();
            change(&mut seen);
            if before == seen.counting() {
                return Ok(());
            }
            seen.changes += 1;
            *seen
        };
        tracing::info!(
            frozen = now.frozen.counts,
            black = now.black.counts,
            silence = now.silence.counts,
            "the input looks or sounds different"
        );
        outbox.sight(now.changes, now.message())
    }
}
