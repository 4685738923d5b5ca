//! The way up for pictures that were made in main memory: a ring of pinned buffers and one buffer on the device.

use std::sync::Arc;

use super::COMPONENT;
use super::rungs::Source;
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::fit::Area;
use crate::codec::frame::{Color, HostPicture};
use crate::codec::nvidia::channel::ChannelDevice;
use crate::codec::nvidia::cuda::{CudaError, Event, Pinned};
use crate::codec::nvidia::ladder::SourceGeometry;
use crate::codec::nvidia::pool::{DevicePicture, DevicePool, Format};
use crate::codec::software::{SemiPlanar, SemiPlanarLayout};
use crate::media::device::CopyReason;

/// Pictures whose copy may not have run yet. One is written, one is read, one waits.
const RING: usize = 3;

/// Uploads pictures of a channel.
#[derive(Debug)]
pub(super) struct Staging {
    channel: Arc<ChannelDevice>,
    converter: SemiPlanar,
    ready: Option<Ready>,
}

/// Memory for pictures of one layout.
#[derive(Debug)]
struct Ready {
    layout: SemiPlanarLayout,
    ring: Vec<(Pinned, Event)>,
    next: usize,
    /// One buffer: on one stream the picture before has been scaled before the next one is written.
    pool: Arc<DevicePool>,
}

/// A picture that was uploaded.
#[derive(Debug)]
pub(super) struct Uploaded {
    picture: DevicePicture,
    pixel_aspect: f64,
    color: Color,
}

impl Uploaded {
    pub(super) fn described(&self) -> Source {
        let (width, height) = self.picture.pool().size();
        let ten_bit = self.picture.pool().format() == Format::P010;
        let geometry = SourceGeometry { width, height, ten_bit, crop: Area::whole(width, height) };
        Source { planes: self.picture.planes(), geometry, pixel_aspect: self.pixel_aspect, color: self.color }
    }
}

impl Staging {
    pub(super) fn new(channel: &Arc<ChannelDevice>) -> Staging {
        Staging { channel: Arc::clone(channel), converter: SemiPlanar::default(), ready: None }
    }

    /// Converts a picture of any format to the channel's colour and queues its copy to the device.
    pub(super) fn upload(&mut self, picture: &HostPicture, from: Color, reason: CopyReason) -> Result<Uploaded, CodecError> {
        let layout = SemiPlanarLayout::of(picture, self.wants_ten_bit())
            .ok_or_else(|| CodecError::new(Fault::Unsupported, COMPONENT, "a picture of no or too large a size"))?;
        let ready = match &mut self.ready {
            Some(ready) if ready.layout == layout => ready,
            other => other.insert(Ready::new(&self.channel, layout)?),
        };
        let color = self.channel.color();
        let (slot, pool) = ready.turn();
        let Some((pinned, event)) = slot else { return Err(CodecError::new(Fault::Bug, COMPONENT, "no staging memory")) };
        // Has happened long ago unless the device is three pictures behind; then this is where the worker waits for it.
        event.synchronize().map_err(|cause| cause.of(COMPONENT))?;
        self.converter.convert(picture, from, color, &layout, pinned.bytes_mut())?;
        let target = pool.take()?;
        let queued = || -> Result<(), CudaError> {
            self.channel.ledger().to_device(reason, (pinned, layout.pitch), &target, self.channel.stream())?;
            event.record(self.channel.stream())
        };
        queued().map_err(|cause| cause.of(COMPONENT))?;
        let pixel_aspect = match picture {
            HostPicture::Decoded(decoded) => decoded.pixel_aspect(),
            _ => 1.0,
        };
        Ok(Uploaded { picture: target, pixel_aspect, color })
    }

    /// Ten bits are worth their bytes only where a rung keeps them.
    fn wants_ten_bit(&self) -> bool {
        self.channel.pools().iter().any(|pool| pool.format() == Format::P010)
    }
}

impl Ready {
    fn new(channel: &ChannelDevice, layout: SemiPlanarLayout) -> Result<Ready, CodecError> {
        let slot = || Ok((Pinned::new(channel.device(), layout.bytes())?, Event::new(channel.device())?));
        let ring = (0..RING).map(|_| slot()).collect::<Result<_, CudaError>>().map_err(|cause| cause.of(COMPONENT))?;
        let format = if layout.ten_bit { Format::P010 } else { Format::Nv12 };
        let pool = DevicePool::new(channel.device(), "upload", format, (layout.width, layout.height), 1)?;
        Ok(Ready { layout, ring, next: 0, pool })
    }

    fn turn(&mut self) -> (Option<&mut (Pinned, Event)>, &Arc<DevicePool>) {
        let at = self.next;
        self.next = (self.next + 1) % RING;
        (self.ring.get_mut(at), &self.pool)
    }
}
