//! NVDEC through `libnvcuvid.so.1`: what a device decodes, the parser, the decoder and its mapped surfaces.
//!
//! ```text
//! Parser::parse --sequence--> Engine::open or reconfigured --picture--> Engine::decode --display--> Engine::map -> Surface
//! ```
//!
//! The parser calls back on the thread that parses, before `parse` returns. Numbers of the driver become enums only where they are known.
#![allow(unsafe_code)]

mod calls;
mod caps;
mod engine;
mod format;
mod parser;

pub use caps::{abilities, check_ability};
pub use format::StreamFormat;

pub(super) use engine::Engine;
pub(super) use parser::{Display, Events, Parser, Picture};

/// Who says so in errors.
pub(super) const COMPONENT: &str = "nvdec";
