//! A live channel's worker, driven over its link: every slot once, on every rung, whatever the input does.

mod worker_support;

use headend::base::{MediaTime, Ticks};
use headend::media::Slot;
use headend::wire::link::{FromWorker, Open, ToWorker};
use worker_support::*;

fn time(slot: i64) -> MediaTime {
    grid().start(Slot(slot))
}

#[test]
fn the_pattern_fills_every_slot_with_idrs_on_the_grid() {
    let directory = tempfile::tempdir().unwrap();
    let mut worker = Worker::codec(live());
    for slot in 1..=100 {
        worker.advance(START + slot);
    }
    let (said, status) = worker.drain();
    assert!(status.success() && said.drained && said.faults.is_empty());
    for (number, size) in [(0, (640, 360)), (1, (320, 180))] {
        assert_fills_slots(&said, number, START..START + 100);
        let pictures = decoded(directory.path(), &said.configs[usize::from(number)], &said.rung(number));
        assert_eq!(pictures.len(), 100);
        assert!(pictures.iter().all(|picture| contrast(picture, size) > 60));
        assert!(pictures.windows(2).all(|pair| psnr(&pair[0], &pair[1], size) < 60.0), "the pattern stands still");
    }
    assert_unbroken_audio(&said, 2, time(START), time(START + 100));
}

#[test]
fn from_pattern_to_publisher_and_back_no_slot_is_missing_or_doubled() {
    let directory = tempfile::tempdir().unwrap();
    let clip = demuxed(&make_clip(directory.path(), "clip.mp4", "640x360", 2, &[]));
    let mut worker = Worker::codec(live());
    worker.advance(START + 30);
    // The publisher's first picture comes a few slots after what is out.
    worker.feed(&clip, START + 35);
    // No further than the decoder has given its pictures away, two of which it holds back.
    worker.advance(START + 35 + 45);
    worker.say(ToWorker::InputEnd);
    worker.advance(START + 110);
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    for number in [0, 1] {
        assert_fills_slots(&said, number, START..START + 110);
    }
    assert_unbroken_audio(&said, 2, time(START), time(START + 110));
    let size = (640, 360);
    let source = pictures(directory.path(), &directory.path().join("clip.mp4"), size);
    let shown = decoded(directory.path(), &said.configs[0], &said.rung(0));
    for (slot, expected) in source.iter().enumerate() {
        let quality = psnr(&shown[35 + slot], expected, size);
        assert!(quality > 30.0, "slot {slot} of the clip: {quality:.1} dB");
    }
    // Before and after the clip the pattern is there: another picture.
    assert!(psnr(&shown[34], &source[0], size) < 20.0 && psnr(&shown[85], &source[49], size) < 20.0);
}

#[test]
fn a_publisher_who_stops_without_a_word_is_held_then_covered_by_the_pattern() {
    let directory = tempfile::tempdir().unwrap();
    let clip = demuxed(&make_clip(directory.path(), "clip.mp4", "640x360", 1, &["-bf", "0"]));
    let mut worker = Worker::codec(live());
    worker.feed(&clip, START);
    worker.advance(START + 60);
    let (said, _) = worker.drain();
    assert_fills_slots(&said, 0, START..START + 60);
    let size = (640, 360);
    let shown = decoded(directory.path(), &said.configs[0], &said.rung(0));
    // Held for 400 ms, which is ten slots; the decoder gives its last picture away without being drained.
    assert!(psnr(&shown[24], &shown[34], size) > 30.0);
    assert!(psnr(&shown[24], &shown[40], size) < 20.0);
}

#[test]
fn a_replacement_puts_out_exactly_from_its_start() {
    let directory = tempfile::tempdir().unwrap();
    let clip = demuxed(&make_clip(directory.path(), "clip.mp4", "640x360", 3, &[]));
    let run = |start: i64| {
        let mut open = live();
        open.start = Slot(start);
        let mut worker = Worker::codec(open);
        worker.feed(&clip, START);
        worker.say(ToWorker::InputEnd);
        let (said, status) = worker.drain();
        assert!(status.success());
        said
    };
    let (first, second) = (run(START), run(START + 40));
    assert_fills_slots(&first, 0, START..START + 75);
    assert_fills_slots(&second, 0, START + 40..START + 75);
    assert_eq!(first.configs, second.configs);
    let size = (640, 360);
    let before = decoded(directory.path(), &first.configs[0], &first.rung(0));
    let after = decoded(directory.path(), &second.configs[0], &second.rung(0));
    assert!((0..35).all(|slot| psnr(&before[40 + slot], &after[slot], size) > 30.0));
    let audio = (first.rung(2), second.rung(2));
    let resumed = audio.1[0].pts;
    assert!(audio.0.iter().any(|packet| packet.pts == resumed));
    assert!((resumed - time(START + 40)).abs() <= headend::base::Ticks::from_millis(11));
}

