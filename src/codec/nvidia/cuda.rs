//! CUDA's driver API: devices, contexts, streams, events, memory, modules and launches, each owned by a type that gives it back.
//!
//! Everything but [`Listed`] wants the device's context current: every method enters it by itself and leaves it again, so that
//! objects may be used and dropped on any thread.
#![allow(unsafe_code)]

mod calls;
mod error;
mod memory;
mod stream;

pub use error::CudaError;
pub use memory::{Buffer, DevicePointer, Pinned, Rectangle};
pub use stream::{Argument, Event, Kernel, Module, Stream};

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use calls::Cuda;

pub(super) use calls::Handle;
pub(super) use memory::{rows_to_device, rows_to_host};

/// Device attributes (`CUdevice_attribute` of cuda.h).
const COMPUTE_MAJOR: c_int = 75;
const COMPUTE_MINOR: c_int = 76;
const MEMORY_CLOCK_KHZ: c_int = 36;
const MEMORY_BUS_BITS: c_int = 37;

/// `CU_CTX_SCHED_BLOCKING_SYNC`: who waits inside the driver sleeps, and leaves its core to x264.
const BLOCKING_SYNC: u32 = 4;

/// A GPU as the driver lists it. Nothing here needs a context: a GPU on which none can be made has a name and a UUID too.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    cuda: &'static Cuda,
    raw: c_int,
    ordinal: u32,
}

/// A GPU with its primary context retained, which every owner in this process shares.
#[derive(Debug)]
pub struct Device {
    cuda: &'static Cuda,
    listed: Listed,
    context: Handle,
}

// SAFETY: a context may be used from any thread (CUDA driver API, "context management"); nothing else in here changes.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

/// What the driver says of itself.
pub fn driver_version() -> Result<u32, CudaError> {
    let cuda = initialised()?;
    let mut version: c_int = 0;
    // SAFETY: writes one int.
    cuda.check("cuDriverGetVersion", unsafe { (cuda.driver_version)(&mut version) })?;
    Ok(version.max(0) as u32)
}

/// Devices that the driver lists.
pub fn device_count() -> Result<u32, CudaError> {
    let cuda = initialised()?;
    let mut count: c_int = 0;
    // SAFETY: writes one int.
    cuda.check("cuDeviceGetCount", unsafe { (cuda.device_count)(&mut count) })?;
    Ok(count.max(0) as u32)
}

/// The functions after `cuInit`. A process that was refused once is refused for ever: drivers do not come up later in the same process.
fn initialised() -> Result<&'static Cuda, CudaError> {
    let cuda = Cuda::load().map_err(CudaError::Load)?;
    static STATUS: std::sync::OnceLock<c_int> = std::sync::OnceLock::new();
    // SAFETY: the flags must be 0.
    let status = *STATUS.get_or_init(|| unsafe { (cuda.init)(0) });
    cuda.check("cuInit", status).map(|()| cuda)
}

impl Listed {
    /// The GPU with this ordinal.
    pub fn at(ordinal: u32) -> Result<Listed, CudaError> {
        let cuda = initialised()?;
        let mut raw = 0;
        // SAFETY: writes the device's number.
        cuda.check("cuDeviceGet", unsafe { (cuda.device)(&mut raw, c_int::try_from(ordinal).unwrap_or(c_int::MAX)) })?;
        Ok(Listed { cuda, raw, ordinal })
    }

    /// Retains its primary context.
    pub fn open(self) -> Result<Arc<Device>, CudaError> {
        let mut context = null_mut();
        // SAFETY: plain numbers. A context that is active already keeps its flags, and one with others works as well.
        unsafe { (self.cuda.set_flags)(self.raw, BLOCKING_SYNC) };
        // SAFETY: writes the context's handle, which is released in `drop`.
        self.cuda.check("cuDevicePrimaryCtxRetain", unsafe { (self.cuda.retain)(&mut context, self.raw) })?;
        Ok(Arc::new(Device { cuda: self.cuda, listed: self, context }))
    }

    /// `NVIDIA L4`.
    pub fn name(&self) -> Result<String, CudaError> {
        self.text("cuDeviceGetName", self.cuda.name)
    }

    /// `0000:65:00.0`.
    pub fn pci(&self) -> Result<String, CudaError> {
        self.text("cuDeviceGetPCIBusId", self.cuda.pci)
    }

