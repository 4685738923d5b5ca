//! Renditions and segments made of numbers: nothing decodes, everything can be told apart.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::{MediaTime, Rate, Ticks};
use crate::media::{AudioCodec, AudioTrack, Packet, Track, VideoCodec, VideoTrack};
use crate::pack::{Change, OutputTrack, PackError, Packager, Presentation, SegmentSet, Window};

/// An avcC with real parameter sets of 1280x720, High, level 3.1.
pub const AVCC: &[u8] = &[
    1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 0x1a, 0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 1, 0x10, 0, 0, 0x03, 0, 0x10, 0, 0,
    0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60, 1, 0, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0,
];

pub fn video(name: &str, width: u32, height: u32, rate: Rate) -> OutputTrack {
    let codec = VideoCodec::H264;
    let config = Bytes::from_static(AVCC);
    let track = VideoTrack { codec, other: String::new(), config, width, height, rate: Some(rate) };
    OutputTrack {
        name: name.into(),
        track: Track::Video(track),
        bitrate_bps: 400_000,
        peak_bps: 430_000,
        rate: Some(rate),
        reorder: Ticks(rate.period().0 * 2),
    }
}

pub fn audio(name: &str) -> OutputTrack {
    let config = Bytes::from_static(&[0x11, 0x90]);
    let track = AudioTrack { codec: AudioCodec::Aac, other: String::new(), config, sample_rate: 48_000, channels: 2 };
    OutputTrack { name: name.into(), track: Track::Audio(track), bitrate_bps: 64_000, peak_bps: 70_000, rate: None, reorder: Ticks::ZERO }
}

pub fn presentation(window: Window, rate: Rate) -> Presentation {
    Presentation {
        channel: "demo".into(),
        tracks: vec![video("720p", 1280, 720, rate), video("360p", 640, 360, rate), audio("audio")],
        segment: Ticks(rate.period().0 * slots(rate, 6)),
        window,
        cmaf: true,
        ts: true,
    }
}

/// Whole pictures in about so many seconds.
pub fn slots(rate: Rate, seconds: i64) -> i64 {
    seconds * (f64::from(rate.numerator) / f64::from(rate.denominator)).round() as i64
}

/// A source of segments: GOPs of two seconds, two B-pictures between references, 48 kHz AAC frames.
pub struct Source {
    pub tracks: Vec<OutputTrack>,
    pub rate: Rate,
    pub slot: i64,
    pub number: u64,
    pub segment_slots: i64,
    pub gop_slots: i64,
    seed: u32,
}

impl Source {
    pub fn new(presentation: &Presentation, rate: Rate, begin_s: i64, number: u64) -> Source {
        let slot = MediaTime::from_scale(begin_s, 1).0 / rate.period().0;
        let tracks = presentation.tracks.clone();
        Source { tracks, rate, slot, number, segment_slots: slots(rate, 6), gop_slots: slots(rate, 2), seed: 1 }
    }

    fn random(&mut self, below: u32) -> u32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 8) % below
    }

    fn at(&self, slot: i64) -> MediaTime {
        MediaTime(slot * self.rate.period().0)
    }

    /// The next segment.
    pub fn segment(&mut self) -> SegmentSet {
        let (first, end) = (self.slot, self.slot + self.segment_slots);
        let mut packets = Vec::new();
        for (rung, track) in self.tracks.clone().iter().enumerate() {
            packets.push(Some(match track.track {
                Track::Video(_) => self.pictures(rung as u8, first, end),
                Track::Audio(_) => self.sounds(rung as u8, self.at(first), self.at(end)),
            }));
        }
        let set = SegmentSet {
            number: self.number,
            start: self.at(first),
            duration: self.at(end) - self.at(first),
            discontinuity: false,
            packets,
        };
        self.slot = end;
        self.number += 1;
        set
    }

    fn pictures(&mut self, rung: u8, first: i64, end: i64) -> Vec<Packet> {
        let mut out = Vec::new();
        for gop in (first..end).step_by(self.gop_slots as usize) {
            let length = self.gop_slots.min(end - gop);
            for (place, shown) in decode_order(length).into_iter().enumerate() {
                let key = place == 0;
                let size = if key { 4000 } else { 300 + self.random(1500) } as usize;
                out.push(Packet {
                    rung,
                    pts: self.at(gop + shown),
                    dts: self.at(gop + place as i64),
                    duration: self.rate.period(),
                    key,
                    data: unit(if key { 0x65 } else { 0x41 }, size, self.random(u32::MAX)),
                });
            }
        }
        out
    }

    fn sounds(&mut self, rung: u8, start: MediaTime, end: MediaTime) -> Vec<Packet> {
        let frame = Ticks::from_scale(1024, 48_000).0;
        let numbers = (start.0 + frame - 1).div_euclid(frame)..(end.0 + frame - 1).div_euclid(frame);
        let mut sound = |number: i64| {
            let size = 120 + self.random(80) as usize;
            let time = MediaTime(number * frame);
            let data = noise(size, self.random(u32::MAX));
            Packet { rung, pts: time, dts: time, duration: Ticks(frame), key: true, data }
        };
        numbers.map(&mut sound).collect()
    }
}

