use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::base::{Fault, Rate, Ticks};
use crate::media::{AudioCodec, Track, VideoCodec};
use crate::wire::rtmp::amf0::{Value, encode, object};

// Records of ffmpeg's encoders at 1920x1080 and 30000/1001, of its aac encoder at 48 kHz and of libopus.
const AVCC: &[u8] = b"\x01\x64\x00\x28\xff\xe1\x00\x19\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\x00";
const AV1C: &[u8] = b"\x81\x08\x0c\x00\x0a\x0b\x00\x00\x00\x42\xab\xbf\xc3\x73\xef\xe4\x01";
const ASC: &[u8] = b"\x11\x90\x56\xe5\x00";
const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";

const IDR: &[u8] = &[0, 0, 0, 2, 0x65, 0x88];
const INTER: &[u8] = &[0, 0, 0, 2, 0x41, 0x9a];

fn bytes(parts: &[&[u8]]) -> Bytes {
    Bytes::from(parts.concat())
}

fn avc_header() -> Bytes {
    bytes(&[&[0x17, 0, 0, 0, 0], AVCC])
}

fn avc_picture(key: bool, data: &[u8]) -> Bytes {
    bytes(&[&[if key { 0x17 } else { 0x27 }, 1, 0, 0, 80], data])
}

fn aac_header() -> Bytes {
    bytes(&[&[0xaf, 0], ASC])
}

fn aac_frame() -> Bytes {
    bytes(&[&[0xaf, 1, 0x21, 0x10]])
}

/// A demuxer with what came out of it.
#[derive(Default)]
struct Bench {
    demuxer: Demuxer,
    events: Vec<Event>,
}

impl Bench {
    fn video(&mut self, ms: u32, body: Bytes) -> Result<(), Error> {
        self.demuxer.receive(Kind::Video, ms, body, &mut self.events)
    }

    fn audio(&mut self, ms: u32, body: Bytes) -> Result<(), Error> {
        self.demuxer.receive(Kind::Audio, ms, body, &mut self.events)
    }

    fn metadata(&mut self, properties: Value) {
        let mut body = BytesMut::new();
        encode(&"onMetaData".into(), &mut body);
        encode(&properties, &mut body);
        self.demuxer.receive(Kind::Script, 0, body.freeze(), &mut self.events).unwrap();
    }

    /// Both tracks are there and told.
    fn started() -> Bench {
        let mut bench = Bench::default();
        bench.video(0, avc_header()).unwrap();
        bench.audio(0, aac_header()).unwrap();
        assert_eq!(bench.take_shape(), ["H264 1920x1080 Aac 48000/2"]);
        bench
    }

    /// Tracks as words, units as `track@ms+offset`, entries with an exclamation mark.
    fn take_shape(&mut self) -> Vec<String> {
        self.events.drain(..).map(|event| shape(&event)).collect()
    }
}

fn shape(event: &Event) -> String {
    match event {
        Event::Tracks(tracks) => {
            let names = tracks.iter().map(|track| match track {
                Track::Video(track) => format!("{:?} {}x{}", track.codec, track.width, track.height),
                Track::Audio(track) => format!("{:?} {}/{}", track.codec, track.sample_rate, track.channels),
            });
            names.collect::<Vec<_>>().join(" ")
        }
        Event::Unit { track, dts, offset, entry, .. } => {
            format!("{track}@{}+{}{}", dts.as_millis(), offset.as_millis(), if *entry { "!" } else { "" })
        }
    }
}

#[test]
fn tracks_are_told_once_with_video_first_and_held_media_follows() {
    let mut bench = Bench::default();
    bench.audio(0, aac_header()).unwrap();
    bench.audio(10, aac_frame()).unwrap();
    assert!(bench.events.is_empty());
    bench.video(12, avc_header()).unwrap();
    bench.video(40, avc_picture(true, IDR)).unwrap();
    bench.video(80, avc_picture(false, INTER)).unwrap();
    assert_eq!(bench.take_shape(), ["H264 1920x1080 Aac 48000/2", "1@10+0!", "0@40+80!", "0@80+80"]);
}

#[test]
fn video_alone_starts_after_a_second_of_media() {
    let mut bench = Bench::default();
    bench.video(0, avc_header()).unwrap();
    bench.video(u32::MAX - 99, avc_picture(true, IDR)).unwrap();
    bench.video(899, avc_picture(false, INTER)).unwrap();
    assert!(bench.events.is_empty());
    bench.video(900, avc_picture(false, INTER)).unwrap();
    assert_eq!(bench.take_shape(), ["H264 1920x1080", "0@4294967196+80!", "0@899+80", "0@900+80"]);
}