    /// `GPU-` and the UUID, as NVML and `nvidia-smi -L` print it.
    pub fn uuid(&self) -> Result<String, CudaError> {
        let mut bytes = [0u8; 16];
        // SAFETY: writes sixteen bytes.
        self.cuda.check("cuDeviceGetUuid", unsafe { (self.cuda.uuid)(bytes.as_mut_ptr().cast(), self.raw) })?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("GPU-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
    }

    /// Compute capability, (major, minor).
    pub fn compute(&self) -> Result<(u32, u32), CudaError> {
        Ok((self.attribute(COMPUTE_MAJOR)?, self.attribute(COMPUTE_MINOR)?))
    }

    /// Bytes that device memory moves in a second at best, by its clock and the width of its bus, two transfers a clock; none where the
    /// driver does not say.
    pub fn memory_bytes_per_s(&self) -> Result<Option<u64>, CudaError> {
        let (clock_khz, bus_bits) = (u64::from(self.attribute(MEMORY_CLOCK_KHZ)?), u64::from(self.attribute(MEMORY_BUS_BITS)?));
        Ok(Some(2 * clock_khz * 1000 * (bus_bits / 8)).filter(|rate| *rate > 0))
    }

    fn attribute(&self, attribute: c_int) -> Result<u32, CudaError> {
        let mut value: c_int = 0;
        // SAFETY: writes one int.
        self.cuda.check("cuDeviceGetAttribute", unsafe { (self.cuda.attribute)(&mut value, attribute, self.raw) })?;
        Ok(value.max(0) as u32)
    }

    fn text(&self, call: &'static str, function: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int) -> Result<String, CudaError> {
        let mut text = [0u8; 256];
        // SAFETY: writes at most so many bytes, the last of which is zero.
        self.cuda.check(call, unsafe { function(text.as_mut_ptr().cast(), text.len() as c_int, self.raw) })?;
        Ok(CStr::from_bytes_until_nul(&text).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default())
    }
}

impl Device {
    /// Retains the primary context of the device with this ordinal.
    pub fn open(ordinal: u32) -> Result<Arc<Device>, CudaError> {
        Listed::at(ordinal)?.open()
    }

    /// The driver's ordinal.
    pub fn ordinal(&self) -> u32 {
        self.listed.ordinal
    }

    /// The context's handle, for libraries that want it.
    pub(super) fn context(&self) -> Handle {
        self.context
    }

    /// See [`Listed::uuid`].
    pub fn uuid(&self) -> Result<String, CudaError> {
        self.listed.uuid()
    }

    /// See [`Listed::memory_bytes_per_s`].
    pub fn memory_bytes_per_s(&self) -> Result<Option<u64>, CudaError> {
        self.listed.memory_bytes_per_s()
    }

    /// Device memory, (free, total) in bytes.
    pub fn memory(&self) -> Result<(u64, u64), CudaError> {
        let _current = self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two sizes.
        self.cuda.check("cuMemGetInfo", unsafe { (self.cuda.memory_info)(&mut free, &mut total) })?;
        Ok((free as u64, total as u64))
    }

    /// Waits for everything that was queued in the context. For probes and ends; no stage of a pipeline does.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        let _current = self.enter()?;
        // SAFETY: the context is current.
        self.cuda.check("cuCtxSynchronize", unsafe { (self.cuda.synchronize)() })
    }

    /// Makes the context current on this thread until the guard is dropped.
    pub(super) fn enter(&self) -> Result<Current<'_>, CudaError> {
        // SAFETY: the context is retained while `self` lives.
        self.cuda.check("cuCtxPushCurrent", unsafe { (self.cuda.push)(self.context) })?;
        Ok(Current { device: self, thread: std::marker::PhantomData })
    }

    /// Turns a `CUresult` of another library of the driver into an error that names the call.
    pub(super) fn check(&self, call: &'static str, status: c_int) -> Result<(), CudaError> {
        self.cuda.check(call, status)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: retained in `open`; every object of the context holds this device, so none is left.
        unsafe { (self.cuda.release)(self.listed.raw) };
    }
}

/// The context is current on this thread.
pub(super) struct Current<'a> {
    device: &'a Device,
    /// The stack of contexts is the thread's own.
    thread: std::marker::PhantomData<*mut c_void>,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        let mut context = null_mut();
        // SAFETY: pushed by `enter` on this thread; guards are dropped in the reverse order.
        unsafe { (self.device.cuda.pop)(&mut context) };
        let _ = self.thread;
    }
}
