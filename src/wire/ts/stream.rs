//! One followed stream: packets to PES packets to what its reader makes.

use super::elementary::{Elementary, Out};
use super::packet::Packet;
use super::pes::{Header, NoHeader};

/// A header has at most 264 bytes: fixed part and 255 more.
const LONGEST_HEADER: usize = 264;

/// Where in a PES packet the stream is.
#[derive(Debug)]
enum State {
    /// Nothing is known: the next beginning is awaited.
    Idle,
    /// Inside the header.
    Header { bytes: Vec<u8>, random_access: bool },
    /// Inside the payload, of which so many bytes are to come, where that is known.
    Payload(Option<usize>),
}

/// Assembles PES packets.
#[derive(Debug)]
pub(super) struct Stream {
    state: State,
    reader: Elementary,
}

impl Stream {
    pub(super) fn new(reader: Elementary) -> Stream {
        Stream { state: State::Idle, reader }
    }

    /// Takes the payload of the next packet.
    pub(super) fn receive(&mut self, packet: &Packet<'_>, payload: &[u8], out: &mut Out<'_>) {
        if packet.start {
            self.end(out);
            self.header(Vec::new(), payload, packet.random_access, out);
            return;
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {}
            State::Header { bytes, random_access } => self.header(bytes, payload, random_access, out),
            State::Payload(left) => self.payload(left, payload, out),
        }
    }

    /// Packets are missing here.
    pub(super) fn gap(&mut self) {
        self.reader.gap();
        // How much of the packet is missing, or whether another has begun, nobody knows.
        let goes_on = matches!(self.state, State::Payload(_)) && self.reader.resynchronises();
        self.state = if goes_on { State::Payload(None) } else { State::Idle };
    }

    /// The stream is over.
    pub(super) fn finish(&mut self, out: &mut Out<'_>) {
        self.end(out);
        self.reader.finish(out);
    }

    /// Ends the packet in work, because another begins.
    fn end(&mut self, out: &mut Out<'_>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Payload(left) => {
                // Less than its length came: what came is read all the same.
                out.counters.pes += u64::from(left.is_some());
                self.reader.end(out);
            }
            State::Header { .. } => out.counters.pes += 1,
            State::Idle => {}
        }
    }

    fn header(&mut self, mut bytes: Vec<u8>, payload: &[u8], random_access: bool, out: &mut Out<'_>) {
        // Headers in one packet, which is all of them in practice, are read where they lie.
        let parsed = if bytes.is_empty() {
            Header::parse(payload).map(|header| (header, header.size))
        } else {
            let before = bytes.len();
            bytes.extend_from_slice(payload.get(..payload.len().min(LONGEST_HEADER)).unwrap_or_default());
            Header::parse(&bytes).map(|header| (header, header.size.saturating_sub(before)))
        };
        match parsed {
            Ok((header, size)) => {
                self.reader.begin(header.stamp, random_access);
                self.payload(header.payload, payload.get(size..).unwrap_or_default(), out);
            }
            Err(NoHeader::Incomplete) => {
                let bytes = if bytes.is_empty() { payload.to_vec() } else { bytes };
                self.state = State::Header { bytes, random_access };
            }
            Err(NoHeader::Unusable) => out.counters.pes += 1,
        }
    }

    fn payload(&mut self, left: Option<usize>, payload: &[u8], out: &mut Out<'_>) {
        let Some(left) = left else {
            self.reader.bytes(payload, out);
            self.state = State::Payload(None);
            return;
        };
        let (own, beyond) = payload.split_at(payload.len().min(left));
        self.reader.bytes(own, out);
        out.counters.pes += u64::from(!beyond.is_empty());
        if own.len() == left {
            self.reader.end(out);
        } else {
            self.state = State::Payload(Some(left - own.len()));
        }
    }
}
