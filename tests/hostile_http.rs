//! Path tricks, huge heads, absurd ranges: each gets an answer that is no more than a refusal.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use headend::base::cores::raise_open_files;
use socket2::{Domain, Socket, Type};
use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::{self, Stopwatch, seconds};
use support::{http, media, process, tools};

#[test]
fn no_path_leads_out_of_the_shelf() {
    let appliance = on_air();
    let tricks = [
        "/live/../../../etc/passwd",
        "/live/demo/../../../../etc/passwd",
        "/live/demo/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/live/demo/..%2f..%2f..%2fetc%2fpasswd",
        "/live/demo/360p/..%5c..%5cetc",
        "//etc/passwd",
        "/live//etc/passwd",
        "/live/demo/360p/%00",
        "/live/demo/360p/playlist.m3u8%00.m4s",
        "/live/demo/%ff%fe/playlist.m3u8",
        "/live/demo/360p/18446744073709551616.m4s",
        "/live/demo/360p/-1.m4s",
        "/live/%25%32%65%25%32%65/",
        "/live/demo;x=1/master.m3u8",
        "/live/nobody/master.m3u8",
        "/live/demo/999p/playlist.m3u8",
    ];
    for path in tricks {
        let answer = http::get(appliance.http, path).unwrap_or_else(|cause| panic!("{cause}"));
        assert!((300..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("root:"), "{path}: {}", answer.text());
    }
    unharmed(&appliance);
}

#[test]
fn heads_without_measure_are_refused() {
    let appliance = on_air();
    let long = "a".repeat(10 << 20);
    let heads = [
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: 1\r\n".repeat(100_000)),
        format!("{long} / HTTP/1.1\r\nHost: x\r\n\r\n"),
        "\u{16}\u{3}\u{1}\u{2}".repeat(500),
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n".into(),
        "POST /api/v1/channels HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".into(),
    ];
    for head in &heads {
        let shown: String = head.chars().take(40).collect();
        if let Ok(raw) = http::exchange(appliance.http, head.as_bytes()) {
            let answer = String::from_utf8_lossy(&raw).into_owned();
            assert!(!answer.starts_with("HTTP/1.1 2"), "{shown:?} was taken: {answer}");
        }
        unharmed(&appliance);
    }
}

#[test]
fn ranges_are_served_or_refused_as_the_standard_has_them() {
    let appliance = on_air();
    let path = "/live/demo/360p/playlist.m3u8";
    let playlist = support::hls::media(&appliance.get(path).text()).expect("the playlist is valid");
    let segment = support::watch::resolved(path, &playlist.segments.last().expect("a segment").uri);
    let whole = appliance.get(&segment).body;
    let last = whole.len() - 1;
    let ranged = |range: &str| {
        http::request(appliance.http, "GET", &segment, &[("Range", range)]).unwrap_or_else(|cause| panic!("{range}: {cause}"))
    };
    for (range, from, to) in [
        ("bytes=0-0".to_string(), 0, 0),
        ("bytes=10-19".into(), 10, 19),
        (format!("bytes={last}-"), last, last),
        ("bytes=-5".into(), last - 4, last),
        ("bytes=5-99999999999".into(), 5, last),
    ] {
        let answer = ranged(&range);
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.body, whole[from..=to], "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{to}/{}", whole.len()), "{range}");
    }
    for range in ["bytes=99999999999-", "bytes=18446744073709551615-18446744073709551616", "bytes=-0"] {
        let answer = ranged(range);
        assert!(matches!(answer.status, 416 | 200), "{range}: {}", answer.status);
    }
    for range in ["bytes=9-3", "bytes=a-b", "lines=1-2", "bytes=", "bytes=--5"] {
        let answer = ranged(range);
        assert!(answer.status == 416 || (answer.status == 200 && answer.body == whole), "{range}: {}", answer.status);
    }
    let thousands = format!("bytes={}", (0..5000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(","));
    let greedy = ranged(&thousands);
    assert!(greedy.status >= 400 || greedy.body.len() <= 2 * whole.len(), "{} with {} bytes", greedy.status, greedy.body.len());
    unharmed(&appliance);
}

