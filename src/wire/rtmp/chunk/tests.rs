use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::wire::rtmp::Limits;

fn message(chunk_stream: u32, timestamp_ms: u32, length: usize) -> Message {
    let payload = (0..length).map(|n| (n * 7 + chunk_stream as usize) as u8).collect::<Vec<u8>>();
    Message { chunk_stream, kind: kind::VIDEO, stream_id: 1, timestamp_ms, payload: Bytes::from(payload) }
}

fn wide() -> Reader {
    let mut reader = Reader::new(Limits::default());
    reader.widen();
    reader
}

fn read_all(reader: &mut Reader, mut input: &[u8]) -> Result<Vec<Message>, ChunkError> {
    let mut messages = Vec::new();
    while let Some(message) = reader.receive(&mut input)? {
        messages.push(message);
    }
    assert!(input.is_empty());
    Ok(messages)
}

/// A format 0 header without data.
fn opening(chunk_stream: u32, length: u32) -> BytesMut {
    let mut bytes = BytesMut::new();
    let rest = chunk_stream - 64;
    bytes.put_slice(&[1, rest as u8, (rest >> 8) as u8]);
    bytes.put_uint(0, 3);
    bytes.put_uint(u64::from(length), 3);
    bytes.put_u8(kind::VIDEO);
    bytes.put_u32_le(1);
    bytes
}

fn set_chunk_size(size: u32) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, kind::SET_CHUNK_SIZE, 0, 0, 0, 0];
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes
}

#[test]
fn audio_interleaved_inside_a_video_message_comes_out_first() {
    let (video, audio) = (message(6, 40, 300), message(4, 41, 100));
    let (mut video_bytes, mut audio_bytes) = (BytesMut::new(), BytesMut::new());
    Writer::default().write(&video, &mut video_bytes);
    Writer::default().write(&audio, &mut audio_bytes);
    let first_chunk = 12 + 128;
    let stream = [&video_bytes[..first_chunk], &audio_bytes, &video_bytes[first_chunk..]].concat();
    assert_eq!(read_all(&mut wide(), &stream).unwrap(), [audio, video]);
}

#[test]
fn all_four_header_formats_and_their_deltas_are_understood() {
    let mut stream = vec![4, 0, 0, 100, 0, 0, 1, 8, 1, 0, 0, 0, 0xaa]; // format 0 at 100 ms
    stream.extend([0x44, 0, 0, 20, 0, 0, 2, 9, 0xbb, 0xbc]); // format 1: +20, new length and type
    stream.extend([0x84, 0, 0, 23, 0xcc, 0xcd]); // format 2: +23
    stream.extend([0xc4, 0xdd, 0xde]); // format 3: +23 again
    let messages = read_all(&mut wide(), &stream).unwrap();
    let seen: Vec<_> = messages.iter().map(|m| (m.timestamp_ms, m.kind, m.stream_id, m.payload.len())).collect();
    assert_eq!(seen, [(100, 8, 1, 1), (120, 9, 1, 2), (143, 9, 1, 2), (166, 9, 1, 2)]);
}

#[test]
fn a_format_3_message_after_a_full_header_repeats_its_timestamp_as_delta() {
    let stream = [4, 0, 0, 40, 0, 0, 1, 8, 1, 0, 0, 0, 0xaa, 0xc4, 0xbb];
    let times: Vec<u32> = read_all(&mut wide(), &stream).unwrap().iter().map(|m| m.timestamp_ms).collect();
    assert_eq!(times, [40, 80]);
}

#[test]
fn an_extended_timestamp_is_repeated_in_format_3_chunks() {
    let sent = message(70, 0x0123_4567, 400);
    let mut stream = BytesMut::new();
    Writer::default().write(&sent, &mut stream);
    assert_eq!(stream.len(), 2 + 11 + 4 + 400 + 3 * (2 + 4));
    assert_eq!(read_all(&mut wide(), &stream).unwrap(), [sent]);
}

#[test]
fn a_delta_past_32_bits_wraps() {
    let mut stream = vec![4, 0xff, 0xff, 0xff, 0, 0, 1, 8, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0, 0xaa];
    stream.extend([0x84, 0, 0, 0x20, 0xbb]);
    let times: Vec<u32> = read_all(&mut wide(), &stream).unwrap().iter().map(|m| m.timestamp_ms).collect();
    assert_eq!(times, [0xffff_fff0, 0x10]);
}

#[test]
fn an_extended_delta_is_a_delta() {
    let mut stream = vec![4, 0, 0, 5, 0, 0, 1, 8, 1, 0, 0, 0, 0xaa];
    stream.extend([0x84, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xbb]);
    let times: Vec<u32> = read_all(&mut wide(), &stream).unwrap().iter().map(|m| m.timestamp_ms).collect();
    assert_eq!(times, [5, 0x0100_0005]);
}

#[test]
fn an_aborted_message_is_forgotten_and_its_memory_given_back() {
    let mut bytes = BytesMut::new();
    Writer::default().write(&message(6, 40, 300), &mut bytes);
    let mut stream = bytes[..12 + 128].to_vec();
    stream.extend([2, 0, 0, 0, 0, 0, 4, kind::ABORT, 0, 0, 0, 0, 0, 0, 0, 6]);
    let mut reader = wide();
    assert!(read_all(&mut reader, &stream).unwrap().is_empty());
    assert_eq!(reader.in_flight_bytes(), 0);
    let next = message(6, 80, 10);
    let mut bytes = BytesMut::new();
    Writer::default().write(&next, &mut bytes);
    assert_eq!(read_all(&mut reader, &bytes).unwrap(), [next]);
}

