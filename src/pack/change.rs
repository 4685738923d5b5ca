//! What a packager asks of whoever holds its files: the shelf of a live channel, or a directory.

use bytes::Bytes;

/// What a file is; decides its Content-Type and how long it may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Multivariant playlist: changes rarely.
    Multivariant,
    /// Media or I-frame playlist; `live` while it still grows.
    Playlist {
        /// Whether it still changes.
        live: bool,
    },
    /// DASH manifest; `live` while it still grows.
    Manifest {
        /// Whether it still changes.
        live: bool,
    },
    /// CMAF header (initialisation segment), never changes.
    Init {
        /// Video rather than audio.
        video: bool,
    },
    /// CMAF media segment, never changes.
    Cmaf {
        /// Video rather than audio.
        video: bool,
    },
    /// MPEG-TS segment, never changes.
    Ts,
    /// Packed AAC segment, never changes.
    PackedAac,
}

/// One change. Paths are relative to the channel: `master.m3u8`, `720p/playlist.m3u8`, `ts/720p/17.ts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The file exists now with this body.
    Put {
        /// Where.
        path: String,
        /// The whole body.
        body: Bytes,
        /// What it is.
        kind: Kind,
    },
    /// The file is no longer needed.
    Remove {
        /// Where.
        path: String,
    },
}
