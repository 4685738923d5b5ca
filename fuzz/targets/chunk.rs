//! Chunk streams: however the bytes are cut, the same messages come out, what is held stays within the caps, and what
//! was read can be written and read again.

use bytes::BytesMut;
use headend::wire::rtmp::Limits;
use headend::wire::rtmp::chunk::{ChunkError, Message, Reader, Writer};

/// Caps that a short input can reach.
fn narrow() -> Limits {
    Limits { chunk_streams: 8, early_message_bytes: 1 << 10, early_in_flight_bytes: 2 << 10, ..Limits::default() }
}

/// The first byte says how the rest is cut. Gives the number of messages.
pub fn run(data: &[u8]) -> usize {
    let Some((&cut, stream)) = data.split_first() else { return 0 };
    let whole = read(stream, stream.len().max(1));
    assert_eq!(whole, read(stream, usize::from(cut) + 1), "cutting changes what is read");
    let (messages, _) = whole;
    let mut written = BytesMut::new();
    messages.iter().for_each(|message| Writer::default().write(message, &mut written));
    // chunk sizes that were read apply to this reader, too: what follows such a message is cut otherwise
    let is_plain = messages.iter().all(|message| message.kind > 6);
    if is_plain {
        let (again, error) = read(&written, written.len().max(1));
        assert_eq!((again.as_slice(), error), (messages.as_slice(), None), "what was written reads otherwise");
    }
    messages.len()
}

fn read(stream: &[u8], piece: usize) -> (Vec<Message>, Option<ChunkError>) {
    let limits = narrow();
    let mut reader = Reader::new(limits);
    let mut messages = Vec::new();
    for piece in stream.chunks(piece) {
        let mut rest = piece;
        loop {
            let outcome = reader.receive(&mut rest);
            assert!(reader.in_flight_bytes() <= limits.early_in_flight_bytes, "{} bytes are held", reader.in_flight_bytes());
            match outcome {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(rest.is_empty(), "bytes were left although nothing was whole");
    }
    (messages, None)
}
