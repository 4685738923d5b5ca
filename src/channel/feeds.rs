//! The feeds of an encoded channel: who delivers, what those that are not on the air sent since their last entry, and which
//! one should be on the air.

use std::collections::VecDeque;

use crate::base::{MediaTime, Mono, Ticks};
use crate::channel::failover::{Failover, FailoverPlan, Why};
use crate::channel::feed::SourceUnit;
use crate::channel::monitor::Monitor;
use crate::channel::source;
use crate::media::Track;

/// A feed that waits is kept from its last entry on, within these bounds; beyond them its next entry is waited for.
const KEPT_UNITS: usize = 2_048;
const KEPT_BYTES: usize = 16 << 20;

/// Who feeds.
#[derive(Clone, Debug)]
pub struct FeedInfo {
    /// Its place in the channel's list of feeds.
    pub index: usize,
    /// The feed's name in metrics.
    pub name: String,
    /// Its address.
    pub peer: String,
    /// After this span its clock starts over.
    pub wrap: Ticks,
}

/// A connected feed.
#[derive(Debug)]
pub struct Feed {
    /// Who.
    pub info: FeedInfo,
    /// What is measured of it.
    pub monitor: Monitor,
    /// What it sends; empty until it has said so.
    pub tracks: Vec<Track>,
    /// When it last sent media.
    pub last_unit: Option<Mono>,
    /// Units that are not on the air, with their arrival by the programme's clock.
    kept: VecDeque<(SourceUnit, MediaTime)>,
    kept_bytes: usize,
}

impl Feed {
    /// Whether units of this track are pictures.
    pub fn is_video(&self, track: u8) -> bool {
        self.tracks.get(usize::from(track)).is_some_and(|track| track.video().is_some())
    }

    /// Whether decoding of this feed can begin with this unit: an entry of its pictures, or of its sound where there are none.
    pub fn is_anchor(&self, unit: &SourceUnit) -> bool {
        let has_video = self.tracks.iter().any(|track| track.video().is_some());
        unit.entry && (!has_video || self.is_video(unit.track))
    }

    /// What is kept, oldest first.
    pub fn kept(&self) -> &VecDeque<(SourceUnit, MediaTime)> {
        &self.kept
    }

    /// Hands over what is kept.
    pub fn take_kept(&mut self) -> VecDeque<(SourceUnit, MediaTime)> {
        self.kept_bytes = 0;
        std::mem::take(&mut self.kept)
    }

    /// Keeps a unit while nothing is on the air: all of them, for the grid's rate is found in them.
    fn keep_all(&mut self, unit: SourceUnit, arrival: MediaTime) {
        if self.kept.len() >= source::HELD_UNITS {
            self.forget_first();
        }
        self.push(unit, arrival);
    }

    /// Keeps a unit of a feed that waits: everything from its newest entry on.
    fn keep_warm(&mut self, unit: SourceUnit, arrival: MediaTime) {
        let anchor = self.is_anchor(&unit);
        let too_much = self.kept.len() >= KEPT_UNITS || self.kept_bytes >= KEPT_BYTES;
        if anchor || too_much {
            self.take_kept();
        }
        if anchor || !self.kept.is_empty() {
            self.push(unit, arrival);
        }
    }

    fn push(&mut self, unit: SourceUnit, arrival: MediaTime) {
        self.kept_bytes += unit.data.len();
        self.kept.push_back((unit, arrival));
    }

    fn forget_first(&mut self) {
        if let Some((unit, _)) = self.kept.pop_front() {
            self.kept_bytes = self.kept_bytes.saturating_sub(unit.data.len());
        }
    }
}

/// All feeds of a channel, by their place in its configuration.
#[derive(Debug)]
pub struct Feeds {
    slots: Vec<Option<Feed>>,
    policy: Failover,
}

impl Feeds {
    /// Room for `count` feeds.
    pub fn new(count: usize, plan: FailoverPlan) -> Feeds {
        Feeds { slots: (0..count).map(|_| None).collect(), policy: Failover::new(plan, count) }
    }

    /// Another list of feeds: the `n`th of now is the one that was at `before[n]`, or a new one. Those that have no place any more must
    /// have been closed.
    pub fn rearrange(&mut self, plan: FailoverPlan, before: &[Option<usize>]) {
        let mut old = std::mem::take(&mut self.slots);
        self.slots = before.iter().map(|place| old.get_mut((*place)?)?.take()).collect();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Some(feed) = slot {
                feed.info.index = index;
            }
        }
        self.policy.rearrange(plan, before);
    }

    /// A source is there; whoever was in its place must have been closed.
    pub fn open(&mut self, info: FeedInfo, monitor: Monitor) {
        if let Some(slot) = self.slots.get_mut(info.index) {
            *slot = Some(Feed { info, monitor, tracks: Vec::new(), last_unit: None, kept: VecDeque::new(), kept_bytes: 0 });
        }
    }

    /// A source is gone; tells whether it was on the air.
    pub fn close(&mut self, index: usize) -> Option<(Feed, bool)> {
        let feed = self.slots.get_mut(index)?.take()?;
        self.policy.gone(index);
        let was_active = self.policy.active() == Some(index);
        if was_active {
            self.policy.ended();
        }
        Some((feed, was_active))
    }

    /// A feed.
    pub fn feed(&self, index: usize) -> Option<&Feed> {
        self.slots.get(index)?.as_ref()
    }

    /// A feed, to be changed.
    pub fn feed_mut(&mut self, index: usize) -> Option<&mut Feed> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// Every connected feed, best first.
    pub fn all(&self) -> impl Iterator<Item = &Feed> {
        self.slots.iter().flatten()
    }

    /// The place of the feed on the air.
    pub fn active_index(&self) -> Option<usize> {
        self.policy.active()
    }

    /// The feed on the air.
    pub fn active(&self) -> Option<&Feed> {
        self.feed(self.policy.active()?)
    }

    /// Leaves a feed out, or takes it up again, whether or not a source is there; tells whether it was on the air.
    pub fn bar(&mut self, index: usize, barred: bool) -> bool {
        self.policy.bar(index, barred);
        let was_active = barred && self.policy.active() == Some(index);
        if was_active {
            self.policy.ended();
        }
        was_active
    }

    /// Any connected feed: the one on the air, else the best.
    pub fn present(&self) -> Option<&Feed> {
        self.active().or_else(|| self.slots.iter().flatten().next())
    }

    /// The policy.
    pub fn policy(&mut self) -> &mut Failover {
        &mut self.policy
    }

    /// Media came from a feed; what is to be put on the air at once is given back.
    pub fn unit(&mut self, index: usize, unit: SourceUnit, arrival: MediaTime, on_air: bool, now: Mono) -> Option<SourceUnit> {
        self.policy.delivered(index, now);
        let active = self.policy.active() == Some(index);
        let feed = self.slots.get_mut(index)?.as_mut()?;
        feed.last_unit = Some(now);
        match (on_air, active) {
            (true, true) => return Some(unit),
            (true, false) => feed.keep_warm(unit, arrival),
            (false, _) => feed.keep_all(unit, arrival),
        }
        None
    }

    /// The feed that should be put on the air and can be: there is an entry to begin with.
    pub fn wanted(&mut self, now: Mono) -> Option<(usize, Why)> {
        let (index, why) = self.policy.wanted(now)?;
        let feed = self.feed(index)?;
        feed.kept.iter().any(|(unit, _)| feed.is_anchor(unit)).then_some((index, why))
    }
}
