//! Frozen and black pictures.

use crate::base::{MediaTime, Ticks};
use crate::codec::nvidia::ladder::luma::Thresholds;
use crate::codec::nvidia::{CellCounts, CudaSurface, DeviceLuma};
use crate::codec::software::LumaGrid;
use crate::codec::{CodecError, Frame, Surface};
use crate::wire::link::Watch;

use super::condition::{Condition, Lasting};

/// A look takes a quarter of a millisecond; more of them than this a second would find nothing more.
const LOOK_EVERY: Ticks = Ticks::from_millis(150);
/// A single cell is a defect; the smallest digit of a clock moves more.
const CHANGED_CELLS: u32 = 2;
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
    /// Looks at pictures in device memory, where there are such.
    device: Option<DeviceLuma>,
    /// The picture that the device looks at, and whether it is the first.
    pending: Option<(MediaTime, bool)>,
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
            device: None,
            pending: None,
            frozen: Condition::new(watch.freeze_after),
            black: Condition::new(watch.black_after),
        }
    }

    /// Also watches pictures in device memory.
    pub(in crate::worker) fn with_device(self, device: DeviceLuma) -> PictureWatch {
        PictureWatch { device: Some(device), ..self }
    }

    /// Another input, or none: nothing of the one before counts any longer.
    pub(in crate::worker) fn begin(&mut self, active: bool) {
        self.active = active;
        self.restart();
    }

    /// A decoded picture, shown or not. Pictures on a device are looked at there: what was seen counts a picture later.
    pub(in crate::worker) fn picture(&mut self, frame: &Frame) -> Result<(), CodecError> {
        self.settle()?;
        let wanted = self.active && (self.frozen.is_wanted() || self.black.is_wanted());
        if !wanted || !self.is_due(frame.pts) {
            return Ok(());
        }
        let dark = self.dark_limit(frame.color.full_range);
        match (&frame.surface, &mut self.device) {
            (Surface::Host(picture), _) if self.current.read(picture) => self.seen_on_host(frame.pts, dark),
            (Surface::Host(_), _) => self.restart(),
            (Surface::Cuda(CudaSurface::Ladder(ladder)), Some(device)) => {
                if device.look(ladder, Thresholds { noise: self.noise, dark })? {
                    self.pending = Some((frame.pts, self.looked.replace(frame.pts).is_none()));
                }
            }
            (Surface::Cuda(_), _) => {}
        }
        Ok(())
    }

    fn seen_on_host(&mut self, pts: MediaTime, dark: u16) {
        let first = self.looked.replace(pts).is_none();
        let cells = self.current.cells();
        let counts = CellCounts {
            cells: cells.len() as u32,
            changed: self.changed_cells(),
            dark: cells.iter().filter(|cell| **cell <= dark).count() as u32,
        };
        if self.judge(pts, first, &counts) {
            std::mem::swap(&mut self.reference, &mut self.current);
        }
    }

    /// Takes what the device has seen of an earlier picture.
    fn settle(&mut self) -> Result<(), CodecError> {
        let Some(counts) = self.device.as_mut().map_or(Ok(None), DeviceLuma::seen)? else { return Ok(()) };
        let Some((pts, first)) = self.pending.take() else { return Ok(()) };
        if self.judge(pts, first, &counts)
            && let Some(device) = &mut self.device
        {
            device.keep();
        }
        Ok(())
    }

    /// What a picture means; whether later ones are compared with it.
    fn judge(&mut self, pts: MediaTime, first: bool, counts: &CellCounts) -> bool {
        let moved = first || counts.changed >= CHANGED_CELLS;
        if moved {
            self.frozen.ends();
        }
        self.frozen.holds(pts, pts);
        match f64::from(counts.dark) >= f64::from(counts.cells) * BLACK_PART {
            true => self.black.holds(pts, pts),
            false => self.black.ends(),
        }
        moved
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
        (self.looked, self.pending) = (None, None);
        if let Some(device) = &mut self.device {
            device.forget();
        }
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

    /// All of them where the grid is another.
    fn changed_cells(&self) -> u32 {
        let (before, now) = (self.reference.cells(), self.current.cells());
        match before.len() == now.len() {
            true => before.iter().zip(now).filter(|(before, now)| before.abs_diff(**now) > self.noise).count() as u32,
            false => now.len() as u32,
        }
    }

    /// Up to this a cell is dark, in 256ths of a level.
    fn dark_limit(&self, full_range: bool) -> u16 {
        let (black, range) = if full_range { (0.0, 255.0) } else { (16.0, 219.0) };
        ((black + self.black_luma * range) * 256.0).clamp(0.0, f32::from(u16::MAX)) as u16
    }
}

#[cfg(test)]
mod tests;
