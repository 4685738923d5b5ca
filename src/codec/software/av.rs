//! What every wrapper of FFmpeg needs: owned frames, packets and codec contexts, and errors with a class.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;

use ffmpeg_sys_next as ffi;

use crate::base::{FLICKS_PER_SECOND, Fault};
use crate::codec::error::CodecError;

/// Flicks as a time base of FFmpeg.
pub(super) const FLICKS: ffi::AVRational = ffi::AVRational { num: 1, den: FLICKS_PER_SECOND as i32 };

/// "Nothing yet" and "nothing more", which are no errors.
pub(super) fn is_pause(code: i32) -> bool {
    code == ffi::AVERROR(libc::EAGAIN) || code == ffi::AVERROR_EOF
}

/// libavutil's text for an error code.
pub(super) fn error_text(code: i32) -> String {
    let mut text: [c_char; 128] = [0; 128];
    // SAFETY: the buffer is as long as stated, and av_strerror always ends it with a NUL.
    unsafe { ffi::av_strerror(code, text.as_mut_ptr(), text.len()) };
    // SAFETY: as above.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
}

/// An error code as an error of `component`.
pub(super) fn av_error(component: &'static str, doing: &str, code: i32) -> CodecError {
    let fault = match code {
        _ if code == ffi::AVERROR(libc::ENOMEM) => Fault::Transient,
        _ if code == ffi::AVERROR(libc::ENOSYS) || code == ffi::AVERROR_PATCHWELCOME || code == ffi::AVERROR_DECODER_NOT_FOUND => {
            Fault::Unsupported
        }
        _ => Fault::Corrupt,
    };
    CodecError::new(fault, component, format!("{doing}: {}", error_text(code)))
}

/// An allocation that FFmpeg refused.
pub(super) fn no_memory(component: &'static str) -> CodecError {
    CodecError::new(Fault::Transient, component, "out of memory")
}

/// Text for C; what holds a NUL is no name of anything.
pub(super) fn c_name(component: &'static str, name: &str) -> Result<CString, CodecError> {
    CString::new(name).map_err(|_| CodecError::new(Fault::Unsupported, component, format!("{name:?} is no name")))
}

/// An owned `AVFrame`.
#[derive(Debug)]
pub(super) struct AvFrame(NonNull<ffi::AVFrame>);

// SAFETY: an AVFrame is plain data with atomically counted buffers; nothing in it is tied to a thread.
unsafe impl Send for AvFrame {}
// SAFETY: shared references only read it.
unsafe impl Sync for AvFrame {}

impl AvFrame {
    pub(super) fn new(component: &'static str) -> Result<AvFrame, CodecError> {
        // SAFETY: no arguments; null is handled.
        NonNull::new(unsafe { ffi::av_frame_alloc() }).map(AvFrame).ok_or_else(|| no_memory(component))
    }

    pub(super) fn raw(&self) -> &ffi::AVFrame {
        // SAFETY: the pointer is owned and valid until drop.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn raw_mut(&mut self) -> &mut ffi::AVFrame {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { self.0.as_mut() }
    }

    pub(super) fn as_ptr(&mut self) -> *mut ffi::AVFrame {
        self.0.as_ptr()
    }

    /// The bytes of side data of a kind.
    pub(super) fn side_data(&self, kind: ffi::AVFrameSideDataType) -> Option<&[u8]> {
        // SAFETY: the frame is valid; the entry and its bytes live as long as the frame.
        unsafe {
            let entry = ffi::av_frame_get_side_data(self.0.as_ptr(), kind).as_ref()?;
            (!entry.data.is_null()).then(|| std::slice::from_raw_parts(entry.data, entry.size))
        }
    }
}

impl Drop for AvFrame {
    fn drop(&mut self) {
        let mut frame = self.0.as_ptr();
        // SAFETY: owned, freed once.
        unsafe { ffi::av_frame_free(&mut frame) };
    }
}

/// An owned `AVPacket`.
#[derive(Debug)]
pub(super) struct AvPacket(NonNull<ffi::AVPacket>);

impl AvPacket {
    pub(super) fn new(component: &'static str) -> Result<AvPacket, CodecError> {
        // SAFETY: no arguments; null is handled.
        NonNull::new(unsafe { ffi::av_packet_alloc() }).map(AvPacket).ok_or_else(|| no_memory(component))
    }

    /// Replaces the contents with a copy of `data` and the padding that decoders read past.
    pub(super) fn fill(&mut self, component: &'static str, data: &[u8]) -> Result<(), CodecError> {
        let size = i32::try_from(data.len()).map_err(|_| no_memory(component))?;
        // SAFETY: the packet is owned; av_new_packet makes a buffer of `size` bytes at `data`.
        unsafe {
            ffi::av_packet_unref(self.0.as_ptr());
            let code = ffi::av_new_packet(self.0.as_ptr(), size);
            if code < 0 {
                return Err(av_error(component, "allocating a packet", code));
            }
            std::ptr::copy_nonoverlapping(data.as_ptr(), self.0.as_ref().data, data.len());
        }
        Ok(())
    }

    pub(super) fn data(&self) -> &[u8] {
        let raw = self.raw();
        if raw.data.is_null() || raw.size <= 0 {
            return &[];
        }
        // SAFETY: a packet with data holds `size` bytes at `data`.
        unsafe { std::slice::from_raw_parts(raw.data, raw.size as usize) }
    }

    pub(super) fn raw(&self) -> &ffi::AVPacket {
        // SAFETY: the pointer is owned and valid until drop.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn raw_mut(&mut self) -> &mut ffi::AVPacket {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { self.0.as_mut() }
    }

