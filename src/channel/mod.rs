//! One channel's life in the front: its plan, its feeds, its timeline, its worker, what it publishes.

pub mod commit;
pub mod feed;
pub mod plan;
pub mod replay;
pub mod status;
pub mod timeline;
