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

#[test]
fn a_front_that_keeps_to_one_core_knows_that_the_machine_has_more() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel lists where a process may run");
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default().trim();
    let first = allowed.split([',', '-']).next().unwrap_or_default();
    if cores < 2 || first.is_empty() {
        return support::tools::left_out("one core is no more than one core");
    }
    let machine = format!("[machine]\npackaging = \"{first}\"\n\n");
    let appliance = Appliance::start(&(machine + &config(&[channel("demo").pattern()])));
    appliance.wait_on_air("demo", seconds(15));
    let plan: serde_json::Value = serde_json::from_str(&appliance.get("/api/v1/plan").text()).expect("JSON");
    assert!(plan["machine_cores"].as_f64().is_some_and(|known| known > 1.0), "{plan:#}");
}
