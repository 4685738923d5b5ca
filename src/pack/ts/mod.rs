//! MPEG transport streams (ISO/IEC 13818-1) and packed AAC, cut into segments for HLS.
//!
//! ```text
//! PAT PMT | IDR ... | audio | picture ... | PAT PMT | picture ...      every file begins so; counters run on
//! ID3(timestamp) ADTS ADTS ...                                         packed AAC
//! ```
//!
//! Every time is shifted by [`OFFSET`], so that no timestamp of a file that begins at zero is negative.

mod elementary;
mod mux;
mod packed;
mod pes;
mod psi;

pub use elementary::VideoStream;
pub use mux::Mux;
pub use packed::PackedAac;

use crate::base::{MediaTime, Ticks};

/// Added to every presentation and decode time.
const OFFSET: Ticks = Ticks::from_millis(10_000);
/// How far the clock reference runs behind the decode time of the picture that carries it.
const DELAY: Ticks = Ticks::from_millis(500);
/// Units of a second of presentation and decode times.
const TIMESTAMP_SCALE: u32 = 90_000;
/// Units of a second of clock references.
const CLOCK_SCALE: u32 = 27_000_000;

/// A timestamp of 33 bits in 90 kHz.
fn timestamp(time: MediaTime) -> u64 {
    (time + OFFSET).in_scale(TIMESTAMP_SCALE).rem_euclid(1 << 33) as u64
}

/// A clock reference of 33 bits in 90 kHz and a remainder in 27 MHz, as one number in 27 MHz.
fn clock(time: MediaTime) -> u64 {
    (time + OFFSET - DELAY).in_scale(CLOCK_SCALE).rem_euclid((1 << 33) * 300) as u64
}
