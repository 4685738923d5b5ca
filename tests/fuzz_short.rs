//! The fuzz targets, driven on stable from fixed seeds: each run tries the same mutations of the same good inputs, so that a
//! failure is there again when the test is run again. Long runs with coverage: `make fuzz-short`.

#[path = "support/mutation.rs"]
mod mutation;
#[path = "support/rtmp_chunks.rs"]
#[allow(dead_code, reason = "only its writer is used here")]
mod rtmp_chunks;

#[path = "../fuzz/targets/amf.rs"]
mod amf;
#[path = "../fuzz/targets/chunk.rs"]
mod chunk;
#[path = "../fuzz/targets/flv.rs"]
mod flv;
#[path = "../fuzz/targets/link.rs"]
mod link;
#[path = "../fuzz/targets/session.rs"]
mod session;
#[path = "support/transport.rs"]
mod transport;
#[path = "../fuzz/targets/ts.rs"]
mod ts;

use headend::base::{Fault, MediaTime, Ticks};
use headend::wire::link::{FromWorker, Stage, ToWorker, framed};
use headend::wire::rtmp::amf0::{Value, encode};

use mutation::hammer;
use rtmp_chunks::{Message, basic_header, chunked, full_header};

const ROUNDS: u32 = 200_000;

/// The body of an AVC sequence header: 640x360, Constrained Baseline, as x264 writes it.
const AVC_CONFIGURATION: &[u8] = &[
    0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 0x19, 0x67, 0x42, 0xc0, 0x1e, 0xda, 2, 0x80, 0xbf, 0xe5, 0xc0, 0x44, 0, 0, 3, 0,
    4, 0, 0, 3, 0, 0xc8, 0x3c, 0x58, 0xba, 0x80, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
];

#[test]
fn chunk_streams() {
    let messages = [
        message(3, 20, &command("connect")),
        message(6, 9, &[0x17; 700]),
        message(2, 1, &512u32.to_be_bytes()),
        message(400, 8, &[0xaf; 90]),
    ];
    let stream: Vec<u8> = messages.iter().flat_map(|message| chunked(message, 128)).collect();
    let whole = [&[200][..], &stream].concat();
    // eight messages at a time, a chunk of each in turn: what is held comes close to its cap
    let turn = |number: usize, head: &dyn Fn(u32) -> Vec<u8>| {
        (10..18).flat_map(|stream| [head(stream), vec![number as u8; 128]].concat()).collect::<Vec<u8>>()
    };
    let begun = turn(0, &|stream| full_header(&message(stream, 9, &[]), 1000));
    let interleaved = (1..7).fold(begun, |bytes, number| [bytes, turn(number, &|stream| basic_header(3, stream))].concat());
    let with_end = [&[90][..], &chunked(&message(10, 8, &[1; 40]), 128), &interleaved].concat();
    hammer("chunk", &[whole, [&[0][..], &stream].concat(), with_end], ROUNDS, chunk::run);
}

#[test]
fn amf() {
    let values = [
        Value::from("connect"),
        Value::from(1.0),
        Value::Object(vec![
            ("app".into(), Value::from("live")),
            ("inner".into(), Value::EcmaArray(vec![("x".into(), Value::Boolean(true))])),
        ]),
        Value::StrictArray(vec![Value::Null, Value::Undefined, Value::Date(1.5e12)]),
    ];
    let mut bytes = bytes::BytesMut::new();
    values.iter().for_each(|value| encode(value, &mut bytes));
    // the switch to AMF3 within AMF0, an object with one dynamic member
    let amf3 = [&[0x11, 0x0a, 0x0b, 0x01, 0x03, b'a', 0x06, 0x03, b'b', 0x01][..]].concat();
    hammer("amf", &[bytes.to_vec(), amf3, command("connect")], ROUNDS, amf::run);
}

#[test]
fn sessions() {
    let values = |values: &[Value]| {
        let mut bytes = bytes::BytesMut::new();
        values.iter().for_each(|value| encode(value, &mut bytes));
        bytes.to_vec()
    };
    let create = values(&[Value::from("createStream"), Value::from(4.0), Value::Null]);
    let publish = values(&[Value::from("publish"), Value::from(5.0), Value::Null, Value::from("demo"), Value::from("live")]);
    let mut media = message(6, 9, &[0x17; 300]);
    media.stream = 1;
    let mut publishing = message(8, 20, &publish);
    publishing.stream = 1;
    let messages = [
        message(3, 20, &command("connect")),
        message(3, 20, &create),
        publishing,
        media.clone(),
        message(2, 5, &1000u32.to_be_bytes()),
        media,
    ];
    let stream: Vec<u8> = messages.iter().flat_map(|message| chunked(message, 128)).collect();
    hammer("session", &[stream], ROUNDS / 4, session::run);
}

