//! The parser: finds sequences and pictures in a byte stream and says in which order to decode and to show them.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

use nvidia_video_codec_sdk::sys::cuviddec::CUVIDPICPARAMS;
use nvidia_video_codec_sdk::sys::nvcuvid::{
    CUVIDEOFORMAT, CUVIDPARSERDISPINFO, CUVIDPARSERPARAMS, CUVIDSOURCEDATAPACKET, CUvideopacketflags as Flags,
};

use super::COMPONENT;
use super::calls::{Cuvid, native};
use super::format::StreamFormat;
use crate::base::{Fault, MediaTime};
use crate::codec::error::CodecError;
use crate::codec::nvidia::cuda::{CudaError, Device, Handle};
use crate::media::VideoCodec;

/// Of a picture this damaged (in %) decoding is tried all the same: the engine says afterwards how it went.
const ERROR_THRESHOLD: u32 = 100;

/// Who acts on what the parser finds.
pub(in crate::codec::nvidia) trait Events {
    /// Another sequence begins. Answers with how many surfaces the decoder has.
    fn sequence(&mut self, format: StreamFormat) -> Result<u32, CodecError>;
    /// A picture is to be decoded.
    fn picture(&mut self, picture: Picture<'_>) -> Result<(), CodecError>;
    /// A picture is to be shown.
    fn display(&mut self, display: Display) -> Result<(), CodecError>;
    /// What it means that the driver refused a part of the stream.
    fn judged(&self, cause: CudaError) -> CodecError;
}

/// A picture as the parser describes it to the decoder.
#[derive(Debug)]
pub(in crate::codec::nvidia) struct Picture<'a> {
    raw: *mut CUVIDPICPARAMS,
    callback: PhantomData<&'a ()>,
}

impl Picture<'_> {
    pub(super) fn raw(&self) -> *mut CUVIDPICPARAMS {
        self.raw
    }

    /// The surface that it is decoded to.
    pub(in crate::codec::nvidia) fn index(&self) -> c_int {
        // SAFETY: the driver's own description, which lives during the callback.
        unsafe { (*self.raw).CurrPicIdx }
    }

    /// It completes the frame whose first field came before it.
    pub(in crate::codec::nvidia) fn is_second_field(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.raw).second_field != 0 }
    }
}

/// A picture that is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec::nvidia) struct Display {
    /// Its surface.
    pub(in crate::codec::nvidia) index: c_int,
    /// The time that went in with it.
    pub(in crate::codec::nvidia) pts: MediaTime,
    /// It is a whole frame.
    pub(in crate::codec::nvidia) progressive: bool,
    /// Of its fields the top one comes first.
    pub(in crate::codec::nvidia) top_field_first: bool,
    /// Fields that are shown again; -1 where a field has no partner.
    pub(in crate::codec::nvidia) repeat_first_field: c_int,
}

/// An open parser.
#[derive(Debug)]
pub(in crate::codec::nvidia) struct Parser {
    cuvid: &'static Cuvid,
    device: Arc<Device>,
    raw: Handle,
    /// `CUVID_PKT_ENDOFPICTURE` where an access unit is exactly one picture, else 0.
    ends_picture: u64,
    /// Shared with the driver; boxed by `Box::into_raw`.
    context: NonNull<Context>,
}

/// What callbacks find.
#[derive(Debug)]
struct Context {
    /// A `&mut &mut dyn Events` while `parse` runs, else null.
    events: *mut c_void,
    /// The first failure since `parse` began.
    failure: Option<CodecError>,
}

impl Parser {
    /// A parser that hands out pictures as soon as they may be shown, `delay` pictures later than that.
    pub(in crate::codec::nvidia) fn open(device: &Arc<Device>, codec: VideoCodec, delay: u32) -> Result<Parser, CodecError> {
        let native =
            native(codec).ok_or_else(|| CodecError::new(Fault::Unsupported, COMPONENT, format!("{codec:?} is not parsed here")))?;
        let cuvid = Cuvid::load().map_err(|cause| CudaError::Load(cause).of(COMPONENT))?;
        let context = NonNull::from(Box::leak(Box::new(Context { events: null_mut(), failure: None })));
        let mut raw = null_mut();
        let mut info = MaybeUninit::<CUVIDPARSERPARAMS>::zeroed();
        let wish = info.as_mut_ptr();
        // SAFETY: writes plain fields of a structure of zeros; the context outlives the parser, which `drop` destroys first.
        let status = unsafe {
            (*wish).CodecType = native;
            // The sequence callback answers with the number that counts.
            (*wish).ulMaxNumDecodeSurfaces = 1;
            (*wish).ulErrorThreshold = ERROR_THRESHOLD;
            (*wish).ulMaxDisplayDelay = delay;
            (*wish).pUserData = context.as_ptr().cast();
            (*wish).pfnSequenceCallback = Some(on_sequence);
            (*wish).pfnDecodePicture = Some(on_picture);
            (*wish).pfnDisplayPicture = Some(on_display);
            (cuvid.create_parser)(&mut raw, wish)
        };
        // Made before the status is looked at: dropped, it frees the context.
        let parser = Parser { cuvid, device: Arc::clone(device), raw, ends_picture: ends_picture(codec), context };
        parser.device.check("cuvidCreateVideoParser", status).map_err(|cause| cause.of(COMPONENT))?;
        Ok(parser)
    }

