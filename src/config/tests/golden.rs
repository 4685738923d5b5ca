//! Whole files and what is said of them: `tests/golden/config/NAME.toml` and `NAME.txt`.
//!
//! A change of a report is a change for operators: look at it, then run with `UPDATE_GOLDEN=1` to write the new ones.

use std::path::Path;
use std::{env, fs};

use super::super::{Overrides, embedded_default, load, parse, random_key};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixed() -> Overrides {
    Overrides { state_dir: Some("/state".into()), ..Overrides::default() }
}

/// Compares with the golden text, or writes it.
fn compare(name: &str, text: &str) {
    let path = root().join("tests/golden/config").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} differs: see the head of this test");
}

fn reported(name: &str, overrides: &Overrides) {
    let file = format!("{name}.toml");
    let text = fs::read_to_string(root().join("tests/golden/config").join(&file)).unwrap();
    let report = parse(&file, &text, overrides).expect_err("must be refused").to_string();
    assert!(!report.contains("hunter2"), "a key got out");
    compare(&format!("{name}.txt"), &format!("{report}\n"));
}

#[test]
fn a_newcomers_file_is_told_everything_at_once() {
    reported("newcomer", &fixed());
}

#[test]
fn mistakes_of_syntax_do_not_hide_the_others() {
    reported("syntax", &fixed());
}

#[test]
fn opening_the_door_to_the_network_asks_for_keys() {
    reported("exposed", &fixed());
}

#[test]
fn ladders_are_checked_rung_by_rung() {
    reported("ladders", &fixed());
}

#[test]
fn a_video_given_by_mistake_is_no_flood_of_messages() {
    let report = parse("clip.mp4", &"\u{1}\u{2}=\n[[".repeat(9000), &fixed()).expect_err("must be refused").to_string();
    assert!(report.lines().count() < 30, "{report}");
}

#[test]
fn the_embedded_default_is_on_the_air_at_once() {
    let plan = parse("headend.toml", embedded_default(), &fixed()).unwrap();
    compare("headend.txt", &plan.summary());
    let [demo] = plan.channels.as_slice() else { panic!("one channel") };
    assert!(demo.name == "demo" && demo.stream_key.matches("demo"));
    assert!(plan.http.ip().is_loopback() && plan.rtmp.is_some_and(|rtmp| rtmp.ip().is_loopback()));
}

#[test]
fn the_embedded_default_leaves_nearly_half_a_core_alone() {
    use crate::channel::plan::LadderPlan;
    let plan = parse("headend.toml", embedded_default(), &fixed()).unwrap();
    let LadderPlan::Rungs(rungs) = &plan.channels[0].ladder else { panic!("rungs") };
    let names: Vec<_> = rungs.iter().map(|rung| (rung.name.as_str(), rung.preset.as_str())).collect();
    assert_eq!(names, [("720p", "superfast"), ("360p", "superfast")]);
    assert!(crate::placement::cores_needed(None, plan.channels[0].rate.unwrap(), rungs) <= 0.6);
}

#[test]
fn the_embedded_default_goes_to_the_network_with_made_keys() {
    let network = Overrides { http: Some("0.0.0.0".into()), rtmp: Some("0.0.0.0".into()), ..fixed() };
    assert!(parse("headend.toml", embedded_default(), &network).is_err());
    let made = Overrides { generate_keys: true, ..network.clone() };
    let plan = parse("headend.toml", embedded_default(), &made).unwrap();
    assert_eq!(plan.generated_keys, ["demo"]);
    assert!(!plan.channels[0].stream_key.matches("demo") && plan.channels[0].stream_key.reveal().len() >= 20);
    let key = random_key();
    let kept = Overrides { stream_keys: [("demo".to_owned(), key.clone())].into(), ..network };
    let plan = parse("headend.toml", embedded_default(), &kept).unwrap();
    assert!(plan.generated_keys.is_empty() && plan.channels[0].stream_key.matches(&key));
}

#[test]
fn the_broadcast_example_is_valid_and_its_keys_are_not_for_the_network() {
    let path = root().join("configs/broadcast.toml");
    let plan = load(&path, &fixed()).map_err(|report| report.to_string()).unwrap();
    compare("broadcast.txt", &plan.summary());
    let network = Overrides { rtmp: Some(":1935".into()), ..fixed() };
    assert_eq!(load(&path, &network).unwrap_err().problems().len(), 5, "four example keys and a wildcard");
}

#[test]
fn files_that_cannot_be_read_are_reported_like_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let missing = load(&dir.path().join("none.toml"), &fixed()).unwrap_err().to_string();
    assert!(missing.contains("none.toml: cannot be read: "), "{missing}");
    assert!(load(dir.path(), &fixed()).is_err());
    let binary = dir.path().join("binary.toml");
    fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    assert!(load(&binary, &fixed()).unwrap_err().to_string().contains("is not text in UTF-8"));
    fs::write(&binary, vec![b'#'; 2 << 20]).unwrap();
    assert!(load(&binary, &fixed()).unwrap_err().to_string().contains("is larger than 1 MiB"));
}

#[test]
fn the_failover_example_is_valid_and_its_secrets_are_not_for_the_network() {
    let path = root().join("configs/failover.toml");
    let plan = load(&path, &fixed()).map_err(|report| report.to_string()).unwrap();
    assert!(!plan.summary().contains("example-"), "a secret got out");
    compare("failover.txt", &plan.summary());
    let network = Overrides { srt: Some(":9000".into()), ..fixed() };
    let refused = load(&path, &network).unwrap_err();
    let keys: Vec<&str> = refused.problems().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["channel[0].srt.passphrase", "channel[0].feeds[0].stream_key", "channel[0].feeds[1].stream_key"]);
}

#[test]
fn feeds_are_checked_one_by_one() {
    reported("feeds", &fixed());
}

#[test]
fn the_nvidia_example_is_valid_and_says_who_wants_what() {
    let path = root().join("configs/nvidia.toml");
    let plan = load(&path, &fixed()).map_err(|report| report.to_string()).unwrap();
    compare("nvidia.txt", &plan.summary());
}
