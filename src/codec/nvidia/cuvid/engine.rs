//! A decoder of NVDEC and the surfaces that it lends.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::{addr_of, null_mut};
use std::sync::Arc;

use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDDECODECREATEINFO, CUVIDGETDECODESTATUS, CUVIDPROCPARAMS, CUVIDRECONFIGUREDECODERINFO, cudaVideoChromaFormat_enum as Chroma,
    cudaVideoCreateFlags_enum as CreateFlags, cudaVideoDeinterlaceMode_enum as Deinterlace, cudaVideoSurfaceFormat_enum as SurfaceFormat,
};

use super::COMPONENT;
use super::calls::{Cuvid, native};
use super::format::StreamFormat;
use super::parser::{Display, Picture};
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::nvidia::cuda::{CudaError, DevicePointer, Handle, Stream};
use crate::media::VideoCodec;

/// Surfaces beyond what decoding needs, so that it goes on while one is shown.
const SPARE_SURFACES: u32 = 2;
/// The driver's limit.
const MAX_SURFACES: u32 = 32;
/// One is scaled from while the next one is made ready; a surface is given back as soon as its launch is queued.
const OUTPUT_SURFACES: u64 = 2;
/// `cuvidDecodeStatus_Error` and `cuvidDecodeStatus_Error_Concealed`.
const DAMAGED: [c_int; 2] = [8, 9];

/// A decoder for one kind of picture.
#[derive(Debug)]
pub(in crate::codec::nvidia) struct Engine {
    cuvid: &'static Cuvid,
    /// Where what reads its output is queued.
    stream: Arc<Stream>,
    raw: Handle,
    codec: VideoCodec,
    format: StreamFormat,
    /// The largest coded picture that it can be reconfigured for.
    largest: (u32, u32),
    surfaces: u32,
}

impl Engine {
    /// Opens a decoder whose pictures are read on `stream`, with as many surfaces as `format` needs.
    pub(in crate::codec::nvidia) fn open(stream: &Arc<Stream>, codec: VideoCodec, format: StreamFormat) -> Result<Engine, CodecError> {
        let native =
            native(codec).ok_or_else(|| CodecError::new(Fault::Unsupported, COMPONENT, format!("{codec:?} is not decoded here")))?;
        let cuvid = Cuvid::load().map_err(|cause| CudaError::Load(cause).of(COMPONENT))?;
        let device = stream.device();
        let surfaces = surfaces_for(&format);
        let (width, height) = format.coded;
        let (shown, target_width, target_height) = (shown(&format), format.shown.2, format.shown.3);
        let mut raw = null_mut();
        let _current = device.enter().map_err(|cause| cause.of(COMPONENT))?;
        let mut info = MaybeUninit::<CUVIDDECODECREATEINFO>::zeroed();
        let wish = info.as_mut_ptr();
        // SAFETY: writes plain fields of a structure of zeros, and gives it to the driver with a place for the handle that `drop` destroys.
        let status = unsafe {
            (*wish).CodecType = native;
            (*wish).ChromaFormat = Chroma::cudaVideoChromaFormat_420;
            (*wish).OutputFormat = match format.bits {
                8 => SurfaceFormat::cudaVideoSurfaceFormat_NV12,
                _ => SurfaceFormat::cudaVideoSurfaceFormat_P016,
            };
            (*wish).bitDepthMinus8 = u64::from(format.bits) - 8;
            (*wish).DeinterlaceMode = Deinterlace::cudaVideoDeinterlaceMode_Weave;
            (*wish).ulCreationFlags = CreateFlags::cudaVideoCreate_PreferCUVID as u64;
            (*wish).ulNumDecodeSurfaces = surfaces.into();
            (*wish).ulNumOutputSurfaces = OUTPUT_SURFACES;
            ((*wish).ulWidth, (*wish).ulHeight) = (width.into(), height.into());
            ((*wish).ulMaxWidth, (*wish).ulMaxHeight) = (width.into(), height.into());
            ((*wish).ulTargetWidth, (*wish).ulTargetHeight) = (target_width.into(), target_height.into());
            let area = &raw mut (*wish).display_area;
            ((*area).left, (*area).top, (*area).right, (*area).bottom) = shown;
            (cuvid.create)(&mut raw, wish)
        };
        device.check("cuvidCreateDecoder", status).map_err(not_created)?;
        Ok(Engine { cuvid, stream: Arc::clone(stream), raw, codec, format, largest: format.coded, surfaces })
    }

