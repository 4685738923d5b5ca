//! PES packets (ISO/IEC 13818-1 2.4.3.6) cut into transport packets.

/// PES stream id of video.
pub const VIDEO_STREAM: u8 = 0xe0;
/// PES stream id of audio.
pub const AUDIO_STREAM: u8 = 0xc0;

/// Bytes of a transport packet behind its header.
const ROOM: usize = 184;

/// A PES header of at most 19 bytes.
#[derive(Clone, Copy, Debug)]
pub struct PesHeader {
    bytes: [u8; 19],
    length: usize,
}

impl PesHeader {
    /// Of a payload of `payload` bytes (0: unbounded, which only video may be). Times are in 90 kHz, 33 bits.
    pub fn new(stream: u8, pts: u64, dts: u64, payload: usize) -> PesHeader {
        let both = pts != dts;
        let length = if both { 19 } else { 14 };
        let mut bytes = [0; 19];
        // A length that does not fit is 0: unbounded.
        let declared = if payload == 0 { 0 } else { u16::try_from(payload + length - 6).unwrap_or(0) };
        let [high, low] = declared.to_be_bytes();
        let flags = if both { 0xc0 } else { 0x80 };
        bytes[..9].copy_from_slice(&[0, 0, 1, stream, high, low, 0x84, flags, (length - 9) as u8]);
        bytes[9..14].copy_from_slice(&stamped(if both { 3 } else { 2 }, pts));
        if both {
            bytes[14..].copy_from_slice(&stamped(1, dts));
        }
        PesHeader { bytes, length }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Four marker bits and 33 bits of time in groups of 3, 15 and 15, each closed with a one.
fn stamped(marker: u8, time: u64) -> [u8; 5] {
    [
        marker << 4 | (time >> 29 & 0x0e) as u8 | 1,
        (time >> 22) as u8,
        (time >> 14 & 0xfe) as u8 | 1,
        (time >> 7) as u8,
        (time << 1 & 0xfe) as u8 | 1,
    ]
}

/// Slices that are read as one.
#[derive(Debug)]
pub struct Chain<'a> {
    slices: std::vec::IntoIter<&'a [u8]>,
    current: &'a [u8],
    remaining: usize,
}

impl<'a> Chain<'a> {
    /// Of these slices, in this order.
    pub fn new(slices: Vec<&'a [u8]>) -> Chain<'a> {
        let remaining = slices.iter().map(|slice| slice.len()).sum();
        Chain { slices: slices.into_iter(), current: &[], remaining }
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// Appends the next `count` bytes to `out`, fewer at the end.
    fn take(&mut self, out: &mut Vec<u8>, mut count: usize) {
        count = count.min(self.remaining);
        self.remaining -= count;
        while count > 0 {
            if self.current.is_empty() {
                self.current = self.slices.next().unwrap_or_default();
                continue;
            }
            let (now, later) = self.current.split_at(count.min(self.current.len()));
            out.extend_from_slice(now);
            self.current = later;
            count -= now.len();
        }
    }
}

/// What the adaptation field of a packet says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Adaptation {
    /// The clock or the counters break here.
    pub discontinuity: bool,
    /// Decoding can begin here.
    pub random_access: bool,
    /// A clock reference in 27 MHz.
    pub clock: Option<u64>,
}

impl Adaptation {
    /// Bytes that it needs, its length byte included.
    fn length(&self) -> usize {
        match (self.clock, self.discontinuity || self.random_access) {
            (Some(_), _) => 8,
            (None, true) => 2,
            (None, false) => 0,
        }
    }

    /// Writes it, stuffed to `length` bytes, its length byte included.
    fn write(&self, out: &mut Vec<u8>, length: usize) {
        let Some(body) = length.checked_sub(1) else { return };
        let end = out.len() + length;
        out.push(body as u8);
        if body > 0 {
            out.push(u8::from(self.discontinuity) << 7 | u8::from(self.random_access) << 6 | u8::from(self.clock.is_some()) << 4);
        }
        if let Some(clock) = self.clock {
            let (base, extension) = (clock / 300, clock % 300);
            let packed = base << 15 | 0x7e00 | extension;
            let [_, _, bytes @ ..] = packed.to_be_bytes();
            out.extend_from_slice(&bytes);
        }
        out.resize(end, 0xff);
    }
}

/// One transport packet: adaptation field, then as much of `chain` as fits, stuffing in front of it where it ends.
///
/// With nothing left in `chain` the packet has an adaptation field only and does not count.
pub fn transport_packet(out: &mut Vec<u8>, pid: u16, counter: &mut u8, first: bool, adaptation: Adaptation, chain: &mut Chain<'_>) {
    let payload = chain.remaining().min(ROOM - adaptation.length());
    let field = ROOM - payload;
    let [high, low] = pid.to_be_bytes();
    let control = u8::from(field > 0) << 5 | u8::from(payload > 0) << 4;
    out.extend_from_slice(&[0x47, u8::from(first) << 6 | high, low, control | next_count(counter, payload > 0)]);
    adaptation.write(out, field);
    chain.take(out, payload);
}

/// The counter of this packet; packets without payload repeat the one before (ISO/IEC 13818-1 2.4.3.3).
pub fn next_count(counter: &mut u8, payload: bool) -> u8 {
    match payload {
        true => {
            let count = *counter;
            *counter = (count + 1) & 0x0f;
            count
        }
        false => counter.wrapping_sub(1) & 0x0f,
    }
}
