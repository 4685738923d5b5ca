//! RTMP, the server's side, sans-IO: bytes of one connection go in, events and bytes to send come out.
//!
//! ```text
//! handshake (C0 C1 C2) -> chunk::Reader -> messages -> Session -> Event
//!                         chunk::Writer <- replies  <-'
//! ```
//!
//! [`Session::receive`] takes a slice and stops at every event, so the caller decides about a publisher before a byte that
//! follows is looked at, and nothing queues up inside. No clock is read: deadlines belong to the listener, which asks
//! [`Session::stage`]. Everything that a peer can make grow has a cap in [`Limits`].
//!
//! Sources: "Adobe's Real Time Messaging Protocol" 1.0 (2012), "AMF 0" and "AMF 3" (Adobe), "Enhanced RTMP" v2 (Veovera).

pub mod amf0;
pub mod chunk;
mod error;
mod handshake;
mod limits;
mod session;

pub use error::Error;
pub use handshake::{Handshake, HandshakeError};
pub use limits::Limits;
pub use session::{Event, MediaKind, Session, Stage};
