//! Segments: `styp` and one movie fragment per GOP.
//!
//! Each IDR is the first sample of its fragment, so that `moof`, the head of `mdat` and the IDR are one byte range
//! that the I-frame playlist can name.

use bytes::Bytes;
use mp4_atom::{BufMut, Encode, Mfhd, Styp, Tfdt, Tfhd};

use crate::base::{MediaTime, Ticks};
use crate::media::Packet;
use crate::pack::error::PackError;
use crate::pack::presentation::SegmentSet;
use crate::pack::window::{IFrame, Made};

/// Sample flags (ISO/IEC 14496-12 8.8.3.1): depends on nothing, a sync sample.
const SYNC: u32 = 0x0200_0000;
/// Sample flags: depends on others, not a sync sample.
const NON_SYNC: u32 = 0x0101_0000;

/// Writes the segments of one track.
#[derive(Debug)]
pub struct Fragmenter {
    timescale: u32,
    video: bool,
    sequence: u32,
}

#[derive(Clone, Copy)]
struct Sample {
    duration: u32,
    size: u32,
    offset: i32,
}

impl Fragmenter {
    /// For a track with this timescale.
    pub fn new(timescale: u32, video: bool) -> Fragmenter {
        Fragmenter { timescale, video, sequence: 0 }
    }

    /// The timescale.
    pub fn timescale(&self) -> u32 {
        self.timescale
    }

    /// One segment file. `packets` is not empty and its times have been checked.
    pub fn segment(&mut self, set: &SegmentSet, packets: &[Packet]) -> Result<(Bytes, Made), mp4_atom::Error> {
        let samples = self.samples(packets, set.start + set.duration);
        let payload: usize = packets.iter().map(|packet| packet.data.len()).sum();
        let fragments = if self.video { packets.iter().filter(|packet| packet.key).count() } else { 1 };
        let mut out = Vec::with_capacity(payload + 32 + fragments * 128 + packets.len() * 16);
        styp().encode(&mut out)?;
        let mut decode_time = packets.first().map_or(0, |packet| packet.dts.in_scale(self.timescale));
        let mut made = self.made(set, packets, &samples);
        let mut rest = (packets, samples.as_slice());
        while !rest.0.is_empty() {
            let length = self.fragment_length(rest.0);
            let (gop, later) = rest.0.split_at(length);
            let (gop_samples, later_samples) = rest.1.split_at(length);
            let offset = out.len();
            let first_end = self.fragment(&mut out, decode_time, gop, gop_samples)?;
            if let (true, Some(first)) = (self.video, gop.first()) {
                let end = later.first().map_or(set.start + set.duration, |next| next.pts);
                made.iframes.push(IFrame {
                    offset: offset as u64,
                    length: (first_end - offset) as u64,
                    start: first.pts,
                    duration: Ticks((end - first.pts).0.max(0)),
                });
            }
            decode_time += gop_samples.iter().map(|sample| i64::from(sample.duration)).sum::<i64>();
            rest = (later, later_samples);
        }
        made.bytes = out.len() as u64;
        Ok((Bytes::from(out), made))
    }

    /// Durations are differences of rounded instants and never rounded themselves, so that they cannot drift from the decode times.
    fn samples(&self, packets: &[Packet], end: MediaTime) -> Vec<Sample> {
        let scaled = |time: MediaTime| time.in_scale(self.timescale);
        let last_end = |packet: &Packet| match self.video && end > packet.dts {
            true => end,
            false => packet.dts + Ticks(packet.duration.0.max(0)),
        };
        let ends = packets.iter().skip(1).map(|next| next.dts).chain(packets.last().map(last_end));
        let sample = |(packet, end): (&Packet, MediaTime)| Sample {
            duration: u32::try_from((scaled(end) - scaled(packet.dts)).max(0)).unwrap_or(u32::MAX),
            size: packet.data.len() as u32,
            offset: (scaled(packet.pts) - scaled(packet.dts)).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32,
        };
        packets.iter().zip(ends).map(sample).collect()
    }

