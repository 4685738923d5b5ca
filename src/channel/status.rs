//! What a channel tells about itself; the API and the page read it.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use serde::Serialize;

use crate::base::Mono;

/// The state of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing has been on the air yet, or the pattern is.
    Waiting,
    /// A publisher is on the air.
    Live,
    /// The feed on the air has stopped, and its last picture is held.
    Holding,
    /// A publisher was on the air, and slate or pattern cover its absence.
    Slate,
}

impl State {
    /// Every state, for the one-hot gauge.
    pub const ALL: [State; 4] = [State::Waiting, State::Live, State::Holding, State::Slate];

    /// The value of the `state` label.
    pub fn label(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Live => "live",
            State::Holding => "holding",
            State::Slate => "slate",
        }
    }
}

/// A rendition as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RungStatus {
    /// Its name.
    pub name: String,
    /// Width in pixels; 0 for audio.
    pub width: u32,
    /// Height in pixels; 0 for audio.
    pub height: u32,
    /// Configured bitrate in bit/s.
    pub bitrate: u32,
    /// Bitrate of the newest segment in bit/s.
    pub measured_bitrate: u32,
    /// RFC 6381 codec string.
    pub codecs: String,
}

/// A channel as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// What is on the air: `pattern`, `slate`, `publisher`, or `none`.
    pub feed: String,
    /// The publisher's address, while there is one and where only this machine can ask (loopback listeners).
    pub peer: Option<String>,
    /// What the publisher sends, in words, while there is one.
    pub source: Option<String>,
    /// Frame rate of the grid as a fraction, once known.
    pub rate: Option<String>,
    /// The renditions, largest first, audio last.
    pub rungs: Vec<RungStatus>,
    /// Which formats can be fetched.
    pub formats: Vec<String>,
    /// Number of the newest segment.
    pub newest_segment: Option<u64>,
    /// Workers lost since the start.
    pub worker_restarts: u64,
    /// Feeds that are left out for a while since they killed workers.
    pub quarantined: Vec<String>,
}

/// The statuses of all channels, by name.
#[derive(Clone, Debug, Default)]
pub struct Board {
    channels: Arc<RwLock<BTreeMap<String, Arc<ChannelStatus>>>>,
    listed: Arc<RwLock<BTreeMap<String, Mono>>>,
}

impl Board {
    /// Posts a channel's status, replacing the one before.
    pub fn post(&self, status: ChannelStatus) {
        let mut channels = self.channels.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        channels.insert(status.name.clone(), Arc::new(status));
    }

    /// Notes that a channel has listed a segment.
    pub fn listed(&self, name: &str, now: Mono) {
        let mut listed = self.listed.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        match listed.get_mut(name) {
            Some(at) => *at = now,
            None => drop(listed.insert(name.to_owned(), now)),
        }
    }

    /// When a channel listed its newest segment; by the clock that nobody sets.
    pub fn listed_at(&self, name: &str) -> Option<Mono> {
        self.listed.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(name).copied()
    }

    /// Takes a channel off the board.
    pub fn remove(&self, name: &str) {
        self.listed.write().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(name);
        let mut channels = self.channels.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        channels.remove(name);
    }

    /// All statuses, by name.
    pub fn all(&self) -> Vec<Arc<ChannelStatus>> {
        let channels = self.channels.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        channels.values().cloned().collect()
    }
}
