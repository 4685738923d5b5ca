//! A reader of transport streams that shares nothing with the writer. It panics at what an analyser would complain about.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pes {
    pub at: usize,
    pub pts: u64,
    pub dts: u64,
    pub random_access: bool,
    pub data: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Transport {
    pub counters: BTreeMap<u16, u8>,
    pub pes: BTreeMap<u16, Vec<Pes>>,
    /// Position in bytes and value in 27 MHz.
    pub clocks: Vec<(usize, u64)>,
    pub tables: Vec<usize>,
    pub types: BTreeMap<u16, u8>,
    pub discontinuities: usize,
    pmt: Option<u16>,
    position: usize,
}

impl Transport {
    /// Reads one segment file after those before it.
    pub fn read(&mut self, file: &[u8]) {
        assert_eq!(file.len() % 188, 0, "whole packets");
        let first_pids: Vec<u16> = file.chunks(188).take(2).map(|packet| u16::from_be_bytes([packet[1] & 0x1f, packet[2]])).collect();
        assert_eq!(first_pids[0], 0, "a file begins with the PAT");
        for packet in file.chunks(188) {
            self.packet(packet);
            self.position += 188;
        }
    }

    fn packet(&mut self, packet: &[u8]) {
        assert_eq!(packet[0], 0x47, "sync byte at {}", self.position);
        let start = packet[1] & 0x40 != 0;
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let counter = packet[3] & 0x0f;
        match self.counters.insert(pid, counter) {
            Some(before) if has_payload => assert_eq!(counter, (before + 1) & 0x0f, "continuity of {pid:#x} at {}", self.position),
            Some(before) => assert_eq!(counter, before, "a packet without payload counts, {pid:#x}"),
            None => {}
        }
        let mut at = 4;
        let mut random_access = false;
        if has_field {
            let length = usize::from(packet[4]);
            at = 5 + length;
            assert!(at <= 188 && (has_payload || at == 188), "adaptation field of {length}");
            if length > 0 {
                let flags = packet[5];
                random_access = flags & 0x40 != 0;
                self.discontinuities += usize::from(flags & 0x80 != 0);
                let mut stuffing = 6;
                if flags & 0x10 != 0 {
                    let bits = packet[6..12].iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
                    assert_eq!(bits >> 9 & 0x3f, 0x3f, "reserved bits");
                    self.clocks.push((self.position, (bits >> 15) * 300 + (bits & 0x1ff)));
                    stuffing = 12;
                }
                assert!(packet[stuffing..at].iter().all(|byte| *byte == 0xff), "stuffing");
            }
        }
        if !has_payload {
            return;
        }
        let payload = &packet[at..];
        match pid {
            0 => self.pat(payload),
            _ if Some(pid) == self.pmt => self.pmt(payload),
            _ => self.media(pid, start, random_access, payload),
        }
    }

    fn pat(&mut self, payload: &[u8]) {
        let section = section(payload, 0);
        assert_eq!(section.len(), 4, "one programme");
        self.pmt = Some(u16::from_be_bytes([section[2] & 0x1f, section[3]]));
        self.tables.push(self.position);
    }

    fn pmt(&mut self, payload: &[u8]) {
        let section = section(payload, 2);
        assert_eq!(u16::from_be_bytes([section[0] & 0x1f, section[1]]), 0x100, "PCR PID");
        let mut rest = &section[4 + usize::from(section[3])..];
        self.types.clear();
        while !rest.is_empty() {
            self.types.insert(u16::from_be_bytes([rest[1] & 0x1f, rest[2]]), rest[0]);
            rest = &rest[5 + usize::from(rest[4])..];
        }
    }

    fn media(&mut self, pid: u16, start: bool, random_access: bool, payload: &[u8]) {
        assert!(self.types.contains_key(&pid), "{pid:#x} is not in the PMT");
        let list = self.pes.entry(pid).or_default();
        if !start {
            list.last_mut().expect("a PES packet begins").data.extend_from_slice(payload);
            return;
        }
        assert_eq!(payload[..3], [0, 0, 1], "PES start code");
        let declared = usize::from(u16::from_be_bytes([payload[4], payload[5]]));
        assert!(declared > 0 || payload[3] == 0xe0, "only video may be unbounded");
        let head = 9 + usize::from(payload[8]);
        let pts = stamp(&payload[9..14]);
        let dts = if payload[7] & 0x40 != 0 { stamp(&payload[14..19]) } else { pts };
        list.push(Pes { at: self.position, pts, dts, random_access, data: payload[head..].to_vec() });
    }
}

fn stamp(bytes: &[u8]) -> u64 {
    assert!(bytes[0] & 1 == 1 && bytes[2] & 1 == 1 && bytes[4] & 1 == 1, "marker bits");
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|index: usize| u64::from(bytes[index]));
    (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
}

/// The body of a section, after checking its length and its CRC bit by bit.
fn section(payload: &[u8], table: u8) -> &[u8] {
    assert_eq!(payload[0], 0, "pointer");
    assert_eq!(payload[1], table);
    let length = usize::from(u16::from_be_bytes([payload[2] & 0x0f, payload[3]]));
    let whole = &payload[1..4 + length];
    let mut crc = 0xffff_ffffu32;
    for bit in whole.iter().flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1)) {
        let out = (crc >> 31) as u8;
        crc <<= 1;
        crc ^= if out ^ bit == 1 { 0x04c1_1db7 } else { 0 };
    }
    assert_eq!(crc, 0, "CRC of table {table}");
    assert!(payload[4 + length..].iter().all(|byte| *byte == 0xff));
    &whole[8..whole.len() - 4]
}

/// NAL units of a byte stream whose units hold no start codes.
pub fn units(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..at + 3] == [0, 0, 1] {
            starts.push(at);
            at += 3;
        } else {
            at += 1;
        }
    }
    let mut out = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(stream.len());
        let mut unit = stream[start + 3..end].to_vec();
        while unit.last() == Some(&0) {
            unit.pop();
        }
        out.push(unit);
    }
    out
}

/// Raw AAC frames of a stream of ADTS frames.
pub fn adts_frames(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while !stream.is_empty() {
        assert_eq!((stream[0], stream[1] & 0xf6), (0xff, 0xf0), "ADTS sync");
        let length = usize::from(stream[3] & 3) << 11 | usize::from(stream[4]) << 3 | usize::from(stream[5] >> 5);
        out.push(stream[7..length].to_vec());
        stream = &stream[length..];
    }
    out
}
