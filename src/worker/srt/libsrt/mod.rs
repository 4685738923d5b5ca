//! The engine on libsrt. One thread reads every caller; libsrt's own threads receive, order and decrypt.
//!
//! The thread does not wait for packets: it wakes every [`engine::PACE`], takes all there is of every caller in one go and passes
//! it on as one batch. With one wake-up for each packet, most of the time would go into waking up.

mod caller;
mod engine;
mod ffi;
mod gate;
mod library;
mod options;
mod socket;

pub(super) use engine::{name, run, start};
