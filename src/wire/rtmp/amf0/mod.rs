//! AMF0 values, in which RTMP writes commands and metadata; AMF3 values only where AMF0 switches to them.
//!
//! Nesting, number of values and bytes are capped before anything is built, so that decoding and dropping a value
//! need no more stack or memory than the caps allow.

mod amf3;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;

use crate::base::Fault;

/// Caps of one decoded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the message.
    pub bytes: usize,
    /// Objects and arrays inside each other.
    pub depth: usize,
    /// Values altogether.
    pub values: usize,
}

/// Nesting that is never exceeded, whatever the limits say.
const DEEPEST: usize = 64;

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 64 << 10, depth: 16, values: 4096 }
    }
}

/// Why a message does not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmfError {
    /// More bytes than allowed.
    #[error("AMF message of {length} bytes, largest is {limit}")]
    TooLong {
        /// Length of the message in bytes.
        length: usize,
        /// The cap.
        limit: usize,
    },
    /// Nested deeper than allowed.
    #[error("AMF values nested more than {0} deep")]
    TooDeep(usize),
    /// More values than allowed.
    #[error("more than {0} AMF values")]
    TooMany(usize),
    /// The message ends inside a value.
    #[error("AMF message ends inside a value")]
    Truncated,
    /// A type that is not understood: a reference, a movie clip, an externalizable object.
    #[error("AMF{version} type {marker:#04x} is not supported")]
    Type {
        /// 0 or 3.
        version: u8,
        /// The type's marker.
        marker: u8,
    },
    /// An AMF3 reference to something that was not sent.
    #[error("AMF3 reference {0} points at nothing")]
    Reference(usize),
}

impl AmfError {
    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            AmfError::Type { .. } => Fault::Unsupported,
            _ => Fault::Peer,
        }
    }
}

/// One value. Text that is not UTF-8 has its bad bytes replaced.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number; AMF3 integers too.
    Number(f64),
    /// A truth value.
    Boolean(bool),
    /// Text; long strings and XML too.
    String(String),
    /// Named values in the order of the wire; typed objects, too, without their class.
    Object(Vec<(String, Value)>),
    /// Named values, called an associative array.
    EcmaArray(Vec<(String, Value)>),
    /// Values in order.
    StrictArray(Vec<Value>),
    /// Milliseconds since the Unix epoch, UTC.
    Date(f64),
    /// Raw bytes (AMF3 only).
    Bytes(Vec<u8>),
    /// Nothing.
    Null,
    /// Not even nothing.
    Undefined,
}

impl Value {
    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a number.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The member `name` of an object or associative array.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(members) | Value::EcmaArray(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Number(number)
    }
}

/// An object of these members.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
