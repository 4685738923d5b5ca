//! The reading end of the link, blocking.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;

use bytes::Bytes;

use crate::wire::link::{Deframer, ToWorker};

use super::check::check;
use super::error::RoleError;

/// Reads messages and checks each by itself.
#[derive(Debug)]
pub(super) struct LinkReader {
    socket: UnixStream,
    deframer: Deframer,
    piece: Vec<u8>,
}

impl LinkReader {
    pub(super) fn new(socket: UnixStream) -> LinkReader {
        LinkReader { socket, deframer: Deframer::default(), piece: vec![0; 64 << 10] }
    }

    /// The next message with its payload; `None` when the front has closed the link.
    pub(super) fn next(&mut self) -> Result<Option<(ToWorker, Bytes)>, RoleError> {
        loop {
            if let Some((message, payload)) = self.deframer.message::<ToWorker>()? {
                check(&message)?;
                return Ok(Some((message, payload)));
            }
            match self.socket.read(&mut self.piece) {
                Ok(0) => return Ok(None),
                Ok(read) => self.deframer.buffer().extend_from_slice(self.piece.get(..read).unwrap_or_default()),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) if cause.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(cause) => return Err(cause.into()),
            }
        }
    }
}
