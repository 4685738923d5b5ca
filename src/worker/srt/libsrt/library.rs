//! libsrt as a whole: start, version, log.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};

use super::ffi;
use super::socket::Socket;

/// Thread name, time and the line's end are left out of messages: the log has its own (`SRT_LOGF_DISABLE_*`).
const LOG_WITHOUT_ORNAMENT: c_int = 1 | 2 | 4 | 8;
const LOG_CRITICAL: c_int = 2;
const LOG_ERROR: c_int = 3;
const LOG_NOTICE: c_int = 5;

/// Starts libsrt; to be called once. Its messages go to `tracing`: fatal ones as errors, the rest as `debug`, because strangers
/// cause most of them.
pub(super) fn start() -> Result<(), &'static str> {
    let level = if tracing::enabled!(target: "libsrt", tracing::Level::DEBUG) { LOG_NOTICE } else { LOG_ERROR };
    // SAFETY: the handler has the signature that libsrt asks for and stays valid for the life of the process.
    let started = unsafe {
        ffi::srt_setlogflags(LOG_WITHOUT_ORNAMENT);
        ffi::srt_setloghandler(std::ptr::null_mut(), on_log);
        ffi::srt_setloglevel(level);
        ffi::srt_startup()
    };
    if started == ffi::ERROR { Err("libsrt does not start") } else { Ok(()) }
}

/// The version of the library that is loaded.
pub(super) fn version() -> String {
    // SAFETY: reads a constant.
    let version = unsafe { ffi::srt_getversion() };
    format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

/// Whether this libsrt was built with bonding (`ENABLE_BONDING`): without it the option is unknown.
pub(super) fn has_bonding() -> bool {
    Socket::new().is_ok_and(|probe| probe.set(ffi::SRTO_GROUPCONNECT, 1).is_ok())
}

unsafe extern "C" fn on_log(
    _opaque: *mut c_void,
    level: c_int,
    _file: *const c_char,
    _line: c_int,
    area: *const c_char,
    message: *const c_char,
) {
    let text = |pointer: *const c_char| {
        if pointer.is_null() {
            return String::new();
        }
        // SAFETY: not null; libsrt hands over texts that end with a NUL.
        unsafe { CStr::from_ptr(pointer) }.to_string_lossy().trim_end().to_owned()
    };
    match level {
        _ if level <= LOG_CRITICAL => tracing::error!(target: "libsrt", area = text(area), "{}", text(message)),
        _ => tracing::debug!(target: "libsrt", area = text(area), "{}", text(message)),
    }
}
