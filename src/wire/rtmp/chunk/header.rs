//! Chunk headers, read byte by byte from a stream that may be cut anywhere.

/// Marks that the timestamp is in the four bytes after the header.
const EXTENDED: u32 = 0xff_ffff;

/// Longest header: basic 3, message 11, extended timestamp 4.
const LONGEST: usize = 18;

/// A header as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// 0 to 3, how much of the message header is there.
    pub(super) format: u8,
    pub(super) chunk_stream: u32,
    /// Timestamp or delta, extended where it says so; `None` when the header has neither field.
    pub(super) time: Option<u32>,
    /// Whether an extended timestamp was there.
    pub(super) extended: bool,
    /// Length and type, in formats 0 and 1.
    pub(super) message: Option<(usize, u8)>,
    /// Message stream, in format 0.
    pub(super) stream_id: Option<u32>,
}

/// The bytes of one header that have come so far.
#[derive(Debug, Default)]
pub(super) struct HeaderBytes {
    bytes: [u8; LONGEST],
    held: usize,
}

impl HeaderBytes {
    /// Takes bytes off the front of `input` until a header is whole. `extended` tells whether the last header of a chunk
    /// stream had an extended timestamp: a format 3 header then has one too (section 5.3.1.3).
    pub(super) fn receive(&mut self, input: &mut &[u8], extended: impl Fn(u32) -> bool) -> Option<Header> {
        loop {
            let needed = self.needed(&extended);
            if self.held >= needed {
                break;
            }
            let (piece, rest) = input.split_at(input.len().min(needed - self.held));
            if piece.is_empty() {
                return None;
            }
            self.bytes.get_mut(self.held..self.held + piece.len())?.copy_from_slice(piece);
            self.held += piece.len();
            *input = rest;
        }
        let header = self.parse(&extended);
        self.held = 0;
        Some(header)
    }

    /// How long the header is, as far as its first bytes tell.
    fn needed(&self, extended: &impl Fn(u32) -> bool) -> usize {
        if self.held == 0 {
            return 1;
        }
        let basic = self.basic();
        if self.held < basic {
            return basic;
        }
        let fixed = basic + self.message_header();
        if self.held < fixed {
            return fixed;
        }
        if self.has_extended(extended) { fixed + 4 } else { fixed }
    }

    fn format(&self) -> u8 {
        self.bytes[0] >> 6
    }

    /// Length of the basic header.
    fn basic(&self) -> usize {
        match self.bytes[0] & 0x3f {
            0 => 2,
            1 => 3,
            _ => 1,
        }
    }

    /// Length of the message header.
    fn message_header(&self) -> usize {
        match self.format() {
            0 => 11,
            1 => 7,
            2 => 3,
            _ => 0,
        }
    }

    fn chunk_stream(&self) -> u32 {
        let [first, second, third, ..] = self.bytes;
        match first & 0x3f {
            0 => 64 + u32::from(second),
            1 => 64 + u32::from(second) + 256 * u32::from(third),
            id => u32::from(id),
        }
    }

    fn has_extended(&self, extended: &impl Fn(u32) -> bool) -> bool {
        if self.format() == 3 { extended(self.chunk_stream()) } else { self.number(self.basic(), 3) == EXTENDED }
    }

    /// `length` bytes from `at`, big endian.
    fn number(&self, at: usize, length: usize) -> u32 {
        self.bytes.iter().skip(at).take(length).fold(0, |number, &byte| number << 8 | u32::from(byte))
    }

    fn parse(&self, extended: &impl Fn(u32) -> bool) -> Header {
        let (format, at) = (self.format(), self.basic());
        let has_extended = self.has_extended(extended);
        let time = match (has_extended, format) {
            (true, _) => Some(self.number(at + self.message_header(), 4)),
            (false, 3) => None,
            (false, _) => Some(self.number(at, 3)),
        };
        Header {
            format,
            chunk_stream: self.chunk_stream(),
            time,
            extended: has_extended,
            message: (format <= 1).then(|| (self.number(at + 3, 3) as usize, self.number(at + 6, 1) as u8)),
            stream_id: (format == 0).then(|| self.number(at + 7, 4).swap_bytes()),
        }
    }
}