#[test]
fn another_resolution_mid_stream_is_fitted_into_the_same_rungs() {
    let directory = tempfile::tempdir().unwrap();
    let wide = demuxed(&make_clip(directory.path(), "wide.mp4", "1280x720", 1, &[]));
    let tall = demuxed(&make_clip(directory.path(), "tall.mp4", "480x640", 1, &["-pix_fmt", "yuv422p10le"]));
    let mut worker = Worker::codec(live());
    worker.feed(&wide, START);
    worker.feed(&tall, START + 25);
    worker.say(ToWorker::InputEnd);
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    for number in [0, 1] {
        assert_fills_slots(&said, number, START..START + 50);
    }
    let shown = decoded(directory.path(), &said.configs[0], &said.rung(0));
    // The tall picture is 270 wide in the middle; left of it is black, and the wide one is not.
    let left = |picture: &[u8]| picture[180 * 640 + 60..180 * 640 + 160].iter().map(|luma| u32::from(*luma)).sum::<u32>() / 100;
    assert!(left(&shown[40]) <= 18 && left(&shown[10]) > 25, "{} {}", left(&shown[40]), left(&shown[10]));
    assert!(contrast(&shown[40], (640, 360)) > 40);
}

#[test]
fn a_change_of_the_sound_alone_does_not_freeze_the_pictures() {
    let directory = tempfile::tempdir().unwrap();
    let clip = demuxed(&make_clip(directory.path(), "clip.mp4", "640x360", 4, &["-g", "250"]));
    let mut worker = Worker::codec(live());
    worker.say(ToWorker::Tracks(clip.tracks.clone()));
    let shift = time(START) - MediaTime(0);
    for (index, unit) in clip.units.iter().enumerate() {
        if index == clip.units.len() / 2 {
            let mut tracks = clip.tracks.clone();
            tracks.iter_mut().for_each(|track| {
                if let headend::media::Track::Audio(audio) = track {
                    audio.channels = 1;
                }
            });
            worker.say(ToWorker::Tracks(tracks));
        }
        worker.say_with(ToWorker::Au { track: unit.track, pts: unit.pts + shift, dts: unit.dts + shift, entry: unit.entry }, &unit.data);
    }
    worker.say(ToWorker::InputEnd);
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    let shown = decoded(directory.path(), &said.configs[0], &said.rung(0));
    assert!((70..95).all(|n| shown[n] != shown[n + 1]), "pictures stand still after the change");
}

#[test]
fn broken_units_are_faults_and_the_slots_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let clip = demuxed(&make_clip(directory.path(), "clip.mp4", "640x360", 2, &["-bf", "0"]));
    let mut worker = Worker::codec(live());
    worker.say(ToWorker::Tracks(clip.tracks.clone()));
    let shift = time(START) - MediaTime(0);
    for (index, unit) in clip.units.iter().enumerate() {
        let noise: Vec<u8> = unit.data.iter().enumerate().map(|(at, byte)| if at > 4 { byte ^ 0x5A } else { 0xFF }).collect();
        let data = if (20..40).contains(&index) { &noise[..] } else { &unit.data[..] };
        worker.say_with(ToWorker::Au { track: unit.track, pts: unit.pts + shift, dts: unit.dts + shift, entry: unit.entry }, data);
    }
    worker.say(ToWorker::InputEnd);
    worker.advance(START + 60);
    let (said, status) = worker.drain();
    assert!(status.success());
    assert!(
        said.faults
            .iter()
            .any(|fault| matches!(fault, FromWorker::Fault { fault: headend::base::Fault::Corrupt, place, .. } if place == "decode")),
        "{:?}",
        said.faults
    );
    assert_fills_slots(&said, 0, START..START + 60);
    assert_unbroken_audio(&said, 2, time(START), time(START + 60));
}

