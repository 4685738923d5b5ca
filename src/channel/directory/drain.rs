//! Emptying a channel, or the appliance: nobody new is let in, and publishers that can are asked to reconnect, which takes them elsewhere.

use super::{Directory, Entry, Unknown};
use crate::base::events::{self, EventKind};

/// How far the appliance's drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Drain {
    /// Whether new publishers are refused, in all of the appliance.
    pub draining: bool,
    /// Publishers that are connected. Feeds that headend fetches itself do not count: they never leave by themselves.
    pub publishers: usize,
}

impl Directory {
    /// Lets nobody new into a channel and asks its publishers to leave; gives a number for [`Directory::drained`] where that has begun just
    /// now. Nothing is to be done for a stopped channel. [`Directory::resume`] takes it back.
    pub fn drain(&self, name: &str) -> Result<Option<u64>, Unknown> {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(name) else {
            return if self.halted().contains(name) { Ok(None) } else { Err(Unknown) };
        };
        if entry.draining.is_some() {
            return Ok(None);
        }
        let number = self.state.lock(|state| {
            state.drains += 1;
            state.drains
        });
        entry.draining = Some(number);
        entry.ask_to_leave();
        events::say(EventKind::Channel, name, "draining");
        Ok(Some(number))
    }

    /// Publishers that a channel still has in this drain; none where that was taken back, or the channel has ended otherwise.
    pub fn drained(&self, name: &str, number: u64) -> Option<usize> {
        self.entries().get(name).filter(|entry| entry.draining == Some(number)).map(Entry::publishers)
    }

    /// Lets no publisher into any channel, and asks those that are there to leave; or lets them in again. Channels go on, with what they show
    /// without a publisher.
    pub fn drain_all(&self, draining: bool) {
        let entries = self.entries();
        let was_draining = self.state.lock(|state| std::mem::replace(&mut state.draining, draining));
        if draining && !was_draining {
            entries.values().for_each(Entry::ask_to_leave);
        }
        if draining != was_draining {
            events::say_of_all(EventKind::Channel, if draining { "the appliance is being drained" } else { "publishers are let in again" });
        }
    }

    /// How far that is.
    pub fn drain_of_all(&self) -> Drain {
        let publishers = self.entries().values().map(Entry::publishers).sum();
        Drain { draining: self.state.lock(|state| state.draining), publishers }
    }

    /// Whether no publisher is let in.
    pub fn is_draining(&self) -> bool {
        self.state.lock(|state| state.draining)
    }
}

impl Entry {
    /// Who pushes; what is fetched does not count.
    fn publishers(&self) -> usize {
        let pushed = self.plan.feeds.iter().zip(&self.sources).filter(|(feed, _)| feed.key().is_some());
        pushed.filter(|(_, source)| source.as_ref().is_some_and(|source| source.is_here())).count()
    }

    fn ask_to_leave(&self) {
        self.sources.iter().flatten().for_each(|source| source.ending.ask_to_leave());
    }
}
