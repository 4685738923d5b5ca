//! From decoded pictures at any time to the frame grid: every slot is put out exactly once, in order.
//!
//! A picture goes to the slot nearest to its time. A hole before it, or before the instant that an `Advance` names, is
//! covered by the picture before for up to `hold`, then by the fill (pattern or slate). A picture whose slot is out
//! already is late: it is not shown by itself, but it is what is held from then on. That is also how a replacement worker resumes:
//! pictures before its first slot are late. In files holes are covered by the picture before, however long, and fill never shows.

use crate::base::{MediaTime, Ticks};
use crate::media::{Grid, Slot};

/// What a slot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show<P> {
    /// A picture of the input, for the first time.
    Picture(P),
    /// The picture before, once more.
    Hold(P),
    /// The pattern or the slate.
    Fill,
}

/// What became of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It has a slot.
    Shown,
    /// Its slot was out already.
    Late,
}

/// The grid of one channel and how far it is put out.
#[derive(Debug)]
pub struct Conform<P> {
    grid: Grid,
    next: Slot,
    hold: Ticks,
    live: bool,
    /// The newest picture of the input and the beginning of its slot.
    last: Option<(MediaTime, P)>,
}

impl<P: Clone> Conform<P> {
    /// Begins with `start`. A picture is held for up to `hold` after its own slot; not `live` means a file.
    pub fn new(grid: Grid, start: Slot, hold: Ticks, live: bool) -> Conform<P> {
        Conform { grid, next: start, hold, live, last: None }
    }

    /// The next slot to be put out.
    pub fn next(&self) -> Slot {
        self.next
    }

    /// A picture of the input, in presentation order; `emit` gets its slot and the hole before it.
    pub fn picture<E>(&mut self, pts: MediaTime, picture: P, emit: &mut impl FnMut(Slot, Show<P>) -> Result<(), E>) -> Result<Placed, E> {
        let slot = self.grid.nearest(pts);
        let begins = self.grid.start(slot);
        if slot < self.next {
            if self.last.as_ref().is_none_or(|(last, _)| *last <= begins) {
                self.last = Some((begins, picture));
            }
            return Ok(Placed::Late);
        }
        if !self.live && self.last.is_none() {
            // A file whose pictures begin later than the file begins with its first picture.
            self.last = Some((begins, picture.clone()));
        }
        while self.next < slot {
            self.cover(emit)?;
        }
        self.last = Some((begins, picture.clone()));
        self.step(Show::Picture(picture), emit)?;
        Ok(Placed::Shown)
    }

    /// Puts out every slot that begins before `to`. Files know no time but their pictures'.
    pub fn advance<E>(&mut self, to: MediaTime, emit: &mut impl FnMut(Slot, Show<P>) -> Result<(), E>) -> Result<(), E> {
        while self.live && self.grid.start(self.next) < to {
            self.cover(emit)?;
        }
        Ok(())
    }

    /// The input has ended: nothing of it is held any longer.
    pub fn end(&mut self) {
        self.last = None;
    }

    fn cover<E>(&mut self, emit: &mut impl FnMut(Slot, Show<P>) -> Result<(), E>) -> Result<(), E> {
        let begins = self.grid.start(self.next);
        let held_until = |last: MediaTime| MediaTime(last.0.saturating_add(self.grid.rate.period().0).saturating_add(self.hold.0));
        let show = match &self.last {
            Some((last, picture)) if !self.live || begins < held_until(*last) => Show::Hold(picture.clone()),
            _ => {
                self.last = None;
                Show::Fill
            }
        };
        self.step(show, emit)
    }

