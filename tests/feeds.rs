//! Feeds over every protocol, and one that takes another's place.

mod support;

use std::net::UdpSocket;
use std::time::Duration;

use support::appliance::{Appliance, free_datagram_address};
use support::configs::{channel, config};
use support::impair::{Impairment, Relay};
use support::publisher::Publisher;
use support::wait::{self, Stopwatch, seconds};
use support::watch::Watch;
use support::{http, media, tools};

fn transport_stream(url: &str) -> Publisher {
    Publisher::ffmpeg(&["-re", "-i", &media::FILM.flv().to_string_lossy(), "-c", "copy", "-f", "mpegts", url])
}

/// The channel `demo` with these feeds below it.
fn with_feeds(feeds: &str) -> String {
    let (before, ladder) = {
        let all = config(&[channel("demo").pattern()]);
        let at = all.find("[[ladder").expect("a ladder");
        (all[..at].to_owned(), all[at..].to_owned())
    };
    format!("{before}{feeds}\n{ladder}")
}

fn ask(appliance: &Appliance, feed: &str) -> u16 {
    let body = format!("{{\"feed\": \"{feed}\"}}");
    let head = format!(
        "POST /api/v1/channels/demo/feed HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        appliance.http,
        body.len()
    );
    let raw = http::exchange(appliance.http, head.as_bytes()).expect("an answer");
    http::parse(&raw, false).expect("it is HTTP").status
}

#[test]
fn an_srt_caller_replaces_the_pattern_and_gives_it_back() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start_with_srt(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    let mut caller = transport_stream(&appliance.srt_url("demo"));
    watch.until("the caller is on the air", seconds(10), |_| appliance.channel_state("demo") == "live");
    watch.for_a_while(seconds(6));
    caller.assert_runs();
    let source = appliance.channel("demo")["source"].as_str().unwrap_or_default().to_owned();
    assert!(source.contains("H.264 640x360") && source.contains("AAC"), "{source}");
    assert!(appliance.metric("headend_srt_rtt_seconds", &["demo"]) > 0.0);
    caller.stop();
    watch.until("the pattern is back", seconds(20), |_| appliance.channel_state("demo") == "slate");
    let refused = transport_stream(&appliance.srt_url("somebody-else")).wait(seconds(10)).expect("a wrong key ends the caller");
    assert!(!refused.success());
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert_eq!(appliance.metric("headend_ingest_gaps_total", &["demo"]), 0.0, "a clean feed has no gaps");
}

#[test]
fn a_backup_over_srt_covers_the_loss_of_main_and_an_operator_may_choose() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let feeds = "[[channel.feeds]]\nname = \"main\"\nstream_key = \"main-key\"\n[[channel.feeds]]\nname = \"backup\"\nstream_key = \"backup-key\"\n[channel.failover]\nafter = \"1s\"\nreturn_after = \"5s\"\n";
    let appliance = Appliance::start_with_srt(&with_feeds(feeds));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    let main = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("main-key"));
    watch.until("main is on the air", seconds(10), |_| appliance.channel("demo")["feed"] == "main");
    let mut backup = transport_stream(&appliance.srt_url("backup-key"));
    watch.until("both deliver", seconds(10), |_| appliance.channel("demo")["feeds"].as_array().is_some_and(|feeds| feeds.len() == 2));
    watch.for_a_while(seconds(4));

    main.signal("STOP");
    watch.until("backup covers a main that hangs", seconds(5), |_| appliance.channel("demo")["feed"] == "backup");
    main.signal("CONT");
    watch.until("main has its place back", seconds(20), |_| appliance.channel("demo")["feed"] == "main");
    assert_eq!(ask(&appliance, "backup"), 202);
    watch.until("an operator chooses", seconds(5), |_| appliance.channel("demo")["feed"] == "backup");
    assert_eq!(ask(&appliance, "nonesuch"), 422);
    assert_eq!(ask(&appliance, "auto"), 202);
    watch.until("the policy chooses", seconds(10), |_| appliance.channel("demo")["feed"] == "main");
    watch.for_a_while(seconds(3));
    backup.assert_runs();
    main.stop();
    watch.until("backup covers a main that is gone", seconds(3), |_| appliance.channel("demo")["feed"] == "backup");
    watch.for_a_while(seconds(3));
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert!(appliance.metric("headend_feed_switches_total", &["demo", "backup", "lost"]) >= 2.0);
}