#[test]
fn conditional_requests_and_caching_are_as_a_cdn_expects() {
    let appliance = on_air();
    let path = "/live/demo/360p/playlist.m3u8";
    let answer = appliance.get(path);
    assert_eq!(answer.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let playlist = support::hls::media(&answer.text()).expect("the playlist is valid");
    let segment = support::watch::resolved(path, &playlist.segments.last().expect("a segment").uri);
    let answer = appliance.get(&segment);
    assert!(answer.header("cache-control").contains("immutable"), "{:?}", answer.headers);
    let tag = answer.header("etag").to_string();
    assert!(!tag.is_empty(), "{:?}", answer.headers);
    let again = http::request(appliance.http, "GET", &segment, &[("If-None-Match", &tag)]).expect("an answer");
    assert_eq!((again.status, again.body.len()), (304, 0));
    let head = http::request(appliance.http, "HEAD", &segment, &[]).expect("an answer");
    assert_eq!((head.status, head.header("content-length")), (200, answer.body.len().to_string().as_str()));
    let zipped = http::request(appliance.http, "GET", path, &[("Accept-Encoding", "gzip")]).expect("an answer");
    assert_eq!(zipped.header("content-encoding"), "gzip");
    assert!(zipped.body.starts_with(&[0x1f, 0x8b]));
}

#[test]
fn connections_that_say_nothing_are_closed_and_do_not_crowd_others_out() {
    let appliance = on_air();
    let start = Stopwatch::start();
    let silent: Vec<_> = (0..300).filter_map(|_| http::connect(appliance.http).ok()).collect();
    let mut slow = http::connect(appliance.http).expect("a connection");
    slow.write_all(b"GET /live/demo/master.m3u8 HTTP/1.1\r\nHost:").expect("the head begins");
    unharmed(&appliance);
    assert!(start.seconds() < 10.0, "an answer took {:.1} s beside 300 silent connections", start.seconds());
    slow.set_read_timeout(Some(seconds(60))).expect("a time limit");
    let mut said = Vec::new();
    let closed = slow.read_to_end(&mut said);
    assert!(closed.is_ok(), "a head that never ends is waited for longer than a minute: {closed:?}");
    drop(silent);
}

#[test]
fn a_publisher_goes_on_beside_floods_and_thousands_of_idle_connections() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    // The appliance inherits the limit, and raises it itself as far as it goes.
    let crowd = usize::try_from(raise_open_files().limit / 4).unwrap_or(usize::MAX).min(2000);
    let appliance = Appliance::start(&config(&[channel("copied").copy().without("gop")]));
    let mut publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("copied"));
    appliance.wait_on_air("copied", seconds(20));
    let idle: Vec<_> = (0..crowd).filter_map(|number| connect_from(number, appliance.http)).collect();
    assert_eq!(idle.len(), crowd);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let head = "GET / HTTP/1.1\r\nHost: x\r\n";
        let post = "POST /api/v1/channels/copied/feed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n";
        scope.spawn(|| pour(&appliance, &over, head, format!("X-Flood: {}\r\n", "a".repeat(4000)).as_bytes()));
        scope.spawn(|| pour(&appliance, &over, post, &[b'a'; 64 << 10]));
        let listed = || appliance.metric("headend_segments_total", &["copied"]);
        let before = listed();
        let two_more = wait::until_ok(seconds(30), || if listed() >= before + 2.0 { Ok(()) } else { Err("segments are listed no more") });
        let served = appliance.metric("headend_http_connections", &[]);
        over.store(true, Ordering::Relaxed);
        two_more.unwrap_or_else(|cause| panic!("{cause}: {}", appliance.log()));
        assert!(served >= crowd as f64, "{served} of {crowd} idle connections are left");
    });
    publisher.assert_runs();
    assert!(appliance.is_alive() && !appliance.log().contains("panicked"));
    assert_eq!(appliance.channel_state("copied"), "live");
    assert!(appliance.metric("headend_ingest_lag_seconds_count", &["copied"]) > 100.0, "the lag of a few seconds of units");
    for role in ["ingest", "packaging", "edge"] {
        assert!(appliance.metric("headend_thread_cpu_seconds_total", &[role]) > 0.0, "{role} took no time");
    }
}

/// A connection from one of many addresses of this machine: each has few places.
fn connect_from(number: usize, server: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    let from = SocketAddr::from(([127, 0, 40, 1 + u8::try_from(number / 400).ok()?], 0));
    socket.bind(&from.into()).ok()?;
    socket.connect(&server.into()).ok()?;
    let mut socket = TcpStream::from(socket);
    // Whoever has never asked for anything is closed much sooner.
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    Some(socket)
}

/// Sends `head` and then `more` without end, again on a new connection each time it is closed.
fn pour(appliance: &Appliance, over: &AtomicBool, head: &str, more: &[u8]) {
    while !over.load(Ordering::Relaxed) {
        let Ok(mut peer) = http::connect(appliance.http) else { continue };
        let mut sent = peer.write_all(head.as_bytes());
        while sent.is_ok() && !over.load(Ordering::Relaxed) {
            sent = peer.write_all(more);
        }
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let free = support::appliance::free_address().to_string();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_headend"))
        .args(["serve", "--http", &address, "--rtmp", &free, "--srt", "off", "--state-dir"])
        .arg(folder.path())
        .output()
        .expect("headend runs");
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    assert!(!run.status.success() && said.contains(&address), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

fn on_air() -> Appliance {
    let appliance = Appliance::start(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    appliance.wait_for("/live/demo/360p/playlist.m3u8", seconds(15), |answer| answer.text().contains("#EXTINF"));
    appliance
}

fn unharmed(appliance: &Appliance) {
    assert!(appliance.is_alive());
    assert_eq!(appliance.get("/live/demo/master.m3u8").status, 200);
    let kib = process::resident_kib(appliance.front_id());
    assert!(kib < 500 << 10, "the front holds {kib} KiB");
}
