//! The RTMP listeners, in the clear and through TLS: one task per connection, each under deadlines, all under caps.

mod cause;
mod connection;
mod presence;
mod refusals;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use self::cause::Cause;
use self::connection::Connection;
use self::presence::Registry;
use self::refusals::Refusals;
use crate::base::attempts::Attempts;
use crate::base::metrics::metrics;
use crate::base::places::Places;
use crate::base::tls::{Socket, TlsServer};
use crate::base::{Fault, clock};
use crate::channel::feed::Door;
use crate::wire::rtmp::Limits;

/// The value of the `protocol` label in the clear.
const PROTOCOL: &str = "rtmp";

/// The value of the `protocol` label through TLS.
const PROTOCOL_TLS: &str = "rtmps";

/// How long the listener rests when the system gives it no more sockets.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Caps and deadlines of the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpLimits {
    /// Applications that may be connected to; with none listed the door alone decides, when a stream is published.
    pub applications: Vec<String>,
    /// Connections open at once.
    pub connections: usize,
    /// Connections open at once from one IPv4 address or one IPv6 /64.
    pub connections_per_address: usize,
    /// From accept to the end of the handshake.
    pub handshake: Duration,
    /// From the handshake (or the end of the last publishing) to an accepted publish.
    pub publish: Duration,
    /// Without a usable picture or audio frame while publishing.
    pub idle: Duration,
    /// Without a usable picture or audio frame, after which a publisher gives way to another one for the same channel.
    pub silence: Duration,
    /// For a publisher that was asked to reconnect to come to its next keyframe and go.
    pub reconnect: Duration,
    /// For one write to get through.
    pub write: Duration,
    /// For a refused peer to read why.
    pub linger: Duration,
    /// Caps of one connection's protocol state.
    pub session: Limits,
}

impl Default for RtmpLimits {
    fn default() -> RtmpLimits {
        RtmpLimits {
            applications: vec!["live".to_owned()],
            connections: 256,
            connections_per_address: 64,
            handshake: Duration::from_secs(5),
            publish: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            silence: Duration::from_secs(2),
            reconnect: Duration::from_secs(4),
            write: Duration::from_secs(5),
            linger: Duration::from_secs(2),
            session: Limits::default(),
        }
    }
}

/// Accepts publishers until `shutdown` turns true or its sender is gone, then closes all connections and returns. Publishers
/// that can reconnect are asked to, and served until they go.
pub async fn serve_rtmp(listener: TcpListener, door: Arc<dyn Door>, limits: RtmpLimits, shutdown: watch::Receiver<bool>) {
    let (_stays, retire) = watch::channel(false);
    RtmpServer::new(door, limits).serve(listener, None, shutdown, retire).await;
}

/// Wrong stream keys by address. Clones share it.
type Guesses = Arc<Mutex<Attempts>>;

/// What the RTMP listeners of an appliance share: caps, and who is there. Clones share it too.
#[derive(Clone, Debug)]
pub struct RtmpServer {
    door: Arc<dyn Door>,
    limits: Arc<RtmpLimits>,
    places: Places,
    registry: Registry,
    refusals: Refusals,
    guesses: Guesses,
}

impl RtmpServer {
    /// A server that has no listener yet.
    pub fn new(door: Arc<dyn Door>, limits: RtmpLimits) -> RtmpServer {
        let places = Places::new(limits.connections, limits.connections_per_address);
        RtmpServer {
            door,
            limits: Arc::new(limits),
            places,
            registry: Registry::default(),
            refusals: Refusals::default(),
            guesses: Guesses::default(),
        }
    }

    /// As [`serve_rtmp`], through TLS (`rtmps://`) where `tls` is given. When `retire` turns true the port is closed, and the connections that
    /// are open go on until they end.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<TlsServer>,
        shutdown: watch::Receiver<bool>,
        mut retire: watch::Receiver<bool>,
    ) {
        let protocol = if tls.is_some() { PROTOCOL_TLS } else { PROTOCOL };
        let mut tasks = JoinSet::new();
        let mut stop = shutdown.clone();
        let mut ticks = tokio::time::interval(refusals::PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                () = stopped(&mut retire) => break,
                Some(done) = tasks.join_next(), if !tasks.is_empty() => report_panic(done),
                _ = ticks.tick() => self.refusals.tick(clock::mono()),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => match self.places.take(peer.ip()) {
                        Ok(place) => {
                            let (server, tls, shutdown) = (self.clone(), tls.clone(), shutdown.clone());
                            tasks.spawn(async move {
                                let _place = place;
                                server.connection(stream, peer, tls, shutdown).await;
                            });
                        }
                        // It has spoken no RTMP yet, so there is nothing to tell it.
                        Err(cause) => {
                            drop(stream);
                            self.closed(peer, protocol, "-", &cause.into());
                        }
                    },
                    Err(cause) => {
                        warn!(%cause, protocol, "RTMP listener: no connection could be accepted; raise the limit of open files if this goes on");
                        tokio::time::sleep(ACCEPT_REST).await;
                    }
                },
            }
        }
        drop(listener);
        while let Some(done) = tasks.join_next().await {
            report_panic(done);
        }
    }

    /// One connection from accept to its one closing line.
    async fn connection(self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsServer>, mut shutdown: watch::Receiver<bool>) {
        let protocol = if tls.is_some() { PROTOCOL_TLS } else { PROTOCOL };
        let _counted = Counted::new(protocol);
        let socket = match &tls {
            None => Socket::Plain(stream),
            Some(tls) => tokio::select! {
                biased;
                () = stopped(&mut shutdown) => return self.closed(peer, protocol, "-", &Cause::Shutdown),
                shaken = tls.handshake(stream, peer) => match shaken {
                    Ok(socket) => socket,
                    Err(cause) => return self.closed(peer, protocol, "-", &cause.into()),
                },
            },
        };
        let closing = self.clone();
        let mut connection = Connection::new(socket, peer, self.door, self.limits, self.registry, self.guesses, shutdown);
        let cause = connection.run().await;
        let channel = connection.channel();
        connection.close(&cause).await;
        closing.closed(peer, protocol, &channel, &cause);
    }

    /// The one line of a connection that has ended.
    fn closed(&self, peer: SocketAddr, protocol: &'static str, channel: &str, cause: &Cause) {
        match cause.refusal_label() {
            None => info!(%peer, protocol, channel, %cause, "RTMP connection closed"),
            Some(reason) => self.refusals.refused(peer, protocol, channel, reason, cause, clock::mono()),
        }
    }
}

/// Ends when the appliance stops.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good as a stop.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// An open connection in the gauge, until it is dropped.
struct Counted(&'static str);

impl Counted {
    fn new(protocol: &'static str) -> Counted {
        metrics().ingest_connections.with_label_values(&[protocol]).inc();
        Counted(protocol)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics().ingest_connections.with_label_values(&[self.0]).dec();
    }
}

fn report_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(cause) = done {
        metrics().ingest_refusals.with_label_values(&[PROTOCOL, "bug"]).inc();
        error!(fault = Fault::Bug.label(), %cause, "an RTMP connection's task failed; please report this");
    }
}
