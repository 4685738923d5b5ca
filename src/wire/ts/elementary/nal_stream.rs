//! Annex B byte streams, in pieces, to access units with lengths: one copy, from packet to unit.

use bytes::Bytes;

use super::nal_picture::{Codec, Role};
use super::{Carried, MOST_UNIT_BYTES, Made, Out, Unit};
use crate::base::{Rate, Ticks};
use crate::media::{Track, VideoTrack};
use crate::wire::ts::pes::{Stamp, span};

/// Bytes of a length.
const LENGTH: usize = 4;
/// Room for a unit of which nothing is known.
const FIRST_ROOM: usize = 16 << 10;
/// A longer step between pictures says nothing of the rate.
const LONGEST_STEP: Ticks = Ticks::from_millis(1000);

/// The access unit in work.
#[derive(Clone, Copy, Debug, Default)]
struct Picture {
    begun: bool,
    stamp: Option<Stamp>,
    random_access: bool,
    has_slice: bool,
    has_sequence: bool,
}

/// One video stream.
#[derive(Debug)]
pub(super) struct NalStream {
    codec: Codec,
    /// The access unit in work, lengths before its NAL units; the length of the open one is still zero.
    buffer: Vec<u8>,
    /// Where the length of the NAL unit in work stands.
    open: Option<usize>,
    role: Option<Role>,
    /// Zeros that came last, up to two: a start code may lie over two packets.
    zeros: usize,
    picture: Picture,
    /// Of the PES packet in work, until a picture begins in it.
    stamp: Option<Stamp>,
    random_access: bool,
    carried: Carried,
    last_dts: Option<Ticks>,
    step: Ticks,
    track: Option<VideoTrack>,
    has_fields: bool,
    /// A unit was too long: nothing is taken until the next PES packet.
    skipping: bool,
}

impl NalStream {
    pub(super) fn new(codec: Codec) -> NalStream {
        NalStream {
            codec,
            buffer: Vec::new(),
            open: None,
            role: None,
            zeros: 0,
            picture: Picture::default(),
            stamp: None,
            random_access: false,
            carried: Carried::default(),
            last_dts: None,
            step: Rate::new(25, 1).period(),
            track: None,
            has_fields: false,
            skipping: false,
        }
    }

    /// A PES packet begins; its times are those of the first picture that begins in it.
    pub(super) fn begin(&mut self, stamp: Option<Stamp>, random_access: bool) {
        self.stamp = stamp;
        self.random_access = random_access;
        self.skipping = false;
    }

    /// The next bytes of the stream.
    pub(super) fn bytes(&mut self, mut bytes: &[u8], out: &mut Out<'_>) {
        if self.skipping {
            return;
        }
        while let Some(end) = start_code_end(self.zeros, bytes) {
            let (before, after) = bytes.split_at(end);
            self.append(before.get(..end - 1).unwrap_or_default());
            self.close(out);
            self.open = Some(self.buffer.len());
            self.buffer.extend_from_slice(&[0; LENGTH]);
            self.zeros = 0;
            bytes = after;
        }
        self.append(bytes);
        let zeros = bytes.iter().rev().take(2).take_while(|&&byte| byte == 0).count();
        self.zeros = if zeros == bytes.len() { (self.zeros + zeros).min(2) } else { zeros };
        self.read_role(false, out);
        if self.buffer.len() > MOST_UNIT_BYTES {
            out.counters.oversize += 1;
            self.drop_unit();
            self.skipping = true;
        }
    }

    /// Packets are missing: a slice ends here, as far as it came, and whatever else was in work is lost.
    pub(super) fn gap(&mut self) {
        self.zeros = 0;
        let Some(at) = self.open.take() else { return };
        if self.role.take().is_some_and(|role| role.slice) {
            self.write_length(at);
        } else {
            self.buffer.truncate(at);
        }
    }

