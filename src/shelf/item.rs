//! One finished file with everything that an answer needs, made once when it is put.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};

use super::fingerprint;
use crate::base::{Ticks, WallTime};
use crate::pack::Kind;

/// Bodies below this gain nothing from compression.
const GZIP_FROM_BYTES: usize = 256;

/// 9999-12-31T23:59:59Z, the last instant that an HTTP date can name.
const LAST_HTTP_SECOND: i64 = 253_402_300_799;

/// A finished file. Everything is shared: cloning the `Bytes` copies no data.
#[derive(Debug)]
pub struct Item {
    /// The body.
    pub body: Bytes,
    /// The body in gzip, where that is smaller: playlists and manifests.
    pub gzip: Option<Bytes>,
    /// What it is.
    pub kind: Kind,
    /// Value of Content-Type.
    pub content_type: &'static str,
    /// Value of Cache-Control.
    pub cache_control: Bytes,
    /// Strong entity tag of `body`, with its quotes. Equal bytes have equal tags, also after a restart.
    pub etag: Bytes,
    /// Strong entity tag of `gzip`, with its quotes.
    pub gzip_etag: Bytes,
    /// When these bytes were first put.
    pub modified: WallTime,
    /// `modified` as the value of Last-Modified.
    pub last_modified: Bytes,
    /// Place in the order of puts.
    pub(super) order: u64,
}

impl Item {
    /// Hashes and compresses `body`. `target` is the target duration of live playlists.
    pub(super) fn new(body: Bytes, kind: Kind, target: Ticks, now: WallTime) -> Item {
        let fingerprint = fingerprint::hex(&body);
        Item {
            gzip: if is_text(kind) { gzip(&body) } else { None },
            body,
            kind,
            content_type: content_type(kind),
            cache_control: cache_control(kind, target),
            etag: Bytes::from(format!("\"{fingerprint}\"")),
            gzip_etag: Bytes::from(format!("\"{fingerprint}-gz\"")),
            modified: now,
            last_modified: Bytes::from(http_date(now)),
            order: 0,
        }
    }

    /// Seconds of [`Item::modified`], the resolution of HTTP dates.
    pub fn modified_second(&self) -> i64 {
        http_second(self.modified)
    }

    /// Whether it may be dropped when the shelf is full: media may, what leads to it may not.
    pub(super) fn droppable(&self) -> bool {
        is_segment(self.kind)
    }
}

/// Whether it is a media segment.
pub(super) fn is_segment(kind: Kind) -> bool {
    matches!(kind, Kind::Cmaf { .. } | Kind::Ts | Kind::PackedAac)
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Multivariant | Kind::Playlist { .. } | Kind::Manifest { .. })
}

/// RFC 8216 section 4, ISO 23009-1 annex C, RFC 4337, RFC 3555.
fn content_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Multivariant | Kind::Playlist { .. } => "application/vnd.apple.mpegurl",
        Kind::Manifest { .. } => "application/dash+xml",
        Kind::Init { video: true } | Kind::Cmaf { video: true } => "video/mp4",
        Kind::Init { video: false } | Kind::Cmaf { video: false } => "audio/mp4",
        Kind::Ts => "video/mp2t",
        Kind::PackedAac => "audio/aac",
    }
}

/// What never changes is kept for a year. What grows is kept for less than half a target duration, so that a cache never
/// makes a player miss a reload. What has ended is kept for a minute: the channel may go on the air again at the same address.
fn cache_control(kind: Kind, target: Ticks) -> Bytes {
    match kind {
        Kind::Init { .. } | Kind::Cmaf { .. } | Kind::Ts | Kind::PackedAac => Bytes::from_static(b"public, max-age=31536000, immutable"),
        Kind::Playlist { live: false } | Kind::Manifest { live: false } => Bytes::from_static(b"public, max-age=60"),
        Kind::Multivariant | Kind::Playlist { live: true } | Kind::Manifest { live: true } => {
            if target > Ticks::from_millis(2000) {
                Bytes::from_static(b"public, max-age=1")
            } else {
                Bytes::from_static(b"public, max-age=0, must-revalidate")
            }
        }
    }
}

/// Without a time in its header, so that equal bodies compress to equal bytes.
fn gzip(body: &[u8]) -> Option<Bytes> {
    if body.len() < GZIP_FROM_BYTES {
        return None;
    }
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::with_capacity(body.len() / 3), Compression::default());
    encoder.write_all(body).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < body.len()).then(|| Bytes::from(packed))
}

fn http_second(at: WallTime) -> i64 {
    at.0.div_euclid(1_000_000).clamp(0, LAST_HTTP_SECOND)
}

fn http_date(at: WallTime) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(http_second(at).unsigned_abs()))
}
