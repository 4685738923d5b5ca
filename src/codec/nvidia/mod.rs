//! Decoding, scaling and encoding on NVIDIA GPUs, with frames that stay in device memory.
//!
//! ```text
//! cuvid parser -> decoder -> mapped surface -> one kernel launch -> a pooled buffer per rung -> one encode session per rung
//! ```
//!
//! Everything of a channel is queued on its one [`cuda::Stream`]; no stage waits for another on the host. The driver's libraries are
//! opened at run time ([`library`]); types come from `nvidia-video-codec-sdk`. Each library has one module that calls it: [`cuda`],
//! [`cuvid`], [`nvenc`] and [`nvml`].

pub mod channel;
pub mod cuda;
pub mod cuvid;
pub mod decoder;
pub mod encoder;
mod encoder_coded;
pub mod encoder_settings;
pub mod hybrid;
mod kernels;
pub mod ladder;
pub mod ledger;
pub mod library;
pub mod luma;
pub mod nvenc;
pub mod nvml;
pub mod pool;
pub mod probe;
pub mod scaler;
pub mod snapshot;
pub mod surface;

pub use channel::{ChannelDevice, PoolSize};
pub use decoder::NvDecoder;
pub use encoder::{NvEncoder, NvOptions};
pub use hybrid::HybridEncoder;
pub use kernels::Kernels;
pub use ledger::CopyLedger;
pub use luma::{CellCounts, DeviceLuma};
pub use pool::{DevicePicture, DevicePool, Format};
pub use scaler::DeviceLadder;
pub use snapshot::Snapshot;
pub use surface::{CudaSurface, ScaledLadder};
