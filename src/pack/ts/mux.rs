//! One rung's transport stream: pictures and sound interleaved by time, tables and clock references on the way.

use bytes::Bytes;

use super::elementary::VideoStream;
use super::pes::{AUDIO_STREAM, Adaptation, Chain, PesHeader, VIDEO_STREAM, next_count, transport_packet};
use super::psi::{AUDIO_PID, Tables, TransportPacket, VIDEO_PID};
use super::{clock, timestamp};
use crate::base::{MediaTime, Ticks};
use crate::media::Packet;
use crate::media::aac::{AacConfig, adts_header};
use crate::pack::presentation::SegmentSet;
use crate::pack::window::{IFrame, Made};

/// Clock references are at most this far apart (ISO/IEC 13818-1 asks for 100 ms, ETSI TS 101 154 for 40 ms).
const CLOCK_EVERY: Ticks = Ticks::from_millis(40);
/// Tables are repeated at least this often.
const TABLES_EVERY: Ticks = Ticks::from_millis(100);
/// Sound of this length shares a PES packet, which saves stuffing.
const SOUND_TOGETHER: Ticks = Ticks::from_millis(64);

/// Continuity counters, which run on over segments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    pat: u8,
    pmt: u8,
    video: u8,
    audio: u8,
    version: u8,
}

/// Writes the segments of one rung.
#[derive(Debug)]
pub struct Mux {
    video: VideoStream,
    audio: Option<AacConfig>,
    reorder: Ticks,
    tables: Tables,
    counters: Counters,
    malformed: u64,
}

/// A segment being written.
struct Writer<'a> {
    out: Vec<u8>,
    video: &'a VideoStream,
    audio: Option<&'a AacConfig>,
    tables: &'a Tables,
    counters: &'a mut Counters,
    reorder: Ticks,
    tables_at: Option<MediaTime>,
    discontinuity: bool,
    malformed: u64,
}

impl Mux {
    /// A stream with this video and, muxed in, this audio. Decode times are shifted back by `reorder`.
    ///
    /// `before` are the counters of the stream that it takes over from.
    pub fn new(video: VideoStream, audio: Option<AacConfig>, reorder: Ticks, before: Option<Counters>) -> Mux {
        let counters = before.map_or_else(Counters::default, |before| Counters { version: (before.version + 1) & 0x1f, ..before });
        let tables = Tables::new(video.stream_type(), audio.is_some(), counters.version);
        Mux { video, audio, reorder: Ticks(reorder.0.max(0)), tables, counters, malformed: 0 }
    }

    /// Where the counters stand.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Packets so far whose NAL unit lengths did not add up.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// One segment file. `video` is not empty and its times have been checked.
    pub fn segment(&mut self, set: &SegmentSet, discontinuity: bool, video: &[Packet], audio: &[Packet]) -> (Bytes, Made) {
        let audio = if self.audio.is_some() { audio } else { &[] };
        let out = Vec::with_capacity(estimated_size(set, video, audio));
        let mut iframes = Vec::new();
        let mut writer = self.writer(out, discontinuity);
        let mut sound = audio;
        for (index, packet) in video.iter().enumerate() {
            let next = video.get(index + 1).map_or(set.start + set.duration, |next| next.dts);
            sound = writer.sound_before(sound, packet.dts - writer.reorder);
            let offset = writer.picture(packet, Ticks((next - packet.dts).0.max(0)));
            if packet.key {
                let length = (writer.out.len() - offset) as u64;
                iframes.push(IFrame { offset: offset as u64, length, start: packet.pts, duration: Ticks::ZERO });
            }
        }
        writer.sound_before(sound, MediaTime(i64::MAX));
        let (out, malformed) = (writer.out, writer.malformed);
        self.malformed += malformed;
        close_gops(&mut iframes, set.start + set.duration);
        let made = Made {
            start: set.start,
            duration: set.duration,
            scaled_start: set.start.in_scale(super::TIMESTAMP_SCALE),
            scaled_duration: set.duration.in_scale(super::TIMESTAMP_SCALE),
            bytes: out.len() as u64,
            iframes,
        };
        (Bytes::from(out), made)
    }

    fn writer(&mut self, out: Vec<u8>, discontinuity: bool) -> Writer<'_> {
        Writer {
            out,
            video: &self.video,
            audio: self.audio.as_ref(),
            tables: &self.tables,
            counters: &mut self.counters,
            reorder: self.reorder,
            tables_at: None,
            discontinuity,
            malformed: 0,
        }
    }
}

fn close_gops(iframes: &mut [IFrame], end: MediaTime) {
    let mut next = end;
    for iframe in iframes.iter_mut().rev() {
        iframe.duration = Ticks((next - iframe.start).0.max(0));
        next = iframe.start;
    }
}

