//! Proof of progress: parts of the front count, and whoever feeds the watchdog sees which of them have counted on.
//!
//! What is no part of it: a channel, a worker, a feed, a viewer. One that is stuck costs itself and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

/// A part of the front without which no channel can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The runtime of publishers.
    Ingest,
    /// The runtime of channels.
    Packaging,
    /// The runtime of viewers.
    Edge,
    /// Whoever starts and ends channels and lends them seats.
    Supervisor,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 4] = [Part::Ingest, Part::Packaging, Part::Edge, Part::Supervisor];

    /// For messages.
    pub fn label(self) -> &'static str {
        match self {
            Part::Ingest => "ingest",
            Part::Packaging => "packaging",
            Part::Edge => "edge",
            Part::Supervisor => "supervisor",
        }
    }
}

/// How often each part has shown that it goes on.
#[derive(Debug, Default)]
pub struct Beats([AtomicU64; Part::ALL.len()]);

/// The counts of one moment, in the order of [`Part::ALL`].
pub type Counts = [u64; Part::ALL.len()];

impl Beats {
    /// A part goes on.
    pub fn beat(&self, part: Part) {
        if let Some(count) = self.0.get(part as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts of now.
    pub fn counts(&self) -> Counts {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}