/// A segment's pictures with every other one left out, from the middle on: times of which an encoder knows that does not reorder.
pub fn halved(packets: &[Packet]) -> Vec<Packet> {
    let middle = packets[packets.len() / 2].dts;
    let mut shown: Vec<Packet> = packets.iter().map(|packet| Packet { dts: packet.pts, ..packet.clone() }).collect();
    shown.sort_by_key(|packet| packet.pts);
    let mut since_key = 0;
    shown.retain(|packet| {
        since_key = if packet.key { 0 } else { since_key + 1 };
        packet.dts < middle || since_key % 2 == 0
    });
    for index in 1..shown.len() {
        shown[index - 1].duration = shown[index].dts - shown[index - 1].dts;
    }
    shown
}

/// I P B B P B B ...: the place in showing order of each picture in decode order.
pub fn decode_order(length: i64) -> Vec<i64> {
    let mut order = vec![0];
    let mut shown = 1;
    while shown < length {
        let reference = (shown + 2).min(length - 1);
        order.push(reference);
        order.extend(shown..reference);
        shown = reference + 1;
    }
    order
}

/// One NAL unit with its length in front. No byte of the payload is zero, so that it holds no start code.
pub fn unit(kind: u8, size: usize, seed: u32) -> Bytes {
    let mut out = (size as u32 + 1).to_be_bytes().to_vec();
    out.push(kind);
    out.extend_from_slice(&noise(size, seed));
    out.into()
}

/// Bytes without zeros and without 0xff, which begins ADTS headers.
pub fn noise(size: usize, seed: u32) -> Bytes {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        (state >> 16) as u8 % 254 + 1
    };
    (0..size).map(|_| next()).collect::<Vec<u8>>().into()
}

/// The files as a directory would hold them, and checks that hold for every batch of changes.
#[derive(Default)]
pub struct Shelf {
    pub files: BTreeMap<String, Bytes>,
    pub removed: Vec<String>,
}

impl Shelf {
    pub fn apply(&mut self, changes: Vec<Change>) {
        let mut removing = false;
        for change in changes {
            match change {
                Change::Put { path, body, .. } => {
                    assert!(!removing, "{path} is written after a removal");
                    self.files.insert(path, body);
                }
                Change::Remove { path } => {
                    removing = true;
                    assert!(self.files.remove(&path).is_some(), "{path} is removed and was not there");
                    self.removed.push(path);
                }
            }
        }
    }

    pub fn text(&self, path: &str) -> &str {
        std::str::from_utf8(self.files.get(path).unwrap_or_else(|| panic!("{path} is not there"))).unwrap()
    }

    pub fn bytes(&self, path: &str) -> &[u8] {
        self.files.get(path).unwrap_or_else(|| panic!("{path} is not there"))
    }
}

/// Pushes `count` segments.
pub fn run(packager: &mut Packager, source: &mut Source, shelf: &mut Shelf, count: usize) -> Result<(), PackError> {
    for _ in 0..count {
        shelf.apply(packager.push(source.segment())?);
    }
    Ok(())
}
