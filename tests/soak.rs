//! Publishers come and go and workers die, again and again: the playlist keeps its rules and nothing grows.
//! Half a minute by default; `make soak` runs it for longer (`HEADEND_SOAK_MINUTES`).

mod support;

use std::time::Duration;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::process;
use support::publisher::Publisher;
use support::wait::{Stopwatch, seconds};
use support::watch::Watch;
use support::{media, tools};

/// Memory that a run may add in the front once its windows are full.
const GROWTH_KIB: u64 = 64 << 10;

#[test]
fn nothing_grows_and_nothing_breaks() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let length = length();
    let appliance = Appliance::start(&config(&[channel("demo").pattern().with_ts()]));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    let clips = [media::PLAIN, media::B_FRAMES, media::FILM, media::PORTRAIT, media::VIDEO_ONLY];
    let start = Stopwatch::start();
    let mut settled_kib = None;
    let mut kills = 0;
    for clip in clips.iter().cycle() {
        let mut publisher = Publisher::start(&clip.flv(), &appliance.publish_url("demo"));
        watch.until("the publisher is on the air", seconds(15), |_| appliance.channel_state("demo") == "live");
        watch.for_a_while(seconds(5));
        process::signal(appliance.busiest_worker(), "KILL");
        kills += 1;
        watch.for_a_while(seconds(7));
        publisher.assert_runs();
        publisher.stop();
        watch.until("the pattern is back", seconds(10), |_| appliance.channel_state("demo") == "slate");
        // the window of twenty seconds is full after the second round
        if kills == 2 {
            settled_kib = Some(process::resident_kib(appliance.front_id()));
        }
        if start.is_past(length) && kills >= 2 {
            break;
        }
    }
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert_eq!(appliance.metric("headend_worker_restarts_total", &["demo"]), f64::from(kills));
    let grown_kib = process::resident_kib(appliance.front_id()).saturating_sub(settled_kib.unwrap_or_default());
    assert!(grown_kib < GROWTH_KIB, "the front grew by {grown_kib} KiB in {:.0} s", start.seconds());
    assert!(!appliance.log().contains("panicked"));
}

fn length() -> Duration {
    let minutes = std::env::var("HEADEND_SOAK_MINUTES").ok().and_then(|minutes| minutes.parse::<f64>().ok());
    Duration::from_secs_f64(minutes.unwrap_or(0.5) * 60.0)
}
