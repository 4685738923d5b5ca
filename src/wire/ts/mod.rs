//! MPEG transport streams (ISO/IEC 13818-1) to tracks and units.
//!
//! ```text
//! bytes -> Aligner -> 188-byte packets -+-> Sections -> Tables: which programme, which streams
//!                                       '-> Stream: PES packets -> Elementary: units with times -> Lineup -> events
//! ```
//!
//! [`Demuxer::receive`] takes bytes cut anywhere and never fails: damage costs what it hits, is counted by kind in
//! [`Counters`], and nothing that a source sends makes anything grow. As in FLV, media is held back until every stream of the
//! programme has its configuration, so that the tracks are told once and in one order: video, then sound as the PMT lists it.
//!
//! The packet layer is the house's own. A published one was measured and is fast, but writes a log line for each damaged
//! packet where counts are wanted, loses PES headers that lie over two packets, and does not find packets again.

mod aligner;
mod counters;
mod demuxer;
mod elementary;
mod follow;
mod lineup;
mod packet;
mod pes;
mod pmt;
mod section;
mod stream;
mod tables;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use counters::Counters;
pub use demuxer::Demuxer;
pub use pes::WRAP;

use crate::base::Ticks;
use crate::media::Track;

/// What is wanted of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The number of the programme to follow; without one the first that has video, else the first.
    pub program: Option<u16>,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The tracks from here on, video first; again whenever a configuration changes, a track joins or one leaves.
    Tracks(Vec<Track>),
    /// One picture or sound frame, in the form of [`crate::media::AccessUnit`].
    Unit {
        /// Index into the latest tracks.
        track: u8,
        /// Decode time on the source's clock, which wraps after [`WRAP`].
        dts: Ticks,
        /// Presentation time minus decode time.
        offset: Ticks,
        /// Decoding can begin here.
        entry: bool,
        /// The coded bytes.
        data: Bytes,
    },
    /// A whole section of SCTE 35 splice information, its checksum right.
    Section {
        /// Its packet identifier.
        pid: u16,
        /// The programme's clock when it came, where one is known.
        time: Option<Ticks>,
        /// The section with header and checksum.
        bytes: Bytes,
    },
}

/// A programme that the stream lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramEntry {
    /// program_number.
    pub number: u16,
    /// Where its PMT comes.
    pub pmt_pid: u16,
    /// Whether it has video; `None` until its PMT has come.
    pub has_video: Option<bool>,
}

/// A stream of the followed programme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its packet identifier.
    pub pid: u16,
    /// stream_type.
    pub stream_type: u8,
    /// What it carries, for people.
    pub codec: &'static str,
    /// ISO 639-2 code, where the PMT says.
    pub language: Option<String>,
    /// Its index among the tracks, where it is one.
    pub track: Option<u8>,
}

/// What a stream holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The number of the followed programme.
    pub program: Option<u16>,
    /// All programmes, as the PAT lists them.
    pub programs: Vec<ProgramEntry>,
    /// The streams of the followed one, as its PMT lists them.
    pub streams: Vec<StreamEntry>,
}
