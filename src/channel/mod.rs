//! One channel's life in the front: its plan, its feeds, its timeline, its worker, what it publishes.
//!
//! [`programme`] (encoded) and [`copy`] (copied) are state machines without IO; [`run`] drives them with sockets and time.

pub mod air;
pub mod clock;
pub mod commit;
pub mod copy;
pub mod copy_cutter;
pub mod directory;
pub mod feed;
pub mod monitor;
pub mod plan;
pub mod programme;
pub mod recorder;
pub mod replay;
pub mod run;
pub mod sequence;
pub mod source;
pub mod status;
pub mod timeline;
pub mod worker_process;
