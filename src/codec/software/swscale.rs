//! One conversion of size, format and colour by libswscale.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use ffmpeg_sys_next as ffi;

use super::picture::RawPlanes;
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::fit::Area;
use crate::codec::frame::{Color, Matrix};
use crate::codec::planar::Planar;

const COMPONENT: &str = "scaler";

/// Size, format and colour on one side of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: i32,
    pub(super) color: Color,
}

/// Plain 8-bit 4:2:0.
pub(super) const PLAIN_420: i32 = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as i32;

/// An open conversion.
#[derive(Debug)]
pub(super) struct Converter {
    raw: NonNull<ffi::SwsContext>,
    source_height: i32,
}

impl Converter {
    /// Lanczos: down a cascade it keeps what bicubic loses (3 VMAF at 360p from 1080p) at the same cost.
    pub(super) fn open(from: Side, to: Side) -> Result<Converter, CodecError> {
        // SAFETY: no arguments; null is handled.
        let raw = NonNull::new(unsafe { ffi::sws_alloc_context() })
            .ok_or_else(|| CodecError::new(Fault::Transient, COMPONENT, "out of memory"))?;
        let converter = Converter { raw, source_height: from.height as i32 };
        let flags = i64::from(ffi::SWS_LANCZOS);
        let options = [
            (c"srcw", i64::from(from.width)),
            (c"srch", i64::from(from.height)),
            (c"src_format", i64::from(from.format)),
            (c"src_range", i64::from(from.color.full_range)),
            (c"dstw", i64::from(to.width)),
            (c"dsth", i64::from(to.height)),
            (c"dst_format", i64::from(to.format)),
            (c"dst_range", i64::from(to.color.full_range)),
            (c"sws_flags", flags),
        ];
        for (name, value) in options {
            // SAFETY: the context is valid; names are C strings; numbers are checked by libavutil against the option's range.
            let code = unsafe { ffi::av_opt_set_int(converter.raw.as_ptr().cast(), name.as_ptr(), value, 0) };
            if code < 0 {
                return Err(converter.refused(from, to, code));
            }
        }
        converter.set_colors(from.color, to.color);
        // SAFETY: every option is set; no filters are given.
        match unsafe { ffi::sws_init_context(converter.raw.as_ptr(), std::ptr::null_mut(), std::ptr::null_mut()) } {
            code if code < 0 => Err(converter.refused(from, to, code)),
            _ => Ok(converter),
        }
    }

    /// Scales a whole picture into `area` of `target`.
    pub(super) fn run(&mut self, source: &RawPlanes, target: &mut Planar, area: Area) -> Result<(), CodecError> {
        if area.x + area.width > target.width() || area.y + area.height > target.height() {
            return Err(CodecError::new(Fault::Bug, COMPONENT, format!("{area:?} does not lie in {}x{}", target.width(), target.height())));
        }
        let mut planes = [std::ptr::null_mut::<u8>(); 4];
        let mut strides = [0i32; 4];
        for plane in 0..3 {
            let shift = u32::from(plane > 0);
            let stride = target.stride(plane);
            let offset = (area.y >> shift) as usize * stride + (area.x >> shift) as usize;
            planes[plane] = target.plane_mut(plane).get_mut(offset..).map_or(std::ptr::null_mut(), <[u8]>::as_mut_ptr);
            strides[plane] = stride as i32;
        }
        // SAFETY: the area lies within the target, whose rows are padded beyond what vector code overshoots.
        unsafe { self.scale(source, &planes, &strides, area.height) }
    }

    /// Converts a whole picture into rows of luma and rows of interleaved chroma, `pitch` bytes apart, which leaves room behind each row.
    pub(super) fn run_semi_planar(
        &mut self,
        source: &RawPlanes,
        luma: &mut [u8],
        chroma: &mut [u8],
        pitch: usize,
        height: u32,
    ) -> Result<(), CodecError> {
        let (rows, chroma_rows) = (height as usize, (height as usize).div_ceil(2));
        if luma.len() < rows * pitch || chroma.len() < chroma_rows * pitch {
            return Err(CodecError::new(Fault::Bug, COMPONENT, "too few rows for a picture"));
        }
        let none = std::ptr::null_mut();
        // SAFETY: both planes have all rows of the pitch, as was checked.
        unsafe { self.scale(source, &[luma.as_mut_ptr(), chroma.as_mut_ptr(), none, none], &[pitch as i32, pitch as i32, 0, 0], height) }
    }

    /// # Safety
    /// The target's planes have the size and format that this was opened for, with room behind each row.
    unsafe fn scale(&mut self, source: &RawPlanes, planes: &[*mut u8; 4], strides: &[i32; 4], height: u32) -> Result<(), CodecError> {
        // SAFETY: the source planes have the size and format the context was opened for and outlive the call; the target's as the
        // caller promises.
        let rows = unsafe {
            ffi::sws_scale(
                self.raw.as_ptr(),
                source.data.as_ptr(),
                source.strides.as_ptr(),
                0,
                self.source_height,
                planes.as_ptr(),
                strides.as_ptr(),
            )
        };
        if rows == height as i32 {
            Ok(())
        } else {
            Err(CodecError::new(Fault::Corrupt, COMPONENT, format!("made {rows} of {height} rows")))
        }
    }

    fn set_colors(&self, from: Color, to: Color) {
        // SAFETY: the context is valid; coefficient tables are static.
        unsafe {
            ffi::sws_setColorspaceDetails(
                self.raw.as_ptr(),
                ffi::sws_getCoefficients(coefficients(from.matrix)),
                i32::from(from.full_range),
                ffi::sws_getCoefficients(coefficients(to.matrix)),
                i32::from(to.full_range),
                0,
                1 << 16,
                1 << 16,
            );
        }
    }

    fn refused(&self, from: Side, to: Side, code: i32) -> CodecError {
        let what = format!(
            "{}x{} in format {} to {}x{}: {}",
            from.width,
            from.height,
            from.format,
            to.width,
            to.height,
            super::av::error_text(code)
        );
        CodecError::new(Fault::Unsupported, COMPONENT, what)
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { ffi::sws_freeContext(self.raw.as_ptr()) };
    }
}

fn coefficients(matrix: Matrix) -> i32 {
    match matrix {
        Matrix::Bt601 => ffi::SWS_CS_ITU601,
        Matrix::Bt709 => ffi::SWS_CS_ITU709,
        Matrix::Bt2020 => ffi::SWS_CS_BT2020,
    }
}

/// The planes of a pooled picture, for C; valid while it lives.
pub(super) fn planes_of(picture: &Planar) -> RawPlanes {
    let mut planes = RawPlanes { data: [std::ptr::null(); 4], strides: [0; 4] };
    for plane in 0..3 {
        planes.data[plane] = picture.plane(plane).as_ptr();
        planes.strides[plane] = picture.stride(plane) as i32;
    }
    planes
}
