//! One connection from the first byte of the handshake to the last picture.

mod aggregate;
mod command;
mod messages;
mod reply;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use bytes::{Bytes, BytesMut};

use self::aggregate::Aggregate;
use super::chunk::{Message, Reader, Writer, kind};
use super::{Error, Handshake, Limits};

/// Bytes after which each side acknowledges: what servers have always announced.
const WINDOW_BYTES: u32 = 2_500_000;

/// Chunk size of replies: each fits one chunk.
const REPLY_CHUNK_BYTES: u32 = 4096;

/// How far a connection is; deadlines depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The handshake is not complete.
    Handshake,
    /// Handshake done, `connect` not accepted yet.
    Handshaken,
    /// Connected to an application, not publishing.
    Connected,
    /// An accepted publisher sends media.
    Publishing,
    /// Refused; nothing more is read.
    Closed,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Handshake => "in its handshake",
            Stage::Handshaken => "not connected to an application",
            Stage::Connected => "not publishing",
            Stage::Publishing => "publishing already",
            Stage::Closed => "closed",
        })
    }
}

/// What a media message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// An FLV audio tag's body.
    Audio,
    /// An FLV video tag's body.
    Video,
    /// An FLV script tag's body: AMF0, a name and values.
    Data,
}

/// What the peer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It wants to connect; answer with [`Session::accept_connect`] or [`Session::refuse_connect`].
    ConnectRequested {
        /// The application, without instance, query and slashes.
        application: String,
        /// How it names itself, cut to 64 characters; empty where it does not.
        agent: String,
    },
    /// It wants to publish; answer with [`Session::accept_publish`] or [`Session::refuse_publish`].
    PublishRequested {
        /// The application.
        application: String,
        /// The stream name up to its query: the key.
        stream: String,
    },
    /// Media of an accepted publisher.
    Media {
        /// What it is.
        kind: MediaKind,
        /// Timestamp in milliseconds, modulo 2^32.
        timestamp_ms: u32,
        /// The FLV tag's body.
        payload: Bytes,
    },
    /// The publisher stopped in good order. It may publish again on the same connection.
    PublishEnded,
}

/// What the peer waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    Connect { transaction: f64, object_encoding: f64, enhanced: bool },
    Publish { stream_id: u32 },
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    stage: Stage,
    handshake: Handshake,
    reader: Reader,
    writer: Writer,
    output: BytesMut,
    request: Option<Request>,
    application: String,
    streams: BTreeSet<u32>,
    next_stream: u32,
    publishing: u32,
    /// A publisher has been accepted and has ended: what still trickles in is thrown away.
    ended: bool,
    aggregate: Option<Aggregate>,
    /// The peer obeys requests to reconnect, and has not been sent one.
    can_reconnect: bool,
    window_bytes: u32,
    received_bytes: u32,
    acknowledged_bytes: u32,
}

impl Session {
    /// A session that waits for C0.
    pub fn new(limits: Limits) -> Session {
        Session {
            limits,
            stage: Stage::Handshake,
            handshake: Handshake::default(),
            reader: Reader::new(limits),
            writer: Writer::default(),
            output: BytesMut::new(),
            request: None,
            application: String::new(),
            streams: BTreeSet::new(),
            next_stream: 1,
            publishing: 0,
            ended: false,
            aggregate: None,
            can_reconnect: false,
            window_bytes: WINDOW_BYTES,
            received_bytes: 0,
            acknowledged_bytes: 0,
        }
    }

