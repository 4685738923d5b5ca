use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Mutex;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::base::Ticks;
use crate::channel::feed::{Admission, Ending, FeedEvent, Offer, Refusal, SourceUnit, Timed};
use crate::media::{AudioCodec, Track, VideoCodec};
use crate::wire::rtmp::amf0::{self, Value, encode, object};
use crate::wire::rtmp::chunk::{Message, Reader, Writer, kind};

/// Longer than anything here takes; a test that runs into it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const AVCC: &[u8] = b"\x01\x64\x00\x28\xff\xe1\x00\x19\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\x00";

/// A door with one channel, whose key is `key` and whose events the test reads.
#[derive(Debug)]
struct FakeDoor {
    admitted: mpsc::Sender<mpsc::Receiver<Timed>>,
    /// How the channel parts from its publishers.
    ending: Ending,
    /// Who publishes to `key`; nobody may beside.
    present: Mutex<Option<(SocketAddr, mpsc::WeakSender<Timed>)>>,
}

impl Door for FakeDoor {
    fn admit(&self, offer: &Offer) -> Result<Admission, Refusal> {
        assert_eq!((offer.protocol, offer.wrap), ("rtmp", Ticks::from_millis(1 << 32)));
        if offer.stream != "key" {
            return Err(Refusal::Key("use the channel's stream_key".to_owned()));
        }
        let mut present = self.present.lock().unwrap();
        if let Some((peer, events)) = &*present
            && events.upgrade().is_some_and(|events| !events.is_closed())
        {
            return Err(Refusal::Busy { channel: "demo".to_owned(), peer: *peer });
        }
        let (events, receiver) = mpsc::channel(4);
        *present = Some((offer.peer, events.downgrade()));
        self.admitted.try_send(receiver).map_err(|_| Refusal::Full(1))?;
        Ok(Admission { channel: "demo".to_owned(), feed: "publisher".to_owned(), events, ending: self.ending.clone() })
    }
}

/// A listener on a free port.
struct Bench {
    address: SocketAddr,
    admitted: mpsc::Receiver<mpsc::Receiver<Timed>>,
    ending: Ending,
    shutdown: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Bench {
    async fn with(limits: RtmpLimits) -> Bench {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, admitted) = mpsc::channel(8);
        let (shutdown, stopped) = watch::channel(false);
        let ending = Ending::default();
        let door = FakeDoor { admitted: sender, ending: ending.clone(), present: Mutex::default() };
        let serving = tokio::spawn(serve_rtmp(listener, Arc::new(door), limits, stopped));
        Bench { address, admitted, ending, shutdown, serving }
    }

    async fn open() -> Bench {
        Bench::with(RtmpLimits::default()).await
    }

    /// The events of the next admitted publisher.
    async fn publisher(&mut self) -> mpsc::Receiver<Timed> {
        timeout(PATIENCE, self.admitted.recv()).await.expect("somebody publishes").unwrap()
    }
}

async fn next(events: &mut mpsc::Receiver<Timed>) -> Option<FeedEvent> {
    timeout(PATIENCE, events.recv()).await.expect("the feed goes on or ends").map(|timed| timed.event)
}

/// An encoder, step by step.
struct Client {
    socket: TcpStream,
    writer: Writer,
    reader: Reader,
    received: BytesMut,
}

impl Client {
    async fn connect(bench: &Bench) -> Client {
        let socket = TcpStream::connect(bench.address).await.unwrap();
        let mut reader = Reader::new(Limits::default());
        reader.widen();
        Client { socket, writer: Writer::default(), reader, received: BytesMut::new() }
    }

    async fn handshaken(bench: &Bench) -> Client {
        let mut client = Client::connect(bench).await;
        let mut hello = vec![3];
        hello.resize(1 + 2 * 1536, 0);
        client.socket.write_all(&hello).await.unwrap();
        let mut answer = vec![0; 1 + 2 * 1536];
        client.socket.read_exact(&mut answer).await.unwrap();
        client
    }

    /// As far as the answer to `publish`, which is returned.
    async fn publishing(bench: &Bench, application: &str, key: &str) -> (Client, String) {
        Client::publishing_with(bench, application, key, 0.0).await
    }

