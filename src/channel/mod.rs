//! One channel's life in the front: its plan, its feeds, its timeline, its worker, what it publishes.
//!
//! [`programme`] (encoded) and [`copy`] (copied) are state machines without IO; [`run`] drives them with sockets and time.

pub mod air;
pub mod change;
pub mod clock;
pub mod commit;
pub mod copy;
pub mod copy_cutter;
pub mod device_watch;
pub mod directory;
pub mod drift;
pub mod failover;
pub mod feed;
pub mod feeds;
mod gauges;
pub mod handover;
pub mod load_watch;
pub mod monitor;
pub mod plan;
pub mod programme;
pub mod pull;
pub mod quarantine;
pub mod receivers;
pub mod recorder;
pub mod replay;
pub mod resident;
pub mod run;
pub mod seats;
pub mod sequence;
pub mod source;
pub mod spare;
pub mod status;
pub mod supervisor;
pub mod timeline;
pub mod worker_cores;
pub mod worker_process;
