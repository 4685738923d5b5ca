//! Packed AAC: ADTS frames behind an ID3 tag with the timestamp (RFC 8216 3.4).

use bytes::Bytes;

use super::timestamp;
use crate::base::{MediaTime, Ticks};
use crate::media::Packet;
use crate::media::aac::{AacConfig, adts_header};
use crate::pack::window::Made;

const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";

/// Writes the segments of a packed AAC rendition.
#[derive(Debug)]
pub struct PackedAac {
    config: AacConfig,
}

impl PackedAac {
    /// Of this configuration.
    pub fn new(config: AacConfig) -> PackedAac {
        PackedAac { config }
    }

    /// One segment file. `packets` is not empty.
    pub fn segment(&self, packets: &[Packet], start: MediaTime) -> (Bytes, Made) {
        let payload: usize = packets.iter().map(|packet| packet.data.len() + 7).sum();
        let mut out = Vec::with_capacity(payload + 96);
        let start = packets.first().map_or(start, |packet| packet.pts);
        id3(&mut out, timestamp(start));
        for packet in packets {
            if let Some(header) = adts_header(&self.config, packet.data.len()) {
                out.extend_from_slice(&header);
                out.extend_from_slice(&packet.data);
            }
        }
        let end = packets.last().map_or(start, |packet| packet.pts + packet.duration);
        let duration = Ticks((end - start).0.max(0));
        let made = Made {
            start,
            duration,
            scaled_start: start.in_scale(super::TIMESTAMP_SCALE),
            scaled_duration: duration.in_scale(super::TIMESTAMP_SCALE),
            bytes: out.len() as u64,
            iframes: Vec::new(),
        };
        (Bytes::from(out), made)
    }
}

/// An ID3v2.4 tag with one PRIV frame: the timestamp of the first sample.
fn id3(out: &mut Vec<u8>, timestamp: u64) {
    let body = OWNER.len() + 8;
    out.extend_from_slice(b"ID3\x04\x00\x00");
    out.extend_from_slice(&synchsafe(body + 10));
    out.extend_from_slice(b"PRIV");
    out.extend_from_slice(&synchsafe(body));
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(OWNER);
    out.extend_from_slice(&timestamp.to_be_bytes());
}

/// Seven bits in each byte.
fn synchsafe(value: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| (value >> shift & 0x7f) as u8)
}
