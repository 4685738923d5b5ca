//! Bytes in any chunks to whole packets, found again after stray bytes.

use super::packet::{SIZE, SYNC};

/// Distances between packets: plain, behind a four-byte arrival time (M2TS), before sixteen bytes of Reed-Solomon code.
const STRIDES: [usize; 3] = [SIZE, 192, 204];
const LONGEST_STRIDE: usize = 204;

/// Sync bytes in a row that make a beginning. Three at one distance come by chance once in 16 million places.
const CONFIRMATIONS: usize = 3;

/// Bytes after a place that decide whether packets begin there.
const DECISIVE: usize = (CONFIRMATIONS - 1) * LONGEST_STRIDE + 1;

/// Bytes held while packets are looked for.
const SEARCHED: usize = 4096;

/// What the bytes gave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aligned<'a> {
    /// A packet; its first byte is the sync byte.
    Packet(&'a [u8; SIZE]),
    /// Where a packet should begin, none does: the one before may be damaged as well.
    Lost,
    /// So many bytes belong to no packet.
    Skipped(usize),
}

/// Finds packets. What comes out does not depend on how the bytes were cut.
#[derive(Debug, Default)]
pub(super) struct Aligner {
    /// The distance between packets, while they are found where they should be.
    stride: Option<usize>,
    /// The distance that was in force last, tried first.
    last: Option<usize>,
    /// The beginning of a packet, or what is being searched.
    held: Vec<u8>,
    /// Bytes between packets that are still to come.
    gap: usize,
}

impl Aligner {
    /// Takes the next bytes and hands on what they give.
    pub(super) fn receive(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Aligned<'_>)) {
        while !bytes.is_empty() {
            bytes = match self.stride {
                Some(stride) if self.held.is_empty() => self.whole(bytes, stride, sink),
                Some(stride) => self.rest_of_packet(bytes, stride, sink),
                None => self.search(bytes, sink),
            };
        }
    }

