//! Decoding on the device: every picture is scaled to the whole ladder when its turn to be shown comes, and its surface given back at once.

mod attached;
mod clean;
mod failed;
mod timecode;
mod units;

use std::sync::Arc;

use attached::AttachedQueue;
use clean::CleanFrom;
use failed::FailedSurfaces;
use units::Units;

use super::channel::ChannelDevice;
use super::cuda::CudaError;
use super::cuvid::{COMPONENT, Display, Engine, Events, Parser, Picture, StreamFormat, check_ability};
use super::ladder::{DevicePlanes, SourceGeometry};
use super::scaler::{RungScaler, Source};
use super::surface::CudaSurface;
use crate::base::{Fault, Ticks};
use crate::codec::engine::Decoder;
use crate::codec::error::CodecError;
use crate::codec::fit::Area;
use crate::codec::frame::{Frame, Surface};
use crate::media::{AccessUnit, VideoCodec, VideoTrack};

/// Pictures come as soon as their turn has come; decoding one and showing another still overlap on the device.
const DISPLAY_DELAY: u32 = 0;

/// A decoder of one video track. What it makes is a [`CudaSurface::Ladder`] in the channel's colour.
#[derive(Debug)]
pub struct NvDecoder {
    parser: Parser,
    units: Units,
    stage: Stage,
    ended: bool,
}

/// What pictures go through.
#[derive(Debug)]
struct Stage {
    channel: Arc<ChannelDevice>,
    codec: VideoCodec,
    engine: Option<Engine>,
    scaler: RungScaler,
    attached: AttachedQueue,
    clean: CleanFrom,
    failed: FailedSurfaces,
}

impl NvDecoder {
    /// Opens a decoder. `Unsupported` where the device does not decode what the track's description says; a track without one shows that
    /// with its first pictures.
    pub fn open(channel: &Arc<ChannelDevice>, track: &VideoTrack) -> Result<NvDecoder, CodecError> {
        let units = Units::of(track)?;
        if let Some(described) = units::described(track)? {
            check_ability(channel.device(), track.codec, described.bits, described.size)?;
        }
        let stage = Stage {
            channel: Arc::clone(channel),
            codec: track.codec,
            engine: None,
            scaler: RungScaler::new(channel),
            attached: AttachedQueue::of(track),
            clean: CleanFrom::default(),
            failed: FailedSurfaces::default(),
        };
        Ok(NvDecoder { parser: Parser::open(channel.device(), track.codec, DISPLAY_DELAY)?, units, stage, ended: false })
    }

    /// As [`Decoder::decode`], with each picture handed on before the next one is made, so that no more buffers are in use than there are
    /// places downstream. Where `sink` answers false, pictures behind it are left out.
    pub fn decode_each(&mut self, unit: &AccessUnit, sink: &mut dyn FnMut(Frame) -> bool) -> Result<(), CodecError> {
        if self.ended || unit.data.is_empty() || !self.stage.clean.takes(self.stage.codec, unit) {
            return Ok(());
        }
        self.stage.attached.submitted(self.stage.codec, unit);
        let stream = self.units.stream(unit)?;
        self.parser.parse(stream, unit.pts, &mut Run { stage: &mut self.stage, sink, stopped: false })
    }

    /// As [`Decoder::drain`], with each picture handed on before the next one is made.
    pub fn drain_each(&mut self, sink: &mut dyn FnMut(Frame) -> bool) -> Result<(), CodecError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        self.parser.end(&mut Run { stage: &mut self.stage, sink, stopped: false })
    }
}

impl Decoder for NvDecoder {
    fn decode(&mut self, unit: &AccessUnit, out: &mut Vec<Frame>) -> Result<(), CodecError> {
        self.decode_each(unit, &mut |frame| {
            out.push(frame);
            true
        })
    }

    fn drain(&mut self, out: &mut Vec<Frame>) -> Result<(), CodecError> {
        self.drain_each(&mut |frame| {
            out.push(frame);
            true
        })
    }
}

/// One call of the parser.
struct Run<'a> {
    stage: &'a mut Stage,
    sink: &'a mut dyn FnMut(Frame) -> bool,
    stopped: bool,
}

