//! How workers are moved and lost, in words.

use crate::placement::Refusal;
use crate::placement::devices::{PassedOver, Why};

/// Where an operator wants a channel's worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveTo {
    /// Where it is.
    Same,
    /// Where the policy wants it.
    Auto,
    /// In software.
    Software,
    /// On the GPU with this UUID, or beginning of one.
    Gpu(String),
}

/// How a plan's change of workers comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::programme) enum Cut {
    /// The new worker begins beside the present one, which drains.
    Beside,
    /// The device has no room for two: the present one ends first.
    InPlace,
}

/// How a worker was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::channel::programme) enum Loss {
    /// It gets nothing done, in these words.
    Stuck(&'static str),
    /// It ended by itself.
    Gone,
    /// It takes too much memory.
    TooLarge,
    /// What it puts out cannot be used.
    Useless,
    /// It says that its device is gone.
    DeviceLost(String),
    /// Its device is condemned.
    Condemned,
    /// This main channel has its place.
    PushedOut(String),
}

impl Loss {
    /// In words.
    pub(in crate::channel::programme) fn words(&self) -> String {
        match self {
            Loss::Stuck(why) => (*why).to_owned(),
            Loss::Gone => "it ended by itself".to_owned(),
            Loss::TooLarge => "it takes too much memory".to_owned(),
            Loss::Useless => "what it puts out cannot be used".to_owned(),
            Loss::DeviceLost(detail) => format!("its device is lost: {detail}"),
            Loss::Condemned => "its device is condemned".to_owned(),
            Loss::PushedOut(by) => format!("channel {by} has its place"),
        }
    }
}

/// Whose fault a loss is, as far as the feed is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::programme) enum Blame {
    /// A device's, or that of a channel which comes first.
    Device,
    /// Perhaps that of the feed, perhaps nobody's.
    Open,
}

/// The label of why a channel has no seat at all, among those of fallbacks.
pub(super) fn fallback_label(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Require(passed) | Refusal::Codec { passed, .. } => label(passed),
        Refusal::Short { .. } => refusal.label(),
    }
}

/// The label of why devices were passed over: of the first one that the channel might have had.
pub(super) fn label(passed: &[PassedOver]) -> &'static str {
    let whys = || passed.iter().map(|passed| &passed.why);
    whys().find(|why| **why != Why::NotChosen).or(whys().next()).map_or("no_device", Why::label)
}
