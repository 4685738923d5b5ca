//! What is known of the worker of a channel on the air, and how it gives way to the next one: at the commit point after a loss, at a segment's boundary by plan.

use bytes::Bytes;

use super::{OnAir, Outcome};
use crate::base::metrics::metrics;
use crate::base::{MediaTime, Ticks};
use crate::channel::handover::Handover;
use crate::media::device::Seat;
use crate::media::{Rung, Slot};
use crate::pack::PackError;
use crate::wire::link::{Easing, FromWorker, Stage, ToWorker};

/// A planned change of workers is at least this far ahead: what lies there is not made yet.
const HANDOVER_LEAD: Ticks = Ticks::from_millis(200);
/// What was missed for longer than this is not made afterwards: the input is kept no longer, and viewers would wait while it is made.
const MADE_AFTERWARDS: Ticks = Ticks::from_millis(30_000);

impl OnAir {
    /// Whether a message shows that the worker gets on. Sound alone does not, where there are pictures: they may be stuck.
    pub fn shows_progress(&self, message: &FromWorker) -> bool {
        match message {
            FromWorker::Packet { rung, .. } => self.rungs.is_empty() || usize::from(*rung) < self.rungs.len(),
            FromWorker::Progress { stage, .. } => self.rungs.is_empty() || *stage != Stage::Audio,
            // Of broken input nothing else may come.
            FromWorker::Fault { .. } => true,
            _ => false,
        }
    }

    /// Whether the worker has something to do by a message: a picture, or slots to be made that it has not made ahead of time.
    pub fn is_work(&self, message: &ToWorker) -> bool {
        match message {
            ToWorker::Au { .. } => self.sent_video || self.rungs.is_empty(),
            ToWorker::Advance { to } => self.is_to_be_made(*to),
            _ => false,
        }
    }

    /// Whether something is left for the worker that it has not been told, since it does not read its link perhaps.
    pub fn has_backlog(&self) -> bool {
        self.replay.unsent() > 0 || self.is_to_be_made(self.advance_to)
    }

    fn is_to_be_made(&self, to: MediaTime) -> bool {
        to > self.made + self.grid.rate.period()
    }

    /// The rungs, largest first.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// As [`OnAir::restart`], with the ladder that waits: the one on the air stays until its encoders are open.
    pub fn restart_with_next(&mut self, seat: &Seat, preset: Option<&'static str>) {
        self.fail_joining();
        self.bind_next_ladder();
        self.join_next_ladder();
        self.begin_again(seat, preset);
    }

    /// A new worker begins in this seat, with no slower preset than the one given, at the commit point, with the input from the entry before it.
    pub fn restart(&mut self, seat: &Seat, preset: Option<&'static str>) {
        self.fail_joining();
        self.begin_again(seat, preset);
    }

    fn begin_again(&mut self, seat: &Seat, preset: Option<&'static str>) {
        (self.seat, self.preset) = (seat.clone(), preset);
        if self.handover.take().is_some() {
            tracing::info!(channel = self.channel, "the planned change of workers is off: a replacement is due anyway");
        }
        self.commit.restart();
        self.give_up_what_is_old();
        self.begin_at(self.commit.resume_slot());
    }

    /// After a long time without a worker the programme goes on with the segment that is running now.
    fn give_up_what_is_old(&mut self) {
        let behind = self.advance_to - self.commit.published_to();
        if behind <= MADE_AFTERWARDS {
            return;
        }
        self.commit.skip_to(self.grid.first_from(self.advance_to));
        // Of the input that the last worker was sent, the next one needs the end.
        self.replay.trim(self.commit.published_to());
        tracing::warn!(
            channel = self.channel,
            missed_s = behind.as_secs_f64(),
            "nothing was made for too long: the programme goes on with the present segment, after a discontinuity"
        );
    }

