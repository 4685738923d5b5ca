//! What CUDA's statuses mean for a channel.

use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::nvidia::library::LoadError;

/// A call into CUDA failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// The library cannot be used.
    #[error(transparent)]
    Load(LoadError),
    /// A call returned a status other than success.
    #[error("{call}: {name} ({status})")]
    Call {
        /// The function.
        call: &'static str,
        /// `CUresult`.
        status: i32,
        /// CUDA's name for it; empty where it has none.
        name: String,
    },
}

impl CudaError {
    /// `CUresult`, where a call returned one.
    pub fn status(&self) -> Option<i32> {
        match self {
            CudaError::Load(_) => None,
            CudaError::Call { status, .. } => Some(*status),
        }
    }

    /// The class. Statuses above 700 that are sticky poison the context for the whole process: only a new process can use the device again.
    pub fn fault(&self) -> Fault {
        match self {
            CudaError::Load(_) => Fault::Unsupported,
            CudaError::Call { status, .. } => class(*status),
        }
    }

    /// As an error of `component`.
    pub fn of(self, component: &'static str) -> CodecError {
        CodecError::new(self.fault(), component, self.to_string())
    }
}

/// By `CUresult` of cuda.h.
fn class(status: i32) -> Fault {
    match status {
        // INVALID_VALUE, INVALID_CONTEXT, INVALID_HANDLE, NOT_FOUND: this code asked for something wrong.
        1 | 201 | 400 | 500 => Fault::Bug,
        // OUT_OF_MEMORY.
        2 => Fault::Overload,
        // INVALID_IMAGE, NO_BINARY_FOR_GPU, INVALID_PTX, UNSUPPORTED_PTX_VERSION, NOT_SUPPORTED.
        200 | 209 | 218 | 222 | 801 => Fault::Unsupported,
        // MAP_FAILED, UNMAP_FAILED: a surface of the decoder.
        205 | 206 => Fault::SessionLost,
        // NOT_READY is asked for where it is expected; elsewhere trying again helps.
        600 => Fault::Transient,
        // Everything else: not initialised, no device, ECC, illegal address, launch failure, timeouts, numbers of newer drivers.
        _ => Fault::DeviceLost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poisoned_context_costs_the_device_and_a_full_one_does_not() {
        let fault = |status| CudaError::Call { call: "cuLaunchKernel", status, name: String::new() }.fault();
        assert_eq!([214, 700, 719, 999, 46].map(fault), [Fault::DeviceLost; 5]);
        assert_eq!((fault(2), fault(801), fault(1)), (Fault::Overload, Fault::Unsupported, Fault::Bug));
    }
}
