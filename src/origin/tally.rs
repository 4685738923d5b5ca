//! Requests and bytes by kind: the handles are looked up once, not once per request.

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::StatusCode;
use prometheus::{Histogram, IntCounter};

use crate::base::metrics::metrics;
use crate::pack;

/// What was asked for, the `kind` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Playlist,
    Manifest,
    Segment,
    Init,
    Page,
    Api,
    Metrics,
    Other,
    /// The connection itself, when it is refused or cut: 503 too many, 429 too many from one address, 408 too slow.
    Connection,
}

const KINDS: [&str; 9] = ["playlist", "manifest", "segment", "init", "page", "api", "metrics", "other", "connection"];

/// The statuses that this server answers with; the last slot takes any other.
const STATUSES: [u16; 21] = [200, 202, 204, 206, 301, 304, 308, 400, 401, 403, 404, 405, 408, 412, 414, 416, 422, 429, 431, 500, 503];

/// The counters, each resolved when it is first needed so that only what happened shows in `/metrics`.
#[derive(Debug, Default)]
pub(super) struct Tally {
    requests: [[OnceLock<IntCounter>; STATUSES.len() + 1]; KINDS.len()],
    bytes: [OnceLock<IntCounter>; KINDS.len()],
    answers: [OnceLock<Histogram>; KINDS.len()],
}

impl From<pack::Kind> for Asked {
    fn from(kind: pack::Kind) -> Asked {
        match kind {
            pack::Kind::Multivariant | pack::Kind::Playlist { .. } => Asked::Playlist,
            pack::Kind::Manifest { .. } => Asked::Manifest,
            pack::Kind::Init { .. } => Asked::Init,
            pack::Kind::Cmaf { .. } | pack::Kind::Ts | pack::Kind::PackedAac => Asked::Segment,
        }
    }
}

impl Asked {
    /// What a path outside `/live/` asks for.
    pub(super) fn of(path: &str) -> Asked {
        match path {
            "/" => Asked::Page,
            "/metrics" => Asked::Metrics,
            path if path.starts_with("/assets/") => Asked::Page,
            path if path.starts_with("/api/") => Asked::Api,
            _ => Asked::Other,
        }
    }
}

/// The counters of this process.
pub(super) fn tally() -> &'static Tally {
    static TALLY: OnceLock<Tally> = OnceLock::new();
    TALLY.get_or_init(Tally::default)
}

impl Tally {
    /// Measures from a request to the head of its answer.
    pub(super) fn took(&self, asked: Asked, took: Duration) {
        let kind = asked as usize;
        if let (Some(slot), Some(name)) = (self.answers.get(kind), KINDS.get(kind)) {
            slot.get_or_init(|| metrics().service.http_answer.with_label_values(&[name])).observe(took.as_secs_f64());
        }
    }

    /// Counts one answer.
    pub(super) fn count(&self, asked: Asked, status: StatusCode, bytes: u64) {
        let kind = asked as usize;
        let known = STATUSES.iter().position(|known| *known == status.as_u16());
        let label = if known.is_some() { status.as_str() } else { "other" };
        let (Some(row), Some(name)) = (self.requests.get(kind), KINDS.get(kind)) else { return };
        if let Some(slot) = row.get(known.unwrap_or(STATUSES.len())) {
            slot.get_or_init(|| metrics().http_requests.with_label_values(&[name, label])).inc();
        }
        if let Some(slot) = self.bytes.get(kind).filter(|_| bytes > 0) {
            slot.get_or_init(|| metrics().http_bytes.with_label_values(&[name])).inc_by(bytes);
        }
    }
}
