//! Rectangles and text on a 4:2:0 picture. What lies outside is cut off.

use crate::codec::{Matrix, Planar};

use super::font::{COLUMNS, ROWS, glyph};

/// A colour as Y, Cb, Cr in limited range.
pub(super) type Paint = [u8; 3];

/// Gray of this luma.
pub(super) const fn gray(luma: u8) -> Paint {
    [luma, 128, 128]
}

/// A colour given as red, green and blue from 0 to 1 (ITU-R BT.709 or BT.601, clause on quantised signals).
pub(super) fn rgb(red: f64, green: f64, blue: f64, matrix: Matrix) -> Paint {
    let (kr, kb) = match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let luma = kr * red + (1.0 - kr - kb) * green + kb * blue;
    let (cb, cr) = ((blue - luma) / (2.0 * (1.0 - kb)), (red - luma) / (2.0 * (1.0 - kr)));
    [(16.0 + 219.0 * luma).round() as u8, (128.0 + 224.0 * cb).round() as u8, (128.0 + 224.0 * cr).round() as u8]
}

/// A place on a picture in pixels; chroma is painted where both coordinates are even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Fills a rectangle.
pub(super) fn fill(picture: &mut Planar, rect: Rect, paint: Paint) {
    for (plane, value) in paint.into_iter().enumerate() {
        let shift = usize::from(plane > 0);
        let columns = rect.x >> shift..((rect.x + rect.width) >> shift).min(picture.row_length(plane));
        let (first, rows) = (rect.y >> shift, (rect.y + rect.height) >> shift);
        let stride = picture.stride(plane);
        let wanted = picture.plane_mut(plane).chunks_exact_mut(stride).take(rows).skip(first);
        for row in wanted {
            if let Some(samples) = row.get_mut(columns.clone()) {
                samples.fill(value);
            }
        }
    }
}

/// How wide a text of this many characters is at `scale` pixels per dot.
pub(super) fn text_width(characters: usize, scale: usize) -> usize {
    (characters * (COLUMNS + 1)).saturating_sub(1) * scale
}

/// How high a line of text is.
pub(super) fn text_height(scale: usize) -> usize {
    ROWS * scale
}

/// Writes text in gray of `luma`, its top left corner at `(x, y)`.
pub(super) fn write(picture: &mut Planar, (x, y): (usize, usize), scale: usize, text: &str, luma: u8) {
    let (stride, width) = (picture.stride(0), picture.row_length(0));
    let plane = picture.plane_mut(0);
    for (index, character) in text.chars().enumerate() {
        let left = x + index * (COLUMNS + 1) * scale;
        for (row, bits) in glyph(character).into_iter().enumerate() {
            let top = y + row * scale;
            for line in plane.chunks_exact_mut(stride).skip(top).take(scale) {
                for column in (0..COLUMNS).filter(|column| bits >> (COLUMNS - 1 - column) & 1 == 1) {
                    let begin = (left + column * scale).min(width);
                    let end = (begin + scale).min(width);
                    if let Some(dot) = line.get_mut(begin..end) {
                        dot.fill(luma);
                    }
                }
            }
        }
    }
}
