//! The server's side of a handshake, under limits of time and number.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::socket::Socket;
use super::store::Certificates;
use crate::base::Fault;
use crate::base::metrics::metrics;
use crate::base::places::{NoPlace, Places};

/// From accept to the end of the handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes at once.
const HANDSHAKES: usize = 1024;
/// Handshakes at once from one IPv4 address or one IPv6 /64: a cache opens dozens of connections together.
const HANDSHAKES_PER_ADDRESS: usize = 128;
/// Plain bytes that a connection takes before it has sent them. Small, so that a client that takes nothing shows soon.
const WRITE_BUFFER_BYTES: usize = 16 << 10;
/// A TLS record that begins a handshake (RFC 8446 section 5.1); anything else in front is no TLS.
const HANDSHAKE_RECORD: u8 = 22;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// This build of rustls lacks what is asked of it.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// The class.
    pub fn fault(&self) -> Fault {
        Fault::Bug
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer speaks something else; its first byte is still to be read.
    #[error("the peer speaks no TLS")]
    NotTls(TcpStream),
    /// The peer went without a word, as health checks do.
    #[error("the peer closed the connection before it said anything")]
    Silent,
    /// It took too long.
    #[error("no complete TLS handshake within {} s", .0.as_secs_f32())]
    Late(Duration),
    /// There are too many at once.
    #[error("{0} in the middle of a TLS handshake")]
    Crowded(#[from] NoPlace),
    /// The two do not agree, or the connection broke.
    #[error("the TLS handshake failed: {0}")]
    Failed(io::Error),
}

impl HandshakeError {
    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            HandshakeError::Crowded(_) => Fault::Overload,
            _ => Fault::Peer,
        }
    }

    /// The value of the `outcome` label.
    pub fn label(&self) -> &'static str {
        match self {
            HandshakeError::NotTls(_) => "not_tls",
            HandshakeError::Silent => "silent",
            HandshakeError::Late(_) => "late",
            HandshakeError::Crowded(_) => "crowded",
            HandshakeError::Failed(_) => "failed",
        }
    }
}

/// Makes TLS connections of TCP connections. Clones share their limits.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
    places: Places,
    protocol: &'static str,
    limit: Duration,
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsServer").field("protocol", &self.protocol).field("places", &self.places).finish_non_exhaustive()
    }
}

impl TlsServer {
    /// A server that shows `certificates` and offers the ALPN protocols `offered`, best first (RFC 7301). `protocol` is the
    /// value of the `protocol` label: `https`, `rtmps`.
    pub fn new(certificates: Arc<Certificates>, protocol: &'static str, offered: &[&[u8]]) -> Result<TlsServer, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(&[&TLS13, &TLS12])?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(certificates);
        config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        // Players open a connection every few seconds; with a ticket the second one costs no signature.
        config.ticketer = Ticketer::new()?;
        let places = Places::new(HANDSHAKES, HANDSHAKES_PER_ADDRESS);
        Ok(TlsServer { acceptor: TlsAcceptor::from(Arc::new(config)), places, protocol, limit: HANDSHAKE_LIMIT })
    }

    /// The same with another limit of time.
    pub fn within(self, limit: Duration) -> TlsServer {
        TlsServer { limit, ..self }
    }

    /// Shakes hands with `peer`; counted in `headend_tls_handshakes_total`.
    pub async fn handshake(&self, stream: TcpStream, peer: SocketAddr) -> Result<Socket, HandshakeError> {
        let outcome = match self.places.take(peer.ip()) {
            Ok(_place) => timeout(self.limit, self.shaken(stream)).await.unwrap_or(Err(HandshakeError::Late(self.limit))),
            Err(cause) => Err(cause.into()),
        };
        let label = outcome.as_ref().map_or_else(HandshakeError::label, |_| "completed");
        metrics().tls.handshakes.with_label_values(&[self.protocol, label]).inc();
        outcome
    }

    async fn shaken(&self, stream: TcpStream) -> Result<Socket, HandshakeError> {
        let mut first = [0];
        match stream.peek(&mut first).await.map_err(HandshakeError::Failed)? {
            0 => return Err(HandshakeError::Silent),
            _ if first != [HANDSHAKE_RECORD] => return Err(HandshakeError::NotTls(stream)),
            _ => {}
        }
        let shaking = self.acceptor.accept_with(stream, |connection| connection.set_buffer_limit(Some(WRITE_BUFFER_BYTES)));
        shaking.await.map(|stream| Socket::Tls(Box::new(stream))).map_err(HandshakeError::Failed)
    }
}
