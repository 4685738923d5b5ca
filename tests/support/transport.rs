//! Writes transport streams, as plainly as they can be.

use std::collections::BTreeMap;

const PACKET: usize = 188;
const PMT_PID: u16 = 0x1000;

/// A stream in work.
#[derive(Default)]
pub struct Mux {
    /// The packets so far.
    pub stream: Vec<u8>,
    counters: BTreeMap<u16, u8>,
}

impl Mux {
    /// PAT and PMT of one programme with these stream types and packet identifiers.
    pub fn tables(&mut self, streams: &[(u8, u16)]) {
        let [high, low] = PMT_PID.to_be_bytes();
        self.section(0, &[0, 0xb0, 0, 0, 1, 0xc1, 0, 0, 0, 7, 0xe0 | high, low]);
        let mut pmt = vec![2, 0xb0, 0, 0, 7, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0];
        for (stream_type, pid) in streams {
            pmt.extend([*stream_type, 0xe0 | (pid >> 8) as u8, *pid as u8, 0xf0, 0]);
        }
        self.section(PMT_PID, &pmt);
    }

    /// A section, given without its length and its checksum.
    pub fn section(&mut self, pid: u16, section: &[u8]) {
        let mut section = section.to_vec();
        let length = section.len() + 1;
        section[1] |= (length >> 8) as u8;
        section[2] = length as u8;
        let checksum = crc(&section);
        self.payload(pid, &[&[0][..], &section, &checksum.to_be_bytes()].concat());
    }

    /// A PES packet with a PTS in ticks of 90 kHz.
    pub fn pes(&mut self, pid: u16, pts: u64, payload: &[u8]) {
        let byte = |shift: u32| (pts >> shift) as u8;
        let stamp = [0x21 | (byte(30) & 7) << 1, byte(22), byte(14) | 1, byte(7), byte(0) << 1 | 1];
        let length = (payload.len() + 8) as u16;
        let header = [&[0, 0, 1, 0xc0][..], &length.to_be_bytes(), &[0x80, 0x80, 5], &stamp].concat();
        self.payload(pid, &[&header[..], payload].concat());
    }

    fn payload(&mut self, pid: u16, payload: &[u8]) {
        for (index, part) in payload.chunks(PACKET - 4).enumerate() {
            let counter = self.counters.entry(pid).or_default();
            let stuffing = PACKET - 4 - part.len();
            let start = if index == 0 { 0x40 } else { 0 };
            let control = if stuffing > 0 { 0x30 } else { 0x10 };
            self.stream.extend([0x47, start | (pid >> 8) as u8, pid as u8, control | *counter]);
            *counter = (*counter + 1) & 0x0f;
            let field = [&[stuffing.saturating_sub(1) as u8, 0][..], &vec![0xff; stuffing]].concat();
            self.stream.extend(&field[..stuffing]);
            self.stream.extend(part);
        }
    }
}

fn crc(section: &[u8]) -> u32 {
    section.iter().fold(u32::MAX, |crc, &byte| {
        let step = |crc: u32, _| if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
        (0..8).fold(crc ^ u32::from(byte) << 24, step)
    })
}
