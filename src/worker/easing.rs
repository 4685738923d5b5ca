//! What of each rung is left out, slot by slot, while less is made of it than its settings say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::captions::{Captions, most_triplets};
use crate::base::Rate;
use crate::media::{Grid, Slot};
use crate::wire::link::Easing;

/// What the front wishes for each rung: written by whoever reads the link, read by the video thread. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Wishes(Arc<[AtomicU32]>);

impl Wishes {
    pub(crate) fn new(rungs: usize) -> Wishes {
        Wishes((0..rungs).map(|_| AtomicU32::new(Easing::default().to_word())).collect())
    }

    /// The wish for a rung; rungs without pictures have none.
    pub(crate) fn set(&self, rung: u8, easing: Easing) {
        if let Some(wish) = self.0.get(usize::from(rung)) {
            wish.store(easing.to_word(), Ordering::Relaxed);
        }
    }
}

/// How a picture is to be encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effort {
    /// By a preset so many faster than the rung's own.
    pub(crate) faster: u8,
    /// The rung was left out before this picture: its encoder remembers pictures of long ago.
    pub(crate) anew: bool,
}

/// One rung.
#[derive(Debug, Default)]
struct Eased {
    now: Easing,
    newest: Option<Slot>,
    effort: Effort,
    /// Those of slots that were left out.
    captions: Captions,
}

/// All rungs, as they are made now.
#[derive(Debug)]
pub(crate) struct Easings {
    grid: Grid,
    wishes: Wishes,
    rungs: Vec<Eased>,
}

impl Easings {
    /// Rungs of which everything is made until something else is wished.
    pub(crate) fn new(grid: Grid, wishes: Wishes) -> Easings {
        let rungs = wishes.0.iter().map(|_| Eased::default()).collect();
        Easings { grid, wishes, rungs }
    }

    /// Takes wishes up as far as they can be met in `slot`, an IDR where `key`; which rungs are made otherwise from here on.
    pub(crate) fn begin(&mut self, slot: Slot, key: bool) -> Vec<(u8, Easing)> {
        let mut changed = Vec::new();
        for (number, (rung, wish)) in self.rungs.iter_mut().zip(self.wishes.0.iter()).enumerate() {
            let wish = Easing::from_word(wish.load(Ordering::Relaxed));
            let before = rung.now;
            rung.effort.anew = false;
            if wish.off {
                rung.now.off = true;
            } else if before.off && self.grid.is_cut(slot) {
                // Half a segment would be of no use.
                rung.now.off = false;
                rung.effort.anew = true;
            }
            if !rung.now.off {
                rung.now.halved = wish.halved;
                if key {
                    rung.now.faster = wish.faster;
                    rung.effort.faster = wish.faster;
                }
            }
            if rung.now != before {
                changed.push((number as u8, rung.now));
            }
        }
        changed
    }

    /// Whether nothing is made of a rung.
    pub(crate) fn is_off(&self, rung: usize) -> bool {
        self.rungs.get(rung).is_some_and(|rung| rung.now.off)
    }

