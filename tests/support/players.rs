//! Real players: browser players by `play.mjs`, native ones by `native.py`, where the shared folder has them.

use std::process::Command;

use serde_json::Value;

use super::tools::{has, left_out, node_modules, say_left_out, shared};

/// Plays `url` in headless Chromium for some seconds and gives the report; `None` where the test is left out.
#[track_caller]
pub fn play(url: &str, player: &str, seconds: u32) -> Option<Value> {
    let Some(driver) = shared("qa/play.mjs") else {
        say_left_out("no browser player's driver is shared beside the checkout");
        return None;
    };
    if !has(&["node", "chromium"]) {
        return None;
    }
    let modules = node_modules();
    if !modules.join("playwright-core").exists() {
        left_out(&format!("{} holds no players (make test-deps installs them)", modules.display()));
        return None;
    }
    let run = Command::new("node")
        .arg(driver)
        .args([url, "--player", player, "--seconds", &seconds.to_string()])
        .env("QA_NODE_MODULES", modules)
        .output()
        .expect("node runs");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let report = serde_json::from_str(&said);
    Some(report.unwrap_or_else(|cause| panic!("{player}: {cause}: {said}{}", String::from_utf8_lossy(&run.stderr))))
}

/// Plays `url` and holds the player to it: it really played, without stalls, errors or failed requests.
#[track_caller]
pub fn assert_plays(url: &str, player: &str, seconds: u32) {
    let Some(report) = play(url, player, seconds) else { return };
    assert_eq!(report["ok"], true, "{player} did not play {url}: {report:#}");
    for complaint in ["fatal", "errors", "httpErrors"] {
        let none = report[complaint].as_array().is_none_or(Vec::is_empty);
        assert!(none, "{player} on {url}: {complaint}: {report:#}");
    }
    assert!(report["stalls"].as_u64().unwrap_or(0) <= 1, "{player} stalled on {url}: {report:#}");
}

/// Plays `url` in native players (of `ffmpeg`, `mpv`, `vlc`, `gst`) and holds each to it. One that fails plays once more: a machine that is
/// busy at the wrong moment makes a player give up, a stream that is wrong makes it give up again.
#[track_caller]
pub fn assert_plays_natively(url: &str, players: &[&str], seconds: u32) {
    let Some(driver) = shared("qa/native.py") else {
        say_left_out("no native player's driver is shared beside the checkout");
        return;
    };
    let programs = players.iter().map(|player| match *player {
        "vlc" => "cvlc",
        "gst" => "gst-launch-1.0",
        other => other,
    });
    if !has(&programs.chain(["python3"]).collect::<Vec<_>>()) {
        return;
    }
    let played = |players: &[&str]| -> Vec<Value> {
        let mut run = Command::new("python3");
        let run = run.arg(&driver).args([url, "--seconds", &seconds.to_string(), "--only", &players.join(",")]).output();
        let run = run.expect("python3 runs");
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        let reports: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(reports.len(), players.len(), "{said}{}", String::from_utf8_lossy(&run.stderr));
        reports
    };
    for report in played(players).iter().filter(|report| report["ok"] != true) {
        let player = report["player"].as_str().expect("a report names its player");
        println!("{player} did not play {url} and tries again: {report:#}");
        let again = &played(&[player])[0];
        assert_eq!(again["ok"], true, "{player} did not play {url} twice: {report:#} {again:#}");
    }
}
