//! An RTMP publisher that can be told to misbehave.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::flv::Tag;
use super::rtmp_chunks::{Message, Reader, chunked};
use super::wait::{PATIENCE, Stopwatch};

/// What tells a publisher that it is let in. The code alone is also in the answer to FCPublish, which lets nobody in.
pub const PUBLISH_STARTED: &str = "onStatus NetStream.Publish.Start";

/// How a wait for the server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The words occurred in a message.
    Text,
    /// The server closed the connection.
    Closed,
    /// Neither within the limit.
    Nothing,
}

/// A connection to the server.
pub struct Client {
    socket: TcpStream,
    reader: Reader,
    /// Every message received.
    pub received: Vec<Message>,
    /// Largest chunk that is written.
    pub chunk_size: usize,
    closed: bool,
}

impl Client {
    /// Connects and says nothing.
    pub fn dial(server: SocketAddr) -> Client {
        let socket = TcpStream::connect(server).unwrap_or_else(|cause| panic!("rtmp {server}: {cause}"));
        socket.set_write_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        Client { socket, reader: Reader::default(), received: Vec::new(), chunk_size: 128, closed: false }
    }

    /// Connects and shakes hands (section 5.2).
    pub fn shaken(server: SocketAddr) -> Client {
        let mut client = Client::dial(server);
        let mut hello = vec![3];
        hello.extend([0; 8]);
        hello.extend((0..1528u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
        client.send(&hello);
        client.socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        let mut answer = vec![0; 1 + 1536 + 1536];
        client.socket.read_exact(&mut answer).unwrap_or_else(|cause| panic!("no handshake: {cause}"));
        assert_eq!(answer[0], 3, "S0");
        client.send(&answer[1..1537]);
        client
    }

    /// Shakes hands, connects to `live` and publishes with this key; the server has agreed.
    #[track_caller]
    pub fn publishing(server: SocketAddr, key: &str) -> Client {
        let mut client = Client::shaken(server);
        client.connect("live");
        assert_eq!(client.hear("_result", Duration::from_secs(5)), Heard::Text, "connect: {:?}", client.received);
        client.publish(key);
        assert_eq!(client.hear(PUBLISH_STARTED, Duration::from_secs(5)), Heard::Text, "publish: {:?}", client.received);
        client
    }

    /// Writes bytes. A server that has closed is no failure here: the tests look at what it says and does.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = self.socket.write_all(bytes).is_ok();
        self.closed |= !sent;
        sent
    }

    /// Says that nothing more comes, and goes on listening: the end in good order of a stream that is cut off.
    pub fn finish(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }

    /// Ends the connection by a reset (RST), as a machine does that has lost its state.
    pub fn reset(self) {
        // Unread input makes the system answer the close with a reset instead of an end (RFC 2525 section 2.17); a ping is answered.
        let mut client = self;
        client.message(2, 4, 0, 0, &[0, 6, 0, 0, 0, 1]);
        let _ = client.socket.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = client.socket.peek(&mut [0]);
    }

    /// Sends a message in chunks.
    pub fn message(&mut self, chunk_stream: u32, kind: u8, stream: u32, time_ms: u32, body: &[u8]) -> bool {
        let message = Message { chunk_stream, kind, stream, time_ms, body: body.to_vec() };
        let bytes = chunked(&message, self.chunk_size);
        self.send(&bytes)
    }

    /// Announces a chunk size and writes in it from here on.
    pub fn announce_chunk_size(&mut self, size: u32) {
        self.message(2, 1, 0, 0, &size.to_be_bytes());
        self.chunk_size = size.clamp(1, 1 << 24) as usize;
    }

    /// The `connect` command.
    pub fn connect(&mut self, application: &str) {
        let pairs = [("app", text(application)), ("type", text("nonprivate")), ("tcUrl", text(&format!("rtmp://localhost/{application}")))];
        let body = [text("connect"), number(1.0), object(&pairs)].concat();
        self.message(3, 20, 0, 0, &body);
    }

    /// `releaseStream`, `FCPublish`, `createStream`, `publish`, as ffmpeg sends them.
    pub fn publish(&mut self, key: &str) {
        for (transaction, command) in [(2.0, "releaseStream"), (3.0, "FCPublish")] {
            self.message(3, 20, 0, 0, &[text(command), number(transaction), vec![5], text(key)].concat());
        }
        self.message(3, 20, 0, 0, &[text("createStream"), number(4.0), vec![5]].concat());
        self.message(8, 20, 1, 0, &[text("publish"), number(5.0), vec![5], text(key), text("live")].concat());
    }

    /// Sends a tag as its message.
    pub fn tag(&mut self, tag: &Tag) -> bool {
        let chunk_stream = match tag.kind {
            8 => 4,
            9 => 6,
            _ => 5,
        };
        self.message(chunk_stream, tag.kind, 1, tag.time_ms, &tag.body)
    }

    /// Sends tags at the pace of their times, or of `pace_ms` a tag where the times are no guide. Stops when the server closes.
    pub fn tags_in_real_time(&mut self, tags: &[Tag], pace_ms: Option<u64>) -> bool {
        let start = Stopwatch::start();
        let first_ms = tags.first().map_or(0, |tag| tag.time_ms);
        for (number, tag) in tags.iter().enumerate() {
            let due_ms = pace_ms.map_or(u64::from(tag.time_ms.saturating_sub(first_ms)), |pace| pace * number as u64);
            while start.seconds() * 1000.0 < due_ms as f64 {
                self.listen(Duration::from_millis(5));
            }
            if self.closed || !self.tag(tag) {
                return false;
            }
        }
        true
    }

    /// Listens until one message holds every word of `wanted`, the server closes, or `limit` has passed, patiently.
    pub fn hear(&mut self, wanted: &str, limit: Duration) -> Heard {
        let (start, limit) = (Stopwatch::start(), limit * PATIENCE);
        let mut looked_at = 0;
        loop {
            while let Some(message) = self.received.get(looked_at) {
                looked_at += 1;
                let body = String::from_utf8_lossy(&message.body);
                if wanted.split(' ').all(|word| body.contains(word)) {
                    return Heard::Text;
                }
            }
            if self.closed {
                return Heard::Closed;
            }
            if start.is_past(limit) {
                return Heard::Nothing;
            }
            self.listen(Duration::from_millis(50));
        }
    }

    /// Whether the server closes within `limit`.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let start = Stopwatch::start();
        while !self.closed && !start.is_past(limit) {
            self.listen(Duration::from_millis(50));
        }
        self.closed
    }

    fn listen(&mut self, limit: Duration) {
        if self.closed {
            return;
        }
        self.socket.set_read_timeout(Some(limit)).expect("a time limit");
        let mut bytes = [0; 8192];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.closed = true,
            Ok(length) => self.received.extend(self.reader.take(&bytes[..length])),
            Err(cause) if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.closed = true,
        }
    }
}

/// AMF0 string.
pub fn text(value: &str) -> Vec<u8> {
    [&[2][..], &(value.len() as u16).to_be_bytes(), value.as_bytes()].concat()
}

/// AMF0 number.
pub fn number(value: f64) -> Vec<u8> {
    [&[0][..], &value.to_be_bytes()].concat()
}

/// AMF0 object.
pub fn object(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![3];
    for (name, value) in pairs {
        bytes.extend_from_slice(&(name.len() as u16).to_be_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value);
    }
    bytes.extend_from_slice(&[0, 0, 9]);
    bytes
}

/// The head of an AMF0 object that holds an object that holds an object ..., `depth` deep and never closed.
pub fn nested_objects(depth: usize) -> Vec<u8> {
    [3, 0, 1, b'a'].repeat(depth)
}
