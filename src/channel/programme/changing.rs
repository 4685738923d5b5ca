//! Another plan for a channel that runs: each key as [`crate::channel::change`] says.

use std::time::Duration;

use super::{Action, Programme};
use crate::base::events::{self, EventKind};
use crate::base::{Mono, Ticks};
use crate::channel::air::{Ladder, OnAir};
use crate::channel::change::{changes, feed_places};
use crate::channel::feeds::FeedInfo;
use crate::channel::plan::{ChannelPlan, FeedPlan, Idle};
use crate::channel::sequence::Sequence;
use crate::channel::supervisor::{Due, Whose};
use crate::media::Track;
use crate::wire::link::Fill;

/// Between looks for the seat that a change of plan needs.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Programme {
    /// Takes another plan of the same kind. What cannot change while the channel is on the air lets it begin anew behind what is
    /// published; publishers stay.
    pub fn take_plan(&mut self, plan: ChannelPlan, now: Mono) {
        let changes = changes(&self.plan, &plan);
        self.rearrange_feeds(&plan, now);
        self.seating.take_plan(&plan);
        let (is_other_ladder, is_other_format) = (plan.ladder != self.plan.ladder, plan.formats != self.plan.formats);
        let is_other_relief = plan.overload != self.plan.overload;
        self.plan = plan;
        let Some(air) = &self.air else {
            if self.plan.idle == Idle::Pattern {
                self.start(now);
            }
            return;
        };
        let grid = self.grid(self.plan.rate.unwrap_or(air.grid().rate));
        let rungs = match is_other_ladder {
            true => self.rungs(self.source_shape().map(|shape| (shape.width, shape.height)), grid.rate),
            false => air.next_ladder().map_or(air.rungs(), |next| &next.rungs).to_vec(),
        };
        let ladder = Ladder { rungs, audio: self.plan.audio.clone() };
        if is_other_format || grid != air.grid() {
            self.begin_anew(grid, ladder, now);
            return;
        }
        let fill = self.fill();
        let Some(air) = &mut self.air else { return };
        air.take_plan(&self.plan, fill);
        air.set_next_ladder(ladder);
        if is_other_relief {
            self.watch_load();
        }
        let Some(air) = &mut self.air else { return };
        if changes.iter().any(|change| change.effect == crate::channel::change::Effect::NextCut) {
            self.cut_due = Some(now);
        }
        if self.supervisor.whose(self.supervisor.id()) == Whose::Nobodys {
            // Nobody is at work whose output could be cut: the next worker has it.
            air.adopt_next_ladder();
            self.cut_due = None;
            self.supervisor.begins_anew(now);
        }
    }

    /// What shows where there is no input.
    pub(super) fn fill(&self) -> Fill {
        match (self.plan.slate.file.is_some(), self.plan.idle) {
            (true, _) => Fill::File,
            (false, Idle::Pattern) => Fill::Pattern,
            (false, Idle::Wait) => Fill::Slate,
        }
    }

    /// Plans the change of workers that a plan asks for, as soon as there is a worker that can part and a seat.
    pub(super) fn make_due_change(&mut self, now: Mono) {
        let source = self.source_shape();
        let Some(air) = &mut self.air else { return };
        if air.take_refused_ladder() {
            let text = "the new ladder could not be put on the air twice: the one before stays; look at the worker's log lines, correct the ladder and reload";
            events::say(EventKind::Reload, &self.plan.name, text);
            tracing::error!(channel = self.plan.name, "{text}");
        }
        if self.cut_due.is_none() && air.next_ladder().is_none() {
            return;
        }
        if self.cut_due.is_some_and(|due| now < due) || !self.supervisor.is_settled() || air.is_handing_over() || self.seating.has_next() {
            return;
        }
        let rungs = air.next_ladder().map_or(air.rungs(), |next| &next.rungs);
        // Where the plan wants it; the seat that it has already is asked for where there is no room for a second one beside it.
        let seat = self.seating.plan_move(&self.seating.move_for_plan(), rungs, source);
        match seat {
            Ok(()) => {
                self.cut_due = None;
                self.hand_over_when_clear();
                tracing::info!(channel = self.plan.name, worker = self.supervisor.id(), "the new plan takes effect with the next segment");
            }
            Err(cause) => {
                if self.cut_due.is_none_or(|due| now.since(due) < LOOK_AGAIN) {
                    tracing::warn!(channel = self.plan.name, cause, "there is no seat for the new plan yet; it is looked for again");
                }
                self.cut_due = Some(now.after(LOOK_AGAIN));
            }
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

    /// The grid or the formats are others: the programme goes on behind what is published, after a discontinuity.
    fn begin_anew(&mut self, grid: crate::media::Grid, ladder: Ladder, now: Mono) {
        let fill = self.fill();
        let Some(air) = &mut self.air else { return };
        let window = air.window().0.max(self.plan.window.0);
        let files = air.rebuild(&self.plan, grid, ladder, fill);
        self.actions.push(Action::Retire(files, Ticks(window)));
        self.seating.at_rate(grid.rate);
        self.cut_due = None;
        self.actions.extend(self.supervisor.leaving().map(Action::EndWorker));
        self.actions.push(Action::EndWorker(self.supervisor.id()));
        self.supervisor.begins_anew(now);
        tracing::warn!(channel = self.plan.name, rate = %grid.rate, "the new plan lets the channel begin anew: numbers go on after a discontinuity");
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
