//! The only place that reads a clock. Everything below the sockets gets time as an argument.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::time::{Mono, WallTime};

static START: OnceLock<Instant> = OnceLock::new();

/// Now, on the monotonic clock of this process.
#[allow(clippy::disallowed_methods, reason = "this module is the one reader of clocks")]
pub fn mono() -> Mono {
    let start = START.get_or_init(Instant::now);
    Mono(start.elapsed().as_nanos().min(u128::from(u64::MAX)) as u64)
}

/// Now, in civil time.
#[allow(clippy::disallowed_methods, reason = "this module is the one reader of clocks")]
pub fn wall() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(since_epoch.as_micros().min(i64::MAX as u128) as i64)
}
