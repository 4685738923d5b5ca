//! Which streams are tracks: held back until all are known, so that the tracks are told once and in one order.

use std::collections::VecDeque;

use super::Event;
use super::elementary::{Made, Unit};
use super::pes::span;
use crate::base::Ticks;
use crate::media::Track;

/// How long media waits for a stream that the PMT lists and that gives no configuration, in media time.
const PATIENCE: Ticks = Ticks::from_millis(3000);

/// How much waits at most, in units and in bytes, whatever the timestamps do.
const HELD_UNITS: usize = 1024;
const HELD_BYTES: usize = 8 << 20;

/// Names a stream for as long as it is followed.
pub(super) type StreamId = u32;

#[derive(Debug)]
struct Slot {
    id: StreamId,
    track: Option<Track>,
    first_held: Option<Ticks>,
}

/// The tracks, told and to be told.
#[derive(Debug, Default)]
pub(super) struct Lineup {
    /// In the order of the tracks: video, then sound as the PMT lists it.
    slots: Vec<Slot>,
    started: bool,
    told: Vec<Track>,
    held: VecDeque<(StreamId, Unit)>,
    held_bytes: usize,
    waited: bool,
}

impl Lineup {
    /// These streams are followed from here on; what is known of those that stay is kept. Nothing is held back where the
    /// first of them, the video, is known: the programme goes on, and others join.
    pub(super) fn follow(&mut self, streams: &[StreamId], out: &mut Vec<Event>) {
        let mut known = std::mem::take(&mut self.slots);
        self.slots = streams
            .iter()
            .map(|&id| {
                let track = known.iter_mut().find(|slot| slot.id == id).and_then(|slot| slot.track.take());
                Slot { id, track, first_held: None }
            })
            .collect();
        self.held.retain(|(id, _)| streams.contains(id));
        self.held_bytes = self.held.iter().map(|(_, unit)| unit.data.len()).sum();
        self.waited = false;
        self.started &= self.slots.first().is_some_and(|slot| slot.track.is_some());
        if self.started {
            self.tell(out);
        }
        self.start_when_ready(out);
    }

    /// The index of a stream among the tracks.
    pub(super) fn index(&self, id: StreamId) -> Option<u8> {
        let known = self.slots.iter().filter(|slot| slot.track.is_some());
        known.map(|slot| slot.id).position(|known| known == id).and_then(|index| u8::try_from(index).ok())
    }

