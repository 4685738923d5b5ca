//! A small picture of the input every now and then.

use crate::base::{MediaTime, Ticks};
use crate::codec::nvidia::{CudaSurface, Snapshot};
use crate::codec::software::jpeg;
use crate::codec::{Frame, Surface};
use crate::wire::link::FromWorker;

use super::error::Stop;
use super::link_out::Outbox;

const MAX_WIDTH: u32 = 320;
const MAX_BYTES: usize = 64 << 10;
/// A worker this far behind has better things to do. Decoding and reordering alone keep a picture for less.
const BEHIND: Ticks = Ticks::from_millis(1000);

/// Decides which pictures of the input are sent as thumbnails.
#[derive(Debug)]
pub(super) struct Thumbnails {
    every: Option<Ticks>,
    last: Option<MediaTime>,
    /// Brings pictures down from a device, where there is one.
    device: Option<Snapshot>,
}

impl Thumbnails {
    pub(super) fn new(every: Option<Ticks>) -> Thumbnails {
        Thumbnails { every, last: None, device: None }
    }

    /// Also of pictures in device memory.
    pub(super) fn with_device(self, device: Snapshot) -> Thumbnails {
        Thumbnails { device: Some(device), ..self }
    }

    /// A decoded picture, `lag` behind the newest input. One on a device is sent with a later picture, when it has come down.
    pub(super) fn picture(&mut self, frame: &Frame, lag: Ticks, outbox: &Outbox) -> Result<(), Stop> {
        if let Some(frame) = self.device.as_mut().map_or(Ok(None), Snapshot::ready)? {
            send(&frame, outbox)?;
        }
        if !self.is_due(frame.pts, lag) {
            return Ok(());
        }
        self.last = Some(frame.pts);
        match (&frame.surface, &mut self.device) {
            (Surface::Host(_), _) => send(frame, outbox),
            (Surface::Cuda(CudaSurface::Ladder(ladder)), Some(device)) => Ok(device.take(ladder, frame.pts, MAX_WIDTH)?),
            (Surface::Cuda(_), _) => Ok(()),
        }
    }

    fn is_due(&self, pts: MediaTime, lag: Ticks) -> bool {
        let Some(every) = self.every else { return false };
        // A clock that went back belongs to another input.
        let due = self.last.is_none_or(|last| pts < last || pts.0.saturating_sub(last.0) >= every.0);
        due && lag < BEHIND
    }
}

fn send(frame: &Frame, outbox: &Outbox) -> Result<(), Stop> {
    match jpeg(frame, MAX_WIDTH, MAX_BYTES) {
        Ok(Some(jpeg)) => {
            let message = FromWorker::Thumbnail { pts: frame.pts, width: jpeg.width, height: jpeg.height };
            outbox.send_with(message, jpeg.data)
        }
        Ok(None) => Ok(()),
        Err(cause) => {
            tracing::debug!(%cause, "no thumbnail of this picture");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: i64) -> MediaTime {
        MediaTime(Ticks::from_millis(millis).0)
    }

    #[test]
    fn one_is_due_at_once_then_every_so_often_and_none_while_behind() {
        let mut thumbnails = Thumbnails::new(Some(Ticks::from_millis(5000)));
        assert!(thumbnails.is_due(ms(0), Ticks::ZERO));
        thumbnails.last = Some(ms(0));
        assert!(!thumbnails.is_due(ms(4999), Ticks::ZERO));
        assert!(thumbnails.is_due(ms(5000), Ticks::ZERO));
        assert!(!thumbnails.is_due(ms(5000), Ticks::from_millis(1000)));
        assert!(thumbnails.is_due(ms(-40), Ticks::ZERO));
        assert!(!Thumbnails::new(None).is_due(ms(0), Ticks::ZERO));
    }
}
