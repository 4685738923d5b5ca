//! The sound of a live channel's worker, as it is heard.

mod worker_support;

use headend::base::Ticks;
use headend::codec::software::{Resampler, SoundDecoder};
use headend::media::{AccessUnit, Slot, Track};
use headend::wire::link::ToWorker;
use worker_support::*;

const RATE: i64 = 48_000;

/// The first channel of the audio rung, and the index of its first sample since the origin.
fn heard(said: &Said) -> (i64, Vec<f32>) {
    let number = said.configs.len() as u8 - 1;
    let Track::Audio(track) = &said.configs[usize::from(number)].track else { panic!("no sound") };
    let mut decoder = SoundDecoder::open(track).unwrap();
    let mut resampler = Resampler::new(RATE as u32, track.channels);
    let mut samples = vec![Vec::new(); usize::from(track.channels)];
    let packets = said.rung(number);
    let mut sounds = Vec::new();
    for packet in &packets {
        let unit = AccessUnit { track: 0, pts: packet.pts, dts: packet.dts, entry: true, data: packet.data.clone() };
        decoder.decode(&unit, &mut sounds).unwrap();
    }
    for sound in &sounds {
        resampler.convert(sound, &mut samples).unwrap();
    }
    (sounds[0].pts().in_scale(RATE as u32), samples.swap_remove(0))
}

/// The centre of the sound within 100 ms of an instant, in samples since the origin.
fn centre(heard: &(i64, Vec<f32>), at: i64) -> f64 {
    let (mut weight, mut sum) = (0.0, 0.0);
    for index in at - RATE / 10..at + RATE / 10 {
        let power = f64::from(heard.1[(index - heard.0) as usize]).powi(2);
        weight += power;
        sum += power * (index - at) as f64;
    }
    assert!(weight > 1.0, "nothing is heard there");
    sum / weight
}

#[test]
fn an_ordered_rate_moves_the_sound_by_that_much_and_leaves_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("beeps.mkv");
    // 20 ms of tone in the middle of every second.
    let beeps = "aevalsrc='if(between(mod(t,1),0.49,0.51),0.5*sin(6283*t),0)':sample_rate=48000:duration=13";
    let picture = "color=gray:size=64x64:rate=25:duration=13";
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        picture,
        "-f",
        "lavfi",
        "-i",
        beeps,
        "-c:v",
        "libx264",
        "-bf",
        "0",
        "-c:a",
        "aac",
        path.to_str().unwrap(),
    ]);
    let clip = demuxed(&path);
    let start = grid().start(Slot(START));
    let run = |ppm: i32| {
        let mut open = live();
        open.rungs = vec![rung("small", 64, 64, 100_000)];
        let mut worker = Worker::codec(open);
        worker.say(ToWorker::AudioRate { ppm });
        worker.feed(&clip, START);
        worker.say(ToWorker::InputEnd);
        let (said, status) = worker.drain();
        assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
        assert_unbroken_audio(&said, 1, start, start + Ticks::from_millis(12_900));
        let heard = heard(&said);
        let beep = |second: i64| centre(&heard, start.in_scale(RATE as u32) + second * RATE + RATE / 2);
        beep(12) - beep(0)
    };
    let steady = run(0);
    assert!(steady.abs() < 20.0, "{steady}");
    for ppm in [-300, 300] {
        let moved = run(ppm) - steady;
        let expected = 12.0 * RATE as f64 * f64::from(ppm) / 1e6;
        assert!((moved - expected).abs() < 10.0, "{ppm} ppm moved the sound by {moved:.1} samples instead of {expected:.1}");
    }
}
