//! Log output.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::app::cli::LogFormat;

/// The levels in force: `HEADEND_LOG`, or `fallback` where it is not set.
pub fn levels(fallback: &str) -> String {
    std::env::var("HEADEND_LOG").ok().filter(|levels| !levels.is_empty()).unwrap_or_else(|| fallback.to_owned())
}

/// Sends log lines to the standard error stream. `HEADEND_LOG` chooses levels; the default is `fallback`.
pub fn start(format: LogFormat, fallback: &str) {
    let filter = EnvFilter::try_new(levels(fallback)).unwrap_or_else(|_| EnvFilter::new(fallback));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}
