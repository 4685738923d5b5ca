//! Framing: messages to bytes, and a byte stream cut anywhere back to messages.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest frame that is accepted, in bytes: an intra picture of 4:2:2 2160p fits with room to spare.
pub const MAX_FRAME_BYTES: usize = 32 << 20;

/// The other end sent what no build of headend sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length beyond [`MAX_FRAME_BYTES`] or shorter than its own header.
    #[error("link frame of {0} bytes is outside 2..={MAX_FRAME_BYTES}")]
    Length(usize),
    /// The header length points past the frame.
    #[error("link header of {header} bytes in a frame of {frame}")]
    Header {
        /// Claimed length of the header in bytes.
        header: usize,
        /// Length of the frame in bytes.
        frame: usize,
    },
    /// The header is no message.
    #[error("link message does not parse: {0}")]
    Message(String),
}

/// One message and its payload as a frame.
pub fn framed<M: Serialize>(message: &M, payload: &[u8]) -> Result<Bytes, FrameError> {
    let header = postcard::to_stdvec(message).map_err(|cause| FrameError::Message(cause.to_string()))?;
    let length = 2 + header.len() + payload.len();
    if length > MAX_FRAME_BYTES || header.len() > usize::from(u16::MAX) {
        return Err(FrameError::Length(length));
    }
    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_u32_le(length as u32);
    frame.put_u16_le(header.len() as u16);
    frame.put_slice(&header);
    frame.put_slice(payload);
    Ok(frame.freeze())
}

/// Puts a byte stream back together into messages.
#[derive(Debug, Default)]
pub struct Deframer {
    held: BytesMut,
}

impl Deframer {
    /// The buffer to read the socket into; what is appended to it is taken as received.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.held
    }

    /// The next whole message with its payload, if one has arrived. After an error the link is unusable.
    pub fn message<M: DeserializeOwned>(&mut self) -> Result<Option<(M, Bytes)>, FrameError> {
        let Some(prefix) = self.held.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*prefix) as usize;
        if !(2..=MAX_FRAME_BYTES).contains(&length) {
            return Err(FrameError::Length(length));
        }
        if self.held.len() < 4 + length {
            self.held.reserve(4 + length - self.held.len());
            return Ok(None);
        }
        let frame = self.held.get(4..4 + length).unwrap_or_default();
        let Some((prefix, rest)) = frame.split_first_chunk::<2>() else { return Err(FrameError::Length(length)) };
        let header_length = usize::from(u16::from_le_bytes(*prefix));
        let Some((header, payload)) = rest.split_at_checked(header_length) else {
            return Err(FrameError::Header { header: header_length, frame: length });
        };
        let message = postcard::from_bytes(header).map_err(|cause| FrameError::Message(cause.to_string()))?;
        // A slice would keep the whole read buffer alive for as long as one small packet waits for its segment.
        let payload = Bytes::copy_from_slice(payload);
        self.held.advance(4 + length);
        Ok(Some((message, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MediaTime;
    use crate::wire::link::ToWorker;
    use proptest::prelude::*;

    #[test]
    fn a_frame_that_claims_gigabytes_is_refused_before_it_is_awaited() {
        let mut deframer = Deframer::default();
        deframer.buffer().put_u32_le(u32::MAX);
        assert_eq!(deframer.message::<ToWorker>(), Err(FrameError::Length(u32::MAX as usize)));
    }

    #[test]
    fn a_header_longer_than_its_frame_is_refused() {
        let mut deframer = Deframer::default();
        deframer.buffer().put_slice(&[3, 0, 0, 0, 9, 0, 1]);
        assert_eq!(deframer.message::<ToWorker>(), Err(FrameError::Header { header: 9, frame: 3 }));
    }

    proptest! {
        #[test]
        fn messages_survive_a_stream_cut_anywhere(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8), piece in 1usize..50) {
            let sent: Vec<(ToWorker, Bytes)> = payloads.into_iter().enumerate()
                .map(|(n, payload)| (ToWorker::Au { track: n as u8, pts: MediaTime(n as i64), dts: MediaTime(0), entry: true }, Bytes::from(payload)))
                .collect();
            let stream: Vec<u8> = sent.iter().flat_map(|(message, payload)| framed(message, payload).unwrap()).collect();
            let mut deframer = Deframer::default();
            let mut received = Vec::new();
            for piece in stream.chunks(piece) {
                deframer.buffer().extend_from_slice(piece);
                while let Some(message) = deframer.message::<ToWorker>().unwrap() {
                    received.push(message);
                }
            }
            prop_assert_eq!(received, sent);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut deframer = Deframer::default();
            deframer.buffer().extend_from_slice(&noise);
            while let Ok(Some(_)) = deframer.message::<ToWorker>() {}
        }
    }
}
