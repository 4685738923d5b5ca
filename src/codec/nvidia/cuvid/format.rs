//! What the parser says of a coded sequence, in types of ours.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::addr_of;

use nvidia_video_codec_sdk::sys::nvcuvid::CUVIDEOFORMAT;

use super::COMPONENT;
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::frame::Color;

/// `cudaVideoChromaFormat_420`.
const CHROMA_420: c_int = 1;
/// Largest side of a picture that is taken on: a header that lies must not claim gigabytes.
const MAX_SIDE: u32 = 16_384;

/// The pictures of a coded sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamFormat {
    /// Width and height of coded pictures in pixels.
    pub coded: (u32, u32),
    /// What of them is shown: left, top, width and height, all even.
    pub shown: (u32, u32, u32, u32),
    /// Bits of a sample: 8, or 10 in the high end of 16.
    pub bits: u8,
    /// Surfaces that decoding needs at least.
    pub surfaces: u32,
    /// Width of a pixel over its height, 1.0 where unknown.
    pub pixel_aspect: f64,
    /// How samples are meant.
    pub color: Color,
    /// Every picture is a whole frame.
    pub progressive: bool,
}

impl StreamFormat {
    /// Reads what the parser says. `Unsupported` for anything but 4:2:0 of 8 to 10 bits.
    ///
    /// # Safety
    /// `raw` points to a format that the parser filled in.
    pub(super) unsafe fn read(raw: *const CUVIDEOFORMAT) -> Result<StreamFormat, CodecError> {
        // SAFETY: as the caller promises; the chroma format is read as the int that it is, since it may be any number.
        let (chroma, luma_bits, chroma_bits, surfaces, coded) = unsafe {
            (
                addr_of!((*raw).chroma_format).cast::<c_int>().read(),
                (*raw).bit_depth_luma_minus8,
                (*raw).bit_depth_chroma_minus8,
                (*raw).min_num_decode_surfaces,
                ((*raw).coded_width, (*raw).coded_height),
            )
        };
        // SAFETY: as the caller promises; plain integers.
        let (area, aspect, progressive, matrix, full_range) = unsafe {
            let (area, aspect) = (addr_of!((*raw).display_area).read(), addr_of!((*raw).display_aspect_ratio).read());
            let signal = addr_of!((*raw).video_signal_description);
            let (matrix, full_range) = ((*signal).matrix_coefficients, (*signal).video_full_range_flag() != 0);
            ((area.left, area.top, area.right, area.bottom), (aspect.x, aspect.y), (*raw).progressive_sequence != 0, matrix, full_range)
        };
        let refused = |why: String| CodecError::new(Fault::Unsupported, COMPONENT, why);
        if chroma != CHROMA_420 {
            return Err(refused(format!("chroma format {chroma} of the source is not 4:2:0")));
        }
        if luma_bits > 2 || chroma_bits > 2 {
            return Err(refused(format!("samples of {} bits", u32::from(luma_bits.max(chroma_bits)) + 8)));
        }
        if coded.0 == 0 || coded.1 == 0 || coded.0.max(coded.1) > MAX_SIDE {
            return Err(refused(format!("coded pictures of {}x{}", coded.0, coded.1)));
        }
        let shown = shown_of(coded, area);
        Ok(StreamFormat {
            coded,
            shown,
            bits: if luma_bits.max(chroma_bits) > 0 { 10 } else { 8 },
            surfaces: surfaces.into(),
            pixel_aspect: pixel_aspect_of((shown.2, shown.3), aspect),
            color: Color::described(matrix, full_range, shown.3),
            progressive,
        })
    }
}

/// The shown rectangle within the coded picture, on whole chroma samples; all of the picture where it makes no sense.
fn shown_of((width, height): (u32, u32), (left, top, right, bottom): (c_int, c_int, c_int, c_int)) -> (u32, u32, u32, u32) {
    let side = |from: c_int, to: c_int, limit: u32| {
        let (from, to) = (u32::try_from(from).ok()? & !1, u32::try_from(to).ok()?);
        let length = to.min(limit).checked_sub(from)?;
        (length >= 2).then_some((from, length & !1))
    };
    match (side(left, right, width), side(top, bottom, height)) {
        (Some((x, width)), Some((y, height))) => (x, y, width, height),
        _ => (0, 0, width & !1, height & !1),
    }
}

/// From the aspect of the whole picture, which is rounded to small numbers: pixels that are nearly square are square.
fn pixel_aspect_of((width, height): (u32, u32), (x, y): (c_int, c_int)) -> f64 {
    if x <= 0 || y <= 0 || width == 0 {
        return 1.0;
    }
    let aspect = f64::from(x) / f64::from(y) * f64::from(height) / f64::from(width);
    if (aspect - 1.0).abs() < 0.01 { 1.0 } else { aspect.clamp(0.1, 10.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_that_pad_1080_lines_are_not_shown() {
        assert_eq!(shown_of((1920, 1088), (0, 0, 1920, 1080)), (0, 0, 1920, 1080));
        assert_eq!(shown_of((720, 576), (3, 1, 719, 575)), (2, 0, 716, 574));
    }

    #[test]
    fn an_area_that_makes_no_sense_shows_everything() {
        for area in [(0, 0, 0, 0), (-8, 0, 100, 100), (200, 0, 100, 100), (0, 0, c_int::MAX, 1)] {
            assert_eq!(shown_of((640, 368), area), (0, 0, 640, 368), "{area:?}");
        }
        assert_eq!(shown_of((640, 368), (0, 0, c_int::MAX, c_int::MAX)), (0, 0, 640, 368));
    }

    #[test]
    fn anamorphic_pixels_are_wide_and_rounded_square_ones_square() {
        assert!((pixel_aspect_of((720, 576), (16, 9)) - 64.0 / 45.0).abs() < 1e-9);
        assert_eq!(pixel_aspect_of((854, 480), (16, 9)), 1.0);
        assert_eq!(pixel_aspect_of((854, 480), (0, 0)), 1.0);
    }
}
