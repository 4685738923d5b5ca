//! What happened, for people who look: the newest thousand events of this process, each with a number that only grows.
//!
//! Whoever says something never waits. Readers ask for what came after the last number that they have; who asks too late is told how
//! many are gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::metrics::metrics;
use super::time::{WallTime, iso8601};
use crate::base::clock;

/// Events that are kept.
pub const KEPT_EVENTS: usize = 1_000;
/// Refusals that are kept of a second: whoever knocks all day must not push everything else out.
const REFUSALS_A_SECOND: u32 = 5;
/// Bytes of an event's text; what is longer is cut.
const LONGEST_TEXT: usize = 500;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A channel is in another state.
    State,
    /// Another feed is on the air.
    Switch,
    /// A channel is not in the seat that its policy likes best.
    Fallback,
    /// A worker was lost and is replaced.
    Worker,
    /// A feed is left out since it kills workers, or is tried again.
    Quarantine,
    /// Somebody was not let in.
    Refusal,
    /// The configuration was changed, or was to be.
    Reload,
    /// A channel does less since the machine does not keep up, or more again.
    Overload,
    /// A channel came, went, was stopped or started.
    Channel,
}

impl EventKind {
    /// Every kind, so that zero shows.
    pub const ALL: [EventKind; 9] = [
        EventKind::State,
        EventKind::Switch,
        EventKind::Fallback,
        EventKind::Worker,
        EventKind::Quarantine,
        EventKind::Refusal,
        EventKind::Reload,
        EventKind::Overload,
        EventKind::Channel,
    ];

    /// The value of the `kind` label, and the name of the event in the stream.
    pub fn label(self) -> &'static str {
        match self {
            EventKind::State => "state",
            EventKind::Switch => "switch",
            EventKind::Fallback => "fallback",
            EventKind::Worker => "worker",
            EventKind::Quarantine => "quarantine",
            EventKind::Refusal => "refusal",
            EventKind::Reload => "reload",
            EventKind::Overload => "overload",
            EventKind::Channel => "channel",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Event {
    /// Its number: the next one's is larger by one, and numbers go on growing over restarts.
    pub id: u64,
    /// What it is about.
    pub kind: EventKind,
    /// The channel, where it is about one.
    pub channel: Option<String>,
    /// What happened, in words. No secrets.
    pub text: String,
    /// When, as ISO 8601 in UTC.
    pub time: String,
}

/// What came after a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// Events that are gone already.
    pub missed: u64,
    /// The others, oldest first.
    pub events: Vec<Arc<Event>>,
}

#[derive(Debug)]
struct Ring {
    first: u64,
    next: u64,
    events: VecDeque<Arc<Event>>,
    /// The second in which refusals were last kept, and how many.
    refusals: (i64, u32),
}

/// The events of a process.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

/// The events of this process.
pub fn events() -> &'static Events {
    static EVENTS: OnceLock<Events> = OnceLock::new();
    EVENTS.get_or_init(|| {
        EventKind::ALL.iter().for_each(|kind| drop(metrics().events.with_label_values(&[kind.label()])));
        Events::new(clock::wall())
    })
}

/// Something happened to a channel.
pub fn say(kind: EventKind, channel: &str, text: impl Into<String>) {
    events().add(kind, Some(channel), text.into(), clock::wall());
}

/// Something happened that is about no channel, or about all.
pub fn say_of_all(kind: EventKind, text: impl Into<String>) {
    events().add(kind, None, text.into(), clock::wall());
}

impl Events {
    /// None yet. Numbers begin with the milliseconds since 1970, which no process reaches by counting.
    pub fn new(now: WallTime) -> Events {
        let first = u64::try_from(now.0.div_euclid(1_000)).unwrap_or(0).max(1);
        Events {
            ring: Mutex::new(Ring { first, next: first, events: VecDeque::new(), refusals: (0, 0) }),
            newest: watch::Sender::new(first - 1),
        }
    }

    /// Adds an event; the oldest makes room.
    pub fn add(&self, kind: EventKind, channel: Option<&str>, mut text: String, now: WallTime) {
        metrics().events.with_label_values(&[kind.label()]).inc();
        if text.len() > LONGEST_TEXT {
            let end = (0..=LONGEST_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
        }
        let mut ring = self.lock();
        if kind == EventKind::Refusal && !ring.has_room_for_a_refusal(now) {
            return;
        }
        let id = ring.next;
        ring.next += 1;
        if ring.events.len() >= KEPT_EVENTS {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(Event { id, kind, channel: channel.map(str::to_owned), text, time: iso8601(now) }));
        self.newest.send_replace(id);
    }

    /// What came after the event of this number.
    pub fn since(&self, id: u64) -> Since {
        let ring = self.lock();
        let wanted = id.saturating_add(1).max(ring.first);
        let oldest = ring.events.front().map_or(ring.next, |event| event.id);
        let events = ring.events.iter().filter(|event| event.id >= wanted).cloned().collect();
        Since { missed: oldest.saturating_sub(wanted), events }
    }

    /// The number of the newest event; changes whenever there is another one.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn has_room_for_a_refusal(&mut self, now: WallTime) -> bool {
        let second = now.0.div_euclid(1_000_000);
        if self.refusals.0 != second {
            self.refusals = (second, 0);
        }
        self.refusals.1 += 1;
        self.refusals.1 <= REFUSALS_A_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u64) -> Events {
        let events = Events::new(WallTime(7_000_000));
        (0..count).for_each(|number| events.add(EventKind::State, Some("demo"), format!("{number}"), WallTime(0)));
        events
    }

    #[test]
    fn events_are_numbered_and_told_once() {
        let events = filled(3);
        let all = events.since(0);
        assert_eq!((all.missed, all.events.iter().map(|event| event.id).collect::<Vec<_>>()), (0, vec![7_000, 7_001, 7_002]));
        assert_eq!(events.since(7_001).events.iter().map(|event| &*event.text).collect::<Vec<_>>(), ["2"]);
        assert_eq!(events.since(7_002), Since { missed: 0, events: Vec::new() });
        assert_eq!(*events.newest().borrow(), 7_002);
    }

    #[test]
    fn who_asks_too_late_is_told_how_many_are_gone() {
        let events = filled(KEPT_EVENTS as u64 + 5);
        let late = events.since(7_001);
        assert_eq!((late.missed, late.events.len(), late.events[0].id), (3, KEPT_EVENTS, 7_005));
        assert_eq!(events.since(7_004).missed, 0);
    }

    #[test]
    fn whoever_knocks_all_day_does_not_push_the_rest_out() {
        let events = filled(3);
        (0..5_000).for_each(|_| events.add(EventKind::Refusal, None, "no".into(), WallTime(0)));
        assert_eq!(events.since(0).events.len(), 3 + REFUSALS_A_SECOND as usize);
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let events = filled(0);
        events.add(EventKind::Refusal, None, "\u{e4}".repeat(LONGEST_TEXT), WallTime(0));
        assert_eq!(events.since(0).events[0].text.len(), LONGEST_TEXT);
    }
}
