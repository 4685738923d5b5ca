use std::io::{ErrorKind, Read, Write};

use super::*;

fn quick() -> HttpLimits {
    HttpLimits {
        header_timeout: Duration::from_millis(200),
        write_stall: Duration::from_millis(300),
        drain: Duration::from_millis(200),
        ..HttpLimits::default()
    }
}

/// Reads until the server closes; an aborted connection is closed too.
fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(!is_patience(&stream.read_to_end(&mut bytes)), "the connection was left open");
    bytes
}

/// Whether the read ended because nothing came in time.
fn is_patience(read: &std::io::Result<usize>) -> bool {
    matches!(read, Err(cause) if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn path_tricks_find_nothing() {
    let house = house(HttpLimits::default());
    for target in [
        "/live/demo/../demo/master.m3u8",
        "/live/demo/%2e%2e/demo/master.m3u8",
        "/live/demo//master.m3u8",
        "//live/demo/master.m3u8",
        "/live/demo/720p%2f1.m4s",
        "/live/demo/720p%5c1.m4s",
        "/live/../../../etc/passwd",
        "/live/demo/..%2f..%2f..%2fetc%2fpasswd",
    ] {
        assert_eq!(house.get(target, &[]).status, 404, "{target}");
    }
    for target in ["/live/demo/master.m3u8%00", "/live/demo/%", "/live/demo/%c0%ae%c0%ae/x", "/live/demo/a%0d%0aX-Y:%20z"] {
        assert_eq!(house.get(target, &[]).status, 400, "{target}");
    }
    assert_eq!(house.get("/live/d%65mo/master%2Em3u8?_HLS_msn=4", &[]).status, 200);
    assert_eq!(house.get("http://elsewhere/live/demo/master.m3u8", &[]).status, 200);
}

#[test]
fn huge_headers_and_addresses_are_refused() {
    let house = house(HttpLimits::default());
    assert_eq!(house.get(&format!("/live/demo/{}", "a".repeat(3000)), &[]).status, 414);
    assert_eq!(house.get("/live/demo/master.m3u8", &[("X-Padding", &"a".repeat(4000))]).status, 200);
    assert_eq!(house.get("/live/demo/master.m3u8", &[("X-Padding", &"a".repeat(100_000))]).status, 431);
    let many: String = (0..200).map(|count| format!("X-{count}: 1\r\n")).collect();
    assert_eq!(house.send(&format!("GET /live/demo/master.m3u8 HTTP/1.1\r\nHost: h\r\n{many}\r\n")).status, 431);
    assert_eq!(house.send("GET /live/demo/\0 HTTP/1.1\r\nHost: h\r\n\r\n").status, 400);
    assert_eq!(house.send("\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03 and so on, for it is TLS\r\n\r\n").status, 400);
}

#[test]
fn a_body_that_nobody_wants_is_not_collected() {
    let house = house(quick());
    let reply = house.send("GET /live/demo/master.m3u8 HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\nabc");
    assert_eq!(reply.status, 200);
}

#[test]
fn a_header_that_never_ends_is_cut() {
    let house = house(quick());
    let mut silent = house.connect();
    let mut trickling = house.connect();
    let mut later = house.connect();
    later.write_all(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    later.read_exact(&mut [0; 12]).unwrap();
    later.write_all(b"GET / HTTP/1.1\r\nX-").unwrap();
    trickling.write_all(b"GET /live/demo/master.m3u8 HTTP/1.1\r\nX-Slow: ").unwrap();
    trickling.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let since = clock::mono();
    // A byte every 20 ms, until the connection ends in one way or the other.
    while trickling.write_all(b"a").is_ok() && is_patience(&trickling.read(&mut [0])) {
        assert!(clock::mono().since(since) < PATIENCE, "a trickled header was left open");
    }
    assert!(until_closed(&mut silent).is_empty());
    until_closed(&mut later);
}

#[test]
fn a_client_that_takes_nothing_is_cut_and_its_place_is_free() {
    let house = house(HttpLimits { max_connections: 1, ..quick() });
    let mut greedy = house.connect();
    let request = "GET /live/demo/720p/1.m4s HTTP/1.1\r\nHost: h\r\n\r\n";
    greedy.write_all(request.repeat(20).as_bytes()).unwrap();
    greedy.read_exact(&mut [0; 12]).unwrap();
    // Nothing more is read, so only the server can end this.
    house.until_open(0);
    assert_eq!(house.get("/healthz", &[]).status, 200);
    assert!(until_closed(&mut greedy).len() < 20 * SEGMENT_BYTES);
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let house = house(HttpLimits { idle_timeout: Duration::from_millis(100), ..HttpLimits::default() });
    let mut stream = house.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(until_closed(&mut stream).ends_with(b"ok\n"));
}

#[test]
fn an_old_connection_is_asked_to_end() {
    let house = house(HttpLimits { max_age: Duration::from_millis(100), ..HttpLimits::default() });
    let mut stream = house.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(until_closed(&mut stream).ends_with(b"ok\n"));
}

#[test]
fn too_many_connections_are_turned_away_until_one_ends() {
    for (limits, status) in [
        (HttpLimits { max_connections: 2, ..HttpLimits::default() }, 503),
        (HttpLimits { max_connections_per_address: 2, ..HttpLimits::default() }, 429),
    ] {
        let house = house(limits);
        let held: Vec<TcpStream> = (0..2)
            .map(|_| {
                let mut stream = house.connect();
                stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
                stream.read_exact(&mut [0; 12]).unwrap();
                stream
            })
            .collect();
        let reply = house.send("");
        assert_eq!((reply.status, reply.header("retry-after")), (status, "2"));
        drop(held);
        house.until_open(0);
        assert_eq!(house.get("/healthz", &[]).status, 200);
    }
}

#[test]
fn shutdown_waits_for_no_idle_connection() {
    let house = house(HttpLimits { drain: 100 * PATIENCE, ..HttpLimits::default() });
    let mut idle = house.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    house.stop.send(true).unwrap();
    until_closed(&mut idle);
    house.runtime.block_on(async { tokio::time::timeout(PATIENCE, house.serving).await }).expect("serve returns").unwrap();
}

#[test]
fn shutdown_lets_answers_end_and_does_not_wait_for_stalled_ones() {
    let house = house(HttpLimits { drain: Duration::from_millis(500), ..HttpLimits::default() });
    let mut idle = house.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    let mut reading = house.connect();
    reading.write_all(b"GET /live/demo/720p/1.m4s HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    reading.read_exact(&mut [0; 12]).unwrap();
    let mut stalled = house.connect();
    stalled.write_all("GET /live/demo/720p/1.m4s HTTP/1.1\r\nHost: h\r\n\r\n".repeat(20).as_bytes()).unwrap();
    stalled.read_exact(&mut [0; 12]).unwrap();
    house.stop.send(true).unwrap();
    assert!(until_closed(&mut reading).len() > SEGMENT_BYTES);
    until_closed(&mut idle);
    house.runtime.block_on(async { tokio::time::timeout(PATIENCE, house.serving).await }).expect("serve returns").unwrap();
    assert!(TcpStream::connect(house.address).is_err(), "nobody listens any more");
}
