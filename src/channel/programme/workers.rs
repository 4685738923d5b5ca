//! A programme's workers: taken in, replaced, changed; and what becomes of a feed that kills them.

use bytes::Bytes;

use super::{Action, Programme};
use crate::base::metrics::metrics;
use crate::base::{Fault, MediaTime, Mono};
use crate::channel::air::{OnAir, Outcome};
use crate::channel::quarantine::Verdict;
use crate::channel::supervisor::{Due, Whose};
use crate::pack::PackError;
use crate::wire::link::{FromWorker, ToWorker};

/// Why a channel's worker cannot be changed for another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Immovable {
    /// No worker is at work.
    #[error("no worker is at work yet: the channel is not on the air or a replacement is starting; try again in a moment")]
    NotRunning,
    /// It is being changed.
    #[error("the worker is being changed already")]
    Moving,
    /// Copy channels have none.
    #[error("a copy channel has no worker")]
    NoWorker,
}

impl Immovable {
    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            Immovable::NotRunning | Immovable::Moving => Fault::Transient,
            Immovable::NoWorker => Fault::Unsupported,
        }
    }
}

impl Programme {
    /// A message from worker `id`. Messages of workers that were replaced are dropped.
    pub fn worker_message(&mut self, id: u64, message: FromWorker, payload: Bytes, now: Mono) {
        let Some(air) = &mut self.air else { return };
        match self.supervisor.whose(id) {
            Whose::Present => {
                self.note_progress(&message, now);
                self.present_message(message, payload, now);
            }
            Whose::Leaving if message == FromWorker::Drained => self.drained(id, now),
            Whose::Leaving => {
                let outcome = air.leaving_message(message, payload);
                self.take_in(outcome, now);
            }
            Whose::Nobodys => {}
        }
    }

    /// Worker `id` ended by itself.
    pub fn worker_gone(&mut self, id: u64, cause: &str, now: Mono) {
        if self.supervisor.whose(id) == Whose::Nobodys {
            return;
        }
        tracing::warn!(channel = self.plan.name, worker = id, cause, "worker gone; a replacement resumes at the commit point");
        self.replace_worker(Fault::SessionLost, now);
    }

    /// Worker `id` is resident with more than it may.
    pub fn worker_too_large(&mut self, id: u64, resident_bytes: u64, now: Mono) {
        if self.supervisor.whose(id) != Whose::Nobodys {
            tracing::error!(
                channel = self.plan.name,
                worker = id,
                resident_mib = resident_bytes >> 20,
                "worker takes too much memory; it is replaced"
            );
            self.replace_worker(Fault::Overload, now);
        }
    }

    /// Changes the worker for another one at the next segment boundary. Nothing is lost by it, and playlists do not show it.
    pub fn move_worker(&mut self) -> Result<(), Immovable> {
        let air = self.air.as_mut().ok_or(Immovable::NotRunning)?;
        if self.supervisor.leaving().is_some() {
            return Err(Immovable::Moving);
        }
        if !self.supervisor.is_settled() {
            return Err(Immovable::NotRunning);
        }
        if !air.plan_handover() {
            return Err(Immovable::Moving);
        }
        tracing::info!(channel = self.plan.name, worker = self.supervisor.id(), "worker is changed for another one at the next segment");
        Ok(())
    }

    /// The next message for the present worker, when its link has room.
    pub fn next_message(&mut self) -> Option<(ToWorker, Bytes)> {
        if self.actions.iter().any(|action| matches!(action, Action::StartWorker(_))) {
            // The present worker is not there yet: what comes next is not for the one before.
            return None;
        }
        let air = self.air.as_mut()?;
        let message = air.next_message()?;
        if air.is_work(&message.0) {
            self.supervisor.has_work();
        }
        if message.0 == ToWorker::Drain && air.has_parted() {
            self.actions.push(Action::SetAside(self.supervisor.id()));
            self.actions.push(Action::StartWorker(self.supervisor.hands_over()));
            air.begin_handover();
        }
        Some(message)
    }

    pub(super) fn start_worker(&mut self) {
        let Some(air) = &mut self.air else { return };
        air.restart();
        self.actions.push(Action::StartWorker(self.supervisor.started()));
    }

    pub(super) fn note_progress(&mut self, message: &FromWorker, now: Mono) {
        if matches!(message, FromWorker::Opened { .. }) {
            self.supervisor.opened();
        } else if self.air.as_ref().is_some_and(|air| air.shows_progress(message)) {
            self.supervisor.gets_on();
        }
        if matches!(message, FromWorker::Packet { .. })
            && let Some(took) = self.supervisor.takeover(now)
        {
            metrics().worker_takeover.with_label_values(&[&*self.plan.name]).observe(took.as_secs_f64());
            tracing::info!(
                channel = self.plan.name,
                worker = self.supervisor.id(),
                took_s = took.as_secs_f64(),
                "replacement puts packets out"
            );
        }
    }

