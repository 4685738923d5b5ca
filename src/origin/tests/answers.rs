use std::io::{BufRead, BufReader, Read, Write};

use flate2::read::GzDecoder;

use super::*;

const SEGMENT: &str = "/live/demo/720p/1.m4s";
const PLAYLIST: &str = "/live/demo/720p/playlist.m3u8";

#[test]
fn a_segment_arrives_whole_and_may_be_kept_for_ever() {
    let reply = house(HttpLimits::default()).get(SEGMENT, &[]);
    assert_eq!((reply.status, reply.header("content-type")), (200, "video/mp4"));
    assert_eq!(reply.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(reply.header("content-length"), SEGMENT_BYTES.to_string());
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert!(reply.header("access-control-expose-headers").contains("Content-Range"));
    assert_eq!(reply.header("accept-ranges"), "bytes");
    assert!(reply.body == segment());
}

#[test]
fn head_tells_what_get_would_send_and_sends_nothing() {
    let house = house(HttpLimits::default());
    for target in [SEGMENT, PLAYLIST, "/live/demo/none", "/live/empty/master.m3u8"] {
        let (get, mut head) = (house.get(target, &[]), house.ask("HEAD", target, &[]));
        assert!(head.body.is_empty(), "{target}");
        head.headers.insert("date".into(), get.header("date").into());
        assert_eq!((get.status, &get.headers), (head.status, &head.headers), "{target}");
    }
    assert_eq!(house.ask("HEAD", SEGMENT, &[("Range", "bytes=0-9")]).status, 200);
}

#[test]
fn ranges_are_served_and_absurd_ones_answered() {
    let house = house(HttpLimits::default());
    let body = segment();
    for (range, expected) in
        [("bytes=5-9", 5..10), ("bytes=2999990-", 2_999_990..SEGMENT_BYTES), ("bytes=-1", SEGMENT_BYTES - 1..SEGMENT_BYTES)]
    {
        let reply = house.get(SEGMENT, &[("Range", range)]);
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.header("content-range"), format!("bytes {}-{}/{SEGMENT_BYTES}", expected.start, expected.end - 1));
        assert_eq!(reply.body, body[expected]);
    }
    for range in ["bytes=3000000-", "bytes=-0", "bytes=99999999999999999999999999-"] {
        let reply = house.get(SEGMENT, &[("Range", range)]);
        assert_eq!((reply.status, reply.header("content-range")), (416, "bytes */3000000"), "{range}");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    for range in ["bytes=0-1,4-5", "bytes=9-1", "lines=1-2", &format!("bytes={}", "0-,".repeat(2000))] {
        assert_eq!(house.get(SEGMENT, &[("Range", range)]).status, 200, "{range}");
    }
}

#[test]
fn a_range_counts_only_while_the_file_is_the_same() {
    let house = house(HttpLimits::default());
    let whole = house.get(SEGMENT, &[]);
    for (condition, status) in [
        (whole.header("etag"), 206),
        (whole.header("last-modified"), 206),
        ("\"other\"", 200),
        (&format!("W/{}", whole.header("etag")), 200),
        ("Mon, 21 Sep 2015 14:13:20 GMT", 200),
    ] {
        assert_eq!(house.get(SEGMENT, &[("Range", "bytes=0-9"), ("If-Range", condition)]).status, status, "{condition}");
    }
}

#[test]
fn an_unchanged_playlist_is_not_sent_again() {
    let house = house(HttpLimits::default());
    let first = house.get(PLAYLIST, &[("Accept-Encoding", "gzip")]);
    let (etag, date) = (first.header("etag"), first.header("last-modified"));
    for condition in [etag, &format!("\"a\", W/{etag}"), "*"] {
        let reply = house.get(PLAYLIST, &[("If-None-Match", condition), ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")]);
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{condition}");
        assert!(!reply.header("etag").is_empty() && !reply.header("cache-control").is_empty());
    }
    assert_eq!(house.get(PLAYLIST, &[("If-Modified-Since", date)]).status, 304);
    assert_eq!(house.get(PLAYLIST, &[("If-Modified-Since", "yesterday")]).status, 200);
    assert_eq!(house.get(PLAYLIST, &[("If-None-Match", "\"other\""), ("If-Modified-Since", date)]).status, 200);
    assert_eq!(house.get(PLAYLIST, &[("If-Match", "\"other\"")]).status, 412);
    assert_eq!(house.get(PLAYLIST, &[("If-Match", etag)]).status, 200);
    assert_eq!(house.get(PLAYLIST, &[("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")]).status, 412);
}

#[test]
fn playlists_are_compressed_for_who_takes_it() {
    let house = house(HttpLimits::default());
    let (plain, packed) = (house.get(PLAYLIST, &[]), house.get(PLAYLIST, &[("Accept-Encoding", "br, gzip;q=0.5")]));
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    assert_eq!((plain.header("vary"), packed.header("vary")), ("Accept-Encoding", "Accept-Encoding"));
    assert_ne!(plain.header("etag"), packed.header("etag"));
    let mut text = String::new();
    GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!((text.as_bytes(), &plain.body[..]), (playlist().as_bytes(), playlist().as_bytes()));
    assert_eq!(house.get(PLAYLIST, &[("Accept-Encoding", "gzip;q=0")]).header("content-encoding"), "");
    let part = house.get(PLAYLIST, &[("Accept-Encoding", "gzip"), ("Range", "bytes=0-6")]);
    assert_eq!((part.status, &part.body[..], part.header("content-encoding")), (206, &b"#EXTM3U"[..], ""));
}

#[test]
fn a_channel_without_anything_asks_players_to_try_again() {
    let house = house(HttpLimits::default());
    let waiting = house.get("/live/empty/master.m3u8", &[]);
    assert_eq!((waiting.status, waiting.header("retry-after"), waiting.header("cache-control")), (503, "1", "no-store"));
    for target in ["/live/demo/720p/2.m4s", "/live/other/master.m3u8", "/live/", "/live", "/nothing"] {
        let reply = house.get(target, &[]);
        assert_eq!((reply.status, reply.header("cache-control")), (404, "no-store"), "{target}");
        assert!(reply.body.len() < 100);
    }
}

#[test]
fn scripts_of_other_sites_may_ask_before_they_ask() {
    let house = house(HttpLimits::default());
    let reply = house.ask("OPTIONS", SEGMENT, &[("Origin", "https://a.example"), ("Access-Control-Request-Headers", "range")]);
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, "*"));
    assert!(reply.header("access-control-allow-headers").contains("Range"));
    assert_eq!(house.ask("DELETE", SEGMENT, &[]).status, 405);
    assert_eq!(house.ask("POST", SEGMENT, &[("Content-Length", "0")]).header("allow"), "GET, HEAD, OPTIONS");
}

#[test]
fn machines_find_time_health_readiness_and_metrics() {
    let house = house(HttpLimits::default());
    let time = house.get("/time", &[]);
    assert!(time.body.len() == 24 && time.body.ends_with(b"Z") && time.header("access-control-allow-origin") == "*");
    assert_eq!(house.get("/healthz", &[]).status, 200);
    let ready = house.get("/readyz", &[]);
    assert_eq!((ready.status, &ready.body[..]), (503, &b"not ready: channel demo has no fresh segment\n"[..]));
    house.get(PLAYLIST, &[]);
    let text = String::from_utf8(house.get("/metrics", &[]).body).unwrap();
    assert!(text.contains("headend_http_requests_total{kind=\"playlist\",status=\"200\"}"), "{text}");
    assert!(text.contains(&format!("headend_http_connections{{listener=\"{}\"}} 1", house.address)), "{text}");
}

#[test]
fn one_connection_carries_many_requests() {
    let house = house(HttpLimits::default());
    let mut stream = house.connect();
    stream.write_all(format!("GET {PLAYLIST} HTTP/1.1\r\nHost: h\r\n\r\n").repeat(50).as_bytes()).unwrap();
    let mut answers = BufReader::new(stream);
    for _ in 0..50 {
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).unwrap();
        }
        let mut body = vec![0; playlist().len()];
        answers.read_exact(&mut body).unwrap();
    }
}

/// The first frame of this type (RFC 9113 section 6) that answers a request on stream 1: its flags and payload.
fn http_2_frame(house: &House, method: &[u8], kind: u8) -> (u8, Vec<u8>) {
    let mut stream = house.connect();
    // Preface, empty SETTINGS, then HEADERS with literal fields: :method, :scheme http, :path, :authority.
    let mut block = vec![0x02, method.len() as u8];
    block.extend_from_slice(method);
    block.extend_from_slice(b"\x86\x04\x16/live/demo/master.m3u8\x01\x01h");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&[0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1]);
    bytes.extend_from_slice(&block);
    stream.write_all(&bytes).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == kind {
            return (head[4], payload);
        }
    }
}

#[test]
fn http_2_without_tls_is_spoken() {
    let house = house(HttpLimits::default());
    assert_eq!(http_2_frame(&house, b"GET", 0).1, b"#EXTM3U\n");
    let (flags, _) = http_2_frame(&house, b"HEAD", 1);
    assert_eq!(flags & 1, 1, "an answer to HEAD ends with its header");
}
