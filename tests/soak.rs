//! Publishers come and go, workers die, the configuration changes, again and again: the playlist keeps its rules and nothing grows.
//! Minutes by default; `make soak` runs it for longer (`HEADEND_SOAK_MINUTES`, `_SEED`, `_KILLS`, `_CYCLES`).

mod support;

#[path = "soak/held.rs"]
mod held;
#[path = "soak/storm.rs"]
mod storm;

use std::time::Duration;

use held::Held;
use storm::{Storm, storm_config};
use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::rtmp_client::Client;
use support::wait::{self, seconds};
use support::watch::Watch;
use support::{flv, media, process, tools};

/// What the storm begins with.
const SEED: u64 = 20_261_121;
/// Growth in the second half of a long run: a leak of 4 KiB each time would show.
const LATE_GROWTH_KIB: u64 = 2 << 10;

#[test]
fn a_storm_of_faults_kills_reloads_and_viewers_leaves_the_programme_whole() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let seed = asked_for("SEED").map_or(SEED, |seed| seed as u64);
    println!("HEADEND_SOAK_SEED={seed}");
    let appliance = Appliance::start_with_srt(&storm_config(12));
    appliance.wait_on_air("demo", seconds(15));
    let mut storm = Storm::over(&appliance, seed);
    storm.rage(length());
    storm.assert_unharmed();
    assert_eq!(storm.watch.discontinuities(), 0);
}

#[test]
fn workers_that_are_killed_leave_nothing_behind() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let kills = asked_for("KILLS").unwrap_or(10.0) as u32;
    let appliance = Appliance::start(&config(&[channel("demo").pattern().text("window", "8s")]));
    appliance.wait_on_air("demo", seconds(15));
    let clip = media::NUMBERED.flv();
    let endless = ["-re", "-stream_loop", "-1", "-i", &*clip.to_string_lossy(), "-c", "copy", "-f", "flv"].map(str::to_string);
    let arguments: Vec<String> = endless.into_iter().chain([appliance.publish_url("demo")]).collect();
    let mut publisher = Publisher::ffmpeg(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.allow_late(seconds(2));
    watch.until("the publisher is on the air", seconds(15), |_| appliance.channel_state("demo") == "live");
    let kill = |watch: &mut Watch, number: u32| {
        // Another place of the segment each time.
        watch.for_a_while(Duration::from_millis(u64::from(number * 370 % 2_000)));
        let newest = watch.newest();
        process::signal(appliance.busiest_worker(), "KILL");
        watch.until("a segment after the kill", seconds(10), |watch| watch.newest() > newest);
    };
    // Until the windows are full and what is made on demand is made.
    (0..4).for_each(|number| kill(&mut watch, number));
    let before = Held::by(&appliance);
    in_quarters(&appliance, kills, "kills", |number| kill(&mut watch, number));
    watch.for_a_while(seconds(3));
    publisher.assert_runs();
    before.assert_as_much(&appliance, &format!("{kills} kills"));
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert_eq!(appliance.metric("headend_worker_restarts_total", &["demo"]), f64::from(kills + 4));
}

#[test]
fn publishers_that_come_and_go_leave_nothing_behind() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let cycles = asked_for("CYCLES").unwrap_or(50.0) as u32;
    let appliance = Appliance::start(&config(&[channel("demo").pattern().text("window", "8s")]));
    appliance.wait_on_air("demo", seconds(15));
    let tags: Vec<flv::Tag> = flv::tags(&media::B_FRAMES.flv()).into_iter().take_while(|tag| tag.time_ms < 500).collect();
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.allow_late(seconds(2));
    let cycle = |watch: &mut Watch| {
        let mut client = Client::publishing(appliance.rtmp, "demo");
        assert!(tags.iter().all(|tag| client.tag(tag)), "the publisher was cut off");
        appliance.wait_for_state("demo", "live", seconds(10));
        drop(client);
        wait::until("the pattern is back", seconds(10), || appliance.channel_state("demo") == "slate");
        watch.poll();
    };
    (0..5).for_each(|_| cycle(&mut watch));
    watch.for_a_while(seconds(10));
    let before = Held::by(&appliance);
    in_quarters(&appliance, cycles, "publishers", |_| cycle(&mut watch));
    watch.for_a_while(seconds(3));
    before.assert_as_much(&appliance, &format!("{cycles} publishers"));
    watch.assert_clean();
    assert_eq!((watch.discontinuities(), appliance.metric("headend_worker_restarts_total", &["demo"])), (0, 0.0));
}

/// Does it so often, and says after each quarter what is held: allocators fill up at first, and only what goes on growing is a leak.
fn in_quarters(appliance: &Appliance, times: u32, what: &str, mut each: impl FnMut(u32)) {
    let mut held = Vec::new();
    for number in 0..times {
        each(number);
        if (number + 1).is_multiple_of(times.div_ceil(4)) {
            let now = Held::by(appliance);
            println!("{} {what}: {now:?}", number + 1);
            held.push(now);
        }
    }
    if let ([_, second, ..], Some(last), true) = (held.as_slice(), held.last(), times >= 200) {
        let grown = (last.front_kib.saturating_sub(second.front_kib), last.workers_kib.saturating_sub(second.workers_kib));
        assert!(grown.0 < LATE_GROWTH_KIB && grown.1 < LATE_GROWTH_KIB, "{times} {what}: {second:?} at the half, {last:?} at the end");
    }
}

fn length() -> Duration {
    Duration::from_secs_f64(asked_for("MINUTES").unwrap_or(1.6) * 60.0)
}

fn asked_for(what: &str) -> Option<f64> {
    std::env::var(format!("HEADEND_SOAK_{what}")).ok()?.parse().ok()
}
