//! A decoder's picture, shared without copying.
#![allow(unsafe_code)]

use bytes::Bytes;
use ffmpeg_sys_next as ffi;

use super::av::AvFrame;
use crate::codec::frame::{Attached, Color};

/// A decoded picture in whatever format its decoder makes.
#[derive(Debug)]
pub struct Picture {
    frame: AvFrame,
}

/// Where the planes of a picture lie, for C.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawPlanes {
    pub(super) data: [*const u8; 4],
    pub(super) strides: [i32; 4],
}

impl Picture {
    /// Takes over a frame that a video decoder has filled.
    pub(super) fn new(frame: AvFrame) -> Picture {
        Picture { frame }
    }

    /// Width of the shown picture in pixels.
    pub fn width(&self) -> u32 {
        self.frame.raw().width.max(0) as u32
    }

    /// Height of the shown picture in pixels.
    pub fn height(&self) -> u32 {
        self.frame.raw().height.max(0) as u32
    }

    /// The pixel format, by libavutil's number.
    pub(super) fn format(&self) -> i32 {
        self.frame.raw().format
    }

    /// Whether it is 8-bit planar 4:2:0, rows from top to bottom, which encoders take as it is.
    pub fn is_plain_420(&self) -> bool {
        self.format() == ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as i32 && self.frame.raw().linesize.iter().take(3).all(|stride| *stride > 0)
    }

    /// Whether the picture was coded as two fields.
    pub fn is_interlaced(&self) -> bool {
        self.frame.raw().interlaced_frame != 0
    }

    /// Width of a pixel over its height, 1.0 where unknown.
    pub fn pixel_aspect(&self) -> f64 {
        let aspect = self.frame.raw().sample_aspect_ratio;
        match (aspect.num, aspect.den) {
            (num, den) if num > 0 && den > 0 => (f64::from(num) / f64::from(den)).clamp(0.1, 10.0),
            _ => 1.0,
        }
    }

    /// How its samples are meant, by what it says or else by its height.
    pub fn color(&self) -> Color {
        let raw = self.frame.raw();
        // SAFETY: reads plain integers of a valid frame; not as Rust enums, since a bitstream may hold any number.
        let (space, range) =
            unsafe { (std::ptr::addr_of!(raw.colorspace).cast::<i32>().read(), std::ptr::addr_of!(raw.color_range).cast::<i32>().read()) };
        let full_range = range == ffi::AVColorRange::AVCOL_RANGE_JPEG as i32 || self.is_full_range_format();
        Color::described(u8::try_from(space).unwrap_or(0), full_range, self.height())
    }

    fn is_full_range_format(&self) -> bool {
        use ffi::AVPixelFormat::{AV_PIX_FMT_YUVJ411P, AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUVJ444P};
        [AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUVJ411P]
            .iter()
            .any(|format| *format as i32 == self.format())
    }

    /// Captions and time code that the decoder found.
    pub fn attached(&self) -> Attached {
        let captions = self.frame.side_data(ffi::AVFrameSideDataType::AV_FRAME_DATA_A53_CC).map(Bytes::copy_from_slice).unwrap_or_default();
        // The first word is how many time codes follow.
        let timecode = self.frame.side_data(ffi::AVFrameSideDataType::AV_FRAME_DATA_S12M_TIMECODE).and_then(|words| {
            let count = u32::from_ne_bytes(*words.first_chunk()?);
            let first = words.get(4..8)?;
            (count > 0).then(|| u32::from_ne_bytes([first[0], first[1], first[2], first[3]]))
        });
        Attached { captions, timecode }
    }

    /// Pointers that stay valid while the picture lives.
    pub(super) fn planes(&self) -> RawPlanes {
        let raw = self.frame.raw();
        let mut planes = RawPlanes { data: [std::ptr::null(); 4], strides: [0; 4] };
        for plane in 0..4 {
            planes.data[plane] = raw.data[plane];
            planes.strides[plane] = raw.linesize[plane];
        }
        planes
    }
}
