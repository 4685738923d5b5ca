//! Messages to chunks.

use bytes::{BufMut, BytesMut};

use super::{DEFAULT_CHUNK_BYTES, Message, kind};

/// Cuts messages into chunks: a full header, then format 3. The server sends so little that shorter headers gain nothing.
#[derive(Debug)]
pub struct Writer {
    chunk_bytes: usize,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer { chunk_bytes: DEFAULT_CHUNK_BYTES as usize }
    }
}

impl Writer {
    /// Tells the peer a new chunk size, in bytes, and uses it from then on.
    pub fn set_chunk_bytes(&mut self, chunk_bytes: u32, output: &mut BytesMut) {
        let chunk_bytes = chunk_bytes.clamp(1, 0x7fff_ffff);
        let payload = bytes::Bytes::copy_from_slice(&chunk_bytes.to_be_bytes());
        self.write(&Message { chunk_stream: 2, kind: kind::SET_CHUNK_SIZE, stream_id: 0, timestamp_ms: 0, payload }, output);
        self.chunk_bytes = chunk_bytes as usize;
    }

    /// Appends a message to `output`. Payloads beyond 0xffffff bytes do not exist in RTMP; the rest is left out.
    pub fn write(&self, message: &Message, output: &mut BytesMut) {
        let payload = message.payload.get(..0xff_ffff).unwrap_or(&message.payload);
        let extended = message.timestamp_ms >= 0xff_ffff;
        basic(0, message.chunk_stream, output);
        output.put_uint(u64::from(message.timestamp_ms.min(0xff_ffff)), 3);
        output.put_uint(payload.len() as u64, 3);
        output.put_u8(message.kind);
        output.put_u32_le(message.stream_id);
        if extended {
            output.put_u32(message.timestamp_ms);
        }
        for (n, piece) in payload.chunks(self.chunk_bytes).enumerate() {
            if n > 0 {
                basic(3, message.chunk_stream, output);
                if extended {
                    output.put_u32(message.timestamp_ms);
                }
            }
            output.put_slice(piece);
        }
    }
}

/// A basic header: ids from 64 on take one or two bytes more.
fn basic(format: u8, chunk_stream: u32, output: &mut BytesMut) {
    match chunk_stream {
        0..=63 => output.put_u8(format << 6 | chunk_stream as u8),
        64..=319 => output.put_slice(&[format << 6, (chunk_stream - 64) as u8]),
        _ => {
            let rest = chunk_stream.min(65_599) - 64;
            output.put_slice(&[format << 6 | 1, rest as u8, (rest >> 8) as u8]);
        }
    }
}
