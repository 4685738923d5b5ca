//! The packagers against readers of our own that share no code with them.

mod boxes;
mod cmaf;
mod dash;
pub mod fixtures;
mod golden;
mod life;
mod playlists;
mod property;
mod refusals;
mod rules;
mod transport;
mod ts;
