//! The work of a ladder, divided once per source format; per picture only addresses are filled in.

use std::ffi::CStr;

use super::filter::{Axis, AxisTable, Filter, Siting};
use super::job::{BLOCK, DevicePlanes, LadderAxis, LadderJob, LadderPlane, LadderTarget, Launch, MAX_RUNGS};
use super::tiling::{Outputs, SHARED_BYTES, Tiling};
use crate::base::Fault;
use crate::codec::fit::{Area, fit};

/// Longest side of a picture.
const LONGEST_SIDE: u32 = 16384;

/// Samples of the decoded picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceGeometry {
    /// Columns of the surface.
    pub width: u32,
    /// Rows of the surface.
    pub height: u32,
    /// P010 instead of NV12.
    pub ten_bit: bool,
    /// The part that is shown.
    pub crop: Area,
}

/// A rung to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RungGeometry {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// P010 instead of NV12.
    pub ten_bit: bool,
    /// Where the picture goes, at an even place; around it is black.
    pub picture: Area,
    /// Black is 0 and not 16.
    pub full_range: bool,
}

impl RungGeometry {
    /// Rungs of these sizes, the top one first: the picture is fitted into the top rung, and the others show what it shows, bars included.
    /// That is what the software ladder makes.
    pub fn ladder(shown: Area, pixel_aspect: f64, sizes: &[(u32, u32)], ten_bit: bool, full_range: bool) -> Vec<RungGeometry> {
        let Some(&top) = sizes.first() else { return Vec::new() };
        let picture = fit(shown.width, shown.height, pixel_aspect, top.0, top.1);
        let rung = |&(width, height): &(u32, u32)| {
            let picture = picture.rescaled(top, (width, height));
            RungGeometry { width, height, ten_bit, picture, full_range }
        };
        sizes.iter().map(rung).collect()
    }
}

/// Why a ladder cannot be scaled so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// None, or more than a launch makes.
    #[error("a ladder of {0} rungs: one launch makes 1 to {MAX_RUNGS}")]
    Rungs(usize),
    /// A side that tables cannot count.
    #[error("a picture of {width}x{height}: sides are 1 to {LONGEST_SIDE}")]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The crop or a rung's picture is empty or reaches outside.
    #[error("{area:?} does not lie in {width}x{height}")]
    Outside {
        /// What was asked.
        area: Area,
        /// Columns there are.
        width: u32,
        /// Rows there are.
        height: u32,
    },
    /// A rung's picture begins between two chroma samples.
    #[error("{0:?} begins at an odd place of its rung")]
    OddPlace(Area),
    /// Rungs of 8 and of 10 bits take a launch, and a plan, each.
    #[error("rungs of 8 and of 10 bits in one plan")]
    MixedDepths,
    /// Steeper than shared memory holds.
    #[error("filters need {0} bytes of shared memory of the {SHARED_BYTES} that there are")]
    Shared(usize),
    /// Buffers that are not the plan's.
    #[error("{0} buffers for a plan of {1} rungs")]
    Targets(usize, usize),
    /// A buffer whose rows are too short, or not of whole samples.
    #[error("rows {pitch} bytes apart, where one takes {row_bytes}")]
    Pitch {
        /// Bytes from row to row.
        pitch: u32,
        /// Bytes of a row.
        row_bytes: u32,
    },
}

impl LadderError {
    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            LadderError::Size { .. } | LadderError::Shared(_) => Fault::Unsupported,
            _ => Fault::Bug,
        }
    }
}

/// A ladder's work.
#[derive(Clone, Debug)]
pub struct LadderPlan {
    entry: &'static CStr,
    tables: Vec<u8>,
    /// With all addresses zero.
    job: LadderJob,
    grid: [u32; 3],
    shared_bytes: u32,
    /// Bytes from the source's planes to the crop, per row and beside.
    crop: [(u64, u64); 2],
    source_row_bytes: u32,
    target_row_bytes: [u32; MAX_RUNGS],
}

