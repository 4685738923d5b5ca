//! PAT and PMT (ISO/IEC 13818-1 2.4.4): one programme with video and, where there is one, audio.

/// The PMT's PID.
pub const PMT_PID: u16 = 0x1000;
/// The video's PID, which carries the clock reference.
pub const VIDEO_PID: u16 = 0x100;
/// The audio's PID.
pub const AUDIO_PID: u16 = 0x101;

/// Stream types (ISO/IEC 13818-1 table 2-34).
pub const STREAM_H264: u8 = 0x1b;
/// HEVC.
pub const STREAM_HEVC: u8 = 0x24;
/// AAC with ADTS headers.
pub const STREAM_ADTS: u8 = 0x0f;

/// A whole transport packet.
pub type TransportPacket = [u8; 188];

/// The two tables as packets whose counters are still to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// PAT.
    pub pat: TransportPacket,
    /// PMT.
    pub pmt: TransportPacket,
}

impl Tables {
    /// For a video stream of this type, with or without audio. `version` changes whenever the contents do.
    pub fn new(video_type: u8, audio: bool, version: u8) -> Tables {
        let version = 0xc1 | version << 1;
        let [pmt_high, pmt_low] = PMT_PID.to_be_bytes();
        let pat = section(0x00, version, &[0, 1, 0xe0 | pmt_high, pmt_low]);
        let [video_high, video_low] = VIDEO_PID.to_be_bytes();
        let [audio_high, audio_low] = AUDIO_PID.to_be_bytes();
        let mut body = vec![0xe0 | video_high, video_low, 0xf0, 0];
        body.extend_from_slice(&[video_type, 0xe0 | video_high, video_low]);
        match video_type {
            // Older demultiplexers know HEVC by its registration descriptor.
            STREAM_HEVC => body.extend_from_slice(b"\xf0\x06\x05\x04HEVC"),
            _ => body.extend_from_slice(&[0xf0, 0]),
        }
        if audio {
            body.extend_from_slice(&[STREAM_ADTS, 0xe0 | audio_high, audio_low, 0xf0, 0]);
        }
        Tables { pat: packet(0, &pat), pmt: packet(PMT_PID, &section(0x02, version, &body)) }
    }
}

/// A section of transport stream or programme 1.
fn section(table: u8, version: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() + 9;
    let mut out = vec![table, 0xb0 | (length >> 8) as u8, length as u8, 0, 1, version, 0, 0];
    out.extend_from_slice(body);
    let crc = crc32(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

fn packet(pid: u16, section: &[u8]) -> TransportPacket {
    let mut packet = [0xff; 188];
    let [high, low] = pid.to_be_bytes();
    packet[..5].copy_from_slice(&[0x47, 0x40 | high, low, 0x10, 0]);
    packet[5..5 + section.len()].copy_from_slice(section);
    packet
}

/// CRC of ISO/IEC 13818-1 annex A: polynomial 0x04C11DB7, all ones at first, not reflected, not inverted.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_the_one_of_mpeg() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }
}
