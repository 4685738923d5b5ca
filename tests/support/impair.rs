//! A bad network: a UDP relay that loses, delays, jitters, reorders and blacks out, with a seed.
//!
//! Many clients may send to it; each has a flow of its own to the target and back, and both directions are impaired alike.

use std::collections::{BTreeMap, BinaryHeap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use headend::base::queue::{Receiver, Sender, queue};

/// What happens to datagrams.
#[derive(Clone, Debug, Default)]
pub struct Impairment {
    /// Share that is lost, 0 to 1.
    pub loss: f64,
    /// How long the way takes.
    pub delay: Duration,
    /// The delay varies by as much either way; order is kept.
    pub jitter: Duration,
    /// Share that overtakes what was sent before it, by not being delayed.
    pub reorder: f64,
    /// Spans since the start in which nothing gets through.
    pub blackouts: Vec<(Duration, Duration)>,
}

impl Impairment {
    /// A long line: `loss` and 40 ms +-5 ms.
    pub fn long_line(loss: f64) -> Impairment {
        Impairment { loss, delay: Duration::from_millis(40), jitter: Duration::from_millis(5), ..Impairment::default() }
    }
}

/// Decides what becomes of each datagram of one direction of one flow. The same seed decides the same.
#[derive(Debug)]
pub struct Fate {
    impairment: Impairment,
    state: u64,
    last: Duration,
}

impl Fate {
    pub fn new(impairment: Impairment, seed: u64) -> Fate {
        Fate { impairment, state: seed, last: Duration::ZERO }
    }

    /// When a datagram that is sent at `now` since the start arrives; `None` when it is lost.
    pub fn arrival(&mut self, now: Duration) -> Option<Duration> {
        let (lost, early, shift) = (self.chance(), self.chance(), self.chance());
        let Impairment { loss, delay, jitter, reorder, blackouts } = &self.impairment;
        if lost < *loss || blackouts.iter().any(|(from, to)| (*from..*to).contains(&now)) {
            return None;
        }
        if early < *reorder {
            return Some(now);
        }
        let shifted = now + *delay + jitter.mul_f64(2.0 * shift);
        self.last = self.last.max(shifted.saturating_sub(*jitter)).max(now);
        Some(self.last)
    }

    /// A number from 0 to 1 (splitmix64).
    fn chance(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A datagram on its way. Ordered so that the earliest is the largest.
struct Flying {
    due: Duration,
    number: u64,
    to: SocketAddr,
    by: Arc<UdpSocket>,
    data: Vec<u8>,
}

impl PartialEq for Flying {
    fn eq(&self, other: &Flying) -> bool {
        self.number == other.number
    }
}
impl Eq for Flying {}
impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Flying) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Flying {
    fn cmp(&self, other: &Flying) -> std::cmp::Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

/// The relay; it stops when dropped.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Sees every datagram that the target sends back, lost or not.
pub type Tap = Box<dyn Fn(&[u8]) + Send + Sync>;

/// What its threads share.
struct Shared {
    tap: Option<Tap>,
    start: Instant,
    impairment: Impairment,
    seed: u64,
    target: SocketAddr,
    stop: AtomicBool,
    seen: AtomicU64,
    lost: AtomicU64,
    /// How much later than it was due a datagram went out at worst, in milliseconds: this machine was busy elsewhere.
    late_ms: AtomicU64,
}

/// Datagrams between the threads; what is more is lost, as on any line.
const AIR: usize = 65_536;
/// How long a thread waits before it looks whether the relay stops.
const LOOK: Duration = Duration::from_millis(50);

impl Relay {
    /// A relay to `target` on a free port of loopback.
    pub fn start(target: SocketAddr, impairment: Impairment, seed: u64) -> Relay {
        Relay::tapped(target, impairment, seed, None)
    }

    /// As [`Relay::start`], with somebody who looks at the answers.
    pub fn tapped(target: SocketAddr, impairment: Impairment, seed: u64, tap: Option<Tap>) -> Relay {
        let socket = Arc::new(patient_socket());
        let address = socket.local_addr().expect("the relay's address");
        let (stop, seen, lost, late_ms) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { tap, start: Instant::now(), impairment, seed, target, stop, seen, lost, late_ms });
        let (flying, landing) = queue("impair", AIR);
        let clients = {
            let shared = Arc::clone(&shared);
            move || take_from_clients(&shared, &socket, &flying)
        };
        let lander = {
            let shared = Arc::clone(&shared);
            move || land(&shared, &landing)
        };
        let threads = vec![
            Builder::new().name("impair-in".into()).spawn(clients).expect("a thread"),
            Builder::new().name("impair-out".into()).spawn(lander).expect("a thread"),
        ];
        Relay { address, shared, threads }
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams seen and lost so far, both directions together.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.seen.load(Ordering::Relaxed), self.shared.lost.load(Ordering::Relaxed))
    }

    /// By how much at worst the line was longer than it was told to be, since this machine was busy elsewhere.
    pub fn lateness(&self) -> Duration {
        Duration::from_millis(self.shared.late_ms.load(Ordering::Relaxed))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Reads what clients send; starts a flow for each new one.
fn take_from_clients(shared: &Arc<Shared>, socket: &Arc<UdpSocket>, flying: &Sender<Flying>) {
    let mut flows: BTreeMap<SocketAddr, (Arc<UdpSocket>, Fate)> = BTreeMap::new();
    let mut answers = Vec::new();
    let mut buffer = [0; 2048];
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
        let number = flows.len() as u64;
        let (upstream, fate) = flows.entry(client).or_insert_with(|| {
            let upstream = Arc::new(patient_socket());
            let back = {
                let (shared, upstream, socket, flying) = (Arc::clone(shared), Arc::clone(&upstream), Arc::clone(socket), flying.clone());
                move || take_answers(&shared, &upstream, &socket, client, number, &flying)
            };
            answers.push(Builder::new().name("impair-back".into()).spawn(back).expect("a thread"));
            (upstream, Fate::new(shared.impairment.clone(), shared.seed ^ (number << 1)))
        });
        shared.send(fate, &buffer[..length], shared.target, upstream, flying);
    }
    for thread in answers {
        let _ = thread.join();
    }
}

/// Reads what the target sends back to one client.
fn take_answers(shared: &Shared, upstream: &UdpSocket, socket: &Arc<UdpSocket>, client: SocketAddr, number: u64, flying: &Sender<Flying>) {
    let mut fate = Fate::new(shared.impairment.clone(), shared.seed ^ (number << 1 | 1));
    let mut buffer = [0; 2048];
    while !shared.stop.load(Ordering::Relaxed) {
        if let Ok((length, _)) = upstream.recv_from(&mut buffer) {
            if let Some(tap) = &shared.tap {
                tap(&buffer[..length]);
            }
            shared.send(&mut fate, &buffer[..length], client, socket, flying);
        }
    }
}

impl Shared {
    fn send(&self, fate: &mut Fate, data: &[u8], to: SocketAddr, by: &Arc<UdpSocket>, flying: &Sender<Flying>) {
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        match fate.arrival(self.start.elapsed()) {
            Some(due) => {
                let _ = flying.try_send(Flying { due, number, to, by: Arc::clone(by), data: data.to_vec() });
            }
            None => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn late(shared: &Shared, by: Duration) {
    shared.late_ms.fetch_max(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Sends each datagram when it is due.
fn land(shared: &Shared, landing: &Receiver<Flying>) {
    let mut air: BinaryHeap<Flying> = BinaryHeap::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let now = shared.start.elapsed();
        while air.peek().is_some_and(|next| next.due <= now) {
            if let Some(landed) = air.pop() {
                late(shared, now.saturating_sub(landed.due));
                let _ = landed.by.send_to(&landed.data, landed.to);
            }
        }
        let wait = air.peek().map_or(LOOK, |next| next.due.saturating_sub(now)).min(LOOK);
        match landing.recv_within(wait) {
            Ok(next) => air.extend(next),
            Err(_) => return,
        }
    }
}

fn patient_socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LOOK)).expect("a read timeout");
    socket
}