#[test]
fn flv_tags() {
    let tag =
        |kind: u8, time_ms: u32, body: &[u8]| [&[kind][..], &time_ms.to_be_bytes(), &(body.len() as u16).to_be_bytes(), body].concat();
    let nal_unit = [&[0, 0, 0, 6][..], &[0x65, 0x88, 0x84, 0, 0x21, 0xff]].concat();
    let legacy = [
        tag(0, 0, AVC_CONFIGURATION),
        tag(1, 0, &[0xaf, 0, 0x11, 0x88, 0x56, 0xe5, 0]),
        tag(0, 0, &[&[0x17, 1, 0, 0, 0][..], &nal_unit].concat()),
        tag(1, 20, &[0xaf, 1, 0x21, 0x10, 5, 0]),
        tag(0, 40, &[&[0x27, 1, 0, 0, 40][..], &nal_unit].concat()),
    ];
    // enhanced RTMP: the same configuration behind a FourCC, then a picture with a composition time
    let enhanced = [
        tag(0, 0, &[&[0x90][..], b"avc1", &AVC_CONFIGURATION[5..]].concat()),
        tag(0, 0, &[&[0x91][..], b"avc1", &[0, 0, 0], &nal_unit].concat()),
        tag(1, 0, &[&[0x90][..], b"Opus", b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"].concat()),
        tag(1, 5000, &[&[0x91][..], b"Opus", &[0xfc; 20]].concat()),
    ];
    hammer("flv", &[legacy.concat(), enhanced.concat()], ROUNDS, flv::run);
}

#[test]
fn transport_streams() {
    // SPS and PPS of 640x360, an IDR picture and another; a frame each of AAC, AC-3 and MPEG audio; splice information
    let sets = [&AVC_CONFIGURATION[13..38], &AVC_CONFIGURATION[41..45]];
    let picture = |units: &[&[u8]]| units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect::<Vec<u8>>();
    let adts = [&[0xff, 0xf1, 0x4c, 0x80, 0x03, 0x1f, 0xfc][..], &[0x21; 17]].concat();
    let mut mux = transport::Mux::default();
    mux.tables(&[(0x1b, 0x100), (0x0f, 0x101), (0x81, 0x102), (0x03, 0x103), (0x86, 0x104), (0x11, 0x105)]);
    mux.pes(0x100, 0, &picture(&[&[9, 0xf0], sets[0], sets[1], &[0x65, 0x88, 0x84, 0, 0x21, 0xff]]));
    mux.pes(0x101, 0, &adts.repeat(2));
    mux.pes(0x102, 0, &[&[0x0b, 0x77, 0xd6, 0x76, 0x14, 0x40, 0x43, 0xe1][..], &[0; 760]].concat());
    mux.pes(0x103, 0, &[&[0xff, 0xfd, 0x14, 0][..], &[0; 92]].concat());
    mux.section(0x104, &[&[0xfc, 0x30, 0][..], &[0; 30]].concat());
    mux.pes(0x105, 0, &[0x56, 0xe0, 0x0a, 0x20, 0x00, 0x11, 0x90, 0x0f, 0xf0, 0x02, 0x21, 0x10, 0]);
    mux.pes(0x100, 3600, &picture(&[&[9, 0xf0], &[0x41, 0x9a, 0x22, 0x33]]));
    mux.pes(0x101, 3840, &adts);
    mux.tables(&[(0x24, 0x100), (0x0f, 0x101), (0x06, 0x106)]);
    mux.pes(0x101, 7680, &adts);
    hammer("ts", &[[&[40][..], &mux.stream].concat()], ROUNDS / 4, ts::run);
}

#[test]
fn the_link() {
    let from = [
        FromWorker::Opened { configs: Vec::new() },
        FromWorker::Packet { rung: 1, pts: MediaTime(7), dts: MediaTime(-7), duration: Ticks(1), key: true },
        FromWorker::Progress {
            stage: Stage::Encode,
            pts: MediaTime(i64::MAX),
            done: 9,
            dropped: 1,
            queued: 3,
            lag: Ticks(7),
            busy_percent: 50,
        },
        FromWorker::Fault { fault: Fault::Corrupt, place: "decode".into(), detail: "a detail".into() },
    ];
    let to = [
        ToWorker::Au { track: 0, pts: MediaTime(5), dts: MediaTime(5), entry: true },
        ToWorker::Retune { rung: 0, bitrate_bps: 5 },
        ToWorker::Drain,
    ];
    let from: Vec<u8> = from.iter().flat_map(|message| framed(message, b"payload").expect("small")).collect();
    let to: Vec<u8> = to.iter().flat_map(|message| framed(message, b"payload").expect("small")).collect();
    hammer("link", &[from, to], ROUNDS, link::run);
}

fn message(chunk_stream: u32, kind: u8, body: &[u8]) -> Message {
    Message { chunk_stream, kind, stream: 0, time_ms: 40, body: body.to_vec() }
}

fn command(name: &str) -> Vec<u8> {
    let mut bytes = bytes::BytesMut::new();
    let object = Value::Object(vec![("app".into(), Value::from("live")), ("tcUrl".into(), Value::from("rtmp://localhost/live"))]);
    [Value::from(name), Value::from(1.0), object].iter().for_each(|value| encode(value, &mut bytes));
    bytes.to_vec()
}
