//! Brightness of a picture as a coarse grid, and what changed between two, without the picture leaving the device.
//!
//! The cells are those of [`LumaGrid`](crate::codec::software::LumaGrid): a device's and a host's look alike to whoever watches.

use std::ffi::CStr;

use super::job::{BLOCK, DevicePlanes, Launch, LumaCompareJob, LumaGridJob};
use crate::codec::fit::Area;

const MAX_COLUMNS: u32 = 160;
const MAX_ROWS: u32 = 90;
const MIN_CELL: u32 = 4;

/// Cells of a block, across and down.
const BLOCK_CELLS: (u32, u32) = (32, 8);
/// Cells of a block that compares.
const COMPARED_CELLS: u32 = 2048;

/// The kernel that compares two grids.
pub const COMPARE_ENTRY: &CStr = c"luma_compare";

/// The kernel that makes a grid.
pub fn grid_entry(ten_bit: bool) -> &'static CStr {
    if ten_bit { c"luma_grid_p010" } else { c"luma_grid_nv12" }
}

/// The grid of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LumaCells {
    /// Cells of a row.
    pub columns: u32,
    /// Rows of cells.
    pub rows: u32,
}

impl LumaCells {
    /// Of a picture of this size.
    pub fn of(width: u32, height: u32) -> LumaCells {
        LumaCells { columns: (width / MIN_CELL).clamp(1, MAX_COLUMNS), rows: (height / MIN_CELL).clamp(1, MAX_ROWS) }
    }

    /// Cells, each of two bytes.
    pub fn count(&self) -> u32 {
        self.columns * self.rows
    }
}

/// The launch of [`grid_entry`] for the shown part of a picture; cells come to lie at `cells`.
pub fn grid(planes: &DevicePlanes, shown: Area, ten_bit: bool, cells: u64) -> Launch<LumaGridJob> {
    let layout = LumaCells::of(shown.width, shown.height);
    let beside = u64::from(shown.x) * if ten_bit { 2 } else { 1 };
    let job = LumaGridJob {
        luma: planes.y + u64::from(shown.y) * u64::from(planes.pitch) + beside,
        cells,
        pitch: planes.pitch,
        width: shown.width as i32,
        height: shown.height as i32,
        columns: layout.columns as i32,
        rows: layout.rows as i32,
        reserved: 0,
    };
    let grid = [layout.columns.div_ceil(BLOCK_CELLS.0), layout.rows.div_ceil(BLOCK_CELLS.1), 1];
    Launch { job, grid, block: BLOCK, shared_bytes: 0 }
}

/// What two grids are compared by, in 256ths of an 8-bit level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A cell has changed when it differs by more.
    pub noise: u16,
    /// A cell is dark up to this.
    pub dark: u16,
}

/// The launch of [`COMPARE_ENTRY`]: adds to the [`LumaComparison`](super::job::LumaComparison) at `result`, which is zeroed before.
pub fn compare(current: u64, reference: u64, result: u64, cells: LumaCells, thresholds: Thresholds) -> Launch<LumaCompareJob> {
    let job = LumaCompareJob {
        current,
        reference,
        result,
        cells: cells.count() as i32,
        noise: u32::from(thresholds.noise),
        dark: u32::from(thresholds.dark),
        reserved: 0,
    };
    Launch { job, grid: [cells.count().div_ceil(COMPARED_CELLS), 1, 1], block: BLOCK, shared_bytes: 0 }
}
