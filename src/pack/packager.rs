//! The packager of one presentation: segments in, changes of files out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::bandwidth::rate;
use super::change::{Change, Kind};
use super::epoch::{Maker, Stream, Tree, packets};
use super::error::PackError;
use super::linger::Linger;
use super::plan::Plan;
use super::presentation::{OutputTrack, Presentation, SegmentSet, Window};
use super::window::{Entry, Made, Programme};
use super::{check, cmaf, dash, hls};
use crate::base::Ticks;

/// Packages one presentation as CMAF with HLS and DASH, as MPEG-TS with HLS, or as both.
///
/// Files come before the playlists that name them, and a file is removed only when nobody who has read a playlist that
/// named it can still want it.
#[derive(Debug)]
pub struct Packager {
    presentation: Presentation,
    programme: Programme,
    pending: Option<Plan>,
    /// Headers of a configuration whose first segment is not out yet.
    begun: Option<Vec<Change>>,
    linger: Linger,
    published: BTreeSet<(Tree, String, bool)>,
    multivariants: BTreeMap<Tree, Bytes>,
    measured_bps: Vec<u32>,
    notes: Vec<String>,
    malformed_noted: bool,
}

/// The DASH manifest's path.
const MANIFEST: &str = "manifest.mpd";

/// Time added to the longest segment before TARGETDURATION is rounded: sound ends at a frame, up to one beyond the span.
const AUDIO_OVERHANG: Ticks = Ticks::from_millis(60);

impl Packager {
    /// A packager with nothing published yet.
    ///
    /// Fails where a name cannot be part of an address, a decoder configuration cannot be read, or no rendition fits a format.
    pub fn new(presentation: Presentation) -> Result<Packager, PackError> {
        let plan = Plan::new(presentation.tracks.clone(), presentation.cmaf, presentation.ts)?;
        let target_s = ((presentation.segment + AUDIO_OVERHANG).as_millis() + 500).div_euclid(1000).clamp(1, i64::from(u16::MAX));
        let programme = Programme {
            target_s: target_s as u32,
            segment: presentation.segment,
            window: presentation.window,
            ended: false,
            discontinuities_before: 0,
            origin: Default::default(),
            entries: VecDeque::new(),
            epochs: VecDeque::new(),
            periods: VecDeque::new(),
        };
        let notes = plan.notes.clone();
        Ok(Packager {
            presentation,
            programme,
            pending: Some(plan),
            begun: None,
            linger: Linger::default(),
            published: BTreeSet::new(),
            multivariants: BTreeMap::new(),
            measured_bps: Vec::new(),
            notes,
            malformed_noted: false,
        })
    }

    /// A packager that goes on where another one of the same channel ended, behind a discontinuity that its first segment must bring.
    /// Fails as [`Packager::new`] does.
    pub fn following(presentation: Presentation, discontinuities: u64) -> Result<Packager, PackError> {
        let mut packager = Packager::new(presentation)?;
        packager.programme.discontinuities_before = discontinuities;
        Ok(packager)
    }

    /// How many discontinuities there were up to the newest segment.
    pub fn discontinuities(&self) -> u64 {
        self.programme.entries.back().map_or(self.programme.discontinuities_before, |last| last.discontinuity_sequence)
    }

    /// Live playlists list this much of the past from the next segment on.
    pub fn set_window(&mut self, window: Ticks) {
        if let Window::Live(_) = self.presentation.window {
            self.presentation.window = Window::Live(window);
            self.programme.window = Window::Live(window);
        }
    }

    /// Ends without a word, for another packager that goes on: the paths of all files that are there now.
    pub fn abandon(mut self) -> Vec<String> {
        let programme = &self.programme;
        let mut paths: Vec<String> = Vec::new();
        for entry in &programme.entries {
            let Some(epoch) = programme.epoch(entry.epoch) else { continue };
            let real = epoch.streams.iter().zip(&entry.made).filter(|(_, made)| made.is_some());
            paths.extend(real.map(|(stream, _)| stream.segment_path(entry.number)));
        }
        for epoch in &programme.epochs {
            paths.extend(epoch.streams.iter().filter_map(|stream| Some(stream.path(&stream.header_name(epoch)?))));
        }
        paths.extend(self.published.iter().map(|(tree, name, iframes)| playlist_path(*tree, name, *iframes)));
        paths.extend(self.multivariants.keys().map(|tree| format!("{}master.m3u8", tree.prefix())));
        paths.extend(dash::manifest(programme).map(|_| MANIFEST.to_owned()));
        paths.extend(self.linger.take_all());
        paths
    }

