//! Whether what a worker says can be what it was asked for.
//!
//! A worker that hostile media have taken over writes whatever it likes to its link. Packets of a time that nobody has asked for would close
//! segment after segment, ahead of the clock, and the numbers would stay there when the worker is long replaced.

use bytes::Bytes;

use super::FUTURE_LIMIT;
use crate::base::{MediaTime, Ticks};
use crate::media::Packet;
use crate::pack::PackError;

/// Further ahead of what it was told to make than this no worker is: it works on the input that it has, which may be ahead by
/// [`FUTURE_LIMIT`], in whole slots and whole frames of sound.
const AHEAD: Ticks = Ticks(FUTURE_LIMIT.0 + Ticks::from_millis(2_000).0);
/// Earlier than this before it no packet is: more than is made afterwards for anybody.
const BEHIND: Ticks = Ticks::from_millis(600_000);

/// A worker makes thumbnails smaller than this by itself.
const LARGEST_THUMBNAIL_BYTES: usize = 256 << 10;

/// A packet of a worker that was told to make the programme up to `told`.
pub(super) fn packet(packet: &Packet, told: MediaTime) -> Result<(), PackError> {
    unasked(packet, told).map_or(Ok(()), |what| Err(PackError::Unasked { rung: packet.rung, what }))
}

/// A small picture of the input.
pub(super) fn thumbnail(jpeg: Bytes) -> Result<Bytes, PackError> {
    match jpeg.len() <= LARGEST_THUMBNAIL_BYTES {
        true => Ok(jpeg),
        false => Err(PackError::Unasked { rung: 0, what: "a thumbnail is larger than one can be" }),
    }
}

fn unasked(packet: &Packet, told: MediaTime) -> Option<&'static str> {
    let Packet { pts, dts, duration, .. } = packet;
    let (latest, earliest) = (told + AHEAD, told - BEHIND);
    if duration.0 < 0 || *duration > BEHIND {
        return Some("a packet lasts as long as none can");
    }
    if *pts > latest || *dts > latest || pts.max(dts).0.saturating_add(duration.0) > latest.0 {
        return Some("a packet is of a time that the worker was not asked for yet");
    }
    (*pts < earliest || *dts < earliest).then_some("a packet is of a time long past")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(pts: i64, dts: i64, duration: i64) -> Packet {
        Packet { rung: 0, pts: MediaTime(pts), dts: MediaTime(dts), duration: Ticks(duration), key: true, data: Bytes::new() }
    }

    #[test]
    fn what_was_asked_for_is_taken_and_the_future_is_not() {
        let told = MediaTime(0) + Ticks::from_millis(1_790_000_000_000);
        let period = Ticks::from_millis(40);
        let at = |ms| (told + Ticks::from_millis(ms)).0;
        for ms in [-30_000, -40, 0, 20, 1_900, 10_000] {
            assert_eq!(unasked(&packet(at(ms), at(ms), period.0), told), None, "{ms}");
        }
        for (pts, dts, duration) in [(at(3_600_000), at(0), 1), (at(0), at(3_600_000), 1), (at(0), at(0), -1), (at(-700_000), at(0), 1)] {
            assert!(unasked(&packet(pts, dts, duration), told).is_some());
        }
        assert!(unasked(&packet(at(0), at(0), Ticks::from_millis(13_000).0), told).is_some(), "it reaches into the future");
    }

    proptest! {
        #[test]
        fn no_numbers_break_it(pts in any::<i64>(), dts in any::<i64>(), duration in any::<i64>()) {
            let told = MediaTime(0) + Ticks::from_millis(1_790_000_000_000);
            if unasked(&packet(pts, dts, duration), told).is_none() {
                prop_assert!(pts <= told.0 + AHEAD.0 && dts <= told.0 + AHEAD.0 && duration >= 0);
            }
        }
    }
}