    /// The stream is over.
    pub(super) fn finish(&mut self, out: &mut Out<'_>) {
        self.close(out);
        let data = std::mem::take(&mut self.buffer);
        self.unit(data, out);
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.open.is_some() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn drop_unit(&mut self) {
        self.buffer = Vec::new();
        (self.open, self.role, self.zeros) = (None, None, 0);
        self.picture = Picture::default();
    }

    /// Ends the NAL unit in work.
    fn close(&mut self, out: &mut Out<'_>) {
        self.read_role(true, out);
        let role = self.role.take().unwrap_or_default();
        let Some(at) = self.open.take() else { return };
        // The zeros before a start code belong to no unit (H.264 annex B.1).
        let body = self.buffer.get(at + LENGTH..).unwrap_or_default();
        let size = body.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if size == 0 || role.idle {
            self.buffer.truncate(at);
        } else {
            self.buffer.truncate(at + LENGTH + size);
            self.write_length(at);
            if role.sequence {
                self.has_fields = self.codec.has_fields(self.buffer.get(at + LENGTH..).unwrap_or_default());
            }
        }
    }

    fn write_length(&mut self, at: usize) {
        let size = self.buffer.len().saturating_sub(at + LENGTH) as u32;
        if let Some(length) = self.buffer.get_mut(at..at + LENGTH) {
            length.copy_from_slice(&size.to_be_bytes());
        }
    }

    /// Learns what the NAL unit in work is, once enough of it is there, and ends the access unit before it.
    fn read_role(&mut self, whole: bool, out: &mut Out<'_>) {
        let Some(at) = self.open.filter(|_| self.role.is_none()) else { return };
        let body = self.buffer.get(at + LENGTH..).unwrap_or_default();
        if body.len() < self.codec.role_bytes() && !whole || body.is_empty() {
            return;
        }
        let role = self.codec.role(body);
        // The second field of a frame has no time of its own and nothing between it and the first.
        let second_field = role.first_slice && self.has_fields && self.stamp.is_none();
        if self.picture.has_slice && role.begins && !second_field {
            self.cut(at, out);
        }
        self.role = Some(role);
        self.enter(role);
    }

    /// Ends the access unit before the NAL unit at `at`.
    fn cut(&mut self, at: usize, out: &mut Out<'_>) {
        let begun = self.buffer.get(at..).unwrap_or_default();
        let mut next = Vec::with_capacity(at.clamp(FIRST_ROOM, MOST_UNIT_BYTES).max(begun.len()));
        next.extend_from_slice(begun);
        let mut data = std::mem::replace(&mut self.buffer, next);
        data.truncate(at);
        self.open = Some(0);
        self.unit(data, out);
    }

    /// The NAL unit in work belongs to the access unit in work.
    fn enter(&mut self, role: Role) {
        let picture = &mut self.picture;
        // Of two packets with times the one with the slices counts: the other had parameter sets only.
        if !picture.begun || role.slice && !picture.has_slice {
            picture.begun = true;
            picture.stamp = self.stamp.take().or(picture.stamp);
            picture.random_access |= std::mem::take(&mut self.random_access);
        }
        picture.has_slice |= role.slice;
        picture.has_sequence |= role.sequence;
    }

    /// An access unit is complete.
    fn unit(&mut self, data: Vec<u8>, out: &mut Out<'_>) {
        let picture = std::mem::take(&mut self.picture);
        if data.is_empty() || !picture.has_slice {
            return;
        }
        // A unit much shorter than the room that its predecessor needed would keep that room for as long as it is held.
        let data = if data.capacity() > 2 * data.len() { Bytes::copy_from_slice(&data) } else { Bytes::from(data) };
        let entry = self.codec.is_entry(&data, picture.random_access);
        if entry && picture.has_sequence {
            self.configure(&data, out);
        }
        let Some(Stamp { dts, offset }) = self.time(picture.stamp) else {
            out.counters.frame += 1;
            return;
        };
        if self.track.is_some() {
            out.made.push(Made::Unit(Unit { dts, offset, entry, data }));
        }
    }

    fn configure(&mut self, data: &[u8], out: &mut Out<'_>) {
        let Some(track) = self.codec.track(data) else {
            out.counters.frame += 1;
            return;
        };
        if self.track.as_ref() != Some(&track) {
            self.step = track.rate.map_or(self.step, Rate::period);
            out.made.push(Made::Track(Track::Video(track.clone())));
            self.track = Some(track);
        }
    }

    fn time(&mut self, stamp: Option<Stamp>) -> Option<Stamp> {
        let stamp = self.carried.time(stamp, self.step)?;
        let step = self.last_dts.replace(stamp.dts).map_or(Ticks::ZERO, |last| span(last, stamp.dts));
        if self.track.as_ref().is_none_or(|track| track.rate.is_none()) && step > Ticks::ZERO && step < LONGEST_STEP {
            self.step = step;
        }
        Some(stamp)
    }
}

/// Where the first start code in `bytes` ends, which `zeros` zeros come before.
fn start_code_end(zeros: usize, bytes: &[u8]) -> Option<usize> {
    match bytes {
        [1, ..] if zeros >= 2 => return Some(1),
        [0, 1, ..] if zeros >= 1 => return Some(2),
        _ => {}
    }
    // The last byte of a window decides how far the next place can be.
    let mut at = 2;
    while let Some(&byte) = bytes.get(at) {
        at += match byte {
            0 => 1,
            1 if bytes.get(at - 2..at) == Some(&[0, 0]) => return Some(at + 1),
            _ => 3,
        };
    }
    None
}

#[cfg(test)]
mod tests;
