//! The kernels as they are loaded on a device.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::sync::Arc;

use super::cuda::{Argument, CudaError, Device, Kernel, Module, Stream};
use super::ladder::PTX;
use super::ladder::job::{LadderJob, Launch, LumaCompareJob, LumaGridJob, RecolorJob};

/// Every entry of the PTX.
const ENTRIES: [&CStr; 9] = [
    c"ladder_nv12",
    c"ladder_p010",
    c"ladder_p010_nv12",
    c"ladder_nv12_p010",
    c"recolor_nv12",
    c"recolor_p010",
    c"luma_grid_nv12",
    c"luma_grid_p010",
    c"luma_compare",
];

// SAFETY: `repr(C)`, numbers only, no padding, the layout of `kernels/jobs.h`; `tests/kernels.rs` compares the sizes.
unsafe impl Argument for LadderJob {}
// SAFETY: as above.
unsafe impl Argument for RecolorJob {}
// SAFETY: as above.
unsafe impl Argument for LumaGridJob {}
// SAFETY: as above.
unsafe impl Argument for LumaCompareJob {}

/// The kernels of one device.
#[derive(Debug)]
pub struct Kernels {
    loaded: Vec<(&'static CStr, Kernel)>,
}

impl Kernels {
    /// Has the driver compile them for the device, or take them from its cache.
    pub fn load(device: &Arc<Device>) -> Result<Kernels, CudaError> {
        let ptx = CStr::from_bytes_until_nul(PTX.as_bytes()).unwrap_or_default();
        let module = Module::load(device, ptx)?;
        let loaded = ENTRIES.iter().map(|entry| module.kernel(entry).map(|kernel| (*entry, kernel)));
        Ok(Kernels { loaded: loaded.collect::<Result<_, _>>()? })
    }

    /// Queues a launch of the kernel with this name.
    pub(super) fn launch<Job: Argument>(&self, entry: &CStr, launch: &Launch<Job>, stream: &Stream) -> Result<(), CudaError> {
        match self.loaded.iter().find(|(name, _)| *name == entry) {
            Some((_, kernel)) => kernel.launch(stream, launch.grid, launch.block, launch.shared_bytes, &launch.job),
            None => Err(CudaError::Call { call: "cuLaunchKernel", status: 500, name: format!("no kernel {entry:?}") }),
        }
    }
}
