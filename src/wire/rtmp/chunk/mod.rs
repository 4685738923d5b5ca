//! The chunk layer (RTMP 1.0, section 5.3): a byte stream to messages and back.
//!
//! ```text
//! chunk          = basic header (1-3) | message header (11, 7, 3 or 0) | extended timestamp (0 or 4) | data
//! basic header   = format (2 bits) | chunk stream id
//! message header = timestamp or delta (3) | length (3) | type (1) | message stream id (4, little endian)
//! ```

mod error;
mod header;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use error::ChunkError;
pub use reader::Reader;
pub use writer::Writer;

use bytes::Bytes;

/// Chunk size of both directions until it is set (section 5.4.1).
pub const DEFAULT_CHUNK_BYTES: u32 = 128;

/// Message types (sections 5.4, 6.2 and 7.1).
pub mod kind {
    /// Set Chunk Size.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message.
    pub const ABORT: u8 = 2;
    /// Acknowledgement.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control Message.
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size.
    pub const WINDOW_ACKNOWLEDGEMENT_SIZE: u8 = 5;
    /// Set Peer Bandwidth.
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio.
    pub const AUDIO: u8 = 8;
    /// Video.
    pub const VIDEO: u8 = 9;
    /// Data in AMF3 wrapping.
    pub const DATA_AMF3: u8 = 15;
    /// Command in AMF3 wrapping.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data in AMF0.
    pub const DATA_AMF0: u8 = 18;
    /// Command in AMF0.
    pub const COMMAND_AMF0: u8 = 20;
    /// Aggregate of FLV tags.
    pub const AGGREGATE: u8 = 22;
}

/// One whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The chunk stream that it came on.
    pub chunk_stream: u32,
    /// Message type, see [`kind`].
    pub kind: u8,
    /// Message stream.
    pub stream_id: u32,
    /// Timestamp in milliseconds, modulo 2^32.
    pub timestamp_ms: u32,
    /// Payload.
    pub payload: Bytes,
}
