use tokio::time::timeout;

use super::*;
use crate::base::metrics::metrics;

/// A stream of AAC alone: tables, then one frame in each PES packet.
fn stream(frames: u8) -> Vec<[u8; 188]> {
    let packet = |pid: u16, counter: u8, payload: &[u8]| {
        let mut packet = [0xff; 188];
        packet[..4].copy_from_slice(&[0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x30 | counter]);
        let stuffing = 184 - payload.len();
        packet[4..6].copy_from_slice(&[(stuffing - 1) as u8, 0]);
        packet[4 + stuffing..].copy_from_slice(payload);
        packet
    };
    let mut packets = vec![
        packet(0, 0, b"\x00\x00\xb0\x0d\x00\x01\xc1\x00\x00\x00\x01\xf0\x00\x2a\xb1\x04\xb2"),
        packet(0x1000, 0, b"\x00\x02\xb0\x12\x00\x01\xc1\x00\x00\xe1\x01\xf0\x00\x0f\xe1\x01\xf0\x00\xec\xe2\xb0\x94"),
    ];
    for number in 0..frames {
        let header = [0, 0, 1, 0xc0, 0, 23, 0x80, 0x80, 5, 0x21, 0, 1 | number << 1, 0, 1];
        let frame = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0xff, 0xfc, 1, 2, 3, 4, 5, 6, 7, number];
        packets.push(packet(0x101, number & 15, &[&header[..], &frame].concat()));
    }
    packets
}

struct Bench {
    to: SocketAddr,
    events: mpsc::Receiver<Timed>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

/// A receiver at a free port; `room` events fit into its channel.
async fn bench(channel: &str, place: &str, room: usize) -> Bench {
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let source: UdpSource = place.replace("PORT", &free.to_string()).parse().unwrap();
    let (sender, events) = mpsc::channel(room);
    let (stop, stopped) = watch::channel(false);
    let to = source.address;
    let feed = TransportFeed::new(channel, "main", &source);
    let task = tokio::spawn(receive_udp(source, feed, sender, stopped));
    Bench { to, events, stop, task }
}

impl Bench {
    /// Sends until the first event comes: the socket may not be open yet.
    async fn begin(&mut self, sender: &UdpSocket, datagrams: &[Vec<u8>]) -> FeedEvent {
        loop {
            for datagram in datagrams {
                sender.send_to(datagram, self.to).await.unwrap();
            }
            if let Ok(event) = timeout(Duration::from_millis(100), self.events.recv()).await {
                return event.unwrap().event;
            }
        }
    }

    async fn next(&mut self) -> FeedEvent {
        timeout(Duration::from_secs(10), self.events.recv()).await.expect("an event within ten seconds").unwrap().event
    }
}

fn counted(channel: &str, kind: &str) -> u64 {
    metrics().ingest_errors.with_label_values(&[channel, "main", kind]).get()
}

fn in_rtp(sequence: u16, payload: &[u8]) -> Vec<u8> {
    [&[0x80, 33][..], &sequence.to_be_bytes(), &[0; 8], payload].concat()
}

/// The frame that a unit carries, by its last byte.
fn frame(event: &FeedEvent) -> Option<u8> {
    match event {
        FeedEvent::Unit(unit) => unit.data.last().copied(),
        FeedEvent::Tracks(_) => None,
    }
}

#[tokio::test]
async fn a_plain_stream_arrives_and_stopping_ends_the_task() {
    let mut bench = bench("udp-plain", "udp://127.0.0.1:PORT", 64).await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let first = bench.begin(&sender, &[stream(5).concat()]).await;
    assert!(matches!(&first, FeedEvent::Tracks(tracks) if tracks.len() == 1), "{first:?}");
    for number in 0..5 {
        assert_eq!(frame(&bench.next().await), Some(number));
    }
    bench.stop.send(true).unwrap();
    timeout(Duration::from_secs(10), bench.task).await.expect("the task ends").unwrap();
}

#[tokio::test]
async fn rtp_comes_off_and_its_gaps_are_counted() {
    let mut bench = bench("udp-rtp", "rtp://127.0.0.1:PORT", 64).await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let packets = stream(6);
    let begun = in_rtp(65_535, &packets[..4].concat());
    assert!(frame(&bench.begin(&sender, &[begun]).await).is_none());
    for (sequence, packet) in [(3, 5), (2, 4), (4, 6)] {
        sender.send_to(&in_rtp(sequence, &packets[packet]), bench.to).await.unwrap();
    }
    sender.send_to(&[0; 50], bench.to).await.unwrap();
    let mut frames = Vec::new();
    while frames.last() != Some(&4) {
        frames.extend(frame(&bench.next().await));
    }
    assert_eq!(frames, [0, 1, 3, 4]);
    bench.stop.send(true).unwrap();
    bench.task.await.unwrap();
    assert_eq!((counted("udp-rtp", "rtp_gap"), counted("udp-rtp", "continuity")), (3, 1));
    assert!(counted("udp-rtp", "rtp_late") >= 1);
}

#[tokio::test]
async fn while_the_channel_does_not_read_datagrams_are_dropped_and_counted() {
    let mut bench = bench("udp-busy", "udp://127.0.0.1:PORT", 2).await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    bench.begin(&sender, &[stream(4).concat()]).await;
    while counted("udp-busy", "channel_busy") == 0 {
        sender.send_to(&stream(3)[2], bench.to).await.unwrap();
        tokio::task::yield_now().await;
    }
    let frames = [bench.next().await, bench.next().await, bench.next().await, bench.next().await].map(|event| frame(&event));
    assert_eq!(frames, [0, 1, 2, 3].map(Some), "what was taken is not lost");
}

#[tokio::test]
async fn a_second_sender_is_ignored_while_the_first_goes_on() {
    let mut bench = bench("udp-two", "udp://127.0.0.1:PORT", 64).await;
    let first = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let second = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    bench.begin(&first, &[stream(2).concat()]).await;
    while counted("udp-two", "other_sender") == 0 {
        first.send_to(&[0x47; 188], bench.to).await.unwrap();
        second.send_to(&stream(2).concat(), bench.to).await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_group_is_joined_on_its_interface() {
    for (name, place) in [
        ("udp-group", "udp://@239.255.77.1:PORT?iface=lo"),
        ("udp-address", "udp://@239.255.77.2:PORT?iface=127.0.0.1"),
        ("udp-source", "udp://@232.255.77.3:PORT?iface=127.0.0.1&source=127.0.0.1"),
        ("udp-named", "udp://@232.255.77.4:PORT?iface=lo&source=127.0.0.1"),
    ] {
        let mut bench = bench(name, place, 64).await;
        let sender = socket2::Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        sender.set_multicast_if_v4(&std::net::Ipv4Addr::LOCALHOST).unwrap();
        sender.set_nonblocking(true).unwrap();
        let sender = UdpSocket::from_std(sender.into()).unwrap();
        let begun = timeout(Duration::from_secs(10), bench.begin(&sender, &[stream(2).concat()])).await;
        assert!(matches!(begun, Ok(FeedEvent::Tracks(_))), "{name}: {begun:?}");
    }
}
