//! Sound frames out of PES payloads, whose ends need not be theirs.

use bytes::{Buf, Bytes, BytesMut};

use super::framing::{Frames, Framing, Place};
use super::{Carried, Made, Out, Unit};
use crate::base::Ticks;
use crate::media::{AudioTrack, Track};
use crate::wire::ts::pes::Stamp;
use crate::wire::ts::pmt::Kind;

/// Bytes kept of a frame that goes on in the next packet; none is longer.
const MOST_CARRIED_BYTES: usize = 16 << 10;

/// One sound stream.
#[derive(Debug)]
pub(super) struct SoundStream {
    framing: Framing,
    /// The beginning of a frame, and its time.
    rest: Bytes,
    rest_stamp: Option<Stamp>,
    /// The frame before was one: the next is believed.
    locked: bool,
    carried: Carried,
    track: Option<AudioTrack>,
}

impl SoundStream {
    /// `None` for kinds that are no sound in frames.
    pub(super) fn new(kind: &Kind) -> Option<SoundStream> {
        let framing = Framing::of(kind)?;
        Some(SoundStream { framing, rest: Bytes::new(), rest_stamp: None, locked: false, carried: Carried::default(), track: None })
    }

    /// Packets are missing: the frame in work is lost, and the next comes with the next PES packet.
    pub(super) fn gap(&mut self) {
        self.rest = Bytes::new();
        self.rest_stamp = None;
        self.locked = false;
    }

    /// Takes a PES payload. Its time is that of the first frame that begins in it.
    pub(super) fn payload(&mut self, payload: Bytes, mut stamp: Option<Stamp>, out: &mut Out<'_>) {
        let own_bytes = payload.len();
        let mut data = self.joined(payload);
        let total = data.len();
        while let Some(size) = self.next_frame(&mut data, total, out) {
            let begins_here = data.len() <= own_bytes;
            let frame = data.split_to(size);
            let own = if begins_here { stamp.take() } else { self.rest_stamp.take() };
            self.frame(&frame, own, out);
        }
        if data.len() <= own_bytes {
            self.rest_stamp = stamp;
        }
        self.rest = if data.len() > MOST_CARRIED_BYTES { Bytes::new() } else { data };
    }

