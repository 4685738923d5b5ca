//! A seat that a channel has, but not yet to itself: whoever was pushed out of it is still at work there.

use std::sync::Arc;
use std::time::Duration;

use super::Seating;
use crate::base::Mono;
use crate::channel::seats::Lease;
use crate::media::Rung;
use crate::placement::devices::{PassedOver, SourceShape};
use crate::placement::{DeviceWish, Load};

/// How soon to look again.
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// Somebody who was pushed out has left by then, killed if need be; who sits in the kernel even so keeps its place for ever.
const CLEARING_LIMIT: Duration = Duration::from_secs(8);

/// What a seat was asked for: it serves nothing else.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) wish: DeviceWish,
    pub(super) rungs: Vec<Rung>,
    pub(super) source: Option<SourceShape>,
    pub(super) load: Load,
}

/// A seat that others are about to leave.
#[derive(Debug)]
pub(super) struct Clearing {
    pub(super) lease: Arc<Lease>,
    pub(super) passed: Vec<PassedOver>,
    pub(super) asked: Asked,
    pub(super) since: Mono,
}

impl Seating {
    /// The seat that was waited for, or how long to wait for it; none where nothing is waited for, or for too long, or for something else.
    /// What goes on to be held counts for whoever asks anew.
    pub(super) fn waited_for(&mut self, asked: &Asked) -> Option<Result<Arc<Lease>, Duration>> {
        let clearing = self.clearing.take_if(|clearing| clearing.asked == *asked)?;
        if self.desk.is_condemned(&clearing.lease) {
            self.clearing = Some(clearing);
            return None;
        }
        if self.desk.pushed_out(&clearing.lease).is_some() {
            return None;
        }
        if self.desk.is_clear(&clearing.lease) {
            self.leaving = None;
            return Some(Ok(self.sit(clearing.lease, &clearing.passed)));
        }
        if self.now.since(clearing.since) >= CLEARING_LIMIT {
            self.tell_of_who_stays();
            return None;
        }
        self.clearing = Some(clearing);
        Some(Err(LOOK_AGAIN))
    }

    /// Takes a seat, now or when those who were pushed out of it have left.
    pub(super) fn sit_when_clear(&mut self, lease: Lease, passed: Vec<PassedOver>, asked: Asked) -> Result<Arc<Lease>, Duration> {
        let lease = Arc::new(lease);
        if self.desk.is_clear(&lease) {
            self.leaving = None;
            return Ok(self.sit(lease, &passed));
        }
        self.clearing = Some(Clearing { lease, passed, asked, since: self.now });
        Err(LOOK_AGAIN)
    }

    /// Whether the seat of a planned change is there for its worker; false while others are leaving it, none where there is no such seat, or
    /// none any more because they do not leave.
    pub(in crate::channel::programme) fn next_is_clear(&mut self) -> Option<bool> {
        let (lease, since) = self.next.as_ref().zip(self.next_since)?;
        if self.desk.is_clear(lease) {
            return Some(true);
        }
        let is_lost = self.desk.pushed_out(lease).is_some();
        if !is_lost && self.now.since(since) < CLEARING_LIMIT {
            return Some(false);
        }
        if !is_lost {
            self.tell_of_who_stays();
        }
        self.stay();
        None
    }

    fn tell_of_who_stays(&self) {
        tracing::error!(
            channel = self.channel,
            limit_s = CLEARING_LIMIT.as_secs(),
            "a best-effort channel was pushed out and does not leave: another place is looked for; look for a worker that cannot be killed"
        );
    }

    /// Gives up what a channel without a worker still has: somebody waits for it.
    pub(in crate::channel::programme) fn vacate(&mut self, by: String) {
        self.cause = Some((super::PUSHED_OUT, format!("{by} has its place")));
        self.show_seat(None);
        (self.present, self.leaving, self.next, self.clearing) = (None, None, None, None);
    }
}