impl LadderPlan {
    /// Plans for a source and one to eight rungs, all of the same depth.
    pub fn new(source: &SourceGeometry, rungs: &[RungGeometry], filter: Filter) -> Result<LadderPlan, LadderError> {
        check(source, rungs)?;
        let sample_bytes = if source.ten_bit { 2 } else { 1 };
        let target_ten_bit = rungs.iter().any(|rung| rung.ten_bit);
        let mut plan = LadderPlan {
            entry: entry(source.ten_bit, target_ten_bit),
            tables: Vec::new(),
            job: LadderJob { rungs: rungs.len() as i32, ..LadderJob::default() },
            grid: [0, 0, 2],
            shared_bytes: 0,
            crop: [0, 1].map(|plane| {
                let crop = source.crop;
                (u64::from(crop.y >> plane), u64::from(crop.x >> plane << plane) * sample_bytes as u64)
            }),
            source_row_bytes: source.width.next_multiple_of(2) * sample_bytes as u32,
            target_row_bytes: [0; MAX_RUNGS],
        };
        for (bytes, rung) in plan.target_row_bytes.iter_mut().zip(rungs) {
            *bytes = rung.width.next_multiple_of(2) * if rung.ten_bit { 2 } else { 1 };
        }
        for chroma in [false, true] {
            plan.divide(source, rungs, filter, chroma, sample_bytes)?;
        }
        Ok(plan)
    }

    /// What is to be uploaded once; its address is each launch's `tables_address`, a multiple of 4.
    pub fn tables(&self) -> &[u8] {
        &self.tables
    }

    /// The kernel.
    pub fn entry(&self) -> &'static CStr {
        self.entry
    }

    /// The launch for one picture, from `source` into one buffer per rung in the order of the plan. Allocates nothing.
    ///
    /// Every sample of every rung is written. The source may be given back, and the rungs read, in the order of the launch's stream.
    pub fn launch(&self, tables_address: u64, source: &DevicePlanes, targets: &[DevicePlanes]) -> Result<Launch<LadderJob>, LadderError> {
        if targets.len() != self.job.rungs as usize {
            return Err(LadderError::Targets(targets.len(), self.job.rungs as usize));
        }
        check_pitch(source, self.source_row_bytes)?;
        let mut job = self.job;
        job.tables = tables_address;
        for (index, plane) in job.planes.iter_mut().enumerate() {
            let (rows, bytes) = self.crop[index];
            let address = |planes: &DevicePlanes| if index == 0 { planes.y } else { planes.uv };
            plane.samples = address(source) + rows * u64::from(source.pitch) + bytes;
            plane.pitch = source.pitch;
            for ((target, planes), row_bytes) in plane.targets.iter_mut().zip(targets).zip(self.target_row_bytes) {
                check_pitch(planes, row_bytes)?;
                target.samples = address(planes);
                target.pitch = planes.pitch;
            }
        }
        Ok(Launch { job, grid: self.grid, block: BLOCK, shared_bytes: self.shared_bytes })
    }

    fn divide(
        &mut self,
        source: &SourceGeometry,
        rungs: &[RungGeometry],
        filter: Filter,
        chroma: bool,
        sample_bytes: usize,
    ) -> Result<(), LadderError> {
        let filters: Vec<(AxisTable, AxisTable)> = rungs
            .iter()
            .map(|rung| axes(source, rung, chroma))
            .map(|(x, y)| (AxisTable::new(&x, filter), AxisTable::new(&y, filter)))
            .collect();
        let size = plane_size(source.crop, chroma);
        let tiling = Tiling::new(size, sample_bytes, if chroma { 2 } else { 1 }, &filters.iter().collect::<Vec<_>>());
        if tiling.shared_bytes > SHARED_BYTES {
            return Err(LadderError::Shared(tiling.shared_bytes));
        }
        self.grid[0] = self.grid[0].max(tiling.tiles.0 as u32);
        self.grid[1] = self.grid[1].max(tiling.tiles.1 as u32);
        self.shared_bytes = self.shared_bytes.max(tiling.shared_bytes as u32);
        let mut plane = plane_job(&tiling, size);
        for (index, ((rung, (x, y)), share)) in rungs.iter().zip(&filters).zip(&tiling.shares).enumerate() {
            let side = |length: u32| if chroma { length.div_ceil(2) } else { length } as i32;
            plane.targets[index] = LadderTarget {
                mode: share.mode,
                width: side(rung.width),
                height: side(rung.height),
                left: side(rung.picture.x),
                top: side(rung.picture.y),
                black: black(rung, chroma),
                chunk_columns: share.chunk_columns as i32,
                x: self.add_axis(x, &share.x),
                y: self.add_axis(y, &share.y),
                ..LadderTarget::default()
            };
        }
        self.job.planes[usize::from(chroma)] = plane;
        Ok(())
    }

    fn add_axis(&mut self, table: &AxisTable, outputs: &Outputs) -> LadderAxis {
        let rows: Vec<&[i16]> = table.coefficients().collect();
        let transposed = (0..table.taps()).flat_map(|tap| rows.iter().map(move |row| row.get(tap).copied().unwrap_or(0)));
        LadderAxis {
            starts: self.add(outputs.starts.iter().map(|start| start.to_ne_bytes())),
            positions: self.add(table.positions().iter().map(|position| position.to_ne_bytes())),
            coefficients: self.add(transposed.map(i16::to_ne_bytes)),
            samples: rows.len() as i32,
            taps: table.taps() as i32,
        }
    }

    fn add(&mut self, values: impl Iterator<Item = [u8; 2]>) -> u32 {
        self.tables.resize(self.tables.len().next_multiple_of(4), 0);
        let offset = self.tables.len() as u32;
        self.tables.extend(values.flatten());
        offset
    }
}

