//! Commands (RTMP 1.0, section 7.2): a name, a transaction, an object, arguments.

use crate::wire::rtmp::Error;
use crate::wire::rtmp::amf0::{self, AmfError, Value};
use crate::wire::rtmp::chunk::{Message, kind};

/// What an encoder that speaks enhanced RTMP tells in `connect`; one of them is enough.
const ENHANCED: [&str; 4] = ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"];

/// `CapsExMask.Reconnect`.
pub(super) const RECONNECT: u32 = 1;

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub(super) name: String,
    /// 0 where no answer is expected.
    pub(super) transaction: f64,
    object: Value,
    arguments: Vec<Value>,
}

impl Command {
    /// Reads a command message. In AMF3 wrapping the first byte names the format, of which only 0 (AMF0) exists.
    pub(super) fn parse(message: &Message, limits: &amf0::Limits) -> Result<Command, Error> {
        let payload = match (message.kind, message.payload.split_first()) {
            (kind::COMMAND_AMF3, Some((0, rest))) => rest,
            (kind::COMMAND_AMF3, Some((&marker, _))) => return Err(AmfError::Type { version: 3, marker }.into()),
            _ => &message.payload,
        };
        let mut values = amf0::decode(payload, limits)?.into_iter();
        let Some(Value::String(name)) = values.next() else { return Err(Error::Incomplete { command: "command", missing: "a name" }) };
        Ok(Command {
            name,
            transaction: values.next().and_then(|transaction| transaction.as_number()).unwrap_or(0.0),
            object: values.next().unwrap_or(Value::Null),
            arguments: values.collect(),
        })
    }

    /// A member of the command object.
    pub(super) fn property(&self, name: &str) -> Option<&Value> {
        self.object.member(name)
    }

    /// Whether the peer speaks enhanced RTMP.
    pub(super) fn is_enhanced(&self) -> bool {
        ENHANCED.iter().any(|name| self.property(name).is_some())
    }

    /// Whether the peer obeys requests to reconnect: `capsEx` with bit `Reconnect` (enhanced RTMP v2, "Enhancing NetConnection connect Command").
    pub(super) fn can_reconnect(&self) -> bool {
        self.property("capsEx").and_then(Value::as_number).is_some_and(|bits| bits as u32 & RECONNECT != 0)
    }

    /// Argument `n` as text.
    pub(super) fn text(&self, n: usize) -> Option<&str> {
        self.arguments.get(n)?.as_str()
    }

    /// Argument `n` as number.
    pub(super) fn number(&self, n: usize) -> Option<f64> {
        self.arguments.get(n)?.as_number()
    }

    /// Argument `n` as truth value.
    pub(super) fn boolean(&self, n: usize) -> Option<bool> {
        self.arguments.get(n)?.as_bool()
    }
}

/// `live` of `live`, `/live/`, `live/instance` and `live?token=x`.
pub(super) fn application_name(application: &str) -> &str {
    let path = application.split('?').next().unwrap_or_default();
    path.trim_start_matches('/').split('/').next().unwrap_or_default()
}

/// `key` of `key?token=x`.
pub(super) fn stream_name(stream: &str) -> &str {
    stream.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_instances_and_queries_are_no_part_of_the_names() {
        for application in ["live", "live/", "/live", "live/_definst_", "live?a=b/c", "live/?a"] {
            assert_eq!(application_name(application), "live", "{application}");
        }
        assert_eq!(stream_name("key?x=y?z"), "key");
        assert_eq!(stream_name("a/b"), "a/b");
    }
}
