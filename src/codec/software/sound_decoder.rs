//! Audio decoding by libavcodec.
#![allow(unsafe_code)]

use ffmpeg_sys_next as ffi;

use super::av::{AvFrame, AvPacket, CodecContext, FLICKS, av_error, decoder_named, is_pause};
use crate::base::{Fault, MediaTime};
use crate::codec::error::CodecError;
use crate::media::{AccessUnit, AudioCodec, AudioTrack};

const COMPONENT: &str = "audio decoder";

/// Decoded samples, in whatever format their decoder makes.
#[derive(Debug)]
pub struct Sound {
    frame: AvFrame,
}

impl Sound {
    /// When the first sample is heard.
    pub fn pts(&self) -> MediaTime {
        MediaTime(self.frame.raw().best_effort_timestamp)
    }

    /// Samples a second.
    pub fn sample_rate(&self) -> u32 {
        self.frame.raw().sample_rate.max(0) as u32
    }

    /// Samples per channel.
    pub fn samples(&self) -> usize {
        self.frame.raw().nb_samples.max(0) as usize
    }

    pub(super) fn raw(&self) -> &ffi::AVFrame {
        self.frame.raw()
    }
}

/// A decoder of one audio track.
#[derive(Debug)]
pub struct SoundDecoder {
    context: CodecContext,
    packet: AvPacket,
    draining: bool,
}

impl SoundDecoder {
    /// Opens the decoder of `track`.
    pub fn open(track: &AudioTrack) -> Result<SoundDecoder, CodecError> {
        let name = match track.codec {
            AudioCodec::Aac => "aac",
            AudioCodec::Opus => "opus",
            AudioCodec::Mp3 => "mp3",
            AudioCodec::Other => track.other.as_str(),
        };
        let codec = decoder_named(COMPONENT, name)?;
        let mut context = CodecContext::new(COMPONENT, codec)
            .map_err(|_| CodecError::new(Fault::Unsupported, COMPONENT, format!("libavcodec cannot decode {name}")))?;
        context.set_extradata(&track.config)?;
        let raw = context.raw_mut();
        raw.pkt_timebase = FLICKS;
        raw.sample_rate = i32::try_from(track.sample_rate).unwrap_or(0);
        if track.channels > 0 {
            // SAFETY: writes the layout of a context that is not open yet.
            unsafe { ffi::av_channel_layout_default(&mut raw.ch_layout, i32::from(track.channels)) };
        }
        context.open(codec)?;
        Ok(SoundDecoder { context, packet: AvPacket::new(COMPONENT)?, draining: false })
    }

    /// Decodes one access unit and appends what became ready. After an error the next unit may be given.
    pub fn decode(&mut self, unit: &AccessUnit, out: &mut Vec<Sound>) -> Result<(), CodecError> {
        if self.draining || unit.data.is_empty() {
            return Ok(());
        }
        self.packet.fill(COMPONENT, &unit.data)?;
        let raw = self.packet.raw_mut();
        (raw.pts, raw.dts) = (unit.pts.0, unit.pts.0);
        let sent = self.context.send_packet(Some(&mut self.packet));
        let received = self.receive(out);
        if sent < 0 && !is_pause(sent) {
            return Err(av_error(COMPONENT, "decoding", sent));
        }
        received
    }

    /// Appends what is still held. Nothing may be decoded afterwards.
    pub fn drain(&mut self, out: &mut Vec<Sound>) -> Result<(), CodecError> {
        if self.draining {
            return Ok(());
        }
        self.draining = true;
        self.context.send_packet(None);
        self.receive(out)
    }

    fn receive(&mut self, out: &mut Vec<Sound>) -> Result<(), CodecError> {
        loop {
            let mut frame = AvFrame::new(COMPONENT)?;
            match self.context.receive_frame(&mut frame) {
                0 if frame.raw().best_effort_timestamp == ffi::AV_NOPTS_VALUE || frame.raw().nb_samples <= 0 => {}
                0 => out.push(Sound { frame }),
                code if is_pause(code) => return Ok(()),
                code => return Err(av_error(COMPONENT, "decoding", code)),
            }
        }
    }
}
