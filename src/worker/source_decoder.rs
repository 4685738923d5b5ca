//! The decoder of the input: the device's where there is one that can, else libavcodec's.

use crate::base::Fault;
use crate::codec::nvidia::NvDecoder;
use crate::codec::software::VideoDecoder;
use crate::codec::{CodecError, Decoder, Frame};
use crate::media::{AccessUnit, VideoTrack};

use super::place::Place;

/// An open decoder.
#[derive(Debug)]
pub(super) enum SourceDecoder {
    /// On the cores.
    Software(Box<VideoDecoder>),
    /// On the device, and what it was opened for.
    Device(Box<NvDecoder>, Box<VideoTrack>),
}

impl SourceDecoder {
    /// Opens the best decoder that the place has for `track`.
    pub(super) fn open(place: &Place, track: &VideoTrack) -> Result<SourceDecoder, CodecError> {
        let Place::Cuda(cuda) = place else { return SourceDecoder::software(track) };
        match NvDecoder::open(&cuda.channel, track) {
            Ok(decoder) => Ok(SourceDecoder::Device(Box::new(decoder), Box::new(track.clone()))),
            Err(cause) if cause.fault() == Fault::Unsupported => SourceDecoder::instead(track, &cause),
            Err(cause) => Err(cause),
        }
    }

    fn software(track: &VideoTrack) -> Result<SourceDecoder, CodecError> {
        Ok(SourceDecoder::Software(Box::new(VideoDecoder::open(track)?)))
    }

    fn instead(track: &VideoTrack, cause: &CodecError) -> Result<SourceDecoder, CodecError> {
        tracing::warn!(codec = ?track.codec, %cause, "the source is decoded on the cores and its pictures are uploaded: the GPU cannot decode it");
        SourceDecoder::software(track)
    }

    /// Hands on what becomes ready of one unit until `sink` answers false. A device that finds only now that it cannot decode the source
    /// is left for good.
    pub(super) fn decode(&mut self, unit: &AccessUnit, sink: &mut dyn FnMut(Frame) -> bool) -> Result<(), CodecError> {
        let refused = match self {
            SourceDecoder::Software(decoder) => return each(sink, |frames| decoder.decode(unit, frames)),
            SourceDecoder::Device(decoder, track) => match decoder.decode_each(unit, sink) {
                Err(cause) if cause.fault() == Fault::Unsupported => SourceDecoder::instead(track, &cause)?,
                ended => return ended,
            },
        };
        *self = refused;
        self.decode(unit, sink)
    }

    /// Hands on every picture that is still held.
    pub(super) fn drain(&mut self, sink: &mut dyn FnMut(Frame) -> bool) -> Result<(), CodecError> {
        match self {
            SourceDecoder::Software(decoder) => each(sink, |frames| decoder.drain(frames)),
            SourceDecoder::Device(decoder, _) => decoder.drain_each(sink),
        }
    }

    /// Whether with this error the worker has lost its place.
    pub(super) fn is_lost(&self, cause: &CodecError) -> bool {
        matches!(self, SourceDecoder::Device(..)) && is_loss(cause)
    }
}

/// What a source can do to a decoder of a device is never a loss.
pub(super) fn is_loss(cause: &CodecError) -> bool {
    !matches!(cause.fault(), Fault::Corrupt | Fault::Transient | Fault::Unsupported)
}

/// What came out before an error is shown as well.
fn each(sink: &mut dyn FnMut(Frame) -> bool, work: impl FnOnce(&mut Vec<Frame>) -> Result<(), CodecError>) -> Result<(), CodecError> {
    let mut frames = Vec::new();
    let worked = work(&mut frames);
    let _stopped = frames.into_iter().all(sink);
    worked
}
