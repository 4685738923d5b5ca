//! From one picture in device memory to every rung: one launch for all rungs of a depth.

use std::sync::Arc;

use super::COMPONENT;
use crate::codec::error::CodecError;
use crate::codec::fit::{Area, fit};
use crate::codec::frame::Color;
use crate::codec::nvidia::channel::ChannelDevice;
use crate::codec::nvidia::cuda::Buffer;
use crate::codec::nvidia::ladder::job::MAX_RUNGS;
use crate::codec::nvidia::ladder::recolor::Recoloring;
use crate::codec::nvidia::ladder::{DevicePlanes, Filter, LadderError, LadderPlan, RungGeometry, SourceGeometry};
use crate::codec::nvidia::pool::{DevicePicture, DevicePool, Format};
use crate::codec::nvidia::surface::ScaledLadder;

/// A picture in device memory.
#[derive(Clone, Copy, Debug)]
pub(in crate::codec::nvidia) struct Source {
    /// Where it lies.
    pub(in crate::codec::nvidia) planes: DevicePlanes,
    /// Its size, and what of it is shown.
    pub(in crate::codec::nvidia) geometry: SourceGeometry,
    /// Width of a pixel over its height.
    pub(in crate::codec::nvidia) pixel_aspect: f64,
    /// How its samples are meant.
    pub(in crate::codec::nvidia) color: Color,
}

impl Source {
    fn shape(&self) -> Shape {
        Shape { geometry: self.geometry, pixel_aspect: self.pixel_aspect, color: self.color }
    }
}

/// What decides how a source is scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    geometry: SourceGeometry,
    pixel_aspect: f64,
    color: Color,
}

/// Scales pictures of a channel into buffers of its pools.
#[derive(Debug)]
pub(in crate::codec::nvidia) struct RungScaler {
    channel: Arc<ChannelDevice>,
    prepared: Option<(Shape, Vec<Prepared>)>,
    /// Kept for its memory.
    targets: Vec<DevicePlanes>,
}

/// The launches for rungs of one depth.
#[derive(Debug)]
struct Prepared {
    /// Numbers of the rungs.
    members: Vec<usize>,
    /// Where the picture is in each of them.
    pictures: Vec<Area>,
    plan: LadderPlan,
    tables: Buffer,
    recoloring: Option<Recoloring>,
}

impl RungScaler {
    pub(in crate::codec::nvidia) fn new(channel: &Arc<ChannelDevice>) -> RungScaler {
        RungScaler { channel: Arc::clone(channel), prepared: None, targets: Vec::with_capacity(MAX_RUNGS) }
    }

    /// Queues scaling a picture. It may be given back in the order of the stream.
    pub(in crate::codec::nvidia) fn scale(&mut self, source: &Source) -> Result<ScaledLadder, CodecError> {
        let channel = Arc::clone(&self.channel);
        let rungs = channel.take()?;
        let prepared = match &mut self.prepared {
            Some((shape, prepared)) if *shape == source.shape() => prepared,
            other => &mut other.insert((source.shape(), prepare(&channel, source)?)).1,
        };
        for group in prepared {
            group.queue(&channel, source, &rungs, &mut self.targets)?;
        }
        Ok(ScaledLadder { ordinal: channel.device().ordinal(), rungs })
    }
}

/// Tables for another kind of source: the one time that the host waits for the device.
fn prepare(channel: &ChannelDevice, source: &Source) -> Result<Vec<Prepared>, CodecError> {
    let pictures = pictures(source, channel.pools());
    let mut prepared = Vec::new();
    for format in [Format::Nv12, Format::P010] {
        let members: Vec<usize> =
            (0..channel.pools().len()).filter(|rung| channel.pools().get(*rung).is_some_and(|pool| pool.format() == format)).collect();
        for members in members.chunks(MAX_RUNGS) {
            prepared.push(Prepared::new(channel, source, members, &pictures)?);
        }
    }
    Ok(prepared)
}

/// Where the picture goes in every rung: fitted into the top one, the same place down the ladder.
fn pictures(source: &Source, pools: &[Arc<DevicePool>]) -> Vec<Area> {
    let crop = source.geometry.crop;
    let Some(top) = pools.first().map(|pool| pool.size()) else { return Vec::new() };
    let fitted = fit(crop.width, crop.height, source.pixel_aspect, top.0, top.1);
    pools.iter().map(|pool| fitted.rescaled(top, pool.size())).collect()
}

impl Prepared {
    fn new(channel: &ChannelDevice, source: &Source, members: &[usize], pictures: &[Area]) -> Result<Prepared, CodecError> {
        let mut geometries = Vec::with_capacity(members.len());
        for (pool, picture) in members.iter().filter_map(|rung| channel.pools().get(*rung).zip(pictures.get(*rung))) {
            let ((width, height), ten_bit) = (pool.size(), pool.format() == Format::P010);
            geometries.push(RungGeometry { width, height, ten_bit, picture: *picture, full_range: channel.color().full_range });
        }
        let plan = LadderPlan::new(&source.geometry, &geometries, Filter::default()).map_err(refused)?;
        let tables = Buffer::new(channel.device(), plan.tables().len().max(4)).map_err(|cause| cause.of(COMPONENT))?;
        tables.write(plan.tables(), channel.stream()).map_err(|cause| cause.of(COMPONENT))?;
        let ten_bit = geometries.iter().any(|rung| rung.ten_bit);
        Ok(Prepared {
            members: members.to_vec(),
            pictures: geometries.iter().map(|rung| rung.picture).collect(),
            plan,
            tables,
            recoloring: Recoloring::new(source.color, channel.color(), ten_bit),
        })
    }

    fn queue(
        &self,
        channel: &ChannelDevice,
        source: &Source,
        rungs: &[Arc<DevicePicture>],
        targets: &mut Vec<DevicePlanes>,
    ) -> Result<(), CodecError> {
        targets.clear();
        targets.extend(self.members.iter().filter_map(|rung| rungs.get(*rung)).map(|rung| rung.planes()));
        let launch = self.plan.launch(self.tables.pointer(), &source.planes, targets).map_err(refused)?;
        let (kernels, stream) = (channel.kernels(), channel.stream());
        kernels.launch(self.plan.entry(), &launch, stream).map_err(|cause| cause.of(COMPONENT))?;
        let Some(recoloring) = &self.recoloring else { return Ok(()) };
        for (planes, picture) in targets.iter().zip(&self.pictures) {
            let launch = recoloring.launch(planes, *picture).map_err(refused)?;
            kernels.launch(recoloring.entry(), &launch, stream).map_err(|cause| cause.of(COMPONENT))?;
        }
        Ok(())
    }
}

fn refused(cause: LadderError) -> CodecError {
    CodecError::new(cause.fault(), COMPONENT, cause.to_string())
}
