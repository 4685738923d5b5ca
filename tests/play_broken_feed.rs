//! While a feed is broken in every way that a publisher or a crash can break it, players go on.

mod support;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::players::{assert_plays, assert_plays_natively};
use support::process;
use support::publisher::Publisher;
use support::wait::{self, seconds};
use support::watch::Watch;
use support::{media, tools};

/// How long the players play: a little longer than what is done to the feed takes.
const PLAYED_S: u32 = 36;

#[test]
fn players_go_on_while_the_feed_pauses_dies_returns_changed_and_kills_its_worker() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    appliance.wait_for("/live/demo/360p/playlist.m3u8", seconds(20), |answer| answer.text().matches("#EXTINF").count() >= 4);
    let (hls, dash) = (appliance.url("/live/demo/master.m3u8"), appliance.url("/live/demo/manifest.mpd"));
    std::thread::scope(|scope| {
        let players = [
            scope.spawn(|| assert_plays(&hls, "hls", PLAYED_S)),
            scope.spawn(|| assert_plays(&dash, "dash", PLAYED_S)),
            scope.spawn(|| assert_plays_natively(&hls, &["ffmpeg"], PLAYED_S)),
        ];
        break_the_feed(&appliance);
        for player in players {
            player.join().expect("the player went on");
        }
    });
}

fn break_the_feed(appliance: &Appliance) {
    let mut watch = Watch::cmaf(appliance, "demo");
    watch.allow_late(seconds(2));
    let mut publisher = Publisher::start(&media::FILM.flv(), &appliance.publish_url("demo"));
    watch.until("the publisher is on the air", seconds(10), |_| appliance.channel_state("demo") == "live");
    watch.for_a_while(seconds(4));

    publisher.signal("STOP");
    watch.until("a silent publisher is covered", seconds(10), |_| appliance.channel_state("demo") == "slate");
    publisher.signal("CONT");
    watch.until("it is back", seconds(5), |_| appliance.channel_state("demo") == "live");
    watch.for_a_while(seconds(3));
    publisher.assert_runs();

    publisher.signal("KILL");
    watch.until("its end is covered", seconds(5), |_| appliance.channel_state("demo") == "slate");
    let mut publisher = Publisher::start(&media::PORTRAIT.flv(), &appliance.publish_url("demo"));
    watch.until("another source is on the air", seconds(10), |_| appliance.channel_state("demo") == "live");
    watch.for_a_while(seconds(3));

    let victim = appliance.busiest_worker();
    process::signal(victim, "KILL");
    wait::until("the worker is gone", seconds(5), || !process::is_alive(victim));
    watch.for_a_while(seconds(4));
    publisher.assert_runs();
    publisher.stop();
    watch.for_a_while(seconds(4));
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
}
