//! The same answers on a socket of the file system: who may open it is known by that, and nobody else gets that far.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::gate::Room;
use super::limits::HttpLimits;
use super::serve::{House, stopped};
use super::service::Origin;
use crate::base::Arrival;
use crate::base::backoff::Backoff;

/// Connections at once; more are closed.
const MOST_CONNECTIONS: usize = 16;
/// What the metrics call it.
const LABEL: &str = "control.sock";
/// For those who ask where a request came from.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves until `shutdown` turns true or its sender is gone. Its connections have room of their own, so that viewers cannot keep the operator
/// out; every other limit is that of listeners ([`HttpLimits`]). Bodies of requests are bounded where they are read.
pub async fn serve_control(listener: UnixListener, origin: Origin, shutdown: watch::Receiver<bool>) {
    let limits = HttpLimits { max_connections: MOST_CONNECTIONS, max_connections_per_address: MOST_CONNECTIONS, ..HttpLimits::default() };
    let drain = limits.drain;
    let house = House::new(LABEL, origin.within(Room::of(MOST_CONNECTIONS)), limits);
    let arrival = Arrival { peer: PEER, over_tls: false, local_listener: true, control: true };
    let mut connections = JoinSet::new();
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        tokio::select! {
            biased;
            () = stopped(shutdown.clone()) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    backoff.succeeded();
                    let Ok(ticket) = house.gate.admit(PEER.ip()) else {
                        debug!("connection to the control socket turned away: there are {MOST_CONNECTIONS}");
                        continue;
                    };
                    let (house, shutdown) = (house.clone(), shutdown.clone());
                    connections.spawn(async move {
                        house.converse(stream, arrival, shutdown).await;
                        drop(ticket);
                    });
                }
                Err(cause) => {
                    let wait = backoff.failed();
                    warn!(%cause, wait_ms = wait.as_millis() as u64, "connection to the control socket not accepted");
                    sleep(wait).await;
                }
            },
        }
    }
    let _ = timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}
