//! The configuration of a running appliance changes, and nobody who publishes or watches is interrupted.

mod support;

use std::process::Command;

use serde_json::Value;

use support::appliance::{Appliance, free_address, headend};
use support::configs::{TEST_LADDER, channel, config};
use support::publisher::Publisher;
use support::wait::{self, seconds};
use support::watch::Watch;
use support::{http, media, tools};

/// A rung between those of the test ladder.
const MORE_RUNGS: &str =
    "[[ladder.test]]\nname = \"270p\"\nheight = 270\nbitrate = \"400k\"\npreset = \"ultrafast\"\n\n[[ladder.test]]\nname = \"180p\"";

fn events(appliance: &Appliance, since: u64) -> Vec<Value> {
    let path = format!("/api/v1/events?since={since}");
    let answer = http::request(appliance.http, "GET", &path, &[("Accept", "application/json")]).expect("events are told");
    serde_json::from_slice(&answer.body).unwrap_or_else(|cause| panic!("{cause}: {}", answer.text()))
}

#[test]
fn a_channel_a_feed_a_listener_and_a_rung_are_added_while_somebody_watches() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let (before, after) = (free_address(), free_address());
    let demo = || channel("demo").value("formats", "[\"cmaf\"]");
    let with = |rtmp: &dyn std::fmt::Display, rest: String| format!("[rtmp]\nlisten = \"{rtmp}\"\n\n{rest}");
    let appliance = Appliance::start_listening_at(&with(&before, config(&[demo()])), before);
    let mut publisher = Publisher::start(&media::NUMBERED.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.poll();

    appliance.rewrite(&with(&before, config(&[demo().text("gop", "9h").text("hold", "never")])));
    let (succeeded, text) = appliance.reload(&[]);
    assert!(!succeeded && text.contains("gop = \"9h\"") && text.contains("hold = \"never\""), "{text}");
    // The appliance itself says the same, whoever asks it.
    let refused = appliance.ask("POST", "/api/v1/reload", "{}");
    assert!(refused.status == 422 && refused.text().contains("gop = ") && refused.text().contains("hold = "), "{}", refused.text());

    let feeds =
        format!("\n[[channel.feeds]]\nname = \"publisher\"\n\n[[channel.feeds]]\nname = \"backup\"\nstream_key = \"other\"\n{TEST_LADDER}");
    let added = config(&[channel("late").copy().without("gop"), demo()])
        .replace(TEST_LADDER, &feeds)
        .replace("[[ladder.test]]\nname = \"180p\"", MORE_RUNGS);
    appliance.rewrite(&with(&after, added));
    let (succeeded, text) = appliance.reload(&["--dry-run"]);
    assert!(succeeded && text.contains("dry run") && text.contains("270p"), "{text}");
    assert_eq!(appliance.channel("late"), Value::Null);
    let (succeeded, text) = appliance.reload(&[]);
    let lines = [("rtmp.listen", "live"), ("late", "added"), ("feeds", "publisher, backup"), ("ladder", "next cut"), ("applied", "")];
    for (one, other) in lines {
        assert!(succeeded && text.lines().any(|line| line.contains(one) && line.contains(other)), "{one} {other}:\n{text}");
    }

    let mut late = Publisher::start(&media::PLAIN.flv(), &format!("rtmp://{after}/live/late"));
    let _backup = Publisher::start(&media::PLAIN.flv(), &format!("rtmp://{after}/live/other"));
    watch.until("the new rung is offered", seconds(14), |watch| watch.paths().iter().any(|path| path.contains("/270p/")));
    watch.for_a_while(seconds(2));
    appliance.wait_on_air("late", seconds(5));
    let demo = appliance.channel("demo");
    assert_eq!((demo["feed"].as_str(), demo["feeds"].as_array().map(Vec::len)), (Some("publisher"), Some(2)), "{demo:#}");
    assert_eq!(demo["worker_restarts"], 0, "{demo:#}");
    publisher.assert_runs();
    late.assert_runs();
    watch.assert_clean();
    assert_eq!(watch.segments("360p").iter().filter(|seen| seen.listed.discontinuity).count(), 1);
    let kinds: Vec<String> = events(&appliance, 0).iter().map(|event| event["kind"].as_str().unwrap_or_default().to_owned()).collect();
    assert!(kinds.iter().any(|kind| kind == "reload") && kinds.iter().any(|kind| kind == "channel"), "{kinds:?}");
}

