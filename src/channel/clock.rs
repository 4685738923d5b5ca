//! A programme's clock: civil time when the channel started, carried on by the monotonic clock.
//!
//! A step of the system's clock therefore never reaches the programme.

use crate::base::{MediaTime, Mono, Ticks, WallTime};

/// Turns instants of the monotonic clock into instants of the programme.
#[derive(Clone, Copy, Debug)]
pub struct ProgrammeClock {
    mono: Mono,
    media: MediaTime,
}

impl ProgrammeClock {
    /// The programme's clock reads `wall` when the monotonic clock reads `mono`.
    pub fn starting(mono: Mono, wall: WallTime) -> ProgrammeClock {
        ProgrammeClock { mono, media: wall.as_media() }
    }

    /// What the programme's clock reads at `mono`.
    pub fn at(&self, mono: Mono) -> MediaTime {
        self.media + Ticks::from(mono.since(self.mono))
    }
}
