//! Where a worker's pictures are worked on, as its seat says, and who encodes and scales them there.

use std::sync::Arc;

use crate::codec::nvidia::{ChannelDevice, CopyLedger, DeviceLadder, Format, HybridEncoder, NvEncoder, NvOptions, PoolSize};
use crate::codec::software::{LadderScaler, X264Encoder, X264Options};
use crate::codec::{CodecError, Color, Encoder, Frame, Scaler};
use crate::media::device::{CopyReason, CudaSeat, Seat};
use crate::media::{Rung, VideoCodec};
use crate::wire::link::Open;

use super::rung::rung_queue;

/// Pictures of a rung outside of its queue and its encoder: the one that is made, the one that slots hold, the one that was scaled last,
/// and the one in the hands of the encode thread.
const IN_HANDS: usize = 4;

/// A worker's place. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// The cores.
    Software,
    /// A GPU.
    Cuda(Arc<CudaPlace>),
}

/// A place on a GPU.
#[derive(Debug)]
pub(super) struct CudaPlace {
    pub(super) channel: Arc<ChannelDevice>,
    encodes: bool,
}

/// What an encoder of a rung is opened with.
#[derive(Clone, Debug)]
pub(super) struct EncoderSetup {
    pub(super) number: u8,
    pub(super) rung: Rung,
    pub(super) options: X264Options,
    pub(super) live: bool,
}

impl Place {
    /// Takes the seat. The error says whose fault it is that it cannot be taken.
    pub(super) fn take(open: &Open, color: Color) -> Result<Place, CodecError> {
        let Seat::Cuda(seat) = &open.seat else { return Ok(Place::Software) };
        let pools: Vec<PoolSize> = open.rungs.iter().map(|rung| pool_size(seat, open, color, rung)).collect();
        let channel = ChannelDevice::open(seat, &pools, color)?;
        let buffers: usize = pools.iter().map(|pool| pool.count).sum();
        tracing::info!(ordinal = seat.ordinal, uuid = seat.uuid, encodes = seat.encodes, buffers, "working on a GPU");
        Ok(Place::Cuda(Arc::new(CudaPlace { channel, encodes: seat.encodes })))
    }

    /// The ledger of a place that has one.
    pub(super) fn ledger(&self) -> Option<Arc<CopyLedger>> {
        match self {
            Place::Software => None,
            Place::Cuda(place) => Some(Arc::clone(place.channel.ledger())),
        }
    }

    /// Opens a rung's encoder, on the thread that drives it.
    pub(super) fn encoder(&self, setup: &EncoderSetup) -> Result<Box<dyn Encoder>, CodecError> {
        let EncoderSetup { number, rung, options, live } = setup;
        let place = match self {
            Place::Software => return Ok(Box::new(X264Encoder::open(*number, rung, *options)?)),
            Place::Cuda(place) => place,
        };
        let (stream, pools) = (place.channel.stream(), place.channel.pools());
        let Some(pool) = pools.get(usize::from(*number)) else {
            return Err(CodecError::new(crate::base::Fault::Bug, "worker", format!("no pool for rung {}", rung.name)));
        };
        if place.encodes {
            let options = NvOptions { grid: options.grid, color: options.color, live: *live };
            return Ok(Box::new(NvEncoder::open(*number, rung, options, stream, pool)?));
        }
        Ok(Box::new(HybridEncoder::open(*number, rung, *options, stream, pool, place.channel.ledger())?))
    }

    /// What makes pictures of every rung.
    pub(super) fn ladder(&self, sizes: &[(u32, u32)], color: Color) -> Ladder {
        match self {
            Place::Software => Ladder::Software(LadderScaler::new(sizes, color)),
            Place::Cuda(place) => Ladder::Device(Box::new(DeviceLadder::new(&place.channel))),
        }
    }
}

fn pool_size(seat: &CudaSeat, open: &Open, color: Color, rung: &Rung) -> PoolSize {
    let ten_bit = seat.encodes && rung.codec != VideoCodec::H264 && rung.profile == "main10";
    let options = NvOptions { grid: open.grid, color, live: open.live };
    let depth = if seat.encodes { NvEncoder::depth(rung, options) } else { HybridEncoder::DEPTH };
    PoolSize {
        name: rung.name.clone(),
        size: (rung.width, rung.height),
        format: if ten_bit { Format::P010 } else { Format::Nv12 },
        count: IN_HANDS + rung_queue(open.live) + depth,
    }
}

/// Makes every rung's picture of a source's.
#[derive(Debug)]
pub(super) enum Ladder {
    /// In main memory.
    Software(LadderScaler),
    /// On a device.
    Device(Box<DeviceLadder>),
}

impl Ladder {
    /// As [`Scaler::scale`]; a picture that is not where it is scaled crosses for `reason`.
    pub(super) fn scale(&mut self, frame: &Frame, reason: CopyReason, out: &mut Vec<Frame>) -> Result<(), CodecError> {
        match self {
            Ladder::Software(scaler) => scaler.scale(frame, out),
            Ladder::Device(scaler) => scaler.scale_for(frame, reason, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Rate, Ticks};
    use crate::media::{Grid, Slot};
    use crate::wire::link::{Fill, VERSION, Watch};

    fn open(seat: &CudaSeat, rungs: Vec<Rung>) -> Open {
        Open {
            version: VERSION,
            channel: "demo".into(),
            seat: Seat::Cuda(seat.clone()),
            grid: Grid { rate: Rate::new(25, 1), gop_slots: 50, segment_slots: 150 },
            start: Slot(0),
            rungs,
            audio: None,
            fill: Fill::Pattern,
            text: String::new(),
            hold: Ticks::from_millis(1000),
            live: true,
            shed_after: Ticks::from_millis(1000),
            watch: Watch::off(),
            thumbnail_every: None,
        }
    }

    #[test]
    fn a_pool_has_room_for_whoever_holds_a_picture_and_ten_bits_only_where_they_are_encoded() {
        let mut ten = Rung::new("hevc", 640, 360, 800_000, "fast");
        (ten.codec, ten.profile) = (VideoCodec::Hevc, "main10".into());
        let eight = Rung::new("h264", 640, 360, 800_000, "fast");
        for encodes in [true, false] {
            let seat = CudaSeat { ordinal: 0, uuid: String::new(), encodes };
            let open = open(&seat, vec![ten.clone(), eight.clone()]);
            let sizes = open.rungs.iter().map(|rung| pool_size(&seat, &open, Color::assumed(360), rung));
            let sizes: Vec<PoolSize> = sizes.collect();
            assert_eq!(sizes[0].format == Format::P010, encodes);
            assert_eq!(sizes[1].format, Format::Nv12);
            assert!(sizes.iter().all(|size| (7..64).contains(&size.count)), "{sizes:?}");
        }
    }

    #[test]
    fn a_seat_on_a_device_that_is_not_there_is_lost_and_not_taken_elsewhere() {
        let seat = CudaSeat { ordinal: 99, uuid: "GPU-0".into(), encodes: true };
        let refused = Place::take(&open(&seat, vec![Rung::new("360p", 640, 360, 800_000, "fast")]), Color::assumed(360)).unwrap_err();
        assert_eq!(refused.fault(), crate::base::Fault::DeviceLost);
    }
}
