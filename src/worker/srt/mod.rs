//! The SRT gateway, `headend-srt`: holds every SRT connection and passes transport-stream bytes and statistics to the front.
//!
//! ```text
//! callers -> engine (libsrt, or srt-tokio) -> outbox: a lane for each caller -> link-out thread -> front
//! front -> link (main thread) -> doors, which handshakes are decided by; commands -> engine
//! ```
//!
//! No caller holds up another: what the front does not take in time is dropped, the oldest first, in that caller's lane.

// The library's unit tests link everything into one program, libavformat and with it another build of libsrt as well; two of them in one
// process end in a crash. So they do without the engine, which `tests/srt_ingest.rs` tests as a process.
#![cfg_attr(test, allow(dead_code, reason = "its user, the engine, is not there in unit tests"))]

#[cfg(any(feature = "srt", test))]
mod address;
#[cfg(any(feature = "srt", test))]
mod buffer;
mod doors;
mod outbox;
#[cfg(not(test))]
mod role;

#[cfg(all(feature = "srt", not(test)))]
mod libsrt;
#[cfg(all(feature = "srt-tokio-engine", not(feature = "srt"), not(test)))]
mod tokio_engine;

#[cfg(not(test))]
pub use role::gateway_role;
