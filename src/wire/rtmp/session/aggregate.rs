//! Aggregate messages (RTMP 1.0, section 7.1.6): FLV tags in one message.
//!
//! ```text
//! tag = type (1) | length (3) | timestamp (3, then its top byte) | stream id (3) | data | back pointer (4)
//! ```

use bytes::{Buf, Bytes};

use crate::wire::rtmp::chunk::Message;

/// The tags of an aggregate that are not handed out yet.
#[derive(Debug)]
pub(super) struct Aggregate {
    timestamp_ms: u32,
    /// Timestamp of the first tag, which stands for the aggregate's own.
    first_ms: Option<u32>,
    rest: Bytes,
}

impl Aggregate {
    pub(super) fn new(timestamp_ms: u32, payload: Bytes) -> Aggregate {
        Aggregate { timestamp_ms, first_ms: None, rest: payload }
    }

    /// The next tag as a message of its own on `stream_id`. A tag that is cut off ends the aggregate.
    pub(super) fn next(&mut self, stream_id: u32) -> Option<Message> {
        let [kind, l2, l1, l0, t2, t1, t0, t3, _, _, _] = *self.rest.first_chunk::<11>()?;
        let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        let payload = self.rest.get(11..11 + length).map(|data| self.rest.slice_ref(data))?;
        self.rest.advance((11 + length + 4).min(self.rest.len()));
        let tag_ms = u32::from_be_bytes([t3, t2, t1, t0]);
        let first_ms = *self.first_ms.get_or_insert(tag_ms);
        let timestamp_ms = self.timestamp_ms.wrapping_add(tag_ms.wrapping_sub(first_ms));
        Some(Message { chunk_stream: 0, kind, stream_id, timestamp_ms, payload })
    }
}
