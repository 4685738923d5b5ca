//! A configuration in force: its playlists and what writes the segments of each.

use bytes::Bytes;

use super::appearance::Appearance;
use super::bandwidth::Bandwidth;
use super::cmaf::Fragmenter;
use super::error::PackError;
use super::presentation::{OutputTrack, SegmentSet};
use super::ts::{Mux, PackedAac};
use super::window::Made;
use crate::media::Packet;

/// The trees of files: CMAF at the root, transport streams under `ts/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// CMAF, HLS and DASH.
    Cmaf,
    /// MPEG transport streams and packed AAC, HLS.
    Ts,
}

impl Tree {
    /// In front of every path of the tree.
    pub fn prefix(self) -> &'static str {
        match self {
            Tree::Cmaf => "",
            Tree::Ts => "ts/",
        }
    }
}

/// Writes segment files.
#[derive(Debug)]
pub enum Maker {
    /// Fragmented MP4.
    Cmaf(Box<Fragmenter>),
    /// A transport stream.
    Ts(Box<Mux>),
    /// Packed AAC.
    PackedAac(PackedAac),
}

/// One media playlist and what is behind it.
#[derive(Debug)]
pub struct Stream {
    /// Its tree.
    pub tree: Tree,
    /// The rendition.
    pub track: OutputTrack,
    /// Index of the rendition among the tracks.
    pub source: usize,
    /// RFC 6381 codecs of everything in its segments.
    pub codecs: String,
    /// How its pictures look.
    pub appearance: Appearance,
    /// What writes its segments.
    pub maker: Maker,
    /// Bitrates of its segments.
    pub bandwidth: Bandwidth,
    /// Bitrates of its I-frames.
    pub iframe_bandwidth: Bandwidth,
    /// Media sequence number that the next I-frame gets.
    pub next_iframe: u64,
    /// Whether it ever had a segment.
    pub begun: bool,
    /// Segments that it is still to have before multivariant playlists name it.
    pub apprenticeship: u32,
}

impl Stream {
    /// Whether it has pictures, and so an I-frame playlist.
    pub fn is_video(&self) -> bool {
        self.track.track.video().is_some()
    }

    /// Whether multivariant playlists name it: who plays it finds enough to begin with.
    pub fn is_offered(&self) -> bool {
        self.begun && self.apprenticeship == 0
    }

    /// The rendition's name.
    pub fn name(&self) -> &str {
        &self.track.name
    }

    /// Last part of its segments' names.
    pub fn extension(&self) -> &'static str {
        match self.maker {
            Maker::Cmaf(_) => "m4s",
            Maker::Ts(_) => "ts",
            Maker::PackedAac(_) => "aac",
        }
    }

    /// Path of a file of its directory.
    pub fn path(&self, file: &str) -> String {
        format!("{}{}/{file}", self.tree.prefix(), self.name())
    }

    /// Path of a segment.
    pub fn segment_path(&self, number: u64) -> String {
        self.path(&format!("{number}.{}", self.extension()))
    }

    /// Name of the CMAF header within the directory.
    pub fn header_name(&self, epoch: &Epoch) -> Option<String> {
        matches!(self.maker, Maker::Cmaf(_)).then(|| format!("init-{}.mp4", epoch.first_number))
    }

    /// Timescale of [`Made::scaled_start`].
    pub fn timescale(&self) -> u32 {
        match &self.maker {
            Maker::Cmaf(fragmenter) => fragmenter.timescale(),
            Maker::Ts(_) | Maker::PackedAac(_) => 90_000,
        }
    }

    /// Writes its file of a segment; `None` is a gap.
    pub fn make(&mut self, set: &SegmentSet, discontinuity: bool, audio: Option<usize>) -> Result<Option<(Bytes, Made)>, PackError> {
        let own = packets(set, self.source);
        if own.is_empty() {
            return Ok(None);
        }
        let name = &self.track.name;
        let (body, made) = match &mut self.maker {
            Maker::Cmaf(fragmenter) => fragmenter.segment(set, own).map_err(|cause| PackError::Box { name: name.clone(), cause })?,
            Maker::Ts(mux) => mux.segment(set, discontinuity, own, audio.map(|index| packets(set, index)).unwrap_or_default()),
            Maker::PackedAac(packed) => packed.segment(own, set.start),
        };
        self.bandwidth.observe(made.bytes, made.duration);
        if self.is_video() {
            let bytes = made.iframes.iter().map(|iframe| iframe.length).sum();
            self.iframe_bandwidth.observe(bytes, made.duration);
        }
        self.begun = true;
        self.apprenticeship = self.apprenticeship.saturating_sub(1);
        Ok(Some((body, made)))
    }
}

/// A configuration in force from one segment on.
#[derive(Debug)]
pub struct Epoch {
    /// Counts configurations.
    pub id: u64,
    /// Number of the first segment with it; names its CMAF headers, so that no cache can hold another header of that name.
    pub first_number: u64,
    /// Index of the audio rendition that transport streams carry.
    pub muxed_audio: Option<usize>,
    /// The playlists: CMAF in the order of the tracks, then transport streams.
    pub streams: Vec<Stream>,
}

impl Epoch {
    /// The stream behind a playlist.
    pub fn stream(&self, tree: Tree, name: &str) -> Option<(usize, &Stream)> {
        self.streams.iter().enumerate().find(|(_, stream)| stream.tree == tree && stream.name() == name)
    }

    /// The streams of a tree.
    pub fn tree(&self, tree: Tree) -> impl Iterator<Item = &Stream> {
        self.streams.iter().filter(move |stream| stream.tree == tree)
    }
}

/// The packets of a rendition, none for a gap.
pub fn packets(set: &SegmentSet, index: usize) -> &[Packet] {
    set.packets.get(index).and_then(|packets| packets.as_deref()).unwrap_or_default()
}