    fn made(&self, set: &SegmentSet, packets: &[Packet], samples: &[Sample]) -> Made {
        let scaled_duration = samples.iter().map(|sample| i64::from(sample.duration)).sum();
        let first = packets.first().map_or(set.start, |packet| packet.dts);
        let (start, duration) = match self.video {
            true => (set.start, set.duration),
            false => (first, Ticks::from_scale(scaled_duration, self.timescale)),
        };
        Made { start, duration, scaled_start: first.in_scale(self.timescale), scaled_duration, bytes: 0, iframes: Vec::new() }
    }

    fn fragment_length(&self, packets: &[Packet]) -> usize {
        match self.video {
            true => packets.iter().skip(1).position(|packet| packet.key).map_or(packets.len(), |next| next + 1),
            false => packets.len(),
        }
    }

    /// Writes `moof` and `mdat`; where the first sample ends in the file.
    fn fragment(&mut self, out: &mut Vec<u8>, decode_time: i64, packets: &[Packet], samples: &[Sample]) -> Result<usize, mp4_atom::Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let moof = out.len();
        let mut data_offset = 0;
        out.encode_atom(b"moof", |out| {
            Mfhd { sequence_number: self.sequence }.encode(out)?;
            out.encode_atom(b"traf", |out| {
                let duration = common_duration(samples);
                Tfhd {
                    track_id: 1,
                    default_sample_duration: duration,
                    default_sample_flags: Some(if self.video { NON_SYNC } else { SYNC }),
                    default_base_is_moof: true,
                    ..Tfhd::default()
                }
                .encode(out)?;
                Tfdt { base_media_decode_time: decode_time.max(0) as u64 }.encode(out)?;
                data_offset = self.run(out, samples, duration.is_none())?;
                Ok(())
            })
        })?;
        let data_at = out.len() - moof + 8;
        out.set_slice(data_offset, &(data_at as u32).to_be_bytes());
        let size: usize = packets.iter().map(|packet| packet.data.len()).sum();
        out.extend_from_slice(&(size as u32 + 8).to_be_bytes());
        out.extend_from_slice(b"mdat");
        let first_end = out.len() + packets.first().map_or(0, |packet| packet.data.len());
        packets.iter().for_each(|packet| out.extend_from_slice(&packet.data));
        Ok(first_end)
    }

    /// Writes `trun` (version 1: signed offsets) with only the fields that differ between samples; where its data offset stands.
    fn run(&self, out: &mut Vec<u8>, samples: &[Sample], with_duration: bool) -> Result<usize, mp4_atom::Error> {
        let with_offset = samples.iter().any(|sample| sample.offset != 0);
        let mut flags = 0x0100_0201u32;
        flags |= if self.video { 0x4 } else { 0 };
        flags |= if with_duration { 0x100 } else { 0 };
        flags |= if with_offset { 0x800 } else { 0 };
        let mut data_offset = 0;
        out.encode_atom(b"trun", |out| {
            out.extend_from_slice(&flags.to_be_bytes());
            out.extend_from_slice(&(samples.len() as u32).to_be_bytes());
            data_offset = out.len();
            out.extend_from_slice(&[0; 4]);
            if self.video {
                out.extend_from_slice(&SYNC.to_be_bytes());
            }
            for sample in samples {
                if with_duration {
                    out.extend_from_slice(&sample.duration.to_be_bytes());
                }
                out.extend_from_slice(&sample.size.to_be_bytes());
                if with_offset {
                    out.extend_from_slice(&sample.offset.to_be_bytes());
                }
            }
            Ok(())
        })?;
        Ok(data_offset)
    }
}

fn common_duration(samples: &[Sample]) -> Option<u32> {
    let first = samples.first()?.duration;
    samples.iter().all(|sample| sample.duration == first).then_some(first)
}

fn styp() -> Styp {
    Styp { major_brand: b"msdh".into(), minor_version: 0, compatible_brands: vec![b"msdh".into(), b"cmfs".into(), b"iso6".into()] }
}

/// The largest GOP that a fragment holds: the size of a box has 32 bits.
const LARGEST_PAYLOAD: u64 = 0xfff0_0000;

/// Refuses packets that a fragment cannot hold.
pub fn check_size(number: u64, name: &str, packets: &[Packet]) -> Result<(), PackError> {
    let bytes: u64 = packets.iter().map(|packet| packet.data.len() as u64).sum();
    match bytes > LARGEST_PAYLOAD {
        true => Err(PackError::Size { number, name: name.into(), bytes }),
        false => Ok(()),
    }
}
