//! What every floor stands on: time, faults, bounded queues, metrics handles, the one clock.

pub mod arrival;
pub mod attempts;
pub mod backoff;
pub mod clock;
pub mod cores;
pub mod events;
pub mod fault;
pub mod metrics;
pub mod places;
pub mod processes;
pub mod queue;
pub mod rate;
pub mod syslog;
pub mod time;
pub mod tls;

pub use arrival::Arrival;
pub use fault::Fault;
pub use rate::Rate;
pub use time::{FLICKS_PER_SECOND, MediaTime, Mono, Ticks, WallTime};
