//! A programme's workers: taken in, replaced, changed; and what becomes of a feed that kills them.

use bytes::Bytes;

use super::seating::{Blame, Loss, MoveTo};
use super::{Action, Programme};
use crate::base::events::{self, EventKind};
use crate::base::metrics::metrics;
use crate::base::{Fault, MediaTime, Mono};
use crate::channel::air::{OnAir, Outcome};
use crate::channel::quarantine::Verdict;
use crate::channel::supervisor::{Due, Whose};
use crate::pack::PackError;
use crate::wire::link::{FromWorker, ToWorker};

/// Why a channel's worker cannot be changed for another one now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// There is no seat for it.
    #[error("there is no seat: {0}")]
    NoSeat(String),
}

impl Immovable {
    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            Immovable::NotRunning | Immovable::Moving => Fault::Transient,
            Immovable::NoWorker => Fault::Unsupported,
            Immovable::NoSeat(_) => Fault::Overload,
        }
    }
}

impl Programme {
    /// A message from worker `id`. Messages of workers that were replaced are dropped.
    pub fn worker_message(&mut self, id: u64, message: FromWorker, payload: Bytes, now: Mono) {
        let Some(air) = &mut self.air else { return };
        let whose = self.supervisor.whose(id);
        let fault = match &message {
            FromWorker::Fault { fault, place, detail } if whose != Whose::Nobodys => Some((*fault, format!("{place}: {detail}"))),
            FromWorker::Copies { counts } if whose != Whose::Nobodys => {
                self.seating.copies(id, counts);
                return;
            }
            _ => None,
        };
        match whose {
            Whose::Present => {
                self.note_progress(&message, now);
                self.note_load(&message, now);
                self.present_message(message, payload, now);
            }
            Whose::Leaving if message == FromWorker::Drained => self.drained(id, now),
            Whose::Leaving => {
                let outcome = air.leaving_message(message, payload);
                self.take_in(outcome, now);
            }
            Whose::Nobodys => {}
        }
        if let Some((fault, detail)) = fault {
            self.worker_fault(whose, fault, detail, now);
        }
    }

    /// A worker says what is wrong with it. One whose device is gone is not waited for.
    fn worker_fault(&mut self, whose: Whose, fault: Fault, detail: String, now: Mono) {
        if fault == Fault::DeviceLost && self.seating.is_on_device(whose) {
            tracing::error!(
                channel = self.plan.name,
                worker = self.supervisor.id(),
                detail,
                "worker has lost its device; another seat is looked for"
            );
            self.replace_worker(whose, &Loss::DeviceLost(detail), now);
        } else if whose == Whose::Present {
            self.seating.report(fault, &detail, now);
        }
    }

    /// Worker `id` ended by itself.
    pub fn worker_gone(&mut self, id: u64, cause: &str, now: Mono) {
        let whose = self.supervisor.whose(id);
        if whose == Whose::Nobodys {
            return;
        }
        tracing::warn!(channel = self.plan.name, worker = id, cause, "worker gone; a replacement resumes at the commit point");
        self.replace_worker(whose, &Loss::Gone, now);
    }

    /// Worker `id` is resident with more than it may.
    pub fn worker_too_large(&mut self, id: u64, resident_bytes: u64, now: Mono) {
        let whose = self.supervisor.whose(id);
        if whose != Whose::Nobodys {
            tracing::error!(
                channel = self.plan.name,
                worker = id,
                resident_mib = resident_bytes >> 20,
                "worker takes too much memory; it is replaced"
            );
            self.replace_worker(whose, &Loss::TooLarge, now);
        }
    }

