//! Wildcard channels, automatic ladders, and generated keys for the network.

mod support;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::seconds;
use support::{media, tools};

#[test]
fn publishing_to_a_new_name_opens_a_channel_of_the_wildcard() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("live/*").value("max_channels", "1")]));
    assert_eq!(appliance.get("/live/stage-2/master.m3u8").status, 404);
    let _publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("stage-2"));
    appliance.wait_on_air("stage-2", seconds(15));
    appliance.wait_for_state("stage-2", "live", seconds(2));
    let mut one_too_many = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("stage-3"));
    appliance.wait_for_log(&["no room for another channel"], seconds(10));
    assert!(one_too_many.wait(seconds(10)).is_some());
}

#[test]
fn an_automatic_ladder_is_never_larger_than_its_source_and_says_what_it_left_out() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo").text("ladder", "auto")]));
    let _publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(15));
    let channel = appliance.channel("demo");
    assert_eq!(channel["rungs"][0]["name"], "360p", "{channel:#}");
    appliance.wait_for_log(&["1080p is left out", "360 lines"], seconds(1));
}
