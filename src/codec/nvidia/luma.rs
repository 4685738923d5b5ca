//! Looking at pictures on the device for what is frozen or black: a grid of cells, compared with an earlier one, of which only counts come
//! to the host, and those when they are there.

use std::sync::Arc;

use super::channel::ChannelDevice;
use super::cuda::{Buffer, CudaError, Event, Pinned};
use super::ladder::job::LumaComparison;
use super::ladder::luma::{COMPARE_ENTRY, LumaCells, Thresholds, compare, grid, grid_entry};
use super::pool::{DevicePicture, Format};
use super::surface::ScaledLadder;
use crate::codec::error::CodecError;
use crate::codec::fit::Area;

const COMPONENT: &str = "device watch";
/// Below this size a picture has fewer cells than a large one.
const FULL_GRID: (u32, u32) = (640, 360);
/// Bytes of the counts.
const COUNTS: usize = size_of::<LumaComparison>();

/// What the cells of a picture look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellCounts {
    /// Cells.
    pub cells: u32,
    /// Of those that differ from the picture that was kept; all of them where none was.
    pub changed: u32,
    /// Of those that are dark.
    pub dark: u32,
}

/// Looks at one picture at a time.
#[derive(Debug)]
pub struct DeviceLuma {
    channel: Arc<ChannelDevice>,
    /// The cells of the picture that was kept, and those of the newest.
    kept: Buffer,
    newest: Buffer,
    counts: Buffer,
    host: Pinned,
    counted: Event,
    /// The grid of the kept picture.
    grid: Option<LumaCells>,
    /// The grid of a look whose counts have not been read.
    pending: Option<LumaCells>,
    /// The grid of the look whose counts were read last.
    seen: Option<LumaCells>,
}

impl DeviceLuma {
    /// For a channel's pictures.
    pub fn new(channel: &Arc<ChannelDevice>) -> Result<DeviceLuma, CodecError> {
        DeviceLuma::made(channel).map_err(|cause| cause.of(COMPONENT))
    }

    fn made(channel: &Arc<ChannelDevice>) -> Result<DeviceLuma, CudaError> {
        let device = channel.device();
        let cells = LumaCells::of(u32::MAX, u32::MAX).count() as usize * size_of::<u16>();
        Ok(DeviceLuma {
            channel: Arc::clone(channel),
            kept: Buffer::new(device, cells)?,
            newest: Buffer::new(device, cells)?,
            counts: Buffer::new(device, COUNTS)?,
            host: Pinned::new(device, COUNTS)?,
            counted: Event::new(device)?,
            grid: None,
            pending: None,
            seen: None,
        })
    }

    /// Queues a look at a picture. False where the look before has not come out yet.
    pub fn look(&mut self, ladder: &ScaledLadder, thresholds: Thresholds) -> Result<bool, CodecError> {
        let Some(picture) = fit_to_see(ladder).filter(|_| self.pending.is_none()) else { return Ok(false) };
        self.pending = Some(self.queue(picture, thresholds).map_err(|cause| cause.of(COMPONENT))?);
        Ok(true)
    }

    fn queue(&mut self, picture: &DevicePicture, thresholds: Thresholds) -> Result<LumaCells, CudaError> {
        let (kernels, stream) = (self.channel.kernels(), self.channel.stream());
        let ((width, height), ten_bit) = (picture.pool().size(), picture.pool().format() == Format::P010);
        let cells = LumaCells::of(width, height);
        let seen = grid(&picture.planes(), Area::whole(width, height), ten_bit, self.newest.pointer());
        kernels.launch(grid_entry(ten_bit), &seen, stream)?;
        self.counts.fill(0, stream)?;
        // Without a kept picture the newest is compared with itself: only the dark cells count.
        let kept = if self.grid == Some(cells) { self.kept.pointer() } else { self.newest.pointer() };
        let compared = compare(self.newest.pointer(), kept, self.counts.pointer(), cells, thresholds);
        kernels.launch(COMPARE_ENTRY, &compared, stream)?;
        self.counts.read(&mut self.host, COUNTS, stream)?;
        self.counted.record(stream)?;
        Ok(cells)
    }

    /// The counts of the latest look, once, when they are there. Never waits.
    pub fn seen(&mut self) -> Result<Option<CellCounts>, CodecError> {
        let Some(cells) = self.pending else { return Ok(None) };
        if !self.counted.has_happened().map_err(|cause| cause.of(COMPONENT))? {
            return Ok(None);
        }
        (self.pending, self.seen) = (None, Some(cells));
        let word = |at: usize| self.host.bytes().get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_ne_bytes(*word));
        let changed = if self.grid == Some(cells) { word(0) } else { cells.count() };
        Ok(Some(CellCounts { cells: cells.count(), changed, dark: word(4) }))
    }

    /// The picture that was seen last is what later ones are compared with. Changes nothing while a look is on its way.
    pub fn keep(&mut self) {
        if self.pending.is_none()
            && let Some(cells) = self.seen.take()
        {
            std::mem::swap(&mut self.kept, &mut self.newest);
            self.grid = Some(cells);
        }
    }

    /// Another input: nothing seen before counts.
    pub fn forget(&mut self) {
        (self.grid, self.pending, self.seen) = (None, None, None);
    }
}

/// The smallest picture that shows as much as a large one.
fn fit_to_see(ladder: &ScaledLadder) -> Option<&DevicePicture> {
    let is_full = |picture: &&Arc<DevicePicture>| {
        let (width, height) = picture.pool().size();
        width >= FULL_GRID.0 && height >= FULL_GRID.1
    };
    ladder.rungs.iter().rev().find(is_full).or(ladder.rungs.first()).map(Arc::as_ref)
}
