//! What one connection may make the server hold.

use super::amf0;

/// Caps of one connection. What lies beyond is a typed error that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Chunk streams in use. Encoders use three to six; the protocol allows 65,597.
    pub chunk_streams: usize,
    /// Largest chunk size that a peer may set, in bytes. A message has at most 0xffffff bytes, so more means nothing.
    pub chunk_bytes: u32,
    /// Largest message of an accepted publisher, in bytes.
    pub message_bytes: usize,
    /// Bytes held for unfinished messages of an accepted publisher, over all chunk streams.
    pub in_flight_bytes: usize,
    /// Largest message before a publisher is accepted, in bytes.
    pub early_message_bytes: usize,
    /// Bytes held for unfinished messages before a publisher is accepted.
    pub early_in_flight_bytes: usize,
    /// Message streams that a peer may create.
    pub message_streams: u32,
    /// Longest application or stream name, in bytes.
    pub name_bytes: usize,
    /// Caps of commands.
    pub amf: amf0::Limits,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            chunk_streams: 64,
            chunk_bytes: 0xff_ffff,
            message_bytes: 8 << 20,
            in_flight_bytes: 16 << 20,
            early_message_bytes: 64 << 10,
            early_in_flight_bytes: 256 << 10,
            message_streams: 4,
            name_bytes: 256,
            amf: amf0::Limits::default(),
        }
    }
}
