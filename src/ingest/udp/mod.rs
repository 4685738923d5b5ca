//! Transport streams over UDP, plain or in RTP, to one address or to a group: one task for each feed.
//!
//! Nothing is acknowledged, so nothing may be waited for: while a channel takes no events, datagrams are dropped here, and
//! counted, rather than in the kernel where nobody sees it. What the kernel drops all the same is asked for and counted too.

mod rtp;
mod socket;
mod source;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::base::backoff::Backoff;
use crate::base::{Mono, clock};
use crate::channel::feed::{FeedEvent, Timed};
use crate::ingest::transport::TransportFeed;
use rtp::{Datagram, Order, Sequence};
use socket::{Drops, Opened, open};

pub use source::{Interface, UdpSource, UdpSourceError};

/// No datagram is longer.
const MOST_DATAGRAM_BYTES: usize = 64 << 10;
/// How often the kernel is asked what it dropped.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// A sender that was quiet for this long may be replaced by another.
const QUIET: Duration = Duration::from_secs(1);
/// Waits between attempts to open the socket: interfaces come late, and come back.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Receives `source` until `stop` turns true or the channel no longer takes events. A socket that cannot be opened is tried
/// again.
pub async fn receive_udp(source: UdpSource, feed: TransportFeed, events: mpsc::Sender<Timed>, mut stop: watch::Receiver<bool>) {
    let mut receiver = Receiver { feed, events, backlog: VecDeque::new(), made: Vec::new(), sender: None, sequence: Sequence::default() };
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let (channel, name) = (receiver.feed.channel().to_owned(), receiver.feed.feed().to_owned());
        match open(&source) {
            Ok(Opened { socket, buffer_bytes, drops }) => {
                let wanted_bytes = source.buffer_bytes;
                info!(channel, feed = name, %source, buffer_bytes, wanted_bytes, "receiving");
                if buffer_bytes < wanted_bytes {
                    warn!(
                        channel,
                        feed = name,
                        buffer_bytes,
                        wanted_bytes,
                        "the receive buffer is smaller than asked for: raise net.core.rmem_max"
                    );
                }
                backoff.succeeded();
                match receiver.run(&socket, drops, &mut stop).await {
                    End::Stopped => return,
                    End::Broken(cause) => warn!(channel, feed = name, %source, %cause, "the socket broke and is opened anew"),
                }
            }
            Err(cause) => warn!(channel, feed = name, %source, %cause, fault = %cause.fault(), "the feed cannot be received; trying again"),
        }
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = receiver.events.closed() => return,
            () = sleep(backoff.failed()) => {}
        }
    }
}

/// Why a socket is no longer read.
#[derive(Debug)]
enum End {
    /// The feed is no longer wanted.
    Stopped,
    /// The socket failed.
    Broken(io::Error),
}

/// The state of one feed.
#[derive(Debug)]
struct Receiver {
    feed: TransportFeed,
    events: mpsc::Sender<Timed>,
    /// Events of the last datagram that the channel had no room for. While there are any, no datagram is taken.
    backlog: VecDeque<Timed>,
    made: Vec<FeedEvent>,
    /// Who sends, and when it last did.
    sender: Option<(SocketAddr, Mono)>,
    sequence: Sequence,
}

impl Receiver {
    async fn run(&mut self, socket: &UdpSocket, drops: Drops, stop: &mut watch::Receiver<bool>) -> End {
        let mut buffer = vec![0; MOST_DATAGRAM_BYTES];
        let mut ask = interval(ASK_EVERY);
        ask.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut drops = Some(drops);
        let events = self.events.clone();
        loop {
            tokio::select! {
                biased;
                () = stopped(stop) => return End::Stopped,
                () = events.closed() => return End::Stopped,
                permit = events.reserve(), if !self.backlog.is_empty() => {
                    let Ok(permit) = permit else { return End::Stopped };
                    if let Some(event) = self.backlog.pop_front() {
                        permit.send(event);
                    }
                }
                read = socket.recv_from(&mut buffer) => match read {
                    Ok((length, from)) => self.datagram(buffer.get(..length).unwrap_or_default(), from, clock::mono()),
                    Err(cause) => return End::Broken(cause),
                },
                _ = ask.tick() => drops = self.ask(drops).await,
            }
        }
    }

    /// Asks the kernel what it dropped.
    async fn ask(&mut self, drops: Option<Drops>) -> Option<Drops> {
        let mut drops = drops?;
        let (drops, count) = spawn_blocking(move || {
            let count = drops.take();
            (drops, count)
        })
        .await
        .ok()?;
        self.feed.count("kernel_drop", count);
        Some(drops)
    }

    fn datagram(&mut self, datagram: &[u8], from: SocketAddr, now: Mono) {
        if !self.is_ours(from, now) {
            self.feed.count("other_sender", 1);
            return;
        }
        self.flush();
        if !self.backlog.is_empty() {
            self.feed.count("channel_busy", 1);
            return;
        }
        let payload = match rtp::read(datagram) {
            Datagram::Plain(payload) => payload,
            Datagram::Rtp { sequence, payload } => match self.sequence.follow(sequence) {
                Order::Next(missing) => {
                    self.feed.count("rtp_gap", missing.into());
                    payload
                }
                Order::Late => return self.feed.count("rtp_late", 1),
            },
            Datagram::Other => return self.feed.count("not_rtp", 1),
        };
        self.feed.receive(payload, &mut self.made);
        self.backlog.extend(self.made.drain(..).map(|event| Timed { event, read: now }));
        self.flush();
    }

    /// Whether a datagram is of the sender that is listened to. Two at once would make one broken stream.
    fn is_ours(&mut self, from: SocketAddr, now: Mono) -> bool {
        let other = self.sender.is_some_and(|(sender, last)| sender != from && now.since(last) < QUIET);
        if !other {
            if self.sender.is_none_or(|(sender, _)| sender != from) {
                self.sequence = Sequence::default();
                info!(channel = self.feed.channel(), feed = self.feed.feed(), peer = %from, "datagrams arrive");
            }
            self.sender = Some((from, now));
        }
        !other
    }

    /// Hands on as many events as the channel has room for.
    fn flush(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) => {
                    self.backlog.push_front(event);
                    return;
                }
            }
        }
    }
}

/// Ends when `stop` turns true, or nobody can turn it any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
