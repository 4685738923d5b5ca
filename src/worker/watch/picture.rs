//! Frozen and black pictures.

use crate::base::{MediaTime, Ticks};
use crate::codec::software::LumaGrid;
use crate::codec::{Frame, Surface};
use crate::wire::link::Watch;

use super::condition::{Condition, Lasting};

/// A look takes a quarter of a millisecond; more of them than this a second would find nothing more.
const LOOK_EVERY: Ticks = Ticks::from_millis(150);
/// A single cell is a defect; the smallest digit of a clock moves more.
const CHANGED_CELLS: usize = 2;
/// A black picture may show a small logo.
const BLACK_PART: f64 = 0.98;

/// Watches the pictures of one input after the other.
///
/// A picture is compared with the one that the stillness began with, not with the one before it, so that slow fades count as motion.
/// It is compared cell by cell: the mean of a cell evens out noise, while a clock in a corner changes its few cells beyond it.
#[derive(Debug)]
pub(in crate::worker) struct PictureWatch {
    /// In 256ths of a level.
    noise: u16,
    black_luma: f32,
    /// The input has pictures.
    active: bool,
    looked: Option<MediaTime>,
    reference: LumaGrid,
    current: LumaGrid,
    frozen: Condition,
    black: Condition,
}

impl PictureWatch {
    pub(in crate::worker) fn new(watch: &Watch) -> PictureWatch {
        PictureWatch {
            noise: (watch.freeze_noise * 255.0 * 256.0).clamp(0.0, f32::from(u16::MAX)) as u16,
            black_luma: watch.black_luma,
            active: false,
            looked: None,
            reference: LumaGrid::default(),
            current: LumaGrid::default(),
            frozen: Condition::new(watch.freeze_after),
            black: Condition::new(watch.black_after),
        }
    }

    /// Another input, or none: nothing of the one before counts any longer.
    pub(in crate::worker) fn begin(&mut self, active: bool) {
        self.active = active;
        self.restart();
    }

    /// A decoded picture, shown or not.
    pub(in crate::worker) fn picture(&mut self, frame: &Frame) {
        let wanted = self.active && (self.frozen.is_wanted() || self.black.is_wanted());
        if !wanted || !self.is_due(frame.pts) {
            return;
        }
        let Surface::Host(picture) = &frame.surface else { return };
        if !self.current.read(picture) {
            return self.restart();
        }
        let black = self.is_black(frame.color.full_range);
        let first = self.looked.replace(frame.pts).is_none();
        if first || self.has_changed() {
            std::mem::swap(&mut self.reference, &mut self.current);
            self.frozen.ends();
        }
        self.frozen.holds(frame.pts, frame.pts);
        match black {
            true => self.black.holds(frame.pts, frame.pts),
            false => self.black.ends(),
        }
    }

    /// The clock has come to `to`: pictures that do not come do not move either.
    pub(in crate::worker) fn advance(&mut self, to: MediaTime) {
        if self.active {
            self.frozen.holds(to, to);
        }
    }

    /// Frozen and black.
    pub(in crate::worker) fn told(&self) -> (Lasting, Lasting) {
        (self.frozen.told(), self.black.told())
    }

    fn restart(&mut self) {
        self.looked = None;
        self.frozen.ends();
        self.black.ends();
    }

    fn is_due(&mut self, pts: MediaTime) -> bool {
        match self.looked {
            Some(looked) if pts < looked => {
                self.restart();
                true
            }
            Some(looked) => Ticks(pts.0.saturating_sub(looked.0)) >= LOOK_EVERY,
            None => true,
        }
    }

    fn has_changed(&self) -> bool {
        let (before, now) = (self.reference.cells(), self.current.cells());
        let changed = before.iter().zip(now).filter(|(before, now)| before.abs_diff(**now) > self.noise);
        before.len() != now.len() || changed.take(CHANGED_CELLS).count() == CHANGED_CELLS
    }

    fn is_black(&self, full_range: bool) -> bool {
        let (black, range) = if full_range { (0.0, 255.0) } else { (16.0, 219.0) };
        let limit = ((black + self.black_luma * range) * 256.0).clamp(0.0, f32::from(u16::MAX)) as u16;
        let cells = self.current.cells();
        let dark = cells.iter().filter(|cell| **cell <= limit).count();
        dark as f64 >= cells.len() as f64 * BLACK_PART
    }
}

#[cfg(test)]
mod tests;
