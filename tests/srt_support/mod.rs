//! A front without channels: the real gateway, the real SRT side of the front, and a door that collects what comes in.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use headend::base::Ticks;
use headend::channel::feed::{Admission, Door, DoorKey, DoorTable, FeedEvent, Offer, Refusal, SourceUnit, Timed};
use headend::channel::plan::{SrtSecurity, StreamKey};
use headend::ingest::srt::{GatewayProgram, SrtCall, SrtConfig, SrtListener, SrtServer, TransportReader};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

/// Bytes of a transport packet, and of the seven that go into one SRT packet.
pub const TS: usize = 188;
pub const MESSAGE: usize = 7 * TS;
/// Messages that `srt-live-transmit` may hold back until more come.
pub const HELD_BACK: u64 = 24;

/// Passes bytes on as they are.
struct Raw;

impl TransportReader for Raw {
    fn push(&mut self, bytes: &[u8]) -> Vec<FeedEvent> {
        let unit = SourceUnit { track: 0, dts: Ticks::ZERO, offset: Ticks::ZERO, entry: true, data: Bytes::copy_from_slice(bytes) };
        vec![FeedEvent::Unit(unit)]
    }
}

/// What a channel of the fake house has received.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub bytes: Vec<u8>,
    pub admissions: usize,
    pub present: bool,
}

#[derive(Debug)]
struct Channel {
    security: Option<SrtSecurity>,
    /// It takes nothing from its feed.
    deaf: bool,
    received: Arc<Mutex<Received>>,
    events: Mutex<Option<mpsc::WeakSender<Timed>>>,
    /// Keeps the receiving end of a deaf channel.
    held: Mutex<Vec<mpsc::Receiver<Timed>>>,
}

/// A door with fixed keys; a second publisher is refused.
#[derive(Debug)]
struct FakeDoor {
    channels: BTreeMap<String, Channel>,
    runtime: tokio::runtime::Handle,
}

impl Channel {
    fn busy(&self) -> bool {
        self.events.lock().unwrap().as_ref().is_some_and(|events| events.upgrade().is_some())
    }
}

impl Door for FakeDoor {
    fn admit(&self, offer: &Offer) -> Result<Admission, Refusal> {
        assert_eq!((offer.protocol, offer.application.as_str()), ("srt", "live"));
        assert_eq!(offer.wrap, Ticks::from_scale(1 << 33, 90_000));
        let Some(channel) = self.channels.get(&offer.stream) else { return Err(Refusal::Key("unknown".into())) };
        if channel.busy() {
            return Err(Refusal::Busy { channel: offer.stream.clone(), peer: offer.peer });
        }
        let (events, mut due) = mpsc::channel(16);
        *channel.events.lock().unwrap() = Some(events.downgrade());
        let received = Arc::clone(&channel.received);
        {
            let mut received = received.lock().unwrap();
            received.admissions += 1;
            received.present = true;
        }
        if channel.deaf {
            channel.held.lock().unwrap().push(due);
        } else {
            self.runtime.spawn(async move {
                while let Some(event) = due.recv().await {
                    if let FeedEvent::Unit(unit) = event.event {
                        received.lock().unwrap().bytes.extend_from_slice(&unit.data);
                    }
                }
                received.lock().unwrap().present = false;
            });
        }
        Ok(Admission { channel: offer.stream.clone(), feed: "publisher".into(), events, ending: Default::default() })
    }

    fn table(&self) -> DoorTable {
        let key = |(key, channel): (&String, &Channel)| DoorKey {
            key: StreamKey::new(key.as_str()),
            srt: channel.security.clone(),
            busy: channel.busy(),
        };
        DoorTable { keys: self.channels.iter().map(key).collect(), prefixes: Vec::new() }
    }
}

/// What a test house is to have.
#[derive(Default)]
pub struct Plan {
    channels: Vec<(String, Option<SrtSecurity>, bool)>,
    listeners: Vec<SrtListener>,
    calls: Vec<SrtCall>,
    idle: Option<Duration>,
}

impl Plan {
    pub fn channel(mut self, key: &str) -> Plan {
        self.channels.push((key.into(), None, false));
        self
    }

