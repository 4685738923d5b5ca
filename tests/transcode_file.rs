//! `headend transcode` makes a directory that plays from any web server.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{hls, media, mp4, tools};
use tempfile::TempDir;

const LADDER: &str = "[[ladder.test]]\nname = \"360p\"\nheight = 360\nbitrate = \"600k\"\npreset = \"ultrafast\"\n\n\
                      [[ladder.test]]\nname = \"180p\"\nheight = 180\nbitrate = \"200k\"\npreset = \"ultrafast\"\n";

#[test]
fn a_file_becomes_a_directory_that_decodes_without_a_complaint() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = transcoded(&media::B_FRAMES.mp4(), &folder, &["--format", "cmaf,ts"]);
    let master = text(&out.join("master.m3u8"));
    let master = hls::multivariant(&master).unwrap_or_else(|cause| panic!("{cause}\n{master}"));
    for uri in master.variants.iter().chain(&master.media).filter_map(|entry| entry.get("URI")) {
        let file = out.join(uri);
        let playlist = hls::media(&text(&file)).unwrap_or_else(|cause| panic!("{uri}: {cause}"));
        assert!(playlist.ended && playlist.kind == "VOD", "{uri}");
        let length_s: f64 = playlist.segments.iter().map(|segment| segment.duration_s).sum();
        assert!((length_s - 60.0).abs() < 0.1, "{uri} lasts {length_s} s");
        check_segments(&file, &playlist);
    }
    for (name, pictures) in [("360p/playlist.m3u8", 1500), ("180p/playlist.m3u8", 1500), ("ts/master.m3u8", 1500), ("manifest.mpd", 1500)] {
        let (decoded, complaints) = media::decoded(&out.join(name).display().to_string(), 70);
        assert_eq!(complaints, Vec::<String>::new(), "{name}");
        assert_eq!(decoded, pictures, "{name}");
    }
}

#[test]
fn a_file_in_any_container_will_do() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    for (container, codecs) in [("mkv", "-c copy"), ("mov", "-c copy"), ("ts", "-c copy"), ("avi", "-c:v mpeg4 -q:v 6 -c:a libmp3lame")] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let input = folder.path().join(format!("clip.{container}"));
        let converted = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(media::PLAIN.mp4())
            .args(["-t", "5"])
            .args(codecs.split(' '))
            .arg(&input)
            .status();
        assert!(converted.is_ok_and(|status| status.success()), "{container}");
        let out = transcoded(&input, &folder, &[]);
        let (pictures, complaints) = media::decoded(&out.join("360p/playlist.m3u8").display().to_string(), 10);
        assert_eq!(complaints, Vec::<String>::new(), "{container}");
        assert!((123..=126).contains(&pictures), "{container}: {pictures} pictures of 125");
    }
}

#[test]
fn a_file_that_is_no_media_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("noise.mp4");
    std::fs::write(&input, [0x5a; 100_000]).expect("a file");
    for input in [input, folder.path().join("absent.mp4")] {
        let run =
            Command::new(env!("CARGO_BIN_EXE_headend")).arg("transcode").arg(&input).arg("--out").arg(folder.path().join("out")).output();
        let run = run.expect("headend runs");
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success(), "{input:?} was taken");
        let name = input.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(said.contains(&name) && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_broken_file_gives_what_can_be_decoded() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut data = std::fs::read(media::PLAIN.flv()).expect("the clip");
    data.truncate(data.len() / 4);
    for at in (20_000..data.len()).step_by(5_003) {
        data[at] ^= 0x55;
    }
    let input = folder.path().join("broken.flv");
    std::fs::write(&input, data).expect("a file");
    let out = transcoded(&input, &folder, &[]);
    let (pictures, complaints) = media::decoded(&out.join("360p/playlist.m3u8").display().to_string(), 30);
    assert_eq!(complaints, Vec::<String>::new(), "what comes out is whole");
    assert!(pictures > 100, "{pictures} pictures");
}

fn transcoded(input: &Path, folder: &TempDir, more: &[&str]) -> PathBuf {
    let ladder = folder.path().join("ladder.toml");
    std::fs::write(&ladder, LADDER).expect("a file");
    let out = folder.path().join("out");
    let run = Command::new(env!("CARGO_BIN_EXE_headend"))
        .arg("transcode")
        .arg(input)
        .arg("--out")
        .arg(&out)
        .arg("--ladder")
        .arg(&ladder)
        .args(["--segment", "4s"])
        .args(more)
        .output()
        .expect("headend runs");
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    out
}

fn check_segments(file: &Path, playlist: &hls::Media) {
    let folder = file.parent().expect("a playlist lies in a folder");
    for segment in playlist.segments.iter().filter(|segment| !segment.map.is_empty()) {
        let init = mp4::init(&std::fs::read(folder.join(&segment.map)).expect("the map is there"))
            .unwrap_or_else(|cause| panic!("{file:?}: {cause}"));
        let body = std::fs::read(folder.join(&segment.uri)).expect("the segment is there");
        mp4::fragments(&init, &body).unwrap_or_else(|cause| panic!("{}: {cause}", segment.uri));
    }
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()))
}
