//! What SRT peers say in a handshake beside the transport itself: stream ids and reasons to reject.

pub mod reject;
pub mod stream_id;

pub use reject::Reject;
pub use stream_id::{Mode, StreamId, StreamIdError};