    /// One whole access unit.
    pub(in crate::codec::nvidia) fn parse(&mut self, data: &[u8], pts: MediaTime, events: &mut dyn Events) -> Result<(), CodecError> {
        self.feed(data, pts, Flags::CUVID_PKT_TIMESTAMP as u64 | self.ends_picture, events)
    }

    /// The end of the stream: every picture that is held is shown.
    pub(in crate::codec::nvidia) fn end(&mut self, events: &mut dyn Events) -> Result<(), CodecError> {
        self.feed(&[], MediaTime(0), Flags::CUVID_PKT_ENDOFSTREAM as u64, events)
    }

    fn feed(&mut self, data: &[u8], pts: MediaTime, flags: u64, events: &mut dyn Events) -> Result<(), CodecError> {
        let mut events: &mut dyn Events = events;
        let mut info = MaybeUninit::<CUVIDSOURCEDATAPACKET>::zeroed();
        let packet = info.as_mut_ptr();
        let entered = self.device.enter().map_err(|cause| cause.of(COMPONENT))?;
        // SAFETY: the packet's bytes and `events` outlive the call, in which alone the callbacks run, on this thread.
        let (status, failure) = unsafe {
            (*self.context.as_ptr()).events = (&raw mut events).cast();
            (*packet).flags = flags;
            (*packet).payload_size = data.len() as u64;
            (*packet).payload = if data.is_empty() { std::ptr::null() } else { data.as_ptr() };
            (*packet).timestamp = pts.0;
            let status = (self.cuvid.parse)(self.raw, packet);
            (*self.context.as_ptr()).events = null_mut();
            (status, (*self.context.as_ptr()).failure.take())
        };
        drop(entered);
        match failure {
            Some(failure) => Err(failure),
            None => self.device.check("cuvidParseVideoData", status).map_err(|cause| events.judged(cause)),
        }
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        if !self.raw.is_null()
            && let Ok(_current) = self.device.enter()
        {
            // SAFETY: created once and destroyed once.
            unsafe { (self.cuvid.destroy_parser)(self.raw) };
        }
        // SAFETY: leaked in `open`; the parser that knew it is gone.
        drop(unsafe { Box::from_raw(self.context.as_ptr()) });
    }
}

/// A temporal unit of AV1 may hold frames that are not shown beside the one that is.
fn ends_picture(codec: VideoCodec) -> u64 {
    match codec {
        VideoCodec::Av1 => 0,
        _ => Flags::CUVID_PKT_ENDOFPICTURE as u64,
    }
}

/// Runs one callback. The driver must not see an unwinding: a panic becomes a failure.
fn answered(user: *mut c_void, work: impl FnOnce(&mut dyn Events) -> Result<c_int, CodecError>) -> Option<c_int> {
    let context = user.cast::<Context>();
    // SAFETY: the parser's context, which nobody else uses while a callback runs.
    let events = unsafe { (*context).events.cast::<&mut dyn Events>().as_mut() }?;
    let answer = catch_unwind(AssertUnwindSafe(|| work(&mut **events)));
    let failure = match answer {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(cause)) => cause,
        Err(_) => CodecError::new(Fault::Bug, COMPONENT, "a callback panicked"),
    };
    // SAFETY: as above; `events` is no longer used.
    unsafe { (*context).failure.get_or_insert(failure) };
    None
}

/// Answers with the number of surfaces; 0 stops the parser.
unsafe extern "C" fn on_sequence(user: *mut c_void, format: *mut CUVIDEOFORMAT) -> c_int {
    let work = |events: &mut dyn Events| {
        // SAFETY: the driver's own description, which lives during the callback.
        let format = unsafe { StreamFormat::read(format) }?;
        events.sequence(format).map(|surfaces| surfaces.max(1) as c_int)
    };
    answered(user, work).unwrap_or(0)
}

/// A picture that fails does not stop the parser: the next one may be good.
unsafe extern "C" fn on_picture(user: *mut c_void, picture: *mut CUVIDPICPARAMS) -> c_int {
    answered(user, |events| events.picture(Picture { raw: picture, callback: PhantomData }).map(|()| 1)).unwrap_or(1)
}

unsafe extern "C" fn on_display(user: *mut c_void, info: *mut CUVIDPARSERDISPINFO) -> c_int {
    // SAFETY: null, or the driver's own description, which lives during the callback.
    let Some(info) = (unsafe { info.as_ref() }) else { return 1 };
    let display = Display {
        index: info.picture_index,
        pts: MediaTime(info.timestamp),
        progressive: info.progressive_frame != 0,
        top_field_first: info.top_field_first != 0,
        repeat_first_field: info.repeat_first_field,
    };
    answered(user, |events| events.display(display).map(|()| 1)).unwrap_or(1)
}
