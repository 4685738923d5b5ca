//! A slate from a file: a picture, or a clip with its sound, over and over.
//!
//! ```text
//! slate-pictures: demux, decode, conform to the grid, fit --queue--> video thread --says when it shows it--\
//! slate-sound:    demux, decode, resample ----------------queue--> audio thread <-------------------------/
//! ```
//!
//! Both threads read the file by themselves and keep a few pictures and a second or two of sound ready, never more. Neither the video
//! nor the audio thread waits long for them: a slow disk costs the slate, never the channel.

mod clip;
mod clock;
mod pictures;
mod sound;

pub(super) use clock::SlateClock;
pub(super) use pictures::SlatePictures;
pub(super) use sound::SlateSound;

use std::time::Duration;

/// How long a slate that has kept up so far is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
