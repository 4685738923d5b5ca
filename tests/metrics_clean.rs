//! `promtool check metrics` has nothing to say about a running appliance.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::seconds;
use support::{media, tools};

#[test]
fn promtool_finds_nothing_to_complain_about() {
    if !tools::has(&["promtool", "ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    let _publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("demo"));
    appliance.wait_for_state("demo", "live", seconds(10));
    appliance.wait_for("/live/demo/360p/playlist.m3u8", seconds(15), |answer| answer.text().matches("#EXTINF").count() >= 3);
    let text = appliance.get("/metrics").text();
    for family in [
        "headend_frames_total",
        "headend_segments_total",
        "headend_ingest_bytes_total",
        "headend_queue_depth_items",
        "headend_encode_lag_seconds",
        "headend_segment_age_seconds",
        "headend_http_requests_total",
        "headend_channel_state",
        "headend_feed_bytes_per_second",
        "headend_feed_arrival_jitter_seconds",
    ] {
        assert!(text.contains(&format!("\n{family}{{")), "{family} shows nothing while a publisher is on the air:\n{text}");
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    promtool.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("promtool reads");
    let outcome = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&[outcome.stdout, outcome.stderr].concat()).into_owned();
    assert!(outcome.status.success() && said.trim().is_empty(), "{}: {said}", outcome.status);
}

#[test]
fn a_segment_is_listed_within_fifty_milliseconds_of_its_last_packet() {
    let appliance = Appliance::start(&config(&[channel("demo").pattern()]));
    appliance.wait_for("/live/demo/360p/playlist.m3u8", seconds(30), |answer| answer.text().matches("#EXTINF").count() >= 6);
    let count = appliance.metric("headend_segment_listing_seconds_count", &["demo"]);
    let within = appliance.metric("headend_segment_listing_seconds_bucket", &["demo", "le=\"0.05\""]);
    assert!(count >= 6.0, "{count} segments were measured");
    assert!(within >= count * 0.9, "{within} of {count} segments were listed within 50 ms");
}
