//! What the kernels do, done plainly on the host: the same bytes, plane after plane and sample after sample, without tiles.
//!
//! The tests compare the kernels with it, on the CPU and on a device.

use super::filter::{AxisTable, Filter};
use super::job::LumaComparison;
use super::luma::{LumaCells, Thresholds};
use super::plan::{RungGeometry, SourceGeometry, axes};
use super::recolor::Recoloring;
use crate::codec::fit::Area;

/// Bits of a sample between the pass across and the pass down.
const MIDDLE_BITS: u32 = 14;
/// Bits below one of a coefficient.
const COEFFICIENT_BITS: u32 = 14;

/// Samples of one component, row after row, as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Samples of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// All of them.
    pub samples: Vec<u16>,
}

impl Plane {
    /// A plane whose samples are all `value`.
    pub fn filled(width: usize, height: usize, value: u16) -> Plane {
        Plane { width, height, samples: vec![value; width * height] }
    }

    /// A plane painted sample by sample.
    pub fn painted(width: usize, height: usize, mut paint: impl FnMut(usize, usize) -> u16) -> Plane {
        let mut plane = Plane::filled(width, height, 0);
        for (at, sample) in plane.samples.iter_mut().enumerate() {
            *sample = paint(at % width, at / width);
        }
        plane
    }

    /// The sample, or zero outside.
    pub fn at(&self, x: usize, y: usize) -> u16 {
        if x < self.width { self.samples.get(y * self.width + x).copied().unwrap_or(0) } else { 0 }
    }

    fn part(&self, left: usize, top: usize, width: usize, height: usize) -> Plane {
        Plane::painted(width, height, |x, y| self.at(left + x, top + y))
    }

    fn place(&mut self, part: &Plane, left: usize, top: usize) {
        for y in 0..part.height {
            for x in 0..part.width.min(self.width.saturating_sub(left)) {
                if let Some(sample) = self.samples.get_mut((top + y) * self.width + left + x) {
                    *sample = part.at(x, y);
                }
            }
        }
    }
}

/// A picture in main memory: Y, Cb and Cr of 8 or 10 bits, chroma halved and rounded up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostImage {
    /// 10 bits instead of 8.
    pub ten_bit: bool,
    /// Y, Cb, Cr.
    pub planes: [Plane; 3],
}

impl HostImage {
    /// A picture of one colour.
    pub fn filled(width: u32, height: u32, ten_bit: bool, [y, cb, cr]: [u16; 3]) -> HostImage {
        let (width, height) = (width as usize, height as usize);
        let chroma = |value| Plane::filled(width.div_ceil(2), height.div_ceil(2), value);
        HostImage { ten_bit, planes: [Plane::filled(width, height, y), chroma(cb), chroma(cr)] }
    }

    /// Bytes of NV12 or P010 with rows `pitch` bytes apart: luma, then chroma. Bytes beyond a row are zero.
    pub fn to_bytes(&self, pitch: usize) -> Vec<u8> {
        let [luma, cb, cr] = &self.planes;
        let mut bytes = vec![0; pitch * (luma.height + cb.height)];
        for (y, row) in bytes.chunks_exact_mut(pitch).enumerate() {
            let sample = |at: usize| match y.checked_sub(luma.height) {
                None => luma.at(at, y),
                Some(y) if at.is_multiple_of(2) => cb.at(at / 2, y),
                Some(y) => cr.at(at / 2, y),
            };
            let samples = if y < luma.height { luma.width } else { 2 * cb.width };
            match self.ten_bit {
                false => row.iter_mut().take(samples).enumerate().for_each(|(at, byte)| *byte = sample(at) as u8),
                true => {
                    let words = row.chunks_exact_mut(2).take(samples).enumerate();
                    words.for_each(|(at, word)| word.copy_from_slice(&(sample(at) << 6).to_le_bytes()));
                }
            }
        }
        bytes
    }

    /// A picture out of bytes of NV12 or P010; what is missing is zero.
    pub fn from_bytes(width: u32, height: u32, ten_bit: bool, pitch: usize, bytes: &[u8]) -> HostImage {
        let (width, height) = (width as usize, height as usize);
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let sample = |row: usize, at: usize| match ten_bit {
            false => u16::from(byte(row * pitch + at)),
            true => u16::from_le_bytes([byte(row * pitch + 2 * at), byte(row * pitch + 2 * at + 1)]) >> 6,
        };
        let chroma = |component: usize| Plane::painted(width.div_ceil(2), height.div_ceil(2), |x, y| sample(height + y, 2 * x + component));
        HostImage { ten_bit, planes: [Plane::painted(width, height, |x, y| sample(y, x)), chroma(0), chroma(1)] }
    }

    fn bits(&self) -> u32 {
        bits(self.ten_bit)
    }

    fn largest(&self) -> i32 {
        (1 << self.bits()) - 1
    }
}

fn bits(ten_bit: bool) -> u32 {
    if ten_bit { 10 } else { 8 }
}

