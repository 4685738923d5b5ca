//! Callers that were not let in: every one is counted, and the log cannot be filled with them.

use std::net::SocketAddr;

use super::PROTOCOL;
use super::session::Denied;
use crate::base::events::{self, EventKind};
use crate::base::metrics::metrics;
use crate::base::places::NoPlace;
use crate::wire::link::gateway::HandshakeEnd;

/// Lines between two ticks.
const LINES: u32 = 5;

/// Counts and logs refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    lines: u32,
    left_out: u64,
}

impl Refusals {
    /// Begins a new period.
    pub(super) fn tick(&mut self) {
        if self.left_out > 0 {
            tracing::warn!(count = self.left_out, "more SRT callers refused; headend_ingest_refusals_total has the reasons");
        }
        *self = Refusals::default();
    }

    /// A handshake that the gateway ended.
    pub(super) fn handshake(&mut self, peer: SocketAddr, end: HandshakeEnd) {
        let (reason, cause) = match end {
            HandshakeEnd::Rejected(reject) => (reject.label(), reject.to_string()),
            HandshakeEnd::Failed { sealed: true } => {
                ("passphrase", "its passphrase is not the channel's, or it has none: set the same on both ends".to_owned())
            }
            HandshakeEnd::Failed { sealed: false } => (
                "encryption",
                "it encrypts and the channel has no passphrase: set the same on both ends (or its options do not fit)".to_owned(),
            ),
        };
        self.say(peer, reason, &cause);
    }

    /// A caller that the front closed.
    pub(super) fn at_the_door(&mut self, peer: SocketAddr, cause: &Denied) {
        let reason = match cause {
            Denied::Place(NoPlace::Full(_)) => "connections",
            Denied::Place(NoPlace::Address(_)) => "address",
            Denied::Retired | Denied::Over => "retired",
            Denied::StreamId(_) => "stream_id",
            Denied::Door(refusal) => refusal.label(),
        };
        self.say(peer, reason, &cause.to_string());
    }

    fn say(&mut self, peer: SocketAddr, reason: &'static str, cause: &str) {
        metrics().ingest_refusals.with_label_values(&[PROTOCOL, reason]).inc();
        if self.lines >= LINES {
            self.left_out += 1;
            return;
        }
        self.lines += 1;
        events::say_of_all(EventKind::Refusal, format!("SRT {peer}: {cause}"));
        tracing::warn!(%peer, reason, cause, "SRT caller refused");
    }
}
