//! SRT publishers against the real gateway: who comes in, who is told what, and whether every byte arrives.
//! What only libsrt does is tested with the feature `srt` alone.

#![cfg(feature = "srt-gateway")]
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

mod srt_support;
mod support;

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

use headend::base::queue::{Receiver, queue};
use headend::ingest::srt::{SrtCall, SrtListener};
use headend::wire::link::gateway::{Options, Secret};
use srt_support::{Plan, Sender, TS, message, numbers, rejection, url};
use support::impair::{Impairment, Relay};
use support::process::{self, Process};
use support::tools;
use support::wait::{seconds, until};

const SECRET: &str = "a long enough passphrase";

fn ready() -> bool {
    tools::has(&["srt-live-transmit", "ffmpeg"])
}

/// A way to `target` on which the codes of rejections are read off the wire.
fn overheard(target: SocketAddr) -> (Relay, Receiver<u32>) {
    let (codes, heard) = queue("codes", 64);
    let tap = move |datagram: &[u8]| {
        if let Some(code) = rejection(datagram) {
            let _ = codes.try_send(code);
        }
    };
    (Relay::tapped(target, Impairment::default(), 1, Some(Box::new(tap))), heard)
}

#[test]
fn every_byte_of_a_publisher_arrives_in_order() {
    if !ready() {
        return;
    }
    let house = Plan::default().channel("demo").open();
    let mut sender = Sender::start(&house.url("streamid=demo"), 6_000_000);
    until("two seconds arrive", seconds(10), || house.received_bytes("demo") > 1_500_000);
    let sent = sender.finish();
    house.assert_whole("demo", sent);
    drop(sender);
    until("the feed ends with its connection", seconds(5), || !house.received("demo").present);
}

#[cfg(feature = "srt")]
#[test]
fn callers_that_may_not_come_in_are_told_the_right_code() {
    if !ready() {
        return;
    }
    let house = Plan::default().channel("demo").channel("held").sealed("sealed", SECRET, 16).open();
    let _holder = Sender::start(&house.url("streamid=held"), 500_000);
    until("the channel is taken", seconds(8), || house.received_bytes("held") > 0);
    let (relay, heard) = overheard(house.addresses[0]);
    for (options, code) in [
        ("streamid=unknown", 2404),
        ("streamid=#!::r=demo", 2405),
        ("streamid=#!::r=demo,m=request", 2405),
        ("streamid=#!::m=publish", 2400),
        ("", 2400),
        ("streamid=held", 2409),
        ("streamid=sealed&passphrase=a wrong passphrase", 1010),
        ("streamid=sealed", 1011),
        ("streamid=demo&passphrase=not asked for here", 1011),
    ] {
        let _sender = Sender::start(&url(relay.address(), options), 500_000);
        assert_eq!(heard.recv_within(seconds(8)), Ok(Some(code)), "{options}");
    }
    for reason in ["key", "mode", "stream_id", "busy", "passphrase", "encryption"] {
        let refusals = headend::base::metrics::metrics().ingest_refusals.with_label_values(&["srt", reason]);
        until(&format!("{reason} is counted"), seconds(8), || refusals.get() > 0);
    }
    assert!(house.received("held").admissions == 1 && house.received("demo").admissions == 0 && house.received("sealed").admissions == 0);
}

#[cfg(feature = "srt")]
#[test]
fn encrypted_publishers_come_in_with_the_keys_that_their_channel_asks_for() {
    if !ready() {
        return;
    }
    let house = Plan::default().sealed("short", SECRET, 16).sealed("long", SECRET, 32).sealed("strict", SECRET, 32).open();
    let caller = |key: &str, bytes: u8| {
        Sender::start(&house.url(&format!("streamid=#!::r={key},m=publish&passphrase={SECRET}&pbkeylen={bytes}")), 500_000)
    };
    let (_longer, _equal, shorter) = (caller("short", 32), caller("long", 32), caller("strict", 16));
    for key in ["short", "long"] {
        until("an encrypted publisher arrives in the clear", seconds(8), || house.received_bytes(key) > 20_000);
        assert!(numbers(&house.received(key).bytes).len() > 10);
    }
    until("the caller with the shorter key is closed again", seconds(8), || shorter.log().matches("Connection established").count() > 2);
    assert_eq!(house.received("strict").admissions, 0);
}

