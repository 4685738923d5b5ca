//! NVENC's API: sessions, registered inputs, mapped inputs and bitstream buffers, each owned by a type that gives it back.
//!
//! ```text
//! Session::open -> limits -> start(Video, Settings) -> register every buffer of the pool, once
//!     per picture: map -> submit -> (enough input?) lock, copy, unlock -> unmap
//! ```
//!
//! Types and constants come from `nvidia-video-codec-sdk`; functions are opened at run time and return plain integers, since a newer driver
//! may return a number that the SDK's enums do not have. Everything is synchronous: drivers for Linux have no completion events.
#![allow(unsafe_code)]

mod buffers;
mod calls;
mod error;
mod limits;
mod parameters;
mod session;

pub use error::NvencError;
pub use limits::Limits;

pub(super) use buffers::{Bitstream, Mapped, Registered};
pub(super) use calls::negotiate;
pub(super) use parameters::{Parameters, Video};
pub(super) use session::{Accepted, Message, Session};
