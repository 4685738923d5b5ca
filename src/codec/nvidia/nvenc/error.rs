//! What NVENC's statuses mean for a channel.

use std::ffi::c_int;

use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::nvidia::cuda::CudaError;
use crate::codec::nvidia::library::LoadError;

const COMPONENT: &str = "nvenc";

/// A call into NVENC failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NvencError {
    /// The library cannot be used.
    #[error(transparent)]
    Load(LoadError),
    /// The driver's API is older than ours.
    #[error("the driver's NVENC API is {}.{}, at least {}.{} is needed: install a newer NVIDIA driver (530 or later)", driver.0, driver.1, ours.0, ours.1)]
    TooOld {
        /// The newest version that the driver serves, (major, minor).
        driver: (u32, u32),
        /// The version that this build uses.
        ours: (u32, u32),
    },
    /// CUDA failed beneath.
    #[error(transparent)]
    Cuda(CudaError),
    /// A session was refused because as many as the driver allows are open, or because the device has no memory left.
    #[error(
        "{call}: {} ({status}): no further encode session can be opened; consumer cards allow only a few at once on the whole machine: \
         end other encoders, use fewer rungs, or use a newer driver or a professional card",
        name(*status)
    )]
    SessionLimit {
        /// The function.
        call: &'static str,
        /// `NVENCSTATUS`.
        status: c_int,
    },
    /// A call returned a status other than success.
    #[error("{call}: {} ({status}){detail}", name(*status))]
    Call {
        /// The function.
        call: &'static str,
        /// `NVENCSTATUS`.
        status: c_int,
        /// The driver's own words with what parts them from ours, empty where it has none.
        detail: String,
    },
}

/// `NV_ENC_ERR_OUT_OF_MEMORY`.
const OUT_OF_MEMORY: c_int = 10;
/// `NV_ENC_ERR_NEED_MORE_INPUT`.
pub(super) const NEED_MORE_INPUT: c_int = 17;
/// `NV_ENC_ERR_ENCODER_BUSY`: the same call is to be made again some milliseconds later.
pub(super) const ENCODER_BUSY: c_int = 18;
/// `NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY`, by which newer drivers say that there are enough sessions.
const INCOMPATIBLE_CLIENT_KEY: c_int = 21;

impl NvencError {
    /// Turns a status into an error; `detail` is asked for the driver's own words.
    pub(super) fn check(call: &'static str, status: c_int, detail: impl FnOnce() -> String) -> Result<(), NvencError> {
        match status {
            0 => Ok(()),
            _ => Err(NvencError::Call {
                call,
                status,
                detail: Some(detail()).filter(|text| !text.is_empty()).map_or(String::new(), |text| format!(": {text}")),
            }),
        }
    }

    /// The same error of a call that opens a session, where two statuses mean that there are enough.
    pub(super) fn while_opening(self) -> NvencError {
        match self {
            NvencError::Call { call, status: status @ (OUT_OF_MEMORY | INCOMPATIBLE_CLIENT_KEY), .. } => {
                NvencError::SessionLimit { call, status }
            }
            other => other,
        }
    }

    /// A function that the driver's table does not have.
    pub(super) fn missing(call: &'static str) -> NvencError {
        NvencError::Call { call, status: 22, detail: ": the driver does not have it".into() }
    }

    /// Whether it says that the device has no encoder.
    pub fn no_encoder(&self) -> bool {
        matches!(self, NvencError::Call { status: 1 | 2, .. })
    }

    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            NvencError::Load(_) | NvencError::TooOld { .. } => Fault::Unsupported,
            NvencError::Cuda(cause) => cause.fault(),
            NvencError::SessionLimit { .. } => Fault::Overload,
            NvencError::Call { status, .. } => class(*status),
        }
    }

    /// As an error of the encoder of `rung`.
    pub(in crate::codec::nvidia) fn of(self, rung: &str) -> CodecError {
        CodecError::new(self.fault(), COMPONENT, format!("rung {rung}: {self}"))
    }
}

