//! Streams, events, modules and launches.

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use super::Device;
use super::calls::Handle;
use super::error::CudaError;

/// `CU_STREAM_NON_BLOCKING`: the legacy stream of other libraries in the process does not hold it up.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_DISABLE_TIMING`: an event that only orders is cheaper. `CU_EVENT_BLOCKING_SYNC`: who waits for it sleeps; without it the
/// driver turns in circles on a core that x264 has use for.
const ORDERING: u32 = 2 | 1;
/// `CUDA_ERROR_NOT_READY`.
const NOT_READY: i32 = 600;

/// A queue of work that a device does in order.
#[derive(Debug)]
pub struct Stream {
    device: Arc<Device>,
    raw: Handle,
}

// SAFETY: the driver's stream functions may be called from any thread.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    /// A stream of its own.
    pub fn new(device: &Arc<Device>) -> Result<Arc<Stream>, CudaError> {
        let _current = device.enter()?;
        let mut raw = null_mut();
        // SAFETY: writes a handle that `drop` destroys.
        device.cuda.check("cuStreamCreate", unsafe { (device.cuda.stream_create)(&mut raw, NON_BLOCKING) })?;
        Ok(Arc::new(Stream { device: Arc::clone(device), raw }))
    }

    /// Its device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// The driver's handle.
    pub(in crate::codec::nvidia) fn handle(&self) -> Handle {
        self.raw
    }

    /// Waits on the host for everything queued so far: at openings and ends, never per picture.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        let _current = self.device.enter()?;
        // SAFETY: an own stream.
        self.device.cuda.check("cuStreamSynchronize", unsafe { (self.device.cuda.stream_synchronize)(self.raw) })
    }

    /// Lets what is queued from here on wait for `event`, without the host.
    pub fn wait(&self, event: &Event) -> Result<(), CudaError> {
        let _current = self.device.enter()?;
        // SAFETY: own objects of one context; the flags must be 0.
        self.device.cuda.check("cuStreamWaitEvent", unsafe { (self.device.cuda.stream_wait)(self.raw, event.raw, 0) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(_current) = self.device.enter() {
            // SAFETY: created in this context and destroyed once; the driver finishes what is queued.
            unsafe { (self.device.cuda.stream_destroy)(self.raw) };
        }
    }
}

/// A point in a stream.
#[derive(Debug)]
pub struct Event {
    device: Arc<Device>,
    raw: Handle,
}

// SAFETY: the driver's event functions may be called from any thread.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// An event that only orders.
    pub fn new(device: &Arc<Device>) -> Result<Event, CudaError> {
        Event::with_flags(device, ORDERING)
    }

    /// An event that also tells the time, for measurements.
    pub fn timed(device: &Arc<Device>) -> Result<Event, CudaError> {
        Event::with_flags(device, 0)
    }

    fn with_flags(device: &Arc<Device>, flags: u32) -> Result<Event, CudaError> {
        let _current = device.enter()?;
        let mut raw = null_mut();
        // SAFETY: writes a handle that `drop` destroys.
        device.cuda.check("cuEventCreate", unsafe { (device.cuda.event_create)(&mut raw, flags) })?;
        Ok(Event { device: Arc::clone(device), raw })
    }

    /// Marks this point of `stream`.
    pub fn record(&self, stream: &Stream) -> Result<(), CudaError> {
        let _current = self.device.enter()?;
        // SAFETY: own objects of one context.
        self.device.cuda.check("cuEventRecord", unsafe { (self.device.cuda.event_record)(self.raw, stream.raw) })
    }

    /// Whether the device has come past it; true for one that was never recorded.
    pub fn has_happened(&self) -> Result<bool, CudaError> {
        let _current = self.device.enter()?;
        // SAFETY: an own event.
        match unsafe { (self.device.cuda.event_query)(self.raw) } {
            NOT_READY => Ok(false),
            status => self.device.cuda.check("cuEventQuery", status).map(|()| true),
        }
    }

    /// Waits on the host until the device has come past it: only where samples are wanted in main memory.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        let _current = self.device.enter()?;
        // SAFETY: an own event.
        self.device.cuda.check("cuEventSynchronize", unsafe { (self.device.cuda.event_synchronize)(self.raw) })
    }

    /// Time from `earlier` to this one in ms; both timed and happened.
    pub fn since_ms(&self, earlier: &Event) -> Result<f32, CudaError> {
        let _current = self.device.enter()?;
        let mut elapsed_ms = 0.0;
        // SAFETY: writes one float.
        let status = unsafe { (self.device.cuda.event_elapsed)(&mut elapsed_ms, earlier.raw, self.raw) };
        self.device.cuda.check("cuEventElapsedTime", status).map(|()| elapsed_ms)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Ok(_current) = self.device.enter() {
            // SAFETY: created in this context and destroyed once.
            unsafe { (self.device.cuda.event_destroy)(self.raw) };
        }
    }
}

/// Kernels, loaded from PTX.
#[derive(Debug)]
pub struct Module {
    device: Arc<Device>,
    raw: Handle,
}

// SAFETY: a loaded module does not change.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Loads PTX, which the driver compiles for its device (or takes from its cache).
    pub fn load(device: &Arc<Device>, ptx: &CStr) -> Result<Arc<Module>, CudaError> {
        let _current = device.enter()?;
        let mut raw = null_mut();
        // SAFETY: PTX is text with a zero at its end; the driver copies it.
        device.cuda.check("cuModuleLoadData", unsafe { (device.cuda.module_load)(&mut raw, ptx.as_ptr().cast()) })?;
        Ok(Arc::new(Module { device: Arc::clone(device), raw }))
    }

    /// The kernel of this name.
    pub fn kernel(self: &Arc<Module>, name: &CStr) -> Result<Kernel, CudaError> {
        let _current = self.device.enter()?;
        let mut raw = null_mut();
        // SAFETY: writes a handle that lives as long as the module.
        self.device.cuda.check("cuModuleGetFunction", unsafe { (self.device.cuda.module_function)(&mut raw, self.raw, name.as_ptr()) })?;
        Ok(Kernel { module: Arc::clone(self), raw })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Ok(_current) = self.device.enter() {
            // SAFETY: loaded in this context and unloaded once; kernels hold the module.
            unsafe { (self.device.cuda.module_unload)(self.raw) };
        }
    }
}

/// A kernel.
#[derive(Debug)]
pub struct Kernel {
    module: Arc<Module>,
    raw: Handle,
}

// SAFETY: a function handle does not change.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

/// A type that a kernel takes by value as its parameter: `repr(C)`, only numbers, the same layout as in `kernels/`.
///
/// # Safety
/// The type has exactly the layout of the kernel's parameter, and no bytes that are not initialised.
pub unsafe trait Argument: Copy {}

impl Kernel {
    /// Queues one launch with one parameter.
    pub fn launch<A: Argument>(
        &self,
        stream: &Stream,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        argument: &A,
    ) -> Result<(), CudaError> {
        let device = &self.module.device;
        let _current = device.enter()?;
        let mut parameters: [*mut c_void; 1] = [std::ptr::from_ref(argument).cast_mut().cast()];
        // SAFETY: the kernel takes one parameter of this layout (`Argument`), which the driver copies before it returns.
        let status = unsafe {
            (device.cuda.launch)(
                self.raw,
                grid[0],
                grid[1],
                grid[2],
                block[0],
                block[1],
                block[2],
                shared_bytes,
                stream.raw,
                parameters.as_mut_ptr(),
                null_mut(),
            )
        };
        device.cuda.check("cuLaunchKernel", status)
    }
}
