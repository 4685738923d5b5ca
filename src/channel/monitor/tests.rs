use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::base::metrics::metrics;
use crate::media::nal::joined;
use crate::media::{AudioCodec, VideoCodec};

const AVCC: &[u8] = b"\x01\x64\x00\x28\xff\xe1\x00\x19\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\x00";
const ASC: &[u8] = &[0x11, 0x90];

fn tracks() -> FeedEvent {
    let video = VideoTrack {
        codec: VideoCodec::H264,
        other: String::new(),
        config: Bytes::from_static(AVCC),
        width: 1280,
        height: 720,
        rate: None,
    };
    let audio =
        AudioTrack { codec: AudioCodec::Aac, other: String::new(), config: Bytes::from_static(ASC), sample_rate: 48_000, channels: 2 };
    FeedEvent::Tracks(vec![Track::Video(video), Track::Audio(audio)])
}

fn unit(track: u8, dts_ms: i64, entry: bool, bytes: usize) -> FeedEvent {
    let mut data = joined([if entry { &[0x65, 0x88][..] } else { &[0x41, 0x9a][..] }]).to_vec();
    data.resize(bytes.max(data.len()), 0);
    FeedEvent::Unit(SourceUnit { track, dts: Ticks::from_millis(dts_ms), offset: Ticks::ZERO, entry, data: data.into() })
}

fn at_ms(ms: i64) -> Mono {
    Mono(60_000_000_000 + ms as u64 * 1_000_000)
}

/// A feed that was admitted a minute after the process had started.
fn monitor(feed: &str) -> Monitor {
    let mut monitor = Monitor::new("monitor-tests", feed, at_ms(0));
    monitor.event(&tracks(), at_ms(0));
    monitor
}

/// 25 pictures a second of 10,000 bytes and 50 frames of sound of 400, with a keyframe every fifty pictures. Arrival by `late`.
fn play(monitor: &mut Monitor, from_ms: i64, to_ms: i64, shift_ms: i64, late: impl Fn(i64) -> i64) {
    for ms in (from_ms..to_ms).step_by(20) {
        if ms % 40 == 0 {
            monitor.event(&unit(0, ms + shift_ms, ms % 2000 == 0, 10_000), at_ms(ms + late(ms)));
        }
        monitor.event(&unit(1, ms, false, 400), at_ms(ms + late(ms)));
    }
}

#[test]
fn a_steady_feed_is_measured_as_it_is() {
    let mut monitor = monitor("steady");
    play(&mut monitor, 0, 10_000, 0, |_| 0);
    let report = monitor.report(at_ms(10_000));
    let video = report.video.unwrap();
    assert_eq!((video.codec.as_str(), video.codec_string.as_str(), video.profile.as_deref()), ("H.264", "avc1.640028", Some("High")));
    assert_eq!((video.bitrate_bps, video.frame_rate, video.age_ms), (2_000_000, Some(25.0), Some(40)));
    let gop = GopReport { pictures: 50, seconds: 2.0, longest_pictures: 50, longest_seconds: 2.0, running_seconds: 1.96, open: false };
    assert_eq!(video.gop, Some(gop));
    let audio = report.audio.unwrap();
    assert_eq!((audio.codec.as_str(), audio.profile.as_deref(), audio.bitrate_bps), ("AAC", Some("LC"), 160_000));
    assert_eq!((report.bitrate_bps, report.av_skew_ms, report.arrival_jitter_ms, report.longest_pause_ms), (2_160_000, Some(0), 0, 20));
    assert_eq!(report.warnings, Vec::<String>::new());
}

#[test]
fn a_bitrate_of_a_feed_that_has_just_begun_is_not_diluted_and_one_that_stopped_is_nothing() {
    let mut monitor = monitor("young");
    play(&mut monitor, 0, 520, 0, |_| 0);
    let begun = monitor.report(at_ms(520)).bitrate_bps;
    assert!((2_100_000..2_700_000).contains(&begun), "{begun}");
    // What came in half a second, over one and a half.
    let fading = monitor.report(at_ms(1_500)).bitrate_bps;
    assert!((700_000..850_000).contains(&fading), "{fading}");
    assert_eq!(monitor.report(at_ms(3_000)).bitrate_bps, 0);
}

#[test]
fn bursts_are_jitter_and_neither_frame_rate_nor_skew() {
    let mut monitor = monitor("bursts");
    // Everything of 400 ms comes at the end of them.
    play(&mut monitor, 0, 12_000, 0, |ms| 400 - ms % 400);
    let report = monitor.report(at_ms(12_000));
    assert!((350..=400).contains(&report.arrival_jitter_ms), "{}", report.arrival_jitter_ms);
    assert_eq!(report.video.unwrap().frame_rate, Some(25.0));
    assert!(report.av_skew_ms.unwrap().abs() < 40, "{:?}", report.av_skew_ms);
}

