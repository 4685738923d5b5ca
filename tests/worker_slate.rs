//! A worker that shows a picture or a clip where there is no input.

mod worker_support;

use std::fs::File;
use std::path::Path;

use headend::base::Fault;
use headend::codec::software::{Resampler, SoundDecoder};
use headend::media::{AccessUnit, Slot, Track};
use headend::wire::link::{Fill, FromWorker, Open, ToWorker};
use worker_support::*;

const SIZE: (u32, u32) = (640, 360);

fn open() -> Open {
    let mut open = live();
    open.rungs = vec![rung("360p", 640, 360, 6_000_000)];
    open.fill = Fill::File;
    open
}

fn worker(slate: &Path) -> Worker {
    Worker::codec_with(open(), Some(File::open(slate).unwrap()))
}

/// The pictures of the only rung after having run for so many slots.
fn shown(directory: &Path, said: &Said, slots: i64) -> Vec<Vec<u8>> {
    assert_fills_slots(said, 0, START..START + slots);
    assert_unbroken_audio(said, 1, grid().start(Slot(START)), grid().start(Slot(START + slots)));
    decoded(directory, &said.configs[0], &said.rung(0))
}

fn advance(worker: &mut Worker, slots: std::ops::RangeInclusive<i64>) {
    slots.for_each(|slot| worker.advance(START + slot));
}

#[test]
fn a_png_and_a_jpeg_are_fitted_padded_and_stand() {
    for name in ["slate.png", "slate.jpg"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        // A square: black bars left and right.
        ffmpeg(&["-f", "lavfi", "-i", "testsrc2=size=500x500:rate=1", "-frames:v", "1", path.to_str().unwrap()]);
        let mut worker = worker(&path);
        advance(&mut worker, 1..=50);
        let (said, status) = worker.drain();
        assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
        let shown = shown(directory.path(), &said, 50);
        let expected = directory.path().join("expected.mkv");
        let fitted = "scale=360:360,pad=640:360:140:0";
        ffmpeg(&[
            "-i",
            path.to_str().unwrap(),
            "-vf",
            fitted,
            "-c:v",
            "libx264",
            "-qp",
            "0",
            "-pix_fmt",
            "yuv420p",
            expected.to_str().unwrap(),
        ]);
        let expected = &pictures(directory.path(), &expected, SIZE)[0];
        for (slot, picture) in shown.iter().enumerate().skip(1) {
            let quality = psnr(picture, expected, SIZE);
            assert!(quality > 24.0, "{name}: slot {slot} has {quality:.1} dB");
        }
    }
}

#[test]
fn a_clip_of_another_rate_runs_on_the_grid_over_and_over_and_from_its_beginning_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let slate = directory.path().join("slate.mp4");
    let fast = "testsrc2=size=640x360:rate=50:duration=1";
    ffmpeg(&["-f", "lavfi", "-i", fast, "-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p", slate.to_str().unwrap()]);
    let source = directory.path().join("grid.mkv");
    let every_other = "select='not(mod(n,2))'";
    ffmpeg(&["-i", slate.to_str().unwrap(), "-vf", every_other, "-r", "25", "-c:v", "libx264", "-qp", "0", source.to_str().unwrap()]);
    let clip = pictures(directory.path(), &source, SIZE);
    assert_eq!(clip.len(), 25);
    let input = directory.path().join("input.mkv");
    ffmpeg(&["-f", "lavfi", "-i", "color=gray:size=640x360:rate=25:duration=1", "-c:v", "libx264", "-bf", "0", input.to_str().unwrap()]);
    let input = demuxed(&input);

    let mut worker = worker(&slate);
    advance(&mut worker, 1..=60);
    worker.feed(&input, START + 60);
    worker.say(ToWorker::InputEnd);
    advance(&mut worker, 86..=110);
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    let shown = shown(directory.path(), &said, 110);
    let matches = |slot: usize, wanted: usize| psnr(&shown[slot], &clip[wanted], SIZE);
    for slot in 0..60 {
        let quality = matches(slot, slot % 25);
        assert!(quality > 26.0, "slot {slot}: {quality:.1} dB");
    }
    for slot in 85..110 {
        let quality = matches(slot, slot - 85);
        assert!(quality > 26.0, "slot {slot} after the input: {quality:.1} dB");
    }
    assert!(psnr(&shown[70], &clip[10], SIZE) < 20.0);
}

