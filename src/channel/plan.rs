//! A channel as the program means it: every default filled in, every unit converted.

use std::fmt;

use crate::base::{Rate, Ticks};
use crate::media::{AudioRung, Rung};
pub use crate::wire::link::gateway::Security as SrtSecurity;

/// A stream key: compared in constant time, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKey(String);

impl StreamKey {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> StreamKey {
        StreamKey(key.into())
    }

    /// Whether `offered` is this key, in time that depends on the lengths only.
    pub fn matches(&self, offered: &str) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(offered.as_bytes()).into()
    }

    /// The key itself, for the lines that the operator is to paste.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(..)")
    }
}

/// What is on the air while nobody publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Nothing: the channel waits for its first publisher, then shows the slate in holes.
    Wait,
    /// The test pattern (`feed = "pattern"`).
    Pattern,
}

/// How the renditions are made.
#[derive(Clone, Debug, PartialEq)]
pub enum LadderPlan {
    /// These rungs, largest first.
    Rungs(Vec<Rung>),
    /// Chosen when the first source is known, from its size and this machine's cores.
    Auto,
    /// The source's own packets, no worker.
    Copy,
}

/// What a second publisher with the right key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondPublisher {
    /// It is refused.
    Refuse,
    /// It replaces the first one.
    Replace,
}

/// Which formats are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// CMAF segments with HLS playlists and a DASH manifest.
    pub cmaf: bool,
    /// MPEG-TS segments with HLS playlists.
    pub ts: bool,
}

/// One channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelPlan {
    /// Its name in addresses, metrics and logs.
    pub name: String,
    /// The key that publishers use as stream name.
    pub stream_key: StreamKey,
    /// What shows while nobody publishes.
    pub idle: Idle,
    /// The grid's rate; the first source's, snapped, where not given.
    pub rate: Option<Rate>,
    /// The renditions.
    pub ladder: LadderPlan,
    /// The audio rendition.
    pub audio: AudioRung,
    /// What is made.
    pub formats: Formats,
    /// Wished distance of IDRs.
    pub gop: Ticks,
    /// Wished length of segments.
    pub segment: Ticks,
    /// How much of the past a live playlist lists.
    pub window: Ticks,
    /// How long the last picture is held before the slate or pattern shows.
    pub hold: Ticks,
    /// What a second publisher does.
    pub second_publisher: SecondPublisher,
    /// How SRT publishers must encrypt; they must not where not given.
    pub srt: Option<SrtSecurity>,
}