    /// Other renditions or other decoder configurations from the next segment on: a discontinuity, new CMAF headers and
    /// a new DASH Period. Fails as [`Packager::new`] does and then changes nothing.
    ///
    /// The playlist of a rendition that is no longer there goes on with gaps until its last segment has slid out.
    /// Multivariant playlists are seldom read again by players, so a channel does well to keep the names of its renditions.
    pub fn reconfigure(&mut self, tracks: Vec<OutputTrack>) -> Result<(), PackError> {
        let plan = Plan::new(tracks, self.presentation.cmaf, self.presentation.ts)?;
        self.notes.extend(plan.notes.iter().cloned());
        self.pending = Some(plan);
        Ok(())
    }

    /// Publishes a segment: its files, then the texts that name them, then what is no longer needed.
    ///
    /// A refused segment changes nothing: what was due with it comes with the next one.
    pub fn push(&mut self, set: SegmentSet) -> Result<Vec<Change>, PackError> {
        if self.programme.ended {
            return Err(PackError::Ended);
        }
        let tracks = self.pending.as_ref().map_or(self.presentation.tracks.as_slice(), |plan| plan.tracks());
        check::segment(&self.programme, tracks, &set)?;
        self.begin_epoch(set.number)?;
        let reconfigured = self.begun.is_some();
        let discontinuity = set.discontinuity || (reconfigured && !self.programme.entries.is_empty()) || self.leaves_a_hole(&set);
        let mut files = Vec::new();
        let made = self.make(&set, discontinuity, &mut files)?;
        self.measure(&set);
        let mut changes = self.begun.take().unwrap_or_default();
        changes.append(&mut files);
        self.enter(&set, discontinuity, made);
        self.slide();
        if self.presentation.window != Window::Vod {
            self.write_texts(&mut changes);
        }
        changes.extend(self.linger.due());
        Ok(changes)
    }

    /// Ends the presentation: playlists get EXT-X-ENDLIST, the manifest becomes static. Nothing is removed any more.
    pub fn finish(&mut self) -> Result<Vec<Change>, PackError> {
        if self.programme.ended {
            return Err(PackError::Ended);
        }
        self.programme.ended = true;
        let mut changes = Vec::new();
        if !self.programme.entries.is_empty() {
            self.write_texts(&mut changes);
        }
        Ok(changes)
    }

    /// Bitrate of a rendition's newest segment in bit/s, without containers; 0 for a gap.
    pub fn measured_bitrate(&self, track_index: usize) -> u32 {
        self.measured_bps.get(track_index).copied().unwrap_or(0)
    }

