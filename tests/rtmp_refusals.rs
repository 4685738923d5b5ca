//! Who publishes to the wrong place is told so, and the log says what to use instead.

mod support;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::rtmp_client::{Client, Heard, PUBLISH_STARTED};
use support::wait::{self, seconds};
use support::{http, media, tools};

#[test]
fn a_wrong_key_is_refused_and_the_log_says_what_to_use() {
    let appliance = Appliance::start(&config(&[channel("demo").text("stream_key", "right-key-7431")]));
    refused(&appliance, &appliance.publish_url("wrong-key"), "key");
    // Whoever swaps the two parts of the address types the key as the application.
    refused(&appliance, &format!("rtmp://{}/right-key-7431/live", appliance.rtmp), "application");
    let events = http::request(appliance.http, "GET", "/api/v1/events?since=0", &[("Accept", "application/json")]).unwrap().text();
    assert!(events.contains("(a stream key)") && !events.contains("right-key-7431"), "{events}");
    // the lines to paste, printed at the start, show the key on purpose; the log does not
    let is_event = |line: &&str| [" INFO ", " WARN ", " ERROR ", " DEBUG "].iter().any(|level| line.contains(level));
    let log = appliance.log();
    let leaked: Vec<&str> = log.lines().filter(is_event).filter(|line| line.contains("right-key-7431")).collect();
    assert!(leaked.is_empty(), "a key was logged: {leaked:?}");
}

#[test]
fn a_wrong_application_is_refused_and_the_log_says_what_to_use() {
    let appliance = Appliance::start(&config(&[channel("demo")]));
    refused(&appliance, &format!("rtmp://{}/stream/demo", appliance.rtmp), "application");
    appliance.wait_for_log(&["rtmp://", "/live/"], seconds(5));
}

#[test]
fn a_second_publisher_is_refused_or_takes_over_as_configured() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[
        channel("kept").text("on_second_publisher", "refuse"),
        channel("taken").text("on_second_publisher", "replace"),
    ]));
    // One that sends: a silent publisher gives way, as tests/reconnects.rs has it.
    let mut first = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("kept"));
    appliance.wait_for_state("kept", "live", seconds(15));
    let mut second = Client::shaken(appliance.rtmp);
    second.connect("live");
    second.publish("kept");
    assert_eq!(second.hear(PUBLISH_STARTED, seconds(5)), Heard::Closed, "{:?}", second.received);
    first.assert_runs();
    wait::until("the refusal is counted", seconds(5), || appliance.metric("headend_ingest_refusals_total", &["busy"]) >= 1.0);

    let mut first = Client::publishing(appliance.rtmp, "taken");
    let mut second = Client::publishing(appliance.rtmp, "taken");
    assert!(first.is_closed_within(seconds(5)), "the first publisher was not sent away");
    assert!(!second.is_closed_within(seconds(1)), "the second publisher lost its connection");
}

#[test]
fn whoever_guesses_keys_waits_and_a_right_key_from_beside_does_not() {
    let appliance = Appliance::start(&config(&[channel("demo")]));
    let guess = |number: u32| {
        let start = wait::Stopwatch::start();
        let mut client = Client::shaken(appliance.rtmp);
        client.connect("live");
        client.publish(&format!("guess-{number}"));
        (client, start)
    };
    for number in 0..10 {
        let (mut client, start) = guess(number);
        assert_eq!(client.hear("unknown stream key", seconds(5)), Heard::Text, "{:?}", client.received);
        assert!(start.seconds() < 3.0, "guess {number} waited {:.1} s", start.seconds());
    }
    let (mut late, start) = guess(10);
    assert!(!late.is_closed_within(seconds(3)), "the eleventh guess was answered after {:.1} s", start.seconds());
    let rightful = wait::Stopwatch::start();
    let _publisher = Client::publishing(appliance.rtmp, "demo");
    assert!(rightful.seconds() < 3.0, "a right key waited {:.1} s", rightful.seconds());
    assert_eq!(late.hear("unknown stream key", seconds(10)), Heard::Text, "{:?}", late.received);
}

/// ffmpeg publishes there and fails, the log names peer and reason, the refusal is counted.
fn refused(appliance: &Appliance, url: &str, reason: &str) {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let before = appliance.metric("headend_ingest_refusals_total", &[reason]);
    let mut publisher = Publisher::start(&media::PLAIN.flv(), url);
    let status = publisher.wait(seconds(15)).expect("ffmpeg gives up");
    assert!(!status.success(), "ffmpeg thinks that it published:\n{}", publisher.log());
    appliance.wait_for_log(&["127.0.0.1:", reason], seconds(5));
    wait::until("the refusal is counted", seconds(5), || appliance.metric("headend_ingest_refusals_total", &[reason]) == before + 1.0);
    assert_eq!(appliance.channel_state("demo"), "waiting");
}
