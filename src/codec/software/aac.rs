//! AAC-LC encoding by libavcodec.
#![allow(unsafe_code)]

use bytes::Bytes;
use ffmpeg_sys_next as ffi;

use super::av::{AvFrame, AvPacket, CodecContext, av_error, is_pause};
use crate::base::{Fault, MediaTime, Ticks};
use crate::codec::engine::EncoderInfo;
use crate::codec::error::CodecError;
use crate::media::{AudioCodec, AudioRung, AudioTrack, Packet, Track};

const COMPONENT: &str = "aac encoder";

/// Samples in an AAC-LC frame (ISO/IEC 14496-3).
pub const AAC_FRAME_SAMPLES: usize = 1024;

/// Encodes frames that lie on the grid of multiples of 1024 samples since the origin.
#[derive(Debug)]
pub struct AacEncoder {
    context: CodecContext,
    packet: AvPacket,
    info: EncoderInfo,
    rung: u8,
    rate: u32,
}

impl AacEncoder {
    /// Opens an encoder whose packets carry the rung number `rung`.
    pub fn open(rung: u8, settings: &AudioRung) -> Result<AacEncoder, CodecError> {
        // SAFETY: looks up a static description.
        let codec = unsafe { ffi::avcodec_find_encoder(ffi::AVCodecID::AV_CODEC_ID_AAC) };
        let mut context = CodecContext::new(COMPONENT, codec)?;
        let rate = settings.sample_rate;
        let raw = context.raw_mut();
        raw.bit_rate = i64::from(settings.bitrate_bps);
        raw.sample_rate = i32::try_from(rate).unwrap_or(0);
        raw.sample_fmt = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP;
        raw.time_base = ffi::AVRational { num: 1, den: raw.sample_rate.max(1) };
        raw.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32 | ffi::AV_CODEC_FLAG_BITEXACT as i32;
        // SAFETY: writes the layout of a context that is not open yet.
        unsafe { ffi::av_channel_layout_default(&mut raw.ch_layout, i32::from(settings.channels)) };
        context.open(codec).map_err(|cause| {
            let asked = format!("{} channels at {rate} Hz and {} bit/s: {cause}", settings.channels, settings.bitrate_bps);
            CodecError::new(Fault::Config, COMPONENT, asked)
        })?;
        let track = AudioTrack {
            codec: AudioCodec::Aac,
            other: String::new(),
            config: Bytes::copy_from_slice(context.extradata()),
            sample_rate: rate,
            channels: settings.channels,
        };
        let info = EncoderInfo { track: Track::Audio(track), reorder: Ticks::ZERO };
        Ok(AacEncoder { context, packet: AvPacket::new(COMPONENT)?, info, rung, rate })
    }

    /// What comes out.
    pub fn info(&self) -> &EncoderInfo {
        &self.info
    }

    /// Encodes 1024 samples per channel that begin with the sample of index `start`.
    pub fn encode(&mut self, start: i64, channels: &[Vec<f32>], out: &mut Vec<Packet>) -> Result<(), CodecError> {
        let mut frame = self.frame(start)?;
        for (index, channel) in channels.iter().enumerate() {
            let samples = channel.len().min(AAC_FRAME_SAMPLES);
            // SAFETY: the frame has one plane of 1024 floats per channel of the encoder; `index` is checked against that.
            unsafe {
                if index >= self.context.raw().ch_layout.nb_channels as usize {
                    break;
                }
                let plane = (*frame.raw().extended_data.add(index)).cast::<f32>();
                std::ptr::write_bytes(plane, 0, AAC_FRAME_SAMPLES);
                std::ptr::copy_nonoverlapping(channel.as_ptr(), plane, samples);
            }
        }
        let sent = self.context.send_frame(Some(&mut frame));
        if sent < 0 {
            return Err(av_error(COMPONENT, "encoding", sent));
        }
        self.receive(out)
    }

    /// Appends what is still held.
    pub fn drain(&mut self, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        self.context.send_frame(None);
        self.receive(out)
    }

    fn frame(&mut self, start: i64) -> Result<AvFrame, CodecError> {
        let mut frame = AvFrame::new(COMPONENT)?;
        let raw = frame.raw_mut();
        raw.nb_samples = AAC_FRAME_SAMPLES as i32;
        raw.format = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as i32;
        raw.sample_rate = self.context.raw().sample_rate;
        raw.pts = start;
        // SAFETY: copies a layout of an open context and allocates planes for the fields set above.
        let code = unsafe {
            ffi::av_channel_layout_copy(&mut raw.ch_layout, &self.context.raw().ch_layout);
            ffi::av_frame_get_buffer(frame.as_ptr(), 0)
        };
        if code < 0 { Err(av_error(COMPONENT, "allocating", code)) } else { Ok(frame) }
    }

    /// A packet's time from libavcodec has the encoder's delay already taken off: it is when its samples are heard.
    fn receive(&mut self, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        loop {
            match self.context.receive_packet(&mut self.packet) {
                0 => {
                    let pts = MediaTime::from_scale(self.packet.raw().pts, self.rate);
                    out.push(Packet {
                        rung: self.rung,
                        pts,
                        dts: pts,
                        duration: Ticks::from_scale(AAC_FRAME_SAMPLES as i64, self.rate),
                        key: true,
                        data: Bytes::copy_from_slice(self.packet.data()),
                    });
                }
                code if is_pause(code) => return Ok(()),
                code => return Err(av_error(COMPONENT, "encoding", code)),
            }
        }
    }
}
