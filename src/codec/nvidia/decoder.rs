//! Decoding on the device: every picture is scaled to the whole ladder when its turn to be shown comes, and its surface given back at once.

mod attached;
mod clean;
mod timecode;
mod units;

use std::sync::Arc;

use attached::AttachedQueue;
use clean::CleanFrom;
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
                None => Engine::open(stage.channel.device(), stage.codec, format)?,
            };
            let (_, _, width, height) = format.shown;
            tracing::info!(codec = ?stage.codec, width, height, bits = format.bits, surfaces = engine.surfaces(), "decoding on the device");
            stage.engine = Some(engine);
        }
        Ok(stage.engine.as_ref().map_or(1, Engine::surfaces))
    }

    fn picture(&mut self, picture: Picture<'_>) -> Result<(), CodecError> {
        self.stage.engine()?.decode(picture).map_err(of_picture)
    }

    fn display(&mut self, display: Display) -> Result<(), CodecError> {
        let attached = self.stage.attached.taken(display.pts);
        if self.stopped || !self.stage.clean.shows(display.pts) {
            return Ok(());
        }
        let surface = self.stage.scaled(&display)?;
        let color = self.stage.channel.color();
        let frame = Frame { pts: display.pts, duration: Ticks::ZERO, color, surface, attached };
        self.stopped = !(self.sink)(frame);
        Ok(())
    }
}

impl Stage {
    fn engine(&self) -> Result<&Engine, CodecError> {
        self.engine.as_ref().ok_or_else(|| CodecError::new(Fault::Corrupt, COMPONENT, "a picture before its parameter sets"))
    }

    fn scaled(&mut self, display: &Display) -> Result<Surface, CodecError> {
        let channel = Arc::clone(&self.channel);
        let engine =
            self.engine.as_ref().ok_or_else(|| CodecError::new(Fault::Corrupt, COMPONENT, "a picture before its parameter sets"))?;
        let surface = engine.map(display, channel.stream()).map_err(of_picture)?;
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

/// A picture that the driver refuses as an argument is a broken picture: this code hands on what the parser made of the source's bytes.
fn of_picture(cause: CudaError) -> CodecError {
    match cause.fault() {
        Fault::Bug => CodecError::new(Fault::Corrupt, COMPONENT, cause.to_string()),
        _ => cause.of(COMPONENT),
    }
}
