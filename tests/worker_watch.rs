//! What a worker tells of its input: frozen, black and silent clips made by ffmpeg.

mod worker_support;

use std::path::Path;

use headend::base::Ticks;
use headend::wire::link::{FromWorker, ToWorker, Watch};
use worker_support::*;

fn second() -> Option<Ticks> {
    Some(Ticks::from_millis(1000))
}

/// A clip of these filter graphs.
fn clip(directory: &Path, video: &str, audio: &str, more: &[&str]) -> Clip {
    let path = directory.join("clip.mkv");
    let mut arguments = vec!["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio, "-c:v", "libx264", "-preset", "veryfast", "-g", "25"];
    arguments.extend_from_slice(&["-bf", "0", "-c:a", "aac", "-ac", "2", "-shortest"]);
    arguments.extend_from_slice(more);
    let target = path.to_str().unwrap().to_owned();
    arguments.push(&target);
    ffmpeg(&arguments);
    demuxed(&path)
}

/// Every set of conditions that was told, one after the other, each once: frozen, black, silence.
fn told(clip: &Clip, end: bool) -> Vec<(bool, bool, bool)> {
    let mut open = live();
    open.watch = Watch { freeze_after: second(), black_after: second(), silence_after: second(), ..Watch::default() };
    let mut worker = Worker::codec(open);
    worker.feed(clip, START);
    if end {
        worker.say(ToWorker::InputEnd);
    }
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    let conditions = said.sights.iter().map(|sight| match sight {
        FromWorker::Picture { frozen, black, silence, .. } => (*frozen, *black, *silence),
        other => panic!("{other:?}"),
    });
    let mut conditions: Vec<(bool, bool, bool)> = conditions.collect();
    conditions.dedup();
    conditions
}

fn last(clip: &Clip) -> (bool, bool, bool) {
    told(clip, false).last().copied().unwrap_or_default()
}

const MOVING: &str = "testsrc2=size=640x360:rate=25:duration=3";
const TONE: &str = "sine=frequency=440:sample_rate=48000:duration=3";

#[test]
fn a_moving_picture_with_sound_is_none_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let clip = clip(directory.path(), MOVING, TONE, &["-pix_fmt", "yuv420p"]);
    assert_eq!(last(&clip), (false, false, false));
}

#[test]
fn a_picture_that_an_encoder_codes_again_and_again_is_frozen() {
    let directory = tempfile::tempdir().unwrap();
    let frozen = "testsrc2=size=640x360:rate=25,loop=loop=-1:size=1,trim=duration=3,setpts=N/25/TB,noise=alls=5:allf=t";
    let clip = clip(directory.path(), frozen, TONE, &["-pix_fmt", "yuv420p", "-b:v", "600k"]);
    assert_eq!(last(&clip), (true, false, false));
    // When the input ends, so do the conditions.
    assert_eq!(told(&clip, true).last(), Some(&(false, false, false)));
}

#[test]
fn black_is_seen_in_eight_and_ten_bits_and_in_full_range() {
    let black = "color=black:size=640x360:rate=25:duration=3,noise=alls=3:allf=t";
    for more in [&["-pix_fmt", "yuv420p"][..], &["-pix_fmt", "yuv422p10le"], &["-pix_fmt", "yuvj420p"]] {
        let directory = tempfile::tempdir().unwrap();
        let clip = clip(directory.path(), black, TONE, more);
        assert!(last(&clip).1, "{more:?}");
    }
    let gray = "color=0x505050:size=640x360:rate=25:duration=3";
    let directory = tempfile::tempdir().unwrap();
    let clip = clip(directory.path(), gray, TONE, &["-pix_fmt", "yuv422p10le"]);
    assert_eq!(last(&clip), (true, false, false));
}

#[test]
fn silence_is_told_and_taken_back_when_sound_returns() {
    let directory = tempfile::tempdir().unwrap();
    let pause = "aevalsrc='if(between(t,0.5,2.2),0,0.2*sin(2764*t))':sample_rate=48000:duration=3";
    let clip = clip(directory.path(), MOVING, pause, &["-pix_fmt", "yuv420p"]);
    let changes = told(&clip, false);
    assert_eq!(changes.iter().filter(|(_, _, silence)| *silence).count(), 1, "{changes:?}");
    assert_eq!(changes.last(), Some(&(false, false, false)));
    let directory = tempfile::tempdir().unwrap();
    let silent = self::clip(directory.path(), MOVING, "anullsrc=sample_rate=48000", &["-pix_fmt", "yuv420p"]);
    assert_eq!(last(&silent), (false, false, true));
}

#[test]
fn thumbnails_of_the_input_come_every_so_often_and_never_of_the_pattern() {
    let directory = tempfile::tempdir().unwrap();
    let clip = clip(directory.path(), "testsrc2=size=1280x720:rate=25:duration=3", TONE, &["-pix_fmt", "yuv420p10le"]);
    let mut open = live();
    open.thumbnail_every = second();
    let mut worker = Worker::codec(open);
    worker.advance(START + 10);
    // Half a second ahead of what has come out: a worker that is a second behind makes no thumbnails.
    worker.say(ToWorker::Tracks(clip.tracks.clone()));
    let shift = grid().start(headend::media::Slot(START + 10)) - headend::base::MediaTime(0);
    for (index, unit) in clip.units.iter().filter(|unit| unit.track == 0).enumerate() {
        worker.say_with(ToWorker::Au { track: 0, pts: unit.pts + shift, dts: unit.dts + shift, entry: unit.entry }, &unit.data);
        // Ten slots of pattern came before; the encoder holds some pictures back.
        worker.wait_for_packets(0, index.saturating_sub(2));
    }
    worker.say(ToWorker::InputEnd);
    worker.advance(START + 200);
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    assert_eq!(said.thumbnails.len(), 3);
    for (index, (message, data)) in said.thumbnails.iter().enumerate() {
        let FromWorker::Thumbnail { pts, width: 320, height: 180 } = message else { panic!("{message:?}") };
        assert_eq!(grid().nearest(*pts).0, START + 10 + 25 * index as i64);
        let path = directory.path().join("thumbnail.jpg");
        std::fs::write(&path, data).unwrap();
        assert!(data.len() <= 64 << 10 && contrast(&pictures(directory.path(), &path, (320, 180))[0], (320, 180)) > 60);
    }
}