    pub fn sealed(mut self, key: &str, passphrase: &str, key_bytes: u8) -> Plan {
        self.channels.push((key.into(), Some(SrtSecurity::new(passphrase, key_bytes).unwrap()), false));
        self
    }

    pub fn deaf(mut self, key: &str) -> Plan {
        self.channels.push((key.into(), None, true));
        self
    }

    pub fn listener(mut self, listener: SrtListener) -> Plan {
        self.listeners.push(listener);
        self
    }

    pub fn call(mut self, call: SrtCall) -> Plan {
        self.calls.push(call);
        self
    }

    pub fn idle(mut self, idle: Duration) -> Plan {
        self.idle = Some(idle);
        self
    }

    pub fn open(self) -> House {
        House::open(self)
    }
}

/// The front under test.
pub struct House {
    runtime: Option<Runtime>,
    stop: watch::Sender<bool>,
    serving: Option<tokio::task::JoinHandle<()>>,
    received: BTreeMap<String, Arc<Mutex<Received>>>,
    pub addresses: Vec<SocketAddr>,
    pub gateway_id: u32,
}

impl House {
    fn open(plan: Plan) -> House {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let channel = |(key, security, deaf): (String, Option<SrtSecurity>, bool)| {
            let (received, events, held) = Default::default();
            (key, Channel { security, deaf, received, events, held })
        };
        let channels: BTreeMap<String, Channel> = plan.channels.into_iter().map(channel).collect();
        let received = channels.iter().map(|(key, channel)| (key.clone(), Arc::clone(&channel.received))).collect();
        let door = Arc::new(FakeDoor { channels, runtime: runtime.handle().clone() });
        let levels = std::env::var("HEADEND_LOG").unwrap_or_else(|_| "info".into());
        let program =
            GatewayProgram { path: env!("CARGO_BIN_EXE_headend-srt").into(), log: "text".into(), log_levels: levels, cores: None };
        let mut config = SrtConfig::new(program, Arc::new(|_, _, _| Box::new(Raw)));
        config.listeners = plan.listeners;
        if config.listeners.is_empty() {
            config.listeners.push(SrtListener::new("127.0.0.1:0".parse().unwrap()));
        }
        config.calls = plan.calls;
        config.idle = plan.idle.unwrap_or(config.idle);
        let server = runtime.block_on(SrtServer::open(config, door)).expect("the gateway opens its ports");
        let (addresses, gateway_id) = (server.addresses().to_vec(), server.gateway_id().expect("the gateway runs"));
        let (stop, stopped) = watch::channel(false);
        let serving = Some(runtime.spawn(server.serve(stopped)));
        House { runtime: Some(runtime), stop, serving, received, addresses, gateway_id }
    }

    /// What a channel has received so far.
    pub fn received(&self, key: &str) -> Received {
        self.received[key].lock().unwrap().clone()
    }

    pub fn received_bytes(&self, key: &str) -> usize {
        self.received[key].lock().unwrap().bytes.len()
    }

    /// Waits until what was sent is there, but for a few messages that the sender still holds, and demands that none is missing.
    #[track_caller]
    pub fn assert_whole(&self, key: &str, sent: u64) {
        let all = |arrived: &[u64]| arrived.last().is_some_and(|last| *last + HELD_BACK >= sent);
        let start = Instant::now();
        let mut arrived = numbers(&self.received(key).bytes);
        while !all(&arrived) && start.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(50));
            arrived = numbers(&self.received(key).bytes);
        }
        assert!(all(&arrived), "of {sent} messages {:?} is the last that came", arrived.last());
        let missing: Vec<u64> = arrived.windows(2).flat_map(|pair| pair[0] + 1..pair[1]).collect();
        assert!(missing.is_empty() && arrived.is_sorted(), "{} of {sent} messages are missing: {missing:?}", missing.len());
    }

    pub fn forget(&self, key: &str) {
        self.received[key].lock().unwrap().bytes.clear();
    }

    pub fn url(&self, options: &str) -> String {
        url(self.addresses[0], options)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        let (runtime, serving) = (self.runtime.take().unwrap(), self.serving.take().unwrap());
        let ended = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), serving).await });
        if !std::thread::panicking() {
            ended.expect("the SRT side stops when asked").expect("it does not panic");
        }
    }
}

