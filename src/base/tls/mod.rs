//! TLS for listeners: certificates from files, one handshake under limits, and a socket that is plain or not.
//!
//! ```text
//! PEM files -> Pair (checked) -> Certificates (by name, replaced while it runs) -> TlsServer -> Socket
//! ```
//!
//! TLS 1.2 and 1.3 only, by rustls; nothing else is spoken, and renegotiation is refused (RFC 9325 sections 3.1.1 and 3.5).

mod facts;
mod pair;
mod server;
mod socket;
mod store;
#[cfg(test)]
pub(crate) mod tests;

pub use pair::{Pair, PairError, PairFiles};
pub use server::{HandshakeError, TlsError, TlsServer};
pub use socket::Socket;
pub use store::{Certificates, Renewal};
