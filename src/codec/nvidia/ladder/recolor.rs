//! From the source's YCbCr matrix and range to the channel's, in place on a rung's buffer.

use std::ffi::CStr;

use super::job::{BLOCK, DevicePlanes, Launch, RecolorJob};
use super::plan::LadderError;
use crate::codec::fit::Area;
use crate::codec::frame::{Color, Matrix};

/// One in the fixed point of the matrix (16.16).
pub const ONE: f64 = 65536.0;

/// Chroma samples of a block, across and down.
const BLOCK_SAMPLES: (u32, u32) = (64, 16);

/// A conversion between two ways that samples are meant. Each row ends with its constant, which has half a unit for rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recoloring {
    ten_bit: bool,
    /// Luma out of Y, Cb, Cr.
    pub to_luma: [i32; 4],
    /// Cb out of Cb, Cr.
    pub to_cb: [i32; 3],
    /// Cr out of Cb, Cr.
    pub to_cr: [i32; 3],
}

/// Where black, grey and the extremes of a component lie, as in ITU-T H.273, 8.3.
struct Range {
    luma_zero: f64,
    luma_scale: f64,
    chroma_zero: f64,
    chroma_scale: f64,
}

impl Range {
    fn of(full: bool, ten_bit: bool) -> Range {
        let (unit, largest) = if ten_bit { (4.0, 1023.0) } else { (1.0, 255.0) };
        match full {
            true => Range { luma_zero: 0.0, luma_scale: largest, chroma_zero: 128.0 * unit, chroma_scale: largest },
            false => Range { luma_zero: 16.0 * unit, luma_scale: 219.0 * unit, chroma_zero: 128.0 * unit, chroma_scale: 224.0 * unit },
        }
    }
}

impl Recoloring {
    /// Nothing where both are the same.
    pub fn new(from: Color, to: Color, ten_bit: bool) -> Option<Recoloring> {
        if from == to {
            return None;
        }
        let (source, target) = (Range::of(from.full_range, ten_bit), Range::of(to.full_range, ten_bit));
        // What one unit of each chroma component becomes; one of luma stays one.
        let (of_cb, of_cr) = (converted([0.0, 1.0, 0.0], from.matrix, to.matrix), converted([0.0, 0.0, 1.0], from.matrix, to.matrix));
        let luma = target.luma_scale / source.luma_scale;
        let into_luma = target.luma_scale / source.chroma_scale;
        let chroma = target.chroma_scale / source.chroma_scale;
        let row = |zero: f64, terms: &[(f64, f64)]| {
            let constant = zero - terms.iter().map(|(factor, source_zero)| factor * source_zero).sum::<f64>() + 0.5;
            (constant * ONE).round() as i32
        };
        let fixed = |factor: f64| (factor * ONE).round() as i32;
        let (cb, cr) = ([of_cb[1] * chroma, of_cr[1] * chroma], [of_cb[2] * chroma, of_cr[2] * chroma]);
        let (y_cb, y_cr) = (of_cb[0] * into_luma, of_cr[0] * into_luma);
        let zero = source.chroma_zero;
        let y_zero = row(target.luma_zero, &[(luma, source.luma_zero), (y_cb, zero), (y_cr, zero)]);
        let chroma_zero = |factors: [f64; 2]| row(target.chroma_zero, &[(factors[0], zero), (factors[1], zero)]);
        Some(Recoloring {
            ten_bit,
            to_luma: [fixed(luma), fixed(y_cb), fixed(y_cr), y_zero],
            to_cb: [fixed(cb[0]), fixed(cb[1]), chroma_zero(cb)],
            to_cr: [fixed(cr[0]), fixed(cr[1]), chroma_zero(cr)],
        })
    }

