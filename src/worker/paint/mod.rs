//! What shows where there is no input: the test pattern with its running clock, or the slate.
//!
//! A slot always shows the same picture, whichever worker paints it. The still parts are painted once; a picture of the
//! pattern is a copy of them with the moving parts on top.

mod canvas;
mod font;

use std::sync::Arc;

use crate::base::{FLICKS_PER_SECOND, Ticks};
use crate::codec::{Attached, Color, Frame, HostPicture, Planar, PlanarPool, Surface};
use crate::media::{Grid, Slot};
use crate::wire::link::Fill;

use canvas::{Rect, fill, gray, rgb, text_height, text_width, write};

/// Pictures that are kept for reuse.
const POOLED: usize = 4;
/// Seconds in which the moving box crosses the picture.
const CROSSING_SECONDS: i64 = 4;

/// Paints slots in the top rung's size.
#[derive(Debug)]
pub struct Painter {
    kind: Fill,
    grid: Grid,
    color: Color,
    width: usize,
    height: usize,
    name: String,
    text: String,
    pool: PlanarPool,
    still: Option<Arc<Planar>>,
}

impl Painter {
    /// A painter of pictures of `size` for the channel of this name, with a line of text unless it is empty.
    pub fn new(kind: Fill, name: &str, text: &str, size: (u32, u32), color: Color, grid: Grid) -> Painter {
        let pool = PlanarPool::new(size.0, size.1, POOLED);
        Painter {
            kind,
            grid,
            color,
            width: size.0 as usize,
            height: size.1 as usize,
            name: name.to_owned(),
            text: text.to_owned(),
            pool,
            still: None,
        }
    }

    /// The picture of a slot.
    pub fn paint(&mut self, slot: Slot) -> Frame {
        let still = match &self.still {
            Some(still) => Arc::clone(still),
            None => Arc::clone(self.still.insert(Arc::new(self.still_part()))),
        };
        let picture = match self.kind {
            Fill::Slate | Fill::File => still,
            Fill::Pattern => {
                let mut picture = self.pool.take();
                picture.copy_from(&still);
                self.moving_part(&mut picture, slot);
                Arc::new(picture)
            }
        };
        Frame {
            pts: self.grid.start(slot),
            duration: self.grid.rate.period(),
            color: self.color,
            surface: Surface::Host(HostPicture::Planar(picture)),
            attached: Attached::default(),
        }
    }

    fn still_part(&self) -> Planar {
        let mut picture = self.pool.take();
        match self.kind {
            Fill::Pattern => self.bars(&mut picture),
            Fill::Slate | Fill::File => self.slate(&mut picture),
        }
        picture
    }

    /// 75 % bars over a gray ramp over a dark panel with the channel's name.
    fn bars(&self, picture: &mut Planar) {
        let level = |bit: usize| if bit == 0 { 0.75 } else { 0.0 };
        let Bands { ramp, panel } = self.bands();
        for bar in 0..7 {
            let (x, end) = (even(self.width * bar / 7), even(self.width * (bar + 1) / 7));
            let paint = rgb(level(bar >> 1 & 1), level(bar >> 2 & 1), level(bar & 1), self.color.matrix);
            fill(picture, Rect { x, y: 0, width: end - x, height: ramp }, paint);
        }
        for step in 0..32 {
            let (x, end) = (even(self.width * step / 32), even(self.width * (step + 1) / 32));
            fill(picture, Rect { x, y: ramp, width: end - x, height: panel - ramp }, gray((16 + step * 219 / 31) as u8));
        }
        fill(picture, Rect { x: 0, y: panel, width: self.width, height: self.height - panel }, gray(24));
        let scale = self.name_scale();
        write(picture, (self.margin(), panel + self.margin()), scale, &self.name, 180);
        let below_clock = panel + 3 * self.margin() + text_height(scale) + text_height(self.clock_scale());
        write(picture, (self.margin(), below_clock), self.scale_of(&self.text), &self.text, 180);
    }

    fn slate(&self, picture: &mut Planar) {
        picture.fill(gray(24));
        let scale = self.name_scale();
        let below = if self.text.is_empty() { "no signal" } else { &self.text };
        let lines = [
            (self.name.as_str(), scale, 200, self.height / 2 - (text_height(scale) * 3 / 2).min(self.height / 2)),
            (below, scale.min(self.scale_of(below)), 120, self.height / 2 + scale),
        ];
        for (text, scale, luma, y) in lines {
            let x = (self.width.saturating_sub(text_width(text.chars().count(), scale))) / 2;
            write(picture, (x, y), scale, text, luma);
        }
    }

