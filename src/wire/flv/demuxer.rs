//! Tags in the order of the wire to tracks and units.

use std::collections::VecDeque;

use bytes::Bytes;

use super::audio::{self, AudioTag};
use super::configuration::{self, Video};
use super::error::Error;
use super::metadata::{self, Metadata};
use super::video::{self, VideoTag};
use crate::base::Ticks;
use crate::media::{AudioCodec, AudioTrack, Track, VideoCodec, av1, h264, hevc, nal};

/// How long media waits for a second track that nobody announced, in milliseconds of media.
const PATIENCE_MS: i32 = 1000;

/// How long media waits for a second track that the metadata announced, in milliseconds of media.
const ANNOUNCED_PATIENCE_MS: i32 = 3000;

/// How much waits at most, in units and in bytes, whatever the timestamps do.
const HELD_UNITS: usize = 512;
const HELD_BYTES: usize = 8 << 20;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An audio tag's body.
    Audio,
    /// A video tag's body.
    Video,
    /// A script tag's body: AMF0.
    Script,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The tracks from here on, video first; again whenever a configuration changes or a track joins.
    Tracks(Vec<Track>),
    /// One picture or audio frame, in the form of [`crate::media::AccessUnit`].
    Unit {
        /// Index into the latest tracks.
        track: u8,
        /// Decode time on the sender's clock, which wraps at 2^32 ms.
        dts: Ticks,
        /// Presentation time minus decode time.
        offset: Ticks,
        /// Decoding can begin here.
        entry: bool,
        /// The coded bytes.
        data: Bytes,
    },
}

/// Which track a unit belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Video,
    Audio,
}

/// A unit without its index, which depends on the tracks.
#[derive(Debug)]
struct Unit {
    medium: Medium,
    dts: Ticks,
    offset: Ticks,
    entry: bool,
    data: Bytes,
}

/// The state of one publisher's stream.
#[derive(Debug, Default)]
pub struct Demuxer {
    metadata: Metadata,
    video: Option<Video>,
    audio: Option<AudioTrack>,
    /// The tracks have been told.
    started: bool,
    held: VecDeque<Unit>,
    held_bytes: usize,
    first_held_ms: u32,
}

impl Demuxer {
    /// A demuxer at the start of a stream.
    pub fn new() -> Demuxer {
        Demuxer::default()
    }

    /// Takes one message and appends what comes of it to `out`. An error means that this message gave nothing;
    /// with [`crate::base::Fault::Unsupported`] the following ones of its kind will not either.
    pub fn receive(&mut self, kind: Kind, timestamp_ms: u32, body: Bytes, out: &mut Vec<Event>) -> Result<(), Error> {
        match kind {
            Kind::Script => self.on_metadata(&body)?,
            Kind::Video => {
                if let Some(tag) = video::parse(body)? {
                    self.on_video(tag, timestamp_ms, out)?;
                }
            }
            Kind::Audio => {
                if let Some(tag) = audio::parse(body)? {
                    self.on_audio(tag, timestamp_ms, out)?;
                }
            }
        }
        self.start_when_ready(timestamp_ms, out);
        Ok(())
    }

    fn on_metadata(&mut self, body: &[u8]) -> Result<(), Error> {
        self.metadata = metadata::parse(body)?.unwrap_or(self.metadata);
        if let Some(video) = self.video.as_mut().filter(|_| !self.started) {
            video.track.rate = video.track.rate.or(self.metadata.rate);
        }
        Ok(())
    }

    fn on_video(&mut self, tag: VideoTag, timestamp_ms: u32, out: &mut Vec<Event>) -> Result<(), Error> {
        match tag.packet {
            video::Packet::Configuration(header) => {
                let video = configuration::video(tag.codec, header, self.metadata.rate)?;
                // Some encoders repeat the header before every keyframe; metadata in between does not make it another.
                let is_same = |old: &Video| old.track.codec == tag.codec && old.track.config == video.track.config;
                let is_same = self.video.as_ref().is_some_and(is_same);
                self.video = Some(video);
                self.tracks_changed(is_same, out);
                Ok(())
            }
            video::Packet::Picture { offset_ms, data } => {
                let video = self.video.as_ref().filter(|video| video.track.codec == tag.codec);
                let length_size = video.ok_or(Error::NoConfiguration("picture"))?.length_size;
                let data = picture(tag.codec, &data, length_size)?;
                if data.is_empty() {
                    return Ok(());
                }
                let entry = is_entry(tag.codec, tag.key, &data);
                let (dts, offset) = (time(timestamp_ms, tag.nanos), Ticks::from_millis(i64::from(offset_ms)));
                self.put(Unit { medium: Medium::Video, dts, offset, entry, data }, timestamp_ms, out);
                Ok(())
            }
        }
    }