    /// Changes the worker for another one at the next segment boundary, in the seat that is asked for. Nothing is lost by it, and playlists
    /// do not show it where the parameter sets are the same.
    ///
    /// # Errors
    /// Where none is at work, one is being changed, or there is no seat beside the present one.
    pub fn move_worker(&mut self, to: &MoveTo) -> Result<(), Immovable> {
        let source = self.source_shape();
        let air = self.air.as_mut().ok_or(Immovable::NotRunning)?;
        if self.supervisor.leaving().is_some() {
            return Err(Immovable::Moving);
        }
        if !self.supervisor.is_settled() {
            return Err(Immovable::NotRunning);
        }
        if air.is_handing_over() || self.seating.has_next() {
            return Err(Immovable::Moving);
        }
        self.seating.plan_move(to, air.rungs(), source).map_err(Immovable::NoSeat)?;
        self.hand_over_when_clear();
        tracing::info!(channel = self.plan.name, worker = self.supervisor.id(), "worker is changed for another one at the next segment");
        Ok(())
    }

    /// Plans the change of workers for which there is a seat, when nobody is in that any more.
    pub(super) fn hand_over_when_clear(&mut self) {
        let Some(air) = self.air.as_mut().filter(|air| self.supervisor.is_settled() && !air.is_handing_over()) else { return };
        if self.seating.next_is_clear() == Some(true) {
            air.plan_handover();
        }
    }

    /// The next message for the present worker, when its link has room.
    pub fn next_message(&mut self) -> Option<(ToWorker, Bytes)> {
        if self.actions.iter().any(|action| matches!(action, Action::StartWorker(..))) {
            // The present worker is not there yet: what comes next is not for the one before.
            return None;
        }
        let air = self.air.as_mut()?;
        let message = air.next_message()?;
        if air.is_work(&message.0) {
            self.supervisor.has_work();
        }
        if message.0 == ToWorker::Drain && air.has_parted() {
            let Some(lease) = self.seating.part() else { return Some(message) };
            self.actions.push(Action::SetAside(self.supervisor.id()));
            air.begin_handover(&lease.seat, lease.preset);
            let id = self.supervisor.hands_over(lease.ticket().is_some());
            self.actions.push(Action::StartWorker(id, lease));
        }
        Some(message)
    }

    pub(super) fn start_worker(&mut self, now: Mono) {
        let source = self.source_shape();
        let Some(air) = &mut self.air else { return };
        if !self.supervisor.was_up() {
            // The ladder on the air cannot be opened perhaps: what was put in its place must not wait for it.
            air.adopt_untried_ladder();
        }
        if std::mem::take(&mut self.joins_in_place)
            && let Some(next) = air.next_ladder()
            && let Ok(lease) = self.seating.seat(&next.rungs, source, now)
        {
            air.restart_with_next(&lease.seat, lease.preset);
            let id = self.supervisor.started(lease.ticket().is_some());
            self.actions.push(Action::StartWorker(id, lease));
            return;
        }
        match self.seating.seat(air.rungs(), source, now) {
            Ok(lease) => {
                air.restart(&lease.seat, lease.preset);
                let id = self.supervisor.started(lease.ticket().is_some());
                self.actions.push(Action::StartWorker(id, lease));
            }
            Err(wait) => self.supervisor.has_no_seat(now.after(wait)),
        }
    }

    /// A worker's device is condemned: the worker is replaced elsewhere, whether it still works or not.
    pub(super) fn leave_condemned(&mut self, whose: Whose, now: Mono) {
        if self.supervisor.whose(self.supervisor.id()) == Whose::Present {
            tracing::warn!(
                channel = self.plan.name,
                worker = self.supervisor.id(),
                "worker's device is condemned; another seat is looked for"
            );
            self.replace_worker(whose, &Loss::Condemned, now);
        }
    }

    /// A main channel has this one's place: the worker is ended, and the channel waits for another place.
    pub(super) fn give_way(&mut self, whose: Whose, by: String, now: Mono) {
        if self.supervisor.whose(self.supervisor.id()) == Whose::Present {
            self.replace_worker(whose, &Loss::PushedOut(by), now);
        } else {
            self.seating.vacate(by);
        }
    }

