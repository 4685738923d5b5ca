//! What the server answers.

use bytes::{Bytes, BytesMut};

use super::command::RECONNECT;
use crate::wire::rtmp::amf0::{Value, encode, object};

/// Video that is understood, by FourCC.
const VIDEO: [&str; 3] = ["avc1", "hvc1", "av01"];

/// Audio that is understood, by FourCC.
const AUDIO: [&str; 3] = ["mp4a", "Opus", ".mp3"];

/// `FourCcInfoMask.CanDecode`.
const CAN_DECODE: f64 = 1.0;

/// `CapsExMask.Reconnect | CapsExMask.ModEx | CapsExMask.TimestampNanoOffset`. Publishers may take a server for one that
/// asks for no reconnection unless it says that it does.
const CAPABILITIES: f64 = (RECONNECT | 4 | 8) as f64;

fn message<const N: usize>(values: [Value; N]) -> Bytes {
    let mut payload = BytesMut::new();
    values.iter().for_each(|value| encode(value, &mut payload));
    payload.freeze()
}

fn information(level: &str, code: &str, description: &str) -> Vec<(String, Value)> {
    [("level", level), ("code", code), ("description", description)].map(|(key, text)| (key.to_owned(), text.into())).into()
}

/// The answer to `connect`; what enhanced RTMP adds goes to those who asked for it.
pub(super) fn connected(transaction: f64, object_encoding: f64, enhanced: bool) -> Bytes {
    // Encoders look at fmsVer to see whether a server is a server; 31 is every capability of old.
    let properties = object([("fmsVer", "FMS/3,5,7,7009".into()), ("capabilities", 31.0.into()), ("mode", 1.0.into())]);
    let mut information = information("status", "NetConnection.Connect.Success", "connected");
    information.push(("objectEncoding".to_owned(), object_encoding.into()));
    if enhanced {
        let all = VIDEO.iter().chain(&AUDIO).map(|code| Value::from(*code)).collect();
        information.push(("fourCcList".to_owned(), Value::StrictArray(all)));
        information.push(("videoFourCcInfoMap".to_owned(), object(VIDEO.map(|code| (code, CAN_DECODE.into())))));
        information.push(("audioFourCcInfoMap".to_owned(), object(AUDIO.map(|code| (code, CAN_DECODE.into())))));
        information.push(("capsEx".to_owned(), CAPABILITIES.into()));
    }
    message(["_result".into(), transaction.into(), properties, Value::Object(information)])
}

/// A result with a number, or with nothing.
pub(super) fn result(transaction: f64, number: Option<f64>) -> Bytes {
    message(["_result".into(), transaction.into(), Value::Null, number.map_or(Value::Null, Value::from)])
}

/// A call that failed.
pub(super) fn error(transaction: f64, code: &str, text: &str) -> Bytes {
    message(["_error".into(), transaction.into(), Value::Null, Value::Object(information("error", code, text))])
}

/// The state of a stream.
pub(super) fn status(level: &str, code: &str, text: &str) -> Bytes {
    message(["onStatus".into(), 0.0.into(), Value::Null, Value::Object(information(level, code, text))])
}

/// `onFCPublish` and `onFCUnpublish`.
pub(super) fn notice(name: &str, code: &str) -> Bytes {
    message([name.into(), 0.0.into(), Value::Null, Value::Object(information("status", code, ""))])
}
