//! What of a programme on the air changes with its plan: at once, with the next planned change of workers, or by beginning anew behind
//! what is published.

use super::OnAir;
use crate::base::Ticks;
use crate::base::metrics::metrics;
use crate::channel::commit::Commit;
use crate::channel::plan::{ChannelPlan, Formats};
use crate::media::{AudioRung, Grid, Rung};
use crate::pack::Packager;
use crate::wire::link::{Easing, Fill};

/// So often a ladder may fail to come on the air before the one before it stays for longer.
const ATTEMPTS: u32 = 2;

/// The renditions of a programme.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    /// Pictures, largest first.
    pub rungs: Vec<Rung>,
    /// Sound.
    pub audio: AudioRung,
}

/// The ladder that is to come.
#[derive(Debug, Default)]
pub(super) struct Coming {
    /// It waits for a planned change of workers.
    next: Option<Ladder>,
    /// The planned change under way has its seat for that ladder.
    is_bound: bool,
    /// The new worker of the planned change under way was opened with it.
    joining: Option<Ladder>,
    /// That worker was lost before it had opened its encoders.
    is_to_blame: bool,
    /// A worker was opened with it once.
    was_joining: bool,
    failures: u32,
    refused: bool,
}

impl OnAir {
    /// Another plan with the same grid, formats and ladder: workers that begin from now on follow it.
    pub fn take_plan(&mut self, plan: &ChannelPlan, fill: Fill) {
        if let Some(packager) = &mut self.packager {
            packager.set_window(plan.window);
        }
        self.plan = plan.clone();
        self.fill = fill;
    }

    /// Another ladder: it joins with the next planned change of workers.
    pub fn set_next_ladder(&mut self, ladder: Ladder) {
        let is_meant = match &self.coming.joining {
            Some(joining) => *joining == ladder,
            None => ladder.rungs == self.rungs && ladder.audio == self.audio,
        };
        self.coming.next = (!is_meant).then_some(ladder);
        (self.coming.is_bound, self.coming.was_joining, self.coming.failures, self.coming.refused) = (false, false, 0, false);
    }

    /// The planned change that was just made has its seat for the ladder that waits.
    pub fn bind_next_ladder(&mut self) {
        self.coming.is_bound = self.coming.next.is_some();
    }

    /// The rungs that there are to be: those that wait, those that a worker is being opened with, or those on the air.
    pub fn meant_rungs(&self) -> &[Rung] {
        self.coming.next.as_ref().or(self.coming.joining.as_ref()).map_or(&self.rungs, |ladder| &ladder.rungs)
    }

    /// The ladder that waits for a planned change of workers.
    pub fn next_ladder(&self) -> Option<&Ladder> {
        self.coming.next.as_ref()
    }

    /// The ladder that waits is put on the air now, for no worker is at work.
    pub fn adopt_next_ladder(&mut self) {
        if let Some(ladder) = self.coming.next.take() {
            self.adopt(ladder);
        }
    }

    /// As [`OnAir::adopt_next_ladder`], unless that ladder was tried and could not be opened, or is being tried now.
    pub fn adopt_untried_ladder(&mut self) {
        if !self.coming.was_joining && self.coming.joining.is_none() {
            self.adopt_next_ladder();
        }
    }

    /// The new worker of the planned change under way was lost before it had opened its encoders: perhaps its ladder cannot be opened.
    pub fn blame_joining(&mut self) {
        self.coming.is_to_blame = true;
    }

    /// Whether another ladder than before is on the air, once.
    pub fn take_other_ladder(&mut self) -> bool {
        std::mem::take(&mut self.is_other_ladder)
    }

    /// Whether a new ladder could not be opened as often as it is tried, once. It waits still.
    pub fn take_refused_ladder(&mut self) -> bool {
        std::mem::take(&mut self.coming.refused)
    }