    fn joined(&mut self, payload: Bytes) -> Bytes {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return payload;
        }
        let mut joined = BytesMut::with_capacity(rest.len() + payload.len());
        joined.extend_from_slice(&rest);
        joined.extend_from_slice(&payload);
        joined.freeze()
    }

    /// Bytes of the frame at the beginning of `data`, which is moved to where one begins; `None` where no whole one is left.
    fn next_frame(&mut self, data: &mut Bytes, total: usize, out: &mut Out<'_>) -> Option<usize> {
        loop {
            match self.framing.place(data) {
                Place::Unknown => return None,
                Place::Frame(size) if self.locked || self.is_believable(data, size, total) => {
                    self.locked = true;
                    return self.with_followers(data, size);
                }
                Place::Frame(_) | Place::Nothing => {
                    out.counters.frame += u64::from(std::mem::replace(&mut self.locked, false));
                    data.advance(1);
                }
            }
        }
    }

    /// Whether a frame of `size` bytes is one and no chance: another comes behind it, or it ends with the data, or it begins
    /// the data and goes on in the next packet.
    fn is_believable(&self, data: &[u8], size: usize, total: usize) -> bool {
        match data.get(size..) {
            Some(after) => matches!(self.framing.place(after), Place::Frame(_) | Place::Unknown),
            None => data.len() == total,
        }
    }

    /// The size with what belongs to the frame behind it; `None` where not all of it is there.
    fn with_followers(&self, data: &[u8], mut size: usize) -> Option<usize> {
        while let Some(after) = data.get(size..).filter(|after| self.framing.follows(after)) {
            match self.framing.place(after) {
                Place::Frame(more) => size += more,
                Place::Unknown | Place::Nothing => break,
            }
        }
        (data.len() >= size).then_some(size)
    }

    fn frame(&mut self, frame: &Bytes, stamp: Option<Stamp>, out: &mut Out<'_>) {
        let Some(Frames { track, data, samples, rate }) = self.framing.read(frame) else {
            // The configuration of LATM comes a few times a second; frames before it are no damage.
            out.counters.frame += u64::from(self.track.is_some() || !matches!(self.framing, Framing::Latm(_)));
            return;
        };
        if self.track.as_ref() != Some(&track) {
            out.made.push(Made::Track(Track::Audio(track.clone())));
            self.track = Some(track);
        }
        let span = Ticks::from_scale(samples.into(), rate.max(1));
        let mut own = stamp;
        for data in data {
            match self.carried.time(own.take(), span) {
                Some(Stamp { dts, offset }) => out.made.push(Made::Unit(Unit { dts, offset, entry: true, data })),
                None => out.counters.frame += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::aac::{AacConfig, adts_header};
    use crate::wire::ts::counters::Counters;

    fn stamp(ms: i64) -> Option<Stamp> {
        Some(Stamp { dts: Ticks::from_millis(ms), offset: Ticks::ZERO })
    }

    fn frame(rate: u32, byte: u8, size: usize) -> Vec<u8> {
        let header = adts_header(&AacConfig::lc(rate, 2).unwrap(), size).unwrap();
        [&header[..], &vec![byte; size]].concat()
    }

    /// Units as `ms:first byte x size`, tracks as their rate.
    fn run(kind: &Kind, payloads: &[(Option<Stamp>, Vec<u8>)]) -> (Vec<String>, Counters) {
        let (mut stream, mut made, mut counters) = (SoundStream::new(kind).unwrap(), Vec::new(), Counters::default());
        for (stamp, payload) in payloads {
            stream.payload(payload.clone().into(), *stamp, &mut Out { made: &mut made, counters: &mut counters });
        }
        let words = made.iter().map(|made| match made {
            Made::Track(track) => track.audio().map_or(0, |track| track.sample_rate).to_string(),
            Made::Unit(unit) => format!("{}:{}x{}", unit.dts.as_millis(), unit.data[0], unit.data.len()),
        });
        (words.collect(), counters)
    }

    #[test]
    fn frames_of_one_packet_follow_each_other_in_time() {
        let three = [frame(48_000, 1, 20), frame(48_000, 2, 30), frame(48_000, 3, 40)].concat();
        let (words, counters) = run(&Kind::Adts, &[(stamp(1000), three), (None, frame(48_000, 4, 9))]);
        assert_eq!(words, ["48000", "1000:1x20", "1021:2x30", "1043:3x40", "1064:4x9"]);
        assert_eq!(counters, Counters::default());
    }

    #[test]
    fn a_time_belongs_to_the_first_frame_that_begins_in_its_packet() {
        let whole = [frame(48_000, 1, 20), frame(48_000, 2, 30), frame(48_000, 3, 40)].concat();
        let (words, _) = run(&Kind::Adts, &[(stamp(1000), whole[..40].to_vec()), (stamp(2000), whole[40..].to_vec())]);
        assert_eq!(words, ["48000", "1000:1x20", "1021:2x30", "2000:3x40"]);
    }

    #[test]
    fn garbage_between_frames_is_counted_once_and_passed_over() {
        let noisy = [
            &frame(48_000, 1, 20)[..],
            &[9, 0xff, 0xf1, 0x4c, 0x80, 0x01, 0x7f, 0xfc, 9, 9, 9, 9, 9, 9, 9],
            &frame(48_000, 2, 30),
            &frame(48_000, 3, 30),
        ]
        .concat();
        let (words, counters) = run(&Kind::Adts, &[(stamp(0), frame(48_000, 0, 9)), (None, noisy)]);
        assert_eq!(words, ["48000", "0:0x9", "21:1x20", "43:2x30", "64:3x30"]);
        assert_eq!(counters.frame, 1);
    }

    #[test]
    fn another_rate_is_another_track() {
        let (words, _) = run(&Kind::Adts, &[(stamp(0), [frame(48_000, 1, 20), frame(44_100, 2, 20)].concat())]);
        assert_eq!(words, ["48000", "0:1x20", "44100", "21:2x20"]);
    }

    #[test]
    fn further_substreams_of_a_frame_stay_with_it() {
        let independent = [&[0x0b, 0x77, 0x00, 0x0f, 0x34, 0x86, 0x00][..], &[1; 25]].concat();
        let dependent = [&[0x0b, 0x77, 0x40, 0x07, 0x34, 0x86, 0x00][..], &[2; 9]].concat();
        let whole = [&independent[..], &dependent, &independent, &dependent].concat();
        let (words, counters) = run(&Kind::Ac3, &[(stamp(0), whole)]);
        assert_eq!(words, ["48000", "0:11x48", "32:11x48"]);
        assert_eq!(counters, Counters::default());
    }

    proptest! {
        #[test]
        fn every_frame_comes_out_however_packets_cut_them(sizes in prop::collection::vec(1usize..300, 1..12), cuts in prop::collection::vec(1usize..400, 1..8)) {
            let whole: Vec<u8> = sizes.iter().flat_map(|&size| frame(48_000, 7, size)).collect();
            let mut payloads = Vec::new();
            let mut rest = &whole[..];
            while !rest.is_empty() {
                let (taken, after) = rest.split_at(rest.len().min(cuts[payloads.len() % cuts.len()]));
                payloads.push((if payloads.is_empty() { stamp(0) } else { None }, taken.to_vec()));
                rest = after;
            }
            let (words, _) = run(&Kind::Adts, &payloads);
            let expected: Vec<String> = sizes.iter().map(|size| format!("7x{size}")).collect();
            let made: Vec<String> = words.iter().filter_map(|word| word.split_once(':')).map(|(_, unit)| unit.to_owned()).collect();
            prop_assert_eq!(made, expected);
        }

        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..4) {
            let kinds = [(Kind::Adts, [0xff, 0xf1]), (Kind::Latm, [0x56, 0xe0]), (Kind::MpegAudio, [0xff, 0xfd]), (Kind::Ac3, [0x0b, 0x77])];
            let (kind, sync) = &kinds[kind];
            let noise = [&sync[..], &data, sync, &data].concat();
            run(kind, &[(stamp(0), noise.clone()), (None, noise)]);
        }
    }
}
