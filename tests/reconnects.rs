//! A publisher is gone and comes back, in every way that encoders and networks have for it: its picture is on the air again
//! within two seconds of its first keyframe, without a discontinuity.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::flv::{Tag, tags};
use support::publisher::Publisher;
use support::rtmp_client::{Client, Heard};
use support::wait::{Stopwatch, civil_s, pass, seconds};
use support::watch::Watch;
use support::{hls, media, process, tools};

/// From the first keyframe to its picture on the programme.
const BACK_WITHIN_S: f64 = 2.0;

/// A colour that no pattern or slate has for a whole picture, by its U and V at BT.601's limited range.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Colour(&'static str, [i32; 2]);

const RED: Colour = Colour("red", [90, 240]);
const LIME: Colour = Colour("lime", [54, 34]);
const BLUE: Colour = Colour("blue", [240, 110]);
const YELLOW: Colour = Colour("yellow", [16, 146]);
const CYAN: Colour = Colour("cyan", [166, 16]);
const MAGENTA: Colour = Colour("magenta", [202, 222]);
const ORANGE: Colour = Colour("orange", [42, 179]);

/// A publisher's picture, and the civil time in seconds of its first keyframe.
type Return = (Colour, f64);

#[test]
fn a_publisher_that_comes_back_is_on_the_air_within_two_seconds_of_its_first_keyframe() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let clips = [
        clip(RED, "640x360", "-bf 0"),
        clip(LIME, "640x360", "-bf 3 -profile:v main"),
        clip(BLUE, "270x480", "-bf 0 -r 30"),
        clip(YELLOW, "640x360", "-bf 0"),
        clip(CYAN, "640x360", "-bf 0"),
        clip(MAGENTA, "320x240", "-bf 0"),
        clip(ORANGE, "640x360", "-bf 0"),
    ];
    let appliance = Appliance::start(&config(&[channel("demo").pattern().text("window", "90s")]));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    let returns = thread::scope(|scope| {
        let story = thread::Builder::new().name("publishers".into()).spawn_scoped(scope, || publishers(&appliance, &clips));
        let story = story.expect("a thread");
        while !story.is_finished() {
            watch.poll();
            support::wait::a_moment();
        }
        story.join().expect("the publishers do as they are told")
    });
    watch.for_a_while(seconds(4));
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    let shown = pictures(&appliance);
    for (colour, keyframe_s) in returns {
        let first = shown.iter().find(|(at_s, [u, v])| *at_s > keyframe_s - 1.0 && is_near(*u, colour.1[0]) && is_near(*v, colour.1[1]));
        let Some((at_s, _)) = first else {
            panic!("{colour:?} was never on the air after its keyframe at {keyframe_s}: {}", scenes(&shown))
        };
        let took_s = at_s - keyframe_s;
        println!("{} was on the air {took_s:.2} s after its first keyframe", colour.0);
        assert!(took_s <= BACK_WITHIN_S, "{colour:?} was on the air {took_s:.2} s after its first keyframe");
    }
    assert_eq!(appliance.metric("headend_worker_restarts_total", &["demo"]), 0.0);
    told_of_it(&appliance);
}

/// One after another, each with a colour of its own.
fn publishers(appliance: &Appliance, clips: &[PathBuf; 7]) -> Vec<Return> {
    let url = appliance.publish_url("demo");
    let mut returns = Vec::new();
    let [red, lime, blue, yellow, cyan, magenta, orange] = clips;

    // Killed without a word, then other encoder settings.
    let first = Publisher::start(red, &url);
    on_air(appliance);
    process::signal(first.id(), "KILL");
    pass(seconds(1));
    let second = ffmpeg(&mut returns, LIME, lime, &url);
    on_air(appliance);

    // Stopped in good order, then another size and rate.
    second.stop();
    let third = ffmpeg(&mut returns, BLUE, blue, &url);
    on_air(appliance);
    third.stop();

    // A clock that begins late and wraps; a connection that is reset; a clock that begins anew.
    let mut client = Client::publishing(appliance.rtmp, "demo");
    send(&mut returns, &mut client, YELLOW, yellow, u32::MAX - 1_500);
    client.reset();
    let mut client = Client::publishing(appliance.rtmp, "demo");
    send(&mut returns, &mut client, CYAN, cyan, 3_600_000);
    // On the same connection other settings, and the clock goes back by an hour.
    send(&mut returns, &mut client, MAGENTA, magenta, 0);

    // It hangs: its connection is open, and nothing comes. The newcomer is not turned away.
    let admitted = || appliance.log().matches("publisher admitted").count();
    let before = admitted();
    let back = Publisher::start(orange, &url);
    support::wait::until("the newcomer is let in", seconds(6), || admitted() > before);
    returns.push((ORANGE, civil_s()));
    pass(seconds(3));
    // One that speaks is not displaced.
    let mut intruder = Client::shaken(appliance.rtmp);
    intruder.connect("live");
    intruder.publish("demo");
    assert_eq!(intruder.hear("NetStream.Publish.BadName", seconds(3)), Heard::Text);
    assert!(client.is_closed_within(seconds(1)), "the one that hung is closed");
    back.stop();
    returns
}

/// ffmpeg with the clip in real time; its first keyframe comes after it was started.
fn ffmpeg(returns: &mut Vec<Return>, colour: Colour, clip: &Path, url: &str) -> Publisher {
    let publisher = Publisher::start(clip, url);
    // The process starts, connects and sends headers before its keyframe: what that takes counts against the appliance.
    returns.push((colour, civil_s()));
    publisher
}

