//! Sans-IO packagers: committed segments in, changes of a tree of files out.
//!
//! ```text
//! master.m3u8    RUNG/playlist.m3u8    RUNG/iframe.m3u8    RUNG/init-N.mp4    RUNG/NUMBER.m4s    manifest.mpd
//! ts/master.m3u8 ts/RUNG/playlist.m3u8 ts/RUNG/iframe.m3u8 ts/RUNG/NUMBER.ts  ts/audio/NUMBER.aac
//! ```
//!
//! [`Packager`] keeps the window and says what changes; [`cmaf`] and [`ts`] write segments; [`hls`] and [`dash`] write
//! the texts that name them.

mod appearance;
mod bandwidth;
pub mod change;
mod check;
mod cmaf;
mod dash;
mod epoch;
mod error;
mod hls;
mod linger;
mod packager;
mod plan;
pub mod presentation;
pub mod text;
mod ts;
mod window;

#[cfg(test)]
mod tests;

pub use change::{Change, Kind};
pub use error::PackError;
pub use packager::Packager;
pub use presentation::{OutputTrack, Presentation, SegmentSet, Window};
