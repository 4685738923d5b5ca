//! The functions of `libnvidia-encode.so.1` and the table of functions that it hands out.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use super::error::NvencError;
use crate::codec::nvidia::cuda::Handle;
use crate::codec::nvidia::library::table;

table! {
    /// What the library exports by name.
    Library from "libnvidia-encode.so.1" {
        newest_version = "NvEncodeAPIGetMaxSupportedVersion": fn(*mut u32) -> c_int;
        create_instance = "NvEncodeAPICreateInstance": fn(*mut Functions) -> c_int;
    }
}

/// A slot of the table. The driver leaves those empty that it does not have.
type Slot<F> = Option<F>;
/// A slot that is not called.
type Unused = *const c_void;

/// `NV_ENCODE_API_FUNCTION_LIST` of nvEncodeAPI.h, with statuses as integers.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Functions {
    version: u32,
    reserved: u32,
    open_session: Unused,
    pub codec_count: Slot<unsafe extern "C" fn(Handle, *mut u32) -> c_int>,
    profile_count: Unused,
    profiles: Unused,
    pub codecs: Slot<unsafe extern "C" fn(Handle, *mut sdk::GUID, u32, *mut u32) -> c_int>,
    input_format_count: Unused,
    input_formats: Unused,
    pub capability: Slot<unsafe extern "C" fn(Handle, sdk::GUID, *mut sdk::NV_ENC_CAPS_PARAM, *mut c_int) -> c_int>,
    preset_count: Unused,
    presets: Unused,
    preset: Unused,
    pub initialise: Slot<unsafe extern "C" fn(Handle, *mut sdk::NV_ENC_INITIALIZE_PARAMS) -> c_int>,
    create_input: Unused,
    destroy_input: Unused,
    pub create_bitstream: Slot<unsafe extern "C" fn(Handle, *mut sdk::NV_ENC_CREATE_BITSTREAM_BUFFER) -> c_int>,
    pub destroy_bitstream: Slot<unsafe extern "C" fn(Handle, Handle) -> c_int>,
    pub encode: Slot<unsafe extern "C" fn(Handle, *mut sdk::NV_ENC_PIC_PARAMS) -> c_int>,
    pub lock: Slot<unsafe extern "C" fn(Handle, *mut sdk::NV_ENC_LOCK_BITSTREAM) -> c_int>,
    pub unlock: Slot<unsafe extern "C" fn(Handle, Handle) -> c_int>,
    lock_input: Unused,
    unlock_input: Unused,
    statistics: Unused,
    pub sequence_header: Slot<unsafe extern "C" fn(Handle, *mut sdk::NV_ENC_SEQUENCE_PARAM_PAYLOAD) -> c_int>,
    register_event: Unused,
    unregister_event: Unused,
    pub map: Slot<unsafe extern "C" fn(Handle, *mut sdk::NV_ENC_MAP_INPUT_RESOURCE) -> c_int>,
    pub unmap: Slot<unsafe extern "C" fn(Handle, Handle) -> c_int>,
    pub destroy: Slot<unsafe extern "C" fn(Handle) -> c_int>,
    invalidate_references: Unused,
    pub open: Slot<unsafe extern "C" fn(*mut sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, *mut Handle) -> c_int>,
    pub register: Slot<unsafe extern "C" fn(Handle, *mut sdk::NV_ENC_REGISTER_RESOURCE) -> c_int>,
    pub unregister: Slot<unsafe extern "C" fn(Handle, Handle) -> c_int>,
    pub reconfigure: Slot<unsafe extern "C" fn(Handle, *mut sdk::NV_ENC_RECONFIGURE_PARAMS) -> c_int>,
    reserved1: Unused,
    create_vectors: Unused,
    destroy_vectors: Unused,
    estimate_motion: Unused,
    pub last_error: Slot<unsafe extern "C" fn(Handle) -> *const c_char>,
    pub set_streams: Slot<unsafe extern "C" fn(Handle, *mut Handle, *mut Handle) -> c_int>,
    pub tuned_preset: Slot<unsafe extern "C" fn(Handle, sdk::GUID, sdk::GUID, u32, *mut sdk::NV_ENC_PRESET_CONFIG) -> c_int>,
    sequence_header_of: Unused,
    restore_state: Unused,
    look_ahead: Unused,
    reserved2: [Unused; 275],
}

/// The same places as in the header.
const _: () = {
    type Theirs = sdk::NV_ENCODE_API_FUNCTION_LIST;
    assert!(size_of::<Functions>() == size_of::<Theirs>());
    assert!(offset_of!(Functions, capability) == offset_of!(Theirs, nvEncGetEncodeCaps));
    assert!(offset_of!(Functions, initialise) == offset_of!(Theirs, nvEncInitializeEncoder));
    assert!(offset_of!(Functions, encode) == offset_of!(Theirs, nvEncEncodePicture));
    assert!(offset_of!(Functions, sequence_header) == offset_of!(Theirs, nvEncGetSequenceParams));
    assert!(offset_of!(Functions, map) == offset_of!(Theirs, nvEncMapInputResource));
    assert!(offset_of!(Functions, open) == offset_of!(Theirs, nvEncOpenEncodeSessionEx));
    assert!(offset_of!(Functions, reconfigure) == offset_of!(Theirs, nvEncReconfigureEncoder));
    assert!(offset_of!(Functions, last_error) == offset_of!(Theirs, nvEncGetLastErrorString));
    assert!(offset_of!(Functions, tuned_preset) == offset_of!(Theirs, nvEncGetEncodePresetConfigEx));
    assert!(size_of::<sdk::NV_ENC_TUNING_INFO>() == size_of::<u32>());
};

// SAFETY: addresses of a library's functions, which do not change and may be called from any thread.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

/// Our version, (major, minor).
const OURS: (u32, u32) = (sdk::NVENCAPI_MAJOR_VERSION, sdk::NVENCAPI_MINOR_VERSION);

/// The newest API version that the driver serves, (major, minor); an error where that is older than ours.
pub(in crate::codec::nvidia) fn negotiate() -> Result<(u32, u32), NvencError> {
    let library = Library::load().map_err(NvencError::Load)?;
    let mut version = 0;
    // SAFETY: writes one number.
    let status = unsafe { (library.newest_version)(&mut version) };
    NvencError::check("NvEncodeAPIGetMaxSupportedVersion", status, String::new)?;
    let driver = (version >> 4, version & 15);
    if driver < OURS { Err(NvencError::TooOld { driver, ours: OURS }) } else { Ok(driver) }
}

impl Functions {
    /// The table, asked for once in a process.
    pub(super) fn load() -> Result<&'static Functions, NvencError> {
        static LOADED: std::sync::OnceLock<Result<Functions, NvencError>> = std::sync::OnceLock::new();
        LOADED.get_or_init(Functions::ask).as_ref().map_err(Clone::clone)
    }

    fn ask() -> Result<Functions, NvencError> {
        negotiate()?;
        let library = Library::load().map_err(NvencError::Load)?;
        // SAFETY: integers, null pointers and empty slots: all zeroes is a value of the table.
        let mut functions: Functions = unsafe { std::mem::zeroed() };
        functions.version = sdk::NV_ENCODE_API_FUNCTION_LIST_VER;
        // SAFETY: fills in a table of this version, which has this layout.
        let status = unsafe { (library.create_instance)(&mut functions) };
        NvencError::check("NvEncodeAPICreateInstance", status, String::new)?;
        Ok(functions)
    }
}
