//! What this machine is and which channels it can carry: pure functions over an [`Inventory`].
//!
//! [`ladders`] holds the ladders that have a name, [`fit`] limits one to a source, [`cost`] and [`needs`] say what one takes and
//! [`auto()`] chooses one for a live source on this many cores. [`devices`] says who has which GPU, [`pool`] who has how much of the cores and
//! the memory, [`machine`] puts both together and gives seats, and [`report`] shows them; [`pinning`] says who runs on which cores.
//! Only [`linux`] and [`topology`] look at the machine.

pub mod auto;
pub mod cost;
pub mod devices;
pub mod drm;
pub mod fit;
pub mod inventory;
pub mod ladders;
pub mod linux;
pub mod linux_process;
pub mod machine;
pub mod needs;
pub mod pinning;
pub mod pool;
pub mod report;
pub mod short;
pub mod topology;

pub use auto::{auto, auto_within};
pub use cost::{Speed, cores_needed};
pub use devices::{DevicePolicy, DeviceWish, Devices, GpuChoice, Load, Need, Priority, Refusal};
pub use fit::{LeftOut, Reason, fitted};
pub use inventory::Inventory;
pub use ladders::ladder;
pub use machine::{Admission, Machine};
pub use pinning::{PinningMap, PinningWish};
