//! Sans-IO packagers: committed segments in, changes of a tree of files out.

pub mod change;
pub mod presentation;

pub use change::{Change, Kind};
pub use presentation::{OutputTrack, Presentation, SegmentSet, Window};
