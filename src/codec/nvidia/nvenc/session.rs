//! An encode session of a device.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::time::Duration;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use super::buffers::{Bitstream, Mapped};
use super::calls::Functions;
use super::error::{ENCODER_BUSY, NEED_MORE_INPUT, NvencError};
use crate::codec::nvidia::cuda::{Device, Handle, Stream};
use crate::media::VideoCodec;

/// Longest parameter sets that are asked for. `NV_MAX_SEQ_HDR_LEN` (512) is what the header promises to be enough.
const HEADER_BYTES: usize = 1024;

/// How often a picture is handed over again to an encoder that is busy, and the time before each.
const BUSY_RETRIES: u32 = 5;
const BUSY_WAIT: Duration = Duration::from_millis(4);

/// A session. It is used on one thread.
pub struct Session {
    functions: &'static Functions,
    raw: Handle,
    device: Arc<Device>,
    /// The driver keeps the addresses of these handles and not the handles.
    streams: Option<NonNull<Streams>>,
}

struct Streams {
    input: Handle,
    output: Handle,
    /// Kept so that the handles stay good.
    _owners: [Arc<Stream>; 2],
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session(device {})", self.device.ordinal())
    }
}

/// What became of a picture that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Every bitstream buffer that was handed over so far gets, or has got, its picture.
    Encoding,
    /// It is kept until more come (B pictures, look-ahead).
    Kept,
}

/// An SEI message of H.264 or HEVC that travels with a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// payloadType.
    pub kind: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Messages of one picture at most: its captions.
const MAX_MESSAGES: usize = 1;

impl Session {
    /// Opens a session. [`NvencError::SessionLimit`] where the driver allows no more.
    pub fn open(device: &Arc<Device>) -> Result<Session, NvencError> {
        let functions = Functions::load()?;
        let _current = device.enter().map_err(NvencError::Cuda)?;
        let open = functions.open.ok_or(NvencError::missing("nvEncOpenEncodeSessionEx"))?;
        let mut wanted = MaybeUninit::<sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>::zeroed();
        let mut raw = null_mut();
        // SAFETY: the structure is zeroed and filled in as the header wants; the context lives as long as `device`.
        let status = unsafe {
            let wanted = wanted.as_mut_ptr();
            (*wanted).version = sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER;
            (*wanted).deviceType = sdk::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA;
            (*wanted).device = device.context();
            (*wanted).apiVersion = sdk::NVENCAPI_VERSION;
            open(wanted, &mut raw)
        };
        // A handle may be there after a refusal too, and is to be destroyed (nvEncodeAPI.h, NvEncOpenEncodeSessionEx): `drop` does.
        let session = Session { functions, raw, device: Arc::clone(device), streams: None };
        match session.check("nvEncOpenEncodeSessionEx", status) {
            Ok(()) if !raw.is_null() => Ok(session),
            Ok(()) => Err(NvencError::Call { call: "nvEncOpenEncodeSessionEx", status: 6, detail: ": no session came".into() }),
            Err(cause) => Err(cause.while_opening()),
        }
    }

    /// Lets the encoder wait on the device, and not the host, for what was queued on `input` before a picture is handed over.
    ///
    /// Its own work goes to another stream, so that what is queued on `input` afterwards does not wait for the encoder.
    pub fn order_by(&mut self, input: &Arc<Stream>) -> Result<(), NvencError> {
        let set = self.functions.set_streams.ok_or(NvencError::missing("nvEncSetIOCudaStreams"))?;
        let output = Stream::new(&self.device).map_err(NvencError::Cuda)?;
        let streams = Streams { input: input.handle(), output: output.handle(), _owners: [Arc::clone(input), output] };
        let streams = Box::into_raw(Box::new(streams));
        // Kept whatever the driver answers, which may remember the addresses.
        self.streams = NonNull::new(streams);
        let _current = self.current()?;
        // SAFETY: addresses of two handles that stay where they are while the session lives.
        let status = unsafe { set(self.raw, &raw mut (*streams).input, &raw mut (*streams).output) };
        self.check("nvEncSetIOCudaStreams", status)
    }

