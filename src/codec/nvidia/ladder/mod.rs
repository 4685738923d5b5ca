//! Every rung of a ladder from one read of the decoded picture: what the host prepares for the kernels in `kernels/`.
//!
//! ```text
//! source and rungs -> LadderPlan -> tables, uploaded once
//!                         |
//!                         +-> launch(addresses) per picture -> job, grid, block, shared memory
//! ```
//!
//! [`filter`] makes the coefficients, [`plan`] divides the work, [`job`] is what a kernel is handed, [`recolor`] and [`luma`] prepare the
//! smaller kernels, and [`reference`] does plainly what the kernels do, to the byte. Nothing here touches a device.

pub mod filter;
pub mod job;
pub mod luma;
pub mod plan;
pub mod recolor;
pub mod reference;
mod tiling;

pub use filter::Filter;
pub use job::{DevicePlanes, Launch};
pub use plan::{LadderError, LadderPlan, RungGeometry, SourceGeometry};

/// The kernels for every device, as the driver's compiler takes them: PTX, ended with a zero byte.
pub const PTX: &str = concat!(include_str!("../../../../kernels/ladder.ptx"), "\0");
