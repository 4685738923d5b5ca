//! Decoders, scalers and encoders behind three traits, and the back ends that implement them.
//!
//! ```text
//! AccessUnit -> Decoder -> Frame -> Scaler -> one Frame per rung -> Encoder (one per rung) -> Packet
//! ```
//!
//! Codec objects are opened, driven and dropped on one thread. A [`Frame`] may cross threads: its surface is immutable
//! and reference counted. [`software`] runs on the CPU with libavcodec, libswscale, libswresample and libx264.

pub mod decode_order;
pub mod engine;
pub mod error;
pub mod fit;
pub mod frame;
pub mod nvidia;
pub mod planar;
pub mod software;

pub use engine::{Decoder, Encoder, EncoderInfo, Scaler};
pub use error::CodecError;
pub use fit::{Area, fit};
pub use frame::{Attached, Color, Frame, HostPicture, Matrix, Place, Surface};
pub use planar::{Planar, PlanarPool};
