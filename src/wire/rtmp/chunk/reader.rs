//! Chunks to messages.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::header::{Header, HeaderBytes};
use super::{ChunkError, DEFAULT_CHUNK_BYTES, Message, kind};
use crate::wire::rtmp::Limits;

/// What is reserved for a message at once; beyond it memory grows with what has arrived, never with what was declared.
const FIRST_RESERVE_BYTES: usize = 32 << 10;

/// Puts chunks together into messages. Set Chunk Size and Abort, which are about chunks, are obeyed here and not passed on.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    message_bytes: usize,
    in_flight_limit: usize,
    chunk_bytes: usize,
    header: HeaderBytes,
    current: Option<Chunk>,
    streams: BTreeMap<u32, ChunkStream>,
    in_flight_bytes: usize,
}

/// The chunk whose data is being read.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    chunk_stream: u32,
    left: usize,
}

/// What later headers of a chunk stream refer to, and its unfinished message.
#[derive(Debug, Default)]
struct ChunkStream {
    timestamp_ms: u32,
    delta_ms: u32,
    extended: bool,
    length: usize,
    kind: u8,
    stream_id: u32,
    /// A message has begun and is not whole yet.
    open: bool,
    body: Vec<u8>,
}

impl Reader {
    /// A reader at the start of a chunk stream, with the caps for peers that are not accepted yet.
    pub fn new(limits: Limits) -> Reader {
        Reader {
            limits,
            message_bytes: limits.early_message_bytes,
            in_flight_limit: limits.early_in_flight_bytes,
            chunk_bytes: DEFAULT_CHUNK_BYTES as usize,
            header: HeaderBytes::default(),
            current: None,
            streams: BTreeMap::new(),
            in_flight_bytes: 0,
        }
    }

    /// Raises the caps to those of an accepted publisher.
    pub fn widen(&mut self) {
        self.message_bytes = self.limits.message_bytes;
        self.in_flight_limit = self.limits.in_flight_bytes;
    }

