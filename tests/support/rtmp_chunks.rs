//! The chunk stream of RTMP 1.0 (section 5.3), written and read without a limit or a check: the tests' side breaks rules on purpose.

use std::collections::HashMap;

/// A whole message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Chunk stream that carried it.
    pub chunk_stream: u32,
    /// Message type.
    pub kind: u8,
    /// Message stream.
    pub stream: u32,
    /// In milliseconds.
    pub time_ms: u32,
    /// The payload.
    pub body: Vec<u8>,
}

/// Basic header of a chunk (section 5.3.1.1).
pub fn basic_header(format: u8, chunk_stream: u32) -> Vec<u8> {
    match chunk_stream {
        2..=63 => vec![format << 6 | chunk_stream as u8],
        64..=319 => vec![format << 6, (chunk_stream - 64) as u8],
        _ => vec![format << 6 | 1, ((chunk_stream - 64) & 0xff) as u8, ((chunk_stream - 64) >> 8) as u8],
    }
}

/// Header of a type 0 chunk that announces `length` bytes.
pub fn full_header(message: &Message, length: u32) -> Vec<u8> {
    let mut bytes = basic_header(0, message.chunk_stream);
    bytes.extend_from_slice(&message.time_ms.min(0xff_ffff).to_be_bytes()[1..]);
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.push(message.kind);
    bytes.extend_from_slice(&message.stream.to_le_bytes());
    if message.time_ms >= 0xff_ffff {
        bytes.extend_from_slice(&message.time_ms.to_be_bytes());
    }
    bytes
}

/// A message as chunks of at most `chunk_size` bytes.
pub fn chunked(message: &Message, chunk_size: usize) -> Vec<u8> {
    let mut bytes = full_header(message, message.body.len() as u32);
    for (number, piece) in message.body.chunks(chunk_size.max(1)).enumerate() {
        if number > 0 {
            bytes.extend(basic_header(3, message.chunk_stream));
            if message.time_ms >= 0xff_ffff {
                bytes.extend_from_slice(&message.time_ms.to_be_bytes());
            }
        }
        bytes.extend_from_slice(piece);
    }
    bytes
}

/// Puts what the server sends back together.
#[derive(Debug)]
pub struct Reader {
    held: Vec<u8>,
    chunk_size: usize,
    streams: HashMap<u32, (Message, usize)>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { held: Vec::new(), chunk_size: 128, streams: HashMap::new() }
    }
}

impl Reader {
    /// Takes bytes and gives the messages that they complete.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.held.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some((used, message)) = self.chunk() {
            self.held.drain(..used);
            if let Some(message) = message {
                if let (1, Some(size)) = (message.kind, message.body.first_chunk::<4>()) {
                    self.chunk_size = u32::from_be_bytes(*size) as usize;
                }
                messages.push(message);
            }
        }
        messages
    }

    /// The next chunk: how long it is, and the message if it completes one.
    fn chunk(&mut self) -> Option<(usize, Option<Message>)> {
        let first = *self.held.first()?;
        let (format, mut at) = (first >> 6, 1);
        let chunk_stream = match first & 0x3f {
            0 => u32::from(*self.held.get(1)?) + 64,
            1 => u32::from(*self.held.get(1)?) + u32::from(*self.held.get(2)?) * 256 + 64,
            small => u32::from(small),
        };
        at += [1, 2].get(usize::from(first & 0x3f)).copied().unwrap_or(0);
        let header = self.held.get(at..at + [11, 7, 3, 0][usize::from(format)])?.to_vec();
        at += header.len();
        let (message, length) = self.streams.entry(chunk_stream).or_default();
        let mut updated = (message.clone(), *length);
        updated.0.chunk_stream = chunk_stream;
        if format < 3 && u32::from_be_bytes([0, header[0], header[1], header[2]]) == 0xff_ffff {
            self.held.get(at..at + 4)?;
            at += 4;
        }
        if format < 2 {
            updated.1 = u32::from_be_bytes([0, header[3], header[4], header[5]]) as usize;
            updated.0.kind = header[6];
        }
        if format == 0 {
            updated.0.stream = u32::from_le_bytes([header[7], header[8], header[9], header[10]]);
        }
        let wanted = updated.1.saturating_sub(updated.0.body.len()).min(self.chunk_size);
        updated.0.body.extend_from_slice(self.held.get(at..at + wanted)?);
        at += wanted;
        let is_whole = updated.0.body.len() >= updated.1;
        let whole = is_whole.then(|| updated.0.clone());
        if is_whole {
            updated.0.body.clear();
        }
        self.streams.insert(chunk_stream, updated);
        Some((at, whole))
    }
}
