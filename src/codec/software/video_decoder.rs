//! Video decoding by libavcodec.

use std::sync::Arc;

use ffmpeg_sys_next as ffi;

use super::av::{AvFrame, AvPacket, CodecContext, FLICKS, av_error, decoder_named, is_pause};
use super::picture::Picture;
use crate::base::{Fault, MediaTime, Ticks};
use crate::codec::engine::Decoder;
use crate::codec::error::CodecError;
use crate::codec::frame::{Frame, HostPicture, Surface};
use crate::media::{AccessUnit, VideoCodec, VideoTrack};

const COMPONENT: &str = "video decoder";

/// Largest picture that is decoded, in pixels: 8192x4320. A header that lies must not claim gigabytes.
const MAX_PIXELS: i64 = 8192 * 4320;

/// A decoder of one video track.
#[derive(Debug)]
pub struct VideoDecoder {
    context: CodecContext,
    packet: AvPacket,
    draining: bool,
}

impl VideoDecoder {
    /// Opens the decoder of `track`, single-threaded: threads would cost a frame of memory and latency each.
    pub fn open(track: &VideoTrack) -> Result<VideoDecoder, CodecError> {
        let name = match track.codec {
            VideoCodec::H264 => "h264",
            VideoCodec::Hevc => "hevc",
            VideoCodec::Av1 => "av1",
            VideoCodec::Other => track.other.as_str(),
        };
        let codec = decoder_named(COMPONENT, name)?;
        let mut context = CodecContext::new(COMPONENT, codec)
            .map_err(|_| CodecError::new(Fault::Unsupported, COMPONENT, format!("libavcodec cannot decode {name}")))?;
        context.set_extradata(&track.config)?;
        let raw = context.raw_mut();
        raw.pkt_timebase = FLICKS;
        // Where decoding begins at a recovery point, pictures before it refer to what was never seen: they stay inside.
        raw.flags &= !(ffi::AV_CODEC_FLAG_OUTPUT_CORRUPT as i32);
        raw.max_pixels = MAX_PIXELS;
        raw.width = i32::try_from(track.width).unwrap_or(0);
        raw.height = i32::try_from(track.height).unwrap_or(0);
        context.open(codec)?;
        Ok(VideoDecoder { context, packet: AvPacket::new(COMPONENT)?, draining: false })
    }

    fn receive(&mut self, out: &mut Vec<Frame>) -> Result<(), CodecError> {
        loop {
            let mut frame = AvFrame::new(COMPONENT)?;
            match self.context.receive_frame(&mut frame) {
                0 => out.extend(as_frame(frame)),
                code if is_pause(code) => return Ok(()),
                code => return Err(av_error(COMPONENT, "decoding", code)),
            }
        }
    }
}

impl Decoder for VideoDecoder {
    fn decode(&mut self, unit: &AccessUnit, out: &mut Vec<Frame>) -> Result<(), CodecError> {
        if self.draining || unit.data.is_empty() {
            return Ok(());
        }
        self.packet.fill(COMPONENT, &unit.data)?;
        let raw = self.packet.raw_mut();
        (raw.pts, raw.dts) = (unit.pts.0, unit.dts.0);
        if unit.entry {
            raw.flags |= ffi::AV_PKT_FLAG_KEY;
        }
        // Frames are always received to the end, so the decoder never answers that it is full.
        let sent = self.context.send_packet(Some(&mut self.packet));
        let received = self.receive(out);
        if sent < 0 && !is_pause(sent) {
            return Err(av_error(COMPONENT, "decoding", sent));
        }
        received
    }

    fn drain(&mut self, out: &mut Vec<Frame>) -> Result<(), CodecError> {
        if self.draining {
            return Ok(());
        }
        self.draining = true;
        self.context.send_packet(None);
        // A picture that fails at the end must not keep the ones behind it.
        for _ in 0..64 {
            match self.receive(out) {
                Ok(()) => return Ok(()),
                Err(cause) => tracing::debug!(%cause, "a picture was lost at the end of the input"),
            }
        }
        Ok(())
    }
}

/// A decoded frame with its time; none if it has no time or no samples.
fn as_frame(frame: AvFrame) -> Option<Frame> {
    let pts = frame.raw().best_effort_timestamp;
    if pts == ffi::AV_NOPTS_VALUE || frame.raw().width <= 0 || frame.raw().height <= 0 {
        return None;
    }
    let picture = Picture::new(frame);
    Some(Frame {
        pts: MediaTime(pts),
        duration: Ticks::ZERO,
        color: picture.color(),
        attached: picture.attached(),
        surface: Surface::Host(HostPicture::Decoded(Arc::new(picture))),
    })
}
