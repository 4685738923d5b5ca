//! The functions of `libcuda.so.1` that are used, by the names and signatures of cuda.h.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::error::CudaError;
use crate::codec::nvidia::library::table;

/// An object of the driver.
pub(in crate::codec::nvidia) type Handle = *mut c_void;

/// `CUDA_MEMCPY2D` of cuda.h.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Copy2d {
    pub source_x_bytes: usize,
    pub source_y: usize,
    pub source_kind: c_uint,
    pub source_host: *const c_void,
    pub source_device: u64,
    pub source_array: Handle,
    pub source_pitch: usize,
    pub target_x_bytes: usize,
    pub target_y: usize,
    pub target_kind: c_uint,
    pub target_host: *mut c_void,
    pub target_device: u64,
    pub target_array: Handle,
    pub target_pitch: usize,
    pub width_bytes: usize,
    pub height: usize,
}

/// `CU_MEMORYTYPE_HOST` and `CU_MEMORYTYPE_DEVICE`.
pub(super) const HOST: c_uint = 1;
pub(super) const DEVICE: c_uint = 2;

table! {
    /// CUDA's driver API.
    Cuda from "libcuda.so.1" {
        init = "cuInit": fn(c_uint) -> c_int;
        driver_version = "cuDriverGetVersion": fn(*mut c_int) -> c_int;
        device_count = "cuDeviceGetCount": fn(*mut c_int) -> c_int;
        device = "cuDeviceGet": fn(*mut c_int, c_int) -> c_int;
        name = "cuDeviceGetName": fn(*mut c_char, c_int, c_int) -> c_int;
        pci = "cuDeviceGetPCIBusId": fn(*mut c_char, c_int, c_int) -> c_int;
        uuid = "cuDeviceGetUuid": fn(*mut c_void, c_int) -> c_int;
        attribute = "cuDeviceGetAttribute": fn(*mut c_int, c_int, c_int) -> c_int;
        set_flags = "cuDevicePrimaryCtxSetFlags_v2": fn(c_int, c_uint) -> c_int;
        retain = "cuDevicePrimaryCtxRetain": fn(*mut Handle, c_int) -> c_int;
        release = "cuDevicePrimaryCtxRelease_v2": fn(c_int) -> c_int;
        push = "cuCtxPushCurrent_v2": fn(Handle) -> c_int;
        pop = "cuCtxPopCurrent_v2": fn(*mut Handle) -> c_int;
        synchronize = "cuCtxSynchronize": fn() -> c_int;
        memory_info = "cuMemGetInfo_v2": fn(*mut usize, *mut usize) -> c_int;
        allocate = "cuMemAlloc_v2": fn(*mut u64, usize) -> c_int;
        allocate_pitched = "cuMemAllocPitch_v2": fn(*mut u64, *mut usize, usize, usize, c_uint) -> c_int;
        free = "cuMemFree_v2": fn(u64) -> c_int;
        allocate_host = "cuMemHostAlloc": fn(*mut *mut c_void, usize, c_uint) -> c_int;
        free_host = "cuMemFreeHost": fn(*mut c_void) -> c_int;
        to_device = "cuMemcpyHtoDAsync_v2": fn(u64, *const c_void, usize, Handle) -> c_int;
        to_host = "cuMemcpyDtoHAsync_v2": fn(*mut c_void, u64, usize, Handle) -> c_int;
        copy_2d = "cuMemcpy2DAsync_v2": fn(*const Copy2d, Handle) -> c_int;
        fill = "cuMemsetD8Async": fn(u64, u8, usize, Handle) -> c_int;
        stream_create = "cuStreamCreate": fn(*mut Handle, c_uint) -> c_int;
        stream_destroy = "cuStreamDestroy_v2": fn(Handle) -> c_int;
        stream_synchronize = "cuStreamSynchronize": fn(Handle) -> c_int;
        stream_wait = "cuStreamWaitEvent": fn(Handle, Handle, c_uint) -> c_int;
        event_create = "cuEventCreate": fn(*mut Handle, c_uint) -> c_int;
        event_destroy = "cuEventDestroy_v2": fn(Handle) -> c_int;
        event_record = "cuEventRecord": fn(Handle, Handle) -> c_int;
        event_query = "cuEventQuery": fn(Handle) -> c_int;
        event_synchronize = "cuEventSynchronize": fn(Handle) -> c_int;
        event_elapsed = "cuEventElapsedTime": fn(*mut f32, Handle, Handle) -> c_int;
        module_load = "cuModuleLoadData": fn(*mut Handle, *const c_void) -> c_int;
        module_unload = "cuModuleUnload": fn(Handle) -> c_int;
        module_function = "cuModuleGetFunction": fn(*mut Handle, Handle, *const c_char) -> c_int;
        launch = "cuLaunchKernel": fn(Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void) -> c_int;
        error_name = "cuGetErrorName": fn(c_int, *mut *const c_char) -> c_int;
    }
}

impl std::fmt::Debug for Cuda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("libcuda.so.1")
    }
}

impl Cuda {
    /// Turns a status into an error that names the call and CUDA's word for the status.
    pub(super) fn check(&self, call: &'static str, status: c_int) -> Result<(), CudaError> {
        if status == 0 {
            return Ok(());
        }
        let mut name = std::ptr::null();
        // SAFETY: writes a pointer to a static text, or leaves it null.
        unsafe { (self.error_name)(status, &mut name) };
        let name = match name.is_null() {
            true => String::new(),
            // SAFETY: a static text with a zero at its end.
            false => unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned(),
        };
        Err(CudaError::Call { call, status, name })
    }
}