    /// A channel that is in software for want of a device moves to one that is well again.
    pub(super) fn return_to_device(&mut self, now: Mono) {
        let source = self.source_shape();
        let is_free = |air: &&mut OnAir| self.supervisor.is_settled() && !air.is_handing_over() && !self.seating.has_next();
        let Some(air) = self.air.as_mut().filter(is_free) else { return };
        if self.seating.plan_return(air.rungs(), source, now) {
            self.hand_over_when_clear();
        }
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
            self.replace_worker(Whose::Leaving, &Loss::Useless, now);
        }
    }

    /// The old worker of a planned change has put out everything.
    pub(super) fn drained(&mut self, id: u64, now: Mono) {
        tracing::info!(channel = self.plan.name, worker = id, successor = self.supervisor.id(), "worker has drained");
        self.supervisor.has_left();
        self.seating.has_left();
        self.actions.push(Action::EndWorker(id));
        self.list_rest(now);
        let early = self.air.as_mut().map(OnAir::end_handover).unwrap_or_default();
        let successor = self.supervisor.id();
        for (message, payload) in early {
            if self.supervisor.whose(successor) == Whose::Present {
                self.present_message(message, payload, now);
            }
        }
    }

    /// Lists what the old worker of a planned change has left open, before the new one is heard.
    fn list_rest(&mut self, now: Mono) {
        while let Some(air) = &mut self.air {
            let outcome = air.list_rest();
            let is_last = !matches!(outcome, Ok(Outcome::Listed { .. }));
            self.take_in(outcome, now);
            if is_last {
                return;
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
                self.replace_worker(Whose::Present, &Loss::Useless, now);
            }
        }
    }

    pub(super) fn replace_worker(&mut self, whose: Whose, loss: &Loss, now: Mono) {
        let is_of_ladder = self.is_of_new_ladder(whose, loss);
        let (fault, blame) = match is_of_ladder {
            true => self.seating.lost_with_new_ladder(),
            false => self.seating.lost(whose, loss, now),
        };
        if let Some(air) = &mut self.air {
            if is_of_ladder {
                air.blame_joining();
            }
            air.fail_joining();
        }
        self.cutting = None;
        events::say(EventKind::Worker, &self.plan.name, format!("worker {} is replaced: {}", self.supervisor.id(), loss.words()));
        metrics().worker_restarts.with_label_values(&[&*self.plan.name, fault.label()]).inc();
        self.actions.extend(self.supervisor.leaving().map(Action::EndWorker));
        self.actions.push(Action::EndWorker(self.supervisor.id()));
        let verdict = if blame == Blame::Device { Verdict::Resume } else { self.judge_feed(now) };
        // Another seat deserves a try at once, however many workers were lost in the one before.
        self.supervisor.lost(verdict != Verdict::Resume || blame == Blame::Device, now);
        if self.supervisor.look(now) == Due::Start {
            self.start_worker(now);
        }
    }

    /// Whether the worker of a new ladder was lost before it had opened its encoders. Neither the device nor the feed answers for that: both
    /// work with the ladder before.
    fn is_of_new_ladder(&self, whose: Whose, loss: &Loss) -> bool {
        let is_its_own = matches!(loss, Loss::Stuck(_) | Loss::Gone | Loss::TooLarge | Loss::Useless);
        let is_new = whose == Whose::Present && self.supervisor.is_opening();
        is_its_own && is_new && self.air.as_ref().is_some_and(OnAir::is_joining)
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
                events::say(
                    EventKind::Quarantine,
                    channel,
                    format!("feed {feed} is left out for {} s: its input kills workers", term.as_secs()),
                );
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
            events::say(EventKind::Quarantine, &self.plan.name, format!("feed {feed} is tried again"));
            tracing::warn!(channel = self.plan.name, feed, "quarantine is over: the feed is tried again");
            if let Some(index) = self.plan.feeds.iter().position(|plan| plan.name == feed) {
                self.feeds.bar(index, false);
            }
        }
    }
}

#[cfg(test)]
mod tests;