/// The `ladder_` entries: one rung of a source. Both geometries are such as a plan takes.
pub fn scaled(source: &HostImage, geometry: &SourceGeometry, rung: &RungGeometry, filter: Filter) -> HostImage {
    let scale = if rung.ten_bit { 4 } else { 1 };
    let black = if rung.full_range { 0 } else { 16 };
    let mut target = HostImage::filled(rung.width, rung.height, rung.ten_bit, [black * scale, 128 * scale, 128 * scale]);
    for (index, (from, to)) in source.planes.iter().zip(&mut target.planes).enumerate() {
        let (chroma, half) = (index > 0, u32::from(index > 0));
        let (x, y) = axes(geometry, rung, chroma);
        let (left, top) = ((geometry.crop.x >> half) as usize, (geometry.crop.y >> half) as usize);
        let part = from.part(left, top, x.source_samples as usize, y.source_samples as usize);
        let (x, y) = (AxisTable::new(&x, filter), AxisTable::new(&y, filter));
        let made = filtered(&part, &x, &y, source.bits(), bits(rung.ten_bit));
        to.place(&made, (rung.picture.x >> half) as usize, (rung.picture.y >> half) as usize);
    }
    target
}

fn filtered(source: &Plane, x: &AxisTable, y: &AxisTable, from_bits: u32, to_bits: u32) -> Plane {
    let shift = from_bits + COEFFICIENT_BITS - MIDDLE_BITS;
    let mut middle = vec![vec![0i32; x.positions().len()]; source.height];
    for (row, line) in middle.iter_mut().enumerate() {
        for ((to, position), coefficients) in line.iter_mut().zip(x.positions()).zip(x.coefficients()) {
            let samples = (usize::from(*position)..).map(|column| i32::from(source.at(column, row)));
            *to = rounded(samples.zip(coefficients).map(|(sample, c)| sample * i32::from(*c)).sum(), shift);
        }
    }
    let shift = MIDDLE_BITS + COEFFICIENT_BITS - to_bits;
    let (width, largest) = (x.positions().len(), (1 << to_bits) - 1);
    let rows = y.positions().iter().zip(y.coefficients()).flat_map(|(position, coefficients)| {
        let lines = middle.get(usize::from(*position)..).unwrap_or_default();
        (0..width).map(move |column| {
            let sum = lines.iter().zip(coefficients).map(|(line, c)| line[column] * i32::from(*c)).sum();
            rounded(sum, shift).clamp(0, largest) as u16
        })
    });
    Plane { width, height: y.positions().len(), samples: rows.collect() }
}

fn rounded(sum: i32, shift: u32) -> i32 {
    (sum + (1 << (shift - 1))) >> shift
}

/// The `recolor_` entries: the picture within a rung, in place.
pub fn recolored(image: &mut HostImage, picture: Area, recoloring: &Recoloring) {
    let before = image.clone();
    let largest = image.largest();
    let value = |sum: i32| (sum >> 16).clamp(0, largest) as u16;
    let of_chroma = |[b, c, constant]: [i32; 3], x: usize, y: usize| {
        b * i32::from(before.planes[1].at(x, y)) + c * i32::from(before.planes[2].at(x, y)) + constant
    };
    let inside = |x: usize, y: usize, half: u32| {
        let within = |at: usize, begin: u32, length: u32| (begin >> half..(begin + length).div_ceil(1 << half)).contains(&(at as u32));
        within(x, picture.x, picture.width) && within(y, picture.y, picture.height)
    };
    let [luma, cb, cr] = &mut image.planes;
    let [a, b, c, constant] = recoloring.to_luma;
    *luma = Plane::painted(luma.width, luma.height, |x, y| match (before.planes[0].at(x, y), inside(x, y, 0)) {
        (sample, true) => value(a * i32::from(sample) + of_chroma([b, c, constant], x / 2, y / 2)),
        (sample, false) => sample,
    });
    for (plane, index, row) in [(cb, 1, recoloring.to_cb), (cr, 2, recoloring.to_cr)] {
        *plane = Plane::painted(plane.width, plane.height, |x, y| match inside(x, y, 1) {
            true => value(of_chroma(row, x, y)),
            false => before.planes[index].at(x, y),
        });
    }
}

/// The `luma_grid_` entries: the cells of the shown part of a picture.
pub fn luma_cells(image: &HostImage, shown: Area) -> Vec<u16> {
    const SAMPLES: usize = 4;
    let layout = LumaCells::of(shown.width, shown.height);
    let points = |begin: u32, length: u32, cells: u32, cell: u32| {
        let (first, end) = ((cell * length / cells) as usize, ((cell + 1) * length / cells) as usize);
        (0..SAMPLES).map(move |sample| begin as usize + first + (end - first) * sample / SAMPLES)
    };
    let mut cells = Vec::new();
    for (row, column) in (0..layout.rows).flat_map(|row| (0..layout.columns).map(move |column| (row, column))) {
        let rows = points(shown.y, shown.height, layout.rows, row);
        let samples = rows.flat_map(|y| points(shown.x, shown.width, layout.columns, column).map(move |x| (x, y)));
        let sum: u32 = samples.map(|(x, y)| u32::from(image.planes[0].at(x, y))).sum();
        cells.push(((sum * 16) >> (image.bits() - 8)) as u16);
    }
    cells
}

/// The `luma_compare` entry.
pub fn compared(current: &[u16], reference: &[u16], thresholds: Thresholds) -> LumaComparison {
    let changed = current.iter().zip(reference).filter(|(now, before)| now.abs_diff(**before) > thresholds.noise).count();
    let dark = current.iter().filter(|cell| **cell <= thresholds.dark).count();
    LumaComparison { changed: changed as u32, dark: dark as u32, sum: current.iter().map(|cell| u64::from(*cell)).sum() }
}

#[cfg(test)]
mod tests;