    /// As `publishing`, with these extended capabilities.
    async fn publishing_with(bench: &Bench, application: &str, key: &str, capabilities: f64) -> (Client, String) {
        let mut client = Client::handshaken(bench).await;
        let code = client.publish(application, key, capabilities).await;
        (client, code)
    }

    async fn publish(&mut self, application: &str, key: &str, capabilities: f64) -> String {
        let properties = object([("app", application.into()), ("capsEx", capabilities.into())]);
        self.command(0, &["connect".into(), 1.0.into(), properties]).await;
        let code = self.code().await;
        if code != "NetConnection.Connect.Success" {
            return code;
        }
        self.command(0, &["createStream".into(), 2.0.into(), Value::Null]).await;
        self.command(1, &["publish".into(), 3.0.into(), Value::Null, key.into(), "live".into()]).await;
        self.code().await
    }

    async fn command(&mut self, stream_id: u32, values: &[Value]) {
        let mut payload = BytesMut::new();
        values.iter().for_each(|value| encode(value, &mut payload));
        self.send(kind::COMMAND_AMF0, stream_id, 0, &payload).await.unwrap();
    }

    async fn send(&mut self, kind: u8, stream_id: u32, timestamp_ms: u32, payload: &[u8]) -> std::io::Result<()> {
        let payload = Bytes::copy_from_slice(payload);
        let mut output = BytesMut::new();
        self.writer.write(&Message { chunk_stream: 3, kind, stream_id, timestamp_ms, payload }, &mut output);
        self.socket.write_all(&output).await
    }

    /// The next status code that comes; empty when the connection ends instead.
    async fn code(&mut self) -> String {
        loop {
            let mut input = &self.received[..];
            let message = self.reader.receive(&mut input).unwrap();
            self.received = BytesMut::from(input);
            if let Some(message) = message {
                let code = code_of(&message);
                if let Some(code) = code {
                    return code;
                }
                continue;
            }
            match timeout(PATIENCE, self.socket.read_buf(&mut self.received)).await.expect("an answer or an end") {
                Ok(1..) => {}
                _ => return String::new(),
            }
        }
    }

    /// Waits until the server has closed, and tells whether it did so without a reset.
    async fn closed(mut self) -> bool {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.socket.read_to_end(&mut rest)).await.expect("the server closes").is_ok()
    }
}

fn code_of(message: &Message) -> Option<String> {
    if message.kind != kind::COMMAND_AMF0 {
        return None;
    }
    let values = amf0::decode(&message.payload, &amf0::Limits::default()).unwrap();
    values.last()?.member("code").and_then(Value::as_str).map(str::to_owned)
}

fn avc_header() -> Vec<u8> {
    [&[0x17, 0, 0, 0, 0], AVCC].concat()
}

const IDR: &[u8] = &[0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88];

#[tokio::test]
async fn a_publisher_with_the_right_key_reaches_its_channel() {
    let mut bench = Bench::open().await;
    let (mut client, code) = Client::publishing(&bench, "live", "key?token=1").await;
    assert_eq!(code, "NetStream.Publish.Start");
    let mut events = bench.publisher().await;
    client.send(kind::VIDEO, 1, 0, &avc_header()).await.unwrap();
    client.send(kind::AUDIO, 1, 0, &[0xaf, 0, 0x11, 0x90]).await.unwrap();
    client.send(kind::VIDEO, 1, 40, IDR).await.unwrap();
    let Some(FeedEvent::Tracks(tracks)) = next(&mut events).await else { panic!("tracks come first") };
    assert_eq!(tracks.len(), 2);
    let unit = SourceUnit {
        track: 0,
        dts: Ticks::from_millis(40),
        offset: Ticks::ZERO,
        entry: true,
        data: Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]),
    };
    assert_eq!(next(&mut events).await, Some(FeedEvent::Unit(unit)));
    client.command(0, &["deleteStream".into(), 4.0.into(), Value::Null, 1.0.into()]).await;
    assert_eq!(client.code().await, "NetStream.Unpublish.Success");
    assert_eq!(next(&mut events).await, None);
    let received = metrics().ingest_bytes.with_label_values(&["demo", "publisher"]).get();
    assert!(received > 60, "{received}");
}

