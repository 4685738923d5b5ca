//! What each message does to a session.

use bytes::Bytes;

use super::aggregate::Aggregate;
use super::command::{self, Command};
use super::{Event, MediaKind, Request, Session, Stage, reply};
use crate::wire::rtmp::Error;
use crate::wire::rtmp::chunk::{Message, kind};

/// Metadata that an encoder wants stored carries this command in front (AMF0 string).
pub(super) const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

impl Session {
    pub(super) fn on_message(&mut self, message: Message) -> Result<Option<Event>, Error> {
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
        self.can_reconnect = command.can_reconnect();
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

    pub(super) fn next_of_aggregate(&mut self) -> Result<Option<Event>, Error> {
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
}

fn malformed(message: &Message) -> Error {
    Error::Control { kind: message.kind, length: message.payload.len() }
}
