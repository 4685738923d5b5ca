//! What a segment must be before anything is written, so that a refused one changes nothing.

use super::cmaf;
use super::error::PackError;
use super::presentation::{OutputTrack, SegmentSet};
use super::window::Programme;
use crate::base::{MediaTime, Ticks};
use crate::media::Packet;

/// How far sound may lie outside the span of its segment.
const AUDIO_SLACK: Ticks = Ticks::from_millis(1000);
/// Ends of spans computed from rounded times may differ by this.
const OVERLAP: Ticks = Ticks::from_millis(1);
/// Times beyond this (the year 10 000 is well before it) would overflow sums.
const LATEST: MediaTime = MediaTime(i64::MAX / 4);

/// Refuses a segment that no playlist could list after those before it.
pub fn segment(programme: &Programme, tracks: &[OutputTrack], set: &SegmentSet) -> Result<(), PackError> {
    let number = set.number;
    if set.packets.len() != tracks.len() {
        return Err(PackError::Shape { number, expected: tracks.len(), got: set.packets.len() });
    }
    let rounded_s = set.duration.as_millis().saturating_add(500).div_euclid(1000);
    if set.duration.0 <= 0 || rounded_s > i64::from(programme.target_s) {
        return Err(PackError::Duration { number, duration_ms: set.duration.as_millis(), target_s: programme.target_s });
    }
    if set.start.0 < 0 || set.start > LATEST {
        return Err(PackError::Time { number, name: "(all)".into() });
    }
    if let Some(last) = programme.entries.back() {
        let expected = last.number.saturating_add(1);
        if number != expected {
            return Err(PackError::Sequence { expected, got: number });
        }
        let overlap = last.start + last.duration - set.start;
        if overlap > OVERLAP {
            return Err(PackError::Backwards { number, overlap_ms: overlap.as_millis() });
        }
    }
    tracks.iter().zip(&set.packets).try_for_each(|(track, packets)| rendition(set, track, packets.as_deref().unwrap_or_default()))
}

fn rendition(set: &SegmentSet, track: &OutputTrack, packets: &[Packet]) -> Result<(), PackError> {
    let (number, name) = (set.number, track.name.clone());
    let Some(first) = packets.first() else { return Ok(()) };
    let video = track.track.video().is_some();
    if video && !first.key {
        return Err(PackError::NoKey { number, name });
    }
    let slack = if video { OVERLAP } else { AUDIO_SLACK };
    let (earliest, latest) = (set.start - slack, set.start + set.duration + slack);
    let possible =
        |packet: &Packet| packet.dts.0 >= 0 && packet.pts.0 >= 0 && packet.pts <= LATEST && earliest <= packet.dts && packet.dts <= latest;
    let lasting = |packet: &Packet| Ticks::ZERO <= packet.duration && (video || packet.duration <= AUDIO_SLACK);
    let in_order = packets.windows(2).all(|pair| matches!(pair, [a, b] if a.dts <= b.dts));
    match in_order && packets.iter().all(|packet| possible(packet) && lasting(packet)) {
        true => cmaf::check_size(number, &name, packets),
        false => Err(PackError::Time { number, name }),
    }
}
