//! Codes that a rejected caller is told (SRT Access Control Guidelines, "Error codes").

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a caller is rejected in its handshake. It is told the code alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reject {
    /// The stream id does not parse or names no stream.
    BadRequest,
    /// There is no room for another caller.
    Overload,
    /// The caller may not use what it asks for: the key length, a closed door.
    Forbidden,
    /// No channel has this key.
    NotFound,
    /// The caller wants to play, and only publishing is served.
    BadMode,
    /// The channel has a publisher and keeps it.
    Conflict,
    /// The stream id asks for another type of content than a stream.
    Media,
    /// The gateway itself failed.
    Internal,
}

impl Reject {
    /// The code as applications set it (`SRT_REJX_*`). On the wire 1000 is added.
    pub fn code(self) -> i32 {
        match self {
            Reject::BadRequest => 1400,
            Reject::Overload => 1402,
            Reject::Forbidden => 1403,
            Reject::NotFound => 1404,
            Reject::BadMode => 1405,
            Reject::Conflict => 1409,
            Reject::Media => 1415,
            Reject::Internal => 1500,
        }
    }

    /// The value of the `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Reject::BadRequest => "stream_id",
            Reject::Overload => "connections",
            Reject::Forbidden => "forbidden",
            Reject::NotFound => "key",
            Reject::BadMode => "mode",
            Reject::Conflict => "busy",
            Reject::Media => "media",
            Reject::Internal => "internal",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reject::BadRequest => "its stream id is no stream key and no `#!::r=KEY,m=publish`",
            Reject::Overload => "there is no room for another caller",
            Reject::Forbidden => "the channel asks for a longer encryption key than the caller uses",
            Reject::NotFound => "no channel has its stream key; use a channel's stream_key as stream id",
            Reject::BadMode => "it asks to play; only publishing is served: add m=publish to the stream id",
            Reject::Conflict => "the channel has a publisher; stop it first or set on_second_publisher = \"replace\"",
            Reject::Media => "it asks for another type than a live stream: leave t= out of the stream id",
            Reject::Internal => "the gateway could not prepare the connection",
        })
    }
}
