//! Which channels there are: another roster while publishers come and go, channels that are stopped and started.

use std::collections::{BTreeMap, BTreeSet};

use super::{Directory, Entry, LINGER, Wildcard, shelf_capacity_bytes};
use crate::base::Ticks;
use crate::base::events::{self, EventKind};
use crate::channel::change::feed_places;
use crate::channel::plan::{ChannelPlan, FeedPlan, Idle, StreamKey};
use crate::channel::run::Meant;
use crate::placement::Priority;

/// Every channel and wildcard that there is to be.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Channels; their names differ.
    pub channels: Vec<ChannelPlan>,
    /// Wildcards; their prefixes differ.
    pub wildcards: Vec<Wildcard>,
    /// Names of channels that are not to run.
    pub stopped: BTreeSet<String>,
}

/// A channel that lists segments whether anybody publishes or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnByItself {
    /// Its name.
    pub name: String,
    /// Length of its segments.
    pub segment: Ticks,
    /// It came while others were on the air already.
    pub is_new: bool,
}

/// There is no channel of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such channel")]
pub struct Unknown;

impl Directory {
    /// Makes the roster the one that holds, at once for everybody who comes: channels that are in it no longer end, new ones start, those
    /// that are otherwise are told. Cannot fail.
    pub fn apply(&self, roster: Roster) {
        let Roster { channels, wildcards, stopped } = roster;
        let mut entries = self.entries();
        // One that has ended would never be heard of again if it were told to go on.
        self.reap(&mut entries, |_| true);
        let is_first = self.state.lock(|state| !std::mem::replace(&mut state.has_begun, true));
        let wanted: BTreeSet<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
        let gone: Vec<String> = entries
            .iter()
            .filter(|(name, entry)| match &entry.wild {
                Some(prefix) => wildcards.iter().all(|wildcard| wildcard.prefix != *prefix) && !wanted.contains(name.as_str()),
                None => !wanted.contains(name.as_str()),
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            events::say(EventKind::Channel, &name, "removed");
            self.end_in(&mut entries, &name);
        }
        self.state.lock(|state| state.halted.retain(|name, _| wanted.contains(name.as_str())));
        for entry in entries.values_mut() {
            let template = entry.wild.as_ref().and_then(|prefix| wildcards.iter().find(|wildcard| wildcard.prefix == *prefix));
            if let Some(wildcard) = template {
                entry.take(of_wildcard(wildcard, &entry.plan.name), true, &self.shelves);
            }
        }
        for plan in channels {
            let name = plan.name.clone();
            if stopped.contains(&name) {
                self.end_in(&mut entries, &name);
                self.state.lock(|state| drop(state.halted.insert(name.clone(), plan)));
                continue;
            }
            self.state.lock(|state| drop(state.halted.remove(&name)));
            match entries.get_mut(&name) {
                Some(entry) => {
                    entry.wild = None;
                    entry.take(plan, false, &self.shelves);
                }
                None => {
                    if !is_first {
                        events::say(EventKind::Channel, &name, "added");
                    }
                    self.start_in(&mut entries, plan, None);
                    if let Some(entry) = entries.get_mut(&name) {
                        entry.is_new = !is_first;
                    }
                }
            }
        }
        self.state.lock(|state| state.wildcards = wildcards);
    }

    /// Stops a channel; its publishers are sent away and its files are taken down. Stopping a stopped one changes nothing.
    pub fn halt(&self, name: &str) -> Result<(), Unknown> {
        let mut entries = self.entries();
        let Some(entry) = entries.get(name) else {
            return self.state.lock(|state| if state.halted.contains_key(name) { Ok(()) } else { Err(Unknown) });
        };
        if entry.wild.is_none() {
            let plan = entry.plan.clone();
            self.state.lock(|state| drop(state.halted.insert(name.to_owned(), plan)));
        }
        events::say(EventKind::Channel, name, "stopped");
        self.end_in(&mut entries, name);
        Ok(())
    }

    /// Starts a stopped channel, or takes back that one is drained. Starting a running one changes nothing.
    pub fn resume(&self, name: &str) -> Result<(), Unknown> {
        let mut entries = self.entries();
        let ended = match entries.get_mut(name) {
            Some(entry) if !entry.task.is_finished() => {
                if entry.draining.take().is_some() {
                    events::say(EventKind::Channel, name, "no longer drained");
                }
                return Ok(());
            }
            Some(entry) => entry.wild.is_none().then(|| entry.plan.clone()),
            None => None,
        };
        self.reap(&mut entries, |_| true);
        let plan = self.state.lock(|state| state.halted.remove(name)).or(ended).ok_or(Unknown)?;
        events::say(EventKind::Channel, name, "started");
        self.start_in(&mut entries, plan, None);
        Ok(())
    }

    /// Whether a channel runs on what others leave.
    pub fn is_best_effort(&self, name: &str) -> bool {
        self.entries().get(name).is_some_and(|entry| entry.plan.priority == Priority::BestEffort)
    }

    /// Names of the channels that are stopped.
    pub fn halted(&self) -> BTreeSet<String> {
        self.state.lock(|state| state.halted.keys().cloned().collect())
    }

    /// Channels that list segments whether anybody publishes or not.
    pub fn on_by_themselves(&self) -> Vec<OnByItself> {
        let entries = self.entries();
        let due = entries.values().filter(|entry| entry.plan.idle == Idle::Pattern);
        due.map(|entry| OnByItself { name: entry.plan.name.clone(), segment: entry.plan.segment, is_new: entry.is_new }).collect()
    }

    /// Ends a channel beside the caller; one that is started under its name waits for that.
    pub(super) fn end_in(&self, entries: &mut BTreeMap<String, Entry>, name: &str) {
        let Some(entry) = entries.remove(name) else { return };
        self.shelves.remove(name);
        // Nobody listens where it has ended by itself.
        let _ = entry.stop.send(true);
        self.state.lock(|state| {
            state.ending.retain(|_, task| !task.is_finished());
            state.ending.insert(name.to_owned(), entry.task);
        });
    }
}

/// The plan of a channel that a wildcard opens.
pub(super) fn of_wildcard(wildcard: &Wildcard, name: &str) -> ChannelPlan {
    let key = StreamKey::new(name);
    let feeds = FeedPlan::publisher(&key);
    ChannelPlan { name: name.to_owned(), stream_key: key, feeds, ..wildcard.template.clone() }
}

impl Entry {
    /// Another plan for a channel that runs.
    fn take(&mut self, plan: ChannelPlan, is_wild: bool, shelves: &crate::shelf::Shelves) {
        let linger = is_wild.then_some(LINGER);
        let mut before = std::mem::take(&mut self.sources);
        let places = feed_places(&self.plan.feeds, &plan.feeds);
        self.sources = places.into_iter().map(|place| before.get_mut(place?)?.take()).collect();
        if plan == self.plan && self.meant.borrow().linger == linger {
            return;
        }
        if let Some(shelf) = shelves.find(&plan.name) {
            shelf.refit(plan.segment, shelf_capacity_bytes(&plan).max(shelf_capacity_bytes(&self.plan)));
        }
        self.plan = plan.clone();
        self.meant.send_replace(Meant { plan, linger });
    }
}
