//! What a channel tells about itself; the API and the page read it.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use serde::Serialize;

use crate::base::Mono;
use crate::channel::monitor::FeedReport;
use crate::channel::recorder::Recorder;

/// The state of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[schema(as = ChannelState)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing has been on the air yet, or the pattern is; or nothing is made since the channel has no seat.
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
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
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

/// What is given up of a ladder that the machine cannot carry, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct OverloadStatus {
    /// How many steps are taken; 0 while everything is made.
    pub level: usize,
    /// How many there are.
    pub levels: usize,
    /// Those that are taken, in the order in which they were: `preset`, `frame_rate`, or `rungs` with the rung's name.
    pub steps: Vec<String>,
    /// How far the slowest stage was behind its input when the worker last told, in milliseconds.
    pub lag_ms: i64,
}

/// Where the time goes between a picture's arrival and the playlist, as the API shows it. What is not known lately is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LatencyStatus {
    /// How far the newest input on the air is behind the programme's clock, in milliseconds; 0 for one that is ahead of it.
    pub input_ms: Option<i64>,
    /// How far the decoder is behind the newest input, in milliseconds.
    pub decode_ms: Option<i64>,
    /// How far the scaler is behind the decoder.
    pub scale_ms: Option<i64>,
    /// How far the slowest encoder is behind the scaler.
    pub encode_ms: Option<i64>,
    /// How long ago the newest listed segment ended: between zero and its length, and what making and listing it takes.
    pub segment_ms: Option<i64>,
}

/// A channel as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// What is on the air: `pattern`, `slate`, `publisher`, or `none`.
    pub feed: String,
    /// The publisher's address, while there is one; the API shows it to viewers, operators and admins only.
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
    /// Where the worker has its seat: `software` or the UUID of a GPU; none without a worker.
    pub seat: Option<String>,
    /// Why that is not where the policy likes it best, or why there is none.
    pub fallback: Option<String>,
    /// What is given up since the machine cannot carry the ladder; none while nothing is on the air and on copy channels.
    pub overload: Option<OverloadStatus>,
    /// Where the time goes; none while nothing is on the air and on copy channels.
    pub latency: Option<LatencyStatus>,
    /// What is wrong with the picture and sound on the air: `frozen`, `black`, `silent`.
    pub look: Vec<&'static str>,
    /// Feeds that are left out for a while since they killed workers.
    pub quarantined: Vec<String>,
    /// What the connected feeds send, in the order of preference.
    pub feeds: Vec<FeedReport>,
}

impl ChannelStatus {
    /// Why nothing is made of a connected feed, where that is for want of a seat.
    pub fn unseated(&self) -> Option<&str> {
        self.fallback.as_deref().filter(|_| self.seat.is_none() && !self.feeds.is_empty())
    }
}

/// A small picture of a channel's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// How many were posted before it: another number is another picture.
    pub number: u64,
    /// The picture, JPEG.
    pub jpeg: Bytes,
}

/// The statuses of all channels, by name.
#[derive(Clone, Debug, Default)]
pub struct Board {
    channels: Arc<RwLock<BTreeMap<String, Arc<ChannelStatus>>>>,
    listed: Arc<RwLock<BTreeMap<String, Mono>>>,
    thumbnails: Arc<RwLock<BTreeMap<String, Thumbnail>>>,
    recorders: Arc<RwLock<BTreeMap<String, Recorder>>>,
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

    /// Posts a small picture of a channel's input as JPEG, replacing the one before.
    pub fn post_thumbnail(&self, name: &str, jpeg: Bytes) {
        let mut thumbnails = self.thumbnails.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let number = thumbnails.get(name).map_or(0, |before| before.number + 1);
        thumbnails.insert(name.to_owned(), Thumbnail { number, jpeg });
    }

    /// Takes the picture away: there is no input to see.
    pub fn remove_thumbnail(&self, name: &str) {
        self.thumbnails.write().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(name);
    }

    /// The newest picture of a channel's input.
    pub fn thumbnail(&self, name: &str) -> Option<Thumbnail> {
        self.thumbnails.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(name).cloned()
    }

    /// Lets the API read a channel's flight recorder. Only where nobody but this machine can ask: it tells what a source does.
    pub fn post_recorder(&self, name: &str, recorder: Recorder) {
        self.recorders.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(name.to_owned(), recorder);
    }

    /// A channel's flight recorder, where it may be read.
    pub fn recorder(&self, name: &str) -> Option<Recorder> {
        self.recorders.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(name).cloned()
    }

    /// Takes a channel off the board.
    pub fn remove(&self, name: &str) {
        self.remove_thumbnail(name);
        self.recorders.write().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(name);
        self.listed.write().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(name);
        let mut channels = self.channels.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        channels.remove(name);
    }

    /// The status of one channel.
    pub fn one(&self, name: &str) -> Option<Arc<ChannelStatus>> {
        self.channels.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(name).cloned()
    }

    /// All statuses, by name.
    pub fn all(&self) -> Vec<Arc<ChannelStatus>> {
        let channels = self.channels.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        channels.values().cloned().collect()
    }
}