#[test]
fn pictures_whose_clock_runs_ahead_of_the_sound_are_told() {
    let mut monitor = monitor("skew");
    play(&mut monitor, 0, 6_000, 900, |_| 0);
    let report = monitor.report(at_ms(6_000));
    assert_eq!(report.av_skew_ms, Some(900));
    assert!(report.warnings.iter().any(|warning| warning.starts_with("timestamps of pictures are 900 ms ahead")), "{:?}", report.warnings);
}

#[test]
fn a_clock_that_starts_over_leaves_no_jitter_and_no_false_gop() {
    let mut monitor = monitor("restart");
    play(&mut monitor, 0, 5_000, 0, |_| 0);
    for ms in (5_000..9_000).step_by(40) {
        monitor.event(&unit(0, ms - 5_000, ms == 5_000 || ms == 7_000, 10_000), at_ms(ms));
        monitor.event(&unit(1, ms - 5_000, false, 400), at_ms(ms));
    }
    monitor.bend(Bend::Jump);
    monitor.bend(Bend::Jump);
    let report = monitor.report(at_ms(9_000));
    let video = report.video.unwrap();
    assert_eq!((report.arrival_jitter_ms, report.av_skew_ms, video.frame_rate), (0, Some(0), Some(25.0)));
    assert_eq!(video.gop.map(|gop| (gop.seconds, gop.longest_seconds)), Some((2.0, 2.0)));
    assert_eq!(report.errors, BTreeMap::from([("jump", 2)]));
}

#[test]
fn a_feed_without_keyframes_or_sound_is_warned_of_while_it_lasts() {
    let mut monitor = monitor("long");
    for ms in (0..=20_000).step_by(40) {
        monitor.event(&unit(0, ms, ms % 10_000 == 0, 1_000), at_ms(ms));
    }
    let report = monitor.report(at_ms(20_000));
    let words = report.warnings.join("\n");
    assert!(words.contains("keyframes are 10.0 s apart") && words.contains("no sound for 20.0 s"), "{words}");
    assert!(!words.contains("no picture"), "{words}");
    let words = monitor.report(at_ms(23_000)).warnings.join("\n");
    assert!(words.contains("no picture for 3.0 s"), "{words}");
}

#[test]
fn an_open_gop_is_told_from_a_closed_one() {
    let mut monitor = monitor("open");
    let recovery_point = joined([&[0x06, 6, 1, 0x84, 0x80][..], &[0x41, 0x9a][..]]);
    for ms in (0..=4_000).step_by(40) {
        let mut event = unit(0, ms, ms % 2_000 == 0, 100);
        if let FeedEvent::Unit(unit) = &mut event
            && unit.entry
        {
            unit.data = recovery_point.clone();
        }
        monitor.event(&event, at_ms(ms));
    }
    assert!(monitor.report(at_ms(4_000)).video.unwrap().gop.unwrap().open);
}

#[test]
fn the_series_of_a_feed_go_with_it() {
    let mut monitor = monitor("leaving");
    play(&mut monitor, 0, 5_000, 0, |_| 0);
    monitor.report(at_ms(5_000));
    let lines = || metrics().render().lines().filter(|line| line.contains("feed=\"leaving\"")).count();
    assert_eq!(lines(), 7);
    let rate = r#"headend_feed_bytes_per_second{channel="monitor-tests",feed="leaving",media="video"} 250000"#;
    assert!(metrics().render().contains(rate));
    drop(monitor);
    assert_eq!(lines(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_comes_the_report_is_sane_and_memory_is_bounded(
        units in prop::collection::vec((0u8..3, any::<i64>(), any::<bool>(), 0i64..3_000), 1..3_000),
    ) {
        let mut monitor = monitor("noise");
        let mut ms = 0;
        for (track, dts, entry, step_ms) in units {
            ms += step_ms / 100;
            let FeedEvent::Unit(mut unit) = unit(track, 0, entry, 10) else { unreachable!() };
            unit.dts = Ticks(dts);
            monitor.event(&FeedEvent::Unit(unit), at_ms(ms));
        }
        let report = monitor.report(at_ms(ms));
        prop_assert!(report.longest_pause_ms <= ms as u64);
        prop_assert!(report.video.unwrap().frame_rate.is_none_or(f64::is_finite));
        prop_assert!(monitor.video.lateness.len() <= 1024 && monitor.pictures.len() <= 512);
    }
}
