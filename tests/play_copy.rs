//! Copy channels: the source's own packets, cut at its keyframes, with no worker.

mod support;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::seconds;
use support::watch::Watch;
use support::{media, tools};

#[test]
fn a_source_passes_through_without_a_worker() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo").copy().text("segment", "4s").without("gop").with_ts()]));
    let mut publisher = Publisher::start(&media::B_FRAMES.flv(), &appliance.publish_url("demo"));
    let master = appliance.wait_on_air("demo", seconds(20));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.for_a_while(seconds(15));
    publisher.assert_runs();
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert_eq!(appliance.metric("headend_frames_total", &["demo", "encode"]), 0.0, "something was encoded");
    let uri = master.lines().find(|line| !line.starts_with('#') && !line.is_empty()).expect("a variant");
    let (pictures, complaints) = media::decoded(&appliance.url(&format!("/live/demo/{uri}")), 8);
    assert_eq!(complaints, Vec::<String>::new());
    assert!(pictures >= 195, "{pictures} pictures in eight seconds of 25 a second");
}

#[test]
fn a_gop_longer_than_a_segment_is_refused_in_words() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo").copy().text("segment", "4s").without("gop")]));
    let mut publisher = Publisher::start(&media::LONG_GOP.flv(), &appliance.publish_url("demo"));
    publisher.wait(seconds(25)).expect("the feed is refused");
    appliance.wait_for_log(&["demo", "keyframe"], seconds(5));
}

#[test]
fn a_publisher_that_returns_is_a_discontinuity() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo").copy().text("segment", "4s").without("gop")]));
    let publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(20));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.for_a_while(seconds(5));
    publisher.stop();
    appliance.wait_for_state("demo", "waiting", seconds(10));
    let _again = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("demo"));
    watch.until("a discontinuity", seconds(20), |watch| watch.discontinuities() > 0);
    watch.assert_clean();
}
