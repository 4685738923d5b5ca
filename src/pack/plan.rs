//! From renditions to a configuration: what each tree holds, what is left out and why.

use super::appearance::Appearance;
use super::bandwidth::Bandwidth;
use super::cmaf::{self, Fragmenter};
use super::epoch::{Epoch, Maker, Stream, Tree};
use super::error::PackError;
use super::presentation::{OutputTrack, Presentation, Window};
use super::ts::{Mux, PackedAac, VideoStream};
use crate::base::Ticks;
use crate::media::aac::{AacConfig, adts_header};
use crate::media::av1::Av1Config;
use crate::media::malformed::Malformed;
use crate::media::opus::OpusConfig;
use crate::media::{AudioCodec, Track, VideoCodec};

/// Segments of a rendition that joins a presentation before multivariant playlists name it: players begin three segments back.
const NEWCOMER_SEGMENTS: u32 = 3;

/// What a new configuration is built from.
#[derive(Clone, Debug)]
pub struct Plan {
    tracks: Vec<OutputTrack>,
    streams: Vec<PlannedStream>,
    muxed_audio: Option<usize>,
    /// Renditions that are left out, and why.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug)]
struct PlannedStream {
    tree: Tree,
    source: usize,
    kind: PlannedKind,
}

#[derive(Clone, Debug)]
enum PlannedKind {
    Cmaf,
    Ts(VideoStream),
    PackedAac(AacConfig),
}

impl Plan {
    /// Checks renditions and decides what each tree holds.
    pub fn new(tracks: Vec<OutputTrack>, cmaf: bool, ts: bool) -> Result<Plan, PackError> {
        check_names(&tracks)?;
        let mut plan = Plan { tracks: Vec::new(), streams: Vec::new(), muxed_audio: None, notes: Vec::new() };
        for (source, output) in tracks.iter().enumerate().filter(|_| cmaf) {
            plan.add(Tree::Cmaf, source, output, cmaf_kind(&output.track))?;
        }
        for (source, output) in tracks.iter().enumerate().filter(|_| ts) {
            plan.add(Tree::Ts, source, output, ts_kind(&output.track))?;
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

    fn add(&mut self, tree: Tree, source: usize, output: &OutputTrack, kind: Result<PlannedKind, Unfit>) -> Result<(), PackError> {
        let name = &output.name;
        match kind {
            Ok(kind) => {
                if matches!(kind, PlannedKind::PackedAac(_)) {
                    self.muxed_audio = Some(source);
                }
                self.streams.push(PlannedStream { tree, source, kind });
            }
            Err(Unfit::LeftOut(reason)) => {
                let format = if tree == Tree::Cmaf { "CMAF" } else { "MPEG-TS" };
                self.notes.push(format!("rendition {name} is left out of {format}: {reason}"));
            }
            Err(Unfit::Broken(reason)) => {
                let length = match &output.track {
                    Track::Video(video) => video.config.len(),
                    Track::Audio(audio) => audio.config.len(),
                };
                return Err(PackError::Configuration { name: name.clone(), length, reason });
            }
        }
        Ok(())
    }

    /// The configuration, in force from segment `number` on. What carries over from `before` is carried over by name.
    pub fn build(self, number: u64, presentation: &Presentation, target: Ticks, before: Option<&Epoch>) -> Epoch {
        let aac = self.streams.iter().find_map(|planned| match &planned.kind {
            PlannedKind::PackedAac(config) => Some(config.clone()),
            _ => None,
        });
        let audio = self.muxed_audio.and_then(|index| self.tracks.get(index));
        let vod = presentation.window == Window::Vod;
        // A rendition that joins others that go on; where none goes on, all are new and viewers need one at once.
        let is_old = |planned: &PlannedStream| {
            let name = self.tracks.get(planned.source).filter(|track| track.track.video().is_some()).map(|track| track.name.as_str());
            before.zip(name).is_some_and(|(before, name)| before.stream(planned.tree, name).is_some())
        };
        let newcomers_wait = self.streams.iter().any(is_old);
        let stream = |planned: PlannedStream| {
            let track = self.tracks.get(planned.source)?.clone();
            let old = before.and_then(|before| before.stream(planned.tree, &track.name)).map(|(_, stream)| stream);
            let muxed = audio.filter(|_| matches!(planned.kind, PlannedKind::Ts(_)));
            let (peak, average) = expected(&track, muxed, planned.tree);
            let codecs = std::iter::once(&track).chain(muxed).map(|track| track.track.codec_string()).collect::<Vec<_>>().join(",");
            let maker = match planned.kind {
                PlannedKind::Cmaf => Maker::Cmaf(Box::new(Fragmenter::new(cmaf::timescale(&track), track.track.video().is_some()))),
                PlannedKind::Ts(video) => {
                    let counters = old.and_then(|old| if let Maker::Ts(mux) = &old.maker { Some(mux.counters()) } else { None });
                    Maker::Ts(Box::new(Mux::new(video, aac.clone(), track.reorder, counters)))
                }
                PlannedKind::PackedAac(config) => Maker::PackedAac(PackedAac::new(config)),
            };
            Some(Stream {
                tree: planned.tree,
                source: planned.source,
                codecs,
                appearance: track.track.video().map(Appearance::of).unwrap_or_default(),
                maker,
                bandwidth: Bandwidth::expecting(peak, average, target, vod),
                iframe_bandwidth: Bandwidth::expecting(0, 0, target, vod),
                next_iframe: old.map_or_else(|| first_iframe(number, vod), |old| old.next_iframe),
                begun: false,
                apprenticeship: old.map_or(if newcomers_wait { NEWCOMER_SEGMENTS } else { 0 }, |old| old.apprenticeship),
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

/// Why a rendition is not in a tree.
enum Unfit {
    /// The format does not carry it; the others go on.
    LeftOut(String),
    /// Its configuration is unusable, which nobody can play in any format.
    Broken(String),
}

const NOT_PACKAGED: &str = "its codec is not packaged";
const NOT_IN_TS: &str = "its codec has no place in a transport stream";

fn cmaf_kind(track: &Track) -> Result<PlannedKind, Unfit> {
    let broken = |malformed: Malformed| Unfit::Broken(malformed.to_string());
    match track {
        Track::Video(video) => match video.codec {
            VideoCodec::H264 | VideoCodec::Hevc => VideoStream::new(video.codec, &video.config).map(|_| ()).map_err(Unfit::Broken)?,
            VideoCodec::Av1 => Av1Config::parse(&video.config).map(|_| ()).map_err(broken)?,
            VideoCodec::Other => return Err(Unfit::LeftOut(NOT_PACKAGED.into())),
        },
        Track::Audio(audio) => match audio.codec {
            AudioCodec::Aac => AacConfig::parse(&audio.config).map(|_| ()).map_err(broken)?,
            AudioCodec::Opus => OpusConfig::parse(&audio.config).map(|_| ()).map_err(broken)?,
            AudioCodec::Mp3 | AudioCodec::Other => return Err(Unfit::LeftOut(NOT_PACKAGED.into())),
        },
    }
    Ok(PlannedKind::Cmaf)
}

fn ts_kind(track: &Track) -> Result<PlannedKind, Unfit> {
    match track {
        Track::Video(video) => match video.codec {
            VideoCodec::H264 | VideoCodec::Hevc => VideoStream::new(video.codec, &video.config).map(PlannedKind::Ts).map_err(Unfit::Broken),
            VideoCodec::Av1 | VideoCodec::Other => Err(Unfit::LeftOut(NOT_IN_TS.into())),
        },
        Track::Audio(audio) if audio.codec == AudioCodec::Aac => {
            let config = AacConfig::parse(&audio.config).map_err(|malformed| Unfit::Broken(malformed.to_string()))?;
            // With channels described in the configuration only, frames would arrive without that description.
            match config.channel_configuration > 0 && adts_header(&config, 0).is_some() {
                true => Ok(PlannedKind::PackedAac(config)),
                false => Err(Unfit::LeftOut("ADTS cannot say its object type, sample rate or channels".into())),
            }
        }
        Track::Audio(_) => Err(Unfit::LeftOut(NOT_IN_TS.into())),
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
