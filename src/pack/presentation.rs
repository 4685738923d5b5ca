//! What the packagers are told: the renditions, then one committed segment after the other.

use crate::base::{MediaTime, Rate, Ticks};
use crate::media::{Packet, Track};

/// How much of the programme playlists list, and whether it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// A sliding window of this length.
    Live(Ticks),
    /// Everything from the start, while it still grows.
    Event,
    /// Everything; playlists are written once, at the end.
    Vod,
}

/// One rendition.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTrack {
    /// Its name and directory: `720p`, `audio`.
    pub name: String,
    /// Codec, configuration and size.
    pub track: Track,
    /// Average bitrate that is declared, in bit/s; measured ones are declared where this is 0 (copy channels).
    pub bitrate_bps: u32,
    /// Largest bitrate over a segment that is to be expected, in bit/s (the VBV's rate).
    pub peak_bps: u32,
    /// Frame rate of video.
    pub rate: Option<Rate>,
    /// Largest distance by which a packet's `pts` may lie before its `dts`; MPEG-TS shifts `dts` by it.
    pub reorder: Ticks,
}

/// What does not change while a presentation lasts.
#[derive(Clone, Debug, PartialEq)]
pub struct Presentation {
    /// The channel's name.
    pub channel: String,
    /// Video renditions, largest first, then at most one audio rendition.
    pub tracks: Vec<OutputTrack>,
    /// Wished and longest length of a segment; TARGETDURATION follows from it and never changes.
    pub segment: Ticks,
    /// What playlists list.
    pub window: Window,
    /// Whether CMAF with HLS and DASH is made.
    pub cmaf: bool,
    /// Whether MPEG-TS with HLS is made.
    pub ts: bool,
}

/// One committed segment of every rendition: the same span of the programme on all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentSet {
    /// Media sequence number and name of the files.
    pub number: u64,
    /// Beginning of the span; the first picture's `pts`.
    pub start: MediaTime,
    /// Length of the span.
    pub duration: Ticks,
    /// The timeline or the configuration breaks before this segment.
    pub discontinuity: bool,
    /// Packets by rendition, in decode order, in the order of [`Presentation::tracks`]; `None` where a rendition has nothing (a gap).
    /// Video begins with an IDR. Audio holds the frames that begin within the span, so its edges differ by up to a frame.
    pub packets: Vec<Option<Vec<Packet>>>,
}
