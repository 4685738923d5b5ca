//! Messages of FFmpeg and x264 as log events of ours.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::ffi::{CStr, c_char, c_int, c_void};

#[cfg(target_arch = "x86_64")]
use ffmpeg_sys_next as ffi;

/// Sends what FFmpeg says to `tracing`. Broken input makes decoders talk a lot, so all but fatal messages are `debug`.
///
/// C's `va_list` has another type on every architecture; elsewhere than on x86-64 FFmpeg is silenced instead.
pub fn forward_library_logs() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the callback has the signature that FFmpeg asks for and stays valid for the life of the process.
    unsafe {
        ffi::av_log_set_callback(Some(on_av_log));
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: sets an integer.
    unsafe {
        ffmpeg_sys_next::av_log_set_level(ffmpeg_sys_next::AV_LOG_QUIET);
    }
}

#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn on_av_log(source: *mut c_void, level: c_int, format: *const c_char, arguments: *mut ffi::__va_list_tag) {
    if level > ffi::AV_LOG_WARNING || (level > ffi::AV_LOG_FATAL && !tracing::enabled!(target: "libav", tracing::Level::DEBUG)) {
        return;
    }
    let mut line: [c_char; 512] = [0; 512];
    let mut prefix: c_int = 1;
    // SAFETY: FFmpeg hands over a matching format and argument list; the buffer is as long as stated and is ended with a NUL.
    let text = unsafe {
        ffi::av_log_format_line2(source, level, format, arguments, line.as_mut_ptr(), line.len() as c_int, &mut prefix);
        CStr::from_ptr(line.as_ptr())
    };
    let text = text.to_string_lossy();
    match level {
        _ if level <= ffi::AV_LOG_FATAL => tracing::error!(target: "libav", "{}", text.trim_end()),
        _ => tracing::debug!(target: "libav", "{}", text.trim_end()),
    }
}

/// x264's log callback; see [`super::x264_params`].
#[cfg(target_arch = "x86_64")]
pub(super) unsafe extern "C" fn on_x264_log(
    _private: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: *mut super::x264_sys::__va_list_tag,
) {
    let mut line: [c_char; 512] = [0; 512];
    // SAFETY: x264 hands over a matching format and argument list; vsnprintf ends what fits with a NUL.
    let text = unsafe {
        super::x264_sys::vsnprintf(line.as_mut_ptr(), line.len() as _, format, arguments);
        CStr::from_ptr(line.as_ptr())
    };
    let text = text.to_string_lossy();
    match level {
        0 => tracing::error!(target: "x264", "{}", text.trim_end()),
        1 => tracing::warn!(target: "x264", "{}", text.trim_end()),
        _ => tracing::debug!(target: "x264", "{}", text.trim_end()),
    }
}
