//! The decoder of the input: the device's where there is one that can, else libavcodec's.

use crate::base::{Fault, MediaTime, Ticks};
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
    Device(Box<NvDecoder>, Box<VideoTrack>, Patience),
}

/// How long a device that makes nothing of a source is believed that the source is broken: so many entries, and so long.
const PATIENT_ENTRIES: u32 = 2;
const PATIENT_FOR: Ticks = Ticks::from_millis(3_000);

/// Entries of a source that a device calls broken, one after another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    refused: u32,
    since: MediaTime,
}

impl Patience {
    /// An entry was refused; whether that was one too many.
    fn is_over(&mut self, pts: MediaTime) -> bool {
        if self.refused == 0 {
            self.since = pts;
        }
        self.refused += 1;
        self.refused >= PATIENT_ENTRIES && pts - self.since >= PATIENT_FOR
    }
}

impl SourceDecoder {
    /// Opens the best decoder that the place has for `track`.
    pub(super) fn open(place: &Place, track: &VideoTrack) -> Result<SourceDecoder, CodecError> {
        let Place::Cuda(cuda) = place else { return SourceDecoder::software(track) };
        match NvDecoder::open(&cuda.channel, track) {
            Ok(decoder) => Ok(SourceDecoder::Device(Box::new(decoder), Box::new(track.clone()), Patience::default())),
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

    /// Hands on what becomes ready of one unit until `sink` answers false. A device that finds only now that it cannot decode the source,
    /// or calls all of it broken, is left for good.
    pub(super) fn decode(&mut self, unit: &AccessUnit, sink: &mut dyn FnMut(Frame) -> bool) -> Result<(), CodecError> {
        let refused = match self {
            SourceDecoder::Software(decoder) => return each(sink, |frames| decoder.decode(unit, frames)),
            SourceDecoder::Device(decoder, track, patience) => {
                let mut shown = false;
                let decoded = decoder.decode_each(unit, &mut |frame| {
                    shown = true;
                    sink(frame)
                });
                if shown {
                    *patience = Patience::default();
                }
                match decoded {
                    Err(cause) if cause.fault() == Fault::Unsupported => SourceDecoder::instead(track, &cause)?,
                    Err(cause) if cause.fault() == Fault::Corrupt && unit.entry && patience.is_over(unit.pts) => {
                        SourceDecoder::instead(track, &cause)?
                    }
                    ended => return ended,
                }
            }
        };
        *self = refused;
        self.decode(unit, sink)
    }

    /// Hands on every picture that is still held.
    pub(super) fn drain(&mut self, sink: &mut dyn FnMut(Frame) -> bool) -> Result<(), CodecError> {
        match self {
            SourceDecoder::Software(decoder) => each(sink, |frames| decoder.drain(frames)),
            SourceDecoder::Device(decoder, ..) => decoder.drain_each(sink),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_believed_for_two_entries_and_three_seconds() {
        let over_at = |gop_ms: i64| {
            let mut patience = Patience::default();
            (0..100).find(|entry| patience.is_over(MediaTime(Ticks::from_millis(entry * gop_ms).0)))
        };
        assert_eq!((over_at(40), over_at(1_000), over_at(1_500), over_at(10_000)), (Some(75), Some(3), Some(2), Some(1)));
    }
}