#[test]
fn an_unknown_codec_is_a_fault_and_the_pattern_stays() {
    let mut worker = Worker::codec(live());
    let mut track = demuxed(&make_clip(tempfile::tempdir().unwrap().path(), "clip.mp4", "64x64", 1, &[])).tracks[0].clone();
    if let headend::media::Track::Video(video) = &mut track {
        video.codec = headend::media::VideoCodec::Other;
        video.other = "no such\0codec".into();
    }
    worker.say(ToWorker::Tracks(vec![track]));
    worker.advance(START + 10);
    let (said, status) = worker.drain();
    assert!(status.success());
    assert!(matches!(&said.faults[..], [FromWorker::Fault { fault: headend::base::Fault::Unsupported, .. }]));
    assert_fills_slots(&said, 1, START..START + 10);
}

#[test]
fn settings_that_x264_refuses_end_the_worker_with_a_reason() {
    let mut open = live();
    open.rungs[1].preset = "warp".into();
    let (said, status) = Worker::codec(open).wait();
    assert!(!status.success());
    assert!(
        matches!(&said.faults[..], [FromWorker::Fault { fault: headend::base::Fault::Config, detail, .. }] if detail.contains("warp") && detail.contains("veryfast")),
        "{:?}",
        said.faults
    );
}

#[test]
fn a_link_that_makes_no_sense_ends_the_worker() {
    let mut worker = Worker::codec(live());
    worker.say_raw(&[0xFF; 64]);
    let (_, status) = worker.wait();
    assert_eq!(status.code(), Some(1));
    let mut worker = Worker::codec(live());
    worker.say_with(ToWorker::Au { track: 3, pts: MediaTime(0), dts: MediaTime(0), entry: true }, &[1]);
    assert_eq!(worker.wait().1.code(), Some(1));
}

#[test]
fn a_front_that_goes_away_takes_its_worker_along() {
    let mut worker = Worker::codec(live());
    worker.advance(START + 1000);
    assert!(worker.abandon().success());
}

#[test]
fn a_lower_bitrate_is_taken_up_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let clip = demuxed(&make_clip(directory.path(), "clip.mp4", "640x360", 4, &[]));
    let run = |retune: Option<u32>| {
        let mut open = live();
        open.rungs.truncate(1);
        open.audio = None;
        let mut worker = Worker::codec(open);
        if let Some(bitrate_bps) = retune {
            worker.say(ToWorker::Retune { rung: 0, bitrate_bps });
        }
        worker.feed(&clip, START);
        worker.say(ToWorker::InputEnd);
        let (said, status) = worker.drain();
        assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
        assert_fills_slots(&said, 0, START..START + 100);
        said
    };
    let (before, after) = (run(None), run(Some(500_000)));
    let size = |said: &Said| said.packets.iter().map(|packet| packet.data.len()).sum::<usize>();
    assert!(size(&after) * 2 < size(&before), "{} {}", size(&after), size(&before));
    assert_eq!(before.configs, after.configs);
}

#[test]
fn far_behind_all_rungs_leave_out_the_same_pictures_but_no_idr() {
    let mut worker = Worker::codec(Open { shed_after: Ticks::from_millis(1_000), ..live() });
    // Twelve seconds at once: the first two are beyond what a worker that has just started may be behind.
    worker.advance(START + 300);
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty());
    let slots = |number: u8| -> Vec<i64> {
        let mut slots: Vec<i64> = said.rung(number).iter().map(|packet| grid().nearest(packet.pts).0 - START).collect();
        slots.sort_unstable();
        slots
    };
    // START is ten slots after an IDR.
    let expected: Vec<i64> = [0, 15, 40].into_iter().chain(50..300).collect();
    assert_eq!((slots(0), slots(1)), (expected.clone(), expected));
    for number in [0, 1] {
        let (packets, reorder) = (said.rung(number), said.configs[usize::from(number)].reorder);
        assert!(packets.iter().all(|packet| packet.dts - packet.pts <= reorder && (!packet.key || packet.dts == packet.pts)));
        assert!(packets.windows(2).all(|pair| pair[0].dts + pair[0].duration == pair[1].dts && pair[1].dts > pair[0].dts));
        assert_eq!(packets.iter().filter(|packet| packet.key).count(), 13);
    }
    assert_unbroken_audio(&said, 2, time(START), time(START + 300));
}