    fn on_audio(&mut self, tag: AudioTag, timestamp_ms: u32, out: &mut Vec<Event>) -> Result<(), Error> {
        match tag.packet {
            audio::Packet::Configuration(header) => {
                let track = configuration::audio(tag.codec, header)?;
                self.set_audio(track, out);
                Ok(())
            }
            audio::Packet::Frame(data) => {
                if tag.codec == AudioCodec::Mp3 {
                    self.set_audio(configuration::mp3(&data)?, out);
                }
                if self.audio.as_ref().is_none_or(|audio| audio.codec != tag.codec) {
                    return Err(Error::NoConfiguration("audio frame"));
                }
                let dts = time(timestamp_ms, tag.nanos);
                self.put(Unit { medium: Medium::Audio, dts, offset: Ticks::ZERO, entry: true, data }, timestamp_ms, out);
                Ok(())
            }
        }
    }

    fn set_audio(&mut self, track: AudioTrack, out: &mut Vec<Event>) {
        let same = self.audio.as_ref() == Some(&track);
        self.audio = Some(track);
        self.tracks_changed(same, out);
    }

    /// Tells the tracks again, once they have been told.
    fn tracks_changed(&self, same: bool, out: &mut Vec<Event>) {
        if self.started && !same {
            out.push(self.tracks());
        }
    }

    fn tracks(&self) -> Event {
        let video = self.video.iter().map(|video| Track::Video(video.track.clone()));
        Event::Tracks(video.chain(self.audio.iter().cloned().map(Track::Audio)).collect())
    }

    /// Hands a unit out, or holds it while the tracks are not complete.
    fn put(&mut self, unit: Unit, timestamp_ms: u32, out: &mut Vec<Event>) {
        if self.started {
            out.push(self.indexed(unit));
            return;
        }
        if self.held.is_empty() {
            self.first_held_ms = timestamp_ms;
        }
        self.held_bytes += unit.data.len();
        self.held.push_back(unit);
    }

    fn indexed(&self, unit: Unit) -> Event {
        let track = u8::from(unit.medium == Medium::Audio && self.video.is_some());
        Event::Unit { track, dts: unit.dts, offset: unit.offset, entry: unit.entry, data: unit.data }
    }

    fn start_when_ready(&mut self, timestamp_ms: u32, out: &mut Vec<Event>) {
        if self.started || !self.is_ready(timestamp_ms) {
            return;
        }
        self.started = true;
        self.held_bytes = 0;
        out.push(self.tracks());
        for unit in std::mem::take(&mut self.held) {
            out.push(self.indexed(unit));
        }
    }

    /// Whether every track that is to be expected is there, or has been waited for long enough.
    fn is_ready(&self, timestamp_ms: u32) -> bool {
        match (&self.video, &self.audio) {
            (None, None) => return false,
            (Some(_), Some(_)) => return true,
            (Some(_), None) if self.metadata.audio == Some(false) => return true,
            (None, Some(_)) if self.metadata.video == Some(false) => return true,
            _ => {}
        }
        let announced = self.metadata.video == Some(true) && self.metadata.audio == Some(true);
        let patience_ms = if announced { ANNOUNCED_PATIENCE_MS } else { PATIENCE_MS };
        let waited_ms = timestamp_ms.wrapping_sub(self.first_held_ms) as i32;
        let full = self.held.len() >= HELD_UNITS || self.held_bytes >= HELD_BYTES;
        !self.held.is_empty() && (waited_ms >= patience_ms || full)
    }
}

fn time(timestamp_ms: u32, nanos: u32) -> Ticks {
    Ticks::from_millis(i64::from(timestamp_ms)) + Ticks::from_scale(i64::from(nanos), 1_000_000_000)
}

/// A picture in the form of [`crate::media::AccessUnit`].
fn picture(codec: VideoCodec, data: &Bytes, length_size: u8) -> Result<Bytes, Error> {
    match codec {
        VideoCodec::H264 | VideoCodec::Hevc => Ok(nal::relength(data, length_size)?),
        VideoCodec::Av1 | VideoCodec::Other => av1::normalised(data).map_err(Error::TemporalUnit),
    }
}

/// Whether decoding can begin: the bitstream decides, and the sender's word counts only where that leaves it open.
fn is_entry(codec: VideoCodec, key: bool, data: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => match h264::access_unit_is_entry(data) {
            h264::Entry::Idr => true,
            // A gradual refresh has these too, and only the sender knows whether this one begins with an intra picture.
            h264::Entry::RecoveryPoint => key,
            h264::Entry::None => false,
        },
        VideoCodec::Hevc => hevc::access_unit_is_entry(data) != hevc::Entry::None,
        VideoCodec::Av1 | VideoCodec::Other => av1::is_key_frame(data),
    }
}