#[test]
fn metadata_that_names_one_codec_saves_the_wait() {
    let mut bench = Bench::default();
    bench.metadata(object([("videocodecid", 7.0.into())]));
    bench.video(0, avc_header()).unwrap();
    assert_eq!(bench.take_shape(), ["H264 1920x1080"]);
    let mut bench = Bench::default();
    bench.metadata(object([("hasAudio", Value::Boolean(true)), ("hasVideo", Value::Boolean(false))]));
    bench.audio(0, aac_header()).unwrap();
    assert_eq!(bench.take_shape(), ["Aac 48000/2"]);
}

#[test]
fn an_announced_track_that_never_comes_is_waited_for_three_seconds() {
    let mut bench = Bench::default();
    bench.metadata(object([("videocodecid", 7.0.into()), ("audiocodecid", 10.0.into())]));
    bench.video(0, avc_header()).unwrap();
    for ms in [0, 2000, 2999] {
        bench.video(ms, avc_picture(true, IDR)).unwrap();
    }
    assert!(bench.events.is_empty());
    bench.video(3000, avc_picture(true, IDR)).unwrap();
    assert_eq!(bench.events.len(), 5);
}

#[test]
fn timestamps_that_stand_still_do_not_hold_media_for_ever() {
    let mut bench = Bench::default();
    bench.video(0, avc_header()).unwrap();
    for _ in 0..511 {
        bench.video(7, avc_picture(true, IDR)).unwrap();
    }
    assert!(bench.events.is_empty());
    bench.video(7, avc_picture(true, IDR)).unwrap();
    assert_eq!(bench.events.len(), 513);
}

#[test]
fn a_track_that_joins_late_is_told_and_moves_audio_behind_video() {
    let mut bench = Bench::default();
    bench.audio(0, aac_header()).unwrap();
    bench.audio(0, aac_frame()).unwrap();
    bench.audio(1000, aac_frame()).unwrap();
    bench.video(1010, avc_header()).unwrap();
    bench.audio(1020, aac_frame()).unwrap();
    assert_eq!(bench.take_shape(), ["Aac 48000/2", "0@0+0!", "0@1000+0!", "H264 1920x1080 Aac 48000/2", "1@1020+0!"]);
}

#[test]
fn a_repeated_sequence_header_is_no_change_and_another_one_is() {
    let mut bench = Bench::started();
    bench.video(40, avc_header()).unwrap();
    bench.audio(40, aac_header()).unwrap();
    assert_eq!(bench.take_shape(), [""; 0]);
    bench.audio(50, bytes(&[&[0xaf, 0, 0x12, 0x08]])).unwrap();
    assert_eq!(bench.take_shape(), ["H264 1920x1080 Aac 44100/1"]);
}

#[test]
fn metadata_between_two_equal_sequence_headers_changes_nothing() {
    let mut bench = Bench::default();
    let header = bytes(&[&[0x90], b"av01", AV1C]);
    bench.video(0, header.clone()).unwrap();
    bench.audio(0, aac_header()).unwrap();
    bench.take_shape();
    bench.metadata(object([("framerate", 30.0.into())]));
    bench.video(40, header).unwrap();
    assert_eq!(bench.take_shape(), [""; 0]);
}

#[test]
fn a_sequence_header_that_lies_costs_itself_only() {
    let mut bench = Bench::started();
    for lie in [&AVCC[..20], &[], &[9; 40], &[1, 100, 0, 40, 0xff, 0xe0, 0]] {
        let refusal = bench.video(10, bytes(&[&[0x17, 0, 0, 0, 0], lie])).unwrap_err();
        assert_eq!(refusal.fault(), Fault::Corrupt);
    }
    bench.video(40, avc_picture(true, IDR)).unwrap();
    assert_eq!(bench.take_shape(), ["0@40+80!"]);
}

#[test]
fn garbage_nal_lengths_cost_one_picture() {
    let mut bench = Bench::started();
    let refusal = bench.video(0, avc_picture(true, &[0xff, 0, 0, 2, 0x65, 0x88])).unwrap_err();
    assert!(matches!(refusal, Error::Picture(_)), "{refusal}");
    bench.video(40, avc_picture(false, INTER)).unwrap();
    assert_eq!(bench.take_shape(), ["0@40+80"]);
}

#[test]
fn media_before_its_configuration_is_an_error_that_passes() {
    let mut bench = Bench::default();
    assert_eq!(bench.video(0, avc_picture(true, IDR)), Err(Error::NoConfiguration("picture")));
    assert_eq!(bench.audio(0, aac_frame()), Err(Error::NoConfiguration("audio frame")));
    bench.video(0, avc_header()).unwrap();
    bench.audio(0, aac_header()).unwrap();
    assert_eq!(bench.events.len(), 1);
}

