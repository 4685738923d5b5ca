//! A channel as the program means it: every default filled in, every unit converted.

use std::fmt;
use std::path::PathBuf;

use crate::base::{Rate, Ticks};
use crate::channel::failover::FailoverPlan;
use crate::channel::pull::PullAddress;
use crate::media::{AudioRung, Rung};
use crate::placement::{DeviceWish, Load, Priority};
pub use crate::wire::link::gateway::{Secret, Security as SrtSecurity};

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

/// What is wrong with a picture or a sound after how long; `None` is not looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// The picture has not changed.
    pub freeze_after: Option<Ticks>,
    /// The picture has been black.
    pub black_after: Option<Ticks>,
    /// Nothing was to be heard.
    pub silence_after: Option<Ticks>,
}

/// What the slate shows. Without a file and a text it is the plain one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlatePlan {
    /// A picture or a clip.
    pub file: Option<PathBuf>,
    /// A line over the plain slate, or over the pattern; empty for none. At most 80 characters, none of them a control.
    pub text: String,
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

/// Something that is given up while the machine cannot carry the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// The effort of the encoders: the fastest preset, with the same parameter sets.
    Preset,
    /// Every other picture of the larger rungs.
    FrameRate,
    /// Whole rungs, the largest first; the smallest stays.
    Rungs,
}

impl Relief {
    /// In the order that costs viewers least.
    pub const ALL: [Relief; 3] = [Relief::Preset, Relief::FrameRate, Relief::Rungs];

    /// Its name in the configuration, and the `step` label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            Relief::Preset => "preset",
            Relief::FrameRate => "frame_rate",
            Relief::Rungs => "rungs",
        }
    }
}

/// Which formats are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// CMAF segments with HLS playlists and a DASH manifest.
    pub cmaf: bool,
    /// MPEG-TS segments with HLS playlists.
    pub ts: bool,
}

/// Where a feed comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedSource {
    /// Somebody pushes it with this key as RTMP stream name or SRT stream id.
    Publish(StreamKey),
    /// It is fetched from or received at this address.
    Pull(PullAddress),
}

/// One feed of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPlan {
    /// Its name in metrics and logs.
    pub name: String,
    /// Where it comes from.
    pub source: FeedSource,
}

impl FeedPlan {
    /// What the one feed of a channel is called that has one publisher.
    pub const PUBLISHER: &'static str = "publisher";

    /// The one feed of a channel that names no feeds.
    pub fn publisher(key: &StreamKey) -> Vec<FeedPlan> {
        vec![FeedPlan { name: FeedPlan::PUBLISHER.to_owned(), source: FeedSource::Publish(key.clone()) }]
    }

    /// The key of a feed that is pushed.
    pub fn key(&self) -> Option<&StreamKey> {
        match &self.source {
            FeedSource::Publish(key) => Some(key),
            FeedSource::Pull(_) => None,
        }
    }
}

/// One channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelPlan {
    /// Its name in addresses, metrics and logs.
    pub name: String,
    /// The key of the first feed that is published: publishers use it as stream name. Empty where every feed is pulled.
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
    /// Its feeds, best first; at least one.
    pub feeds: Vec<FeedPlan>,
    /// When one feed takes another's place.
    pub failover: FailoverPlan,
    /// What pictures and sound are watched for. All `None` on copy channels, whose pictures nobody decodes.
    pub watch: Watch,
    /// How SRT publishers must encrypt; they must not where not given.
    pub srt: Option<SrtSecurity>,
    /// What shows in holes.
    pub slate: SlatePlan,
    /// How often a picture of the input is made for the page.
    pub thumbnail_every: Option<Ticks>,
    /// What is wanted of devices.
    pub device: DeviceWish,
    /// What is given up while the machine cannot carry the ladder, in this order; where it is empty, only pictures are left out.
    pub overload: Vec<Relief>,
    /// Who comes first where there is not enough for all.
    pub priority: Priority,
}

impl ChannelPlan {
    /// What decides how much its ladder takes; its source is taken to have 30 pictures a second where no rate is configured.
    pub fn load(&self) -> Load {
        let formats = u32::from(self.formats.cmaf) + u32::from(self.formats.ts);
        let usual = Load::default();
        let kept_s = self.window.as_secs_f64() * f64::from(formats);
        Load { rate: self.rate.unwrap_or(usual.rate), kept_s, priority: self.priority }
    }

    /// Whether one of the feeds is pushed with this key.
    pub fn has_key(&self, offered: &str) -> bool {
        self.feeds.iter().filter_map(FeedPlan::key).fold(false, |found, key| found | key.matches(offered))
    }
}
