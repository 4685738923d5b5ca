//! Feeds over every protocol, and one that takes another's place.

mod support;

use support::appliance::{Appliance, free_datagram_address};
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::{self, seconds};
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
        "POST /api/v1/channels/demo/feed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
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
