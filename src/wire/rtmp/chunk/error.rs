//! What is wrong with a chunk stream.

use crate::base::Fault;

/// The chunk stream is broken or asks for more than its caps; it cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Set Chunk Size outside what is allowed.
    #[error("chunk size of {size} bytes is outside 1..={limit}")]
    ChunkSize {
        /// What the peer set.
        size: u32,
        /// The cap.
        limit: u32,
    },
    /// More chunk streams than allowed.
    #[error("more than {limit} chunk streams")]
    ChunkStreams {
        /// The cap.
        limit: usize,
    },
    /// A message longer than allowed.
    #[error("message of {length} bytes on chunk stream {chunk_stream}, largest is {limit}")]
    MessageLength {
        /// The chunk stream.
        chunk_stream: u32,
        /// The declared length in bytes.
        length: usize,
        /// The cap.
        limit: usize,
    },
    /// Unfinished messages hold more than allowed.
    #[error("unfinished messages hold more than {limit} bytes")]
    InFlight {
        /// The cap.
        limit: usize,
    },
    /// A header that refers to a header before it, where there is none.
    #[error("chunk of format {format} on chunk stream {chunk_stream}, which had no full header")]
    NoHeader {
        /// The chunk stream.
        chunk_stream: u32,
        /// Header format, 2 or 3.
        format: u8,
    },
    /// A new message began inside an unfinished one of the same chunk stream.
    #[error("new message on chunk stream {chunk_stream} while {missing} bytes of the last one are missing")]
    Interrupted {
        /// The chunk stream.
        chunk_stream: u32,
        /// Bytes that were still to come.
        missing: usize,
    },
    /// Set Chunk Size or Abort with the wrong length.
    #[error("control message of type {kind} with {length} bytes")]
    Control {
        /// Message type.
        kind: u8,
        /// Its length in bytes.
        length: usize,
    },
}

impl ChunkError {
    /// The class.
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}
