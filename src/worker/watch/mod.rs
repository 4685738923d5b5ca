//! What the input looks and sounds like: frozen, black, silent. It watches what is decoded, never what is shown instead of it.

mod condition;
mod picture;
mod sight;
mod sound;

pub(super) use picture::PictureWatch;
pub(super) use sight::Sight;
pub(super) use sound::SoundWatch;
