//! What every floor stands on: time, faults, bounded queues, metrics handles, the one clock.

pub mod backoff;
pub mod clock;
pub mod events;
pub mod fault;
pub mod metrics;
pub mod queue;
pub mod rate;
pub mod time;

pub use fault::Fault;
pub use rate::Rate;
pub use time::{FLICKS_PER_SECOND, MediaTime, Mono, Ticks, WallTime};
