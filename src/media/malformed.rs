//! The error of every codec header parser.

use thiserror::Error;

use crate::base::Fault;

/// A codec record or header that cannot be what it claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The bytes end inside a field.
    #[error("{record} of {length} bytes ends inside {field}")]
    Short {
        /// What was read: `avcC`, `H.264 SPS` ...
        record: &'static str,
        /// The field, by the name that its standard gives it.
        field: &'static str,
        /// Bytes that there were.
        length: usize,
    },
    /// A field holds a value that its standard forbids or that nothing here can carry.
    #[error("{record}: {field} must not be {value}")]
    Value {
        /// What was read.
        record: &'static str,
        /// The field, by the name that its standard gives it.
        field: &'static str,
        /// The value found.
        value: u64,
    },
}

impl Malformed {
    /// The class of the error: headers come from outside, so it is always the media.
    pub fn fault(&self) -> Fault {
        Fault::Corrupt
    }
}
