//! SMPTE time code from a source's SEI to every rung's, read back by ffprobe.

mod worker_support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use headend::base::{Rate, Ticks};
use headend::codec::software::{VideoDecoder, X264Encoder, X264Options};
use headend::codec::{Attached, Color, Decoder, Encoder, Frame, HostPicture, PlanarPool, Surface};
use headend::media::nal::{joined, to_annex_b, units};
use headend::media::{AccessUnit, Grid, Packet, Slot, Track};
use headend::wire::link::ToWorker;
use worker_support::*;

/// The time codes of a rung in the order they are shown, as ffprobe reads and prints them; empty for a picture without.
fn read_by_ffprobe(directory: &Path, track: &Track, packets: &[&Packet]) -> Vec<String> {
    let Track::Video(track) = track else { panic!("not a video rung") };
    let path = directory.join("rung.h264");
    let record = headend::media::h264::AvcConfig::parse(&track.config).unwrap();
    let mut stream = to_annex_b(&joined(record.parameter_sets().map(|set| &set[..]))).unwrap().to_vec();
    packets.iter().for_each(|packet| stream.extend_from_slice(&to_annex_b(&packet.data).unwrap()));
    fs::write(&path, stream).unwrap();
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_frames", "-show_entries", "frame=pict_type:side_data", "-of", "flat"]).arg(&path);
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut codes: Vec<String> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let value = line.rsplit('"').nth(1).unwrap_or_default();
        match line {
            _ if line.contains(".pict_type=") => codes.push(String::new()),
            _ if line.contains(".timecode.") && line.contains(".value=") => codes.last_mut().unwrap().push_str(value),
            _ => {}
        }
    }
    codes
}

/// Picture timing with a time of day as a contribution encoder writes it, its bits spelled out: clause D.1.3 with a known
/// interlaced source and without drop frame.
fn timing_unit(hours: u32, minutes: u32, seconds: u32, frames: u32) -> Vec<u8> {
    let bits = format!("0000101100000100{frames:08b}{seconds:06b}{minutes:06b}{hours:05b}{:024b}1000000", 0);
    let mut unit = vec![0x06, 0x01, (bits.len() / 8) as u8];
    unit.extend((0..bits.len()).step_by(8).map(|at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap()));
    unit.push(0x80);
    // Only the zeros of the offset, behind hours with a low bit of 0, come near a start code, and the byte after them is above 3.
    if let Some(at) = unit.windows(3).position(|window| window == [0, 0, 0]) {
        unit.insert(at + 2, 3);
    }
    unit
}

#[test]
fn the_source_s_time_code_is_on_the_same_pictures_of_every_rung() {
    let directory = tempfile::tempdir().unwrap();
    let path = make_clip(directory.path(), "clip.mp4", "320x180", 2, &["-an", "-bf", "3", "-x264-params", "pic-struct=1"]);
    let mut clip = demuxed(&path);
    assert!(clip.units.iter().any(|unit| unit.pts > unit.dts), "the source does not reorder");
    // The clock passes midnight at picture 30; picture 40 has no time code.
    let of_slot = |slot: i64| match slot {
        40 => None,
        30.. => Some((0, 0, (slot - 30) / 25, (slot - 30) % 25)),
        _ => Some((23, 59, 58 + (slot + 20) / 25, (slot + 20) % 25)),
    };
    for unit in &mut clip.units {
        let Some((hours, minutes, seconds, frames)) = of_slot(unit.pts.in_scale(25)) else { continue };
        let timing = Bytes::from(timing_unit(hours, minutes, seconds as u32, frames as u32));
        let is_timing = |unit: &[u8]| unit.starts_with(&[0x06, 0x01]);
        assert_eq!(units(&unit.data).filter(|unit| is_timing(unit)).count(), 1);
        unit.data = joined(units(&unit.data).map(|unit| if is_timing(unit) { &timing[..] } else { unit }));
    }
    let mut worker = Worker::codec(file(vec![rung("180p", 320, 180, 600_000), rung("90p", 160, 90, 200_000)]));
    worker.feed(&clip, 0);
    worker.say(ToWorker::InputEnd);
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    let printed = |code: (u32, u32, i64, i64)| format!("{:02}:{:02}:{:02}:{:02}", code.0, code.1, code.2, code.3);
    let expected: Vec<String> = (0..50).map(|slot| of_slot(slot).map(printed).unwrap_or_default()).collect();
    for number in [0, 1] {
        let packets = said.rung(number);
        assert!(packets.iter().any(|packet| packet.pts < packet.dts), "rung {number} does not reorder");
        assert_eq!(read_by_ffprobe(directory.path(), &said.configs[usize::from(number)].track, &packets), expected);
    }
}

