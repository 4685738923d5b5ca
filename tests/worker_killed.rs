//! A worker that is killed costs its channel neither the publisher nor the playlist.

mod support;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::process;
use support::publisher::Publisher;
use support::record::Recording;
use support::wait::{self, seconds};
use support::watch::Watch;
use support::{media, tools};

#[test]
fn sigkill_of_the_worker_leaves_publisher_and_playlist_going() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo")]));
    let mut publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.until("three segments", seconds(15), |watch| watch.count() >= 3);

    let killed = appliance.busiest_worker();
    process::signal(killed, "KILL");
    let newest = watch.newest().expect("segments are listed");
    watch.until("four segments after the kill", seconds(15), |watch| watch.newest() >= Some(newest + 4));
    publisher.assert_runs();
    assert!(!process::is_alive(killed));
    assert!(!appliance.worker_ids().is_empty(), "no worker took over");
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0, "the same parameter sets go on in the same segment");
    assert_eq!(appliance.channel_state("demo"), "live");
    assert_eq!(appliance.channel("demo")["worker_restarts"], 1);
    assert!(appliance.metric("headend_worker_restarts_total", &["demo"]) >= 1.0);
    appliance.wait_for_log(&["worker", "demo"], seconds(1));
}

#[test]
fn no_picture_is_lost_or_doubled_when_workers_are_killed_crash_or_stand_still() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo").text("window", "60s")]));
    let mut publisher = Publisher::start(&media::NUMBERED.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(15));
    let mut recording = Recording::of(appliance.http, "demo", &["360p", "audio"]);
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.allow_late(seconds(2));
    let losses = [("KILL", 3_300), ("SEGV", 3_700), ("STOP", 6_100), ("KILL", 200), ("ABRT", 4_500), ("KILL", 3_000)];
    for (signal, pause_ms) in losses {
        let worker = appliance.busiest_worker();
        process::signal(worker, signal);
        if signal == "SEGV" {
            // Rust's handler takes the first one for a fault that will come again, and lets it.
            process::signal(worker, signal);
        }
        watch.for_a_while(std::time::Duration::from_millis(pause_ms));
        recording.poll();
    }
    watch.for_a_while(seconds(6));
    recording.poll();
    publisher.assert_runs();
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert_eq!(appliance.channel("demo")["worker_restarts"], losses.len());
    recording.assert_unbroken("360p", "audio", appliance.folder());
}

#[test]
fn a_worker_that_stops_moving_is_replaced() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo")]));
    let mut publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(15));
    let stuck = appliance.busiest_worker();
    process::signal(stuck, "STOP");
    wait::until("the stuck worker is gone", seconds(5), || !process::is_alive(stuck));
    publisher.assert_runs();
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.allow_late(seconds(2));
    watch.until("two more segments", seconds(15), |watch| watch.count() >= 2);
    watch.for_a_while(seconds(4));
    let growing = watch.newest();
    watch.until("the playlist goes on", seconds(10), |watch| watch.newest() > growing);
    assert!(appliance.metric("headend_worker_restarts_total", &["demo"]) >= 1.0);
}

#[test]
fn losing_a_worker_leaves_the_neighbour_alone() {
    let appliance = Appliance::start(&config(&[channel("left").pattern(), channel("right").pattern()]));
    appliance.wait_on_air("left", seconds(15));
    appliance.wait_on_air("right", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "right");
    watch.until("two segments", seconds(15), |watch| watch.count() >= 2);
    let victim = appliance.busiest_worker();
    process::signal(victim, "KILL");
    watch.for_a_while(seconds(10));
    let mut other = Watch::cmaf(&appliance, "left");
    other.for_a_while(seconds(5));
    watch.assert_clean();
    other.assert_clean();
}

#[test]
fn the_front_leaves_no_worker_behind() {
    let mut appliance = Appliance::start(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    let workers = appliance.worker_ids();
    assert!(!workers.is_empty());
    let status = appliance.stop().expect("it stops when asked");
    assert!(status.success(), "{status}");
    wait::until("the workers are gone", seconds(5), || !workers.iter().any(|worker| process::is_alive(*worker)));

    drop(appliance);
    let appliance = Appliance::start(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    let workers = appliance.worker_ids();
    process::signal(appliance.front_id(), "KILL");
    wait::until("the workers notice that the front died", seconds(5), || !workers.iter().any(|worker| process::is_alive(*worker)));
}
