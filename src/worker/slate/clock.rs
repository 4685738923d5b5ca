//! When the slate came on, by the thread that shows its pictures.

use std::sync::{Arc, Mutex};

use crate::base::MediaTime;

/// Shared by everyone who has to do with the slate. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(in crate::worker) struct SlateClock {
    now: Arc<Mutex<Showing>>,
}

/// Which showing of the slate this is, and since when it is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Showing {
    pub(super) run: u64,
    pub(super) since: Option<MediaTime>,
}

impl SlateClock {
    pub(super) fn now(&self) -> Showing {
        *self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The slate is on, since `since` unless it was before.
    pub(super) fn on(&self, since: MediaTime) -> Showing {
        let mut now = self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        now.since.get_or_insert(since);
        *now
    }

    /// The slate is off; the next showing begins anew.
    pub(super) fn off(&self) {
        let mut now = self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *now = Showing { run: now.run + 1, since: None };
    }
}
