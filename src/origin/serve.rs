//! Accepts connections, bounds them, and lets them end in good order.

use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use super::gate::{Gate, Ticket, TooMany};
use super::limits::HttpLimits;
use super::service::{Connected, Origin};
use super::tally::{Asked, tally};
use super::traffic::{Counted, Cut, Judge, Traffic};
use crate::base::backoff::Backoff;
use crate::base::metrics::metrics;
use crate::base::tls::{HandshakeError, Socket, TlsServer};
use crate::base::{Arrival, clock};

/// Serves HTTP/1.1 and HTTP/2 (h2c) until `shutdown` turns true or its sender is gone; then answers under way get
/// [`HttpLimits::drain`] to end. Must run on a tokio runtime with IO and time.
pub async fn serve(listener: TcpListener, origin: Origin, limits: HttpLimits, shutdown: watch::Receiver<bool>) {
    let (_stays, retire) = watch::channel(false);
    serve_until(listener, None, origin, limits, shutdown, retire).await;
}

/// As [`serve`], through TLS where `tls` is given: who comes without it is told so. When `retire` turns true the port is closed, and the
/// connections that are open go on until they end.
pub async fn serve_until(
    listener: TcpListener,
    tls: Option<TlsServer>,
    origin: Origin,
    limits: HttpLimits,
    shutdown: watch::Receiver<bool>,
    retire: watch::Receiver<bool>,
) {
    let address = listener.local_addr();
    let local = address.as_ref().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    let label = address.map_or_else(|_| "unknown".to_owned(), |address| address.to_string());
    let house = House { tls, local, ..House::new(&label, origin, limits) };
    let mut stop = pin!(stopped(shutdown.clone()));
    let mut retired = pin!(stopped(retire));
    let mut stops = false;
    let mut connections = JoinSet::new();
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        tokio::select! {
            biased;
            () = stop.as_mut() => {
                stops = true;
                break;
            }
            () = retired.as_mut() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    backoff.succeeded();
                    match house.gate.admit(peer.ip()) {
                        Ok(ticket) => drop(connections.spawn(house.clone().connection(stream, peer, ticket, shutdown.clone()))),
                        Err(reason) => turn_away(stream, peer, reason),
                    }
                }
                Err(cause) => {
                    // Out of descriptors, mostly: accepting again at once would spin.
                    let wait = backoff.failed();
                    warn!(%cause, wait_ms = wait.as_millis() as u64, "HTTP connection not accepted; raise the limit on open files if this stays");
                    sleep(wait).await;
                }
            },
        }
    }
    drop(listener);
    while !stops && !connections.is_empty() {
        tokio::select! {
            () = stop.as_mut() => stops = true,
            _ = connections.join_next() => {}
        }
    }
    let open = connections.len();
    if open > 0 && timeout(house.limits.drain, async { while connections.join_next().await.is_some() {} }).await.is_err() {
        info!(open = connections.len(), of = open, "HTTP connections cut at shutdown: their answers took too long");
    }
    connections.shutdown().await;
}