    /// Nothing more comes: what is held is taken as packets where it looks like such.
    pub(super) fn finish(&mut self, sink: &mut impl FnMut(Aligned<'_>)) {
        let held = std::mem::take(&mut self.held);
        let stride = self.last.unwrap_or(SIZE);
        let mut rest = held.as_slice();
        let mut skipped = 0;
        while let Some((packet, after)) = rest.split_first_chunk::<SIZE>() {
            if packet.first() == Some(&SYNC) {
                sink(Aligned::Packet(packet));
                rest = after.get(stride - SIZE..).unwrap_or_default();
            } else {
                skipped += 1;
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        skipped += rest.len();
        if skipped > 0 {
            sink(Aligned::Skipped(skipped));
        }
        *self = Aligner::default();
    }

    /// Packets that lie whole in `bytes`; gives what is left of them.
    fn whole<'a>(&mut self, mut bytes: &'a [u8], stride: usize, sink: &mut impl FnMut(Aligned<'_>)) -> &'a [u8] {
        loop {
            let between = self.gap.min(bytes.len());
            bytes = bytes.get(between..).unwrap_or_default();
            self.gap -= between;
            let Some((packet, after)) = bytes.split_first_chunk::<SIZE>() else { break };
            if packet.first() != Some(&SYNC) {
                self.lose(sink);
                return bytes;
            }
            sink(Aligned::Packet(packet));
            self.gap = stride - SIZE;
            bytes = after;
        }
        self.held.extend_from_slice(bytes);
        &[]
    }

    /// Completes the packet whose beginning is held.
    fn rest_of_packet<'a>(&mut self, bytes: &'a [u8], stride: usize, sink: &mut impl FnMut(Aligned<'_>)) -> &'a [u8] {
        let (taken, after) = bytes.split_at(bytes.len().min(SIZE.saturating_sub(self.held.len())));
        self.held.extend_from_slice(taken);
        if let Some(packet) = self.held.first_chunk::<SIZE>() {
            if packet.first() == Some(&SYNC) {
                sink(Aligned::Packet(packet));
                self.held.clear();
                self.gap = stride - SIZE;
            } else {
                self.lose(sink);
            }
        }
        after
    }

    fn lose(&mut self, sink: &mut impl FnMut(Aligned<'_>)) {
        self.last = self.stride.take();
        self.gap = 0;
        sink(Aligned::Lost);
    }

    /// Looks for packets in what is held and what comes.
    fn search<'a>(&mut self, bytes: &'a [u8], sink: &mut impl FnMut(Aligned<'_>)) -> &'a [u8] {
        let (taken, after) = bytes.split_at(bytes.len().min(SEARCHED.saturating_sub(self.held.len())));
        self.held.extend_from_slice(taken);
        let mut held = std::mem::take(&mut self.held);
        let (place, stride) = first_packet(&held, self.last);
        if place > 0 {
            sink(Aligned::Skipped(place));
        }
        let found = held.get(place..).unwrap_or_default();
        match stride {
            Some(stride) => {
                self.stride = Some(stride);
                self.gap = 0;
                self.receive(found, sink);
            }
            None => {
                held.drain(..place.min(held.len()));
                self.held = held;
            }
        }
        after
    }
}

/// The first place that can be the beginning of packets, and their distance once that is certain.
fn first_packet(data: &[u8], last: Option<usize>) -> (usize, Option<usize>) {
    let mut place = 0;
    while let Some(rest) = data.get(place..).filter(|rest| !rest.is_empty()) {
        if rest.first() == Some(&SYNC) {
            if rest.len() < DECISIVE {
                return (place, None);
            }
            let repeats = |stride: &usize| (1..CONFIRMATIONS).all(|n| rest.get(n * stride) == Some(&SYNC));
            if let Some(stride) = last.into_iter().chain(STRIDES).find(repeats) {
                return (place, Some(stride));
            }
        }
        place += 1;
    }
    (place, None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packet number `n`: nothing in it but its number looks like a sync byte.
    fn packet(n: u8) -> [u8; SIZE] {
        let mut packet = [n | 0x80; SIZE];
        packet[0] = SYNC;
        packet
    }

    fn run(bytes: &[u8], chunk: usize) -> Vec<String> {
        let mut seen = Vec::new();
        let mut sink = |aligned: Aligned<'_>| {
            seen.push(match aligned {
                Aligned::Packet(packet) => format!("{}", packet[1] & 0x7f),
                Aligned::Lost => "lost".into(),
                Aligned::Skipped(count) => format!("-{count}"),
            });
        };
        let mut aligner = Aligner::default();
        bytes.chunks(chunk.max(1)).for_each(|chunk| aligner.receive(chunk, &mut sink));
        aligner.finish(&mut sink);
        seen
    }

    fn packets(range: std::ops::Range<u8>, between: usize) -> Vec<u8> {
        range.flat_map(|n| [&packet(n)[..], &vec![0; between]].concat()).collect()
    }

    #[test]
    fn packets_of_every_distance_are_found() {
        for between in [0, 4, 16] {
            assert_eq!(run(&packets(0..5, between), 1000), ["0", "1", "2", "3", "4"].as_slice(), "{between}")
        }
    }

    #[test]
    fn stray_bytes_cost_only_themselves() {
        let stream = [&[1, SYNC, 3][..], &packets(0..4, 0), &[9, 9], &packets(4..8, 0)].concat();
        assert_eq!(run(&stream, 4000), ["-3", "0", "1", "2", "3", "lost", "-2", "4", "5", "6", "7"]);
    }

    #[test]
    fn a_damaged_sync_byte_costs_one_packet() {
        let mut stream = packets(0..8, 0);
        stream[3 * SIZE] = 0;
        assert_eq!(run(&stream, 500), ["0", "1", "2", "lost", "-188", "4", "5", "6", "7"]);
    }

    #[test]
    fn bytes_without_packets_are_not_kept() {
        let mut aligner = Aligner::default();
        let mut skipped = 0;
        for _ in 0..100 {
            aligner.receive(&[SYNC, 1, 2, 3, 4].repeat(720), &mut |aligned| match aligned {
                Aligned::Skipped(count) => skipped += count,
                other => panic!("{other:?}"),
            });
            assert!(aligner.held.len() <= SEARCHED);
        }
        assert!(skipped > 350_000);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(damage in prop::collection::vec((0usize..4000, 0u8..3), 0..5), one in 1usize..700, other in 1usize..700) {
            let mut stream = packets(0..20, 0);
            for (place, kind) in damage {
                let place = place % stream.len();
                match kind {
                    0 => stream[place] ^= 0x47,
                    1 => drop(stream.remove(place)),
                    _ => stream.insert(place, SYNC),
                }
            }
            let joined = |chunk| run(&stream, chunk).into_iter().filter(|word| !word.starts_with('-')).collect::<Vec<_>>();
            prop_assert_eq!(joined(one), joined(other));
        }
    }
}