#[test]
fn channels_are_made_stopped_started_and_removed_over_the_api_and_survive_a_reload() {
    let appliance = Appliance::start(&config(&[channel("demo")]));
    let made = r#"{"name": "news", "ladder": "copy", "stream_key": "secret-of-news"}"#;
    let answer = appliance.ask("POST", "/api/v1/channels", made);
    assert!(answer.status == 201 && !answer.text().contains("secret-of-news"), "{} {}", answer.status, answer.text());
    wait::until("the channel is there", seconds(2), || appliance.channel("news") != Value::Null);
    assert_eq!(appliance.ask("POST", "/api/v1/channels", made).status, 409);
    assert_eq!(appliance.ask("PUT", "/api/v1/channels/demo", r#"{"hold": "2s"}"#).status, 409, "it is in the file");
    assert_eq!(appliance.ask("DELETE", "/api/v1/channels/other", "").status, 404);
    let wrong = appliance.ask("PUT", "/api/v1/channels/news", r#"{"ladder": "copy", "segment": "9h", "window": "no"}"#);
    assert!(wrong.status == 422 && wrong.text().contains("segment") && wrong.text().contains("window"), "{}", wrong.text());
    assert_eq!(appliance.ask("PUT", "/api/v1/channels/news", r#"{"ladder": "copy", "window": "90s"}"#).status, 200);

    appliance.signal("HUP");
    appliance.wait_for_log(&["nothing is different"], seconds(5));
    for _ in 0..2 {
        assert_eq!(appliance.ask("POST", "/api/v1/channels/news/stop", "{}").status, 204);
    }
    wait::until("the channel is off", seconds(2), || appliance.channel("news") == Value::Null);
    let (succeeded, text) = appliance.reload(&[]);
    assert!(succeeded && text.contains("nothing is different") && appliance.channel("news") == Value::Null, "{text}");
    for _ in 0..2 {
        assert_eq!(appliance.ask("POST", "/api/v1/channels/news/start", "{}").status, 204);
    }
    wait::until("the channel is there again", seconds(2), || appliance.channel("news") != Value::Null);
    assert_eq!(appliance.ask("DELETE", "/api/v1/channels/news", "").status, 200);
    assert_eq!(appliance.ask("DELETE", "/api/v1/channels/news", "").status, 404);

    appliance.rewrite(&format!("api_changes = false\n{}", config(&[channel("demo")])));
    // What was edited waits for a reload, whatever happens over the API.
    assert_eq!(appliance.ask("POST", "/api/v1/channels", made).status, 201);
    assert_eq!(appliance.ask("DELETE", "/api/v1/channels/news", "").status, 200);
    assert!(appliance.reload(&[]).0);
    let closed = appliance.ask("POST", "/api/v1/channels", made);
    assert!(closed.status == 403 && closed.text().contains("api_changes"), "{}", closed.text());
}

/// The way of a production appliance: listeners that others reach, tokens for everybody, options of the command line that the file knows nothing of.
#[test]
fn an_appliance_whose_listeners_are_closed_to_it_is_reloaded_over_its_socket() {
    let start = |rest: &str| format!("[api]\nloopback_tokens = true\n\n{rest}");
    let mut appliance = Appliance::start(&start(&config(&[channel("demo")])));
    let (file, state) = (appliance.scratch("headend.toml"), appliance.scratch("state"));
    let reload = |arguments: &[&str]| {
        let mut command = Command::new(headend());
        command.args(["reload", "--config"]).arg(&file).arg("--state-dir").arg(&state).args(arguments);
        let output = command.output().expect("headend runs");
        (output.status.success(), [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
    };
    let (succeeded, text) = appliance.reload(&[]);
    assert!(!succeeded && text.contains("token"), "{text}");
    // The port in the file is not the one that is open, and nothing may listen there.
    appliance.rewrite(&format!("[http]\nlisten = \"192.0.2.1:9\"\n\n{}", start(&config(&[channel("demo"), channel("late")]))));
    let (succeeded, text) = reload(&[]);
    assert!(succeeded && text.lines().any(|line| line.contains("late") && line.contains("added")), "{text}");
    appliance.wait_for_log(&["audit", "/api/v1/reload", "control.sock", "admin"], seconds(2));

    let mut second = Command::new(headend());
    second.args(["serve", "--http", &free_address().to_string(), "--rtmp", "off", "--srt", "off", "--state-dir"]).arg(&state);
    let output = second.output().expect("headend runs");
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("another headend"), "{output:?}");
    assert!(appliance.stop().is_some_and(|status| status.success()) && !state.join("control.sock").exists());
    let (succeeded, text) = reload(&[]);
    assert!(!succeeded && text.contains("control.sock") && text.contains("--state-dir"), "{text}");
}