    /// A box that goes to and fro and up and down, the time of day with the frame's number, and a light that goes with the beep.
    fn moving_part(&self, picture: &mut Planar, slot: Slot) {
        let Bands { ramp, panel } = self.bands();
        let second_slots = (self.grid.rate.as_f64().round() as i64).max(1);
        let side = even(self.height / 8).max(2);
        let to_and_fro = |crossing: i64, room: usize| {
            let phase = slot.0.rem_euclid(2 * crossing);
            let distance = if phase < crossing { phase } else { 2 * crossing - phase };
            even((room as i64 * distance / crossing) as usize)
        };
        let x = to_and_fro(second_slots * CROSSING_SECONDS, self.width.saturating_sub(side));
        let y = to_and_fro(second_slots * CROSSING_SECONDS * 3 / 5 + 1, ramp.saturating_sub(side));
        fill(picture, Rect { x, y, width: side, height: side }, gray(235));
        fill(picture, Rect { x: x + side / 8 * 2, y: y + side / 8 * 2, width: side / 4 * 2, height: side / 4 * 2 }, gray(40));
        let scale = self.clock_scale();
        let top = panel + 2 * self.margin() + text_height(self.name_scale());
        write(picture, (self.margin(), top), scale, &self.clock(slot), 235);
        let begins = self.grid.start(slot).0;
        let beeps =
            begins.div_euclid(FLICKS_PER_SECOND).rem_euclid(2) == 0 && begins.rem_euclid(FLICKS_PER_SECOND) < FLICKS_PER_SECOND / 10;
        if beeps {
            let lamp = even(self.height / 10).max(2);
            fill(
                picture,
                Rect {
                    x: even(self.width.saturating_sub(lamp + self.margin())),
                    y: even(panel + self.margin()),
                    width: lamp,
                    height: lamp,
                },
                gray(235),
            );
        }
    }

    /// UTC time of day and the number of the slot within its second.
    fn clock(&self, slot: Slot) -> String {
        let begins = self.grid.start(slot).0;
        let seconds = begins.div_euclid(FLICKS_PER_SECOND).rem_euclid(86_400);
        let frame = begins.rem_euclid(FLICKS_PER_SECOND) / self.grid.rate.period().max(Ticks(1)).0;
        format!("{:02}:{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60, frame)
    }

    fn bands(&self) -> Bands {
        Bands { ramp: even(self.height * 5 / 8), panel: even(self.height * 11 / 16) }
    }

    fn margin(&self) -> usize {
        even(self.height / 40)
    }

    /// Large, but the whole name fits.
    fn name_scale(&self) -> usize {
        self.scale_of(&self.name)
    }

    fn scale_of(&self, text: &str) -> usize {
        let fits = self.width.saturating_sub(2 * self.margin()) / text_width(text.chars().count(), 1).max(1);
        (self.height / 110).min(fits).max(1)
    }

    fn clock_scale(&self) -> usize {
        (self.height / 96).max(1)
    }
}

/// Where the ramp and the panel begin.
struct Bands {
    ramp: usize,
    panel: usize,
}

fn even(pixels: usize) -> usize {
    pixels / 2 * 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rate;

    fn painter(kind: Fill, size: (u32, u32)) -> Painter {
        let grid = Grid { rate: Rate::new(25, 1), gop_slots: 50, segment_slots: 150 };
        Painter::new(kind, "demo", "", size, Color::assumed(size.1), grid)
    }

    fn samples(frame: &Frame) -> Vec<u8> {
        let Surface::Host(HostPicture::Planar(picture)) = &frame.surface else { panic!("not painted") };
        (0..3).flat_map(|plane| picture.plane(plane).to_vec()).collect()
    }

    #[test]
    fn two_workers_paint_the_same_slot_alike_and_the_next_one_differently() {
        let slot = Slot(44_750_000_123);
        let mut first = painter(Fill::Pattern, (1280, 720));
        first.paint(Slot(slot.0 - 1));
        let here = samples(&first.paint(slot));
        assert_eq!(here, samples(&painter(Fill::Pattern, (1280, 720)).paint(slot)));
        assert_ne!(here, samples(&first.paint(Slot(slot.0 + 1))));
    }

    #[test]
    fn the_clock_shows_the_time_of_day_and_the_frame() {
        // 2021-01-01 12:34:56 UTC is 1609504496 seconds since the epoch.
        let slot = Slot(1_609_504_496 * 25 + 7);
        assert_eq!(painter(Fill::Pattern, (64, 64)).clock(slot), "12:34:56:07");
        assert_eq!(painter(Fill::Pattern, (64, 64)).clock(Slot(-1)), "23:59:59:24");
    }

    #[test]
    fn the_slate_is_one_picture_for_ever() {
        let mut slate = painter(Fill::Slate, (640, 360));
        let (first, second) = (slate.paint(Slot(1)), slate.paint(Slot(2)));
        assert!(first.surface.is(&second.surface));
    }

    #[test]
    fn a_line_of_text_is_seen_on_pattern_and_slate() {
        for kind in [Fill::Pattern, Fill::Slate, Fill::File] {
            let mut with = painter(kind, (640, 360));
            with.text = "back at noon".into();
            let differ = samples(&with.paint(Slot(5)))
                .iter()
                .zip(samples(&painter(kind, (640, 360)).paint(Slot(5))))
                .filter(|(a, b)| **a != *b)
                .count();
            assert!(differ > 200, "{kind:?}: {differ}");
        }
    }

    #[test]
    fn tiny_pictures_and_long_names_are_painted_without_a_panic() {
        for size in [(16, 16), (16, 8192), (18, 30), (8192, 16)] {
            for kind in [Fill::Pattern, Fill::Slate] {
                let mut painter = painter(kind, size);
                painter.text = "back at noon ".repeat(20);
                painter.name = "a very long name of a channel / with ünusual characters".repeat(3);
                for slot in -3..3 {
                    painter.paint(Slot(slot * 1000));
                }
            }
        }
    }
}
