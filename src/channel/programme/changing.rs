//! Another plan for a channel that runs: each key as [`crate::channel::change`] says.

use std::time::Duration;

use super::seating::Cut;
use super::{Action, Programme};
use crate::base::events::{self, EventKind};
use crate::base::{Mono, Ticks};
use crate::channel::air::{Ladder, OnAir};
use crate::channel::change::{Effect, changes, feed_places};
use crate::channel::feeds::FeedInfo;
use crate::channel::plan::{ChannelPlan, FeedPlan, Idle};
use crate::channel::sequence::Sequence;
use crate::channel::supervisor::{Due, Whose};
use crate::media::Track;
use crate::wire::link::Fill;

/// Between looks for the seat that a change of plan needs.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A refused ladder is tried again after this: what refused it may have gone by.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// What is left to be done for the sake of a plan.
#[derive(Debug)]
pub(super) struct PlanChange {
    /// Not before this.
    not_before: Mono,
    /// The channel begins anew; else its worker is changed for another one.
    is_anew: bool,
    /// It belongs in another seat, perhaps.
    is_elsewhere: bool,
    /// Why it was not done when it was last tried, as it was told.
    told: Option<String>,
}

impl PlanChange {
    fn at(not_before: Mono) -> PlanChange {
        PlanChange { not_before, is_anew: false, is_elsewhere: false, told: None }
    }
}

impl Programme {
    /// Takes another plan of the same kind. What cannot change while the channel is on the air lets it begin anew behind what is
    /// published; publishers stay.
    pub fn take_plan(&mut self, plan: ChannelPlan, now: Mono) {
        let changes = changes(&self.plan, &plan);
        self.rearrange_feeds(&plan, now);
        self.seating.take_plan(&plan);
        let before = self.change.take();
        // What waited to begin anew had a ladder of its own, perhaps.
        let is_other_ladder = plan.ladder != self.plan.ladder || before.as_ref().is_some_and(|change| change.is_anew);
        let is_other_relief = plan.overload != self.plan.overload;
        let is_elsewhere = plan.device != self.plan.device || plan.priority != self.plan.priority;
        self.plan = plan;
        let Some(air) = &self.air else {
            if self.plan.idle == Idle::Pattern {
                self.start(now);
            }
            return;
        };
        let present = PlanChange::at(now);
        if self.begins_anew(air) {
            self.change = Some(PlanChange { is_anew: true, ..present });
            self.make_due_change(now);
            return;
        }
        let rungs = match is_other_ladder {
            true => self.rungs(self.source_shape().map(|shape| (shape.width, shape.height)), air.grid().rate),
            false => air.meant_rungs().to_vec(),
        };
        let ladder = Ladder { rungs, audio: self.plan.audio.clone() };
        let was_elsewhere = before.as_ref().is_some_and(|change| change.is_elsewhere);
        let fill = self.fill();
        let Some(air) = &mut self.air else { return };
        air.take_plan(&self.plan, fill);
        air.set_next_ladder(ladder);
        let has_cut = changes.iter().any(|change| change.effect == Effect::NextCut);
        // What the plan before was to change at a cut is not done yet.
        if has_cut || before.is_some() || air.next_ladder().is_some() {
            self.change = Some(PlanChange { is_elsewhere: is_elsewhere || was_elsewhere, ..present });
        }
        if self.supervisor.whose(self.supervisor.id()) == Whose::Nobodys {
            // Nobody is at work whose output could be cut: the next worker has it.
            air.adopt_next_ladder();
            self.change = None;
            self.supervisor.begins_anew(now);
        }
        if is_other_relief {
            self.watch_load();
        }
    }

    /// Whether the plan is one that what is on the air cannot go on with.
    fn begins_anew(&self, air: &OnAir) -> bool {
        self.plan.formats != air.formats() || self.grid(self.plan.rate.unwrap_or(air.grid().rate)) != air.grid()
    }

    /// What shows where there is no input.
    pub(super) fn fill(&self) -> Fill {
        match (self.plan.slate.file.is_some(), self.plan.idle) {
            (true, _) => Fill::File,
            (false, Idle::Pattern) => Fill::Pattern,
            (false, Idle::Wait) => Fill::Slate,
        }
    }

    /// Does what a plan asks for, as soon as it can be done: there is a worker that can part, and a seat.
    pub(super) fn make_due_change(&mut self, now: Mono) {
        let Some(air) = &mut self.air else { return };
        let is_free = self.supervisor.is_settled() && !air.is_handing_over() && !self.seating.has_next();
        if is_free || self.supervisor.whose(self.supervisor.id()) == Whose::Nobodys {
            self.cutting = None;
        }
        if air.take_refused_ladder() {
            let text = "the new ladder could not be put on the air twice: the one before stays, and the new one is tried again in ten minutes; look at the worker's log lines, correct the ladder and reload";
            events::say(EventKind::Reload, &self.plan.name, text);
            tracing::error!(channel = self.plan.name, "{text}");
            self.change = Some(PlanChange::at(now.after(REFUSED_FOR)));
        }
        if self.change.is_none() && air.next_ladder().is_some() && is_free {
            self.change = Some(PlanChange::at(now));
        }
        let Some(change) = self.change.as_ref().filter(|change| now >= change.not_before) else { return };
        if change.is_anew {
            self.begin_anew(now);
        } else if is_free {
            let is_elsewhere = change.is_elsewhere;
            self.cut(is_elsewhere, now);
        }
    }

