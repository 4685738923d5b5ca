//! One connection from the first byte of the handshake to the last picture.

mod aggregate;
mod command;
mod reply;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use bytes::{Bytes, BytesMut};

use self::aggregate::Aggregate;
use self::command::Command;
use super::chunk::{Message, Reader, Writer, kind};
use super::{Error, Handshake, Limits};

/// Bytes after which each side acknowledges: what servers have always announced.
const WINDOW_BYTES: u32 = 2_500_000;

/// Chunk size of replies: each fits one chunk.
const REPLY_CHUNK_BYTES: u32 = 4096;

/// Metadata that an encoder wants stored carries this command in front (AMF0 string).
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

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

    fn on_message(&mut self, message: Message) -> Result<Option<Event>, Error> {
        match message.kind {
            kind::USER_CONTROL => self.on_user_control(&message.payload).map(|()| None),
            kind::WINDOW_ACKNOWLEDGEMENT_SIZE => {
                let Some(window) = message.payload.first_chunk() else { return Err(malformed(&message)) };
                self.window_bytes = u32::from_be_bytes(*window).max(1);
                Ok(None)
            }
            kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => self.on_command(&message),
            kind::AUDIO => self.on_media("audio", MediaKind::Audio, message),
            kind::VIDEO => self.on_media("video", MediaKind::Video, message),
            kind::DATA_AMF0 | kind::DATA_AMF3 => self.on_media("data", MediaKind::Data, message),
            kind::AGGREGATE => {
                if self.publishes("aggregate", message.stream_id)? {
                    self.aggregate = Some(Aggregate::new(message.timestamp_ms, message.payload));
                }
                self.next_of_aggregate()
            }
            // The peer's acknowledgements and bandwidth, shared objects, and what later versions add.
            _ => Ok(None),
        }
    }

    /// Answers pings (section 7.1.7); the other events are for players.
    fn on_user_control(&mut self, payload: &Bytes) -> Result<(), Error> {
        let malformed = Error::Control { kind: kind::USER_CONTROL, length: payload.len() };
        let Some((event, data)) = payload.split_first_chunk::<2>() else { return Err(malformed) };
        if u16::from_be_bytes(*event) == 6 {
            let Some([a, b, c, d]) = data.first_chunk::<4>() else { return Err(malformed) };
            self.control(kind::USER_CONTROL, &[0, 7, *a, *b, *c, *d]);
        }
        Ok(())
    }

    fn on_command(&mut self, message: &Message) -> Result<Option<Event>, Error> {
        let command = Command::parse(message, &self.limits.amf)?;
        match command.name.as_str() {
            "connect" => self.on_connect(&command).map(Some),
            "createStream" => self.on_create_stream(&command),
            "publish" => self.on_publish(message.stream_id, &command),
            "releaseStream" => {
                if command.transaction != 0.0 {
                    self.command(0, reply::result(command.transaction, None));
                }
                Ok(None)
            }
            "FCPublish" => {
                self.command(0, reply::notice("onFCPublish", "NetStream.Publish.Start"));
                Ok(None)
            }
            "FCUnpublish" => {
                self.command(0, reply::notice("onFCUnpublish", "NetStream.Unpublish.Success"));
                Ok(self.end(self.publishing))
            }
            "closeStream" => Ok(self.end(message.stream_id)),
            "deleteStream" => {
                let stream_id = command.number(0).unwrap_or(0.0) as u32;
                self.streams.remove(&stream_id);
                Ok(self.end(stream_id))
            }
            "play" | "play2" => {
                self.command(message.stream_id, reply::status("error", "NetStream.Play.Failed", "this server takes publishers only"));
                self.stage = Stage::Closed;
                Err(Error::Play)
            }
            // Answers to what was never asked, and calls that nobody depends on.
            "_result" | "_error" | "onStatus" | "_checkbw" => Ok(None),
            _ => {
                if command.transaction != 0.0 {
                    self.command(0, reply::error(command.transaction, "NetConnection.Call.Failed", "unknown method"));
                }
                Ok(None)
            }
        }
    }

    fn on_connect(&mut self, command: &Command) -> Result<Event, Error> {
        if self.stage != Stage::Handshaken {
            return Err(Error::Order { what: "connect", stage: self.stage });
        }
        let application = command.property("app").and_then(|app| app.as_str());
        let application = application.ok_or(Error::Incomplete { command: "connect", missing: "an application" })?;
        self.application = command::application_name(self.bounded(application)?).to_owned();
        let agent = command.property("flashVer").and_then(|agent| agent.as_str()).unwrap_or_default();
        self.request = Some(Request::Connect {
            transaction: command.transaction,
            object_encoding: command.property("objectEncoding").and_then(|encoding| encoding.as_number()).unwrap_or(0.0),
            enhanced: command.is_enhanced(),
        });
        Ok(Event::ConnectRequested { application: self.application.clone(), agent: agent.chars().take(64).collect() })
    }

    fn on_create_stream(&mut self, command: &Command) -> Result<Option<Event>, Error> {
        if self.stage == Stage::Handshaken {
            return Err(Error::Order { what: "createStream", stage: self.stage });
        }
        if self.streams.len() >= self.limits.message_streams as usize {
            return Err(Error::MessageStreams(self.limits.message_streams));
        }
        let stream_id = self.next_stream;
        self.next_stream = self.next_stream.checked_add(1).ok_or(Error::MessageStreams(u32::MAX))?;
        self.streams.insert(stream_id);
        self.command(0, reply::result(command.transaction, Some(f64::from(stream_id))));
        Ok(None)
    }

    fn on_publish(&mut self, stream_id: u32, command: &Command) -> Result<Option<Event>, Error> {
        if command.boolean(0) == Some(false) {
            return Ok(self.end(stream_id));
        }
        if self.stage != Stage::Connected {
            return Err(Error::Order { what: "publish", stage: self.stage });
        }
        if !self.streams.contains(&stream_id) {
            return Err(Error::MessageStream { what: "publish", stream_id });
        }
        let name = command.text(0).ok_or(Error::Incomplete { command: "publish", missing: "a stream name" })?;
        let stream = command::stream_name(self.bounded(name)?).to_owned();
        self.request = Some(Request::Publish { stream_id });
        Ok(Some(Event::PublishRequested { application: self.application.clone(), stream }))
    }

    fn bounded<'a>(&self, name: &'a str) -> Result<&'a str, Error> {
        let limit = self.limits.name_bytes;
        if name.len() > limit { Err(Error::Name { length: name.len(), limit }) } else { Ok(name) }
    }

    fn on_media(&mut self, what: &'static str, media: MediaKind, message: Message) -> Result<Option<Event>, Error> {
        if !self.publishes(what, message.stream_id)? {
            return Ok(None);
        }
        let mut payload = message.payload;
        if message.kind == kind::DATA_AMF3 {
            // The first byte names the format, and 0 (AMF0) is the only one there is.
            payload = payload.slice(payload.len().min(1)..);
        }
        if media == MediaKind::Data && payload.starts_with(SET_DATA_FRAME) {
            payload = payload.slice(SET_DATA_FRAME.len()..);
        }
        Ok(Some(Event::Media { kind: media, timestamp_ms: message.timestamp_ms, payload }))
    }

    /// Whether media on this message stream is a publisher's, or what is left of one that ended; anything else is refused.
    fn publishes(&self, what: &'static str, stream_id: u32) -> Result<bool, Error> {
        match self.stage {
            Stage::Publishing if stream_id == self.publishing => Ok(true),
            Stage::Publishing => Err(Error::MessageStream { what, stream_id }),
            Stage::Connected if self.ended => Ok(false),
            stage => Err(Error::Order { what, stage }),
        }
    }

    fn next_of_aggregate(&mut self) -> Result<Option<Event>, Error> {
        while let Some(message) = self.aggregate.as_mut().and_then(|aggregate| aggregate.next(self.publishing)) {
            let event = match message.kind {
                kind::AUDIO => self.on_media("audio", MediaKind::Audio, message)?,
                kind::VIDEO => self.on_media("video", MediaKind::Video, message)?,
                kind::DATA_AMF0 => self.on_media("data", MediaKind::Data, message)?,
                _ => None,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        self.aggregate = None;
        Ok(None)
    }

    /// Ends publishing if `stream_id` is what publishes.
    fn end(&mut self, stream_id: u32) -> Option<Event> {
        if self.stage != Stage::Publishing || stream_id != self.publishing {
            return None;
        }
        self.stage = Stage::Connected;
        self.ended = true;
        self.command(stream_id, reply::status("status", "NetStream.Unpublish.Success", "publishing ended"));
        Some(Event::PublishEnded)
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

fn malformed(message: &Message) -> Error {
    Error::Control { kind: message.kind, length: message.payload.len() }
}