    /// The parameter sets as the encoder writes them: Annex B, or open bitstream units.
    pub fn sequence_header(&self) -> Result<Vec<u8>, NvencError> {
        let ask = self.functions.sequence_header.ok_or(NvencError::missing("nvEncGetSequenceParams"))?;
        let mut bytes = vec![0u8; HEADER_BYTES];
        let mut length = 0u32;
        let mut wanted = MaybeUninit::<sdk::NV_ENC_SEQUENCE_PARAM_PAYLOAD>::zeroed();
        let _current = self.current()?;
        // SAFETY: zeroed and filled in; the buffer has the stated size and both outlive the call.
        let status = unsafe {
            let wanted = wanted.as_mut_ptr();
            (*wanted).version = sdk::NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER;
            (*wanted).inBufferSize = HEADER_BYTES as u32;
            (*wanted).spsppsBuffer = bytes.as_mut_ptr().cast();
            (*wanted).outSPSPPSPayloadSize = &mut length;
            ask(self.raw, wanted)
        };
        self.check("nvEncGetSequenceParams", status)?;
        bytes.truncate(length as usize);
        Ok(bytes)
    }

    /// Hands a picture over: `stamp` comes back with its bitstream, which goes to `bitstream` or one handed over earlier.
    pub fn submit(
        &self,
        codec: VideoCodec,
        input: &Mapped,
        bitstream: &Bitstream,
        stamp: u64,
        key: bool,
        messages: &[Message],
    ) -> Result<Accepted, NvencError> {
        let mut list = [sdk::NV_ENC_SEI_PAYLOAD { payloadSize: 0, payloadType: 0, payload: null_mut() }; MAX_MESSAGES];
        let count = fill(&mut list, messages);
        let (width, height, pitch) = input.layout();
        let mut picture = MaybeUninit::<sdk::NV_ENC_PIC_PARAMS>::zeroed();
        // SAFETY: zeroed and filled in as the header wants; the messages outlive the call, in which the driver copies them.
        unsafe {
            let picture = picture.as_mut_ptr();
            (*picture).version = sdk::NV_ENC_PIC_PARAMS_VER;
            (*picture).inputWidth = width;
            (*picture).inputHeight = height;
            (*picture).inputPitch = pitch;
            (*picture).encodePicFlags = if key { sdk::_NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32 } else { 0 };
            (*picture).inputTimeStamp = stamp;
            (*picture).inputDuration = 1;
            (*picture).inputBuffer = input.handle();
            (*picture).outputBitstream = bitstream.handle();
            (*picture).bufferFmt = input.format();
            (*picture).pictureStruct = sdk::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME;
            if count > 0 {
                let parameters = &raw mut (*picture).codecPicParams;
                match codec {
                    VideoCodec::Hevc => {
                        (*parameters).hevcPicParams.seiPayloadArray = list.as_mut_ptr();
                        (*parameters).hevcPicParams.seiPayloadArrayCnt = count;
                    }
                    _ => {
                        (*parameters).h264PicParams.seiPayloadArray = list.as_mut_ptr();
                        (*parameters).h264PicParams.seiPayloadArrayCnt = count;
                    }
                }
            }
        }
        self.encode(picture.as_mut_ptr())
    }

    /// Says that no more pictures come: every bitstream buffer that was handed over gets its picture.
    pub fn end(&self) -> Result<(), NvencError> {
        let mut picture = MaybeUninit::<sdk::NV_ENC_PIC_PARAMS>::zeroed();
        // SAFETY: zeroed; an end needs no more than version and flag.
        unsafe {
            let picture = picture.as_mut_ptr();
            (*picture).version = sdk::NV_ENC_PIC_PARAMS_VER;
            (*picture).encodePicFlags = sdk::_NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32;
        }
        self.encode(picture.as_mut_ptr()).map(drop)
    }

    fn encode(&self, picture: *mut sdk::NV_ENC_PIC_PARAMS) -> Result<Accepted, NvencError> {
        let encode = self.functions.encode.ok_or(NvencError::missing("nvEncEncodePicture"))?;
        let _current = self.current()?;
        // SAFETY: both callers filled the structure in; the session is started.
        let hand_over = || unsafe { encode(self.raw, picture) };
        let mut status = hand_over();
        for _ in 0..BUSY_RETRIES {
            if status != ENCODER_BUSY {
                break;
            }
            std::thread::park_timeout(BUSY_WAIT);
            status = hand_over();
        }
        match status {
            NEED_MORE_INPUT => Ok(Accepted::Kept),
            status => self.check("nvEncEncodePicture", status).map(|()| Accepted::Encoding),
        }
    }