/// An upper bound for ordinary segments: payload in packets of 184 bytes, a packet to begin and one to end each PES
/// packet, tables and clock references.
fn estimated_size(set: &SegmentSet, video: &[Packet], audio: &[Packet]) -> usize {
    let packets = |packet: &Packet| packet.data.len() / 184 + 2;
    let pictures: usize = video.iter().map(packets).sum();
    let sounds: usize = audio.iter().map(|packet| packet.data.len() + 7).sum::<usize>() / 184 + audio.len();
    let ticks = usize::try_from(set.duration.0 / CLOCK_EVERY.0 + 2).unwrap_or(0).min(100_000);
    (pictures + sounds + 2 * ticks) * 188
}

impl Writer<'_> {
    /// Writes a picture that stays for `length`; where its tables or, without tables, its first packet begin.
    fn picture(&mut self, packet: &Packet, length: Ticks) -> usize {
        let shifted = packet.dts - self.reorder;
        let dts = shifted.min(packet.pts);
        let header = PesHeader::new(VIDEO_STREAM, timestamp(packet.pts), timestamp(dts), 0);
        let mut pieces = vec![header.as_slice()];
        if self.video.pieces(&packet.data, packet.key, &mut pieces).is_err() {
            self.malformed += 1;
        }
        let mut chain = Chain::new(pieces);
        let whole = chain.remaining();
        let ticks = (length.0 + CLOCK_EVERY.0 - 1).div_euclid(CLOCK_EVERY.0).max(1);
        let spacing = Ticks(length.0 / ticks);
        let begin = self.out.len();
        self.tables_if_due(shifted, spacing, packet.key);
        let mut tick = 0;
        while chain.remaining() > 0 || tick < ticks {
            let sent = whole - chain.remaining();
            let due = tick < ticks && sent as u128 * ticks as u128 >= whole as u128 * tick as u128;
            let mut adaptation = Adaptation::default();
            if due {
                let now = shifted + Ticks(spacing.0 * tick);
                if tick > 0 {
                    self.tables_if_due(now, spacing, false);
                }
                adaptation.clock = Some(clock(now));
                adaptation.discontinuity = std::mem::take(&mut self.discontinuity);
                tick += 1;
            }
            adaptation.random_access = sent == 0 && packet.key;
            transport_packet(&mut self.out, VIDEO_PID, &mut self.counters.video, sent == 0, adaptation, &mut chain);
        }
        begin
    }

    /// Writes the tables if asked to or if they would otherwise be late at the end of `length`.
    fn tables_if_due(&mut self, now: MediaTime, length: Ticks, always: bool) {
        if always || self.tables_at.is_none_or(|at| now + length - at > TABLES_EVERY) {
            self.tables_at = Some(now);
            table(&mut self.out, &self.tables.pat, &mut self.counters.pat);
            table(&mut self.out, &self.tables.pmt, &mut self.counters.pmt);
        }
    }

    /// Writes the sound that is heard before `until`; what is left.
    fn sound_before<'p>(&mut self, mut sound: &'p [Packet], until: MediaTime) -> &'p [Packet] {
        let Some(config) = self.audio else { return sound };
        while let Some(first) = sound.first().filter(|first| first.pts < until) {
            let together = sound.iter().take_while(|packet| packet.pts - first.pts < SOUND_TOGETHER).count().max(1);
            let (now, later) = sound.split_at(together.min(sound.len()));
            self.sound(config, now);
            sound = later;
        }
        sound
    }

    fn sound(&mut self, config: &AacConfig, packets: &[Packet]) {
        let framed = |packet: &Packet| Some((adts_header(config, packet.data.len())?, packet.data.clone()));
        let frames: Vec<([u8; 7], Bytes)> = packets.iter().filter_map(framed).collect();
        let payload: usize = frames.iter().map(|(header, data)| header.len() + data.len()).sum();
        let Some(first) = packets.first().filter(|_| payload > 0) else { return };
        let time = timestamp(first.pts);
        let header = PesHeader::new(AUDIO_STREAM, time, time, payload);
        let mut pieces = vec![header.as_slice()];
        pieces.extend(frames.iter().flat_map(|(header, data)| [header.as_slice(), data.as_ref()]));
        let mut chain = Chain::new(pieces);
        let mut start = true;
        while chain.remaining() > 0 {
            let adaptation = Adaptation { random_access: start, ..Adaptation::default() };
            transport_packet(&mut self.out, AUDIO_PID, &mut self.counters.audio, start, adaptation, &mut chain);
            start = false;
        }
    }
}

fn table(out: &mut Vec<u8>, packet: &TransportPacket, counter: &mut u8) {
    let at = out.len() + 3;
    out.extend_from_slice(packet);
    if let Some(control) = out.get_mut(at) {
        *control |= next_count(counter, true);
    }
}
