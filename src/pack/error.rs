//! Why a packager refuses a presentation or a segment.

use crate::base::Fault;

/// A refusal. A refused segment leaves the packager as it was.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A rendition's name cannot be a directory of an address.
    #[error("rendition name {name:?} cannot be used in addresses: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No rendition can be packaged in any of the formats asked for.
    #[error("nothing to package: {0}")]
    Nothing(String),
    /// A decoder configuration cannot be read.
    #[error("rendition {name}: decoder configuration of {length} bytes cannot be used: {reason}")]
    Configuration {
        /// The rendition.
        name: String,
        /// Its length.
        length: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A segment does not have one entry per rendition.
    #[error("segment {number} has {got} renditions, the presentation has {expected}")]
    Shape {
        /// The segment.
        number: u64,
        /// Renditions of the presentation.
        expected: usize,
        /// Renditions of the segment.
        got: usize,
    },
    /// Media sequence numbers must count by one.
    #[error("segment {got} follows where {expected} was due")]
    Sequence {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// A segment begins before the end of the one before.
    #[error("segment {number} begins {overlap_ms} ms before the end of the one before")]
    Backwards {
        /// The segment.
        number: u64,
        /// By how much.
        overlap_ms: i64,
    },
    /// A segment is longer than TARGETDURATION allows, or has no length.
    #[error("segment {number} lasts {duration_ms} ms; playlists promise at most {target_s} s: shorten the GOP or lengthen the segment")]
    Duration {
        /// The segment.
        number: u64,
        /// Its length.
        duration_ms: i64,
        /// TARGETDURATION.
        target_s: u32,
    },
    /// A worker's output is nothing that it can have been asked for.
    #[error("rung {rung}: {what}")]
    Unasked {
        /// The rung's number.
        rung: u8,
        /// What is wrong.
        what: &'static str,
    },
    /// A video segment must begin with an IDR.
    #[error("segment {number} of rendition {name} does not begin with an IDR")]
    NoKey {
        /// The segment.
        number: u64,
        /// The rendition.
        name: String,
    },
    /// A time is beyond what the formats can carry, or before the origin.
    #[error("segment {number} of rendition {name} has a packet at a time that cannot be written")]
    Time {
        /// The segment.
        number: u64,
        /// The rendition.
        name: String,
    },
    /// A GOP is larger than a movie fragment can be.
    #[error("segment {number} of rendition {name} has a GOP of {bytes} bytes, more than a box can hold")]
    Size {
        /// The segment.
        number: u64,
        /// The rendition.
        name: String,
        /// Its bytes.
        bytes: u64,
    },
    /// The presentation has ended.
    #[error("the presentation has ended; nothing can be added")]
    Ended,
    /// A box cannot be written.
    #[error("rendition {name}: box cannot be written: {cause}")]
    Box {
        /// The rendition.
        name: String,
        /// Why.
        cause: mp4_atom::Error,
    },
}

impl PackError {
    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            PackError::Name { .. } => Fault::Config,
            PackError::Nothing(_) => Fault::Unsupported,
            PackError::Unasked { .. }
            | PackError::Configuration { .. }
            | PackError::Duration { .. }
            | PackError::NoKey { .. }
            | PackError::Size { .. } => Fault::Corrupt,
            PackError::Shape { .. }
            | PackError::Sequence { .. }
            | PackError::Backwards { .. }
            | PackError::Time { .. }
            | PackError::Ended
            | PackError::Box { .. } => Fault::Bug,
        }
    }
}
