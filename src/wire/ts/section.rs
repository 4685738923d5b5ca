//! Sections of tables out of packets (ISO/IEC 13818-1 clause 2.4.4).

use super::counters::Counters;

/// Bytes before the length of a section is known.
const HEADER_SIZE: usize = 3;
/// A private section has at most 4093 bytes behind its length (clause 2.4.4.10).
const LONGEST: usize = 4096;
/// What fills a packet behind the last section.
const STUFFING: u8 = 0xff;

/// Puts the sections of one packet identifier together.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// The section in work, empty while none is.
    held: Vec<u8>,
    /// A beginning has been seen, so that bytes that follow belong somewhere.
    aligned: bool,
}

impl Sections {
    /// Packets are missing: the section in work is lost.
    pub(super) fn gap(&mut self) {
        self.held.clear();
        self.aligned = false;
    }

    /// Takes a packet's payload and hands on the sections that it completes, of which the checksum is right.
    pub(super) fn receive(&mut self, payload: &[u8], start: bool, counters: &mut Counters, sink: &mut impl FnMut(&[u8])) {
        if !start {
            if self.aligned {
                self.bytes(payload, counters, sink);
            }
            return;
        }
        let split = payload.split_first().and_then(|(&pointer, rest)| rest.split_at_checked(pointer.into()));
        let Some((before, after)) = split else {
            counters.section += 1;
            return self.gap();
        };
        if self.aligned {
            self.bytes(before, counters, sink);
        }
        if !self.held.is_empty() {
            counters.section += 1;
            self.held.clear();
        }
        self.aligned = true;
        self.bytes(after, counters, sink);
    }

    fn bytes(&mut self, mut bytes: &[u8], counters: &mut Counters, sink: &mut impl FnMut(&[u8])) {
        while let Some(&first) = bytes.first() {
            if self.held.is_empty() && first == STUFFING {
                self.aligned = false;
                return;
            }
            let wanted = wanted(&self.held);
            let (taken, after) = bytes.split_at(bytes.len().min(wanted - self.held.len()));
            self.held.extend_from_slice(taken);
            bytes = after;
            if self.held.len() < wanted || wanted == HEADER_SIZE && length(&self.held) > HEADER_SIZE {
                continue;
            }
            if has_checksum(&self.held) && crc32(&self.held) != 0 {
                counters.crc += 1;
            } else if wanted > LONGEST || wanted == HEADER_SIZE {
                counters.section += 1;
            } else {
                sink(&self.held);
            }
            self.held.clear();
        }
    }
}

/// Bytes that the section in work wants before anything can be said of it.
fn wanted(held: &[u8]) -> usize {
    if held.len() < HEADER_SIZE { HEADER_SIZE } else { length(held) }
}

/// Bytes of the section that begins so, at most 4098.
fn length(section: &[u8]) -> usize {
    match section {
        [_, high, low, ..] => HEADER_SIZE + (usize::from(high & 0x0f) << 8 | usize::from(*low)),
        _ => HEADER_SIZE,
    }
}

/// Sections in the long form end in a checksum; so do those of SCTE 35 in the short form (clause 9.6.1 there).
fn has_checksum(section: &[u8]) -> bool {
    matches!(section, [0xfc, ..]) || matches!(section, [_, high, ..] if high & 0x80 != 0)
}

/// The checksum of annex A; zero over a section that ends in its own.
pub(super) fn crc32(section: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| CRC_TABLE[usize::from((crc >> 24) as u8 ^ byte)] ^ crc << 8;
    section.iter().fold(u32::MAX, step)
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 << 31 != 0 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A section in the long form with `size` bytes of body.
    fn section(table: u8, size: usize) -> Vec<u8> {
        let length = size + 4;
        let mut section = vec![table, 0xb0 | (length >> 8) as u8, length as u8];
        section.resize(3 + size, 0x11);
        section.extend(crc32(&section).to_be_bytes());
        section
    }

    fn run(payloads: &[(&[u8], bool)]) -> (Vec<Vec<u8>>, Counters) {
        let (mut sections, mut counters, mut seen) = (Sections::default(), Counters::default(), Vec::new());
        for (payload, start) in payloads {
            sections.receive(payload, *start, &mut counters, &mut |section| seen.push(section.to_vec()));
        }
        (seen, counters)
    }

    #[test]
    fn sections_over_packets_and_several_in_one_come_out_whole() {
        let (long, short) = (section(2, 300), section(2, 20));
        let stream = [&long[..], &short, &[0xff; 9]].concat();
        let second = [&[(long.len() - 180) as u8][..], &stream[180..]].concat();
        let (seen, counters) = run(&[(&[&[0], &stream[..180]].concat(), true), (&second, true)]);
        assert_eq!(seen, [long, short]);
        assert_eq!(counters, Counters::default());
    }

    #[test]
    fn a_wrong_checksum_is_counted_and_the_next_section_is_read() {
        let mut broken = section(2, 20);
        broken[9] ^= 1;
        let (seen, counters) = run(&[(&[&[0][..], &broken, &section(2, 8)].concat(), true)]);
        assert_eq!((seen.len(), counters.crc), (1, 1));
    }

    #[test]
    fn a_cut_section_or_a_pointer_past_the_end_is_counted() {
        let whole = section(2, 60);
        let (seen, counters) = run(&[(&[&[0][..], &whole[..30]].concat(), true), (&[&[0][..], &whole].concat(), true), (&[200, 1], true)]);
        assert_eq!((seen.len(), counters.section), (1, 2));
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }
}