#[test]
fn a_listener_of_its_own_takes_callers_without_a_stream_id() {
    if !ready() {
        return;
    }
    let any: SocketAddr = "[::1]:0".parse().unwrap();
    let listener = SrtListener { default_stream: Some(Secret::new("demo")), ..SrtListener::new(any) };
    let house = Plan::default().channel("demo").listener(listener).open();
    let _sender = Sender::start(&house.url(""), 500_000);
    until("it arrives over IPv6", seconds(8), || house.received_bytes("demo") > 20_000);
}

#[test]
fn garbage_at_the_port_disturbs_nobody() {
    if !ready() {
        return;
    }
    let house = Plan::default().channel("demo").open();
    let mut sender = Sender::start(&house.url("streamid=demo"), 2_000_000);
    until("it arrives", seconds(8), || house.received_bytes("demo") > 100_000);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut noise = 1u64;
    for round in 0..4000usize {
        let mut datagram: Vec<u8> = (0..round % 1500)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 33) as u8
            })
            .collect();
        // Every other one looks like a handshake, with a version and extensions of its own making.
        if round % 2 == 0 && datagram.len() > 24 {
            datagram[..4].copy_from_slice(&[0x80, 0, 0, 0]);
            datagram[12..20].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, (round % 7) as u8]);
        }
        let _ = stranger.send_to(&datagram, house.addresses[0]);
    }
    let before = house.received_bytes("demo");
    until("the publisher goes on", seconds(8), || house.received_bytes("demo") > before + 400_000);
    let sent = sender.finish();
    house.assert_whole("demo", sent);
    assert!(process::is_alive(house.gateway_id));
}

#[test]
fn a_channel_that_does_not_read_stalls_nobody_else() {
    if !ready() {
        return;
    }
    let house = Plan::default().deaf("deaf").channel("demo").open();
    let _deaf = Sender::start(&house.url("streamid=deaf"), 20_000_000);
    let mut sender = Sender::start(&house.url("streamid=demo"), 4_000_000);
    until("five seconds arrive", seconds(12), || house.received_bytes("demo") > 2_500_000);
    let sent = sender.finish();
    house.assert_whole("demo", sent);
    let text = headend::base::metrics::metrics().render();
    let unread = text.lines().find(|line| line.starts_with("headend_srt_unread_bytes_total{channel=\"deaf\"")).expect("it is counted");
    assert!(unread.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 1e6, "{unread}");
}

#[cfg(feature = "srt")]
#[test]
fn forward_error_correction_and_new_keys_are_taken_as_they_come() {
    if !ready() {
        return;
    }
    let listener = SrtListener {
        options: Options { packet_filter: "fec,cols:10,rows:5".into(), ..Options::default() },
        ..SrtListener::new("127.0.0.1:0".parse().unwrap())
    };
    let house = Plan::default()
        .channel("fec")
        .sealed("keys", SECRET, 24)
        .listener(listener)
        .listener(SrtListener::new("127.0.0.1:0".parse().unwrap()))
        .open();
    let relay = Relay::start(house.addresses[0], Impairment { loss: 0.01, ..Impairment::default() }, 3);
    // Without retransmission only the packet filter can bring a packet back.
    let _fec = Sender::start(&url(relay.address(), "streamid=fec&packetfilter=fec,cols:10,rows:5,arq:never&latency=400"), 4_000_000);
    let mut keys = Sender::start(
        &url(house.addresses[1], &format!("streamid=keys&passphrase={SECRET}&pbkeylen=24&kmrefreshrate=600&kmpreannounce=200")),
        4_000_000,
    );
    until("both arrive", seconds(15), || house.received_bytes("fec") > 2_000_000 && house.received_bytes("keys") > 2_000_000);
    let metrics = headend::base::metrics::metrics();
    until("packets are rebuilt", seconds(8), || metrics.srt.rebuilt.with_label_values(&["fec", "publisher"]).get() > 5);
    let sent = keys.finish();
    house.assert_whole("keys", sent);
    assert_eq!(metrics.srt.undecrypted.with_label_values(&["keys", "publisher"]).get(), 0);
}

