//! Another plan for a running channel: within its machine where that can take it, else by another machine in its place.

use std::collections::BTreeSet;

use super::machine::{Machine, machine};
use super::{Driver, Workers};
use crate::base::{Mono, Ticks, clock};
use crate::channel::change::{Effect, changes, heaviest};
use crate::channel::clock::ProgrammeClock;
use crate::channel::feed::FeedEvent;
use crate::channel::plan::{ChannelPlan, LadderPlan};
use crate::channel::sequence::Sequence;
use crate::pack::Change;

/// Files of what a channel was before, until nobody who has an old playlist can still want them.
#[derive(Debug)]
pub(super) struct Retired {
    paths: BTreeSet<String>,
    due: Mono,
}

impl Driver {
    /// Takes another plan.
    pub(super) fn take_plan(&mut self, plan: ChannelPlan, workers: &mut Workers) {
        let now = clock::mono();
        self.slate.clone_from(&plan.slate.file);
        self.plan = plan.clone();
        match &mut self.machine {
            Machine::Encoded(programme) if plan.ladder != LadderPlan::Copy => programme.take_plan(plan, now),
            Machine::Copied(copy) if plan.ladder == LadderPlan::Copy && heaviest(&changes(copy.plan(), &plan)) < Effect::ChannelRestart => {
                copy.take_plan(plan, now);
            }
            _ => self.change_machine(plan, workers, now),
        }
        self.posted = None;
        self.status_due = now;
    }

    /// Another machine takes the channel over: its sources stay, its numbers go on after a discontinuity.
    fn change_machine(&mut self, plan: ChannelPlan, workers: &mut Workers, now: Mono) {
        tracing::warn!(channel = self.name, "the new plan lets the channel begin anew: numbers go on after a discontinuity");
        let mut remains = match &mut self.machine {
            Machine::Encoded(programme) => programme.leave(),
            Machine::Copied(copy) => copy.leave(now),
        };
        self.apply_rest();
        for worker in workers.leaving.take().into_iter().chain(workers.present.take()) {
            workers.end(worker, &self.name);
        }
        self.retire(std::mem::take(&mut remains.files), Ticks(remains.window.0.max(plan.window.0)), now);
        let feeds = remains.feeds_in(&plan.feeds);
        self.machine = self.house_machine(plan, remains.sequence);
        self.machine.follow(&remains);
        self.recorder = self.machine.recorder().clone();
        self.house.board.post_recorder(&self.name, self.recorder.clone());
        self.machine.start(now);
        for (info, tracks) in feeds {
            let index = info.index;
            self.machine.feed_opened(info, now);
            if !tracks.is_empty() {
                self.machine.feed_event(index, FeedEvent::Tracks(tracks), now);
            }
        }
    }

    pub(super) fn house_machine(&self, plan: ChannelPlan, sequence: Option<Sequence>) -> Machine {
        let clock_now = ProgrammeClock::starting(clock::mono(), clock::wall());
        machine(plan, clock_now, sequence, &self.house)
    }

    /// What the machine before has still listed.
    fn apply_rest(&mut self) {
        for action in self.machine.take_actions() {
            match action {
                crate::channel::programme::Action::Apply(changes) => self.apply(changes),
                crate::channel::programme::Action::Remember(sequence) => self.house.sequences.keep(&self.name, sequence),
                _ => {}
            }
        }
    }

    /// These files are to be removed when the playlists that named them, and their segments, have passed.
    pub(super) fn retire(&mut self, paths: Vec<String>, window: Ticks, now: Mono) {
        let due = now.after(std::time::Duration::from(Ticks(window.0.saturating_mul(2))));
        self.retired.push(Retired { paths: paths.into_iter().collect(), due });
    }

    /// Files that were put again are no longer anybody's remains.
    pub(super) fn keep_put(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Put { path, .. } = change {
                for retired in &mut self.retired {
                    retired.paths.remove(path);
                }
            }
        }
    }

    pub(super) fn remove_retired(&mut self, now: Mono) {
        let due: Vec<Retired> = self.retired.extract_if(.., |retired| retired.due <= now).collect();
        let removals: Vec<Change> = due.into_iter().flat_map(|retired| retired.paths).map(|path| Change::Remove { path }).collect();
        if !removals.is_empty()
            && let Err(cause) = self.shelf.apply(removals, clock::wall())
        {
            tracing::error!(channel = self.name, %cause, "files of the plan before cannot be removed");
        }
    }
}
