//! Encoding with x264 what a device without an encoder has decoded and scaled: one counted download per rung and picture.
//!
//! The download is queued on a stream of its own behind what was queued on the channel's, so that the next picture's kernel does not wait
//! for it. The rung's thread waits for it; nothing else does.

use std::sync::Arc;

use super::cuda::{CudaError, Event, Pinned, Stream};
use super::ledger::CopyLedger;
use super::pool::{DevicePicture, DevicePool, Format};
use super::surface::CudaSurface;
use crate::base::Fault;
use crate::codec::engine::{Encoder, EncoderInfo};
use crate::codec::error::CodecError;
use crate::codec::frame::{Frame, Surface};
use crate::codec::software::{Nv12, X264Encoder, X264Options};
use crate::media::device::CopyReason;
use crate::media::{Packet, Rung, VideoCodec};

const COMPONENT: &str = "hybrid encoder";

/// An x264 encoder whose pictures lie on a device.
pub struct HybridEncoder {
    encoder: X264Encoder,
    ledger: Arc<CopyLedger>,
    /// The channel's stream, on which pictures are written.
    written: Arc<Stream>,
    copies: Arc<Stream>,
    written_so_far: Event,
    copied: Event,
    /// x264 copies a picture when it takes it, so one is enough.
    host: Pinned,
    size: (u32, u32),
    rung: String,
}

impl HybridEncoder {
    /// Buffers of the rung's pool that the encoder holds at once: the one that it downloads.
    pub const DEPTH: usize = 1;

    /// Opens an encoder of pictures in `pool` that were written on `stream`, which counts its downloads in `ledger`.
    pub fn open(
        number: u8,
        rung: &Rung,
        options: X264Options,
        stream: &Arc<Stream>,
        pool: &Arc<DevicePool>,
        ledger: &Arc<CopyLedger>,
    ) -> Result<HybridEncoder, CodecError> {
        if rung.codec != VideoCodec::H264 || pool.format() != Format::Nv12 {
            let detail = format!(
                "rung {}: this device has no encoder, and x264 makes only H.264 of 8 bits; use codec h264 or another device",
                rung.name
            );
            return Err(CodecError::new(Fault::Unsupported, COMPONENT, detail));
        }
        let failed = |cause: CudaError| cause.of(COMPONENT);
        let device = stream.device();
        Ok(HybridEncoder {
            encoder: X264Encoder::open(number, rung, options)?,
            ledger: Arc::clone(ledger),
            written: Arc::clone(stream),
            copies: Stream::new(device).map_err(failed)?,
            written_so_far: Event::new(device).map_err(failed)?,
            copied: Event::new(device).map_err(failed)?,
            host: Pinned::new(device, nv12_bytes(pool.size())).map_err(failed)?,
            size: pool.size(),
            rung: rung.name.clone(),
        })
    }

    /// Brings a picture down and waits until it is there.
    fn download(&mut self, picture: &DevicePicture) -> Result<(), CudaError> {
        self.written_so_far.record(&self.written)?;
        self.copies.wait(&self.written_so_far)?;
        self.ledger.to_host(CopyReason::HostEncoded, picture, &mut self.host, &self.copies)?;
        self.copied.record(&self.copies)?;
        self.copied.synchronize()
    }
}

impl Encoder for HybridEncoder {
    fn info(&self) -> &EncoderInfo {
        self.encoder.info()
    }

    fn encode(&mut self, frame: &Frame, key: bool, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        let Surface::Cuda(CudaSurface::Rung(picture)) = &frame.surface else {
            return Err(CodecError::new(Fault::Bug, COMPONENT, format!("rung {}: a picture came that is not on the device", self.rung)));
        };
        if picture.pool().size() != self.size {
            return Err(CodecError::new(Fault::Bug, COMPONENT, format!("rung {}: a picture of another size came", self.rung)));
        }
        self.download(picture).map_err(|cause| cause.of(COMPONENT))?;
        let (width, height) = self.size;
        let picture = Nv12 { bytes: self.host.bytes(), stride: picture.rows().width_bytes, width, height };
        self.encoder.encode_nv12(&picture, frame.pts, &frame.attached, key, out)
    }

    fn retune(&mut self, bitrate_bps: u32) -> Result<(), CodecError> {
        self.encoder.retune(bitrate_bps)
    }

    fn ease(&mut self, faster: u8, out: &mut Vec<Packet>) -> Result<bool, CodecError> {
        self.encoder.ease(faster, out)
    }

    fn drain(&mut self, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        self.encoder.drain(out)
    }
}

/// Bytes of a picture without padding between rows.
fn nv12_bytes((width, height): (u32, u32)) -> usize {
    let even = |length: u32| (length as usize).next_multiple_of(2);
    even(width) * (height as usize + even(height) / 2)
}
