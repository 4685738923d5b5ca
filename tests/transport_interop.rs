//! Transport streams of ffmpeg and of headend itself, demultiplexed, and compared unit by unit with what ffprobe reads of
//! the same file.

#[path = "support/tools.rs"]
#[allow(dead_code, reason = "only a part of it is used here")]
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use headend::media::aac::parse_adts;
use headend::media::nal::{annex_b, units};
use headend::media::{AudioCodec, Track, VideoCodec};
use headend::wire::ts::{Counters, Demuxer, Description, Event, Options, WRAP};
use serde_json::Value;

/// Ticks of 90 kHz in a round of the clock.
const CLOCK: i64 = 1 << 33;

const VIDEO: [&str; 6] = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-f", "lavfi"];
const SOUND: [&str; 2] = ["-i", "sine=frequency=440:sample_rate=48000"];
const X264: [&str; 6] = ["-c:v", "libx264", "-preset", "veryfast", "-g", "50"];

/// A unit as either side has it; times in ticks of 90 kHz.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    dts: i64,
    pts: i64,
    key: bool,
    /// NAL units of pictures, raw frames of sound.
    parts: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Demuxed {
    tracks: Vec<Track>,
    units: Vec<Vec<Read>>,
    description: Description,
    counters: Counters,
}

#[test]
fn h264_with_b_pictures_and_aac() {
    agrees("h264-aac", &[&X264[..], &["-bf", "3", "-c:a", "aac"]].concat(), &["H264 320x240", "Aac 48000/1"]);
}

#[test]
fn an_open_group_of_pictures_is_entered_where_ffmpeg_says() {
    let options = [&X264[..], &["-x264-params", "open-gop=1:bframes=3:keyint=25", "-an"]].concat();
    let Some(demuxed) = agrees("open-gop", &options, &["H264 320x240"]) else { return };
    assert!(demuxed.units[0].iter().filter(|unit| unit.key).count() >= 6, "entries");
}

#[test]
fn slices_and_interlaced_pictures_stay_together() {
    agrees("slices", &[&X264[..], &["-x264-params", "slices=4:tff=1", "-flags", "+ilme+ildct", "-an"]].concat(), &["H264 320x240"]);
}

#[test]
fn hevc_and_ac3() {
    let hevc = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0:keyint=50:open-gop=1"];
    agrees("hevc-ac3", &[&hevc[..], &["-c:a", "ac3", "-ac", "6"]].concat(), &["Hevc 320x240", "ac3 48000/6"]);
}

#[test]
fn mpeg_audio_and_enhanced_ac3_and_opus() {
    agrees("mp2", &[&X264[..], &["-c:a", "mp2", "-ar", "44100"]].concat(), &["H264 320x240", "mp2 44100/1"]);
    agrees("mp3", &[&X264[..], &["-c:a", "libmp3lame"]].concat(), &["H264 320x240", "Mp3 48000/1"]);
    agrees("eac3", &[&X264[..], &["-c:a", "eac3", "-ac", "2"]].concat(), &["H264 320x240", "eac3 48000/2"]);
    agrees("opus", &[&X264[..], &["-c:a", "libopus", "-ac", "2"]].concat(), &["H264 320x240", "Opus 48000/2"]);
}

#[test]
fn the_clock_wraps_in_the_middle() {
    let options = [&X264[..], &["-c:a", "aac", "-output_ts_offset", "95442", "-muxdelay", "0"]].concat();
    let Some(demuxed) = agrees("wrap", &options, &["H264 320x240", "Aac 48000/1"]) else { return };
    assert!(demuxed.units.iter().all(|units| units.first().unwrap().dts > units.last().unwrap().dts), "no wrap");
}

#[test]
fn pictures_in_packets_of_many_frames_and_m2ts() {
    agrees("many", &[&X264[..], &["-c:a", "aac", "-pes_payload_size", "16000"]].concat(), &["H264 320x240", "Aac 48000/1"]);
    agrees("m2ts", &[&X264[..], &["-c:a", "ac3", "-mpegts_m2ts_mode", "1"]].concat(), &["H264 320x240", "ac3 48000/1"]);
}

