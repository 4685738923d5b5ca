//! The brightness of a picture as a coarse grid of cells, cheap enough to be read several times a second.
#![allow(unsafe_code)]

use std::ffi::c_int;

use ffmpeg_sys_next as ffi;

use super::picture::Picture;
use crate::codec::frame::HostPicture;
use crate::codec::planar::Planar;

/// Most cells in a row and in a column: the cost does not grow with the picture.
const MAX_COLUMNS: usize = 160;
const MAX_ROWS: usize = 90;
/// Smallest cell in pixels.
const MIN_CELL: usize = 4;
/// Samples of a cell across and down.
const SAMPLES: usize = 4;

// SAFETY: libavutil's own declaration with C's enum as the int that it is. The binding takes a Rust enum, which must not be made of a
// number that it does not know.
unsafe extern "C" {
    fn av_pix_fmt_desc_get(format: c_int) -> *const ffi::AVPixFmtDescriptor;
}

/// Mean brightness of the cells of a picture, in 256ths of an 8-bit level, row after row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LumaGrid {
    columns: usize,
    cells: Vec<u16>,
    size: (usize, usize),
    /// Byte offsets of the samples of a row, [`SAMPLES`] per cell.
    offsets: Vec<usize>,
    step: usize,
}

impl LumaGrid {
    /// Reads a picture. False, with no cells, where the format has no luma of whole bytes (palettes, Bayer, floats).
    pub fn read(&mut self, picture: &HostPicture) -> bool {
        let plane = match picture {
            HostPicture::Planar(planar) => Some(LumaPlane::of_planar(planar)),
            HostPicture::Decoded(decoded) => LumaPlane::of_decoded(decoded),
        };
        self.cells.clear();
        if let Some(plane) = plane {
            self.sample(&plane);
        }
        !self.cells.is_empty()
    }

    /// The cells.
    pub fn cells(&self) -> &[u16] {
        &self.cells
    }

    /// Cells in a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    fn sample(&mut self, plane: &LumaPlane<'_>) {
        let (width, height) = (plane.width, plane.height);
        if self.size != (width, height) || self.step != plane.step {
            (self.size, self.step) = ((width, height), plane.step);
            self.columns = (width / MIN_CELL).clamp(1, MAX_COLUMNS);
            self.offsets = points(width, self.columns).map(|x| x * plane.step).collect();
        }
        let rows = (height / MIN_CELL).clamp(1, MAX_ROWS);
        let mut sums = vec![0u32; self.columns];
        for (index, y) in points(height, rows).enumerate() {
            plane.add(y, &self.offsets, &mut sums);
            if index % SAMPLES == SAMPLES - 1 {
                // Sixteen samples of so many bits: their sum times 16 is the mean in 256ths of a level of eight bits.
                self.cells.extend(sums.iter().map(|sum| ((u64::from(*sum) << 4) >> (plane.bits - 8)) as u16));
                sums.fill(0);
            }
        }
    }
}

/// Coordinates of the samples along a side of `length` pixels cut into `cells`.
fn points(length: usize, cells: usize) -> impl Iterator<Item = usize> {
    (0..cells).flat_map(move |cell| {
        let (begin, end) = (cell * length / cells, (cell + 1) * length / cells);
        (0..SAMPLES).map(move |sample| begin + (end - begin) * sample / SAMPLES)
    })
}

/// Where the luma of a picture lies.
struct LumaPlane<'a> {
    row: Box<dyn Fn(usize) -> &'a [u8] + 'a>,
    width: usize,
    height: usize,
    /// Bytes from pixel to pixel.
    step: usize,
    /// Bits of a sample, at least 8.
    bits: u32,
    /// Bits below them.
    shift: u32,
    big_endian: bool,
}

