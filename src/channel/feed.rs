//! The seam between ingest and channels: a publisher is admitted at a door, then sends events to its channel.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::base::{Fault, Mono, Ticks};
use crate::channel::plan::{SrtSecurity, StreamKey};
use crate::media::Track;

/// Events that wait for a channel before its publisher's socket is no longer read.
pub const FEED_QUEUE_EVENTS: usize = 256;

/// One coded picture or audio frame with the source's own times. Data as in [`crate::media::AccessUnit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUnit {
    /// Index into the latest [`FeedEvent::Tracks`].
    pub track: u8,
    /// Decode time on the source's clock, which wraps and may jump.
    pub dts: Ticks,
    /// Presentation time minus decode time.
    pub offset: Ticks,
    /// Decoding can begin here.
    pub entry: bool,
    /// The coded bytes.
    pub data: Bytes,
}

/// What a feed tells its channel.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedEvent {
    /// The tracks from here on. Sent before the first unit, and again when a decoder configuration changes.
    Tracks(Vec<Track>),
    /// Media.
    Unit(SourceUnit),
}

/// An event on its way to its channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// What it is.
    pub event: FeedEvent,
    /// When the last byte of it was read from its socket.
    pub read: Mono,
}

/// A publisher at the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The protocol, a metric label: `rtmp`, `srt`.
    pub protocol: &'static str,
    /// RTMP application.
    pub application: String,
    /// Stream name or stream id.
    pub stream: String,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// After this span the source's clock starts over at zero (2^32 ms in RTMP).
    pub wrap: Ticks,
}

/// How a channel parts from a publisher: that it is to leave when it can, and why the channel wants no more of it, which is said before its
/// queue is closed.
#[derive(Clone, Debug, Default)]
pub struct Ending(Arc<Parting>);

#[derive(Debug, Default)]
struct Parting {
    why: OnceLock<String>,
    asked: watch::Sender<bool>,
}

impl Ending {
    /// Says it; the first word counts.
    pub fn say(&self, why: impl Into<String>) {
        self.0.why.get_or_init(|| why.into());
    }

    /// What was said, or what it means that nothing was.
    pub fn why(&self) -> &str {
        self.0.why.get().map_or("another publisher took over, or the channel stopped", String::as_str)
    }

    /// Asks the publisher to leave when it can; its media is taken until then.
    pub fn ask_to_leave(&self) {
        self.0.asked.send_replace(true);
    }

    /// Ends when the publisher is asked to leave.
    pub async fn is_asked_to_leave(&self) {
        // The sender lives as long as this.
        let _ = self.0.asked.subscribe().wait_for(|asked| *asked).await;
    }
}

/// The way in for an admitted publisher. Dropping it ends the feed.
#[derive(Debug)]
pub struct Admission {
    /// The channel that took it, for the log.
    pub channel: String,
    /// The feed's name in metrics: `publisher`.
    pub feed: String,
    /// Events to the channel; waits when the channel is busy. Closed when another publisher has taken over or the channel stopped.
    pub events: mpsc::Sender<Timed>,
    /// Why the channel closed the queue, once it has.
    pub ending: Ending,
}

/// Why a publisher was not let in. The text is for the log; peers get a short code only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The application is not `live`.
    #[error("unknown application {0:?}: publish to rtmp://HOST/live/KEY")]
    Application(String),
    /// No channel has this key. The text says what to use, never a key.
    #[error("unknown stream key: {0}")]
    Key(String),
    /// The channel has a publisher and its policy is to keep it.
    #[error("channel {channel} already has a publisher ({peer}); stop it first or set on_second_publisher = \"replace\"")]
    Busy {
        /// The channel.
        channel: String,
        /// Who is publishing.
        peer: SocketAddr,
    },
    /// Nobody new is let in: the channel, or all of the appliance, is being drained. Says what takes it back.
    #[error("{0}")]
    Draining(String),
    /// No room for another channel of a wildcard.
    #[error("no room for another channel: {0} are open already")]
    Full(usize),
}

/// What is said where an application's name is somebody's key.
pub const A_KEY: &str = "(a stream key)";

impl Refusal {
    /// The value of the `reason` label.
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::Application(_) => "application",
            Refusal::Key(_) => "key",
            Refusal::Busy { .. } => "busy",
            Refusal::Draining(_) => "draining",
            Refusal::Full(_) => "full",
        }
    }

    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            Refusal::Application(_) | Refusal::Key(_) => Fault::Peer,
            Refusal::Busy { .. } | Refusal::Draining(_) => Fault::Transient,
            Refusal::Full(_) => Fault::Overload,
        }
    }
}

/// What a door opens for, for listeners that must decide by themselves and at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorTable {
    /// One entry for each channel.
    pub keys: Vec<DoorKey>,
    /// One entry for each wildcard.
    pub prefixes: Vec<DoorPrefix>,
}

/// A channel's entry of a [`DoorTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorKey {
    /// Its stream key.
    pub key: StreamKey,
    /// How SRT publishers must encrypt.
    pub srt: Option<SrtSecurity>,
    /// It has a publisher and keeps it.
    pub busy: bool,
}

/// A wildcard's entry of a [`DoorTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorPrefix {
    /// What the keys begin with.
    pub prefix: String,
    /// How SRT publishers must encrypt.
    pub srt: Option<SrtSecurity>,
}

/// Decides who may publish. Checks application and key before any media is accepted.
pub trait Door: Send + Sync + fmt::Debug {
    /// Lets a publisher in or says why not.
    fn admit(&self, offer: &Offer) -> Result<Admission, Refusal>;

    /// Whether a text is a stream key, which must not be said.
    fn is_key(&self, _text: &str) -> bool {
        false
    }

    /// Whom it would let in now; nobody, where a door keeps no table. Only `admit` decides: the table may be a moment old when it is used.
    fn table(&self) -> DoorTable {
        DoorTable::default()
    }
}