    pub(super) fn present_message(&mut self, message: FromWorker, payload: Bytes, now: Mono) {
        let Some(air) = &mut self.air else { return };
        if self.supervisor.leaving().is_none() {
            let outcome = air.worker_message(message, payload);
            self.take_in(outcome, now);
        } else if !air.keep_early(message, payload) {
            tracing::error!(
                channel = self.plan.name,
                "the new worker is far ahead of the old one, which does not drain; both are replaced"
            );
            self.replace_worker(Fault::Bug, now);
        }
    }

    /// The old worker of a planned change has put out everything.
    pub(super) fn drained(&mut self, id: u64, now: Mono) {
        tracing::info!(channel = self.plan.name, worker = id, successor = self.supervisor.id(), "worker has drained");
        self.supervisor.has_left();
        self.actions.push(Action::EndWorker(id));
        let early = self.air.as_mut().map(OnAir::end_handover).unwrap_or_default();
        let successor = self.supervisor.id();
        for (message, payload) in early {
            if self.supervisor.whose(successor) == Whose::Present {
                self.present_message(message, payload, now);
            }
        }
    }

    pub(super) fn take_in(&mut self, outcome: Result<Outcome, PackError>, now: Mono) {
        match outcome {
            Ok(Outcome::Nothing) => {}
            Ok(Outcome::Thumbnail(jpeg)) => self.actions.push(Action::Thumbnail(jpeg)),
            Ok(Outcome::Listed { changes, sequence }) => {
                self.supervisor.succeeded();
                self.actions.push(Action::Apply(changes));
                self.actions.push(Action::Remember(sequence));
            }
            Err(cause) => {
                let worker = self.supervisor.id();
                tracing::error!(channel = self.plan.name, worker, %cause, "worker's output cannot be used; the worker is replaced");
                self.replace_worker(Fault::Bug, now);
            }
        }
    }

    pub(super) fn replace_worker(&mut self, fault: Fault, now: Mono) {
        metrics().worker_restarts.with_label_values(&[&*self.plan.name, fault.label()]).inc();
        self.actions.extend(self.supervisor.leaving().map(Action::EndWorker));
        self.actions.push(Action::EndWorker(self.supervisor.id()));
        let verdict = self.judge_feed(now);
        self.supervisor.lost(verdict != Verdict::Resume, now);
        if self.supervisor.look(now) == Due::Start {
            self.start_worker();
        }
    }

    /// A worker that was sent media and is lost may have died of it.
    fn judge_feed(&mut self, now: Mono) -> Verdict {
        let Some(air) = self.air.as_mut().filter(|air| air.was_fed()) else { return Verdict::Resume };
        let (channel, feed, place) = (&*self.plan.name, &*self.spliced, air.published_to());
        let verdict = self.quarantine.worker_lost(feed, place, now);
        let labels = [channel, feed];
        match verdict {
            Verdict::Resume => {}
            Verdict::Skip => {
                let units = air.skip_input();
                metrics().feed_skips.with_label_values(&labels).inc();
                tracing::error!(
                    channel,
                    feed,
                    place_s = (place - MediaTime(0)).as_secs_f64(),
                    units,
                    "three workers died of the same input: it is given up to the next keyframe, and the slate covers it; look at the feed's encoder"
                );
            }
            Verdict::Bar(term) => {
                let units = air.skip_input();
                metrics().feed_quarantined.with_label_values(&labels).set(1);
                tracing::error!(
                    channel,
                    feed,
                    place_s = (place - MediaTime(0)).as_secs_f64(),
                    units,
                    term_s = term.as_secs(),
                    "feed is quarantined: its input goes on killing workers. The slate is on the air meanwhile; send other encoder settings or another feed"
                );
                let index = self.plan.feeds.iter().position(|plan| plan.name == feed);
                if index.is_some_and(|index| self.feeds.bar(index, true)) {
                    air.end_input();
                }
            }
        }
        verdict
    }

    /// Feeds whose quarantine is over are taken up again at their next entry.
    pub(super) fn release_feeds(&mut self, now: Mono) {
        for feed in self.quarantine.take_released(now) {
            metrics().feed_quarantined.with_label_values(&[&*self.plan.name, &*feed]).set(0);
            tracing::warn!(channel = self.plan.name, feed, "quarantine is over: the feed is tried again");
            if let Some(index) = self.plan.feeds.iter().position(|plan| plan.name == feed) {
                self.feeds.bar(index, false);
            }
        }
    }
}

#[cfg(test)]
mod tests;