    /// How far the connection is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// What is to be sent; empty when there is nothing. At most a small multiple of what was received since the last call.
    pub fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }

    /// Takes bytes off the front of `input` up to the next event; `None` when all are taken. After an error the
    /// session is over, though its output may still be sent.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Error> {
        if self.request.is_some() {
            return Err(Error::Undecided);
        }
        match self.stage {
            Stage::Closed => return Err(Error::Closed),
            Stage::Handshake if !self.handshake.receive(input, &mut self.output)? => return Ok(None),
            Stage::Handshake => self.stage = Stage::Handshaken,
            _ => {}
        }
        loop {
            if let Some(event) = self.next_of_aggregate()? {
                return Ok(Some(event));
            }
            let before = input.len();
            let message = self.reader.receive(input);
            self.count_received((before - input.len()) as u32);
            let Some(message) = message? else { return Ok(None) };
            if let Some(event) = self.on_message(message)? {
                return Ok(Some(event));
            }
        }
    }

    /// Lets the peer connect.
    pub fn accept_connect(&mut self) {
        let Some(Request::Connect { transaction, object_encoding, enhanced }) = self.request else { return };
        self.request = None;
        self.stage = Stage::Connected;
        self.control(kind::WINDOW_ACKNOWLEDGEMENT_SIZE, &WINDOW_BYTES.to_be_bytes());
        let [a, b, c, d] = WINDOW_BYTES.to_be_bytes();
        // 2 is "dynamic": the peer keeps the limit type that it has (section 5.4.5).
        self.control(kind::SET_PEER_BANDWIDTH, &[a, b, c, d, 2]);
        self.writer.set_chunk_bytes(REPLY_CHUNK_BYTES, &mut self.output);
        self.command(0, reply::connected(transaction, object_encoding, enhanced));
    }

    /// Turns the peer away from the application; `text` goes to it.
    pub fn refuse_connect(&mut self, text: &str) {
        let Some(Request::Connect { transaction, .. }) = self.request.take() else { return };
        self.stage = Stage::Closed;
        self.command(0, reply::error(transaction, "NetConnection.Connect.Rejected", text));
    }

    /// Lets the peer publish.
    pub fn accept_publish(&mut self) {
        let Some(Request::Publish { stream_id }) = self.request.take() else { return };
        self.stage = Stage::Publishing;
        self.publishing = stream_id;
        self.reader.widen();
        let [a, b, c, d] = stream_id.to_be_bytes();
        self.control(kind::USER_CONTROL, &[0, 0, a, b, c, d]);
        self.command(stream_id, reply::status("status", "NetStream.Publish.Start", "publishing"));
    }

    /// Turns the publisher away with a status code such as `NetStream.Publish.BadName`; `text` goes to it.
    pub fn refuse_publish(&mut self, code: &str, text: &str) {
        let Some(Request::Publish { stream_id }) = self.request.take() else { return };
        self.stage = Stage::Closed;
        self.command(stream_id, reply::status("error", code, text));
    }

    /// Asks a publisher to connect anew, with a reason for people, and tells whether it was asked: once, and only one that
    /// said that it can (enhanced RTMP v2, "Reconnect Request"). It goes on sending up to its next keyframe, and should be
    /// served until it goes by itself.
    pub fn request_reconnect(&mut self, text: &str) -> bool {
        if self.stage != Stage::Publishing || !std::mem::take(&mut self.can_reconnect) {
            return false;
        }
        // It is about the connection, so message stream 0 carries it; without a `tcUrl` the peer keeps its own.
        self.command(0, reply::status("status", "NetConnection.Connect.ReconnectRequest", text));
        true
    }

    /// Tells the publisher that the server ends its stream, such as when another one takes over.
    pub fn end_publish(&mut self, text: &str) {
        if self.stage == Stage::Publishing {
            self.stage = Stage::Closed;
            self.command(self.publishing, reply::status("error", "NetStream.Publish.Failed", text));
        }
    }

    /// Counts received bytes and acknowledges when a window is full (section 5.4.3). The number wraps.
    fn count_received(&mut self, bytes: u32) {
        self.received_bytes = self.received_bytes.wrapping_add(bytes);
        if self.received_bytes.wrapping_sub(self.acknowledged_bytes) >= self.window_bytes {
            self.acknowledged_bytes = self.received_bytes;
            self.control(kind::ACKNOWLEDGEMENT, &self.received_bytes.to_be_bytes());
        }
    }

    fn control(&mut self, kind: u8, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        self.writer.write(&Message { chunk_stream: 2, kind, stream_id: 0, timestamp_ms: 0, payload }, &mut self.output);
    }

    fn command(&mut self, stream_id: u32, payload: Bytes) {
        let message = Message { chunk_stream: 3, kind: kind::COMMAND_AMF0, stream_id, timestamp_ms: 0, payload };
        self.writer.write(&message, &mut self.output);
    }
}
