//! Streams of private PES packets: AV1 and Opus.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::{Carried, Made, Out, Unit};
use crate::base::{Rate, Ticks};
use crate::media::av1::{self, Av1Config};
use crate::media::bits::unescaped;
use crate::media::nal::annex_b;
use crate::media::opus::{OpusConfig, packet_samples};
use crate::media::{AudioCodec, AudioTrack, Track, VideoCodec, VideoTrack};
use crate::wire::ts::pes::Stamp;

/// A temporal delimiter.
const DELIMITER: &[u8] = &[0x12, 0];

/// AV1, one or more temporal units to a packet: units with sizes, or with start codes (AOM, "Carriage of AV1 in MPEG-2 TS").
#[derive(Debug, Default)]
pub(super) struct Av1Stream {
    track: Option<VideoTrack>,
    carried: Carried,
}

impl Av1Stream {
    pub(super) fn payload(&mut self, payload: &Bytes, mut stamp: Option<Stamp>, out: &mut Out<'_>) {
        let plain = if payload.starts_with(&[0, 0, 1]) || payload.starts_with(&[0, 0, 0, 1]) { started(payload) } else { payload.clone() };
        let Ok(units) = av1::temporal_units(&plain) else {
            out.counters.frame += 1;
            return;
        };
        for data in units {
            let step = self.track.as_ref().and_then(|track| track.rate).unwrap_or(Rate::new(25, 1)).period();
            let Some(Stamp { dts, offset }) = self.carried.time(stamp.take(), step) else {
                out.counters.frame += 1;
                continue;
            };
            let entry = av1::is_key_frame(&data);
            if let Some(config) = Av1Config::from_temporal_unit(&data).filter(|_| entry) {
                self.configure(config.to_bytes(), out);
            }
            if self.track.is_some() {
                out.made.push(Made::Unit(Unit { dts, offset, entry, data }));
            }
        }
    }

    fn configure(&mut self, config: Bytes, out: &mut Out<'_>) {
        let track = VideoTrack { codec: VideoCodec::Av1, other: String::new(), config, width: 0, height: 0, rate: None };
        let track = track.described_by_config();
        if self.track.as_ref() != Some(&track) {
            out.made.push(Made::Track(Track::Video(track.clone())));
            self.track = Some(track);
        }
    }
}

/// Units behind start codes, each with its own size instead.
fn started(payload: &[u8]) -> Bytes {
    let mut plain = BytesMut::with_capacity(payload.len());
    for unit in annex_b(payload) {
        // A delimiter is two bytes of which the second is zero, and looks like a part of the next start code.
        let unit = if obu_kind(unit) == av1::TEMPORAL_DELIMITER { Cow::Borrowed(DELIMITER) } else { unescaped(unit) };
        if let Ok(sized) = av1::with_size(&unit) {
            plain.extend_from_slice(&sized);
        }
    }
    plain.freeze()
}

fn obu_kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header >> 3 & 0x0f)
}

/// Opus, packets behind control headers (the OpusTS draft of Xiph, which ffmpeg and GStreamer follow).
#[derive(Debug)]
pub(super) struct OpusStream {
    carried: Carried,
}

impl OpusStream {
    pub(super) fn new(config: &OpusConfig, out: &mut Out<'_>) -> OpusStream {
        let track = AudioTrack { codec: AudioCodec::Opus, other: String::new(), config: config.to_bytes(), sample_rate: 0, channels: 0 };
        out.made.push(Made::Track(Track::Audio(track.described_by_config())));
        OpusStream { carried: Carried::default() }
    }

    pub(super) fn payload(&mut self, payload: &Bytes, mut stamp: Option<Stamp>, out: &mut Out<'_>) {
        let mut rest = payload.clone();
        while !rest.is_empty() {
            let packet = opus_packet(&mut rest).filter(|packet| !packet.is_empty());
            let samples = packet.as_deref().and_then(packet_samples);
            let (Some(data), Some(samples)) = (packet, samples) else {
                out.counters.frame += 1;
                return;
            };
            match self.carried.time(stamp.take(), Ticks::from_scale(samples.into(), 48_000)) {
                Some(Stamp { dts, offset }) => out.made.push(Made::Unit(Unit { dts, offset, entry: true, data })),
                None => out.counters.frame += 1,
            }
        }
    }
}