    /// How a rung's picture of `slot` is to be encoded and with which captions; none where the rung leaves it out. An IDR it only leaves
    /// out where it leaves everything out.
    pub(crate) fn turn(&mut self, rung: usize, slot: Slot, key: bool, captions: &Bytes) -> Option<(Effort, Bytes)> {
        let rate = self.grid.rate;
        let Some(rung) = self.rungs.get_mut(rung) else { return Some((Effort::default(), captions.clone())) };
        if rung.now.off {
            rung.captions.clear();
            return None;
        }
        // Counted from its newest picture and not by even slots: those may be the very ones that are left out on all rungs.
        let is_near = rung.newest.is_some_and(|newest| slot.0 - newest.0 < 2);
        if rung.now.halved && !key && is_near {
            rung.captions.keep(captions);
            return None;
        }
        rung.newest = Some(slot);
        let captions = match rung.now.halved || !rung.captions.is_empty() {
            false => captions.clone(),
            true => {
                let halves = if rung.now.halved { 2 } else { 1 };
                rung.captions.keep(captions);
                rung.captions.take(most_triplets(Rate { denominator: rate.denominator.saturating_mul(halves), ..rate }))
            }
        };
        Some((rung.effort, captions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rate;

    const GRID: Grid = Grid { rate: Rate::new(25, 1), gop_slots: 5, segment_slots: 10 };

    /// Slots `from..to` of rung 0 that are encoded, and what changed on the way.
    fn encoded(easings: &mut Easings, from: i64, to: i64) -> (Vec<i64>, Vec<(i64, Easing)>) {
        let (mut slots, mut changes) = (Vec::new(), Vec::new());
        for slot in from..to {
            let key = GRID.is_key(Slot(slot));
            changes.extend(easings.begin(Slot(slot), key).into_iter().filter(|(rung, _)| *rung == 0).map(|(_, easing)| (slot, easing)));
            slots.extend(easings.turn(0, Slot(slot), key, &Bytes::new()).map(|_| slot));
        }
        (slots, changes)
    }

    fn two_rungs() -> (Wishes, Easings) {
        let wishes = Wishes::new(2);
        (wishes.clone(), Easings::new(GRID, wishes))
    }

    #[test]
    fn half_the_pictures_go_at_once_and_idrs_never() {
        let (wishes, mut easings) = two_rungs();
        assert_eq!(encoded(&mut easings, 0, 3).0, [0, 1, 2]);
        wishes.set(0, Easing { halved: true, ..Easing::default() });
        let (slots, changes) = encoded(&mut easings, 3, 12);
        assert_eq!(slots, [4, 5, 7, 9, 10]);
        assert_eq!(changes, [(3, Easing { halved: true, ..Easing::default() })]);
        assert!(easings.turn(1, Slot(12), false, &Bytes::new()).is_some(), "the other rung keeps all");
    }

    #[test]
    fn a_rung_is_left_out_at_once_and_is_back_with_a_segment() {
        let (wishes, mut easings) = two_rungs();
        encoded(&mut easings, 0, 3);
        wishes.set(0, Easing { off: true, faster: 2, ..Easing::default() });
        assert_eq!(encoded(&mut easings, 3, 13).0, [0; 0]);
        wishes.set(0, Easing { faster: 2, ..Easing::default() });
        let (slots, changes) = encoded(&mut easings, 13, 22);
        assert_eq!((slots, changes), (vec![20, 21], vec![(20, Easing { faster: 2, ..Easing::default() })]));
    }

    #[test]
    fn a_rung_that_is_back_begins_with_a_new_encoder_and_the_wished_preset() {
        let (wishes, mut easings) = two_rungs();
        wishes.set(0, Easing { off: true, ..Easing::default() });
        encoded(&mut easings, 0, 10);
        wishes.set(0, Easing { faster: 1, ..Easing::default() });
        easings.begin(Slot(10), true);
        assert_eq!(easings.turn(0, Slot(10), true, &Bytes::new()).map(|(effort, _)| effort), Some(Effort { faster: 1, anew: true }));
        easings.begin(Slot(11), false);
        assert_eq!(easings.turn(0, Slot(11), false, &Bytes::new()).map(|(effort, _)| effort), Some(Effort { faster: 1, anew: false }));
    }

    #[test]
    fn another_preset_waits_for_an_idr() {
        let (wishes, mut easings) = two_rungs();
        encoded(&mut easings, 0, 2);
        wishes.set(0, Easing { faster: 1, ..Easing::default() });
        assert_eq!(encoded(&mut easings, 2, 7).1, [(5, Easing { faster: 1, ..Easing::default() })]);
    }

    /// What the pictures of slots `from..to` of rung 0 carry, of a source that has so many triplets of two fields of line 21 and of DTVCC in each
    /// picture, and as much padding.
    fn carried(easings: &mut Easings, from: i64, to: i64, dtvcc: usize) -> Vec<Bytes> {
        let triplets = |slot: i64| -> Bytes {
            let line_21 = [[0xFC, 0x80 | slot as u8, 0], [0xFD, 0x80 | slot as u8, 1]];
            let packets = (0..dtvcc).map(|n| [0xFE, slot as u8, n as u8]);
            line_21.into_iter().chain(packets).chain((0..dtvcc).map(|_| [0xFA, 0, 0])).flatten().collect()
        };
        let mut pictures = Vec::new();
        for slot in from..to {
            let key = GRID.is_key(Slot(slot));
            easings.begin(Slot(slot), key);
            pictures.extend(easings.turn(0, Slot(slot), key, &triplets(slot)).map(|(_, captions)| captions));
        }
        pictures
    }

    /// The slots and numbers of the valid DTVCC triplets.
    fn dtvcc(pictures: &[Bytes]) -> Vec<(u8, u8)> {
        let triplets = pictures.iter().flat_map(|picture| picture.chunks_exact(3));
        triplets.filter(|triplet| triplet[0] == 0xFE).map(|triplet| (triplet[1], triplet[2])).collect()
    }

    #[test]
    fn a_rung_of_half_the_pictures_loses_no_caption_and_doubles_none() {
        let (wishes, mut easings) = two_rungs();
        let untouched = carried(&mut easings, 0, 5, 4);
        assert!(untouched.iter().all(|captions| captions.len() == 10 * 3), "with the padding of the source");
        wishes.set(0, Easing { halved: true, ..Easing::default() });
        // 40 triplets in two pictures: more than one may hold.
        let busy = carried(&mut easings, 5, 25, 18);
        assert!(
            busy.len() < 15 && busy.iter().all(|captions| captions.len() <= 31 * 3),
            "{:?}",
            busy.iter().map(Bytes::len).collect::<Vec<_>>()
        );
        let quiet = carried(&mut easings, 25, 41, 0);
        wishes.set(0, Easing::default());
        let full = carried(&mut easings, 41, 46, 4);
        let all: Vec<Bytes> = [busy, quiet, full].concat();
        let expected: Vec<(u8, u8)> = (5..25)
            .flat_map(|slot| (0..18).map(move |n| (slot, n)))
            .chain((41..46).flat_map(|slot| (0..4).map(move |n| (slot, n))))
            .collect();
        assert_eq!(dtvcc(&all), expected);
        let fields: usize =
            all.iter().flat_map(|picture| picture.chunks_exact(3)).filter(|triplet| triplet[0] < 0xFE && triplet[0] >= 0xFC).count();
        assert_eq!(fields, 2 * (46 - 5));
        let valid = |picture: &Bytes| picture.chunks_exact(3).map(|triplet| triplet[0]).filter(|first| first & 4 != 0).collect::<Vec<_>>();
        assert!(all.iter().all(|picture| valid(picture).is_sorted_by_key(|first| *first == 0xFE)), "line 21 comes first");
    }

    #[test]
    fn what_is_left_over_goes_with_full_pictures_no_faster_than_they_may_hold_it() {
        let (wishes, mut easings) = two_rungs();
        wishes.set(0, Easing { halved: true, ..Easing::default() });
        let busy = carried(&mut easings, 0, 20, 22);
        wishes.set(0, Easing::default());
        let full = carried(&mut easings, 20, 60, 10);
        assert!(full.iter().all(|captions| captions.len() <= 24 * 3), "600 triplets a second");
        assert_eq!(dtvcc(&[busy, full].concat()).len(), 20 * 22 + 40 * 10);
    }
}
