//! The link between the front and a child: framed, versioned messages over a Unix stream socket.
//!
//! ```text
//! frame   = length u32 LE (of what follows) | header_length u16 LE | header | payload
//! header  = postcard of ToWorker or FromWorker
//! payload = the coded bytes of Au and Packet, else empty
//! ```
//!
//! Both ends are one build of one package, and [`VERSION`] in `Open` catches a mixed installation.

pub mod easing;
pub mod frame;
pub mod gateway;
pub mod message;

pub use easing::Easing;
pub use frame::{Deframer, FrameError, framed};
pub use message::{FileTrack, Fill, FromWorker, Open, RungConfig, Spans, Stage, ToWorker, VERSION, Watch};