    /// Pictures that it decodes.
    pub(in crate::codec::nvidia) fn format(&self) -> &StreamFormat {
        &self.format
    }

    /// Its surfaces, of which the parser makes use.
    pub(in crate::codec::nvidia) fn surfaces(&self) -> u32 {
        self.surfaces
    }

    /// Goes on with other pictures; the driver keeps codec, depth, surfaces and largest size, and a decoder is made anew where those do
    /// not suffice.
    pub(in crate::codec::nvidia) fn follow(self, format: StreamFormat) -> Result<Engine, CodecError> {
        let (stream, codec) = (Arc::clone(&self.stream), self.codec);
        match self.reconfigured(format) {
            Some(engine) => Ok(engine),
            None => Engine::open(&stream, codec, format),
        }
    }

    /// None where it cannot be; the decoder is gone then, and its memory free for another.
    fn reconfigured(mut self, format: StreamFormat) -> Option<Engine> {
        let fits = format.coded.0 <= self.largest.0 && format.coded.1 <= self.largest.1;
        let same = (format.coded, format.shown, format.bits) == (self.format.coded, self.format.shown, self.format.bits);
        if same && surfaces_for(&format) <= self.surfaces {
            self.format = format;
            return Some(self);
        }
        if !fits || format.bits != self.format.bits || surfaces_for(&format) > self.surfaces {
            return None;
        }
        // The last launch may still read the output surfaces that are made anew.
        self.stream.synchronize().ok()?;
        let entered = self.stream.device().enter().ok()?;
        let (shown, target_width, target_height) = (shown(&format), format.shown.2, format.shown.3);
        let mut info = MaybeUninit::<CUVIDRECONFIGUREDECODERINFO>::zeroed();
        let wish = info.as_mut_ptr();
        // SAFETY: writes plain fields of a structure of zeros; the decoder is open and no surface is mapped, since mapping borrows it.
        let status = unsafe {
            ((*wish).ulWidth, (*wish).ulHeight) = format.coded;
            ((*wish).ulTargetWidth, (*wish).ulTargetHeight) = (target_width, target_height);
            (*wish).ulNumDecodeSurfaces = self.surfaces;
            let area = &raw mut (*wish).display_area;
            ((*area).left, (*area).top, (*area).right, (*area).bottom) = shown;
            (self.cuvid.reconfigure)(self.raw, wish)
        };
        drop(entered);
        match self.stream.device().check("cuvidReconfigureDecoder", status) {
            Ok(()) => {
                self.format = format;
                Some(self)
            }
            Err(cause) => {
                tracing::info!(%cause, "the decoder cannot go on with another size and is opened anew");
                None
            }
        }
    }

    /// Queues decoding one picture.
    pub(in crate::codec::nvidia) fn decode(&self, picture: Picture<'_>) -> Result<(), CudaError> {
        let _current = self.stream.device().enter()?;
        // SAFETY: the parser's own description, which lives during its callback.
        self.stream.device().check("cuvidDecodePicture", unsafe { (self.cuvid.decode)(self.raw, picture.raw()) })
    }

