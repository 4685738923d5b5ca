//! From a picture of any size to every rung: fitted into the top rung, then down the ladder, each rung from the one above it.

use std::sync::Arc;

use super::swscale::{Converter, PLAIN_420, Side, planes_of};
use crate::codec::engine::Scaler;
use crate::codec::error::CodecError;
use crate::codec::fit::{Area, fit};
use crate::codec::frame::{Color, Frame, HostPicture, Surface};
use crate::codec::planar::PlanarPool;

/// Black in limited range.
const BLACK: [u8; 3] = [16, 128, 128];

/// Buffers that each rung's pool keeps: what its queue and encoder thread hold at once.
const POOLED: usize = 4;

/// Scales pictures to every rung of a ladder.
#[derive(Debug)]
pub struct LadderScaler {
    color: Color,
    rungs: Vec<Step>,
    source: Option<(SourceShape, Converter)>,
}

#[derive(Debug)]
struct Step {
    width: u32,
    height: u32,
    pool: PlanarPool,
    converter: Option<Converter>,
}

/// What decides how a source is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct SourceShape {
    side: Side,
    area: Area,
}

impl LadderScaler {
    /// For rungs of these sizes, largest first, all even; every picture comes out with `color`.
    pub fn new(sizes: &[(u32, u32)], color: Color) -> LadderScaler {
        let step = |&(width, height): &(u32, u32)| Step { width, height, pool: PlanarPool::new(width, height, POOLED), converter: None };
        LadderScaler { color, rungs: sizes.iter().map(step).collect(), source: None }
    }

    /// The picture in the top rung's size; the same samples where nothing has to change.
    fn fitted(&mut self, picture: &HostPicture, color: Color) -> Result<HostPicture, CodecError> {
        let Some(top) = self.rungs.first() else { return Ok(picture.clone()) };
        let (side, aspect, plain, planes) = match picture {
            HostPicture::Planar(planar) => {
                (Side { width: planar.width(), height: planar.height(), format: PLAIN_420, color }, 1.0, true, planes_of(planar))
            }
            HostPicture::Decoded(decoded) => {
                let side = Side { width: decoded.width(), height: decoded.height(), format: decoded.format(), color };
                (side, decoded.pixel_aspect(), decoded.is_plain_420(), decoded.planes())
            }
        };
        let area = fit(side.width, side.height, aspect, top.width, top.height);
        let whole = Area { x: 0, y: 0, width: top.width, height: top.height };
        if plain && area == whole && color == self.color && (side.width, side.height) == (top.width, top.height) {
            return Ok(picture.clone());
        }
        let shape = SourceShape { side, area };
        if self.source.as_ref().is_none_or(|(known, _)| *known != shape) {
            let to = Side { width: area.width, height: area.height, format: PLAIN_420, color: self.color };
            self.source = Some((shape, Converter::open(side, to)?));
        }
        let mut target = top.pool.take();
        if area != whole {
            target.fill(BLACK);
        }
        if let Some((_, converter)) = &mut self.source {
            converter.run(&planes, &mut target, area)?;
        }
        Ok(HostPicture::Planar(Arc::new(target)))
    }
}

impl Step {
    fn scaled(&mut self, above: &HostPicture, color: Color) -> Result<HostPicture, CodecError> {
        let (width, height, planes) = match above {
            HostPicture::Planar(planar) => (planar.width(), planar.height(), planes_of(planar)),
            HostPicture::Decoded(decoded) => (decoded.width(), decoded.height(), decoded.planes()),
        };
        if (width, height) == (self.width, self.height) {
            return Ok(above.clone());
        }
        let converter = match &mut self.converter {
            Some(converter) => converter,
            empty => {
                let from = Side { width, height, format: PLAIN_420, color };
                let to = Side { width: self.width, height: self.height, format: PLAIN_420, color };
                empty.insert(Converter::open(from, to)?)
            }
        };
        let mut target = self.pool.take();
        converter.run(&planes, &mut target, Area { x: 0, y: 0, width: self.width, height: self.height })?;
        Ok(HostPicture::Planar(Arc::new(target)))
    }
}

impl Scaler for LadderScaler {
    fn scale(&mut self, frame: &Frame, out: &mut Vec<Frame>) -> Result<(), CodecError> {
        let picture = frame.surface.host("scaler")?;
        let mut above = self.fitted(picture, frame.color)?;
        for (index, step) in self.rungs.iter_mut().enumerate() {
            if index > 0 {
                above = step.scaled(&above, self.color)?;
            }
            out.push(Frame { color: self.color, surface: Surface::Host(above.clone()), ..frame.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{MediaTime, Ticks};
    use crate::codec::frame::{Attached, Matrix};

    const COLOR: Color = Color { matrix: Matrix::Bt709, full_range: false };

    fn gray(width: u32, height: u32, luma: u8) -> Frame {
        let mut picture = PlanarPool::new(width, height, 0).take();
        picture.fill([luma, 90, 170]);
        Frame {
            pts: MediaTime(7),
            duration: Ticks::ZERO,
            color: COLOR,
            surface: Surface::Host(HostPicture::Planar(Arc::new(picture))),
            attached: Attached::default(),
        }
    }

    fn luma_at(frame: &Frame, x: usize, y: usize) -> u8 {
        let Surface::Host(HostPicture::Planar(picture)) = &frame.surface else { panic!("not scaled") };
        picture.plane(0)[y * picture.stride(0) + x]
    }

    #[test]
    fn a_four_by_three_source_is_centred_between_black_bars_on_every_rung() {
        let mut ladder = LadderScaler::new(&[(640, 360), (320, 180)], COLOR);
        let mut out = Vec::new();
        ladder.scale(&gray(400, 300, 200), &mut out).unwrap();
        for (frame, shrink) in out.iter().zip([1, 2]) {
            assert_eq!(luma_at(frame, 10 / shrink, 100 / shrink), 16);
            assert_eq!(luma_at(frame, 630 / shrink, 100 / shrink), 16);
            assert!(luma_at(frame, 320 / shrink, 100 / shrink).abs_diff(200) <= 1);
        }
    }

    #[test]
    fn a_source_of_the_top_size_is_not_copied() {
        let mut ladder = LadderScaler::new(&[(640, 360), (320, 180)], COLOR);
        let source = gray(640, 360, 50);
        let mut out = Vec::new();
        ladder.scale(&source, &mut out).unwrap();
        let (Surface::Host(HostPicture::Planar(before)), Surface::Host(HostPicture::Planar(after))) = (&source.surface, &out[0].surface)
        else {
            panic!()
        };
        assert!(Arc::ptr_eq(before, after));
    }

    #[test]
    fn another_matrix_is_converted_even_at_the_same_size() {
        let mut ladder = LadderScaler::new(&[(64, 64)], COLOR);
        let mut out = Vec::new();
        let source = Frame { color: Color { matrix: Matrix::Bt601, full_range: false }, ..gray(64, 64, 100) };
        ladder.scale(&source, &mut out).unwrap();
        assert_ne!(luma_at(&out[0], 20, 20), 100);
    }

    #[test]
    fn a_size_that_changes_mid_stream_is_fitted_anew() {
        let mut ladder = LadderScaler::new(&[(320, 180)], COLOR);
        for (width, height) in [(640, 360), (101, 77), (2, 2), (1920, 1080)] {
            let mut out = Vec::new();
            ladder.scale(&gray(width, height, 120), &mut out).unwrap();
            assert!(luma_at(&out[0], 160, 90).abs_diff(120) <= 1, "{width}x{height}");
        }
    }
}