#[tokio::test]
async fn a_channel_that_is_busy_holds_the_publisher_back_and_loses_nothing() {
    let mut bench = Bench::open().await;
    let (mut client, _) = Client::publishing(&bench, "live", "key").await;
    let mut events = bench.publisher().await;
    client.send(kind::VIDEO, 1, 0, &avc_header()).await.unwrap();
    client.send(kind::AUDIO, 1, 0, &[0xaf, 0, 0x11, 0x90]).await.unwrap();
    // The queue of the fake door holds four events.
    for n in 0..50 {
        client.send(kind::VIDEO, 1, n, IDR).await.unwrap();
    }
    drop(client);
    let mut seen = 0;
    while next(&mut events).await.is_some() {
        seen += 1;
    }
    assert_eq!(seen, 51);
}

#[tokio::test]
async fn a_wrong_key_is_told_and_then_the_connection_closes() {
    let bench = Bench::open().await;
    let (client, code) = Client::publishing(&bench, "live", "wrong").await;
    assert_eq!(code, "NetStream.Publish.BadName");
    client.closed().await;
}

#[tokio::test]
async fn a_refused_publisher_that_goes_on_sending_is_not_reset() {
    let bench = Bench::open().await;
    let (mut client, _) = Client::publishing(&bench, "live", "wrong").await;
    for _ in 0..20 {
        client.socket.write_all(&[0; 10_000]).await.unwrap();
    }
    client.socket.shutdown().await.unwrap();
    assert!(client.closed().await);
}

#[tokio::test]
async fn a_wrong_application_is_told_and_then_the_connection_closes() {
    let bench = Bench::open().await;
    let (client, code) = Client::publishing(&bench, "vod", "key").await;
    assert_eq!(code, "NetConnection.Connect.Rejected");
    client.closed().await;
}

#[tokio::test]
async fn a_stalled_handshake_is_closed() {
    let bench = Bench::with(RtmpLimits { handshake: Duration::from_millis(50), linger: Duration::ZERO, ..Default::default() }).await;
    let mut client = Client::connect(&bench).await;
    client.socket.write_all(&[3, 0, 0]).await.unwrap();
    client.closed().await;
}

#[tokio::test]
async fn a_peer_that_talks_without_end_and_never_publishes_is_closed() {
    let limits = RtmpLimits { publish: Duration::from_millis(100), linger: Duration::ZERO, ..Default::default() };
    let bench = Bench::with(limits).await;
    let mut client = Client::handshaken(&bench).await;
    let control = [3, 0, 0, 0, 0, 0, 6, kind::USER_CONTROL, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0].repeat(4000);
    let flood = async { while client.socket.write_all(&control).await.is_ok() {} };
    timeout(PATIENCE, flood).await.expect("the server closes");
}

#[tokio::test]
async fn a_publisher_of_garbage_is_closed_as_idle() {
    let limits = RtmpLimits { idle: Duration::from_millis(100), linger: Duration::ZERO, ..Default::default() };
    let mut bench = Bench::with(limits).await;
    let (mut client, _) = Client::publishing(&bench, "live", "key").await;
    let mut events = bench.publisher().await;
    let flood = async { while client.send(kind::VIDEO, 1, 0, IDR).await.is_ok() {} };
    timeout(PATIENCE, flood).await.expect("the server closes");
    assert_eq!(next(&mut events).await, None);
}

