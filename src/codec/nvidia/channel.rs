//! What a channel has on its device: one stream, the kernels, a pool of buffers per rung, the ledger of its copies.

use std::sync::Arc;

use super::cuda::{Device, Stream};
use super::kernels::Kernels;
use super::ledger::CopyLedger;
use super::pool::{DevicePicture, DevicePool, Format};
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::frame::Color;
use crate::media::device::CudaSeat;

const COMPONENT: &str = "cuda device";

/// The buffers of one rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// The rung's name.
    pub name: String,
    /// Width and height in pixels, even.
    pub size: (u32, u32),
    /// How its samples lie.
    pub format: Format,
    /// How many pictures may be on their way at once.
    pub count: usize,
}

/// A channel's place on a device. Everything of the channel is queued on its one stream.
#[derive(Debug)]
pub struct ChannelDevice {
    stream: Arc<Stream>,
    kernels: Kernels,
    pools: Vec<Arc<DevicePool>>,
    ledger: Arc<CopyLedger>,
    color: Color,
}

impl ChannelDevice {
    /// Takes the seat; every picture of every rung has `color`. `DeviceLost` where the seat's device is not there.
    pub fn open(seat: &CudaSeat, rungs: &[PoolSize], color: Color) -> Result<Arc<ChannelDevice>, CodecError> {
        let device = Device::open(seat.ordinal).map_err(|cause| lost(seat, &cause.to_string()))?;
        match device.uuid() {
            Ok(uuid) if uuid == seat.uuid => ChannelDevice::on(&device, rungs, color),
            Ok(uuid) => Err(lost(seat, &format!("{uuid} is there now"))),
            Err(cause) => Err(lost(seat, &cause.to_string())),
        }
    }

    /// On a device that is open.
    pub fn on(device: &Arc<Device>, rungs: &[PoolSize], color: Color) -> Result<Arc<ChannelDevice>, CodecError> {
        let stream = Stream::new(device).map_err(|cause| cause.of(COMPONENT))?;
        let kernels = Kernels::load(device).map_err(|cause| cause.of("kernels"))?;
        let pool = |rung: &PoolSize| DevicePool::new(device, &rung.name, rung.format, rung.size, rung.count);
        let pools = rungs.iter().map(pool).collect::<Result<_, CodecError>>()?;
        Ok(Arc::new(ChannelDevice { stream, kernels, pools, ledger: Arc::default(), color }))
    }

    /// The device.
    pub fn device(&self) -> &Arc<Device> {
        self.stream.device()
    }

    /// The stream.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// The pools, in the order of the rungs.
    pub fn pools(&self) -> &[Arc<DevicePool>] {
        &self.pools
    }

    /// The ledger of copies.
    pub fn ledger(&self) -> &Arc<CopyLedger> {
        &self.ledger
    }

    /// How samples of the rungs are meant.
    pub fn color(&self) -> Color {
        self.color
    }

    pub(super) fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// A free buffer of every rung.
    pub(super) fn take(&self) -> Result<Vec<Arc<DevicePicture>>, CodecError> {
        self.pools.iter().map(|pool| pool.take().map(Arc::new)).collect()
    }
}

fn lost(seat: &CudaSeat, why: &str) -> CodecError {
    let detail = format!("the seat is on {} at ordinal {}, which cannot be had: {why}", seat.uuid, seat.ordinal);
    CodecError::new(Fault::DeviceLost, COMPONENT, detail)
}