#[test]
fn several_sounds_have_their_languages() {
    let maps = ["-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:a:0", "aac", "-c:a:1", "mp2"];
    let languages = ["-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=fra"];
    let options = [&X264[..], &maps, &languages].concat();
    let Some(demuxed) = agrees("languages", &options, &["H264 320x240", "Aac 48000/1", "mp2 48000/1"]) else { return };
    let streams: Vec<_> = demuxed.description.streams.iter().map(|stream| (stream.track, stream.language.as_deref())).collect();
    assert_eq!(streams, [(Some(0), None), (Some(1), Some("deu")), (Some(2), Some("fra"))]);
}

#[test]
fn latm_gives_the_frames_that_adts_gives() {
    if !tools::has(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let with = |name: &str, more: &[&str]| demuxed(&made(name, &[&["-vn", "-c:a", "aac"][..], more].concat()));
    let (adts, latm) = (with("adts", &[]), with("latm", &["-mpegts_flags", "latm"]));
    assert_eq!((adts.tracks, &adts.units), (latm.tracks, &latm.units));
    assert!(adts.units[0].len() > 200);
}

#[test]
fn a_real_clip_and_several_programmes() {
    let Some(clip) = tools::shared("media/bbb-720p25.mp4") else { return tools::left_out("no real clip beside the checkout") };
    if !tools::has(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let clip = clip.to_str().expect("the path is text");
    let path = run_ffmpeg("real", &["-i", clip, "-map", "0", "-c", "copy"]);
    compared(&path, &demuxed(&path));
    let programs = ["-program", "title=sound:st=1", "-program", "title=both:st=0:st=2"];
    let path = run_ffmpeg("programs", &[&["-i", clip, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy"][..], &programs].concat());
    let both = demuxed(&path);
    assert_eq!((both.description.programs.len(), both.description.program, both.tracks.len()), (2, Some(2), 2));
    let first = demuxed_with(&path, Options { program: Some(1) });
    assert_eq!((first.tracks.len(), first.units[0].len()), (1, both.units[1].len()));
}

/// Makes a stream, demultiplexes it, and compares all with ffprobe.
fn agrees(name: &str, options: &[&str], tracks: &[&str]) -> Option<Demuxed> {
    if !tools::has(&["ffmpeg", "ffprobe"]) {
        return None;
    }
    let path = made(name, options);
    let demuxed = demuxed(&path);
    assert_eq!(demuxed.tracks.iter().map(named).collect::<Vec<_>>(), tracks);
    // The arrival time ahead of the first packet of M2TS belongs to no packet that was seen to begin.
    let skipped_bytes = if name == "m2ts" { 4 } else { 0 };
    assert_eq!(demuxed.counters, Counters { skipped_bytes, ..Counters::default() }, "{name}");
    compared(&path, &demuxed);
    Some(demuxed)
}

fn named(track: &Track) -> String {
    match track {
        Track::Video(track) => format!("{:?} {}x{}", track.codec, track.width, track.height),
        Track::Audio(track) if track.codec == AudioCodec::Other => format!("{} {}/{}", track.other, track.sample_rate, track.channels),
        Track::Audio(track) => format!("{:?} {}/{}", track.codec, track.sample_rate, track.channels),
    }
}

fn made(name: &str, options: &[&str]) -> PathBuf {
    run_ffmpeg(name, &[&VIDEO[..], &SOUND, &["-t", "8"], options].concat())
}

fn run_ffmpeg(name: &str, arguments: &[&str]) -> PathBuf {
    std::fs::create_dir_all(tools::scratch()).expect("target/media can be made");
    let path = tools::scratch().join(format!("interop-{name}.ts"));
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments)
        .args(["-f", "mpegts"])
        .arg(&path)
        .output()
        .expect("ffmpeg starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn demuxed(path: &Path) -> Demuxed {
    demuxed_with(path, Options::default())
}

fn demuxed_with(path: &Path, options: Options) -> Demuxed {
    let mut demuxer = Demuxer::new(options);
    let mut events = Vec::new();
    for chunk in std::fs::read(path).expect("the stream was made").chunks(1316) {
        demuxer.receive(chunk, &mut events);
    }
    demuxer.finish(&mut events);
    let mut demuxed =
        Demuxed { tracks: Vec::new(), units: Vec::new(), description: demuxer.description(), counters: demuxer.take_counters() };
    for event in events {
        match event {
            Event::Tracks(tracks) => {
                assert!(demuxed.tracks.is_empty(), "tracks are told once");
                demuxed.units = vec![Vec::new(); tracks.len()];
                demuxed.tracks = tracks;
            }
            Event::Unit { track, dts, offset, entry, data } => {
                let ticks = |flicks: i64| flicks.rem_euclid(WRAP.0) / 7840;
                let nal = demuxed.tracks[usize::from(track)].video().is_some();
                let parts = if nal { units(&data).map(<[u8]>::to_vec).collect() } else { vec![data.to_vec()] };
                demuxed.units[usize::from(track)].push(Read { dts: ticks(dts.0), pts: ticks((dts + offset).0), key: entry, parts });
            }
            Event::Section { .. } => panic!("no sections here"),
        }
    }
    demuxed
}

/// What ffprobe and ffmpeg read of every track's stream, in the same order.
fn compared(path: &Path, demuxed: &Demuxed) {
    for (index, (track, read)) in demuxed.tracks.iter().zip(&demuxed.units).enumerate() {
        let expected = probed(path, index, track);
        assert_eq!(read.len(), expected.len(), "{}: units of track {index}", path.display());
        for (number, (ours, theirs)) in read.iter().zip(&expected).enumerate() {
            let place = format!("{}: track {index}, unit {number}", path.display());
            let apart = |one: i64, other: i64| (one - other).rem_euclid(CLOCK).min((other - one).rem_euclid(CLOCK));
            assert!(apart(ours.dts, theirs.dts) <= 1 && apart(ours.pts, theirs.pts) <= 1, "{place}: {ours:?} {theirs:?}");
            assert_eq!(ours.key, theirs.key, "{place}");
            assert!(ours.parts == theirs.parts, "{place}: bytes differ");
        }
    }
}

fn probed(path: &Path, index: usize, track: &Track) -> Vec<Read> {
    let selected = index.to_string();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", &selected, "-show_packets", "-of", "json"])
        .arg(path)
        .output()
        .expect("ffprobe starts");
    let listing: Value = serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON");
    let map = format!("0:{index}");
    let dump = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-map", &map, "-c", "copy", "-copyts", "-f", "data", "-"])
        .output()
        .expect("ffmpeg starts");
    let mut rest = dump.stdout.as_slice();
    let packets = listing["packets"].as_array().expect("packets");
    let read: Vec<Read> = packets
        .iter()
        .map(|packet| {
            let size: usize = packet["size"].as_str().and_then(|size| size.parse().ok()).expect("size");
            let (data, after) = rest.split_at(size);
            rest = after;
            let time = |key: &str| packet[key].as_i64().expect(key);
            let key = packet["flags"].as_str().is_some_and(|flags| flags.starts_with('K'));
            Read { dts: time("dts"), pts: time("pts"), key, parts: parts(track, data) }
        })
        .collect();
    assert!(rest.is_empty(), "ffprobe and ffmpeg read the same packets");
    read
}

/// A packet of ffmpeg's demuxer in the form of the house.
fn parts(track: &Track, data: &[u8]) -> Vec<Vec<u8>> {
    match track {
        Track::Video(track) => {
            let idle = |unit: &&[u8]| match track.codec {
                VideoCodec::Hevc => matches!(unit[0] >> 1, 35 | 38),
                _ => matches!(unit[0] & 0x1f, 9 | 12),
            };
            annex_b(data).filter(|unit| !idle(unit)).map(<[u8]>::to_vec).collect()
        }
        Track::Audio(track) if track.codec == AudioCodec::Aac => vec![parse_adts(data).expect("ADTS").raw(data).expect("whole").to_vec()],
        Track::Audio(_) => vec![data.to_vec()],
    }
}
