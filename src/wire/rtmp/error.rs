//! Why a session ends.

use super::amf0::AmfError;
use super::chunk::ChunkError;
use super::handshake::HandshakeError;
use super::session::Stage;
use crate::base::Fault;

/// The peer did what the session cannot go on from. What is in the session's output may still be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No RTMP handshake.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The chunk stream is broken or greedy.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A command does not parse or is greedy.
    #[error("command does not parse: {0}")]
    Amf(#[from] AmfError),
    /// A control message of the wrong length.
    #[error("control message of type {kind} with {length} bytes")]
    Control {
        /// Message type.
        kind: u8,
        /// Length of its payload in bytes.
        length: usize,
    },
    /// Something came before what has to come first, or twice.
    #[error("{what} is out of order: the connection is {stage}")]
    Order {
        /// What came.
        what: &'static str,
        /// Where the session was.
        stage: Stage,
    },
    /// A command without what it needs.
    #[error("{command} without {missing}")]
    Incomplete {
        /// The command.
        command: &'static str,
        /// The missing argument.
        missing: &'static str,
    },
    /// Application or stream name beyond the cap.
    #[error("name of {length} bytes, longest is {limit}")]
    Name {
        /// Its length in bytes.
        length: usize,
        /// The cap.
        limit: usize,
    },
    /// More message streams than allowed.
    #[error("more than {0} message streams")]
    MessageStreams(u32),
    /// A message on a message stream that was not created or does not publish.
    #[error("{what} on message stream {stream_id}, which is not the one that publishes")]
    MessageStream {
        /// What came.
        what: &'static str,
        /// The message stream.
        stream_id: u32,
    },
    /// The peer wants to play.
    #[error("the peer asks to play; RTMP is for publishing only, viewers use HLS or DASH over HTTP")]
    Play,
    /// The caller did not answer a request before it went on.
    #[error("a request of the peer is undecided")]
    Undecided,
    /// The session is over.
    #[error("the session is closed")]
    Closed,
}

impl Error {
    /// The value of the `reason` label.
    pub fn label(&self) -> &'static str {
        match self {
            Error::Handshake(_) => "handshake",
            Error::Chunk(_) => "chunk",
            Error::Amf(_) => "amf",
            Error::Control { .. } => "control",
            Error::Order { .. } | Error::MessageStream { .. } => "order",
            Error::Incomplete { .. } | Error::Name { .. } => "command",
            Error::MessageStreams(_) => "message_streams",
            Error::Play => "play",
            Error::Undecided | Error::Closed => "bug",
        }
    }

    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Undecided | Error::Closed => Fault::Bug,
            Error::Play => Fault::Unsupported,
            _ => Fault::Peer,
        }
    }
}
