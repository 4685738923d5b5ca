//! What of each rung is left out, slot by slot, while less is made of it than its settings say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Bytes, BytesMut};

use crate::media::{Grid, Slot};
use crate::wire::link::Easing;

/// Caption bytes of slots that a rung leaves out, kept for its next picture: one picture's worth.
const MAX_CAPTION_BYTES: usize = 93;

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
    captions: BytesMut,
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
        let Some(rung) = self.rungs.get_mut(rung) else { return Some((Effort::default(), captions.clone())) };
        if rung.now.off {
            rung.captions.clear();
            return None;
        }
        // Counted from its newest picture and not by even slots: those may be the very ones that are left out on all rungs.
        let is_near = rung.newest.is_some_and(|newest| slot.0 - newest.0 < 2);
        if rung.now.halved && !key && is_near {
            let room = MAX_CAPTION_BYTES.saturating_sub(rung.captions.len()).min(captions.len());
            rung.captions.extend_from_slice(captions.get(..room).unwrap_or_default());
            return None;
        }
        rung.newest = Some(slot);
        let captions = match rung.captions.is_empty() {
            true => captions.clone(),
            false => {
                let mut both = rung.captions.split();
                both.extend_from_slice(captions);
                both.freeze()
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

    #[test]
    fn captions_of_slots_that_are_left_out_come_with_the_next_picture() {
        let (wishes, mut easings) = two_rungs();
        wishes.set(0, Easing { halved: true, ..Easing::default() });
        easings.begin(Slot(0), true);
        let turn = |easings: &mut Easings, slot: i64, text: &'static str| {
            easings.turn(0, Slot(slot), slot == 0, &Bytes::from_static(text.as_bytes())).map(|(_, captions)| captions)
        };
        assert_eq!(turn(&mut easings, 0, "a").as_deref(), Some(&b"a"[..]));
        assert_eq!(turn(&mut easings, 1, "b"), None);
        assert_eq!(turn(&mut easings, 2, "c").as_deref(), Some(&b"bc"[..]));
        assert_eq!(turn(&mut easings, 3, "d"), None);
        easings.begin(Slot(5), true);
        assert_eq!(easings.turn(0, Slot(5), true, &Bytes::from_static(b"e")).map(|(_, captions)| captions).as_deref(), Some(&b"de"[..]));
    }
}