#[test]
fn a_hole_of_ten_seconds_keeps_the_connection() {
    if !ready() {
        return;
    }
    let house = Plan::default().channel("demo").open();
    let mut sender = Sender::with_hole(&house.url("streamid=demo"), 2_000_000, Some((seconds(1), seconds(11))));
    until("it is silent", seconds(8), || house.received_bytes("demo") > 200_000);
    let before = house.received_bytes("demo");
    until("it goes on", seconds(15), || house.received_bytes("demo") > before + 200_000);
    let sent = sender.finish();
    house.assert_whole("demo", sent);
    assert_eq!(house.received("demo").admissions, 1);
}

#[test]
fn a_caller_that_sends_nothing_usable_is_closed() {
    if !ready() {
        return;
    }
    let house = Plan::default().channel("demo").idle(seconds(1)).open();
    let sender = Sender::with_hole(&house.url("streamid=demo"), 2_000_000, Some((seconds(1), seconds(600))));
    until("it has come", seconds(8), || house.received("demo").admissions == 1);
    until("it is closed", seconds(8), || !house.received("demo").present);
    until("it is told so", seconds(8), || !sender.log().is_empty());
}

#[test]
fn a_killed_gateway_is_back_at_its_port_and_its_callers_with_it() {
    if !ready() {
        return;
    }
    let house = Plan::default().channel("demo").open();
    let _sender = Sender::start(&house.url("streamid=demo"), 2_000_000);
    until("it arrives", seconds(8), || house.received_bytes("demo") > 100_000);
    process::signal(house.gateway_id, "KILL");
    until("the feed ends", seconds(5), || !house.received("demo").present);
    house.forget("demo");
    until("the caller is back", seconds(20), || house.received_bytes("demo") > 100_000);
    assert_eq!(house.received("demo").admissions, 2);
}

#[test]
fn the_appliance_calls_out_and_calls_again() {
    if !ready() {
        return;
    }
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let call = SrtCall {
        key: Secret::new("demo"),
        remote: format!("localhost:{}", port.port()),
        rendezvous: None,
        stream_id: Some(Secret::new("#!::r=cam,m=request")),
        security: None,
        options: Options::default(),
    };
    let house = Plan::default().channel("demo").call(call).open();
    for admission in 1..=2 {
        let _sender = Sender::start(&format!("srt://127.0.0.1:{}?mode=listener", port.port()), 2_000_000);
        until("it arrives", seconds(20), || house.received("demo").admissions == admission && house.received("demo").present);
        let before = house.received_bytes("demo");
        until("it goes on", seconds(8), || house.received_bytes("demo") > before + 100_000);
    }
}

#[cfg(feature = "srt")]
#[test]
fn two_ends_that_call_each_other_meet() {
    if !ready() {
        return;
    }
    let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (ours, theirs) = (free(), free());
    let call = SrtCall {
        key: Secret::new("demo"),
        remote: theirs.to_string(),
        rendezvous: Some(ours),
        stream_id: None,
        security: None,
        options: Options::default(),
    };
    let house = Plan::default().channel("demo").call(call).open();
    let rendezvous = format!("srt://{ours}?mode=rendezvous&adapter=127.0.0.1&port={}", theirs.port());
    let _sender = Sender::start(&rendezvous, 2_000_000);
    until("it arrives", seconds(20), || house.received_bytes("demo") > 100_000);
}

