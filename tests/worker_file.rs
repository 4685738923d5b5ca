//! Files through both roles of the worker.

mod worker_support;

use std::fs::File;

use headend::base::MediaTime;
use headend::media::{AudioCodec, Track, VideoCodec};
use headend::wire::link::{FromWorker, ToWorker};
use worker_support::*;

fn video_times(clip: &Clip) -> Vec<i64> {
    let mut times: Vec<i64> = clip.units.iter().filter(|unit| unit.track == 0).map(|unit| unit.pts.in_scale(25)).collect();
    times.sort_unstable();
    times
}

#[test]
fn every_container_gives_the_same_tracks_and_times() {
    let directory = tempfile::tempdir().unwrap();
    for (name, more) in [
        ("clip.mp4", &[][..]),
        ("clip.mkv", &[]),
        ("clip.ts", &[]),
        ("clip.flv", &[]),
        ("clip.h264", &["-an"]),
        ("hevc.mp4", &["-c:v", "libx265"]),
        ("hevc.ts", &["-c:v", "libx265"]),
    ] {
        let more: Vec<&str> = more
            .iter()
            .copied()
            .chain(if name.starts_with("hevc") { &["-x265-params", "log-level=none"][..] } else { &[] }.iter().copied())
            .collect();
        let clip = demuxed(&make_clip(directory.path(), name, "320x180", 3, &more));
        assert!(clip.ended);
        let Track::Video(video) = &clip.tracks[0] else { panic!("{name}: no video") };
        assert_eq!(video.codec, if name.starts_with("hevc") { VideoCodec::Hevc } else { VideoCodec::H264 }, "{name}");
        assert_eq!((video.width, video.height, video.config[0]), (320, 180, 1), "{name}");
        assert_eq!(video_times(&clip), (0..75).collect::<Vec<i64>>(), "{name}");
        assert!(clip.units.iter().filter(|unit| unit.track == 0).all(|unit| unit.dts <= unit.pts), "{name}");
        if let Some(Track::Audio(audio)) = clip.tracks.get(1) {
            assert_eq!(audio.codec, if name.ends_with(".ts") { AudioCodec::Other } else { AudioCodec::Aac }, "{name}");
            assert!(clip.units.iter().any(|unit| unit.track == 1 && unit.pts.0.abs() < MediaTime::from_scale(1, 10).0), "{name}");
        } else {
            assert_eq!(name, "clip.h264");
        }
    }
}

#[test]
fn a_transcoded_file_has_its_pictures_and_its_sound() {
    let directory = tempfile::tempdir().unwrap();
    let path = make_clip(directory.path(), "clip.mp4", "640x360", 4, &[]);
    let clip = demuxed(&path);
    let mut worker = Worker::codec(file(vec![rung("360p", 640, 360, 3_000_000), rung("180p", 320, 180, 400_000)]));
    worker.feed(&clip, 0);
    worker.say(ToWorker::InputEnd);
    let (said, status) = worker.drain();
    assert!(status.success() && said.drained && said.faults.is_empty(), "{:?}", said.faults);
    assert_fills_slots(&said, 0, 0..100);
    assert_fills_slots(&said, 1, 0..100);
    let size = (640, 360);
    let source = pictures(directory.path(), &path, size);
    let shown = decoded(directory.path(), &said.configs[0], &said.rung(0));
    let mean = source.iter().zip(&shown).map(|(one, other)| psnr(one, other, size)).sum::<f64>() / 100.0;
    assert!(mean > 35.0, "{mean:.1} dB");
    assert_unbroken_audio(&said, 2, MediaTime(0), MediaTime::from_scale(4, 1));
}

#[test]
fn a_raw_stream_with_b_pictures_is_shown_in_the_right_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = make_clip(directory.path(), "clip.h264", "320x180", 3, &["-an", "-bf", "3"]);
    let clip = demuxed(&path);
    let mut worker = Worker::codec(file(vec![rung("180p", 320, 180, 1_500_000)]));
    worker.feed(&clip, 0);
    let (said, _) = worker.drain();
    assert_eq!(said.configs.len(), 1, "a file without sound has no audio rung");
    assert_fills_slots(&said, 0, 0..75);
    let size = (320, 180);
    let (source, shown) = (pictures(directory.path(), &path, size), decoded(directory.path(), &said.configs[0], &said.rung(0)));
    assert!(source.iter().zip(&shown).all(|(one, other)| psnr(one, other, size) > 28.0));
}

#[test]
fn a_file_at_another_rate_is_put_on_the_grid() {
    let directory = tempfile::tempdir().unwrap();
    let clip = demuxed(&make_clip(directory.path(), "clip.mp4", "320x180", 2, &["-r", "10"]));
    let mut worker = Worker::codec(file(vec![rung("180p", 320, 180, 800_000)]));
    worker.feed(&clip, 0);
    let (said, _) = worker.drain();
    let last = clip.units.iter().filter(|unit| unit.track == 0).map(|unit| grid().nearest(unit.pts).0).max().unwrap();
    assert!(said.faults.is_empty());
    assert_fills_slots(&said, 0, 0..last + 1);
}

#[test]
fn what_is_no_media_file_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter.txt");
    std::fs::write(&path, "Dear viewer, ".repeat(1000)).unwrap();
    let (mut child, link) = spawn("file", Some(File::open(&path).unwrap()));
    let mut faults = Vec::new();
    for_each_message(link, |message, _| faults.push(message));
    assert!(!child.wait().unwrap().success());
    assert!(matches!(&faults[..], [FromWorker::Fault { place, .. }] if place == "file"), "{faults:?}");
}

#[test]
fn a_front_that_has_seen_enough_of_a_file_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let path = make_clip(directory.path(), "clip.mp4", "640x360", 3, &["-crf", "1"]);
    let (mut child, link) = spawn("file", Some(File::open(path).unwrap()));
    drop(link);
    assert!(child.wait().unwrap().success());
}