    fn step<E>(&mut self, show: Show<P>, emit: &mut impl FnMut(Slot, Show<P>) -> Result<(), E>) -> Result<(), E> {
        let slot = self.next;
        self.next = Slot(slot.0 + 1);
        emit(slot, show)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rate;
    use proptest::prelude::*;
    use std::convert::Infallible;

    const PERIOD: i64 = 28_224_000;

    fn grid() -> Grid {
        Grid { rate: Rate::new(25, 1), gop_slots: 50, segment_slots: 150 }
    }

    /// A conform whose output is written down; pictures are numbered by the slot they were meant for.
    struct Story {
        conform: Conform<i64>,
        out: Vec<(i64, Show<i64>)>,
    }

    impl Story {
        fn new(start: i64, hold_slots: i64, live: bool) -> Story {
            Story { conform: Conform::new(grid(), Slot(start), Ticks(hold_slots * PERIOD), live), out: Vec::new() }
        }

        fn picture(&mut self, slot: i64, off: i64) -> Placed {
            let out = &mut self.out;
            let mut emit = |slot: Slot, show| -> Result<(), Infallible> {
                out.push((slot.0, show));
                Ok(())
            };
            self.conform.picture(MediaTime(slot * PERIOD + off), slot, &mut emit).unwrap()
        }

        fn advance(&mut self, slot: i64) {
            let out = &mut self.out;
            let mut emit = |slot: Slot, show| -> Result<(), Infallible> {
                out.push((slot.0, show));
                Ok(())
            };
            self.conform.advance(MediaTime(slot * PERIOD), &mut emit).unwrap();
        }
    }

    #[test]
    fn jitter_of_less_than_half_a_slot_changes_nothing() {
        let mut story = Story::new(10, 5, true);
        for (slot, off) in [(10, -PERIOD / 3), (11, PERIOD / 3), (12, 0), (13, -PERIOD / 2)] {
            story.picture(slot, off);
        }
        assert_eq!(story.out, [10, 11, 12, 13].map(|slot| (slot, Show::Picture(slot))));
    }

    #[test]
    fn a_hole_is_held_then_filled_until_the_picture_after_it() {
        let mut story = Story::new(0, 2, true);
        story.picture(0, 0);
        story.picture(5, 0);
        use Show::{Fill, Hold, Picture};
        assert_eq!(story.out, [(0, Picture(0)), (1, Hold(0)), (2, Hold(0)), (3, Fill), (4, Fill), (5, Picture(5))]);
    }

    #[test]
    fn after_the_end_of_the_input_fill_shows_at_once() {
        let mut story = Story::new(0, 25, true);
        story.picture(0, 0);
        story.conform.end();
        story.advance(3);
        assert_eq!(story.out, [(0, Show::Picture(0)), (1, Show::Fill), (2, Show::Fill)]);
    }

    #[test]
    fn a_replacement_puts_out_nothing_before_its_start_but_holds_what_was_there() {
        let mut story = Story::new(100, 25, true);
        assert_eq!((story.picture(98, 0), story.picture(99, 0)), (Placed::Late, Placed::Late));
        story.advance(102);
        story.picture(102, 0);
        assert_eq!(story.out, [(100, Show::Hold(99)), (101, Show::Hold(99)), (102, Show::Picture(102))]);
    }

    #[test]
    fn a_file_never_shows_fill() {
        let mut story = Story::new(0, 1, false);
        story.picture(3, 0);
        story.picture(90, 0);
        story.advance(500);
        assert_eq!(story.out.len(), 91);
        assert!(story.out.iter().all(|(_, show)| *show != Show::Fill));
        assert_eq!(story.out[0], (0, Show::Hold(3)));
    }

    #[test]
    fn of_two_pictures_in_a_slot_the_first_is_shown() {
        let mut story = Story::new(0, 5, true);
        story.picture(0, 0);
        assert_eq!(story.picture(0, PERIOD / 4), Placed::Late);
        assert_eq!(story.out, [(0, Show::Picture(0))]);
    }

    #[derive(Clone, Debug)]
    enum Event {
        Picture(i64),
        Advance(i64),
        End,
    }

    proptest! {
        #[test]
        fn every_slot_comes_once_in_order_whatever_happens(
            events in prop::collection::vec(prop_oneof![
                6 => (-200i64..3000).prop_map(Event::Picture),
                3 => (-200i64..3000).prop_map(Event::Advance),
                1 => Just(Event::End),
            ], 0..120),
            live: bool, start in -50i64..50, hold in 0i64..10, eighths in -3i64..4,
        ) {
            let mut story = Story::new(start, hold, live);
            let mut furthest = start;
            for event in events {
                match event {
                    Event::Picture(slot) => {
                        let late = story.picture(slot, eighths * PERIOD / 8) == Placed::Late;
                        prop_assert_eq!(late, slot < furthest);
                        furthest = furthest.max(slot + 1);
                    }
                    Event::Advance(slot) => {
                        story.advance(slot);
                        furthest = if live { furthest.max(slot) } else { furthest };
                    }
                    Event::End => story.conform.end(),
                }
            }
            let slots: Vec<i64> = story.out.iter().map(|(slot, _)| *slot).collect();
            prop_assert_eq!(slots, (start..furthest).collect::<Vec<i64>>());
            for (slot, show) in &story.out {
                match show {
                    Show::Picture(picture) => prop_assert_eq!(picture, slot),
                    Show::Hold(picture) => prop_assert!(!live || slot - picture <= hold),
                    Show::Fill => prop_assert!(live),
                }
            }
        }
    }
}
