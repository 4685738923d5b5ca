//! How workers are moved and lost, in words.

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

/// Whose fault a loss is, as far as the feed is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::programme) enum Blame {
    /// A device's, or that of a channel which comes first.
    Device,
    /// Perhaps that of the feed, perhaps nobody's.
    Open,
}
