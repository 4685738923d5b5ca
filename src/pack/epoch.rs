//! A configuration: which playlists there are and what writes the segments of each.

use bytes::Bytes;

use super::bandwidth::Bandwidth;
use super::cmaf::{self, Fragmenter};
use super::error::PackError;
use super::presentation::{OutputTrack, Presentation, SegmentSet, Window};
use super::ts::{self, Adts, Mux, PackedAac, VideoStream};
use super::window::Made;
use crate::base::Ticks;
use crate::media::{AudioCodec, Packet, Track, VideoCodec};

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
    Cmaf(Fragmenter),
    /// A transport stream.
    Ts(Mux),
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
}

impl Stream {
    /// Whether it has pictures, and so an I-frame playlist.
    pub fn is_video(&self) -> bool {
        self.track.track.video().is_some()
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
        let packets = |index: usize| set.packets.get(index).and_then(|packets| packets.as_deref()).unwrap_or_default();
        let own = packets(self.source);
        if own.is_empty() {
            return Ok(None);
        }
        let name = &self.track.name;
        let (body, made) = match &mut self.maker {
            Maker::Cmaf(fragmenter) => fragmenter.segment(set, own).map_err(|cause| PackError::Box { name: name.clone(), cause })?,
            Maker::Ts(mux) => mux.segment(set, discontinuity, own, audio.map(packets).unwrap_or_default()),
            Maker::PackedAac(packed) => packed.segment(own, set.start),
        };
        self.bandwidth.observe(made.bytes, made.duration);
        if self.is_video() {
            let bytes = made.iframes.iter().map(|iframe| iframe.length).sum();
            self.iframe_bandwidth.observe(bytes, made.duration);
        }
        self.begun = true;
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

/// What a new configuration is built from.
#[derive(Debug)]
pub struct Plan {
    tracks: Vec<OutputTrack>,
    streams: Vec<PlannedStream>,
    muxed_audio: Option<usize>,
    /// Renditions that are left out, and why.
    pub notes: Vec<String>,
}

#[derive(Debug)]
struct PlannedStream {
    tree: Tree,
    source: usize,
    kind: PlannedKind,
}

#[derive(Debug)]
enum PlannedKind {
    Cmaf,
    Ts(VideoStream),
    PackedAac(Adts),
}

impl Plan {
    /// Checks renditions and decides what each tree holds.
    pub fn new(tracks: Vec<OutputTrack>, cmaf: bool, ts: bool) -> Result<Plan, PackError> {
        check_names(&tracks)?;
        let mut plan = Plan { tracks: Vec::new(), streams: Vec::new(), muxed_audio: None, notes: Vec::new() };
        if cmaf {
            for (source, track) in tracks.iter().enumerate() {
                plan.add_cmaf(source, track)?;
            }
        }
        if ts {
            plan.add_ts(&tracks)?;
        }
        if plan.streams.is_empty() {
            let reason = if plan.notes.is_empty() { "no rendition or no format is configured".into() } else { plan.notes.join("; ") };
            return Err(PackError::Nothing(reason));
        }
        plan.tracks = tracks;
        Ok(plan)
    }

    /// The renditions.
    pub fn tracks(&self) -> &[OutputTrack] {
        &self.tracks
    }

    fn add_cmaf(&mut self, source: usize, track: &OutputTrack) -> Result<(), PackError> {
        match cmaf_refusal(track)? {
            Some(reason) => self.notes.push(format!("rendition {} is left out of CMAF: {reason}", track.name)),
            None => self.streams.push(PlannedStream { tree: Tree::Cmaf, source, kind: PlannedKind::Cmaf }),
        }
        Ok(())
    }

    fn add_ts(&mut self, tracks: &[OutputTrack]) -> Result<(), PackError> {
        for (source, output) in tracks.iter().enumerate() {
            let kind = match &output.track {
                Track::Video(video) => VideoStream::new(video.codec, &video.config).map(PlannedKind::Ts),
                Track::Audio(audio) if audio.codec == AudioCodec::Aac => {
                    Adts::from_specific_config(&audio.config).map(PlannedKind::PackedAac)
                }
                Track::Audio(_) => Err("its codec has no place in a transport stream"),
            };
            match kind {
                Ok(kind) => {
                    if matches!(kind, PlannedKind::PackedAac(_)) {
                        self.muxed_audio = Some(source);
                    }
                    self.streams.push(PlannedStream { tree: Tree::Ts, source, kind });
                }
                Err(reason) => self.notes.push(format!("rendition {} is left out of MPEG-TS: {reason}", output.name)),
            }
        }
        Ok(())
    }

    /// The configuration, in force from segment `number` on. What carries over from `before` is carried over by name.
    pub fn build(self, number: u64, presentation: &Presentation, target: Ticks, before: Option<&Epoch>) -> Epoch {
        let adts = self.streams.iter().find_map(|planned| match planned.kind {
            PlannedKind::PackedAac(adts) => Some(adts),
            _ => None,
        });
        let audio = self.muxed_audio.and_then(|index| self.tracks.get(index));
        let vod = presentation.window == Window::Vod;
        let stream = |planned: PlannedStream| {
            let track = self.tracks.get(planned.source)?.clone();
            let old = before.and_then(|before| before.stream(planned.tree, &track.name)).map(|(_, stream)| stream);
            let muxed = audio.filter(|_| matches!(planned.kind, PlannedKind::Ts(_)));
            let (peak, average) = expected(&track, muxed, planned.tree);
            let codecs =
                std::iter::once(&track).chain(muxed).map(|track| super::codecs::codec_string(&track.track)).collect::<Vec<_>>().join(",");
            let maker = match planned.kind {
                PlannedKind::Cmaf => Maker::Cmaf(Fragmenter::new(cmaf::timescale(&track), track.track.video().is_some())),
                PlannedKind::Ts(video) => {
                    let counters = old.and_then(|old| if let Maker::Ts(mux) = &old.maker { Some(mux.counters()) } else { None });
                    Maker::Ts(Mux::new(video, adts, track.reorder, counters))
                }
                PlannedKind::PackedAac(adts) => Maker::PackedAac(PackedAac::new(adts)),
            };
            Some(Stream {
                tree: planned.tree,
                source: planned.source,
                codecs,
                maker,
                bandwidth: Bandwidth::expecting(peak, average, target, vod),
                iframe_bandwidth: Bandwidth::expecting(0, 0, target, vod),
                next_iframe: old.map_or_else(|| first_iframe(number, vod), |old| old.next_iframe),
                begun: false,
                track,
            })
        };
        let streams = self.streams.into_iter().filter_map(stream).collect();
        Epoch { id: before.map_or(0, |before| before.id + 1), first_number: number, muxed_audio: self.muxed_audio, streams }
    }
}

/// I-frame playlists count I-frames. After a restart, which gives segments a higher number, their count must not fall
/// either: a thousand for each segment is more than any segment holds.
fn first_iframe(number: u64, vod: bool) -> u64 {
    if vod { 0 } else { number.saturating_mul(1000) }
}

/// Expected peak and average of a stream in bit/s, container and muxed audio included; 0 where unknown.
fn expected(track: &OutputTrack, muxed: Option<&OutputTrack>, tree: Tree) -> (u64, u64) {
    let known = [Some(track), muxed].into_iter().flatten().all(|track| track.peak_bps.max(track.bitrate_bps) > 0);
    let with_container = |bps: u64| match tree {
        Tree::Cmaf => bps + bps / 100 + 4_000,
        Tree::Ts => bps + bps / 25 + 50_000,
    };
    let sum = |rate: fn(&OutputTrack) -> u32| u64::from(rate(track)) + muxed.map_or(0, |audio| u64::from(rate(audio)));
    match known {
        true => {
            let average = sum(|track| track.bitrate_bps);
            let peak = sum(|track| track.peak_bps.max(track.bitrate_bps));
            (with_container(peak), if average > 0 { with_container(average) } else { 0 })
        }
        false => (0, 0),
    }
}

/// Why a rendition cannot be carried in CMAF at all; an error where its configuration is broken.
fn cmaf_refusal(output: &OutputTrack) -> Result<Option<&'static str>, PackError> {
    let broken = |length: usize, reason| PackError::Configuration { name: output.name.clone(), length, reason };
    match &output.track {
        Track::Video(video) => match video.codec {
            VideoCodec::Other => Ok(Some("its codec is not packaged")),
            VideoCodec::Av1 if video.config.len() < 4 => Err(broken(video.config.len(), "an av1C record has at least 4 bytes")),
            VideoCodec::Av1 => Ok(None),
            codec => match ts::VideoStream::new(codec, &video.config) {
                Ok(_) => Ok(None),
                Err(reason) => Err(broken(video.config.len(), reason)),
            },
        },
        Track::Audio(audio) => match audio.codec {
            AudioCodec::Aac if audio.config.len() < 2 => Err(broken(audio.config.len(), "its AudioSpecificConfig is cut short")),
            AudioCodec::Opus if cmaf::opus_specific(&audio.config).is_none() => Err(broken(audio.config.len(), "not an OpusHead")),
            AudioCodec::Aac | AudioCodec::Opus => Ok(None),
            AudioCodec::Mp3 | AudioCodec::Other => Ok(Some("its codec is not packaged")),
        },
    }
}

fn check_names(tracks: &[OutputTrack]) -> Result<(), PackError> {
    for (index, track) in tracks.iter().enumerate() {
        let fault = |reason| Err(PackError::Name { name: track.name.clone(), reason });
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if track.name.is_empty() || !track.name.bytes().all(usual) {
            return fault("only letters, digits, '-', '_' and '.' are allowed");
        }
        if track.name.starts_with('.') || track.name == "ts" {
            return fault("the name is taken");
        }
        if tracks.iter().take(index).any(|other| other.name == track.name) {
            return fault("two renditions have it");
        }
    }
    Ok(())
}

/// The packets of a rendition, none for a gap.
pub fn packets(set: &SegmentSet, index: usize) -> &[Packet] {
    set.packets.get(index).and_then(|packets| packets.as_deref()).unwrap_or_default()
}
