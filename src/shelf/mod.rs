//! The bounded window of finished bytes: packagers write changes, HTTP reads items.
//!
//! ```text
//! packager --Vec<Change>--> Shelf::apply   (hash, gzip, then one short write lock)
//! viewer   --path---------> Shelf::find    (read lock, one Arc clone; bytes are shared, never copied)
//! ```
//!
//! A batch of changes becomes visible at once, so that no playlist is seen before its segments.

mod fingerprint;
mod item;
mod shelves;
mod store;
#[cfg(test)]
mod tests;

pub use item::Item;
pub use shelves::Shelves;
pub use store::{Applied, Full, Shelf};
