//! Pattern, publisher, pattern: one programme without a discontinuity.

mod support;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::seconds;
use support::watch::Watch;
use support::{media, tools};

#[test]
fn a_publisher_replaces_the_pattern_and_gives_it_back_without_a_break() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    assert_eq!(appliance.channel_state("demo"), "waiting");
    assert_eq!(appliance.channel("demo")["feed"], "pattern");
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.until("two segments of pattern", seconds(15), |watch| watch.count() >= 2);

    for clip in [media::FILM, media::PORTRAIT] {
        let mut publisher = Publisher::start(&clip.flv(), &appliance.publish_url("demo"));
        watch.until("the publisher is on the air", seconds(10), |_| appliance.channel_state("demo") == "live");
        assert_eq!(appliance.channel("demo")["feed"], "publisher");
        watch.for_a_while(seconds(8));
        publisher.assert_runs();
        publisher.stop();
        watch.until("the pattern is back", seconds(10), |_| appliance.channel_state("demo") == "slate");
        watch.for_a_while(seconds(5));
    }
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert_eq!(appliance.metric("headend_worker_restarts_total", &["demo"]), 0.0);
    let (pictures, complaints) = media::decoded(&appliance.url("/live/demo/360p/playlist.m3u8"), 12);
    assert_eq!(complaints, Vec::<String>::new());
    assert!(pictures >= media::fewest(300), "{pictures} pictures in twelve seconds of 25 a second");
}

#[test]
fn every_kind_of_source_goes_on_the_air() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    let sources = [media::OPEN_GOP, media::LONG_GOP, media::VIDEO_ONLY, media::AUDIO_ONLY, media::ODD_SIZE, media::SURROUND];
    for clip in sources {
        let mut publisher = Publisher::start(&clip.flv(), &appliance.publish_url("demo"));
        watch.until("the publisher is on the air", seconds(15), |_| appliance.channel_state("demo") == "live");
        watch.for_a_while(seconds(5));
        publisher.assert_runs();
        publisher.stop();
        watch.until("the pattern is back", seconds(10), |_| appliance.channel_state("demo") == "slate");
    }
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
}