#[test]
fn two_byte_nal_lengths_become_four_and_the_configuration_says_so() {
    let mut short = AVCC.to_vec();
    short[4] = 0xfd;
    let mut bench = Bench::default();
    bench.video(0, bytes(&[&[0x17, 0, 0, 0, 0], &short])).unwrap();
    bench.audio(0, aac_header()).unwrap();
    bench.video(0, avc_picture(true, &[0, 2, 0x65, 0x88])).unwrap();
    let [Event::Tracks(tracks), Event::Unit { data, entry: true, .. }] = &bench.events[..] else { panic!("{:?}", bench.events) };
    assert_eq!(tracks[0].video().unwrap().config, AVCC);
    assert_eq!(data, IDR);
}

#[test]
fn a_keyframe_without_an_idr_is_no_entry() {
    let mut bench = Bench::started();
    bench.video(0, avc_picture(true, INTER)).unwrap();
    bench.video(0, avc_picture(false, IDR)).unwrap();
    assert_eq!(bench.take_shape(), ["0@0+80", "0@0+80!"]);
}

#[test]
fn a_negative_composition_time_is_negative() {
    let mut bench = Bench::started();
    bench.video(100, bytes(&[&[0x27, 1, 0xff, 0xff, 0xd8], INTER])).unwrap();
    assert_eq!(bench.take_shape(), ["0@100+-40"]);
}

#[test]
fn enhanced_avc_has_composition_times_in_one_packet_type_only() {
    let mut bench = Bench::default();
    bench.video(0, bytes(&[&[0x90], b"avc1", AVCC])).unwrap();
    bench.audio(0, aac_header()).unwrap();
    bench.video(40, bytes(&[&[0x91], b"avc1", &[0, 0, 80], IDR])).unwrap();
    bench.video(80, bytes(&[&[0xa3], b"avc1", INTER])).unwrap();
    bench.video(90, bytes(&[&[0x92], b"avc1"])).unwrap();
    bench.video(90, bytes(&[&[0x94], b"avc1", &[2, 0, 0]])).unwrap();
    assert_eq!(bench.take_shape(), ["H264 1920x1080 Aac 48000/2", "0@40+80!", "0@80+0"]);
}

#[test]
fn av1_with_opus_is_understood_and_delimiters_are_taken_off() {
    let mut bench = Bench::default();
    bench.video(0, bytes(&[&[0x90], b"av01", AV1C])).unwrap();
    bench.audio(0, bytes(&[&[0x90], b"Opus", OPUS_HEAD])).unwrap();
    let sequence = &AV1C[4..];
    bench.video(40, bytes(&[&[0x91], b"av01", &[0x12, 0], sequence, &[0x32, 2, 0x10, 0]])).unwrap();
    bench.audio(41, bytes(&[&[0x91], b"Opus", &[0xfc, 1]])).unwrap();
    let [Event::Tracks(_), Event::Unit { data, .. }, Event::Unit { track: 1, .. }] = &bench.events[..] else {
        panic!("{:?}", bench.events)
    };
    assert_eq!(data, &[sequence, &[0x32, 2, 0x10, 0]].concat());
    assert_eq!(shape(&bench.events[0]), "Av1 1920x1080 Opus 48000/2");
    assert_eq!(shape(&bench.events[1]), "0@40+0!");
}

#[test]
fn mp3_needs_no_configuration() {
    let mut bench = Bench::default();
    bench.video(0, avc_header()).unwrap();
    bench.audio(0, bytes(&[&[0x2f, 0xff, 0xfb, 0x94, 0xc4, 0, 0]])).unwrap();
    assert_eq!(bench.take_shape(), ["H264 1920x1080 Mp3 48000/1", "1@0+0!"]);
    bench.audio(24, bytes(&[&[0x91], b".mp3", &[0xff, 0xfb, 0x94, 0xc4]])).unwrap();
    assert_eq!(bench.take_shape(), ["1@24+0!"]);
    assert_eq!(bench.audio(48, bytes(&[&[0x2f, 1, 2, 3, 4]])), Err(Error::Mp3));
}

#[test]
fn modifiers_shift_the_time_by_nanoseconds() {
    let mut bench = Bench::started();
    let shift = [2, 0x07, 0xa1, 0x20]; // three bytes: 500,000 ns
    bench.video(40, bytes(&[&[0x97], &shift, &[0x03], b"avc1", IDR])).unwrap();
    bench.audio(40, bytes(&[&[0x97], &shift, &[0x01], b"mp4a", &[1]])).unwrap();
    let expected = Ticks::from_millis(40) + Ticks::from_scale(500, 1_000_000);
    for event in &bench.events {
        assert!(matches!(event, Event::Unit { dts, .. } if *dts == expected), "{event:?}");
    }
    assert_eq!(bench.events.len(), 2);
    let mut long = BytesMut::from(&[0x97, 0xff, 1, 0][..]);
    long.put_bytes(9, 257);
    long.put_slice(b"\x13avc1");
    long.put_slice(IDR);
    bench.video(80, long.freeze()).unwrap();
    assert_eq!(shape(&bench.events[2]), "0@80+0!");
}

