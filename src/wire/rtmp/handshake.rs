//! The handshake, by `rml_rtmp`, fed exactly the bytes that belong to it.
//!
//! `rml_rtmp` keeps what it is given and returns what is left over as a copy; given no more than C0, C1 and C2 it holds at
//! most 3 KiB and there is never a left-over. Its own errors reach here for a wrong version only; every index it computes
//! from the peer's bytes lies inside the packet (at most 12 + 727 + 32 and 776 + 727 + 32 of 1536).

use std::fmt;

use bytes::{BufMut, BytesMut};
use rml_rtmp::handshake::{Handshake as Inner, HandshakeProcessResult, PeerType};

use crate::base::Fault;

/// Bytes of C0, C1 and C2.
const CLIENT_BYTES: usize = 1 + 2 * 1536;

/// The version of plain RTMP.
const VERSION: u8 = 3;

/// The peer does not speak RTMP, or an encrypted form of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// C0 names another version.
    #[error("no RTMP handshake: first byte is {byte:#04x}{hint}", hint = hint(*.byte))]
    Version {
        /// The first byte.
        byte: u8,
    },
    /// C1 or C2 was refused.
    #[error("RTMP handshake failed: {0}")]
    Packet(String),
}

impl HandshakeError {
    /// The class.
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// What a wrong first byte usually means.
fn hint(byte: u8) -> &'static str {
    match byte {
        0x06 | 0x08 => " (RTMPE; publish with rtmp:// instead)",
        0x16 => " (TLS; publish with rtmp:// instead of rtmps://)",
        b'G' | b'P' | b'H' => " (HTTP; this is the RTMP port)",
        _ => "",
    }
}

/// The server's side of one handshake.
pub struct Handshake {
    inner: Inner,
    taken: usize,
}

impl Default for Handshake {
    fn default() -> Handshake {
        Handshake { inner: Inner::new(PeerType::Server), taken: 0 }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Handshake {
    /// Takes what belongs to the handshake off the front of `input` and appends what is to be sent to `output`.
    /// Returns whether the handshake is complete.
    pub fn receive(&mut self, input: &mut &[u8], output: &mut BytesMut) -> Result<bool, HandshakeError> {
        let Some(&first) = input.first() else { return Ok(false) };
        if self.taken == 0 && first != VERSION {
            return Err(HandshakeError::Version { byte: first });
        }
        let (mine, rest) = input.split_at(input.len().min(CLIENT_BYTES - self.taken));
        *input = rest;
        self.taken += mine.len();
        match self.inner.process_bytes(mine).map_err(|cause| HandshakeError::Packet(cause.to_string()))? {
            HandshakeProcessResult::InProgress { response_bytes } => {
                output.put_slice(&response_bytes);
                Ok(false)
            }
            HandshakeProcessResult::Completed { response_bytes, .. } => {
                output.put_slice(&response_bytes);
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tls_hello_is_refused_with_a_hint() {
        let error = Handshake::default().receive(&mut &[0x16u8, 3, 1][..], &mut BytesMut::new()).unwrap_err();
        assert!(error.to_string().contains("rtmps://"), "{error}");
    }

    #[test]
    fn bytes_after_the_handshake_are_left_to_the_chunk_reader() {
        let mut sent = vec![3u8];
        sent.resize(CLIENT_BYTES + 5, 7);
        let mut input = &sent[..];
        let mut output = BytesMut::new();
        assert!(Handshake::default().receive(&mut input, &mut output).unwrap());
        assert_eq!(input.len(), 5);
        assert_eq!(output.len(), 1 + 2 * 1536);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn noise_cut_anywhere_never_panics_and_completes_after_c2(noise in prop::collection::vec(any::<u8>(), CLIENT_BYTES..CLIENT_BYTES + 50), piece in 1usize..2000) {
            let mut sent = noise;
            sent[0] = VERSION;
            let mut handshake = Handshake::default();
            let mut output = BytesMut::new();
            let mut complete = false;
            let mut taken = 0;
            for piece in sent.chunks(piece) {
                let mut input = piece;
                if !complete {
                    complete = handshake.receive(&mut input, &mut output).unwrap();
                    taken += piece.len() - input.len();
                }
            }
            prop_assert!(complete);
            prop_assert_eq!(taken, CLIENT_BYTES);
        }
    }
}