    /// Begins anew where what is published ends: another grid or other formats. Gives the paths of the files that are there now.
    ///
    /// Input is kept, numbers go on, and a discontinuity follows.
    pub fn rebuild(&mut self, plan: &ChannelPlan, grid: Grid, ladder: Ladder, fill: Fill) -> Vec<String> {
        let first = grid.first_from(self.commit.published_to());
        let number = self.commit.next_number();
        self.take_plan(plan, fill);
        self.coming = Coming::default();
        self.handover = None;
        self.grid = grid;
        self.timeline.set_grid(grid);
        self.commit = Commit::new(grid, ladder.rungs.len(), true, first, number);
        self.commit.mark_discontinuity();
        self.adopt(ladder);
        self.configs.clear();
        self.packager.take().map_or_else(Vec::new, |packager| {
            self.discontinuities = packager.discontinuities();
            Packager::abandon(packager)
        })
    }

    /// What is made.
    pub fn formats(&self) -> Formats {
        self.plan.formats
    }

    /// How much of the past playlists list.
    pub fn window(&self) -> Ticks {
        self.plan.window
    }

    /// How many discontinuities there were.
    pub fn discontinuities(&self) -> u64 {
        self.packager.as_ref().map_or(self.discontinuities, Packager::discontinuities)
    }

    /// Ends for another programme that takes its place: the paths of the files that are there now.
    pub fn abandon(self) -> Vec<String> {
        self.packager.map(Packager::abandon).unwrap_or_default()
    }

    /// The ladder of the worker that is to be opened.
    pub(super) fn ladder_to_open(&self) -> (&[Rung], &AudioRung) {
        match &self.coming.joining {
            Some(ladder) => (&ladder.rungs, &ladder.audio),
            None => (&self.rungs, &self.audio),
        }
    }

    /// The new worker of a planned change begins, with the ladder that waits.
    pub(super) fn join_next_ladder(&mut self) {
        let is_bound = std::mem::take(&mut self.coming.is_bound);
        self.coming.joining = self.coming.next.take_if(|_| is_bound);
    }

    /// Whether the worker that begins has another ladder than the one on the air.
    pub fn is_joining(&self) -> bool {
        self.coming.joining.is_some()
    }

    /// The old worker is done and the new one has opened its encoders: from here on the ladder is the new one.
    pub(super) fn end_joining(&mut self) {
        if let Some(ladder) = self.coming.joining.take() {
            self.adopt(ladder);
        }
    }

    /// The planned change has failed: what is on the air stays. The new ladder waits for another one.
    pub fn fail_joining(&mut self) {
        self.coming.is_bound = false;
        let is_to_blame = std::mem::take(&mut self.coming.is_to_blame);
        let Some(ladder) = self.coming.joining.take() else { return };
        self.coming.was_joining = true;
        if self.coming.next.is_some() {
            // It was corrected meanwhile.
            return;
        }
        self.coming.next = Some(ladder);
        self.coming.failures += u32::from(is_to_blame);
        self.coming.refused = is_to_blame && self.coming.failures.is_multiple_of(ATTEMPTS);
    }

    fn adopt(&mut self, ladder: Ladder) {
        let Ladder { rungs, audio } = ladder;
        for gone in self.rungs.iter().filter(|rung| rungs.iter().all(|kept| kept.name != rung.name)) {
            // The series may never have been.
            let _ = metrics().encode_lag.remove_label_values(&[&*self.channel, &*gone.name]);
        }
        if declared(&rungs, &audio) != declared(&self.rungs, &self.audio) {
            // What playlists say of the renditions is another thing, even where the parameter sets are the same.
            self.configs.clear();
        }
        self.commit.reshape(rungs.len());
        self.rung_ends.clear();
        (self.easings, self.easings_due) = (vec![Easing::default(); rungs.len()], Vec::new());
        self.is_other_ladder = true;
        (self.rungs, self.audio) = (rungs, audio);
    }
}

/// What playlists say of renditions before anything is measured.
fn declared<'a>(rungs: &'a [Rung], audio: &'a AudioRung) -> Vec<(&'a str, u32, u32, u32, u32)> {
    let video = rungs.iter().map(|rung| (rung.name.as_str(), rung.width, rung.height, rung.bitrate_bps, rung.vbv_rate_bps));
    video.chain([(audio.name.as_str(), 0, 0, audio.bitrate_bps, 0)]).collect()
}
