//! A recording as JSON lines: a head, then one line an entry, oldest first.

use serde::Serialize;

use super::{Entry, Note, Recording, What};
use crate::base::{MediaTime, Ticks, WallTime};
use crate::pack::text::date_time;

/// The first line.
#[derive(Serialize)]
struct Head<'a> {
    what: &'static str,
    channel: &'a str,
    reason: &'a str,
    /// When the recording was taken, UTC.
    at: String,
    entries: usize,
}

/// A line. Absent members do not belong to what it tells of.
#[derive(Default, Serialize)]
struct Line<'a> {
    /// When, UTC by the clock of the time of the recording.
    at: String,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    feed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<u8>,
    /// Decode time on the feed's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    dts_ms: Option<f64>,
    /// Presentation minus decode time.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<bool>,
    /// Place on the programme, UTC; absent where it got none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl Recording {
    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// As JSON lines, with a newline after each. `wall` is the civil time at which it was taken.
    pub fn json_lines(&self, channel: &str, reason: &str, wall: WallTime) -> String {
        let mut text = String::new();
        let head = Head { what: "flight", channel, reason, at: date_time(wall.as_media()), entries: self.entries.len() };
        push(&mut text, &head);
        for entry in &self.entries {
            let age_us = self.at.since(entry.at).as_micros().min(i64::MAX as u128) as i64;
            let at = WallTime(wall.0.saturating_sub(age_us)).as_media();
            push(&mut text, &line(entry, at));
        }
        text
    }
}

/// No value of a line can fail to be written.
fn push(text: &mut String, line: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(line) {
        text.push_str(&line);
        text.push('\n');
    }
}

fn line(entry: &Entry, at: MediaTime) -> Line<'_> {
    let base = Line { at: date_time(at), feed: entry.feed.as_deref(), ..Line::default() };
    match &entry.what {
        What::Unit { track, entry, size, dts, offset, pts } => Line {
            what: "unit",
            track: Some(*track),
            dts_ms: Some(millis(*dts)),
            offset_ms: Some(millis(*offset)),
            bytes: Some(*size),
            entry: Some(*entry),
            pts: pts.map(date_time),
            ..base
        },
        What::Note(note) => line_of_note(note, base),
    }
}

fn line_of_note<'a>(note: &'a Note, base: Line<'a>) -> Line<'a> {
    match note {
        Note::FeedOpened => Line { what: "feed_opened", ..base },
        Note::FeedClosed => Line { what: "feed_closed", ..base },
        Note::Source(words) => Line { what: "source", text: Some(words), ..base },
        Note::Bend { track, kind } => Line { what: "bend", track: Some(*track), kind: Some(kind.label()), ..base },
        Note::State(state) => Line { what: "state", kind: Some(state), ..base },
        Note::Switched(why) => Line { what: "switched", text: Some(why), ..base },
        Note::WorkerStarted(worker) => Line { what: "worker_started", worker: Some(*worker), ..base },
        Note::WorkerGone(worker, why) => Line { what: "worker_gone", worker: Some(*worker), text: Some(why), ..base },
        Note::WorkerFault(fault, words) => Line { what: "worker_fault", kind: Some(fault.label()), text: Some(words), ..base },
        Note::Listed { number, end } => Line { what: "listed", segment: Some(*number), pts: Some(date_time(*end)), ..base },
        Note::Refused(why) => Line { what: "refused", text: Some(why), ..base },
        Note::Decision(what, words) => Line { what: "decision", kind: Some(what), text: Some(words), ..base },
    }
}

/// To the microsecond: finer than any clock of a feed, coarse enough to read.
fn millis(span: Ticks) -> f64 {
    (span.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
