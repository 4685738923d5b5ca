//! What runs in a child process, `headend-worker`: the codec engine and the file demuxer, each at the end of a link.
//!
//! ```text
//! codec role
//!   link (reads, checks) -> video: decode, conform to the grid, fill, scale -> one rung thread each: encode -\
//!                       \-> audio: decode, resample, place on the sample line, encode ------------------------> link-out
//! file role
//!   demux -> link-out
//! ```
//!
//! Every arrow is a bounded queue; a full one holds up what is before it. The worker never looks at a clock to decide
//! anything: time comes over the link.

pub mod calibrate;
mod captions;
pub mod codec_role;
pub mod conform;
pub mod devices;
pub mod file_role;
pub mod load;
pub mod paint;
pub mod probe;
pub mod sample_line;
pub mod sandbox;
#[cfg(feature = "srt-gateway")]
pub mod srt;
pub mod tone;

mod audio;
mod budget;
mod check;
pub(crate) mod easing;
mod error;
mod file_order;
mod file_track;
mod link_in;
mod link_out;
mod meters;
mod orphan;
pub(crate) mod overload;
mod place;
mod rung;
mod slate;
mod source_decoder;
mod thumbnails;
mod video;
mod watch;

pub use calibrate::{calibrate, calibrate_gpu};
pub use codec_role::codec_role;
pub use devices::devices;
pub use error::RoleError;
pub use file_role::file_role;
pub use load::load;
pub use orphan::{be_the_first_to_go, die_with_parent, use_small_pages};
pub use probe::probe;