/// Three seconds of the clip in real time, from `clock_ms` on.
fn send(returns: &mut Vec<Return>, client: &mut Client, colour: Colour, clip: &Path, clock_ms: u32) {
    let mut tags: Vec<Tag> = tags(clip).into_iter().filter(|tag| tag.time_ms < 3_000).collect();
    returns.push((colour, civil_s()));
    let start = Stopwatch::start();
    for tag in &mut tags {
        while start.seconds() * 1000.0 < f64::from(tag.time_ms) {
            pass(Duration::from_millis(5));
        }
        tag.time_ms = tag.time_ms.wrapping_add(clock_ms);
        assert!(client.tag(tag), "the server takes {colour:?}");
    }
}

/// The state is live, and stays for three seconds.
fn on_air(appliance: &Appliance) {
    appliance.wait_for_state("demo", "live", seconds(10));
    pass(seconds(3));
}

/// What the API and the recorder tell of what happened.
fn told_of_it(appliance: &Appliance) {
    let flight = appliance.get("/api/v1/channels/demo/flight").text();
    assert!(flight.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{flight}");
    for what in ["\"feed_opened\"", "\"feed_closed\"", "\"unit\"", "\"listed\"", "\"source\"", "\"state\""] {
        assert!(flight.contains(what), "the flight recorder does not tell {what}");
    }
    let publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("demo"));
    let measured = |answer: &support::http::Response| {
        let channel: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let feed = &channel["feeds"][0];
        let bitrate = feed["bitrate_bps"].as_u64().unwrap_or(0);
        feed["video"]["frame_rate"] == 25.0 && feed["video"]["gop"]["seconds"] == 2.0 && (500_000..2_000_000).contains(&bitrate)
    };
    appliance.wait_for("/api/v1/channels/demo", seconds(8), measured);
    assert!(appliance.metric("headend_feed_bytes_per_second", &["demo"]) > 60_000.0);
    process::signal(appliance.busiest_worker(), "KILL");
    appliance.wait_for_log(&["flight recording written", "worker_lost", "channel=\"demo\""], seconds(10));
    let folder = fs::read_dir(appliance.scratch("state/flight")).expect("the folder of recordings");
    let recordings: Vec<PathBuf> = folder.map(|entry| entry.expect("a file").path()).collect();
    let text = fs::read_to_string(&recordings[0]).expect("a recording");
    assert!(recordings.len() == 1 && text.contains("\"worker_gone\"") && text.contains("\"unit\""), "{recordings:?}: {text}");
    publisher.stop();
}

/// What was shown from when on, in words.
fn scenes(shown: &[(f64, [i32; 2])]) -> String {
    let mut text = String::new();
    let mut last = [i32::MIN / 2; 2];
    for (at_s, mean) in shown {
        if !is_near(mean[0], last[0]) || !is_near(mean[1], last[1]) {
            text.push_str(&format!("{at_s:.2} s: {mean:?}; "));
            last = *mean;
        }
    }
    text
}

fn is_near(a: i32, b: i32) -> bool {
    (a - b).abs() <= 12
}

/// A minute of one colour with a keyframe every second.
fn clip(colour: Colour, size: &str, codec: &str) -> PathBuf {
    let path = tools::scratch().join(format!("reconnect-{}.flv", colour.0));
    if !path.exists() {
        fs::create_dir_all(tools::scratch()).expect("target/media can be made");
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &format!("color=c={}:size={size}:rate=25", colour.0)]);
        command.args(["-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "60", "-c:v", "libx264", "-preset", "ultrafast"]);
        command.args(["-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac", "-ac", "2"]).args(codec.split(' ')).arg(&path);
        let made = command.output().expect("ffmpeg runs");
        assert!(made.status.success(), "{colour:?}: {}", String::from_utf8_lossy(&made.stderr));
    }
    path
}

/// Every listed picture of the smallest rung: its civil time in seconds, and U and V of its middle.
fn pictures(appliance: &Appliance) -> Vec<(f64, [i32; 2])> {
    let path = "/live/demo/180p/playlist.m3u8";
    let playlist = hls::media(&appliance.get(path).text()).expect("a playlist");
    let mut bytes = Vec::new();
    for segment in &playlist.segments {
        if bytes.is_empty() {
            bytes.extend(appliance.get(&support::watch::resolved(path, &segment.map)).body);
        }
        bytes.extend(appliance.get(&support::watch::resolved(path, &segment.uri)).body);
    }
    let file = appliance.scratch("programme.mp4");
    fs::write(&file, bytes).expect("the scratch folder takes a file");
    let decoded = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "info", "-nostats", "-copyts", "-i"])
        .arg(&file)
        .args(["-an", "-vf", "crop=iw/8:ih/8,showinfo", "-fps_mode", "passthrough", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    let text = String::from_utf8_lossy(&decoded.stderr).into_owned();
    let base = text.lines().find_map(|line| line.split("config in time_base: 1/").nth(1)?.split(',').next()?.trim().parse().ok());
    let base: f64 = base.unwrap_or_else(|| panic!("showinfo tells no time base: {text}"));
    let shown: Vec<_> = text.lines().filter_map(|line| picture(line, base)).collect();
    assert!(shown.len() > 500, "{} pictures were decoded: {}", shown.len(), text.lines().rev().take(5).collect::<String>());
    shown
}

/// Time in seconds and the means of U and V in a line of showinfo, whose own `pts_time` has too few digits for civil times.
fn picture(line: &str, base: f64) -> Option<(f64, [i32; 2])> {
    let at_s = line.split(" pts:").nth(1)?.split_whitespace().next()?.parse::<f64>().ok()? / base;
    let means = line.split("mean:[").nth(1)?.split(']').next()?;
    let mut means = means.split_whitespace().skip(1).map_while(|mean| mean.parse().ok());
    Some((at_s, [means.next()?, means.next()?]))
}
