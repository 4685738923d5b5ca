//! What kernels are handed: `kernels/jobs.h`, field by field. No padding, no pointers; addresses are the device's.

/// Most rungs that one launch makes.
pub const MAX_RUNGS: usize = 8;

/// A picture in device memory: NV12 or P010.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DevicePlanes {
    /// Address of the luma.
    pub y: u64,
    /// Address of the interleaved chroma.
    pub uv: u64,
    /// Bytes from row to row, of both.
    pub pitch: u32,
}

/// A kernel's launch, without its entry. All the kernels have one parameter: the job.
#[derive(Clone, Copy, Debug)]
pub struct Launch<Job> {
    /// The parameter, by value.
    pub job: Job,
    /// Blocks across, down and deep.
    pub grid: [u32; 3],
    /// Threads of a block across, down and deep.
    pub block: [u32; 3],
    /// Dynamic shared memory of a block; within what every device grants unasked.
    pub shared_bytes: u32,
}

/// Threads of every launch's blocks.
pub const BLOCK: [u32; 3] = [32, 8, 1];

/// How a rung's plane is made along one axis: offsets into the tables, in bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LadderAxis {
    /// `u16[tiles + 1]`: first output of every tile.
    pub starts: u32,
    /// `u16[samples]`: first source sample of every output.
    pub positions: u32,
    /// `i16[taps][samples]`: 2.14.
    pub coefficients: u32,
    /// Outputs.
    pub samples: i32,
    /// Source samples per output.
    pub taps: i32,
}

/// The source's samples as they are.
pub const MODE_COPY: u32 = 0;
/// Filtered out of the block's window.
pub const MODE_WINDOW: u32 = 1;
/// Filtered out of the source itself.
pub const MODE_DIRECT: u32 = 2;

/// A plane of a rung.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LadderTarget {
    /// Address.
    pub samples: u64,
    /// Bytes from row to row.
    pub pitch: u32,
    /// [`MODE_COPY`], [`MODE_WINDOW`] or [`MODE_DIRECT`].
    pub mode: u32,
    /// Samples of a row.
    pub width: i32,
    /// Rows.
    pub height: i32,
    /// Samples left of the picture.
    pub left: i32,
    /// Rows above the picture.
    pub top: i32,
    /// Black, as stored.
    pub black: u32,
    /// Columns that the intermediate rows have room for.
    pub chunk_columns: i32,
    /// Along rows.
    pub x: LadderAxis,
    /// Along columns.
    pub y: LadderAxis,
}

/// A plane of the source.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LadderPlane {
    /// Address of the crop's first sample.
    pub samples: u64,
    /// Bytes from row to row.
    pub pitch: u32,
    /// Where the intermediate rows begin in shared memory.
    pub middle_offset: u32,
    /// Samples of a row of the crop.
    pub width: i32,
    /// Rows of the crop.
    pub height: i32,
    /// Samples of a tile's row.
    pub tile_width: i32,
    /// Rows of a tile.
    pub tile_height: i32,
    /// Tiles in a row.
    pub tiles_across: i32,
    /// Rows of tiles.
    pub tiles_down: i32,
    /// Window's samples left of its tile.
    pub halo_left: i32,
    /// Window's rows above its tile.
    pub halo_top: i32,
    /// Samples of a window's row.
    pub window_width: i32,
    /// Rows of a window.
    pub window_height: i32,
    /// The rungs.
    pub targets: [LadderTarget; MAX_RUNGS],
}

/// Parameter of the `ladder_` entries.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LadderJob {
    /// Address of the tables.
    pub tables: u64,
    /// Rungs.
    pub rungs: i32,
    /// Zero.
    pub reserved: u32,
    /// Luma and chroma.
    pub planes: [LadderPlane; 2],
}

/// Parameter of the `recolor_` entries: rows of 16.16, each with its constant last.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RecolorJob {
    /// Address of the luma.
    pub luma: u64,
    /// Address of the chroma.
    pub chroma: u64,
    /// Bytes from row to row, of both.
    pub pitch: u32,
    /// Luma samples of a row.
    pub width: i32,
    /// Rows of luma.
    pub height: i32,
    /// Luma out of Y, Cb, Cr.
    pub to_luma: [i32; 4],
    /// Cb out of Cb, Cr.
    pub to_cb: [i32; 3],
    /// Cr out of Cb, Cr.
    pub to_cr: [i32; 3],
    /// Zero.
    pub reserved: u32,
}

/// Parameter of the `luma_grid_` entries.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LumaGridJob {
    /// Address of the luma.
    pub luma: u64,
    /// Address of the cells: `u16[rows][columns]`.
    pub cells: u64,
    /// Bytes from row to row of the luma.
    pub pitch: u32,
    /// Samples of a row.
    pub width: i32,
    /// Rows.
    pub height: i32,
    /// Cells of a row.
    pub columns: i32,
    /// Rows of cells.
    pub rows: i32,
    /// Zero.
    pub reserved: u32,
}

/// Parameter of `luma_compare`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LumaCompareJob {
    /// Address of the cells looked at.
    pub current: u64,
    /// Address of the cells they are compared with.
    pub reference: u64,
    /// Address of a [`LumaComparison`], zeroed before the launch.
    pub result: u64,
    /// Cells.
    pub cells: i32,
    /// A cell has changed when it differs by more.
    pub noise: u32,
    /// A cell is dark up to this.
    pub dark: u32,
    /// Zero.
    pub reserved: u32,
}

/// What `luma_compare` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LumaComparison {
    /// Cells that changed.
    pub changed: u32,
    /// Cells that are dark.
    pub dark: u32,
    /// Sum of the cells looked at.
    pub sum: u64,
}