/// Waits until the flag is true or nobody can raise it any more.
pub(super) async fn stopped(mut shutdown: watch::Receiver<bool>) {
    // An error says that the sender is gone, which is a stop as well.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// What the connections of a listener share.
#[derive(Clone, Debug)]
pub(super) struct House {
    origin: Arc<Origin>,
    pub(super) limits: Arc<HttpLimits>,
    pub(super) gate: Arc<Gate>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    tls: Option<TlsServer>,
    /// Only this machine reaches the listener.
    local: bool,
}

impl House {
    /// `label` is what metrics call it.
    pub(super) fn new(label: &str, origin: Origin, limits: HttpLimits) -> House {
        let open = metrics().http_connections.with_label_values(&[label]);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // The judge keeps the deadlines of headers, without a timer for each request.
        builder.http1().header_read_timeout(None).max_buf_size(limits.max_header_bytes.max(8192));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.max_streams)
            .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX));
        House {
            gate: Gate::new(origin.room(), limits.max_connections, limits.max_connections_per_address, open),
            limits: Arc::new(limits),
            origin: Arc::new(origin),
            builder: Arc::new(builder),
            tls: None,
            local: false,
        }
    }

    /// One connection's life.
    async fn connection(self, stream: TcpStream, peer: SocketAddr, ticket: Ticket, shutdown: watch::Receiver<bool>) {
        // Headers and body leave in one write; waiting for more would only add delay.
        if let Err(cause) = stream.set_nodelay(true) {
            debug!(%peer, %cause, "TCP_NODELAY not set");
        }
        let socket = match &self.tls {
            None => Socket::Plain(stream),
            Some(tls) => tokio::select! {
                biased;
                () = stopped(shutdown.clone()) => return,
                shaken = tls.handshake(stream, peer) => match shaken {
                    Ok(socket) => socket,
                    Err(cause) => return not_shaken(cause, peer),
                },
            },
        };
        let arrival = Arrival { peer, over_tls: socket.is_tls(), local_listener: self.local, control: false };
        self.converse(socket, arrival, shutdown).await;
        drop(ticket);
    }

    /// Requests and answers, under deadlines.
    pub(super) async fn converse<S>(self, socket: S, arrival: Arrival, shutdown: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (limits, peer) = (&*self.limits, arrival.peer);
        let traffic = Arc::new(Traffic::default());
        let started = clock::mono();
        let mut judge = Judge::new(Arc::clone(&traffic), started);
        let io = TokioIo::new(Counted::new(socket, Arc::clone(&traffic)));
        let service = Connected { origin: self.origin, arrival, traffic, max_target_bytes: limits.max_target_bytes };
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let mut stop = pin!(stopped(shutdown));
        let mut tick = interval(limits.tick());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closing = None;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(cause) = ended {
                        debug!(%peer, %cause, "HTTP connection ended with an error");
                    }
                    break;
                }
                () = stop.as_mut(), if closing.is_none() => {
                    closing = Some(clock::mono());
                    connection.as_mut().graceful_shutdown();
                }
                _ = tick.tick() => {
                    let now = clock::mono();
                    if let Some(cut) = judge.judge(limits, now) {
                        note(cut, peer);
                        break;
                    }
                    if closing.is_some_and(|since| now.since(since) >= limits.drain) {
                        debug!(%peer, "HTTP connection cut: its last answer took too long");
                        break;
                    }
                    if closing.is_none() && now.since(started) >= limits.max_age {
                        closing = Some(now);
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

fn note(cut: Cut, peer: SocketAddr) {
    match cut {
        Cut::SlowHeader | Cut::WriteStall => {
            tally().count(Asked::Connection, StatusCode::REQUEST_TIMEOUT, 0);
            debug!(%peer, cause = ?cut, "HTTP connection cut: the client is too slow");
        }
        Cut::Idle => debug!(%peer, "HTTP connection closed: idle"),
    }
}

/// A browser that was sent to the wrong port learns of it; nobody else is owed an answer.
fn not_shaken(cause: HandshakeError, peer: SocketAddr) {
    debug!(%peer, %cause, fault = cause.fault().label(), "HTTPS connection closed before its first request");
    let HandshakeError::NotTls(stream) = cause else { return };
    tally().count(Asked::Connection, StatusCode::BAD_REQUEST, 0);
    // What was sent is read, or closing would reset the connection and lose the answer.
    let mut request = [0; 2048];
    let _ = stream.try_read(&mut request);
    let text = "This port speaks HTTPS: begin the address with https://\n";
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close";
    let _ = stream.try_write(format!("{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
}

/// Says why in the few bytes that fit into any socket buffer, without waiting.
fn turn_away(stream: TcpStream, peer: SocketAddr, reason: TooMany) {
    let status = match reason {
        TooMany::Connections => StatusCode::SERVICE_UNAVAILABLE,
        TooMany::FromAddress => StatusCode::TOO_MANY_REQUESTS,
    };
    tally().count(Asked::Connection, status, 0);
    debug!(%peer, cause = ?reason, "HTTP connection turned away");
    let text = format!("HTTP/1.1 {status}\r\nRetry-After: 2\r\nCache-Control: no-store\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    if let Ok(mut stream) = stream.into_std() {
        // The client is being turned away; that it cannot be told changes nothing.
        let _ = stream.write(text.as_bytes());
    }
}