    /// What the operator should know since the last call: renditions that a format leaves out, broken packets.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn target(&self) -> Ticks {
        Ticks::from_millis(i64::from(self.programme.target_s) * 1000)
    }

    /// Brings a pending configuration into force, once its CMAF headers are made.
    fn begin_epoch(&mut self, number: u64) -> Result<(), PackError> {
        let Some(plan) = self.pending.clone() else { return Ok(()) };
        let tracks = plan.tracks().to_vec();
        let epoch = plan.build(number, &self.presentation, self.target(), self.programme.newest());
        let mut headers = self.begun.clone().unwrap_or_default();
        for stream in epoch.tree(Tree::Cmaf) {
            let Some(name) = stream.header_name(&epoch) else { continue };
            let header = cmaf::header(&stream.track, stream.timescale());
            let body = header.map_err(|cause| PackError::Box { name: stream.name().into(), cause })?;
            headers.push(Change::Put { path: stream.path(&name), body, kind: Kind::Init { video: stream.is_video() } });
        }
        self.pending = None;
        self.begun = Some(headers);
        self.presentation.tracks = tracks;
        self.programme.epochs.push_back(epoch);
        self.malformed_noted = false;
        Ok(())
    }

    /// Whether time passes between the newest segment and this one that no segment covers.
    fn leaves_a_hole(&self, set: &SegmentSet) -> bool {
        self.programme.entries.back().is_some_and(|last| set.start - (last.start + last.duration) > Ticks::from_millis(1))
    }

    fn measure(&mut self, set: &SegmentSet) {
        let bytes = |index| packets(set, index).iter().map(|packet| packet.data.len() as u64).sum();
        let bps = |index| u32::try_from(rate(bytes(index), set.duration)).unwrap_or(u32::MAX);
        self.measured_bps = (0..set.packets.len()).map(bps).collect();
    }

    /// Writes the segment files of every stream.
    fn make(&mut self, set: &SegmentSet, discontinuity: bool, changes: &mut Vec<Change>) -> Result<Vec<Option<Made>>, PackError> {
        let Some(epoch) = self.programme.epochs.back_mut() else { return Ok(Vec::new()) };
        let audio = epoch.muxed_audio;
        let mut all = Vec::with_capacity(epoch.streams.len());
        for stream in &mut epoch.streams {
            let made = stream.make(set, discontinuity, audio)?.map(|(body, made)| {
                changes.push(Change::Put { path: stream.segment_path(set.number), body, kind: segment_kind(stream) });
                made
            });
            all.push(made);
        }
        self.note_malformed();
        Ok(all)
    }

    /// Notes the first rendition with a broken picture, once per configuration.
    fn note_malformed(&mut self) {
        let broken = |stream: &&Stream| matches!(&stream.maker, Maker::Ts(mux) if mux.malformed() > 0);
        let Some(stream) = self.programme.newest().filter(|_| !self.malformed_noted).and_then(|epoch| epoch.streams.iter().find(broken))
        else {
            return;
        };
        let note =
            format!("rendition {}: NAL unit lengths of a picture do not add up; what follows them is left out of MPEG-TS", stream.name());
        self.notes.push(note);
        self.malformed_noted = true;
    }

    /// Lists the segment.
    fn enter(&mut self, set: &SegmentSet, discontinuity: bool, made: Vec<Option<Made>>) {
        let programme = &mut self.programme;
        if programme.entries.is_empty() {
            programme.origin = set.start;
        }
        let before = programme.entries.back().map_or(programme.discontinuities_before, |last| last.discontinuity_sequence);
        let Some(epoch) = programme.epochs.back_mut() else { return };
        let count = |(stream, made): (&mut Stream, &Option<Made>)| {
            let first = stream.next_iframe;
            // A gap is one line of the I-frame playlist.
            stream.next_iframe += made.as_ref().map_or(1, |made| made.iframes.len() as u64);
            first
        };
        let iframe_numbers = epoch.streams.iter_mut().zip(&made).map(count).collect();
        let epoch = epoch.id;
        let present: Vec<bool> = made.iter().map(Option::is_some).collect();
        programme.extend_period(set, epoch, present, discontinuity);
        programme.entries.push_back(Entry {
            number: set.number,
            start: set.start,
            duration: set.duration,
            discontinuity,
            discontinuity_sequence: before + u64::from(discontinuity),
            epoch,
            period: programme.periods.back().map_or(0, |period| period.id),
            made,
            iframe_numbers,
        });
        self.linger.publish(set.duration);
    }

    /// Takes what the window no longer holds off the lists.
    fn slide(&mut self) {
        while let Some(entry) = self.programme.slide() {
            let mut paths = Vec::new();
            if let Some(epoch) = self.programme.epoch(entry.epoch) {
                let real = epoch.streams.iter().zip(&entry.made).filter(|(_, made)| made.is_some());
                paths.extend(real.map(|(stream, _)| stream.segment_path(entry.number)));
                if self.programme.entries.front().is_none_or(|first| first.epoch != entry.epoch) {
                    let header = |stream: &Stream| stream.header_name(epoch).map(|name| stream.path(&name));
                    paths.extend(epoch.streams.iter().filter_map(header));
                }
            }
            self.linger.add(paths, entry.duration);
        }
        self.programme.forget();
        self.linger.listed(self.programme.listed());
    }

    /// Media playlists, then multivariant playlists and the manifest.
    fn write_texts(&mut self, changes: &mut Vec<Change>) {
        let live = !self.programme.ended;
        let mut published = BTreeSet::new();
        for (tree, name, iframes) in hls::playlists(&self.programme) {
            let text = match iframes {
                true => hls::iframe_playlist(&self.programme, tree, &name),
                false => hls::media_playlist(&self.programme, tree, &name),
            };
            let path = playlist_path(tree, &name, iframes);
            self.linger.keep(&path);
            changes.push(Change::Put { path, body: text.into(), kind: Kind::Playlist { live } });
            published.insert((tree, name, iframes));
        }
        let gone = self.published.difference(&published);
        let path = |(tree, name, iframes): &(Tree, String, bool)| playlist_path(*tree, name, *iframes);
        self.linger.add(gone.map(path).collect(), self.presentation.segment);
        self.published = published;
        self.write_multivariants(changes);
        if let Some(manifest) = dash::manifest(&self.programme) {
            changes.push(Change::Put { path: MANIFEST.into(), body: manifest.into(), kind: Kind::Manifest { live } });
        }
    }

    /// Multivariant playlists, where they changed.
    fn write_multivariants(&mut self, changes: &mut Vec<Change>) {
        for tree in [Tree::Cmaf, Tree::Ts] {
            let Some(text) = hls::multivariant(&self.programme, tree).map(Bytes::from) else { continue };
            if self.multivariants.get(&tree) != Some(&text) {
                let path = format!("{}master.m3u8", tree.prefix());
                changes.push(Change::Put { path, body: text.clone(), kind: Kind::Multivariant });
                self.multivariants.insert(tree, text);
            }
        }
    }
}

fn playlist_path(tree: Tree, name: &str, iframes: bool) -> String {
    format!("{}{name}/{}", tree.prefix(), if iframes { "iframe.m3u8" } else { "playlist.m3u8" })
}

fn segment_kind(stream: &Stream) -> Kind {
    match stream.maker {
        Maker::Cmaf(_) => Kind::Cmaf { video: stream.is_video() },
        Maker::Ts(_) => Kind::Ts,
        Maker::PackedAac(_) => Kind::PackedAac,
    }
}
