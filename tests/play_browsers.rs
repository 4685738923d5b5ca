//! Browser players play the appliance: HLS in CMAF and MPEG-TS, DASH, and the page itself.

mod support;

use serde_json::Value;
use support::appliance::Appliance;
use support::configs::{channel, config};
use support::players::{assert_plays, assert_plays_natively};
use support::tools::{self, has, shared};
use support::wait::seconds;

#[test]
fn three_browser_players_play_hls_and_dash() {
    let appliance = on_air();
    let hls = appliance.url("/live/demo/master.m3u8");
    let dash = appliance.url("/live/demo/manifest.mpd");
    let ts = appliance.url("/live/demo/ts/master.m3u8");
    for (player, url) in [("hls", &hls), ("shaka", &hls), ("videojs", &hls), ("hls", &ts), ("dash", &dash), ("shaka", &dash)] {
        assert_plays(url, player, 8);
    }
}

/// GStreamer 1.22 is left out of live DASH: its dashdemux2 counts the time since the epoch twice where availabilityStartTime is
/// the epoch, and wants 30 s of buffer before it plays from the live edge (docs/operations.md, "Players").
#[test]
fn native_players_play_cmaf_mpeg_ts_and_dash() {
    let appliance = on_air();
    assert_plays_natively(&appliance.url("/live/demo/master.m3u8"), &["ffmpeg", "mpv", "vlc", "gst"], 6);
    assert_plays_natively(&appliance.url("/live/demo/ts/master.m3u8"), &["ffmpeg", "mpv", "vlc", "gst"], 6);
    assert_plays_natively(&appliance.url("/live/demo/manifest.mpd"), &["ffmpeg", "mpv", "vlc"], 6);
}

#[test]
fn the_manifest_is_valid_against_the_schema() {
    let Some(checker) = shared("qa/mpd_check.sh") else {
        return support::tools::say_left_out("no MPD schema is shared beside the checkout");
    };
    if !has(&["xmllint"]) {
        return;
    }
    let appliance = on_air();
    let manifest = appliance.scratch("manifest.mpd");
    std::fs::write(&manifest, appliance.get("/live/demo/manifest.mpd").body).expect("scratch is writable");
    let checked = std::process::Command::new("sh").arg(checker).arg(&manifest).output().expect("sh runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn the_page_is_there_and_names_the_channel() {
    let appliance = on_air();
    let page = appliance.get("/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"), "{:?}", page.headers);
    assert!(page.text().contains("viewport"), "made for phones too");
}

#[test]
fn the_page_serves_a_desk_a_dark_room_and_a_phone() {
    let modules = tools::node_modules();
    if !has(&["node", "chromium"]) || !modules.join("axe-core").exists() {
        return tools::left_out(&format!("{} holds no axe-core (make test-deps installs it)", modules.display()));
    }
    let appliance = on_air();
    let folder = appliance.scratch("screens");
    std::fs::create_dir_all(&folder).expect("scratch is writable");
    let driver = tools::repository().join("tests/players/page.mjs");
    let mut run = std::process::Command::new("node");
    run.arg(driver).args([appliance.url("/"), folder.display().to_string()]).env("QA_NODE_MODULES", modules);
    let run = run.output().expect("node runs");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let views: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(views.len(), 3, "{said}{}", String::from_utf8_lossy(&run.stderr));
    for view in views {
        assert!(view["plays"] == true && view["helps"] == true && view["wide"] == false, "{view:#}");
        for none in ["complaints", "foreign", "faults"] {
            assert_eq!(view[none], Value::Array(Vec::new()), "{view:#}");
        }
        assert!(folder.join(format!("page-{}.png", view["view"].as_str().unwrap())).exists());
    }
}

fn on_air() -> Appliance {
    let appliance = Appliance::start(&config(&[channel("demo").pattern().with_ts()]));
    appliance.wait_on_air("demo", seconds(15));
    appliance.wait_for("/live/demo/360p/playlist.m3u8", seconds(20), |answer| answer.text().matches("#EXTINF").count() >= 4);
    appliance
}