    /// Takes what a stream made.
    pub(super) fn receive(&mut self, id: StreamId, made: Made, out: &mut Vec<Event>) {
        match made {
            Made::Track(track) => {
                if let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) {
                    slot.track = Some(track);
                }
                if self.started {
                    self.tell(out);
                }
            }
            Made::Unit(unit) => self.unit(id, unit, out),
        }
        self.start_when_ready(out);
    }

    /// Nothing more comes: what is held comes out.
    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        self.waited = true;
        self.start_when_ready(out);
    }

    fn unit(&mut self, id: StreamId, unit: Unit, out: &mut Vec<Event>) {
        if self.started {
            out.extend(self.indexed(id, unit));
            return;
        }
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) else { return };
        let first = *slot.first_held.get_or_insert(unit.dts);
        self.held_bytes += unit.data.len();
        self.waited |= span(first, unit.dts).abs() >= PATIENCE;
        self.held.push_back((id, unit));
        self.waited |= self.held.len() >= HELD_UNITS || self.held_bytes >= HELD_BYTES;
    }

    fn indexed(&self, id: StreamId, unit: Unit) -> Option<Event> {
        let Unit { dts, offset, entry, data } = unit;
        Some(Event::Unit { track: self.index(id)?, dts, offset, entry, data })
    }

    fn start_when_ready(&mut self, out: &mut Vec<Event>) {
        let complete = !self.slots.is_empty() && self.slots.iter().all(|slot| slot.track.is_some());
        let known = self.slots.iter().any(|slot| slot.track.is_some());
        if self.started || !(complete || self.waited && known) {
            return;
        }
        self.started = true;
        self.held_bytes = 0;
        self.tell(out);
        for (id, unit) in std::mem::take(&mut self.held) {
            out.extend(self.indexed(id, unit));
        }
    }

    /// Tells the tracks, unless they are as they were.
    fn tell(&mut self, out: &mut Vec<Event>) {
        let tracks: Vec<Track> = self.slots.iter().filter_map(|slot| slot.track.clone()).collect();
        if self.told != tracks {
            self.told.clone_from(&tracks);
            out.push(Event::Tracks(tracks));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::{AudioCodec, AudioTrack};

    fn track(sample_rate: u32) -> Made {
        let (other, config) = ("mp2".into(), Bytes::new());
        Made::Track(Track::Audio(AudioTrack { codec: AudioCodec::Other, other, config, sample_rate, channels: 2 }))
    }

    fn unit(ms: i64) -> Made {
        Made::Unit(Unit { dts: Ticks::from_millis(ms), offset: Ticks::ZERO, entry: true, data: Bytes::from_static(&[1]) })
    }

    fn words(events: &mut Vec<Event>) -> Vec<String> {
        events
            .drain(..)
            .map(|event| match event {
                Event::Tracks(tracks) => {
                    let rates: Vec<_> = tracks.iter().filter_map(Track::audio).map(|track| track.sample_rate.to_string()).collect();
                    rates.join("+")
                }
                Event::Unit { track, dts, .. } => format!("{track}@{}", dts.as_millis()),
                Event::Section { .. } => "section".into(),
            })
            .collect()
    }

    #[test]
    fn units_wait_for_the_last_track_and_come_in_order() {
        let (mut lineup, mut out) = (Lineup::default(), Vec::new());
        lineup.follow(&[5, 6], &mut out);
        for made in [track(48), unit(0), unit(20)] {
            lineup.receive(6, made, &mut out);
        }
        assert!(out.is_empty());
        lineup.receive(5, track(32), &mut out);
        lineup.receive(5, unit(30), &mut out);
        assert_eq!(words(&mut out), ["32+48", "1@0", "1@20", "0@30"]);
    }

    #[test]
    fn a_silent_stream_is_waited_for_three_seconds_and_joins_later() {
        let (mut lineup, mut out) = (Lineup::default(), Vec::new());
        lineup.follow(&[5, 6], &mut out);
        lineup.receive(6, track(48), &mut out);
        for ms in [0, 1500, 2999, 3000, 3020] {
            assert!(ms > 3000 || out.is_empty(), "{ms}");
            lineup.receive(6, unit(ms), &mut out);
        }
        assert_eq!(words(&mut out), ["48", "0@0", "0@1500", "0@2999", "0@3000", "0@3020"]);
        lineup.receive(5, track(32), &mut out);
        lineup.receive(6, unit(3040), &mut out);
        assert_eq!(words(&mut out), ["32+48", "1@3040"]);
    }

    #[test]
    fn streams_that_move_without_change_are_not_told_again() {
        let (mut lineup, mut out) = (Lineup::default(), Vec::new());
        lineup.follow(&[5], &mut out);
        lineup.receive(5, track(48), &mut out);
        lineup.receive(5, unit(0), &mut out);
        lineup.follow(&[7], &mut out);
        lineup.receive(5, unit(10), &mut out);
        lineup.receive(7, track(48), &mut out);
        lineup.receive(7, unit(20), &mut out);
        assert_eq!(words(&mut out), ["48", "0@0", "0@20"]);
    }

    #[test]
    fn a_new_stream_does_not_hold_the_programme_up() {
        let (mut lineup, mut out) = (Lineup::default(), Vec::new());
        lineup.follow(&[5, 6], &mut out);
        [(5, track(48)), (6, track(32)), (6, unit(0))].into_iter().for_each(|(id, made)| lineup.receive(id, made, &mut out));
        lineup.follow(&[5, 7], &mut out);
        lineup.receive(5, unit(10), &mut out);
        [(7, track(16)), (7, unit(20))].into_iter().for_each(|(id, made)| lineup.receive(id, made, &mut out));
        assert_eq!(words(&mut out), ["48+32", "1@0", "48", "0@10", "48+16", "1@20"]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let (mut lineup, mut out) = (Lineup::default(), Vec::new());
        lineup.follow(&[5, 6], &mut out);
        lineup.receive(6, track(48), &mut out);
        (0..HELD_UNITS).for_each(|_| lineup.receive(6, unit(0), &mut out));
        assert_eq!(words(&mut out).len(), HELD_UNITS + 1);
    }
}