#[tokio::test]
async fn a_codec_that_cannot_be_decoded_closes_the_connection_with_a_status() {
    let mut bench = Bench::open().await;
    let (mut client, _) = Client::publishing(&bench, "live", "key").await;
    let _events = bench.publisher().await;
    client.send(kind::VIDEO, 1, 0, &[0x12, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(client.code().await, "NetStream.Publish.Failed");
    client.closed().await;
}

#[tokio::test]
async fn a_publisher_that_is_taken_over_is_closed() {
    let mut bench = Bench::open().await;
    let (mut client, _) = Client::publishing(&bench, "live", "key").await;
    drop(bench.publisher().await);
    assert_eq!(client.code().await, "NetStream.Publish.Failed");
    client.closed().await;
}

#[tokio::test]
async fn noise_costs_its_own_connection_only() {
    let mut bench = Bench::open().await;
    let (mut good, _) = Client::publishing(&bench, "live", "key").await;
    let mut events = bench.publisher().await;
    let mut noisy = Client::handshaken(&bench).await;
    noisy.socket.write_all(&[0xff; 5000]).await.unwrap();
    noisy.closed().await;
    good.send(kind::VIDEO, 1, 0, &avc_header()).await.unwrap();
    good.send(kind::AUDIO, 1, 0, &[0xaf, 0, 0x11, 0x90]).await.unwrap();
    assert!(matches!(next(&mut events).await, Some(FeedEvent::Tracks(_))));
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let bench = Bench::with(RtmpLimits { connections_per_address: 1, ..Default::default() }).await;
    let (mut first, _) = Client::publishing(&bench, "live", "key").await;
    Client::connect(&bench).await.closed().await;
    first.send(kind::USER_CONTROL, 0, 0, &[0, 6, 0, 0, 0, 1]).await.unwrap();
    let mut pong = [0; 18];
    timeout(PATIENCE, first.socket.read_exact(&mut pong)).await.expect("the first one is served").unwrap();
    assert_eq!(pong[12..14], [0, 7]);
}

#[tokio::test]
async fn shutdown_closes_everybody_and_returns() {
    let mut bench = Bench::open().await;
    let (mut publisher, _) = Client::publishing(&bench, "live", "key").await;
    let mut events = bench.publisher().await;
    let stalled = Client::connect(&bench).await;
    bench.shutdown.send(true).unwrap();
    assert_eq!(publisher.code().await, "NetStream.Publish.Failed");
    assert_eq!(next(&mut events).await, None);
    publisher.closed().await;
    stalled.closed().await;
    timeout(PATIENCE, bench.serving).await.expect("the listener returns").unwrap();
}

#[tokio::test]
async fn a_publisher_that_can_reconnect_is_asked_to_and_served_until_it_goes() {
    let mut bench = Bench::open().await;
    let (mut client, _) = Client::publishing_with(&bench, "live", "key", 1.0).await;
    let mut events = bench.publisher().await;
    client.send(kind::VIDEO, 1, 0, &avc_header()).await.unwrap();
    client.send(kind::AUDIO, 1, 0, &[0xaf, 0, 0x11, 0x90]).await.unwrap();
    assert!(matches!(next(&mut events).await, Some(FeedEvent::Tracks(_))));
    bench.shutdown.send(true).unwrap();
    assert_eq!(client.code().await, "NetConnection.Connect.ReconnectRequest");
    // What comes up to its next keyframe still reaches the channel.
    client.send(kind::VIDEO, 1, 40, IDR).await.unwrap();
    assert!(matches!(next(&mut events).await, Some(FeedEvent::Unit(_))));
    client.socket.shutdown().await.unwrap();
    assert_eq!(next(&mut events).await, None);
    timeout(PATIENCE, bench.serving).await.expect("the listener returns").unwrap();
}

#[tokio::test]
async fn a_publisher_of_a_drained_channel_is_asked_to_reconnect_and_served_as_long_as_it_stays() {
    for (capabilities, can_reconnect) in [(1.0, true), (0.0, false)] {
        let mut bench = Bench::with(RtmpLimits { reconnect: Duration::ZERO, ..Default::default() }).await;
        let (mut client, _) = Client::publishing_with(&bench, "live", "key", capabilities).await;
        let mut events = bench.publisher().await;
        client.send(kind::VIDEO, 1, 0, &avc_header()).await.unwrap();
        client.send(kind::AUDIO, 1, 0, &[0xaf, 0, 0x11, 0x90]).await.unwrap();
        assert!(matches!(next(&mut events).await, Some(FeedEvent::Tracks(_))));
        bench.ending.ask_to_leave();
        if can_reconnect {
            assert_eq!(client.code().await, "NetConnection.Connect.ReconnectRequest");
        }
        client.send(kind::VIDEO, 1, 40, IDR).await.unwrap();
        assert!(matches!(next(&mut events).await, Some(FeedEvent::Unit(_))));
        drop(events);
        assert_eq!(client.code().await, "NetStream.Publish.Failed");
    }
}

#[tokio::test]
async fn a_publisher_that_was_asked_to_reconnect_and_stays_is_closed() {
    let mut bench = Bench::with(RtmpLimits { reconnect: Duration::from_millis(100), ..Default::default() }).await;
    let (mut client, _) = Client::publishing_with(&bench, "live", "key", 1.0).await;
    let _events = bench.publisher().await;
    bench.shutdown.send(true).unwrap();
    assert_eq!(client.code().await, "NetConnection.Connect.ReconnectRequest");
    assert_eq!(client.code().await, "NetStream.Publish.Failed");
    client.closed().await;
    timeout(PATIENCE, bench.serving).await.expect("the listener returns").unwrap();
}

#[tokio::test]
async fn a_publisher_that_went_silent_gives_way_to_its_own_return() {
    let mut bench = Bench::with(RtmpLimits { silence: Duration::from_millis(100), ..Default::default() }).await;
    let (mut silent, _) = Client::publishing(&bench, "live", "key").await;
    let mut first = bench.publisher().await;
    let (_back, code) = Client::publishing(&bench, "live", "key").await;
    assert_eq!(code, "NetStream.Publish.Start");
    let _second = bench.publisher().await;
    assert_eq!(next(&mut first).await, None);
    assert_eq!(silent.code().await, "NetStream.Publish.Failed");
    silent.closed().await;
}

#[tokio::test]
async fn a_publisher_that_speaks_keeps_its_channel() {
    let mut bench = Bench::with(RtmpLimits { silence: Duration::from_secs(60), ..Default::default() }).await;
    let (mut live, _) = Client::publishing(&bench, "live", "key").await;
    let mut events = bench.publisher().await;
    live.send(kind::VIDEO, 1, 0, &avc_header()).await.unwrap();
    live.send(kind::AUDIO, 1, 0, &[0xaf, 0, 0x11, 0x90]).await.unwrap();
    assert!(matches!(next(&mut events).await, Some(FeedEvent::Tracks(_))));
    let mut client = Client::handshaken(&bench).await;
    let mut intruder = tokio::spawn(async move { client.publish("live", "key", 0.0).await });
    let code = loop {
        live.send(kind::VIDEO, 1, 40, IDR).await.unwrap();
        assert!(matches!(next(&mut events).await, Some(FeedEvent::Unit(_))));
        if let Ok(code) = timeout(Duration::from_millis(20), &mut intruder).await {
            break code.unwrap();
        }
    };
    assert_eq!(code, "NetStream.Publish.BadName");
}

/// Real ffmpeg publishing two seconds of pattern and tone to `address`.
fn ffmpeg(bench: &Bench, path: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "2"]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-c:a", "aac", "-ac", "2", "-f", "flv"]);
    command.arg(format!("rtmp://{}/{path}", bench.address));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn ffmpeg_publishes_h264_and_aac() {
    let mut bench = Bench::open().await;
    let publishing = ffmpeg(&bench, "live/key").spawn().expect("ffmpeg is installed");
    let mut events = bench.publisher().await;
    let Some(FeedEvent::Tracks(tracks)) = next(&mut events).await else { panic!("tracks come first") };
    let [Track::Video(video), Track::Audio(audio)] = &tracks[..] else { panic!("{tracks:?}") };
    assert_eq!((video.codec, video.width, video.height), (VideoCodec::H264, 320, 180));
    assert_eq!((audio.codec, audio.sample_rate, audio.channels), (AudioCodec::Aac, 48_000, 2));
    let (mut pictures, mut entries, mut frames, mut newest) = (0, 0, 0, [Ticks(-1); 2]);
    let mut reordered = false;
    while let Some(event) = next(&mut events).await {
        let FeedEvent::Unit(unit) = event else { panic!("the tracks do not change") };
        let last = &mut newest[usize::from(unit.track)];
        assert!(unit.dts > *last, "{unit:?} after {last:?}");
        *last = unit.dts;
        if unit.track == 0 {
            pictures += 1;
            entries += u32::from(unit.entry);
            reordered |= unit.offset > Ticks::from_millis(40);
        } else {
            frames += 1;
        }
    }
    assert_eq!((pictures, entries, reordered), (50, 2, true));
    assert!((92..=97).contains(&frames), "{frames}");
    let outcome = timeout(PATIENCE, publishing.wait_with_output()).await.expect("ffmpeg ends").unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
}

#[tokio::test]
async fn ffmpeg_with_a_wrong_key_or_application_says_so_and_ends() {
    let bench = Bench::open().await;
    for (path, words) in [("live/wrong", "unknown stream key"), ("vod/key", "no such application")] {
        let outcome = timeout(PATIENCE, ffmpeg(&bench, path).output()).await.expect("ffmpeg ends").expect("ffmpeg is installed");
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(!outcome.status.success());
        assert!(said.contains(words), "{said}");
    }
}