fn check(source: &SourceGeometry, rungs: &[RungGeometry]) -> Result<(), LadderError> {
    if rungs.is_empty() || rungs.len() > MAX_RUNGS {
        return Err(LadderError::Rungs(rungs.len()));
    }
    let pictures = rungs.iter().map(|rung| (rung.width, rung.height, rung.picture));
    for (width, height, area) in pictures.chain([(source.width, source.height, source.crop)]) {
        if [width, height].iter().any(|side| !(1..=LONGEST_SIDE).contains(side)) {
            return Err(LadderError::Size { width, height });
        }
        if !area.lies_in(width, height) {
            return Err(LadderError::Outside { area, width, height });
        }
    }
    match rungs.iter().find(|rung| !rung.picture.x.is_multiple_of(2) || !rung.picture.y.is_multiple_of(2)) {
        Some(odd) => Err(LadderError::OddPlace(odd.picture)),
        None if rungs.iter().any(|rung| rung.ten_bit != rungs[0].ten_bit) => Err(LadderError::MixedDepths),
        None => Ok(()),
    }
}

fn check_pitch(planes: &DevicePlanes, row_bytes: u32) -> Result<(), LadderError> {
    // Even rows keep samples of 16 bits aligned.
    if planes.pitch < row_bytes || !planes.pitch.is_multiple_of(2) {
        return Err(LadderError::Pitch { pitch: planes.pitch, row_bytes });
    }
    Ok(())
}

fn entry(source_ten_bit: bool, target_ten_bit: bool) -> &'static CStr {
    match (source_ten_bit, target_ten_bit) {
        (false, false) => c"ladder_nv12",
        (true, true) => c"ladder_p010",
        (true, false) => c"ladder_p010_nv12",
        (false, true) => c"ladder_nv12_p010",
    }
}

/// Black as it is stored.
fn black(rung: &RungGeometry, chroma: bool) -> u32 {
    let eight = match (chroma, rung.full_range) {
        (true, _) => 128,
        (false, true) => 0,
        (false, false) => 16,
    };
    // Ten bits lie in the upper part of sixteen.
    if rung.ten_bit { eight << 8 } else { eight }
}

/// Samples of a plane that an area touches.
fn plane_size(area: Area, chroma: bool) -> (usize, usize) {
    let side = |begin: u32, length: u32| if chroma { (begin + length).div_ceil(2) - begin / 2 } else { length } as usize;
    (side(area.x, area.width), side(area.y, area.height))
}

/// How a plane of a rung is made of the source's: across, down.
pub(super) fn axes(source: &SourceGeometry, rung: &RungGeometry, chroma: bool) -> (Axis, Axis) {
    let (crop, picture) = (source.crop, rung.picture);
    let (columns, rows) = plane_size(crop, chroma);
    let axis = |samples: usize, begin: u32, source_length: u32, target_length: u32, siting: Siting| Axis {
        source_samples: samples as u32,
        source_length,
        target_samples: if chroma { target_length.div_ceil(2) } else { target_length },
        target_length,
        siting,
        begins_at_half: chroma && begin % 2 == 1,
    };
    let across = if chroma { Siting::Left } else { Siting::Centre };
    (axis(columns, crop.x, crop.width, picture.width, across), axis(rows, crop.y, crop.height, picture.height, Siting::Centre))
}

fn plane_job(tiling: &Tiling, size: (usize, usize)) -> LadderPlane {
    LadderPlane {
        middle_offset: tiling.middle_offset as u32,
        width: size.0 as i32,
        height: size.1 as i32,
        tile_width: tiling.tile.0 as i32,
        tile_height: tiling.tile.1 as i32,
        tiles_across: tiling.tiles.0 as i32,
        tiles_down: tiling.tiles.1 as i32,
        halo_left: tiling.halo.0 as i32,
        halo_top: tiling.halo.1 as i32,
        window_width: tiling.window.0 as i32,
        window_height: tiling.window.1 as i32,
        ..LadderPlane::default()
    }
}

#[cfg(test)]
mod tests;
