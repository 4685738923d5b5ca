//! The ladder on the device: what was decoded there is scaled already, what lies in main memory is uploaded and scaled by the same kernel.

mod rungs;
mod staging;

pub(super) use rungs::{RungScaler, Source};

use std::sync::Arc;

use staging::Staging;

use super::channel::ChannelDevice;
use super::surface::{CudaSurface, ScaledLadder};
use crate::base::Fault;
use crate::codec::engine::Scaler;
use crate::codec::error::CodecError;
use crate::codec::frame::{Frame, HostPicture, Surface};
use crate::media::device::CopyReason;

const COMPONENT: &str = "device scaler";

/// Makes every rung's picture of a frame, wherever that lies.
#[derive(Debug)]
pub struct DeviceLadder {
    channel: Arc<ChannelDevice>,
    scaler: RungScaler,
    staging: Staging,
}

impl DeviceLadder {
    /// For the rungs that the channel has pools for.
    pub fn new(channel: &Arc<ChannelDevice>) -> DeviceLadder {
        DeviceLadder { channel: Arc::clone(channel), scaler: RungScaler::new(channel), staging: Staging::new(channel) }
    }

    /// As [`Scaler::scale`]; a picture in main memory crosses for `reason`.
    pub fn scale_for(&mut self, frame: &Frame, reason: CopyReason, out: &mut Vec<Frame>) -> Result<(), CodecError> {
        let uploaded;
        let rungs = match &frame.surface {
            Surface::Cuda(CudaSurface::Ladder(ladder)) => &ladder.rungs,
            Surface::Cuda(CudaSurface::Rung(_)) => return Err(CodecError::new(Fault::Bug, COMPONENT, "a picture came scaled")),
            Surface::Host(picture) => {
                uploaded = self.uploaded(frame, picture, reason)?;
                &uploaded.rungs
            }
        };
        let color = self.channel.color();
        out.extend(rungs.iter().map(|rung| Frame { color, surface: Surface::Cuda(CudaSurface::Rung(Arc::clone(rung))), ..frame.clone() }));
        Ok(())
    }

    fn uploaded(&mut self, frame: &Frame, picture: &HostPicture, reason: CopyReason) -> Result<ScaledLadder, CodecError> {
        let source = self.staging.upload(picture, frame.color, reason)?;
        // The buffer goes back to its pool before the launch has run: what is queued next on the stream writes it after that.
        self.scaler.scale(&source.described())
    }
}

impl Scaler for DeviceLadder {
    fn scale(&mut self, frame: &Frame, out: &mut Vec<Frame>) -> Result<(), CodecError> {
        self.scale_for(frame, CopyReason::HostDecoded, out)
    }
}