impl Events for Run<'_> {
    fn sequence(&mut self, format: StreamFormat) -> Result<u32, CodecError> {
        let stage = &mut *self.stage;
        if stage.engine.as_ref().is_none_or(|engine| engine.format() != &format) {
            check_ability(stage.channel.device(), stage.codec, format.bits, format.coded)?;
            let engine = match stage.engine.take() {
                Some(engine) => engine.follow(format)?,
                None => Engine::open(stage.channel.stream(), stage.codec, format)?,
            };
            let (_, _, width, height) = format.shown;
            tracing::info!(codec = ?stage.codec, width, height, bits = format.bits, surfaces = engine.surfaces(), "decoding on the device");
            stage.engine = Some(engine);
        }
        Ok(stage.engine.as_ref().map_or(1, Engine::surfaces))
    }

    fn picture(&mut self, picture: Picture<'_>) -> Result<(), CodecError> {
        let (index, second_field) = (picture.index(), picture.is_second_field());
        let decoded = self.stage.engine().and_then(|engine| engine.decode(picture).map_err(|cause| self.stage.judged(cause)));
        self.stage.failed.decoded(index, second_field, decoded.is_ok());
        decoded
    }

    fn display(&mut self, display: Display) -> Result<(), CodecError> {
        let attached = self.stage.attached.taken(display.pts);
        if self.stopped || !self.stage.clean.shows(display.pts) || self.stage.failed.has(display.index) {
            return Ok(());
        }
        let surface = self.stage.scaled(&display)?;
        let color = self.stage.channel.color();
        let frame = Frame { pts: display.pts, duration: Ticks::ZERO, color, surface, attached };
        self.stopped = !(self.sink)(frame);
        Ok(())
    }

    fn judged(&self, cause: CudaError) -> CodecError {
        self.stage.judged(cause)
    }
}

impl Stage {
    fn judged(&self, cause: CudaError) -> CodecError {
        of_picture(cause, || self.channel.stream().synchronize())
    }

    fn engine(&self) -> Result<&Engine, CodecError> {
        self.engine.as_ref().ok_or_else(|| CodecError::new(Fault::Corrupt, COMPONENT, "a picture before its parameter sets"))
    }

    fn scaled(&mut self, display: &Display) -> Result<Surface, CodecError> {
        let engine =
            self.engine.as_ref().ok_or_else(|| CodecError::new(Fault::Corrupt, COMPONENT, "a picture before its parameter sets"))?;
        let surface = engine.map(display).map_err(|cause| self.judged(cause))?;
        if engine.is_damaged(display) {
            return Err(CodecError::new(Fault::Corrupt, COMPONENT, "a picture was decoded with errors and is left out"));
        }
        let format = engine.format();
        let (_, _, width, height) = format.shown;
        let source = Source {
            planes: DevicePlanes { y: surface.luma(), uv: surface.chroma(), pitch: surface.pitch() as u32 },
            geometry: SourceGeometry { width, height, ten_bit: format.bits > 8, crop: Area::whole(width, height) },
            pixel_aspect: format.pixel_aspect,
            color: format.color,
        };
        Ok(Surface::Cuda(CudaSurface::Ladder(Arc::new(self.scaler.scale(&source)?))))
    }
}

/// Statuses with which drivers also answer broken bytes on a device that is well: INVALID_VALUE, MAP_FAILED, UNKNOWN.
const ALSO_OF_BROKEN_BYTES: [i32; 3] = [1, 205, 999];

/// What a refusal of the driver means. `well` asks the device; one that still works was given a broken picture, since this code hands on
/// what the parser made of the source's bytes.
fn of_picture(cause: CudaError, well: impl FnOnce() -> Result<(), CudaError>) -> CodecError {
    if cause.fault() != Fault::Bug && !cause.status().is_some_and(|status| ALSO_OF_BROKEN_BYTES.contains(&status)) {
        return cause.of(COMPONENT);
    }
    match well() {
        Ok(()) => CodecError::new(Fault::Corrupt, COMPONENT, format!("a picture is left out: {cause}")),
        Err(loss) => CodecError::new(loss.fault(), COMPONENT, format!("{cause}, and then {loss}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: i32) -> CudaError {
        CudaError::Call { call: "cuvidDecodePicture", status, name: String::new() }
    }

    #[test]
    fn a_refusal_on_a_device_that_is_well_is_the_sources_fault() {
        for status in [1, 205, 400, 999] {
            assert_eq!(of_picture(answered(status), || Ok(())).fault(), Fault::Corrupt, "{status}");
            assert_eq!(of_picture(answered(status), || Err(answered(719))).fault(), Fault::DeviceLost, "{status}");
        }
    }

    #[test]
    fn a_loss_that_says_so_is_not_asked_about() {
        let unasked = || -> Result<(), CudaError> { panic!("asked") };
        assert_eq!([214, 700, 719].map(|status| of_picture(answered(status), unasked).fault()), [Fault::DeviceLost; 3]);
        assert_eq!(of_picture(answered(2), unasked).fault(), Fault::Overload);
    }
}
