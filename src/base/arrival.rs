//! How a request came in, for whoever decides what its sender may do.

use std::net::SocketAddr;

/// The way of a request, as far as this machine saw it. Listeners put it among a request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The other end of the connection: the sender, or a proxy.
    pub peer: SocketAddr,
    /// The connection goes through TLS.
    pub over_tls: bool,
    /// Only this machine reaches the listener. A loopback address of the peer says less: port forwarders of containers have one too.
    pub local_listener: bool,
    /// It came over the control socket, which only the owner of the state directory may open. `peer` then says nothing.
    pub control: bool,
}