    /// Plans the change of workers at the next segment.
    fn cut(&mut self, is_elsewhere: bool, now: Mono) {
        let source = self.source_shape();
        // Two workers of a channel are at work for a moment: on a machine with many channels not all of them at once.
        let Some((air, cutting)) = self.air.as_mut().zip(self.seating.may_cut()) else { return };
        let rungs = air.next_ladder().map_or(air.rungs(), |next| &next.rungs);
        match self.seating.plan_cut(is_elsewhere, rungs, source) {
            Ok(Cut::Beside) => {
                air.bind_next_ladder();
                self.hand_over_when_clear();
                tracing::info!(channel = self.plan.name, worker = self.supervisor.id(), "the new plan takes effect with the next segment");
            }
            Ok(Cut::InPlace) => {
                tracing::info!(
                    channel = self.plan.name,
                    worker = self.supervisor.id(),
                    "the new plan takes effect now: the device has no room for two workers, so the present one ends first"
                );
                self.joins_in_place = air.next_ladder().is_some();
                self.actions.push(Action::EndWorker(self.supervisor.id()));
                self.supervisor.begins_anew(now);
                self.start_if_due(now);
            }
            Err(cause) => return self.wait_for_seat(cause, now),
        }
        (self.change, self.cutting) = (None, Some(cutting));
    }

    /// There is no seat for the new plan: what is on the air stays, which is told once for each cause.
    fn wait_for_seat(&mut self, cause: String, now: Mono) {
        let Some(change) = &mut self.change else { return };
        change.not_before = now.after(LOOK_AGAIN);
        if change.told.as_ref() != Some(&cause) {
            let text = format!("there is no seat for the new plan, and what is on the air stays until there is one: {cause}");
            tracing::warn!(channel = self.plan.name, "{text}");
            events::say(EventKind::Reload, &self.plan.name, text);
            change.told = Some(cause);
        }
    }

    /// Ends for another machine that takes the channel over: its feeds with what they send, and its last segment. The files that are there now
    /// are told by [`Action::Retire`], among the last actions.
    pub fn leave(&mut self) -> Remains {
        let feeds = self.feeds.all().map(|feed| (feed.info.clone(), feed.tracks.clone())).collect();
        let mut remains =
            Remains { feeds, sequence: self.sequence, discontinuities: self.discontinuities, files: Vec::new(), window: self.plan.window };
        if let Some(air) = self.air.take() {
            remains.sequence = air.newest().or(self.sequence);
            remains.discontinuities = air.discontinuities();
            remains.files = air.abandon();
        }
        remains
    }

    /// Goes on where another machine of the same channel ended.
    pub fn follow(&mut self, discontinuities: u64) {
        self.discontinuities = discontinuities;
    }

    fn rearrange_feeds(&mut self, plan: &ChannelPlan, now: Mono) {
        let places = feed_places(&self.plan.feeds, &plan.feeds);
        for gone in (0..self.plan.feeds.len()).filter(|old| !places.contains(&Some(*old))) {
            self.feed_closed(gone, now);
        }
        self.feeds.rearrange(plan.failover, &places);
    }

    /// The grid or the formats are others: the programme goes on behind what is published, after a discontinuity. Not before there is a
    /// seat for it.
    fn begin_anew(&mut self, now: Mono) {
        let Some(present) = self.air.as_ref().map(OnAir::grid) else { return };
        let (source, grid) = (self.source_shape(), self.grid(self.plan.rate.unwrap_or(present.rate)));
        let rungs = self.rungs(source.map(|shape| (shape.width, shape.height)), grid.rate);
        if let Some(cause) = self.seating.foreseen_at(grid.rate, &rungs, source) {
            return self.wait_for_seat(cause, now);
        }
        let (fill, ladder) = (self.fill(), Ladder { rungs, audio: self.plan.audio.clone() });
        let Some(air) = &mut self.air else { return };
        let window = air.window().0.max(self.plan.window.0);
        let files = air.rebuild(&self.plan, grid, ladder, fill);
        self.actions.push(Action::Retire(files, Ticks(window)));
        self.seating.at_rate(grid.rate);
        self.change = None;
        self.actions.extend(self.supervisor.leaving().map(Action::EndWorker));
        self.actions.push(Action::EndWorker(self.supervisor.id()));
        self.supervisor.begins_anew(now);
        tracing::warn!(channel = self.plan.name, rate = %grid.rate, "the new plan lets the channel begin anew: numbers go on after a discontinuity");
        self.start_if_due(now);
    }

    fn start_if_due(&mut self, now: Mono) {
        if self.supervisor.look(now) == Due::Start {
            self.start_worker(now);
        }
    }
}

/// What is left of a machine for the one that takes its channel over.
#[derive(Debug, Default)]
pub struct Remains {
    /// The connected feeds and what they said that they send.
    pub feeds: Vec<(FeedInfo, Vec<Track>)>,
    /// The last segment.
    pub sequence: Option<Sequence>,
    /// How many discontinuities there were.
    pub discontinuities: u64,
    /// Files that are there now.
    pub files: Vec<String>,
    /// How much of the past playlists listed.
    pub window: Ticks,
}

impl Remains {
    /// The feeds at their places in another plan; those without one are left out.
    pub fn feeds_in(&mut self, plan: &[FeedPlan]) -> Vec<(FeedInfo, Vec<Track>)> {
        let placed = |(info, tracks): (FeedInfo, Vec<Track>)| {
            let index = plan.iter().position(|feed| feed.name == info.name)?;
            Some((FeedInfo { index, ..info }, tracks))
        };
        std::mem::take(&mut self.feeds).into_iter().filter_map(placed).collect()
    }
}

impl OnAir {
    /// The newest listed segment.
    fn newest(&self) -> Option<Sequence> {
        Some(Sequence { number: self.newest_segment()?, end: self.listed_to()? })
    }
}