#[test]
fn datagrams_and_srt_listeners_elsewhere_are_fetched() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let (datagrams, listener) = (free_datagram_address(), free_datagram_address());
    let feeds = format!(
        "[[channel.feeds]]\nname = \"satellite\"\nsource = \"udp://{datagrams}\"\n[[channel.feeds]]\nname = \"studio\"\nsource = \"srt://{listener}?latency=200\"\n[channel.failover]\nafter = \"1s\"\n"
    );
    let appliance = Appliance::start_with_srt(&with_feeds(&feeds));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    let studio = transport_stream(&format!("srt://{listener}?mode=listener"));
    watch.until("the listener is called", seconds(20), |_| appliance.channel("demo")["feed"] == "studio");
    watch.for_a_while(seconds(3));
    let satellite = transport_stream(&format!("udp://{datagrams}?pkt_size=1316"));
    wait::pass(seconds(3));
    studio.stop();
    watch.until("datagrams take over", seconds(10), |_| appliance.channel("demo")["feed"] == "satellite");
    watch.for_a_while(seconds(4));
    satellite.stop();
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
}

#[test]
fn ten_seconds_without_a_single_packet_cost_no_connection_and_no_playback() {
    if !tools::has(&["ffmpeg", "srt-live-transmit"]) {
        return;
    }
    let appliance = Appliance::start_with_srt(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    let dark = (seconds(8), seconds(18));
    let since = Stopwatch::start();
    let relay = Relay::start(
        appliance.srt.expect("an SRT listener"),
        Impairment { delay: Duration::from_millis(20), blackouts: vec![dark], ..Impairment::default() },
        7,
    );
    // ffmpeg gives a silent connection up after five seconds; encoders that are made for this wait longer.
    let pipe = format!(
        "ffmpeg -nostdin -v error -re -i {} -c copy -f mpegts -pkt_size 1316 - | srt-live-transmit -q -c 1316 file://con 'srt://{}?streamid=demo&latency=400&peeridletimeo=15000'",
        media::PLAIN.flv().display(),
        relay.address()
    );
    let mut caller = Publisher::program("bash", &["-c", &pipe]);
    watch.until("the caller is on the air", seconds(7), |_| appliance.channel_state("demo") == "live");
    watch.until("the hole is covered", seconds(10), |_| appliance.channel_state("demo") == "slate");
    watch.until("it is live again", seconds(20), |_| since.is_past(dark.1) && appliance.channel_state("demo") == "live");
    // A keyframe comes every two seconds; two more are allowed.
    assert!(since.seconds() < dark.1.as_secs_f64() + 4.5, "live again only {:.1} s after the start", since.seconds());
    watch.for_a_while(seconds(4));
    caller.assert_runs();
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert_eq!(appliance.log().matches("SRT publisher admitted").count(), 1, "the connection held");
}

#[test]
fn garbage_on_a_datagram_feed_hurts_nobody_and_a_clean_stream_then_plays() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let datagrams = free_datagram_address();
    let feeds = format!(
        "[[channel.feeds]]\nname = \"satellite\"\nsource = \"udp://{datagrams}\"\n[[channel]]\nname = \"other\"\nladder = \"test\"\nfeed = \"pattern\"\nsegment = \"2s\"\ngop = \"1s\"\nwindow = \"20s\"\n"
    );
    let appliance = Appliance::start(&with_feeds(&feeds));
    appliance.wait_on_air("demo", seconds(15));
    appliance.wait_on_air("other", seconds(15));
    let (mut watch, mut other) = (Watch::cmaf(&appliance, "demo"), Watch::cmaf(&appliance, "other"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut noise = 0x9E37_79B9_7F4A_7C15u64;
    for round in 0..4_000u32 {
        let mut datagram = vec![0u8; 1316];
        for byte in &mut datagram {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            *byte = noise as u8;
        }
        // Whole packets of ever other programmes, scrambled ones, and plain noise in turn.
        if !round.is_multiple_of(3) {
            for packet in datagram.chunks_mut(188) {
                packet[0] = 0x47;
                packet[3] = if round.is_multiple_of(2) { 0xD0 | packet[3] & 0x0F } else { 0x10 | packet[3] & 0x0F };
            }
        }
        socket.send_to(&datagram, datagrams).expect("datagrams go out");
        if round.is_multiple_of(200) {
            watch.poll();
            other.poll();
        }
    }
    watch.until("the damage is counted", seconds(5), |_| appliance.metric("headend_ingest_errors_total", &["demo", "satellite"]) > 0.0);
    let clean = transport_stream(&format!("udp://{datagrams}?pkt_size=1316"));
    watch.until("a clean stream is taken", seconds(15), |_| appliance.channel("demo")["feed"] == "satellite");
    watch.for_a_while(seconds(4));
    other.poll();
    clean.stop();
    watch.assert_clean();
    other.assert_clean();
    assert!(!appliance.log().contains("panicked"));
}

#[test]
fn a_black_picture_gives_way_to_the_backup_and_is_told() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let feeds = "[[channel.feeds]]\nname = \"main\"\nstream_key = \"main-key\"\n[[channel.feeds]]\nname = \"backup\"\nstream_key = \"backup-key\"\n[channel.failover]\nblack = \"2s\"\nfreeze = \"off\"\nsilence = \"off\"\nreturn_after = \"1m\"\n";
    let appliance = Appliance::start(&with_feeds(feeds));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    let url = appliance.publish_url("main-key");
    let black = [
        "-re",
        "-f",
        "lavfi",
        "-i",
        "color=black:size=640x360:rate=25",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "50",
        "-f",
        "flv",
        &url,
    ];
    let mut main = Publisher::ffmpeg(&black);
    watch.until("main is on the air", seconds(10), |_| appliance.channel("demo")["feed"] == "main");
    watch.until("it is seen to be black", seconds(10), |_| appliance.channel("demo")["look"][0] == "black");
    assert_eq!(appliance.channel("demo")["feed"], "main", "a black picture is better than none");
    let mut backup = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("backup-key"));
    watch.until("backup takes over", seconds(10), |_| appliance.channel("demo")["feed"] == "backup");
    watch.for_a_while(seconds(5));
    assert_eq!(appliance.channel("demo")["feed"], "backup", "what is said of main is not held against backup");
    assert_eq!(appliance.channel("demo")["look"].as_array().map(Vec::len), Some(0));
    main.assert_runs();
    backup.assert_runs();
    assert_eq!(appliance.metric("headend_feed_switches_total", &["demo", "backup", "picture"]), 1.0);
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
}

