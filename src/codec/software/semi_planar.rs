//! Pictures of any format as NV12 or P010 in memory of somebody else's: the form in which devices take them.

use ffmpeg_sys_next as ffi;

use super::swscale::{Converter, PLAIN_420, Side, planes_of};
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::frame::{Color, HostPicture};

const COMPONENT: &str = "upload";
/// Largest side in pixels.
const MAX_SIDE: u32 = 16_384;
/// Vector code writes rows in pieces of so many bytes, beyond their end.
const PIECE: usize = 64;

/// Where samples lie: rows of luma, then half as many rows of interleaved chroma, all `pitch` bytes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemiPlanarLayout {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// P010 instead of NV12.
    pub ten_bit: bool,
    /// Bytes from row to row.
    pub pitch: usize,
}

impl SemiPlanarLayout {
    /// For this picture; none where it has no or too large a size.
    pub fn of(picture: &HostPicture, ten_bit: bool) -> Option<SemiPlanarLayout> {
        let (width, height) = side(picture)?;
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return None;
        }
        // Of an odd row libswscale leaves P010's last chroma sample out: what is odd is scaled by a pixel.
        let (width, height) = ((width & !1).max(2), (height & !1).max(2));
        let row = width as usize * if ten_bit { 2 } else { 1 };
        Some(SemiPlanarLayout { width, height, ten_bit, pitch: row.next_multiple_of(PIECE) + PIECE })
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        self.pitch * (self.height as usize + (self.height as usize).div_ceil(2))
    }
}

fn side(picture: &HostPicture) -> Option<(u32, u32)> {
    match picture {
        HostPicture::Planar(planar) => Some((planar.width(), planar.height())),
        HostPicture::Decoded(decoded) => Some((decoded.width(), decoded.height())),
    }
}

/// Converts pictures one after the other.
#[derive(Debug, Default)]
pub struct SemiPlanar {
    open: Option<(Side, Side, Converter)>,
}

impl SemiPlanar {
    /// Writes a picture whose samples are meant as `from` says into `out`, in `layout` and as `to` says.
    pub fn convert(
        &mut self,
        picture: &HostPicture,
        from: Color,
        to: Color,
        layout: &SemiPlanarLayout,
        out: &mut [u8],
    ) -> Result<(), CodecError> {
        let Some((luma, chroma)) =
            out.get_mut(..layout.bytes()).and_then(|out| out.split_at_mut_checked(layout.pitch * layout.height as usize))
        else {
            return Err(CodecError::new(Fault::Bug, COMPONENT, "too little memory for a picture"));
        };
        let of_this = SemiPlanarLayout::of(picture, layout.ten_bit);
        let Some((from_width, from_height)) = side(picture).filter(|_| of_this.as_ref() == Some(layout)) else {
            return Err(CodecError::new(Fault::Bug, COMPONENT, "a picture of another size"));
        };
        let (format, planes) = match picture {
            HostPicture::Planar(planar) => (PLAIN_420, planes_of(planar)),
            HostPicture::Decoded(decoded) => (decoded.format(), decoded.planes()),
        };
        let format_out = if layout.ten_bit { ffi::AVPixelFormat::AV_PIX_FMT_P010LE } else { ffi::AVPixelFormat::AV_PIX_FMT_NV12 };
        let (width, height) = (layout.width, layout.height);
        let source = Side { width: from_width, height: from_height, format, color: from };
        let target = Side { width, height, format: format_out as i32, color: to };
        let converter = match &mut self.open {
            Some((known, wished, converter)) if (*known, *wished) == (source, target) => converter,
            other => &mut other.insert((source, target, Converter::open(source, target)?)).2,
        };
        converter.run_semi_planar(&planes, luma, chroma, layout.pitch, height)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::planar::PlanarPool;

    #[test]
    fn chroma_is_interleaved_and_rows_keep_their_pitch_whatever_the_size() {
        let color = Color::assumed(720);
        for (width, height) in [(64, 36), (101, 77), (2, 2), (1, 1)] {
            for ten_bit in [false, true] {
                let mut planar = PlanarPool::new(width, height, 0).take();
                planar.fill([60, 90, 170]);
                let picture = HostPicture::Planar(Arc::new(planar));
                let layout = SemiPlanarLayout::of(&picture, ten_bit).unwrap();
                let mut out = vec![7; layout.bytes()];
                SemiPlanar::default().convert(&picture, color, color, &layout, &mut out).unwrap();
                let sample = |at: usize| if ten_bit { (u16::from_le_bytes([out[at * 2], out[at * 2 + 1]]) >> 8) as u8 } else { out[at] };
                let pitch = layout.pitch / if ten_bit { 2 } else { 1 };
                let (width, height) = (layout.width as usize, layout.height as usize);
                for (y, x) in [(0, 0), (height - 1, width - 1)] {
                    assert_eq!(sample(y * pitch + x), 60, "{width}x{height} {ten_bit}");
                    let chroma = (height + y / 2) * pitch + x / 2 * 2;
                    assert_eq!((sample(chroma), sample(chroma + 1)), (90, 170), "{width}x{height} {ten_bit}");
                }
            }
        }
    }
}
