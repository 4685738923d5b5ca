//! Small JPEGs of pictures, by libavcodec.
#![allow(unsafe_code)]

use bytes::Bytes;
use ffmpeg_sys_next as ffi;

use super::av::{AvFrame, AvPacket, CodecContext, av_error};
use super::swscale::{Converter, PLAIN_420, Side, planes_of};
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::fit::Area;
use crate::codec::frame::{Color, Frame, HostPicture, Matrix};
use crate::codec::planar::{Planar, PlanarPool};

const COMPONENT: &str = "jpeg encoder";
/// JFIF knows BT.601 in full range only (ITU-T T.871 clause 7).
const JFIF: Color = Color { matrix: Matrix::Bt601, full_range: true };
/// Quantisers that are tried one after the other, from fine to coarse.
const QUALITIES: [i32; 4] = [4, 8, 16, 31];

/// A JPEG and its size in pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jpeg {
    /// The file.
    pub data: Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Makes a JPEG of a picture, in the shape in which it is shown, at most `max_width` wide and `max_bytes` large. None where it is larger at
/// the lowest quality.
pub fn jpeg(frame: &Frame, max_width: u32, max_bytes: usize) -> Result<Option<Jpeg>, CodecError> {
    let picture = frame.surface.host(COMPONENT)?;
    let small = scaled(picture, frame.color, max_width)?;
    for quality in QUALITIES {
        let data = encoded(&small, quality)?;
        if data.len() <= max_bytes {
            return Ok(Some(Jpeg { data, width: small.width(), height: small.height() }));
        }
    }
    Ok(None)
}

fn scaled(picture: &HostPicture, color: Color, max_width: u32) -> Result<Planar, CodecError> {
    let (side, aspect, planes) = match picture {
        HostPicture::Planar(planar) => {
            (Side { width: planar.width(), height: planar.height(), format: PLAIN_420, color }, 1.0, planes_of(planar))
        }
        HostPicture::Decoded(decoded) => {
            let side = Side { width: decoded.width(), height: decoded.height(), format: decoded.format(), color };
            (side, decoded.pixel_aspect(), decoded.planes())
        }
    };
    let even = |pixels: f64| ((pixels / 2.0).round() as u32 * 2).clamp(2, 4096);
    let shown = f64::from(side.width.max(1)) * aspect;
    let scale = (f64::from(max_width) / shown).min(1.0);
    // A very tall picture is bounded as well.
    let (width, height) = (even(shown * scale), even(f64::from(side.height) * scale).min(even(f64::from(max_width) * 4.0)));
    let mut small = PlanarPool::new(width, height, 0).take();
    Converter::open(side, Side { width, height, format: PLAIN_420, color: JFIF })?.run(
        &planes,
        &mut small,
        Area { x: 0, y: 0, width, height },
    )?;
    Ok(small)
}

fn encoded(picture: &Planar, quality: i32) -> Result<Bytes, CodecError> {
    // SAFETY: looks up a static description.
    let codec = unsafe { ffi::avcodec_find_encoder(ffi::AVCodecID::AV_CODEC_ID_MJPEG) };
    let mut context = CodecContext::new(COMPONENT, codec)?;
    let format = ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P;
    let raw = context.raw_mut();
    (raw.width, raw.height) = (picture.width() as i32, picture.height() as i32);
    raw.pix_fmt = format;
    raw.time_base = ffi::AVRational { num: 1, den: 25 };
    raw.flags |= (ffi::AV_CODEC_FLAG_QSCALE | ffi::AV_CODEC_FLAG_BITEXACT) as i32;
    raw.global_quality = quality * ffi::FF_QP2LAMBDA;
    context.open(codec)?;
    let mut frame = AvFrame::new(COMPONENT)?;
    let raw = frame.raw_mut();
    (raw.width, raw.height, raw.format) = (picture.width() as i32, picture.height() as i32, format as i32);
    raw.quality = quality * ffi::FF_QP2LAMBDA;
    raw.pts = 0;
    // SAFETY: size and format are set; the buffers made belong to the frame.
    let code = unsafe { ffi::av_frame_get_buffer(frame.as_ptr(), 0) };
    if code < 0 {
        return Err(av_error(COMPONENT, "allocating", code));
    }
    for plane in 0..3 {
        let (data, stride) = (frame.raw().data[plane], frame.raw().linesize[plane].max(0) as usize);
        let length = picture.row_length(plane).min(stride);
        let rows = picture.plane(plane).chunks_exact(picture.stride(plane)).take(picture.rows(plane));
        for (y, row) in rows.enumerate() {
            let Some(row) = row.get(..length) else { continue };
            // SAFETY: the frame's plane has as many rows as the picture's, `stride` bytes apart, of which `length` are written.
            unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), data.add(y * stride), length) };
        }
    }
    let sent = context.send_frame(Some(&mut frame));
    if sent < 0 {
        return Err(av_error(COMPONENT, "encoding", sent));
    }
    let mut packet = AvPacket::new(COMPONENT)?;
    match context.receive_packet(&mut packet) {
        0 if !packet.data().is_empty() => Ok(Bytes::copy_from_slice(packet.data())),
        0 => Err(CodecError::new(Fault::Bug, COMPONENT, "an empty picture")),
        code => Err(av_error(COMPONENT, "encoding", code)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::{MediaTime, Ticks};
    use crate::codec::frame::Attached;
    use crate::codec::frame::Surface;

    fn frame(width: u32, height: u32, paint: impl Fn(usize) -> u8) -> Frame {
        let mut picture = PlanarPool::new(width, height, 0).take();
        for plane in 0..3 {
            picture.plane_mut(plane).iter_mut().enumerate().for_each(|(index, sample)| *sample = paint(index));
        }
        Frame {
            pts: MediaTime(0),
            duration: Ticks::ZERO,
            color: Color::assumed(height),
            surface: Surface::Host(HostPicture::Planar(Arc::new(picture))),
            attached: Attached::default(),
        }
    }

    fn noise(index: usize) -> u8 {
        ((index as u32).wrapping_mul(2_654_435_761) >> 21) as u8
    }

    #[test]
    fn a_large_picture_becomes_a_small_jpeg_and_a_small_one_keeps_its_size() {
        for (width, height, expected) in [(1920, 1080, (320, 180)), (64, 48, (64, 48)), (100, 8000, (100, 1280)), (2, 2, (2, 2))] {
            let jpeg = jpeg(&frame(width, height, |_| 120), 320, 64 << 10).unwrap().unwrap();
            assert_eq!((jpeg.width, jpeg.height), expected);
            assert!(jpeg.data.starts_with(&[0xFF, 0xD8, 0xFF]) && jpeg.data.ends_with(&[0xFF, 0xD9]));
        }
    }

    #[test]
    fn quality_gives_way_to_the_bound_and_at_last_the_picture() {
        let noisy = frame(320, 180, noise);
        let fine = jpeg(&noisy, 320, usize::MAX).unwrap().unwrap().data.len();
        let coarse = jpeg(&noisy, 320, fine - 1).unwrap().unwrap().data.len();
        assert!(coarse < fine);
        assert_eq!(jpeg(&noisy, 320, 600).unwrap(), None);
    }
}