impl<'a> LumaPlane<'a> {
    fn of_planar(planar: &'a Planar) -> LumaPlane<'a> {
        let (plane, stride) = (planar.plane(0), planar.stride(0));
        let row = Box::new(move |y: usize| plane.get(y * stride..).unwrap_or_default());
        let (width, height) = (planar.width() as usize, planar.height() as usize);
        LumaPlane { row, width, height, step: 1, bits: 8, shift: 0, big_endian: false }
    }

    /// Luma, or green where there is none.
    fn of_decoded(picture: &'a Picture) -> Option<LumaPlane<'a>> {
        // SAFETY: any number may be asked for; the answer is null or a static description.
        let format = unsafe { av_pix_fmt_desc_get(picture.format()).as_ref() }?;
        let unfit = ffi::AV_PIX_FMT_FLAG_PAL
            | ffi::AV_PIX_FMT_FLAG_BITSTREAM
            | ffi::AV_PIX_FMT_FLAG_HWACCEL
            | ffi::AV_PIX_FMT_FLAG_BAYER
            | ffi::AV_PIX_FMT_FLAG_FLOAT;
        if format.flags & unfit as u64 != 0 {
            return None;
        }
        let green = usize::from(format.flags & ffi::AV_PIX_FMT_FLAG_RGB as u64 != 0);
        let component = format.comp.get(green)?;
        let bits = u32::try_from(component.depth).ok().filter(|bits| (8..=16).contains(bits))?;
        let (step, offset) = (usize::try_from(component.step).ok()?, usize::try_from(component.offset).ok()?);
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let plane = usize::try_from(component.plane).ok().filter(|plane| *plane < 4)?;
        let (data, stride) = (picture.planes().data[plane], picture.planes().strides[plane] as isize);
        let length = width.checked_mul(step)?;
        if data.is_null() || length == 0 || length > stride.unsigned_abs() || offset >= length {
            return None;
        }
        let row = Box::new(move |y: usize| {
            // SAFETY: libavcodec's plane has `height` rows, `stride` bytes apart (upwards where negative), each with `width` pixels of
            // `step` bytes; `y` is kept below `height` here; the picture outlives the slice.
            let row = unsafe { std::slice::from_raw_parts(data.offset(y.min(height - 1) as isize * stride), length) };
            row.get(offset..).unwrap_or_default()
        });
        let shift = u32::try_from(component.shift).ok()?;
        Some(LumaPlane { row, width, height, step, bits, shift, big_endian: format.flags & ffi::AV_PIX_FMT_FLAG_BE as u64 != 0 })
    }

    /// Adds the samples at these offsets of a row to the sums of their cells.
    fn add(&self, y: usize, offsets: &[usize], sums: &mut [u32]) {
        let row = (self.row)(y);
        let eight = |at: usize| row.get(at).copied().map_or(0, u32::from);
        let wide = |at: usize| {
            let word = row.get(at..).and_then(|rest| rest.first_chunk::<2>()).copied().unwrap_or_default();
            let word = if self.big_endian { u16::from_be_bytes(word) } else { u16::from_le_bytes(word) };
            u32::from(word >> self.shift)
        };
        for (sum, cell) in sums.iter_mut().zip(offsets.chunks_exact(SAMPLES)) {
            *sum += match self.bits {
                8 => cell.iter().map(|at| eight(*at)).sum::<u32>(),
                _ => cell.iter().map(|at| wide(*at)).sum::<u32>(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::planar::PlanarPool;
    use std::sync::Arc;

    fn grid(width: u32, height: u32, paint: impl Fn(usize, usize) -> u8) -> LumaGrid {
        let mut picture = PlanarPool::new(width, height, 0).take();
        let stride = picture.stride(0);
        for (y, row) in picture.plane_mut(0).chunks_exact_mut(stride).enumerate() {
            row.iter_mut().enumerate().for_each(|(x, sample)| *sample = paint(x, y));
        }
        let mut grid = LumaGrid::default();
        assert!(grid.read(&HostPicture::Planar(Arc::new(picture))));
        grid
    }

    #[test]
    fn any_size_is_read_into_a_bounded_grid_of_means() {
        for (width, height) in [(1280, 720), (3840, 2160), (320, 180), (17, 3), (1, 1), (722, 578)] {
            let grid = grid(width, height, |_, _| 200);
            assert!(!grid.cells().is_empty() && grid.cells().len() <= MAX_COLUMNS * MAX_ROWS, "{width}x{height}");
            assert!(grid.cells().iter().all(|cell| *cell == 200 << 8), "{width}x{height}");
        }
    }

    #[test]
    fn a_cell_tells_its_place() {
        let grid = grid(1280, 720, |x, y| if x >= 640 && y >= 360 { 235 } else { 16 });
        let at = |column: usize, row: usize| grid.cells()[row * grid.columns() + column] >> 8;
        assert_eq!((grid.columns(), grid.cells().len()), (160, 160 * 90));
        assert_eq!((at(79, 89), at(80, 44), at(80, 45), at(159, 89)), (16, 16, 235, 235));
    }
}
