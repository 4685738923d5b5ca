//! The encode thread of one rung.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::base::clock;
use crate::base::queue::{Receiver, Sender};
use crate::codec::{CodecError, Encoder, EncoderInfo, Frame};
use crate::media::{Packet, Rung};

use super::easing::Effort;
use super::error::Stop;
use super::link_out::{FaultReporter, Outbox};
use super::meters::Meter;
use super::place::{EncoderSetup, Place};

/// Pictures that wait for a rung's encoder: enough to even out a slow picture, few enough to stay small.
const LIVE_QUEUE: usize = 2;
/// A file waits for its slowest rung in any case; every waiting picture of 1080p is 3 MB.
const FILE_QUEUE: usize = 1;

/// Capacity of a rung's queue.
pub(super) fn rung_queue(live: bool) -> usize {
    if live { LIVE_QUEUE } else { FILE_QUEUE }
}

/// Work for an encode thread.
#[derive(Debug)]
pub(super) enum RungWork {
    /// A picture in the rung's size, as an IDR where `key`.
    Encode { frame: Frame, key: bool, effort: Effort },
    /// Nothing more comes.
    Finish,
}

/// What an encode thread is started with.
#[derive(Debug)]
pub(super) struct RungThread {
    pub(super) place: Place,
    pub(super) setup: EncoderSetup,
    pub(super) work: Receiver<RungWork>,
    pub(super) opened: Sender<Result<EncoderInfo, CodecError>>,
    /// A new bitrate in bit/s; 0 for none.
    pub(super) retune: Arc<AtomicU32>,
    pub(super) meter: Arc<Meter>,
    pub(super) outbox: Outbox,
}

impl RungThread {
    /// Opens the encoder, tells how that went, and encodes until told to finish.
    pub(super) fn run(self) -> Result<(), Stop> {
        let RungThread { place, setup, work, opened, retune, meter, outbox } = self;
        let mut encoder = match place.encoder(&setup) {
            Ok(encoder) => encoder,
            Err(cause) => return Ok(opened.send(Err(cause))?),
        };
        opened.send(Ok(encoder.info().clone()))?;
        let mut faults = FaultReporter::new(outbox.clone(), "encode");
        let mut packets = Vec::new();
        let mut faster = 0;
        loop {
            match work.recv() {
                Some(RungWork::Encode { frame, key, effort }) => {
                    let begun = clock::mono();
                    if key && (effort.anew || effort.faster != faster) {
                        faster = effort.faster;
                        ease(&mut *encoder, &setup.rung, faster, &mut packets).or_else(|cause| faults.report(&cause))?;
                    }
                    match retune.swap(0, Ordering::Relaxed) {
                        0 => {}
                        bitrate_bps => encoder.retune(bitrate_bps).or_else(|cause| faults.report(&cause))?,
                    }
                    encoder.encode(&frame, key, &mut packets)?;
                    meter.done(frame.pts);
                    meter.worked(clock::mono().since(begun));
                }
                Some(RungWork::Finish) => {
                    encoder.drain(&mut packets)?;
                    return outbox.packets(&mut packets);
                }
                None => return Ok(()),
            }
            outbox.packets(&mut packets)?;
        }
    }
}

/// Goes on with a faster preset or with the rung's own again, where the encoder can do that and parameter sets stay as they are.
fn ease(encoder: &mut dyn Encoder, rung: &Rung, faster: u8, packets: &mut Vec<Packet>) -> Result<(), CodecError> {
    let preset = rung.faster_preset(faster);
    match encoder.ease(faster, packets)? {
        true => tracing::info!(rung = rung.name, preset, "rung is encoded with this preset from here on"),
        false => tracing::warn!(
            rung = rung.name,
            preset,
            "rung keeps its preset: the encoder cannot change it without other parameter sets; other steps have to do"
        ),
    }
    Ok(())
}
