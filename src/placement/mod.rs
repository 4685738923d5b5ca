//! What this machine is and which ladder it can carry: pure functions over an [`Inventory`].
//!
//! [`ladders`] holds the ladders that have a name, [`fit`] limits one to a source, [`cost`] says what one costs and
//! [`auto()`] chooses one for a live source on this many cores; [`devices`] gives seats on GPUs; [`pinning`] says who runs on which
//! cores. Only [`linux`] and [`topology`] look at the machine.

pub mod auto;
pub mod cost;
pub mod devices;
pub mod drm;
pub mod fit;
pub mod inventory;
pub mod ladders;
pub mod linux;
pub mod linux_process;
pub mod pinning;
pub mod topology;

pub use auto::auto;
pub use cost::cores_needed;
pub use devices::{DevicePolicy, DeviceWish, Devices, GpuChoice, Need, Refusal};
pub use fit::{LeftOut, Reason, fitted};
pub use inventory::Inventory;
pub use ladders::ladder;
pub use pinning::{PinningMap, PinningWish};
