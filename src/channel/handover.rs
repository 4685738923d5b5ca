//! A planned change of workers at a segment's boundary: the old one puts out everything before it, the new one begins with it.
//!
//! The old worker is sent its input until every track is beyond the boundary, by enough for the decoders to give away what lies
//! before it, or until the programme itself is to be made up to there. It then drains, and the new one starts from the replay. What
//! the new one puts out meanwhile waits here, so that packets are taken in the order of the programme.

use bytes::Bytes;

use crate::base::{MediaTime, Ticks};
use crate::channel::replay::Item;
use crate::wire::link::{FromWorker, ToWorker};

/// Sound reaches this far beyond the boundary before the old worker drains: its decoder and resampler hold less.
const MARGIN: Ticks = Ticks::from_millis(150);
/// Messages of the new worker that wait for the old one to drain: seconds of a large ladder.
const EARLY_MESSAGES: usize = 8_192;

#[derive(Debug)]
enum Stage {
    /// The old worker is sent its input; the newest decode time of each track so far.
    Approach { tracks: Vec<Option<MediaTime>> },
    /// What it is still to be told, last one first.
    Farewell(Vec<ToWorker>),
    /// It was told all; the new one is at work.
    Parted,
}

/// A change of workers under way.
#[derive(Debug)]
pub struct Handover {
    at: MediaTime,
    stage: Stage,
    early: Vec<(FromWorker, Bytes)>,
}

impl Handover {
    /// A change at the instant `at`, a segment's start that the old worker has not been told to reach yet, with `tracks` tracks.
    pub fn new(at: MediaTime, tracks: usize) -> Handover {
        Handover { at, stage: Stage::Approach { tracks: vec![None; tracks] }, early: Vec::new() }
    }

    /// The boundary.
    pub fn at(&self) -> MediaTime {
        self.at
    }

    /// The old worker is sent `item`.
    pub fn sends(&mut self, item: &Item) {
        let Stage::Approach { tracks } = &mut self.stage else { return };
        match item {
            Item::Tracks(now) => *tracks = vec![None; now.len()],
            Item::End => tracks.clear(),
            Item::Unit(unit, _) => {
                if let Some(newest) = tracks.get_mut(usize::from(unit.track)) {
                    *newest = Some(unit.dts).max(*newest);
                }
            }
        }
    }

    /// Everything that is here was sent, and the programme is made up to `advance_to`: the old worker parts if it can.
    pub fn look(&mut self, advance_to: MediaTime) {
        let Stage::Approach { tracks } = &self.stage else { return };
        let is_beyond = |newest: &Option<MediaTime>| newest.is_some_and(|newest| newest >= self.at + MARGIN);
        let by_input = !tracks.is_empty() && tracks.iter().all(is_beyond);
        if by_input {
            // The end of its input makes the decoders give away what they hold before the rest is filled up.
            self.stage = Stage::Farewell(vec![ToWorker::Drain, ToWorker::Advance { to: self.at }, ToWorker::InputEnd]);
        } else if advance_to >= self.at {
            self.stage = Stage::Farewell(vec![ToWorker::Drain, ToWorker::Advance { to: self.at }]);
        }
    }

    /// What the old worker is still to be told; after the last of it, [`Handover::has_parted`].
    pub fn farewell(&mut self) -> Option<ToWorker> {
        let Stage::Farewell(left) = &mut self.stage else { return None };
        let message = left.pop();
        if left.is_empty() {
            self.stage = Stage::Parted;
        }
        message
    }

    /// Whether the old worker was told all: messages are the new one's.
    pub fn has_parted(&self) -> bool {
        matches!(self.stage, Stage::Parted)
    }

    /// Whether a packet of the old worker is wanted.
    pub fn takes_from_the_old(&self, message: &FromWorker) -> bool {
        matches!(message, FromWorker::Packet { pts, .. } if *pts < self.at)
    }

    /// Keeps what the new worker says; false when that is too much.
    pub fn keep(&mut self, message: FromWorker, payload: Bytes) -> bool {
        self.early.push((message, payload));
        self.early.len() < EARLY_MESSAGES
    }

    /// What the new worker has said so far, in order.
    pub fn into_early(self) -> Vec<(FromWorker, Bytes)> {
        self.early
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::AccessUnit;

    fn at(millis: i64) -> MediaTime {
        MediaTime(Ticks::from_millis(millis).0)
    }

    fn unit(track: u8, millis: i64) -> Item {
        Item::Unit(AccessUnit { track, pts: at(millis), dts: at(millis), entry: false, data: Bytes::new() }, track == 0)
    }

    fn farewell(handover: &mut Handover) -> Vec<ToWorker> {
        std::iter::from_fn(|| handover.farewell()).collect()
    }

    #[test]
    fn the_old_worker_parts_when_every_track_is_beyond_the_boundary() {
        let mut handover = Handover::new(at(4_000), 2);
        for millis in (3_000..=4_150).step_by(10) {
            handover.look(at(millis - 1_000));
            handover.sends(&unit(0, millis));
        }
        handover.look(at(3_160));
        handover.sends(&unit(1, 4_140));
        handover.look(at(3_160));
        assert_eq!(handover.farewell(), None, "the sound is not there yet");
        handover.sends(&unit(1, 4_150));
        handover.look(at(3_160));
        assert!(!handover.has_parted());
        assert_eq!(farewell(&mut handover), [ToWorker::InputEnd, ToWorker::Advance { to: at(4_000) }, ToWorker::Drain]);
        assert!(handover.has_parted());
    }

    #[test]
    fn without_input_the_clock_decides() {
        let mut handover = Handover::new(at(4_000), 1);
        handover.sends(&unit(0, 3_000));
        handover.look(at(3_999));
        assert_eq!(handover.farewell(), None);
        handover.look(at(4_000));
        assert_eq!(farewell(&mut handover), [ToWorker::Advance { to: at(4_000) }, ToWorker::Drain], "what is held is held on");
    }
}
