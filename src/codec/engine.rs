//! The three traits that every back end implements.

use crate::base::Ticks;
use crate::media::{AccessUnit, Packet, Track};

use super::error::CodecError;
use super::frame::Frame;

/// Coded pictures in, decoded pictures out, in presentation order.
pub trait Decoder {
    /// Decodes one access unit and appends what became ready. After an error the next unit may be given.
    fn decode(&mut self, unit: &AccessUnit, out: &mut Vec<Frame>) -> Result<(), CodecError>;

    /// Appends every picture that is still held. Nothing may be decoded afterwards.
    fn drain(&mut self, out: &mut Vec<Frame>) -> Result<(), CodecError>;
}

/// One picture in, the same picture in the size of every rung out.
pub trait Scaler {
    /// Appends one frame per rung, in the order of the rungs, all with the source's `pts`.
    fn scale(&mut self, frame: &Frame, out: &mut Vec<Frame>) -> Result<(), CodecError>;
}

/// What an encoder turned out to make.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderInfo {
    /// The coded track with its decoder configuration.
    pub track: Track,
    /// Largest distance by which a packet's `pts` may lie before its `dts`.
    pub reorder: Ticks,
}

/// Pictures of one rung in, packets in decode order out.
pub trait Encoder {
    /// What comes out.
    fn info(&self) -> &EncoderInfo;

    /// Encodes one picture, as an IDR where `key`, and appends the packets that became ready. `pts` must increase.
    fn encode(&mut self, frame: &Frame, key: bool, out: &mut Vec<Packet>) -> Result<(), CodecError>;

    /// Sets a new target rate in bit/s; the VBV scales with it.
    fn retune(&mut self, bitrate_bps: u32) -> Result<(), CodecError>;

    /// Goes on by a preset so many faster than the rung's own (at most the fastest; 0: the rung's own), without memory of the pictures
    /// before, and appends what was held of those. The next picture must be an IDR. Says whether that is so: where the encoder cannot do it,
    /// or parameter sets would differ from [`Encoder::info`], it goes on as before.
    fn ease(&mut self, faster: u8, out: &mut Vec<Packet>) -> Result<bool, CodecError>;

    /// Appends every packet that is still held. Nothing may be encoded afterwards.
    fn drain(&mut self, out: &mut Vec<Packet>) -> Result<(), CodecError>;
}
