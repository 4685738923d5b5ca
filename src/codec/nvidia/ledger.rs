//! The one place through which samples cross between a device and main memory, each copy with its reason.

use std::sync::atomic::{AtomicU64, Ordering};

use super::cuda::{CudaError, Pinned, Rectangle, Stream};
use super::cuda::{rows_to_device, rows_to_host};
use super::pool::DevicePicture;
use crate::media::device::{CopyCount, CopyReason};

/// What has crossed since a worker started.
#[derive(Debug, Default)]
pub struct CopyLedger {
    lines: [Line; 4],
}

#[derive(Debug, Default)]
struct Line {
    pictures: AtomicU64,
    bytes: AtomicU64,
}

impl CopyLedger {
    /// Every reason that occurred.
    pub fn counts(&self) -> Vec<CopyCount> {
        let count = |reason: &CopyReason| {
            let line = self.line(*reason)?;
            let (pictures, bytes) = (line.pictures.load(Ordering::Relaxed), line.bytes.load(Ordering::Relaxed));
            (pictures > 0).then_some(CopyCount { reason: *reason, pictures, bytes })
        };
        CopyReason::all().iter().filter_map(count).collect()
    }

    /// Queues copying a picture whose rows lie in `from`, luma first, so many bytes apart.
    pub fn to_device(&self, reason: CopyReason, from: (&Pinned, usize), picture: &DevicePicture, stream: &Stream) -> Result<(), CudaError> {
        let rows = picture.rows();
        rows_to_device((from.0, 0, from.1), (picture.pointer(), picture.pitch()), rows, stream)?;
        self.enter(reason, rows);
        Ok(())
    }

    /// Queues copying a picture into `to`, laid out as [`DevicePicture::rows`] without padding between rows.
    pub fn to_host(&self, reason: CopyReason, picture: &DevicePicture, to: &mut Pinned, stream: &Stream) -> Result<(), CudaError> {
        let rows = picture.rows();
        rows_to_host((picture.pointer(), picture.pitch()), (to, 0, rows.width_bytes), rows, stream)?;
        self.enter(reason, rows);
        Ok(())
    }

    fn enter(&self, reason: CopyReason, rows: Rectangle) {
        if let Some(line) = self.line(reason) {
            line.pictures.fetch_add(1, Ordering::Relaxed);
            line.bytes.fetch_add((rows.width_bytes * rows.height) as u64, Ordering::Relaxed);
        }
    }

    fn line(&self, reason: CopyReason) -> Option<&Line> {
        self.lines.get(CopyReason::all().iter().position(|known| *known == reason)?)
    }
}