#[test]
fn of_many_tracks_the_first_is_taken() {
    let mut bench = Bench::started();
    let picture = |track: u8, data: &[u8]| bytes(&[&[track, 0, 0, data.len() as u8], data]);
    let many = bytes(&[&[0x96, 0x13], b"avc1", &picture(1, b"other"), &picture(0, IDR)]);
    bench.video(40, many).unwrap();
    bench.video(80, bytes(&[&[0xa6, 0x23], b"hvc1", &picture(1, b"other"), b"avc1", &picture(0, INTER)])).unwrap();
    bench.video(120, bytes(&[&[0xa6, 0x03], b"avc1", &[0], INTER])).unwrap();
    bench.video(160, bytes(&[&[0xa6, 0x03], b"avc1", &[1], INTER])).unwrap();
    assert_eq!(bench.take_shape(), ["0@40+0!", "0@80+0", "0@120+0"]);
}

#[test]
fn what_cannot_be_decoded_is_refused_by_name() {
    let mut bench = Bench::default();
    let cases = [
        (Kind::Video, &[0x12u8, 0, 0, 0, 0][..], "video codec 2 is not supported: send H.264, HEVC or AV1"),
        (Kind::Audio, &[0x5f, 0], "sound format 5 is not supported: send AAC, Opus or MP3"),
        (Kind::Video, b"\x90vp09", "codec vp09 is not supported: send avc1, hvc1 or av01 with mp4a, Opus or .mp3"),
        (Kind::Audio, b"\x90ac-3", "codec ac-3 is not supported: send avc1, hvc1 or av01 with mp4a, Opus or .mp3"),
        (Kind::Video, b"\x95av01", "an AV1 configuration as MPEG-TS descriptor is not supported: send av1C"),
    ];
    for (kind, body, text) in cases {
        let refusal = bench.demuxer.receive(kind, 0, Bytes::from_static(body), &mut bench.events).unwrap_err();
        assert_eq!(refusal.to_string(), text);
        assert_eq!(refusal.fault(), Fault::Unsupported);
    }
}

#[test]
fn legacy_hevc_is_understood_by_its_number() {
    let mut bench = Bench::default();
    let refusal = bench.video(0, bytes(&[&[0x1c, 0, 0, 0, 0, 1]])).unwrap_err();
    assert!(matches!(refusal, Error::Configuration(_)), "{refusal}");
    assert!(refusal.to_string().contains("hvcC"), "{refusal}");
}

#[test]
fn metadata_rates_are_those_of_film_and_television_where_they_are_close() {
    for (claimed, rate) in [(29.97, Rate::new(30_000, 1001)), (25.0, Rate::new(25, 1)), (12.5, Rate::new(12_500, 1000))] {
        let mut body = BytesMut::new();
        encode(&"onMetaData".into(), &mut body);
        encode(&object([("framerate", claimed.into())]), &mut body);
        assert_eq!(metadata::parse(&body).unwrap().unwrap().rate, Some(rate));
    }
}

proptest! {
    #[test]
    fn noise_never_panics_and_is_never_held_without_end(tags in prop::collection::vec((0u8..3, any::<u32>(), prop::collection::vec(any::<u8>(), 0..80)), 0..40)) {
        let mut bench = Bench::default();
        for (kind, ms, body) in tags {
            let kind = [Kind::Audio, Kind::Video, Kind::Script][usize::from(kind)];
            let _ = bench.demuxer.receive(kind, ms, Bytes::from(body), &mut bench.events);
        }
    }

    #[test]
    fn plausible_headers_with_noise_behind_never_panic(
        tags in prop::collection::vec((prop::sample::select(vec![&b"\x17\x00\x00\x00\x00"[..], b"\x17\x01\x00\x00\x00", b"\x1c\x00\x00\x00\x00", b"\x90hvc1", b"\x91hvc1\x00\x00\x00", b"\x90av01", b"\x91av01", b"\x96\x10avc1", b"\x97", b"\xaf\x00"]), prop::collection::vec(any::<u8>(), 0..80)), 0..40),
    ) {
        let mut bench = Bench::started();
        for (header, body) in tags {
            let kind = if header[0] == 0xaf { Kind::Audio } else { Kind::Video };
            let _ = bench.demuxer.receive(kind, 0, bytes(&[header, &body]), &mut bench.events);
        }
        let codecs = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1];
        for event in &bench.events {
            if let Event::Tracks(tracks) = event {
                prop_assert!(tracks[0].video().is_some_and(|track| codecs.contains(&track.codec)));
                prop_assert!(tracks[1].audio().is_some_and(|track| track.codec == AudioCodec::Aac));
            }
        }
    }
}
