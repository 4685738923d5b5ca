//! The API as programs meet it: the document against the appliance, feeds, keys and drains with a publisher on the air.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::{self, seconds};
use support::{media, tools};

/// A channel that is made over the API, with the key that publishers use first.
const NEWS: &str = r#"{"name": "news", "ladder": "copy", "stream_key": "first-key-of-news"}"#;

/// What every answer is held to.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method";

/// Calls that take away what others are asked about; they are asked last.
const DESTRUCTIVE: [&str; 5] = ["stop_channel", "delete_channel", "drain_channel", "drain", "undrain"];

/// An appliance on which `news` is on the air, from the file `demo` is there beside it.
fn on_the_air() -> (Appliance, Publisher) {
    let appliance = Appliance::start(&config(&[channel("demo").copy().without("gop")]));
    let made = appliance.ask("POST", "/api/v1/channels", NEWS);
    assert_eq!(made.status, 201, "{}", made.text());
    let publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("first-key-of-news"));
    appliance.wait_for_state("news", "live", seconds(10));
    (appliance, publisher)
}

fn told(appliance: &Appliance, path: &str) -> Value {
    let answer = appliance.get(path);
    serde_json::from_slice(&answer.body).unwrap_or_else(|cause| panic!("{path}: {cause}: {}", answer.text()))
}

#[test]
fn the_appliance_answers_as_its_document_says() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let schemathesis = tools::repository().join(".qa/venv/bin/schemathesis");
    if !schemathesis.is_file() {
        return tools::say_left_out("schemathesis could not be installed (make test-deps tries)");
    }
    let (appliance, _publisher) = on_the_air();
    let excluded: Vec<[&str; 2]> = DESTRUCTIVE.iter().map(|call| ["--exclude-operation-id", call]).collect();
    // The stream of events does not end.
    let excluded: Vec<&str> = excluded.into_iter().flatten().chain(["--exclude-operation-id", "follow_events"]).collect();
    fuzz(&appliance, &schemathesis, "3", &excluded);
    let included: Vec<&str> = DESTRUCTIVE.iter().flat_map(|call| ["--include-operation-id", call]).collect();
    fuzz(&appliance, &schemathesis, "3", &included);
    assert!(appliance.is_alive() && !appliance.log().contains("panicked"), "{}", appliance.log());
    assert!(!appliance.log().contains("first-key-of-news"), "a key is in the log");
}

fn fuzz(appliance: &Appliance, schemathesis: &Path, examples: &str, calls: &[&str]) {
    let mut command = Command::new(schemathesis);
    command.arg("--config-file").arg(tools::repository().join("tests/schemathesis.toml"));
    command.arg("run").arg(appliance.url("/api/v1/openapi.json")).args(["--checks", CHECKS, "--max-examples", examples]);
    command.args(["--phases", "examples,coverage,fuzzing", "--request-timeout", "10", "--suppress-health-check", "all", "--no-color"]);
    // It keeps what it has found where it runs.
    command.args(calls).current_dir(appliance.folder()).stdin(Stdio::null());
    let output = command.output().expect("schemathesis runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn feeds_keys_and_drains_with_a_publisher_on_the_air() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let (appliance, mut publisher) = on_the_air();
    let feeds = told(&appliance, "/api/v1/feeds");
    assert_eq!(feeds.as_array().map(Vec::len), Some(2), "{feeds:#}");
    let on_air = json!(["news", "publisher", "publish", true, true]);
    assert_eq!(members(&feeds[1], &["channel", "name", "kind", "connected", "on_air"]), on_air, "{feeds:#}");
    assert!(feeds[1]["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{feeds:#}");
    assert!(feeds[0]["connected"] == false && feeds[0]["measured"] == Value::Null, "{feeds:#}");
    assert_eq!(told(&appliance, "/api/v1/channels/news/feeds")[0]["channel"], "news");
    assert_eq!(appliance.get("/api/v1/channels/other/feeds").status, 404);

    let keys = "/api/v1/channels/news/keys";
    assert_eq!(told(&appliance, keys), json!([{"feed": "publisher", "key": "first-key-of-news", "origin": "api"}]));
    assert_eq!(told(&appliance, "/api/v1/channels/demo/keys")[0]["origin"], "name");
    assert_eq!(appliance.ask("POST", "/api/v1/channels/demo/keys", r#"{"feed": "publisher"}"#).status, 409, "it is in the file");
    assert_eq!(appliance.ask("POST", keys, r#"{"feed": "other"}"#).status, 422);
    let made = appliance.ask("POST", keys, r#"{"feed": "publisher"}"#);
    let key = serde_json::from_slice::<Value>(&made.body).expect("JSON")["key"].as_str().unwrap_or_default().to_owned();
    assert!(made.status == 201 && made.header("cache-control") == "no-store" && key.len() > 20, "{}", made.text());
    publisher.assert_runs();
    let _refused = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("first-key-of-news"));
    appliance.wait_for_log(&["connection refused", "unknown stream key"], seconds(5));
    let audited = appliance.wait_for_log(&["audit", "POST", keys, "201"], seconds(2));
    assert!(audited.contains("local") && !appliance.log().contains(&key) && !appliance.log().contains("first-key-of-news"), "{audited}");

    assert_eq!(appliance.ask("POST", "/api/v1/drain", "{}").status, 202);
    let ready = appliance.get("/readyz");
    assert!(ready.status == 503 && ready.text().contains("draining"), "{}", ready.text());
    assert_eq!(told(&appliance, "/api/v1/drain"), json!({"draining": true, "publishers": 1}));
    let _late = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url(&key));
    appliance.wait_for_log(&["connection refused", "headend is being drained"], seconds(5));
    assert_eq!(appliance.ask("DELETE", "/api/v1/drain", "").status, 200);
    assert_eq!(appliance.get("/readyz").status, 200);

    publisher.assert_runs();
    assert_eq!(appliance.ask("POST", "/api/v1/channels/news/drain", r#"{"within": "1s"}"#).status, 202);
    assert_eq!(appliance.channel_state("news"), "live", "it is served until then");
    wait::until("the channel is stopped", seconds(5), || appliance.channel("news") == Value::Null);
    appliance.wait_for_log(&["channel is drained and stopped", "is_late"], seconds(2));
    assert_eq!(appliance.ask("POST", "/api/v1/channels/news/start", "{}").status, 204);
    wait::until("it is there again", seconds(2), || appliance.channel("news") != Value::Null);
}

fn members(object: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| object[name].clone()).collect()
}
