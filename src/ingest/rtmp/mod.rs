//! The RTMP listener: one task per connection, each under deadlines, all under caps.

mod cause;
mod connection;
mod presence;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use self::cause::Cause;
use self::connection::Connection;
use self::presence::Registry;
use super::places::Places;
use crate::base::Fault;
use crate::base::events::{self, EventKind};
use crate::base::metrics::metrics;
use crate::channel::feed::Door;
use crate::wire::rtmp::Limits;

/// The value of the `protocol` label.
const PROTOCOL: &str = "rtmp";

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
    serve_rtmp_until(listener, door, limits, shutdown, retire).await;
}

/// As [`serve_rtmp`]; when `retire` turns true the port is closed, and the connections that are open go on until they end.
pub async fn serve_rtmp_until(
    listener: TcpListener,
    door: Arc<dyn Door>,
    limits: RtmpLimits,
    shutdown: watch::Receiver<bool>,
    mut retire: watch::Receiver<bool>,
) {
    let places = Places::new(limits.connections, limits.connections_per_address);
    let limits = Arc::new(limits);
    let registry = Registry::default();
    let mut tasks = JoinSet::new();
    let mut stop = shutdown.clone();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            () = stopped(&mut retire) => break,
            Some(done) = tasks.join_next(), if !tasks.is_empty() => report_panic(done),
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => match places.take(peer.ip()) {
                    Ok(place) => {
                        let connection =
                            Connection::new(socket, peer, Arc::clone(&door), Arc::clone(&limits), registry.clone(), shutdown.clone());
                        tasks.spawn(async move {
                            let _place = place;
                            serve(connection, peer).await;
                        });
                    }
                    Err(cause) => turn_away(socket, peer, cause.into()),
                },
                Err(cause) => {
                    warn!(%cause, "RTMP listener: no connection could be accepted; raise the limit of open files if this goes on");
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

/// Ends when the appliance stops.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good as a stop.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// One connection from accept to its one closing line.
async fn serve(mut connection: Connection, peer: SocketAddr) {
    let _counted = Counted::new();
    let cause = connection.run().await;
    let channel = connection.channel();
    connection.close(&cause).await;
    log_close(peer, &channel, &cause);
}

/// An open connection in the gauge, until it is dropped.
struct Counted;

impl Counted {
    fn new() -> Counted {
        metrics().ingest_connections.with_label_values(&[PROTOCOL]).inc();
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics().ingest_connections.with_label_values(&[PROTOCOL]).dec();
    }
}

/// Drops a connection that there is no room for. It has spoken no RTMP yet, so there is nothing to tell it.
fn turn_away(socket: TcpStream, peer: SocketAddr, cause: Cause) {
    drop(socket);
    log_close(peer, "-", &cause);
}

fn log_close(peer: SocketAddr, channel: &str, cause: &Cause) {
    match cause.refusal_label() {
        None => info!(%peer, channel, %cause, "RTMP connection closed"),
        Some(reason) => {
            metrics().ingest_refusals.with_label_values(&[PROTOCOL, reason]).inc();
            events::say_of_all(EventKind::Refusal, format!("RTMP {peer}: {cause}"));
            warn!(%peer, channel, reason, fault = cause.fault().label(), %cause, "RTMP connection refused or closed for cause");
        }
    }
}

fn report_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(cause) = done {
        metrics().ingest_refusals.with_label_values(&[PROTOCOL, "bug"]).inc();
        error!(fault = Fault::Bug.label(), %cause, "an RTMP connection's task failed; please report this");
    }
}
