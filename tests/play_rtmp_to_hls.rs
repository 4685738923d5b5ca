//! A publisher pushes RTMP; two rungs and their sound come out as HLS that a strict reader and a decoder take.

mod support;

use support::appliance::Appliance;
use support::configs::{TEST_RUNGS, channel, config};
use support::publisher::Publisher;
use support::wait::seconds;
use support::watch::Watch;
use support::{hls, media, mp4, players, tools};

#[test]
fn a_publisher_is_on_the_air_as_two_rungs_that_keep_the_rules() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo")]));
    assert_eq!(appliance.channel_state("demo"), "waiting");
    let mut publisher = Publisher::start(&media::B_FRAMES.flv(), &appliance.publish_url("demo"));
    let master = appliance.wait_on_air("demo", seconds(15));
    publisher.assert_runs();
    check_multivariant(&master);
    // The multivariant playlist is known with the source's header; the state follows the first picture out.
    appliance.wait_for_state("demo", "live", seconds(5));

    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.for_a_while(seconds(20));
    publisher.assert_runs();
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert!(watch.count() >= 9, "{} segments of two seconds in twenty", watch.count());

    for rung in TEST_RUNGS {
        let (pictures, complaints) = media::decoded(&appliance.url(&format!("/live/demo/{rung}/playlist.m3u8")), 8);
        assert_eq!(complaints, Vec::<String>::new(), "{rung}");
        assert!(pictures >= media::fewest(200), "{rung}: {pictures} pictures in eight seconds of 25 a second");
    }
    check_segments_hold_one_gop_a_second(&appliance);
    players::assert_plays_natively(&appliance.url("/live/demo/master.m3u8"), &["ffmpeg", "mpv", "vlc", "gst"], 6);
}

#[test]
fn real_film_and_its_sound_arrive() {
    let Some(clip) = media::real("sintel-trailer-720p24.mp4") else {
        return tools::say_left_out("no real clip is shared beside the checkout");
    };
    let appliance = Appliance::start(&config(&[channel("demo")]));
    let mut publisher = Publisher::start(&clip, &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.for_a_while(seconds(12));
    publisher.assert_runs();
    watch.assert_clean();
    let channel = appliance.channel("demo");
    assert_eq!(channel["rate"], "24", "{channel:#}");
    assert_eq!(channel["rungs"][0]["height"], 360, "{channel:#}");
}

fn check_multivariant(text: &str) {
    let master = hls::multivariant(text).unwrap_or_else(|cause| panic!("{cause}\n{text}"));
    let mut heights: Vec<&str> = master.variants.iter().map(|variant| variant["RESOLUTION"].as_str()).collect();
    heights.sort_unstable();
    heights.dedup();
    assert_eq!(heights, ["320x180", "640x360"], "{text}");
    for variant in &master.variants {
        assert_eq!(variant["FRAME-RATE"].parse::<f64>().ok(), Some(25.0), "{text}");
        assert!(variant["CODECS"].starts_with("avc1.") && variant["CODECS"].contains("mp4a.40.2"), "{text}");
    }
    assert_eq!(master.media.iter().filter(|media| media["TYPE"] == "AUDIO").count(), 1, "{text}");
    assert!(!master.i_frames.is_empty(), "no I-frame playlist\n{text}");
}

/// One movie fragment per GOP, so that every IDR can be a byte range of the I-frame playlist.
fn check_segments_hold_one_gop_a_second(appliance: &Appliance) {
    let path = "/live/demo/360p/playlist.m3u8";
    let playlist = hls::media(&appliance.get(path).text()).expect("the playlist is valid");
    let segment = &playlist.segments[0];
    let init = mp4::init(&appliance.get(&support::watch::resolved(path, &segment.map)).body).expect("the map is valid");
    assert_eq!((init.entry.as_str(), init.width, init.height), ("avc1", 640, 360));
    let body = appliance.get(&support::watch::resolved(path, &segment.uri)).body;
    let fragments = mp4::fragments(&init, &body).expect("the segment is valid");
    let pictures: Vec<usize> = fragments.iter().map(|fragment| fragment.samples.len()).collect();
    assert_eq!(pictures, [25, 25], "a GOP of a second is a fragment");
    for fragment in &fragments {
        let idrs = fragment.samples.iter().filter(|sample| sample.sync).count();
        assert!(idrs == 1 && fragment.samples[0].sync, "{idrs} sync samples in a fragment");
    }
}