/// The packet behind the control header with which `rest` begins; `None` where there is none or it is cut.
fn opus_packet(rest: &mut Bytes) -> Option<Bytes> {
    let &[first, second] = rest.first_chunk::<2>()?;
    if first != 0x7f || second & 0xe0 != 0xe0 {
        return None;
    }
    let (start_trim, end_trim, extension) = (second & 0x10 != 0, second & 0x08 != 0, second & 0x04 != 0);
    let mut at = 2;
    let mut size = 0;
    loop {
        let byte = *rest.get(at)?;
        at += 1;
        size += usize::from(byte);
        if byte != 255 {
            break;
        }
    }
    at += if start_trim { 2 } else { 0 } + if end_trim { 2 } else { 0 };
    if extension {
        at += 1 + usize::from(*rest.get(at)?);
    }
    let end = at.checked_add(size).filter(|&end| end <= rest.len())?;
    let packet = rest.split_to(end).slice(at..);
    Some(packet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::bits::escaped;
    use crate::wire::ts::counters::Counters;

    // Sequence header of ffmpeg's libsvtav1 at 1920x1080, as a unit with its size, and frames: a shown key frame, another.
    const SEQUENCE: &[u8] = b"\x0a\x0b\x00\x00\x00\x42\xab\xbf\xc3\x73\xef\xe4\x01";
    const KEY: &[u8] = &[0x32, 3, 0x10, 0x00, 0x07];
    const INTER: &[u8] = &[0x32, 3, 0x30, 0x00, 0x08];

    fn stamp(ms: i64) -> Option<Stamp> {
        Some(Stamp { dts: Ticks::from_millis(ms), offset: Ticks::ZERO })
    }

    fn words(made: &[Made]) -> Vec<String> {
        let word = |made: &Made| match made {
            Made::Track(track) => track.codec_string(),
            Made::Unit(unit) => format!("{}:{}{}", unit.dts.as_millis(), unit.data.len(), if unit.entry { "!" } else { "" }),
        };
        made.iter().map(word).collect()
    }

    fn av1(payload: &[u8]) -> (Vec<String>, Counters) {
        let (mut made, mut counters) = (Vec::new(), Counters::default());
        let mut stream = Av1Stream::default();
        stream.payload(&Bytes::copy_from_slice(payload), stamp(0), &mut Out { made: &mut made, counters: &mut counters });
        (words(&made), counters)
    }

    #[test]
    fn temporal_units_come_apart_in_both_forms() {
        let units = [DELIMITER, SEQUENCE, KEY, DELIMITER, INTER];
        let expected = ["av01.0.08M.08", "0:18!", "40:5"];
        assert_eq!(av1(&units.concat()).0, expected);
        let started: Vec<u8> = units.iter().flat_map(|unit| [&[0, 0, 1][..], &escaped(unit)].concat()).collect();
        assert_eq!(av1(&started).0, expected);
        assert_eq!(av1(&[0x32, 200, 1]).1.frame, 1);
    }

    #[test]
    fn opus_packets_lose_their_control_headers() {
        let (mut made, mut counters) = (Vec::new(), Counters::default());
        let config = OpusConfig { channels: 2, pre_skip: 0, input_rate: 48_000, gain: 0, family: 0, mapping: None };
        let mut out = Out { made: &mut made, counters: &mut counters };
        let mut stream = OpusStream::new(&config, &mut out);
        let long = [&[0x7f, 0xe0, 255, 5, 0xfc][..], &[0; 259]].concat();
        let trimmed = [0x7f, 0xfc, 2, 0, 9, 0, 9, 1, 0xaa, 0xfc, 7];
        stream.payload(&[&long[..], &trimmed].concat().into(), stamp(100), &mut out);
        stream.payload(&Bytes::from_static(&[0x7f, 0xe0, 9, 0xfc]), stamp(100), &mut out);
        assert_eq!(words(&made), ["opus", "100:260!", "120:2!"]);
        assert_eq!(counters.frame, 1, "one is cut");
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..80)) {
            av1(&data);
            av1(&[&[0, 0, 1][..], &data].concat());
            let mut rest = Bytes::from([&[0x7f, 0xff][..], &data].concat());
            while opus_packet(&mut rest).is_some() {}
        }
    }
}
