//! Log output.

mod journal;

use std::io::IsTerminal;

use tracing::Metadata;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::app::cli::LogFormat;
use crate::base::syslog::{Prioritized, stderr_is_journal};

use journal::Journal;

/// The target of lines that say who operated what.
const AUDIT: &str = "audit";

/// The levels in force: `HEADEND_LOG`, or `fallback` where it is not set.
pub fn levels(fallback: &str) -> String {
    std::env::var("HEADEND_LOG").ok().filter(|levels| !levels.is_empty()).unwrap_or_else(|| fallback.to_owned())
}

/// The format that is meant: the journal's only where standard error goes there.
pub fn meant(format: LogFormat) -> LogFormat {
    if format == LogFormat::Journal && !stderr_is_journal() { LogFormat::Text } else { format }
}

/// Sends log lines to the standard error stream, or to the journal. `HEADEND_LOG` chooses levels; the default is `fallback`. Lines of the audit
/// log are there at every level, unless `HEADEND_LOG` speaks of `audit`, and name their target.
pub fn start(format: LogFormat, fallback: &str) {
    let format = meant(format);
    let levels = levels(fallback);
    let filter = EnvFilter::try_new(with_audit(&levels)).unwrap_or_else(|_| EnvFilter::new(with_audit(fallback)));
    if format == LogFormat::Journal {
        let log = match Journal::open() {
            Ok(journal) => journal.boxed(),
            // What goes to standard error arrives all the same, with its priority and without fields.
            Err(_) => layer().with_writer(std::io::stderr).with_ansi(false).event_format(Prioritized::default()).boxed(),
        };
        return tracing_subscriber::registry().with(log.with_filter(filter)).init();
    }
    let is_audit = |metadata: &Metadata<'_>| metadata.target() == AUDIT;
    let audit = lines(format, true).with_filter(FilterFn::new(is_audit));
    let others = lines(format, false).with_filter(FilterFn::new(move |metadata| !is_audit(metadata)));
    // The audit's layer is the one with targets, which nothing else needs: a line's words say where it is from.
    tracing_subscriber::registry().with(audit.and_then(others).with_filter(filter)).init();
}

fn with_audit(levels: &str) -> String {
    if levels.contains(AUDIT) { levels.to_owned() } else { format!("{levels},{AUDIT}=info") }
}

fn lines(format: LogFormat, with_target: bool) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = layer().with_writer(std::io::stderr).with_target(with_target);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text | LogFormat::Journal => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_log_is_not_lost_with_the_rest() {
        assert_eq!(with_audit("error"), "error,audit=info");
        assert_eq!(with_audit("info,audit=off"), "info,audit=off");
    }
}
