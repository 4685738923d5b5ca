//! Pooled 8-bit 4:2:0 pictures in main memory.

use std::sync::{Arc, Mutex};

/// Rows begin at multiples of this many bytes, as vector code wants.
const ALIGNMENT: usize = 64;

/// A picture of three planes (Y, Cb, Cr), the latter two of half width and height.
///
/// It goes back to its pool when dropped; shared ones (`Arc<Planar>`) when the last holder drops it.
#[derive(Debug)]
pub struct Planar {
    buffer: Vec<u8>,
    layout: Layout,
    shift: usize,
    pool: Arc<Mutex<Vec<Vec<u8>>>>,
    keep: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    width: usize,
    height: usize,
    luma_stride: usize,
    chroma_stride: usize,
}

impl Layout {
    fn new(width: u32, height: u32) -> Layout {
        let (width, height) = (width as usize, height as usize);
        let luma_stride = width.next_multiple_of(ALIGNMENT * 2);
        Layout { width, height, luma_stride, chroma_stride: luma_stride / 2 }
    }

    fn stride(&self, plane: usize) -> usize {
        if plane == 0 { self.luma_stride } else { self.chroma_stride }
    }

    fn rows(&self, plane: usize) -> usize {
        if plane == 0 { self.height } else { self.height.div_ceil(2) }
    }

    fn offset(&self, plane: usize) -> usize {
        (0..plane.min(3)).map(|before| self.stride(before) * self.rows(before)).sum()
    }
}

/// Makes pictures of one size and keeps a few returned buffers for the next ones.
#[derive(Clone, Debug)]
pub struct PlanarPool {
    layout: Layout,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    keep: usize,
}

impl PlanarPool {
    /// A pool of pictures of this size that keeps up to `keep` buffers for reuse.
    pub fn new(width: u32, height: u32, keep: usize) -> PlanarPool {
        PlanarPool { layout: Layout::new(width, height), free: Arc::default(), keep }
    }

    /// A picture with undefined contents.
    pub fn take(&self) -> Planar {
        let pooled = self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        // Vector code may touch a few bytes past the last row.
        let buffer = pooled.unwrap_or_else(|| vec![0; self.layout.offset(3) + 2 * ALIGNMENT]);
        let shift = match buffer.as_ptr().align_offset(ALIGNMENT) {
            shift if shift < ALIGNMENT => shift,
            _ => 0,
        };
        Planar { buffer, layout: self.layout, shift, pool: Arc::clone(&self.free), keep: self.keep }
    }
}

impl Planar {
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.layout.width as u32
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.layout.height as u32
    }

    /// Distance of rows of a plane (0 to 2) in bytes.
    pub fn stride(&self, plane: usize) -> usize {
        self.layout.stride(plane)
    }

    /// Rows of a plane (0 to 2).
    pub fn rows(&self, plane: usize) -> usize {
        self.layout.rows(plane)
    }

    /// Samples in a row of a plane (0 to 2).
    pub fn row_length(&self, plane: usize) -> usize {
        if plane == 0 { self.layout.width } else { self.layout.width.div_ceil(2) }
    }

    /// A plane (0 to 2), row after row, each [`Planar::stride`] bytes long.
    pub fn plane(&self, plane: usize) -> &[u8] {
        let range = self.range(plane);
        &self.buffer[range]
    }

    /// A plane (0 to 2) for writing.
    pub fn plane_mut(&mut self, plane: usize) -> &mut [u8] {
        let range = self.range(plane);
        &mut self.buffer[range]
    }

    /// Fills every plane with one value each.
    pub fn fill(&mut self, values: [u8; 3]) {
        for (plane, value) in values.into_iter().enumerate() {
            self.plane_mut(plane).fill(value);
        }
    }

    /// Takes over the samples of a picture of the same size.
    pub fn copy_from(&mut self, other: &Planar) {
        debug_assert_eq!(self.layout, other.layout);
        for plane in 0..3 {
            self.plane_mut(plane).copy_from_slice(other.plane(plane));
        }
    }

    fn range(&self, plane: usize) -> std::ops::Range<usize> {
        let begin = self.shift + self.layout.offset(plane);
        begin..begin + self.layout.stride(plane) * self.layout.rows(plane)
    }
}

impl Drop for Planar {
    fn drop(&mut self) {
        let mut free = self.pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if free.len() < self.keep {
            free.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_do_not_overlap_and_rows_are_aligned() {
        let pool = PlanarPool::new(426, 241, 1);
        let mut picture = pool.take();
        for plane in 0..3 {
            picture.plane_mut(plane).fill(plane as u8 + 1);
            assert_eq!(picture.plane(plane).as_ptr().align_offset(ALIGNMENT), 0);
            assert!(picture.stride(plane) >= picture.row_length(plane));
        }
        for plane in 0..3 {
            assert!(picture.plane(plane).iter().all(|sample| *sample == plane as u8 + 1));
            assert_eq!(picture.plane(plane).len(), picture.stride(plane) * picture.rows(plane));
        }
    }

    #[test]
    fn a_pool_reuses_what_comes_back_but_keeps_no_more_than_it_may() {
        let pool = PlanarPool::new(64, 64, 1);
        let (first, second) = (pool.take(), pool.take());
        let address = first.plane(0).as_ptr() as usize;
        drop(first);
        drop(second);
        assert_eq!(pool.free.lock().unwrap().len(), 1);
        assert_eq!(pool.take().plane(0).as_ptr() as usize, address);
    }
}