    pub(super) fn as_ptr(&mut self) -> *mut ffi::AVPacket {
        self.0.as_ptr()
    }

    pub(super) fn clear(&mut self) {
        // SAFETY: owned and valid.
        unsafe { ffi::av_packet_unref(self.0.as_ptr()) };
    }
}

impl Drop for AvPacket {
    fn drop(&mut self) {
        let mut packet = self.0.as_ptr();
        // SAFETY: owned, freed once.
        unsafe { ffi::av_packet_free(&mut packet) };
    }
}

/// An owned `AVCodecContext`, not yet or already open.
#[derive(Debug)]
pub(super) struct CodecContext {
    raw: NonNull<ffi::AVCodecContext>,
    component: &'static str,
}

impl CodecContext {
    /// A context for a codec found by libavcodec, with FFmpeg's error concealment as it is and one thread.
    pub(super) fn new(component: &'static str, codec: *const ffi::AVCodec) -> Result<CodecContext, CodecError> {
        if codec.is_null() {
            return Err(CodecError::new(Fault::Unsupported, component, "this build of libavcodec does not have it"));
        }
        // SAFETY: `codec` is one of libavcodec's static descriptions.
        let raw = NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) }).ok_or_else(|| no_memory(component))?;
        let mut context = CodecContext { raw, component };
        context.raw_mut().thread_count = 1;
        Ok(context)
    }

    pub(super) fn raw(&self) -> &ffi::AVCodecContext {
        // SAFETY: owned and valid until drop.
        unsafe { self.raw.as_ref() }
    }

    pub(super) fn raw_mut(&mut self) -> &mut ffi::AVCodecContext {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { self.raw.as_mut() }
    }

    /// Gives the codec its out-of-band configuration.
    pub(super) fn set_extradata(&mut self, data: &[u8]) -> Result<(), CodecError> {
        if data.is_empty() {
            return Ok(());
        }
        let size = i32::try_from(data.len()).map_err(|_| no_memory(self.component))?;
        // SAFETY: the buffer is made by av_mallocz as avcodec wants it, with its padding; the context frees it.
        unsafe {
            let buffer = ffi::av_mallocz(data.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize).cast::<u8>();
            if buffer.is_null() {
                return Err(no_memory(self.component));
            }
            std::ptr::copy_nonoverlapping(data.as_ptr(), buffer, data.len());
            self.raw_mut().extradata = buffer;
        }
        self.raw_mut().extradata_size = size;
        Ok(())
    }

    /// The out-of-band configuration that an opened encoder made.
    pub(super) fn extradata(&self) -> &[u8] {
        let raw = self.raw();
        if raw.extradata.is_null() || raw.extradata_size <= 0 {
            return &[];
        }
        // SAFETY: the context holds `extradata_size` bytes there.
        unsafe { std::slice::from_raw_parts(raw.extradata, raw.extradata_size as usize) }
    }

    pub(super) fn open(&mut self, codec: *const ffi::AVCodec) -> Result<(), CodecError> {
        // SAFETY: the context was made for this codec and is not open yet.
        let code = unsafe { ffi::avcodec_open2(self.raw.as_ptr(), codec, std::ptr::null_mut()) };
        if code < 0 { Err(av_error(self.component, "opening", code)) } else { Ok(()) }
    }

    /// Sends a packet to a decoder; `None` begins draining. The code is FFmpeg's.
    pub(super) fn send_packet(&mut self, packet: Option<&mut AvPacket>) -> i32 {
        let packet = packet.map_or(std::ptr::null_mut(), |packet| packet.as_ptr());
        // SAFETY: the context is open; the packet is valid or null.
        unsafe { ffi::avcodec_send_packet(self.raw.as_ptr(), packet) }
    }

    /// Receives a frame from a decoder.
    pub(super) fn receive_frame(&mut self, frame: &mut AvFrame) -> i32 {
        // SAFETY: the context is open; the frame is valid and is reset by the call.
        unsafe { ffi::avcodec_receive_frame(self.raw.as_ptr(), frame.as_ptr()) }
    }

    /// Sends a frame to an encoder; `None` begins draining.
    pub(super) fn send_frame(&mut self, frame: Option<&mut AvFrame>) -> i32 {
        let frame = frame.map_or(std::ptr::null_mut(), |frame| frame.as_ptr());
        // SAFETY: the context is open; the frame is valid or null.
        unsafe { ffi::avcodec_send_frame(self.raw.as_ptr(), frame) }
    }

    /// Receives a packet from an encoder.
    pub(super) fn receive_packet(&mut self, packet: &mut AvPacket) -> i32 {
        // SAFETY: the context is open; the packet is valid and is reset by the call.
        unsafe { ffi::avcodec_receive_packet(self.raw.as_ptr(), packet.as_ptr()) }
    }
}

impl Drop for CodecContext {
    fn drop(&mut self) {
        let mut raw = self.raw.as_ptr();
        // SAFETY: owned, freed once; extradata goes with it.
        unsafe { ffi::avcodec_free_context(&mut raw) };
    }
}

/// The decoder for a name of libavcodec's codecs (not of a particular decoder); null where there is none.
pub(super) fn decoder_named(component: &'static str, name: &str) -> Result<*const ffi::AVCodec, CodecError> {
    let name = c_name(component, name)?;
    // SAFETY: `name` is a C string; descriptors are static.
    unsafe {
        match ffi::avcodec_descriptor_get_by_name(name.as_ptr()).as_ref() {
            Some(descriptor) => Ok(ffi::avcodec_find_decoder(descriptor.id)),
            None => Ok(ffi::avcodec_find_decoder_by_name(name.as_ptr())),
        }
    }
}