/// What an encoder makes of pictures with these time codes, packed as libavutil does.
fn coded(rate: Rate, packed: &[u32]) -> (Track, Vec<Packet>) {
    let grid = Grid { rate, gop_slots: 25, segment_slots: 50 };
    let options = X264Options { grid, color: Color::assumed(180), threads: 1 };
    let mut encoder = X264Encoder::open(0, &rung("180p", 320, 180, 400_000), options).unwrap();
    let mut picture = PlanarPool::new(320, 180, 0).take();
    picture.fill([100, 90, 170]);
    let surface = Surface::Host(HostPicture::Planar(Arc::new(picture)));
    let mut packets = Vec::new();
    for (slot, word) in (0..).map(Slot).zip(packed) {
        let attached = Attached { captions: Bytes::new(), timecode: Some(*word) };
        let frame = Frame { pts: grid.start(slot), duration: Ticks::ZERO, color: Color::assumed(180), surface: surface.clone(), attached };
        encoder.encode(&frame, grid.is_key(slot), &mut packets).unwrap();
    }
    encoder.drain(&mut packets).unwrap();
    (encoder.info().track.clone(), packets)
}

#[test]
fn what_goes_in_packed_comes_out_of_a_decoder_packed_the_same() {
    let cases = [
        // Drop frame, over a minute whose two lowest counts are left out.
        (Rate::new(30_000, 1001), [0x69_59_59_10, 0x42_00_00_11]),
        // Pairs of pictures: the second has a mark, which lies elsewhere in 50 Hz systems.
        (Rate::new(60_000, 1001), [0x69_D9_59_10, 0x42_00_00_11]),
        (Rate::new(50, 1), [0x24_59_59_90, 0x00_00_00_11]),
    ];
    for (rate, packed) in cases {
        let (track, packets) = coded(rate, &packed);
        let Track::Video(track) = track else { panic!("not a video rung") };
        let mut decoder = VideoDecoder::open(&track).unwrap();
        let mut frames = Vec::new();
        for Packet { pts, dts, key, data, .. } in packets {
            decoder.decode(&AccessUnit { track: 0, pts, dts, entry: key, data }, &mut frames).unwrap();
        }
        decoder.drain(&mut frames).unwrap();
        let read: Vec<Option<u32>> = frames.iter().map(|frame| frame.attached.timecode).collect();
        assert_eq!(read, packed.map(Some), "{rate}: {read:08x?}");
    }
}

#[test]
fn another_parser_finds_every_field_and_the_end_of_the_message() {
    let directory = tempfile::tempdir().unwrap();
    let (track, packets) = coded(Rate::new(30_000, 1001), &[0x69_59_59_23, 0x00_00_00_00]);
    let packets: Vec<&Packet> = packets.iter().collect();
    read_by_ffprobe(directory.path(), &track, &packets);
    let path = directory.path().join("rung.h264");
    let trace = ["-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"];
    let output = Command::new("ffmpeg").args(["-nostdin", "-v", "info", "-i"]).arg(&path).args(trace).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !text.contains("nvalid"), "{text}");
    let all = |field: &str| -> Vec<u32> {
        let of_field = text.lines().filter(|line| line.split_whitespace().any(|word| word == field));
        of_field.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    };
    let two = |field: &str, expected: [u32; 2]| assert_eq!(all(field), expected, "{field}");
    two("clock_timestamp_flag[0]", [1, 1]);
    two("nuit_field_based_flag", [1, 1]);
    two("counting_type", [4, 0]);
    two("full_timestamp_flag", [1, 1]);
    // Midnight: the clock goes back.
    two("discontinuity_flag", [0, 1]);
    two("cnt_dropped_flag", [1, 0]);
    two("n_frames", [29, 0]);
    two("hours_value", [23, 0]);
    two("time_offset", [0, 0]);
    two("bit_equal_to_one", [1, 1]);
}
