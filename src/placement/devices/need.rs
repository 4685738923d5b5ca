//! What a channel wants of devices, and why it did not get it.

use std::fmt;

use crate::base::Rate;
use crate::media::device::Verdict;
use crate::media::{Rung, VideoCodec};
use crate::placement::short::Short;

/// Whether a channel's pictures are worked on by a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DevicePolicy {
    /// By a device where one has room, else in software.
    #[default]
    Prefer,
    /// By a device or not at all.
    Require,
    /// In software, whatever there is.
    Software,
}

impl DevicePolicy {
    /// The word of configurations and JSON.
    pub fn label(self) -> &'static str {
        match self {
            DevicePolicy::Prefer => "prefer",
            DevicePolicy::Require => "require",
            DevicePolicy::Software => "software",
        }
    }
}

/// Which GPUs a channel may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GpuChoice {
    /// Any of them.
    #[default]
    Any,
    /// The driver's ordinal.
    Ordinal(u32),
    /// `GPU-` and a UUID, or the beginning of one.
    Uuid(String),
}

/// What a channel wants of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceWish {
    /// Whether at all.
    pub policy: DevicePolicy,
    /// Which.
    pub gpu: GpuChoice,
}

impl fmt::Display for GpuChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GpuChoice::Any => f.write_str("auto"),
            GpuChoice::Ordinal(ordinal) => write!(f, "{ordinal}"),
            GpuChoice::Uuid(uuid) => f.write_str(uuid),
        }
    }
}

/// The pictures that come in, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceShape {
    /// The codec.
    pub codec: VideoCodec,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// What a seat is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// What the channel wants.
    pub wish: &'a DeviceWish,
    /// What comes in; none where that is not known yet.
    pub source: Option<SourceShape>,
    /// What is to be made of it: all of it or nothing.
    pub rungs: &'a [Rung],
    /// UUIDs of GPUs on which the channel was lost a moment ago.
    pub avoid: &'a [String],
    /// What else decides how much it takes.
    pub load: Load,
}

/// Who comes first where there is not enough for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// It may push best-effort channels out.
    #[default]
    Main,
    /// It runs on what main channels leave.
    BestEffort,
}

impl Priority {
    /// The word of configurations and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Priority::Main => "main",
            Priority::BestEffort => "best-effort",
        }
    }
}

/// What decides how much a ladder takes, beside its rungs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Pictures a second.
    pub rate: Rate,
    /// Seconds of every rendition that the front keeps for viewers, over all formats.
    pub kept_s: f64,
    /// Who comes first.
    pub priority: Priority,
}

impl Default for Load {
    /// A main channel of 30 pictures a second of which nothing is kept.
    fn default() -> Load {
        Load { rate: Rate::new(30, 1), kept_s: 0.0, priority: Priority::Main }
    }
}

/// Why a GPU was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The channel names another one.
    NotChosen,
    /// The probe found that it cannot be used.
    Unusable(String),
    /// It is suspected or condemned.
    Unwell {
        /// `suspected` or `condemned`.
        state: &'static str,
        /// Why.
        reason: String,
    },
    /// This channel was lost on it a moment ago.
    Avoided,
    /// It does not encode a rung.
    Unable {
        /// The rung's name.
        rung: String,
        /// Its codec and size in words.
        what: String,
    },
    /// Too few encode sessions.
    Sessions {
        /// What the ladder takes.
        needed: u32,
        /// What nobody has.
        free: u32,
    },
    /// Too little memory.
    Memory {
        /// What the ladder takes, in bytes.
        needed: u64,
        /// What nobody has, in bytes.
        free: u64,
    },
}

impl Why {
    /// The bounded value of the `reason` label.
    pub fn label(&self) -> &'static str {
        match self {
            Why::NotChosen => "not_chosen",
            Why::Unusable(_) => "unusable",
            Why::Unwell { state, .. } => state,
            Why::Avoided => "lost_before",
            Why::Unable { .. } => "codec",
            Why::Sessions { .. } => "sessions",
            Why::Memory { .. } => "memory",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: &u64| bytes >> 20;
        match self {
            Why::NotChosen => f.write_str("the channel names another GPU"),
            Why::Unusable(reason) => write!(f, "cannot be used: {reason}"),
            Why::Unwell { state, reason } => write!(f, "is {state}: {reason}"),
            Why::Avoided => f.write_str("the channel was lost on it a moment ago"),
            Why::Unable { rung, what } => write!(f, "does not encode rung {rung} ({what})"),
            Why::Sessions { needed, free } => write!(f, "{free} encode sessions are free, and the ladder takes {needed}"),
            Why::Memory { needed, free } => write!(f, "{} MiB are free, and the ladder takes {}", mib(free), mib(needed)),
        }
    }
}

/// A GPU that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Ordinal and name.
    pub gpu: String,
    /// Why.
    pub why: Why,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.gpu, self.why)
    }
}

/// There is no seat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The channel requires a device.
    #[error("no device has room, and device = \"require\" allows no other seat: {}", listed(.0))]
    Require(Vec<PassedOver>),
    /// Software does not make a rung, and no device has room.
    #[error("rung {rung} is {codec}, which software does not make, and no device has room: {}; use codec = \"h264\"", listed(.passed))]
    Codec {
        /// The rung.
        rung: String,
        /// Its codec.
        codec: &'static str,
        /// Why each GPU was passed over.
        passed: Vec<PassedOver>,
    },
    /// The cores or the memory do not suffice.
    #[error("{short}")]
    Short {
        /// Which, and what would fit.
        short: Short,
        /// Why each GPU was passed over.
        passed: Vec<PassedOver>,
    },
}

impl Refusal {
    /// Why each GPU was passed over.
    pub fn passed(&self) -> &[PassedOver] {
        match self {
            Refusal::Require(passed) | Refusal::Codec { passed, .. } | Refusal::Short { passed, .. } => passed,
        }
    }

    /// The bounded value of the `reason` label.
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::Require(_) => "device",
            Refusal::Codec { .. } => "codec",
            Refusal::Short { short, .. } => short.label(),
        }
    }
}

/// The reasons in one line.
pub fn listed(passed: &[PassedOver]) -> String {
    match passed {
        [] => "there is none".to_owned(),
        passed => passed.iter().map(PassedOver::to_string).collect::<Vec<_>>().join("; "),
    }
}

/// The word of configurations for a codec.
pub fn codec_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "h264",
        VideoCodec::Hevc => "hevc",
        VideoCodec::Av1 => "av1",
        VideoCodec::Other => "other",
    }
}

/// The first rung that software does not make: it makes H.264 only.
pub fn beyond_software(rungs: &[Rung]) -> Option<&Rung> {
    rungs.iter().find(|rung| rung.codec != VideoCodec::H264)
}

/// Whether a GPU of this verdict gives a seat at all.
pub fn seats(verdict: Verdict) -> bool {
    verdict != Verdict::None
}