#[test]
fn ffmpeg_publishes_an_unbroken_transport_stream() {
    if !ready() {
        return;
    }
    let house = Plan::default().sealed("demo", SECRET, 32).open();
    let folder = tempfile::tempdir().unwrap();
    let target = house.url(&format!("streamid=#!::r=demo,m=publish&passphrase={SECRET}&pbkeylen=32&latency=200000&pkt_size=1316"));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i", "sine=frequency=440"]);
    ffmpeg.args(["-t", "3", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1M", "-c:a", "aac", "-f", "mpegts", &target]);
    let mut publisher = Process::start(&mut ffmpeg, &folder.path().join("ffmpeg.log"));
    assert!(publisher.wait(seconds(20)).is_some_and(|status| status.success()), "{}", publisher.log());
    until("the feed ends", seconds(8), || !house.received("demo").present);
    let bytes = house.received("demo").bytes;
    assert!(bytes.len() > 200_000, "{} bytes", bytes.len());
    let mut next = std::collections::BTreeMap::new();
    for packet in bytes.chunks(TS) {
        assert!(packet.len() == TS && packet[0] == 0x47);
        let (pid, counter) = (u16::from_be_bytes([packet[1] & 0x1f, packet[2]]), packet[3] & 15);
        if packet[3] & 0x10 != 0
            && let Some(before) = next.insert(pid, (counter + 1) & 15)
        {
            assert_eq!(counter, before, "a packet of PID {pid} is missing");
        }
    }
}

#[test]
fn fifty_callers_share_one_port() {
    if !ready() {
        return;
    }
    let house = (0..50).fold(Plan::default(), |plan, number| plan.channel(&format!("cam{number}"))).open();
    let senders: Vec<Sender> = (0..50).map(|number| Sender::start(&house.url(&format!("streamid=cam{number}")), 300_000)).collect();
    until("every one arrives", seconds(20), || (0..50).all(|number| house.received_bytes(&format!("cam{number}")) > 100_000));
    for number in 0..50 {
        let arrived = numbers(&house.received(&format!("cam{number}")).bytes);
        assert!(arrived.windows(2).all(|pair| pair[1] == pair[0] + 1), "cam{number}");
    }
    drop(senders);
    until("every one leaves", seconds(8), || (0..50).all(|number| !house.received(&format!("cam{number}")).present));
}

#[cfg(feature = "srt")]
#[test]
fn metrics_of_a_caller_go_with_it() {
    if !ready() {
        return;
    }
    let house = Plan::default().channel("metered").open();
    let sender = Sender::start(&house.url("streamid=metered&latency=250"), 2_000_000);
    let series = |name: &str| {
        let text = headend::base::metrics::metrics().render();
        let start = format!("headend_srt_{name}{{channel=\"metered\",feed=\"publisher\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&start)?.parse::<f64>().ok())
    };
    until("its delay shows", seconds(8), || series("latency_seconds") == Some(0.25));
    assert!(series("rtt_seconds").is_some_and(|rtt| rtt > 0.0 && rtt < 0.2));
    assert_eq!(series("dropped_packets_total"), Some(0.0));
    drop(sender);
    until("they are gone", seconds(8), || series("latency_seconds").is_none() && series("dropped_packets_total").is_none());
}

/// srt-tokio shares no code with libsrt.
#[test]
fn another_implementation_of_the_protocol_publishes() {
    use futures_util::SinkExt;
    let house = Plan::default().channel("plain").sealed("sealed", SECRET, 16).open();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = house.addresses[0];
    let publish = |stream_id: &'static str, sealed: bool| async move {
        let builder = srt_tokio::SrtSocket::builder();
        let builder = if sealed { builder.encryption(16, SECRET) } else { builder };
        let mut socket = builder.call(address, Some(stream_id)).await.expect("it is let in");
        for number in 0..400 {
            socket.send((std::time::Instant::now(), message(number).into())).await.expect("it sends");
            tokio::time::sleep(std::time::Duration::from_millis(4)).await;
        }
        socket
    };
    let _sockets = runtime.block_on(async { tokio::join!(publish("#!::m=publish,r=plain", false), publish("sealed", true)) });
    for key in ["plain", "sealed"] {
        house.assert_whole(key, 400);
    }
}

#[test]
fn the_test_messages_are_whole_transport_packets() {
    let bytes = [message(7), message(8)].concat();
    assert!(bytes.chunks(TS).all(|packet| packet.len() == TS && packet[0] == 0x47));
    assert_eq!(numbers(&bytes), [7, 8]);
}
