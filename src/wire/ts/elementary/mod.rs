//! Elementary streams out of PES payloads: units with times, and the track that they belong to.
//!
//! Video is cut where its own syntax says, not where a PES packet ends; sound and AV1 come in PES packets that are read whole.

mod framing;
mod nal_picture;
mod nal_stream;
mod private;
mod sound;

use bytes::{Bytes, BytesMut};

use super::counters::Counters;
use super::pes::{Stamp, wrapped};
use super::pmt::Kind;
use crate::base::Ticks;
use crate::media::Track;
use nal_picture::Codec;
use nal_stream::NalStream;
use private::{Av1Stream, OpusStream};
use sound::SoundStream;

/// Bytes of one unit at most; more is damage. Intra pictures of 4K contribution have 2 to 4 MB.
pub(super) const MOST_UNIT_BYTES: usize = 16 << 20;
/// Bytes of one PES packet that is read whole, at most.
const MOST_GATHERED_BYTES: usize = 4 << 20;

/// One picture or sound frame, in the form of [`crate::media::AccessUnit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) dts: Ticks,
    pub(super) offset: Ticks,
    pub(super) entry: bool,
    pub(super) data: Bytes,
}

/// What a stream gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Made {
    /// What the units from here on belong to.
    Track(Track),
    Unit(Unit),
}

/// Where a stream puts what it makes.
#[derive(Debug)]
pub(super) struct Out<'a> {
    pub(super) made: &'a mut Vec<Made>,
    pub(super) counters: &'a mut Counters,
}

/// The times of units that have none of their own, carried on from the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    next: Option<Ticks>,
    offset: Ticks,
}

impl Carried {
    /// The time of a unit, by its stamp or carried on, when it lasts `span`; `None` where none was ever seen.
    fn time(&mut self, stamp: Option<Stamp>, span: Ticks) -> Option<Stamp> {
        let stamp = stamp.or(self.next.map(|dts| Stamp { dts, offset: self.offset }))?;
        self.next = Some(wrapped(stamp.dts + span));
        self.offset = stamp.offset;
        Some(stamp)
    }
}

/// What reads the payloads of one stream.
#[derive(Debug)]
pub(super) struct Elementary {
    reader: Reader,
    gathered: BytesMut,
    stamp: Option<Stamp>,
    /// Payload is taken: a PES packet has begun and nothing of it is missing.
    open: bool,
}

#[derive(Debug)]
enum Reader {
    Nal(Box<NalStream>),
    Av1(Av1Stream),
    Opus(OpusStream),
    Sound(Box<SoundStream>),
}

impl Elementary {
    /// The reader of a kind; `None` for what is not media that is understood.
    pub(super) fn new(kind: &Kind, out: &mut Out<'_>) -> Option<Elementary> {
        let reader = match kind {
            Kind::H264 => Reader::Nal(Box::new(NalStream::new(Codec::H264))),
            Kind::Hevc => Reader::Nal(Box::new(NalStream::new(Codec::Hevc))),
            Kind::Av1 => Reader::Av1(Av1Stream::default()),
            Kind::Opus(config) => Reader::Opus(OpusStream::new(config, out)),
            Kind::Adts | Kind::Latm | Kind::MpegAudio | Kind::Ac3 => Reader::Sound(Box::new(SoundStream::new(kind)?)),
            Kind::Splice | Kind::Other => return None,
        };
        Some(Elementary { reader, gathered: BytesMut::new(), stamp: None, open: false })
    }

    /// A PES packet begins. `random_access`: the sender says that decoding can begin with it.
    pub(super) fn begin(&mut self, stamp: Option<Stamp>, random_access: bool) {
        self.stamp = stamp;
        self.open = true;
        self.gathered.clear();
        if let Reader::Nal(stream) = &mut self.reader {
            stream.begin(stamp, random_access);
        }
    }

    /// The next bytes of the payload.
    pub(super) fn bytes(&mut self, bytes: &[u8], out: &mut Out<'_>) {
        match &mut self.reader {
            Reader::Nal(stream) => stream.bytes(bytes, out),
            _ if !self.open => {}
            _ if self.gathered.len() + bytes.len() > MOST_GATHERED_BYTES => {
                out.counters.oversize += 1;
                self.gap();
            }
            _ => self.gathered.extend_from_slice(bytes),
        }
    }

    /// The PES packet is over.
    pub(super) fn end(&mut self, out: &mut Out<'_>) {
        let whole = std::mem::replace(&mut self.open, false);
        let payload = self.gathered.split().freeze();
        if !whole || payload.is_empty() {
            return;
        }
        match &mut self.reader {
            Reader::Nal(_) => {}
            Reader::Av1(stream) => stream.payload(&payload, self.stamp, out),
            Reader::Opus(stream) => stream.payload(&payload, self.stamp, out),
            Reader::Sound(stream) => stream.payload(payload, self.stamp, out),
        }
    }

    /// Packets are missing here.
    pub(super) fn gap(&mut self) {
        self.open = false;
        self.gathered.clear();
        match &mut self.reader {
            Reader::Nal(stream) => stream.gap(),
            Reader::Sound(stream) => stream.gap(),
            Reader::Av1(_) | Reader::Opus(_) => {}
        }
    }

    /// Whether payload without a beginning is of use: only where the stream's own syntax shows where units begin.
    pub(super) fn resynchronises(&self) -> bool {
        matches!(self.reader, Reader::Nal(_))
    }

    /// The stream is over: what is held comes out.
    pub(super) fn finish(&mut self, out: &mut Out<'_>) {
        self.end(out);
        if let Reader::Nal(stream) = &mut self.reader {
            stream.finish(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_without_end_is_counted_and_let_go() {
        let (mut made, mut counters) = (Vec::new(), Counters::default());
        let mut out = Out { made: &mut made, counters: &mut counters };
        let mut sound = Elementary::new(&Kind::Adts, &mut out).unwrap();
        sound.begin(None, false);
        for _ in 0..MOST_GATHERED_BYTES / 1000 + 2 {
            sound.bytes(&[0; 1000], &mut out);
        }
        sound.end(&mut out);
        assert_eq!((counters, made), (Counters { oversize: 1, ..Counters::default() }, Vec::new()));
        assert!(sound.gathered.is_empty());
    }
}