    /// Lends a decoded picture. It is ready for what is queued on the stream from here on.
    pub(in crate::codec::nvidia) fn map(&self, display: &Display) -> Result<Surface<'_>, CudaError> {
        let _current = self.stream.device().enter()?;
        let mut info = MaybeUninit::<CUVIDPROCPARAMS>::zeroed();
        let wish = info.as_mut_ptr();
        let (mut pointer, mut pitch) = (0, 0);
        // SAFETY: writes plain fields of a structure of zeros; the address is given back in `drop`.
        let status = unsafe {
            (*wish).progressive_frame = display.progressive.into();
            (*wish).second_field = display.repeat_first_field.saturating_add(1);
            (*wish).top_field_first = display.top_field_first.into();
            (*wish).unpaired_field = c_int::from(display.repeat_first_field < 0);
            (*wish).output_stream = self.stream.handle().cast();
            (self.cuvid.map)(self.raw, display.index, &mut pointer, &mut pitch, wish)
        };
        self.stream.device().check("cuvidMapVideoFrame64", status)?;
        Ok(Surface { engine: self, pointer, pitch: pitch as usize })
    }

    /// Whether the picture was decoded with errors, hidden or not. Drivers that cannot say say nothing.
    pub(in crate::codec::nvidia) fn is_damaged(&self, display: &Display) -> bool {
        let Ok(_current) = self.stream.device().enter() else { return false };
        let mut info = MaybeUninit::<CUVIDGETDECODESTATUS>::zeroed();
        // SAFETY: a structure of zeros that the driver fills in; its number is read as the int that it is.
        let (status, decoded) = unsafe {
            let status = (self.cuvid.status)(self.raw, display.index, info.as_mut_ptr());
            (status, addr_of!((*info.as_ptr()).decodeStatus).cast::<c_int>().read())
        };
        status == 0 && DAMAGED.contains(&decoded)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The last launch may still read an output surface. Where the device is lost nothing does.
        let _ = self.stream.synchronize();
        if let Ok(_current) = self.stream.device().enter() {
            // SAFETY: created in this context and destroyed once; no surface is mapped, since mapping borrows it.
            unsafe { (self.cuvid.destroy)(self.raw) };
        }
    }
}

/// A decoded picture on loan; dropped, the decoder has it back. What was queued on the stream that it was mapped with still reads it whole,
/// since the next picture is written to it on the same stream.
#[derive(Debug)]
pub(in crate::codec::nvidia) struct Surface<'a> {
    engine: &'a Engine,
    pointer: DevicePointer,
    pitch: usize,
}

impl Surface<'_> {
    /// Address of the shown picture's first row of luma.
    pub(in crate::codec::nvidia) fn luma(&self) -> DevicePointer {
        self.pointer
    }

    /// Address of the shown picture's first row of chroma.
    pub(in crate::codec::nvidia) fn chroma(&self) -> DevicePointer {
        self.pointer + self.pitch as u64 * u64::from(self.engine.format.shown.3)
    }

    /// Bytes from row to row.
    pub(in crate::codec::nvidia) fn pitch(&self) -> usize {
        self.pitch
    }
}

impl Drop for Surface<'_> {
    fn drop(&mut self) {
        if let Ok(_current) = self.engine.stream.device().enter() {
            // SAFETY: mapped by this decoder and given back once.
            unsafe { (self.engine.cuvid.unmap)(self.engine.raw, self.pointer) };
        }
    }
}

/// The part of coded pictures that comes out, in its own size: nobody but our kernel scales.
fn shown(format: &StreamFormat) -> (i16, i16, i16, i16) {
    let (x, y, width, height) = format.shown;
    let side = |value: u32| i16::try_from(value).unwrap_or(i16::MAX);
    (side(x), side(y), side(x + width), side(y + height))
}

fn surfaces_for(format: &StreamFormat) -> u32 {
    (format.surfaces.max(1) + SPARE_SURFACES).min(MAX_SURFACES)
}

/// Nothing but sizes of the source can be invalid here: another decoder takes them on.
fn not_created(cause: CudaError) -> CodecError {
    match cause.status() {
        Some(1) => CodecError::new(Fault::Unsupported, COMPONENT, cause.to_string()),
        _ => cause.of(COMPONENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_the_driver_calls_invalid_are_left_to_another_decoder() {
        let fault = |status| not_created(CudaError::Call { call: "cuvidCreateDecoder", status, name: String::new() }).fault();
        assert_eq!(
            (fault(1), fault(801), fault(2), fault(719)),
            (Fault::Unsupported, Fault::Unsupported, Fault::Overload, Fault::DeviceLost)
        );
    }
}