pub fn url(address: SocketAddr, options: &str) -> String {
    format!("srt://{address}?{options}")
}

/// The code by which an answer of a listener rejects a handshake, as it is on the wire (SRT draft, section 3.2.1):
/// 1000 and libsrt's reason, or 1000 and the application's code, which itself is 1000 or more.
pub fn rejection(datagram: &[u8]) -> Option<u32> {
    let is_handshake = datagram.starts_with(&[0x80, 0, 0, 0]);
    let kind = u32::from_be_bytes(datagram.get(36..40)?.try_into().ok()?);
    (is_handshake && (1000..4000).contains(&kind)).then_some(kind)
}

/// An SRT message that tells its own number: transport packets of PID 256 with a running number and filling.
pub fn message(number: u64) -> Vec<u8> {
    let mut message = Vec::with_capacity(MESSAGE);
    for part in 0..7 {
        let packet = number * 7 + part;
        message.extend_from_slice(&[0x47, 0x01, 0x00, 0x10 | (packet & 15) as u8]);
        message.extend_from_slice(&packet.to_be_bytes());
        message.extend((0..TS - 12).map(|at| (packet.wrapping_mul(0x9e37_79b9) >> (at % 24)) as u8));
    }
    message
}

/// Which messages came, in order; panics when a byte is not as it was sent.
pub fn numbers(bytes: &[u8]) -> Vec<u64> {
    assert_eq!(bytes.len() % MESSAGE, 0, "messages come whole");
    bytes
        .chunks(MESSAGE)
        .map(|chunk| {
            let number = u64::from_be_bytes(chunk[4..12].try_into().unwrap()) / 7;
            assert!(chunk == message(number), "message {number} is damaged");
            number
        })
        .collect()
}

/// `srt-live-transmit` that sends numbered messages at an even rate.
pub struct Sender {
    child: Child,
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<(u64, ChildStdin)>>,
    /// Its end would end the connection before everything has arrived.
    input: Option<ChildStdin>,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Sender {
    /// Sends `rate_bps` until it is stopped.
    pub fn start(url: &str, rate_bps: u64) -> Sender {
        Sender::with_hole(url, rate_bps, None)
    }

    /// As [`Sender::start`], silent from `hole.0` to `hole.1` after the start.
    pub fn with_hole(url: &str, rate_bps: u64, hole: Option<(Duration, Duration)>) -> Sender {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let err = std::fs::File::create(&log).unwrap();
        let mut child = Command::new("srt-live-transmit")
            .args(["-q", "-c", "1316", "-ll", "note", "file://con", url])
            .stdin(Stdio::piped())
            .stdout(err.try_clone().unwrap())
            .stderr(err)
            .spawn()
            .expect("srt-live-transmit runs (apt install srt-tools)");
        let stop = Arc::new(AtomicBool::new(false));
        let (input, stopped) = (child.stdin.take().unwrap(), Arc::clone(&stop));
        let write = move || write_paced(input, rate_bps, hole, &stopped);
        let writer = Some(Builder::new().name("sender".into()).spawn(write).unwrap());
        Sender { child, stop, writer, input: None, log, _folder: folder }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Stops sending, leaves the sender connected; how many messages were written.
    pub fn finish(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let (written, input) = self.writer.take().unwrap().join().unwrap();
        self.input = Some(input);
        written
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // SIGTERM and the end of its input let it say goodbye.
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        self.input = None;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- sender ----\n{}", self.log());
        }
    }
}

fn write_paced(mut input: ChildStdin, rate_bps: u64, hole: Option<(Duration, Duration)>, stop: &AtomicBool) -> (u64, ChildStdin) {
    let start = Instant::now();
    let period = Duration::from_nanos(MESSAGE as u64 * 8 * 1_000_000_000 / rate_bps);
    let mut written = 0;
    let mut due = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let now = start.elapsed();
        if let Some((from, to)) = hole
            && (from..to).contains(&due)
        {
            due = to;
        }
        if now < due {
            std::thread::sleep((due - now).min(Duration::from_millis(20)));
            continue;
        }
        if input.write_all(&message(written)).is_err() {
            break;
        }
        written += 1;
        due += period;
    }
    (written, input)
}