/// By `NVENCSTATUS` of nvEncodeAPI.h.
fn class(status: c_int) -> Fault {
    match status {
        // NO_ENCODE_DEVICE, UNSUPPORTED_DEVICE, INVALID_ENCODERDEVICE, INVALID_DEVICE, DEVICE_NOT_EXIST.
        1..=5 => Fault::DeviceLost,
        // INVALID_PTR, INVALID_EVENT, INVALID_CALL, ENCODER_NOT_INITIALIZED, RESOURCE_NOT_REGISTERED, RESOURCE_NOT_MAPPED.
        6 | 7 | 9 | 11 | 24 | 25 => Fault::Bug,
        // INVALID_PARAM: the rung asks for what the device does not do.
        8 => Fault::Config,
        OUT_OF_MEMORY | INCOMPATIBLE_CLIENT_KEY => Fault::Overload,
        // UNSUPPORTED_PARAM, INVALID_VERSION, UNIMPLEMENTED.
        12 | 15 | 22 => Fault::Unsupported,
        // LOCK_BUSY, ENCODER_BUSY.
        13 | ENCODER_BUSY => Fault::Transient,
        // MAP_FAILED, GENERIC, RESOURCE_REGISTER_FAILED and numbers of newer drivers.
        _ => Fault::SessionLost,
    }
}

/// The status's name in nvEncodeAPI.h without its prefix.
fn name(status: c_int) -> &'static str {
    const NAMES: [&str; 27] = [
        "SUCCESS",
        "NO_ENCODE_DEVICE",
        "UNSUPPORTED_DEVICE",
        "INVALID_ENCODERDEVICE",
        "INVALID_DEVICE",
        "DEVICE_NOT_EXIST",
        "INVALID_PTR",
        "INVALID_EVENT",
        "INVALID_PARAM",
        "INVALID_CALL",
        "OUT_OF_MEMORY",
        "ENCODER_NOT_INITIALIZED",
        "UNSUPPORTED_PARAM",
        "LOCK_BUSY",
        "NOT_ENOUGH_BUFFER",
        "INVALID_VERSION",
        "MAP_FAILED",
        "NEED_MORE_INPUT",
        "ENCODER_BUSY",
        "EVENT_NOT_REGISTERED",
        "GENERIC",
        "INCOMPATIBLE_CLIENT_KEY",
        "UNIMPLEMENTED",
        "RESOURCE_REGISTER_FAILED",
        "RESOURCE_NOT_REGISTERED",
        "RESOURCE_NOT_MAPPED",
        "NEED_MORE_OUTPUT",
    ];
    usize::try_from(status).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("unknown status")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: c_int) -> NvencError {
        NvencError::check("nvEncEncodePicture", status, String::new).unwrap_err()
    }

    #[test]
    fn both_numbers_of_a_session_limit_ask_for_another_place_and_say_what_to_do() {
        for status in [10, 21] {
            let error = failed(status).while_opening();
            assert_eq!(error.fault(), Fault::Overload);
            assert!(error.to_string().contains("fewer rungs"), "{error}");
        }
        assert_eq!(failed(20).while_opening(), failed(20));
    }

    #[test]
    fn a_failing_session_is_told_apart_from_a_missing_device() {
        assert_eq!([1, 2, 3, 4, 5].map(|status| failed(status).fault()), [Fault::DeviceLost; 5]);
        assert_eq!([20, 23, 99, -1].map(|status| failed(status).fault()), [Fault::SessionLost; 4]);
        assert_eq!((failed(12).fault(), failed(8).fault(), failed(9).fault()), (Fault::Unsupported, Fault::Config, Fault::Bug));
    }

    #[test]
    fn an_old_driver_is_told_both_versions() {
        let text = NvencError::TooOld { driver: (11, 1), ours: (12, 1) }.to_string();
        assert!(text.contains("11.1") && text.contains("12.1"), "{text}");
    }

    #[test]
    fn the_drivers_own_words_follow_the_status() {
        let error = NvencError::check("nvEncLockBitstream", 20, || "engine hung".into()).unwrap_err();
        assert_eq!(error.to_string(), "nvEncLockBitstream: GENERIC (20): engine hung");
        assert_eq!(failed(77).to_string(), "nvEncEncodePicture: unknown status (77)");
    }
}
