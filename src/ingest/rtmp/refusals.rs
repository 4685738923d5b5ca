//! Publishers that were not let in, or were closed for cause: every one is counted, and the log cannot be filled with them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cause::Cause;
use crate::base::Mono;
use crate::base::events::{self, EventKind};
use crate::base::metrics::metrics;

/// How long a period is, and how many lines there are in each.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
const LINES: u32 = 5;

/// Counts and logs refusals of all listeners. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<Period>>);

/// What was told in the present period.
#[derive(Debug, Default)]
struct Period {
    began: Mono,
    lines: u32,
    left_out: u64,
}

impl Refusals {
    /// Time passes; to be called once in a while, so that what was left out is told although nobody is refused any more.
    pub(super) fn tick(&self, now: Mono) {
        tell_of(self.period(|period| period.pass(now)));
    }

    /// A connection was closed for this cause.
    pub(super) fn refused(&self, peer: SocketAddr, protocol: &'static str, channel: &str, reason: &'static str, cause: &Cause, now: Mono) {
        metrics().ingest_refusals.with_label_values(&[protocol, reason]).inc();
        let (left_out, is_told) = self.period(|period| (period.pass(now), period.has_line()));
        tell_of(left_out);
        if is_told {
            events::say_of_all(EventKind::Refusal, format!("{} {peer}: {cause}", protocol.to_uppercase()));
            tracing::warn!(%peer, protocol, channel, reason, fault = cause.fault().label(), %cause, "RTMP connection refused or closed for cause");
        }
    }

    fn period<T>(&self, work: impl FnOnce(&mut Period) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Period {
    /// Begins a new period where the one before is over; how many were left out in that.
    fn pass(&mut self, now: Mono) -> u64 {
        if now.since(self.began) < PERIOD {
            return 0;
        }
        std::mem::replace(self, Period { began: now, ..Period::default() }).left_out
    }

    /// Whether one more is told of.
    fn has_line(&mut self) -> bool {
        let has_line = self.lines < LINES;
        match has_line {
            true => self.lines += 1,
            false => self.left_out += 1,
        }
        has_line
    }
}

fn tell_of(left_out: u64) {
    if left_out > 0 {
        tracing::warn!(
            count = left_out,
            "more RTMP connections refused or closed for cause; headend_ingest_refusals_total has the reasons"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_five_lines_a_second_and_the_rest_is_counted() {
        let mut period = Period::default();
        let start = Mono(5_000_000_000);
        assert_eq!(period.pass(start), 0);
        let told = (0..1000).filter(|_| period.has_line()).count();
        assert_eq!((told, period.pass(start.after(PERIOD / 2))), (5, 0), "the period goes on");
        assert!(!period.has_line());
        assert_eq!((period.pass(start.after(PERIOD)), period.has_line()), (996, true));
        assert_eq!(period.pass(start.after(PERIOD * 3)), 0, "it is told once");
    }
}
