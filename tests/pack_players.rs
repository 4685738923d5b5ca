//! Real pictures and sound through the packagers: FFmpeg reads back every frame without a complaint.
//!
//! Debian's ffmpeg makes a short clip; its packets, as ffprobe lists them, are packaged as a file is and as a live
//! programme of today is, and ffmpeg decodes each of the three presentations from the directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use headend::base::{MediaTime, Rate, Ticks};
use headend::media::{AudioCodec, AudioTrack, Packet, Track, VideoCodec, VideoTrack};
use headend::pack::{Change, OutputTrack, Packager, Presentation, SegmentSet, Window};

const RATE: Rate = Rate::new(25, 1);
const SEGMENT: Ticks = Ticks::from_millis(4000);
const SECONDS: usize = 10;

/// What a clip is made of.
struct Kind {
    video: VideoCodec,
    video_arguments: &'static [&'static str],
    audio: AudioCodec,
    audio_arguments: &'static [&'static str],
}

struct Clip {
    video: Track,
    pictures: Vec<Packet>,
    audio: Track,
    sounds: Vec<Packet>,
}

fn output(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap_or_else(|cause| panic!("{program} is needed: {cause}"));
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && errors.trim().is_empty(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Encodes the clip.
fn encode(directory: &Path, kind: &Kind) -> PathBuf {
    let path = directory.join("clip.mp4");
    let picture = format!("testsrc2=size=320x180:rate=25:duration={SECONDS}");
    let tone = format!("sine=frequency=440:sample_rate=48000:duration={SECONDS}");
    let mut arguments = vec!["-v", "error", "-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone, "-pix_fmt", "yuv420p"];
    arguments.extend(["-g", "50", "-ac", "2", "-strict", "experimental"]);
    arguments.extend(kind.video_arguments.iter().chain(kind.audio_arguments));
    arguments.push(path.to_str().unwrap());
    let done = Command::new("ffmpeg").args(&arguments).output().expect("ffmpeg is needed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    path
}

/// The decoder configuration as ffprobe dumps it.
fn configuration(path: &str, stream: &str) -> Bytes {
    let text = output("ffprobe", &["-v", "error", "-select_streams", stream, "-show_streams", "-show_data", path]);
    let dump = text.split("extradata=").nth(1).expect("a configuration");
    let lines = dump.lines().skip(1).take_while(|line| line.starts_with("0000"));
    let digits = |line: &str| line[10..49.min(line.len())].chars().filter(char::is_ascii_hexdigit).collect::<String>();
    let hex: String = lines.map(digits).collect();
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

/// Packets of a stream with the times of its timescale; decode times count as presentation times do.
fn packets(path: &str, file: &Bytes, stream: &str, rung: u8) -> Vec<Packet> {
    let scale = output("ffprobe", &["-v", "error", "-select_streams", stream, "-show_entries", "stream=time_base", "-of", "csv=p=0", path]);
    let scale: u32 = scale.trim().trim_start_matches("1/").parse().unwrap();
    let fields = "packet=pts,duration,size,pos,flags";
    let listed = output("ffprobe", &["-v", "error", "-select_streams", stream, "-show_entries", fields, "-of", "csv=p=0", path]);
    let mut out = Vec::new();
    // Side data has lines of its own.
    for fields in listed.lines().map(|line| line.split(',').collect::<Vec<&str>>()).filter(|fields| fields.len() >= 5) {
        let number = |index: usize| fields[index].parse::<i64>().unwrap();
        let (size, place) = (number(2) as usize, number(3) as usize);
        let pts = MediaTime::from_scale(number(0), scale);
        let duration = Ticks::from_scale(number(1), scale);
        let key = fields[4].starts_with('K');
        out.push(Packet { rung, pts, dts: pts, duration, key, data: file.slice(place..place + size) });
    }
    // Priming lies before zero and is not presented.
    out.retain(|packet| packet.pts.0 >= 0);
    let mut sorted: Vec<MediaTime> = out.iter().map(|packet| packet.pts).collect();
    sorted.sort();
    out.iter_mut().zip(sorted).for_each(|(packet, dts)| packet.dts = dts);
    out
}

fn clip(directory: &Path, kind: &Kind) -> Clip {
    let path = encode(directory, kind);
    let file = Bytes::from(std::fs::read(&path).unwrap());
    let path = path.to_str().unwrap();
    let video = VideoTrack {
        codec: kind.video,
        other: String::new(),
        config: configuration(path, "v:0"),
        width: 320,
        height: 180,
        rate: Some(RATE),
    };
    let audio =
        AudioTrack { codec: kind.audio, other: String::new(), config: configuration(path, "a:0"), sample_rate: 48_000, channels: 2 };
    Clip {
        video: Track::Video(video),
        pictures: packets(path, &file, "v:0", 0),
        audio: Track::Audio(audio),
        sounds: packets(path, &file, "a:0", 1),
    }
}

fn tracks(clip: &Clip) -> Vec<OutputTrack> {
    let reorder = clip.pictures.iter().map(|packet| packet.dts - packet.pts).max().unwrap();
    let output = |name: &str, track: &Track, rate, reorder| OutputTrack {
        name: name.into(),
        track: track.clone(),
        bitrate_bps: 0,
        peak_bps: 0,
        rate,
        reorder,
    };
    vec![output("180p", &clip.video, Some(RATE), reorder), output("audio", &clip.audio, None, Ticks::ZERO)]
}

/// Packages the clip, `shift` later than it is.
fn package(clip: &Clip, directory: &Path, window: Window, shift: Ticks) {
    let (name, tracks) = ("clip".to_string(), tracks(clip));
    let presentation = Presentation { channel: name, tracks, segment: SEGMENT, window, cmaf: true, ts: true };
    let mut packager = Packager::new(presentation).unwrap();
    let end = MediaTime(0) + Ticks::from_millis(SECONDS as i64 * 1000);
    let mut start = MediaTime(0);
    let mut number = 1;
    while start < end {
        let stop = (start + SEGMENT).min(end);
        let within = |packets: &[Packet]| {
            let chosen = packets.iter().filter(|packet| start <= packet.dts && packet.dts < stop);
            let moved = |packet: &Packet| Packet { pts: packet.pts + shift, dts: packet.dts + shift, ..packet.clone() };
            Some(chosen.map(moved).collect::<Vec<_>>())
        };
        let packets = vec![within(&clip.pictures), within(&clip.sounds)];
        let set = SegmentSet { number, start: start + shift, duration: stop - start, discontinuity: false, packets };
        write(directory, packager.push(set).unwrap());
        (start, number) = (stop, number + 1);
    }
    write(directory, packager.finish().unwrap());
}

fn write(directory: &Path, changes: Vec<Change>) {
    for change in changes {
        let Change::Put { path, body, .. } = change else { panic!("a file was removed") };
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }
}

/// Frames that a decoder makes of the first stream of a kind; any complaint fails.
fn frames(entry: &Path, stream: &str) -> usize {
    let path = entry.to_str().unwrap();
    let probe =
        ["-v", "error", "-count_frames", "-select_streams", stream, "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path];
    let text = output("ffprobe", &probe);
    text.lines().find_map(|line| line.trim().trim_end_matches(',').parse().ok()).unwrap_or_else(|| panic!("no frames in {path}: {text:?}"))
}

/// Every frame decodes, nothing is complained about, and the times span the clip.
fn judge(entry: &Path, clip: &Clip) {
    assert_eq!(frames(entry, "v:0"), clip.pictures.len(), "pictures of {}", entry.display());
    assert_eq!(frames(entry, "a:0"), clip.sounds.len(), "sounds of {}", entry.display());
    let path = entry.to_str().unwrap();
    output("ffmpeg", &["-v", "error", "-i", path, "-map", "0:v:0", "-map", "0:a:0", "-f", "null", "-"]);
}

fn plays(kind: &Kind, entries: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let clip = clip(directory.path(), kind);
    assert_eq!(clip.pictures.len(), SECONDS * 25);
    let today = MediaTime::from_scale(1_790_000_004, 1) - MediaTime(0);
    for (name, window, shift) in [("vod", Window::Vod, Ticks::ZERO), ("event", Window::Event, today)] {
        let root = directory.path().join(name);
        package(&clip, &root, window, shift);
        entries.iter().for_each(|entry| judge(&root.join(entry), &clip));
    }
}

#[test]
fn h264_and_aac_play_as_hls_dash_and_ts() {
    let kind = Kind {
        video: VideoCodec::H264,
        video_arguments: &["-c:v", "libx264", "-preset", "superfast", "-bf", "2", "-sc_threshold", "0"],
        audio: AudioCodec::Aac,
        audio_arguments: &["-c:a", "aac"],
    };
    plays(&kind, &["master.m3u8", "manifest.mpd", "ts/master.m3u8"]);
}

#[test]
fn hevc_and_aac_play_as_hls_dash_and_ts() {
    const PARAMETERS: &str = "log-level=none:keyint=50:min-keyint=50:scenecut=0:open-gop=0:bframes=2";
    let kind = Kind {
        video: VideoCodec::Hevc,
        video_arguments: &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", PARAMETERS, "-tag:v", "hvc1"],
        audio: AudioCodec::Aac,
        audio_arguments: &["-c:a", "aac"],
    };
    plays(&kind, &["master.m3u8", "manifest.mpd", "ts/master.m3u8"]);
}

#[test]
fn av1_and_opus_play_as_hls_and_dash() {
    let kind = Kind {
        video: VideoCodec::Av1,
        video_arguments: &["-c:v", "libsvtav1", "-preset", "12"],
        audio: AudioCodec::Opus,
        audio_arguments: &["-c:a", "libopus"],
    };
    plays(&kind, &["master.m3u8", "manifest.mpd"]);
}