    /// The kernel.
    pub fn entry(&self) -> &'static CStr {
        if self.ten_bit { c"recolor_p010" } else { c"recolor_nv12" }
    }

    /// The launch for the picture within a rung's buffer. The black around it is the rung's already and stays.
    pub fn launch(&self, planes: &DevicePlanes, picture: Area) -> Result<Launch<RecolorJob>, LadderError> {
        if !picture.x.is_multiple_of(2) || !picture.y.is_multiple_of(2) {
            return Err(LadderError::OddPlace(picture));
        }
        let beside = u64::from(picture.x) * if self.ten_bit { 2 } else { 1 };
        let job = RecolorJob {
            luma: planes.y + u64::from(picture.y) * u64::from(planes.pitch) + beside,
            chroma: planes.uv + u64::from(picture.y / 2) * u64::from(planes.pitch) + beside,
            pitch: planes.pitch,
            width: picture.width as i32,
            height: picture.height as i32,
            to_luma: self.to_luma,
            to_cb: self.to_cb,
            to_cr: self.to_cr,
            reserved: 0,
        };
        let blocks = |length: u32, block: u32| length.div_ceil(2).div_ceil(block).max(1);
        let grid = [blocks(picture.width, BLOCK_SAMPLES.0), blocks(picture.height, BLOCK_SAMPLES.1), 1];
        Ok(Launch { job, grid, block: BLOCK, shared_bytes: 0 })
    }
}

/// Weights of red and blue in luma (ITU-T H.273, table 4).
fn weights(matrix: Matrix) -> (f64, f64) {
    match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    }
}

/// Y, Cb, Cr by another matrix, all of them in units of their range.
fn converted([y, cb, cr]: [f64; 3], from: Matrix, to: Matrix) -> [f64; 3] {
    let (red_weight, blue_weight) = weights(from);
    let (red, blue) = (y + 2.0 * (1.0 - red_weight) * cr, y + 2.0 * (1.0 - blue_weight) * cb);
    let green = (y - red_weight * red - blue_weight * blue) / (1.0 - red_weight - blue_weight);
    let (red_weight, blue_weight) = weights(to);
    let y = red_weight * red + blue_weight * blue + (1.0 - red_weight - blue_weight) * green;
    [y, (blue - y) / (2.0 * (1.0 - blue_weight)), (red - y) / (2.0 * (1.0 - red_weight))]
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn color(matrix: Matrix, full_range: bool) -> Color {
        Color { matrix, full_range }
    }

    fn applied(recoloring: &Recoloring, [y, cb, cr]: [i32; 3]) -> [i32; 3] {
        let [a, b, c, d] = recoloring.to_luma;
        let chroma = |[b, c, d]: [i32; 3]| (b * cb + c * cr + d) >> 16;
        [(a * y + b * cb + c * cr + d) >> 16, chroma(recoloring.to_cb), chroma(recoloring.to_cr)]
    }

    #[test]
    fn the_same_colour_needs_no_conversion() {
        assert_eq!(Recoloring::new(color(Matrix::Bt709, false), color(Matrix::Bt709, false), false), None);
    }

    #[test]
    fn white_black_and_grey_stay_what_they_are() {
        let wide = Recoloring::new(color(Matrix::Bt601, true), color(Matrix::Bt709, false), false).unwrap();
        assert_eq!(applied(&wide, [255, 128, 128]), [235, 128, 128]);
        assert_eq!(applied(&wide, [0, 128, 128]), [16, 128, 128]);
        let ten = Recoloring::new(color(Matrix::Bt2020, false), color(Matrix::Bt709, true), true).unwrap();
        assert_eq!(applied(&ten, [940, 512, 512]), [1023, 512, 512]);
    }

    #[test]
    fn the_primaries_of_one_matrix_are_those_of_the_other() {
        // 100 % red and green of BT.601 and BT.709 in limited range, to be found in any table of colour bars.
        let recoloring = Recoloring::new(color(Matrix::Bt601, false), color(Matrix::Bt709, false), false).unwrap();
        for (from, to) in [([81, 90, 240], [63, 102, 240]), ([145, 54, 34], [173, 42, 26]), ([41, 240, 110], [32, 240, 118])] {
            let got = applied(&recoloring, from);
            assert!(got.iter().zip(to).all(|(got, to)| got.abs_diff(to) <= 1), "{from:?}: {got:?}, not {to:?}");
        }
    }
}
