//! What a session works on: registered and mapped inputs, bitstream buffers.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::rc::Rc;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use super::error::NvencError;
use super::session::{Session, address};
use crate::codec::nvidia::cuda::{DevicePointer, Handle};
use crate::codec::nvidia::pool::Format;

/// A buffer in device memory that a session knows.
#[derive(Debug)]
pub struct Registered {
    session: Rc<Session>,
    raw: Handle,
    width: u32,
    height: u32,
    pitch: u32,
    format: Format,
}

impl Registered {
    /// Makes the picture buffer at `pointer` known. Only memory of `cuMemAlloc` and its pitched form is accepted.
    pub fn new(
        session: &Rc<Session>,
        pointer: DevicePointer,
        size: (u32, u32),
        pitch: usize,
        format: Format,
    ) -> Result<Registered, NvencError> {
        let register = session.functions().register.ok_or(NvencError::missing("nvEncRegisterResource"))?;
        let (width, height) = size;
        let pitch = u32::try_from(pitch).unwrap_or(u32::MAX);
        let mut wanted = MaybeUninit::<sdk::NV_ENC_REGISTER_RESOURCE>::zeroed();
        let _current = session.current()?;
        // SAFETY: zeroed and filled in; what comes back is read from a structure that the call has filled.
        let (status, raw) = unsafe {
            let wanted = wanted.as_mut_ptr();
            (*wanted).version = sdk::NV_ENC_REGISTER_RESOURCE_VER;
            (*wanted).resourceType = sdk::NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
            (*wanted).width = width;
            (*wanted).height = height;
            (*wanted).pitch = pitch;
            (*wanted).resourceToRegister = address(pointer);
            (*wanted).bufferFormat = input_format(format);
            (*wanted).bufferUsage = sdk::NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE;
            (register(session.handle(), wanted), (*wanted).registeredResource)
        };
        session.check("nvEncRegisterResource", status)?;
        Ok(Registered { session: Rc::clone(session), raw, width, height, pitch, format })
    }

    /// Hands it to the encoder until the result is dropped. It may be mapped once at a time.
    pub fn map(&self) -> Result<Mapped, NvencError> {
        let session = &self.session;
        let map = session.functions().map.ok_or(NvencError::missing("nvEncMapInputResource"))?;
        let mut wanted = MaybeUninit::<sdk::NV_ENC_MAP_INPUT_RESOURCE>::zeroed();
        let _current = session.current()?;
        // SAFETY: zeroed and filled in; the handle is read from a structure that the call has filled.
        let (status, raw) = unsafe {
            let wanted = wanted.as_mut_ptr();
            (*wanted).version = sdk::NV_ENC_MAP_INPUT_RESOURCE_VER;
            (*wanted).registeredResource = self.raw;
            (map(session.handle(), wanted), (*wanted).mappedResource)
        };
        session.check("nvEncMapInputResource", status)?;
        let Registered { width, height, pitch, format, .. } = *self;
        Ok(Mapped { session: Rc::clone(session), raw, layout: (width, height, pitch), format })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let (Ok(_current), Some(unregister)) = (self.session.current(), self.session.functions().unregister) {
            // SAFETY: registered by this session and given back once; mappings of it are gone (`NvEncoder` drops them first).
            unsafe { unregister(self.session.handle(), self.raw) };
        }
    }
}

/// A registered buffer in the encoder's hands.
#[derive(Debug)]
pub struct Mapped {
    session: Rc<Session>,
    raw: Handle,
    layout: (u32, u32, u32),
    format: Format,
}

impl Mapped {
    pub(super) fn handle(&self) -> Handle {
        self.raw
    }

    /// Width, height and pitch.
    pub(super) fn layout(&self) -> (u32, u32, u32) {
        self.layout
    }

    pub(super) fn format(&self) -> sdk::NV_ENC_BUFFER_FORMAT {
        input_format(self.format)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let (Ok(_current), Some(unmap)) = (self.session.current(), self.session.functions().unmap) {
            // SAFETY: mapped by this session and given back once, after its picture came out or the session was ended.
            unsafe { unmap(self.session.handle(), self.raw) };
        }
    }
}

/// A buffer in which the encoder leaves one coded picture.
#[derive(Debug)]
pub struct Bitstream {
    session: Rc<Session>,
    raw: Handle,
}

impl Bitstream {
    /// A buffer of the driver's own size.
    pub fn new(session: &Rc<Session>) -> Result<Bitstream, NvencError> {
        let create = session.functions().create_bitstream.ok_or(NvencError::missing("nvEncCreateBitstreamBuffer"))?;
        let mut wanted = MaybeUninit::<sdk::NV_ENC_CREATE_BITSTREAM_BUFFER>::zeroed();
        let _current = session.current()?;
        // SAFETY: zeroed and filled in; the handle is read from a structure that the call has filled.
        let (status, raw) = unsafe {
            let wanted = wanted.as_mut_ptr();
            (*wanted).version = sdk::NV_ENC_CREATE_BITSTREAM_BUFFER_VER;
            (create(session.handle(), wanted), (*wanted).bitstreamBuffer)
        };
        session.check("nvEncCreateBitstreamBuffer", status)?;
        Ok(Bitstream { session: Rc::clone(session), raw })
    }

    pub(super) fn handle(&self) -> Handle {
        self.raw
    }

    /// Waits until its picture is coded and gives `read` the coded bytes and the picture's stamp.
    pub fn read<T>(&self, read: impl FnOnce(&[u8], u64) -> T) -> Result<T, NvencError> {
        let functions = self.session.functions();
        let lock = functions.lock.ok_or(NvencError::missing("nvEncLockBitstream"))?;
        let unlock = functions.unlock.ok_or(NvencError::missing("nvEncUnlockBitstream"))?;
        let mut wanted = MaybeUninit::<sdk::NV_ENC_LOCK_BITSTREAM>::zeroed();
        let _current = self.session.current()?;
        // SAFETY: zeroed and filled in. Only numbers and the address are read back: its enums may hold what the SDK does not know.
        let (status, start, length, stamp) = unsafe {
            let wanted = wanted.as_mut_ptr();
            (*wanted).version = sdk::NV_ENC_LOCK_BITSTREAM_VER;
            (*wanted).outputBitstream = self.raw;
            let status = lock(self.session.handle(), wanted);
            (status, (*wanted).bitstreamBufferPtr.cast::<u8>(), (*wanted).bitstreamSizeInBytes as usize, (*wanted).outputTimeStamp)
        };
        self.session.check("nvEncLockBitstream", status)?;
        let bytes = match start.is_null() {
            true => &[],
            // SAFETY: a locked buffer holds so many bytes at this address until it is unlocked below.
            false => unsafe { std::slice::from_raw_parts(start, length) },
        };
        let result = read(bytes, stamp);
        // SAFETY: locked above, unlocked once.
        let status = unsafe { unlock(self.session.handle(), self.raw) };
        self.session.check("nvEncUnlockBitstream", status).map(|()| result)
    }
}

impl Drop for Bitstream {
    fn drop(&mut self) {
        if let (Ok(_current), Some(destroy)) = (self.session.current(), self.session.functions().destroy_bitstream) {
            // SAFETY: created by this session and destroyed once.
            unsafe { destroy(self.session.handle(), self.raw) };
        }
    }
}

fn input_format(format: Format) -> sdk::NV_ENC_BUFFER_FORMAT {
    match format {
        Format::Nv12 => sdk::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12,
        Format::P010 => sdk::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_YUV420_10BIT,
    }
}