    fn begin_at(&mut self, slot: Slot) {
        self.begin = slot;
        self.replay.rewind();
        self.open_due = true;
        self.was_fed = false;
        self.gave_input_up = false;
        self.made = self.grid.start(slot);
        self.committed_due.clear();
        // A worker with another ladder does not know these rungs.
        let known = if self.is_joining() { &[][..] } else { &self.easings };
        let eased = known.iter().enumerate().filter(|(_, easing)| **easing != Easing::default());
        self.easings_due = eased.map(|(rung, easing)| (rung as u8, *easing)).collect();
        self.advance_sent = self.grid.start(slot);
        self.told.clear();
    }

    /// How much less is to be made of each rung from now on.
    pub fn ease(&mut self, easings: Vec<Easing>) {
        for (rung, (before, easing)) in self.easings.iter().zip(&easings).enumerate() {
            if before != easing {
                self.easings_due.retain(|(due, _)| usize::from(*due) != rung);
                self.easings_due.push((rung as u8, *easing));
            }
        }
        self.easings = easings;
    }

    /// Whether the present worker was sent media of a feed.
    pub fn was_fed(&self) -> bool {
        self.was_fed
    }

    /// How far everything is published.
    pub fn published_to(&self) -> MediaTime {
        self.commit.published_to()
    }

    /// Gives up the input that the last worker was sent, and what follows up to the next entry; how many units that is.
    pub fn skip_input(&mut self) -> usize {
        let units = self.replay.skip();
        metrics().frames_dropped.with_label_values(&[&*self.channel, "skipped"]).inc_by(units as u64);
        units
    }

    /// Whether a planned change of workers is under way.
    pub fn is_handing_over(&self) -> bool {
        self.handover.is_some()
    }

    /// Another worker is to take over at the next segment boundary; false if that is under way.
    pub fn plan_handover(&mut self) -> bool {
        if self.handover.is_some() {
            return false;
        }
        let lead = self.timeline.lead(self.now).unwrap_or(Ticks::ZERO).max(Ticks::ZERO);
        let made = self.grid.first_from(self.now + lead + HANDOVER_LEAD);
        let slot = self.grid.segment_start(self.grid.segment_of(made) + 1);
        self.handover = Some(Handover::new(self.grid.start(slot), self.replay.tracks_sent()));
        true
    }

    /// Whether the old worker was told all that it is to do.
    pub fn has_parted(&self) -> bool {
        self.handover.as_ref().is_some_and(Handover::has_parted)
    }

    /// From here on messages are for the new worker of a planned change, in this seat, with no slower preset than the one given.
    pub fn begin_handover(&mut self, seat: &Seat, preset: Option<&'static str>) {
        (self.seat, self.preset) = (seat.clone(), preset);
        self.join_next_ladder();
        if let Some(at) = self.handover.as_ref().map(Handover::at) {
            self.begin_at(self.grid.first_from(at));
        }
    }

    /// Takes in what the old worker of a planned change still says.
    pub fn leaving_message(&mut self, message: FromWorker, payload: Bytes) -> Result<Outcome, PackError> {
        match self.handover.as_ref().is_some_and(|handover| handover.takes_from_the_old(&message)) {
            true => self.worker_message(message, payload),
            false => Ok(Outcome::Nothing),
        }
    }

    /// Keeps what the new worker of a planned change says until the old one is done; false when it is too much.
    pub fn keep_early(&mut self, message: FromWorker, payload: Bytes) -> bool {
        self.handover.as_mut().is_none_or(|handover| handover.keep(message, payload))
    }

    /// The old worker of a planned change has said all: what it left open is listed with the rungs that there are, before what the new
    /// one makes, which may have other parameter sets.
    pub fn list_rest(&mut self) -> Result<Outcome, PackError> {
        if let Some(handover) = &self.handover {
            self.commit.expect_no_more(handover.at());
        }
        self.list()
    }

    /// The old worker of a planned change is done: what the new one has said so far.
    pub fn end_handover(&mut self) -> Vec<(FromWorker, Bytes)> {
        self.handover.take().map(Handover::into_early).unwrap_or_default()
    }
}
