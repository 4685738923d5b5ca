//! A decoded picture: when it is shown, how its colours are meant, and where its samples lie.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Fault, MediaTime, Ticks};

use super::error::CodecError;
use super::nvidia::CudaSurface;
use super::planar::Planar;
use super::software::Picture;

/// Where samples lie. Crossing from one place to another is an explicit call, never a side effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Main memory.
    Host,
    /// Memory of the CUDA device with this ordinal.
    Cuda(u32),
    /// A surface of the VA device with this render node.
    Va(u32),
}

/// Samples in main memory. Cloning shares them.
#[derive(Clone, Debug)]
pub enum HostPicture {
    /// 8-bit 4:2:0 in a pooled buffer of ours.
    Planar(Arc<Planar>),
    /// A decoder's own picture, in any format that libavcodec knows.
    Decoded(Arc<Picture>),
}

impl HostPicture {
    fn is(&self, other: &HostPicture) -> bool {
        match (self, other) {
            (HostPicture::Planar(one), HostPicture::Planar(other)) => Arc::ptr_eq(one, other),
            (HostPicture::Decoded(one), HostPicture::Decoded(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// The samples of a picture. Cloning shares them.
#[derive(Clone, Debug)]
pub enum Surface {
    /// In main memory.
    Host(HostPicture),
    /// In the memory of a CUDA device.
    Cuda(CudaSurface),
}

impl Surface {
    /// Where the samples lie.
    pub fn place(&self) -> Place {
        match self {
            Surface::Host(_) => Place::Host,
            Surface::Cuda(surface) => Place::Cuda(surface.ordinal()),
        }
    }

    /// The samples in main memory, which `component` works on. Pictures of a device come down by an explicit copy only.
    pub fn host(&self, component: &'static str) -> Result<&HostPicture, CodecError> {
        match self {
            Surface::Host(picture) => Ok(picture),
            Surface::Cuda(_) => Err(CodecError::new(Fault::Bug, component, "a picture came in device memory")),
        }
    }

    /// Whether both are the very same samples.
    pub fn is(&self, other: &Surface) -> bool {
        match (self, other) {
            (Surface::Host(one), Surface::Host(other)) => one.is(other),
            (Surface::Cuda(one), Surface::Cuda(other)) => one.is(other),
            _ => false,
        }
    }
}

/// Coefficients between RGB and YCbCr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601: standard definition.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020, non-constant luminance.
    Bt2020,
}

/// How sample values are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color {
    /// The matrix.
    pub matrix: Matrix,
    /// 0..=255 instead of 16..=235.
    pub full_range: bool,
}

impl Color {
    /// What displays assume of a picture of this height that says nothing: BT.709 from 720 lines up, else BT.601; limited range.
    pub fn assumed(height: u32) -> Color {
        Color { matrix: if height >= 720 { Matrix::Bt709 } else { Matrix::Bt601 }, full_range: false }
    }

    /// By MatrixCoefficients of ITU-T H.273, or as assumed of a picture of this height where they say nothing that is known.
    pub fn described(matrix: u8, full_range: bool, height: u32) -> Color {
        // 1 is BT.709; 5, 6 and 7 are BT.601-like; 9 and 10 are BT.2020.
        let matrix = match matrix {
            1 => Matrix::Bt709,
            5..=7 => Matrix::Bt601,
            9 | 10 => Matrix::Bt2020,
            _ => Color::assumed(height).matrix,
        };
        Color { matrix, full_range }
    }
}

/// What travels with a picture besides its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// CEA-708 caption triplets (`cc_data` of ATSC A/53 part 4), empty where there are none.
    pub captions: Bytes,
    /// SMPTE ST 12 time code as libavutil packs it (`AV_FRAME_DATA_S12M_TIMECODE`).
    pub timecode: Option<u32>,
}

/// A picture. Cloning shares the samples.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it is shown.
    pub pts: MediaTime,
    /// How long it is shown; zero where not known.
    pub duration: Ticks,
    /// How its samples are meant.
    pub color: Color,
    /// Its samples.
    pub surface: Surface,
    /// What travels with it.
    pub attached: Attached,
}
