//! The SRT gateway, `headend-srt`: holds every SRT connection and passes transport-stream bytes and statistics to the front.
//!
//! ```text
//! callers -> engine (libsrt, or srt-tokio) -> outbox: a lane for each caller -> link-out thread -> front
//! front -> link (main thread) -> doors, which handshakes are decided by; commands -> engine
//! ```
//!
//! No caller holds up another: what the front does not take in time is dropped, the oldest first, in that caller's lane.

mod doors;
mod outbox;
mod role;

#[cfg(feature = "srt")]
mod libsrt;
#[cfg(all(feature = "srt-tokio-engine", not(feature = "srt")))]
mod tokio_engine;

pub use role::gateway_role;
