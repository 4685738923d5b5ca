//! PES packets: headers and their times (ISO/IEC 13818-1 clause 2.4.3.6 and 2.4.3.7).

use crate::base::Ticks;

/// Values of a 33-bit clock.
const CLOCK: u64 = 1 << 33;
/// Bytes before the length of the header is known.
const FIXED: usize = 9;
/// Bytes of the header that PES_packet_length does not count.
const UNCOUNTED: usize = 6;

/// After this span PTS, DTS and PCR start over at zero: 2^33 / 90 kHz, about 26.5 hours.
pub const WRAP: Ticks = Ticks(CLOCK as i64 * FLICKS_PER_TICK);

const FLICKS_PER_TICK: i64 = crate::base::FLICKS_PER_SECOND / 90_000;

/// The times of the first unit that begins in a PES packet, on the source's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When it is decoded.
    pub(super) dts: Ticks,
    /// When it is shown, less that.
    pub(super) offset: Ticks,
}

/// 90 kHz ticks of the source's clock as time.
pub(super) fn clock(ticks: u64) -> Ticks {
    Ticks((ticks % CLOCK) as i64 * FLICKS_PER_TICK)
}

/// A time moved within the clock's round.
pub(super) fn wrapped(time: Ticks) -> Ticks {
    Ticks(time.0.rem_euclid(WRAP.0))
}

/// How far `later` is after `earlier`, on the shorter way round the clock.
pub(super) fn span(earlier: Ticks, later: Ticks) -> Ticks {
    let forward = wrapped(later - earlier);
    if forward.0 > WRAP.0 / 2 { forward - WRAP } else { forward }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the header.
    pub(super) size: usize,
    /// Bytes of the payload, where the packet says; video may leave that open.
    pub(super) payload: Option<usize>,
    pub(super) stamp: Option<Stamp>,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// It goes on in the next packet.
    Incomplete,
    /// It cannot be one, or is of a stream without times (padding, ECM ...).
    Unusable,
}

impl Header {
    /// Reads the header with which `data` begins.
    pub(super) fn parse(data: &[u8]) -> Result<Header, NoHeader> {
        let start = data.get(..data.len().min(3)).unwrap_or_default();
        if start != [0, 0, 1].get(..start.len()).unwrap_or_default() {
            return Err(NoHeader::Unusable);
        }
        if data.get(3).is_some_and(|&id| !has_fields(id)) {
            return Err(NoHeader::Unusable);
        }
        let &[_, _, _, _, high, low, marker, flags, length] = data.first_chunk::<FIXED>().ok_or(NoHeader::Incomplete)?;
        if marker & 0xc0 != 0x80 {
            return Err(NoHeader::Unusable);
        }
        let size = FIXED + usize::from(length);
        let fields = data.get(FIXED..size).ok_or(NoHeader::Incomplete)?;
        let payload = match usize::from(u16::from_be_bytes([high, low])) {
            0 => None,
            counted => Some((counted + UNCOUNTED).checked_sub(size).ok_or(NoHeader::Unusable)?),
        };
        let (pts, dts) = match flags >> 6 {
            2 => (time(fields), None),
            3 => (time(fields), fields.get(5..).and_then(time)),
            _ => (None, None),
        };
        let stamp = pts.map(|pts| {
            let dts = clock(dts.unwrap_or(pts));
            Stamp { dts, offset: span(dts, clock(pts)) }
        });
        Ok(Header { size, payload, stamp })
    }
}

/// 33 bits in five bytes; `None` where a marker bit is missing, which only damage does.
fn time(fields: &[u8]) -> Option<u64> {
    let bytes = fields.first_chunk::<5>()?;
    let [a, b, c, d, e] = bytes.map(u64::from);
    (a & c & e & 1 == 1).then_some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}

/// Whether packets of this stream_id have flags and times (table 2-21).
fn has_fields(id: u8) -> bool {
    !matches!(id, 0xbc | 0xbe | 0xbf | 0xf0 | 0xf1 | 0xf2 | 0xf8 | 0xff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(nibble: u8, time: u64) -> [u8; 5] {
        let byte = |shift: u32| (time >> shift) as u8;
        [nibble << 4 | (byte(30) & 7) << 1 | 1, byte(22), byte(14) | 1, byte(7), byte(0) << 1 | 1]
    }

    fn header(payload: u16, pts: u64, dts: u64) -> Vec<u8> {
        let length = if payload == 0 { 0 } else { payload + 13 }.to_be_bytes();
        [&[0, 0, 1, 0xe0][..], &length, &[0x80, 0xc0, 10], &written(3, pts), &written(1, dts)].concat()
    }

    #[test]
    fn times_on_both_sides_of_the_wrap_are_near_each_other() {
        let parsed = Header::parse(&header(0, 3600, CLOCK - 3600)).unwrap();
        let stamp = parsed.stamp.unwrap();
        assert_eq!((stamp.dts, stamp.offset), (clock(CLOCK - 3600), Ticks::from_millis(80)));
        assert_eq!(parsed.payload, None);
        assert_eq!(span(clock(3600), clock(CLOCK - 3600)), Ticks::from_millis(-80));
    }

    #[test]
    fn a_header_in_pieces_is_awaited_and_nonsense_is_not() {
        let whole = header(100, 9, 9);
        assert_eq!(Header::parse(&whole).unwrap().payload, Some(100));
        for length in 0..whole.len() {
            assert_eq!(Header::parse(&whole[..length]), Err(NoHeader::Incomplete), "{length}");
        }
        assert_eq!(Header::parse(&[0, 0, 2]), Err(NoHeader::Unusable));
        assert_eq!(Header::parse(&[0, 0, 1, 0xbe, 0, 9]), Err(NoHeader::Unusable), "padding");
        assert_eq!(Header::parse(&[0, 0, 1, 0xe0, 0, 3, 0x80, 0, 5, 1, 1, 1, 1, 1]), Err(NoHeader::Unusable), "shorter than its header");
    }

    #[test]
    fn a_time_without_its_marker_bits_is_none() {
        let mut bytes = header(0, 9, 9);
        bytes[11] &= 0xfe;
        assert_eq!(Header::parse(&bytes).unwrap().stamp, None);
    }

    proptest! {
        #[test]
        fn every_time_is_read_as_written(pts in 0..CLOCK, delay in 0..900_000u64) {
            let stamp = Header::parse(&header(0, (pts + delay) % CLOCK, pts)).unwrap().stamp.unwrap();
            prop_assert_eq!((stamp.dts, stamp.offset), (clock(pts), clock(delay)));
        }

        #[test]
        fn noise_is_no_danger(tail in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(header) = Header::parse(&[&[0, 0, 1, 0xe0][..], &tail].concat()) {
                prop_assert!(header.size <= tail.len() + 4);
            }
        }
    }
}