    /// Bytes held for unfinished messages.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Takes bytes off the front of `input` up to the end of the next message; `None` when all are taken and none is whole.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            let chunk = match self.current {
                Some(chunk) => chunk,
                None => {
                    let streams = &self.streams;
                    let extended = |id: u32| streams.get(&id).is_some_and(|stream| stream.extended);
                    let Some(header) = self.header.receive(input, extended) else { return Ok(None) };
                    self.begin(header)?
                }
            };
            let left = self.take_data(chunk, input)?;
            if left > 0 {
                self.current = Some(Chunk { left, ..chunk });
                return Ok(None);
            }
            self.current = None;
            if let Some(message) = self.finish(chunk.chunk_stream) {
                match message.kind {
                    kind::SET_CHUNK_SIZE => self.set_chunk_bytes(&message.payload)?,
                    kind::ABORT => self.abort(&message.payload)?,
                    _ => return Ok(Some(message)),
                }
            }
        }
    }

    /// Applies a header to its chunk stream.
    fn begin(&mut self, header: Header) -> Result<Chunk, ChunkError> {
        let id = header.chunk_stream;
        if !self.streams.contains_key(&id) {
            // librtmp opens the control chunk stream with format 1, so only formats that lack the length are refused.
            if header.message.is_none() {
                return Err(ChunkError::NoHeader { chunk_stream: id, format: header.format });
            }
            if self.streams.len() >= self.limits.chunk_streams {
                return Err(ChunkError::ChunkStreams { limit: self.limits.chunk_streams });
            }
        }
        let stream = self.streams.entry(id).or_default();
        stream.apply(header)?;
        if stream.length > self.message_bytes {
            return Err(ChunkError::MessageLength { chunk_stream: id, length: stream.length, limit: self.message_bytes });
        }
        Ok(Chunk { chunk_stream: id, left: (stream.length - stream.body.len()).min(self.chunk_bytes) })
    }

    /// Moves data of the current chunk to its message; returns how much of the chunk is still to come.
    fn take_data(&mut self, chunk: Chunk, input: &mut &[u8]) -> Result<usize, ChunkError> {
        let Some(stream) = self.streams.get_mut(&chunk.chunk_stream) else { return Ok(0) };
        let (piece, rest) = input.split_at(input.len().min(chunk.left));
        *input = rest;
        let capacity = stream.body.capacity();
        let wanted = stream.body.len() + piece.len();
        if wanted > capacity {
            let larger = wanted.max(2 * capacity).max(FIRST_RESERVE_BYTES).min(stream.length);
            if self.in_flight_bytes + (larger - capacity) > self.in_flight_limit {
                return Err(ChunkError::InFlight { limit: self.in_flight_limit });
            }
            stream.body.reserve_exact(larger - stream.body.len());
            self.in_flight_bytes += stream.body.capacity() - capacity;
        }
        stream.body.extend_from_slice(piece);
        Ok(chunk.left - piece.len())
    }

    /// The chunk stream's message, if it is whole.
    fn finish(&mut self, chunk_stream: u32) -> Option<Message> {
        let stream = self.streams.get_mut(&chunk_stream)?;
        if stream.body.len() < stream.length {
            return None;
        }
        let body = stream.close();
        self.in_flight_bytes -= body.capacity();
        Some(Message {
            chunk_stream,
            kind: stream.kind,
            stream_id: stream.stream_id,
            timestamp_ms: stream.timestamp_ms,
            payload: Bytes::from(body),
        })
    }

    /// Set Chunk Size: 31 bits, the first bit zero, at least one byte (section 5.4.1).
    fn set_chunk_bytes(&mut self, payload: &Bytes) -> Result<(), ChunkError> {
        let size = control_number(kind::SET_CHUNK_SIZE, payload)?;
        if !(1..=self.limits.chunk_bytes.min(0x7fff_ffff)).contains(&size) {
            return Err(ChunkError::ChunkSize { size, limit: self.limits.chunk_bytes });
        }
        self.chunk_bytes = size as usize;
        Ok(())
    }

    /// Abort Message: the unfinished message of a chunk stream is thrown away (section 5.4.2).
    fn abort(&mut self, payload: &Bytes) -> Result<(), ChunkError> {
        let chunk_stream = control_number(kind::ABORT, payload)?;
        if let Some(stream) = self.streams.get_mut(&chunk_stream) {
            self.in_flight_bytes -= stream.close().capacity();
        }
        Ok(())
    }
}

impl ChunkStream {
    /// Takes over what a header says; a message begins unless one is open.
    fn apply(&mut self, header: Header) -> Result<(), ChunkError> {
        if self.open {
            if header.format == 3 {
                return Ok(());
            }
            let missing = self.length - self.body.len();
            return Err(ChunkError::Interrupted { chunk_stream: header.chunk_stream, missing });
        }
        // A format 3 header that begins a message repeats the last delta, and after a format 0 header the delta is that
        // header's timestamp (section 5.3.1.2.4); ffmpeg writes it so.
        self.delta_ms = header.time.unwrap_or(self.delta_ms);
        self.timestamp_ms = if header.format == 0 { self.delta_ms } else { self.timestamp_ms.wrapping_add(self.delta_ms) };
        self.extended = header.extended;
        if let Some((length, kind)) = header.message {
            self.length = length;
            self.kind = kind;
        }
        self.stream_id = header.stream_id.unwrap_or(self.stream_id);
        self.open = true;
        Ok(())
    }

    /// Ends the message and gives its bytes away.
    fn close(&mut self) -> Vec<u8> {
        self.open = false;
        std::mem::take(&mut self.body)
    }
}

/// The 32-bit number that is the whole payload of a control message.
fn control_number(kind: u8, payload: &Bytes) -> Result<u32, ChunkError> {
    let bytes: [u8; 4] = payload.as_ref().try_into().map_err(|_| ChunkError::Control { kind, length: payload.len() })?;
    Ok(u32::from_be_bytes(bytes))
}