#[test]
fn the_sound_of_a_clip_goes_with_its_pictures() {
    let directory = tempfile::tempdir().unwrap();
    let slate = directory.path().join("slate.mp4");
    // A flash and a beep in the middle of each second, black and silent else.
    let flash = "color=black:size=640x360:rate=25:duration=1,geq=lum='if(between(N,12,13),235,16)':cb=128:cr=128";
    let beep = "aevalsrc='if(between(t,0.48,0.56),0.5*sin(6283*t),0)':sample_rate=44100:duration=1";
    ffmpeg(&["-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", beep, "-pix_fmt", "yuv420p", "-c:a", "aac", slate.to_str().unwrap()]);
    let mut worker = worker(&slate);
    // Slot by slot and no faster than pictures come out, as a clock does it.
    for slot in 1..=100 {
        worker.advance(START + slot);
        worker.wait_for_packets(0, (slot - 30).max(0) as usize);
    }
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    let shown = shown(directory.path(), &said, 100);
    let bright = |picture: &[u8]| picture[180 * 640 + 320] > 120;
    let flashes: Vec<usize> = (0..100).filter(|slot| bright(&shown[*slot])).collect();
    assert_eq!(flashes, [12, 13, 37, 38, 62, 63, 87, 88]);
    let Track::Audio(track) = &said.configs[1].track else { panic!("no sound") };
    let (mut decoder, mut resampler) = (SoundDecoder::open(track).unwrap(), Resampler::new(48_000, track.channels));
    let (mut sounds, mut samples) = (Vec::new(), vec![Vec::new(); usize::from(track.channels)]);
    for packet in said.rung(1) {
        let unit = AccessUnit { track: 0, pts: packet.pts, dts: packet.dts, entry: true, data: packet.data.clone() };
        decoder.decode(&unit, &mut sounds).unwrap();
    }
    for sound in &sounds {
        resampler.convert(sound, &mut samples).unwrap();
    }
    let begin = sounds[0].pts().in_scale(48_000) - grid().start(Slot(START)).in_scale(48_000);
    let loud = |sample: f32| sample.abs() > 0.1;
    for second in 1..4i64 {
        // Every beep lasts 80 ms, as the two pictures of its flash do.
        let expected = second * 48_000 + 23_040;
        let window = (expected - 12_000 - begin) as usize..(expected + 12_000 - begin) as usize;
        let first = window.clone().find(|index| loud(samples[0][*index])).expect("a beep") as i64 + begin;
        let last = window.rev().find(|index| loud(samples[0][*index])).expect("a beep") as i64 + begin;
        assert!((first - expected).abs() < 480, "second {second}: {} samples away", first - expected);
        assert!((last - first - 3840).abs() < 480, "second {second}: {} samples long", last - first);
    }
}

#[test]
fn a_file_that_is_no_slate_is_told_once_and_the_plain_slate_shows() {
    let directory = tempfile::tempdir().unwrap();
    let noise = directory.path().join("noise.png");
    let bytes: Vec<u8> = (0..40_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(&noise, bytes).unwrap();
    let cut = directory.path().join("cut.png");
    ffmpeg(&["-f", "lavfi", "-i", "testsrc2=size=500x500:rate=1", "-frames:v", "1", cut.to_str().unwrap()]);
    let whole = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &whole[..60]).unwrap();
    for path in [&noise, &cut, Path::new("/dev/null")] {
        let mut worker = worker(path);
        advance(&mut worker, 1..=50);
        let (said, status) = worker.drain();
        assert!(status.success(), "{path:?}");
        let [FromWorker::Fault { fault: Fault::Config, place, detail }] = &said.faults[..] else { panic!("{path:?}: {:?}", said.faults) };
        assert!(place == "slate" && detail.contains("plain slate"), "{detail}");
        let shown = shown(directory.path(), &said, 50);
        // Dark gray with the channel's name on it.
        assert!(shown[49][20 * 640 + 20].abs_diff(24) < 4);
    }
}