#[test]
fn chunk_sizes_of_zero_and_two_gigabytes_are_refused() {
    let limit = Limits::default().chunk_bytes;
    for size in [0, 0x7fff_ffff, 0x8000_0000, 0x8000_0080] {
        assert_eq!(read_all(&mut wide(), &set_chunk_size(size)), Err(ChunkError::ChunkSize { size, limit }));
    }
    for size in [1, 128, 4096, 60_000, 0xff_ffff] {
        assert_eq!(read_all(&mut wide(), &set_chunk_size(size)), Ok(Vec::new()));
    }
}

#[test]
fn a_declared_length_beyond_the_cap_is_refused_before_anything_is_held() {
    let mut reader = wide();
    let refusal = read_all(&mut reader, &opening(64, 0xff_ffff)).unwrap_err();
    assert_eq!(refusal, ChunkError::MessageLength { chunk_stream: 64, length: 0xff_ffff, limit: 8 << 20 });
    assert_eq!(reader.in_flight_bytes(), 0);
}

#[test]
fn hundreds_of_chunk_streams_that_declare_megabytes_stay_under_the_caps() {
    let mut reader = wide();
    let limits = Limits::default();
    let mut refusal = None;
    for id in 64..364 {
        let mut stream = opening(id, 8 << 20);
        stream.put_bytes(0x55, 128);
        if let Err(cause) = read_all(&mut reader, &stream) {
            refusal = Some(cause);
            break;
        }
        assert!(reader.in_flight_bytes() <= limits.in_flight_bytes);
    }
    assert_eq!(refusal, Some(ChunkError::ChunkStreams { limit: limits.chunk_streams }));
    assert!(reader.in_flight_bytes() < 4 << 20, "{}", reader.in_flight_bytes());
}

#[test]
fn bytes_in_flight_are_capped_over_all_chunk_streams() {
    let limits = Limits::default();
    let mut reader = wide();
    read_all(&mut reader, &set_chunk_size(7 << 20)).unwrap();
    let refusal = (64..80).find_map(|id| {
        let mut stream = opening(id, 8 << 20);
        stream.put_bytes(0x55, 7 << 20);
        let outcome = read_all(&mut reader, &stream);
        assert!(reader.in_flight_bytes() <= limits.in_flight_bytes);
        outcome.err()
    });
    assert_eq!(refusal, Some(ChunkError::InFlight { limit: limits.in_flight_bytes }));
}

#[test]
fn a_peer_that_is_not_accepted_yet_may_hold_little() {
    let limit = Limits::default().early_message_bytes;
    let refusal = read_all(&mut Reader::new(Limits::default()), &opening(64, 1 << 20)).unwrap_err();
    assert_eq!(refusal, ChunkError::MessageLength { chunk_stream: 64, length: 1 << 20, limit });
}

#[test]
fn a_message_inside_an_unfinished_one_of_the_same_chunk_stream_is_refused() {
    let mut bytes = BytesMut::new();
    Writer::default().write(&message(6, 40, 300), &mut bytes);
    let stream = [&bytes[..12 + 128], &bytes[..]].concat();
    assert_eq!(read_all(&mut wide(), &stream), Err(ChunkError::Interrupted { chunk_stream: 6, missing: 172 }));
}

#[test]
fn a_format_that_refers_to_nothing_is_refused() {
    assert_eq!(read_all(&mut wide(), &[0xc5, 1]), Err(ChunkError::NoHeader { chunk_stream: 5, format: 3 }));
}

#[test]
fn an_empty_message_is_a_message() {
    let stream = [4, 0, 0, 1, 0, 0, 0, 8, 1, 0, 0, 0];
    assert_eq!(read_all(&mut wide(), &stream).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn messages_survive_a_stream_cut_anywhere(
        shapes in prop::collection::vec((prop::sample::select(vec![2u32, 3, 63, 64, 319, 320, 65_599]), any::<u32>(), 0usize..700), 1..12),
        chunk_bytes in 1u32..300,
        piece in 1usize..200,
    ) {
        let mut writer = Writer::default();
        let mut stream = BytesMut::new();
        writer.set_chunk_bytes(chunk_bytes, &mut stream);
        let sent: Vec<Message> = shapes.into_iter().map(|(id, time, length)| message(id, time, length)).collect();
        for message in &sent {
            writer.write(message, &mut stream);
        }
        let mut reader = wide();
        let mut received = Vec::new();
        for piece in stream.chunks(piece) {
            received.extend(read_all(&mut reader, piece).unwrap());
        }
        prop_assert_eq!(received, sent);
        prop_assert_eq!(reader.in_flight_bytes(), 0);
    }

    #[test]
    fn noise_never_panics_and_never_breaks_the_cap(noise in prop::collection::vec(any::<u8>(), 0..600), piece in 1usize..60) {
        let mut reader = wide();
        for piece in noise.chunks(piece) {
            let mut input = piece;
            loop {
                match reader.receive(&mut input) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
            prop_assert!(reader.in_flight_bytes() <= Limits::default().in_flight_bytes);
        }
    }
}