/// Main is a stream that freezes, or falls silent, six seconds after its beginning; backup is a film.
fn a_failing_main(failover: &str, source: &[&str], condition: &str) {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let feeds = format!(
        "[[channel.feeds]]\nname = \"main\"\nstream_key = \"main-key\"\n[[channel.feeds]]\nname = \"backup\"\nstream_key = \"backup-key\"\n[channel.failover]\n{failover}\nreturn_after = \"1m\"\n"
    );
    let appliance = Appliance::start(&with_feeds(&feeds));
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    let url = appliance.publish_url("main-key");
    let coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac", "-f", "flv", &url];
    let mut main = Publisher::ffmpeg(&[source, &coding].concat());
    watch.until("main is on the air", seconds(10), |_| appliance.channel("demo")["feed"] == "main");
    let mut backup = Publisher::start(&media::FILM.flv(), &appliance.publish_url("backup-key"));
    watch.for_a_while(seconds(2));
    assert_eq!(appliance.channel("demo")["feed"], "main", "a {condition} source is well before it fails");
    watch.until("backup takes over", seconds(20), |_| appliance.channel("demo")["feed"] == "backup");
    assert!(appliance.log().contains(condition), "the log says that main is {condition}");
    watch.for_a_while(seconds(4));
    assert_eq!(appliance.channel("demo")["feed"], "backup");
    main.assert_runs();
    backup.assert_runs();
    assert_eq!(appliance.metric("headend_feed_switches_total", &["demo", "backup", "picture"]), 1.0);
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
}

#[test]
fn a_frozen_picture_gives_way_to_the_backup() {
    let moving_then_still = "testsrc2=size=640x360:rate=25,trim=duration=6,tpad=stop_mode=clone:stop_duration=60";
    let source = ["-re", "-f", "lavfi", "-i", moving_then_still, "-re", "-f", "lavfi", "-i", "sine=frequency=440:duration=60"];
    a_failing_main("freeze = \"2s\"\nblack = \"off\"\nsilence = \"off\"", &source, "frozen");
}

#[test]
fn silence_gives_way_to_the_backup() {
    let loud_then_silent = "sine=frequency=440,volume=0:enable='gte(t,6)',atrim=duration=60";
    let source = ["-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=60", "-re", "-f", "lavfi", "-i", loud_then_silent];
    a_failing_main("silence = \"2s\"\nfreeze = \"off\"\nblack = \"off\"", &source, "silent");
}