    /// The GUIDs of every codec that the device encodes.
    pub(super) fn codec_ids(&self) -> Result<Vec<sdk::GUID>, NvencError> {
        let count_of = self.functions.codec_count.ok_or(NvencError::missing("nvEncGetEncodeGUIDCount"))?;
        let list = self.functions.codecs.ok_or(NvencError::missing("nvEncGetEncodeGUIDs"))?;
        let _current = self.current()?;
        let mut count = 0;
        // SAFETY: writes one number.
        self.check("nvEncGetEncodeGUIDCount", unsafe { count_of(self.raw, &mut count) })?;
        let none = sdk::GUID { Data1: 0, Data2: 0, Data3: 0, Data4: [0; 8] };
        let mut all = vec![none; count.min(64) as usize];
        let mut written = 0;
        // SAFETY: writes at most as many GUIDs as stated, and their number.
        let status = unsafe { list(self.raw, all.as_mut_ptr(), all.len() as u32, &mut written) };
        self.check("nvEncGetEncodeGUIDs", status)?;
        all.truncate(written as usize);
        Ok(all)
    }

    /// One capability of a codec.
    pub(super) fn capability(&self, codec: sdk::GUID, capability: sdk::NV_ENC_CAPS) -> Result<c_int, NvencError> {
        let ask = self.functions.capability.ok_or(NvencError::missing("nvEncGetEncodeCaps"))?;
        let mut wanted = sdk::NV_ENC_CAPS_PARAM { version: sdk::NV_ENC_CAPS_PARAM_VER, capsToQuery: capability, reserved: [0; 62] };
        let mut value = 0;
        let _current = self.current()?;
        // SAFETY: writes one int.
        let status = unsafe { ask(self.raw, codec, &mut wanted, &mut value) };
        self.check("nvEncGetEncodeCaps", status).map(|()| value)
    }

    pub(super) fn functions(&self) -> &'static Functions {
        self.functions
    }

    pub(super) fn handle(&self) -> Handle {
        self.raw
    }

    /// Makes the session's context current on this thread while the guard lives.
    pub(super) fn current(&self) -> Result<impl Drop + '_, NvencError> {
        self.device.enter().map_err(NvencError::Cuda)
    }

    /// Turns a status into an error with the driver's own words.
    pub(super) fn check(&self, call: &'static str, status: c_int) -> Result<(), NvencError> {
        NvencError::check(call, status, || self.last_words())
    }

    fn last_words(&self) -> String {
        let Some(ask) = self.functions.last_error.filter(|_| !self.raw.is_null()) else { return String::new() };
        // SAFETY: gives a text that the session owns, or null.
        let text = unsafe { ask(self.raw) };
        match text.is_null() {
            true => String::new(),
            // SAFETY: a text with a zero at its end that stays until the session's next call.
            false => unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned(),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (Ok(_current), Some(destroy), false) = (self.device.enter(), self.functions.destroy, self.raw.is_null()) else { return };
        // SAFETY: opened in this context and destroyed once; what was made in it holds the session and is gone.
        unsafe { destroy(self.raw) };
        if let Some(streams) = self.streams.take() {
            // SAFETY: of `Box::into_raw`, and nobody has the addresses any more.
            drop(unsafe { Box::from_raw(streams.as_ptr()) });
        }
    }
}

/// Lists messages for the driver, and counts them.
fn fill(list: &mut [sdk::NV_ENC_SEI_PAYLOAD; MAX_MESSAGES], messages: &[Message]) -> u32 {
    let mut count = 0;
    for (entry, message) in list.iter_mut().zip(messages) {
        let Ok(size) = u32::try_from(message.payload.len()) else { continue };
        entry.payloadSize = size;
        entry.payloadType = message.kind;
        entry.payload = message.payload.as_ptr().cast_mut();
        count += 1;
    }
    count
}

/// An address for the driver.
pub(super) fn address(pointer: u64) -> *mut c_void {
    pointer as usize as *mut c_void
}
