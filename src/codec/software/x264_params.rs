//! A rung's settings as x264's parameters.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::MaybeUninit;

use super::av::c_name;
use super::x264_sys as ffi;
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::frame::{Color, Matrix};
use crate::media::{Grid, PRESETS, Rung};

pub(super) const COMPONENT: &str = "x264";

/// Owned parameters, freed with what x264 allocated in them.
pub(super) struct Params(Box<ffi::x264_param_t>);

impl Params {
    /// The parameters of `rung`: its preset, tuning and profile, a VBV, closed GOPs as long as the grid's, no scene cuts, one thread unless told.
    pub(super) fn new(rung: &Rung, grid: &Grid, color: Color, threads: u32) -> Result<Params, CodecError> {
        let mut params = Params::preset(rung)?;
        let raw = &mut *params.0;
        raw.i_width = rung.width as i32;
        raw.i_height = rung.height as i32;
        raw.i_csp = ffi::X264_CSP_I420 as i32;
        raw.vui.i_sar_width = 1;
        raw.vui.i_sar_height = 1;
        set_color(raw, color);
        set_timing(raw, grid);
        raw.i_threads = threads.max(1) as i32;
        raw.i_lookahead_threads = 1;
        raw.i_sync_lookahead = 0;
        raw.b_sliced_threads = 0;
        raw.b_deterministic = 1;
        raw.b_repeat_headers = 0;
        raw.b_annexb = 0;
        raw.b_aud = 0;
        raw.rc.i_rc_method = ffi::X264_RC_ABR as i32;
        set_rate(raw, rung, rung.bitrate_bps);
        set_log(raw);
        params.apply_profile(rung)?;
        Ok(params)
    }

    /// Scales target and VBV to a new target in bit/s.
    pub(super) fn retune(&mut self, rung: &Rung, bitrate_bps: u32) {
        set_rate(&mut self.0, rung, bitrate_bps);
    }

    /// What an encoder settled on, which parameter sets follow from, with the effort of a preset that is so many faster.
    ///
    /// Pinned are all that parameter sets tell: profile, level, references, the structure of B pictures, arithmetic coding, 8x8 transform, weighted prediction, and the offset of chroma's quantiser. x264 moves the latter by itself where an encoder
    /// optimises for the eye; `chroma_moved` is by how much it would do so again.
    pub(super) fn eased(&self, rung: &Rung, faster: u8, chroma_moved: i32) -> Result<Params, CodecError> {
        let quick = Params::preset(&Rung { preset: rung.faster_preset(faster).to_owned(), ..rung.clone() })?;
        let mut eased = self.copy();
        let (raw, quick) = (&mut *eased.0, &*quick.0);
        raw.i_bframe_adaptive = raw.i_bframe_adaptive.min(quick.i_bframe_adaptive);
        raw.b_deblocking_filter &= quick.b_deblocking_filter;
        raw.analyse.inter &= quick.analyse.inter;
        raw.analyse.intra &= quick.analyse.intra;
        raw.analyse.i_me_method = raw.analyse.i_me_method.min(quick.analyse.i_me_method);
        raw.analyse.i_me_range = raw.analyse.i_me_range.min(quick.analyse.i_me_range);
        raw.analyse.i_subpel_refine = raw.analyse.i_subpel_refine.min(quick.analyse.i_subpel_refine);
        raw.analyse.i_trellis = raw.analyse.i_trellis.min(quick.analyse.i_trellis);
        raw.analyse.b_mixed_references &= quick.analyse.b_mixed_references;
        // The flag in the picture parameter set says whether there may be weights, not how they are found.
        raw.analyse.i_weighted_pred = raw.analyse.i_weighted_pred.min(quick.analyse.i_weighted_pred.max(1));
        raw.analyse.i_chroma_qp_offset -= chroma_moved;
        raw.rc.b_mb_tree &= quick.rc.b_mb_tree;
        raw.rc.i_lookahead = raw.rc.i_lookahead.min(quick.rc.i_lookahead);
        raw.rc.i_aq_mode = raw.rc.i_aq_mode.min(quick.rc.i_aq_mode);
        Ok(eased)
    }

    /// Of parameters that x264 settled on: the names of its files of two passes are the encoder's own memory, gone with it, and an encoder
    /// that is opened with these parameters would read them.
    pub(super) fn forget_names(&mut self) {
        let rc = &mut self.0.rc;
        (rc.psz_stat_out, rc.psz_stat_in) = (std::ptr::null_mut(), std::ptr::null_mut());
    }

    /// The same once more, of parameters that x264 settled on.
    pub(super) fn copy(&self) -> Params {
        // SAFETY: plain old data, copied whole. What x264 settled on holds no memory of its own: no zones or matrices are named, files
        // are forgotten with the encoder, and `opaque` is cleared by x264_encoder_parameters. So both copies may be cleaned up.
        Params(Box::new(unsafe { std::ptr::read(&raw const *self.0) }))
    }

    /// The offset of chroma's quantiser.
    pub(super) fn chroma_offset(&self) -> i32 {
        self.0.analyse.i_chroma_qp_offset
    }

    /// How many pictures may overtake another: one with B pictures, two where B pictures are references.
    pub(super) fn reorder_depth(&self) -> usize {
        match (self.0.i_bframe, self.0.i_bframe_pyramid) {
            (..=0, _) => 0,
            (_, 0) => 1,
            _ => 2,
        }
    }

    pub(super) fn as_ptr(&mut self) -> *mut ffi::x264_param_t {
        &mut *self.0
    }

    fn preset(rung: &Rung) -> Result<Params, CodecError> {
        let preset = c_name(COMPONENT, &rung.preset)?;
        let tune = c_name(COMPONENT, &rung.tune)?;
        let tune_pointer = if rung.tune.is_empty() { std::ptr::null() } else { tune.as_ptr() };
        let mut raw = Box::new(MaybeUninit::<ffi::x264_param_t>::zeroed());
        // SAFETY: the call initialises the whole structure; names are C strings that outlive it.
        let code = unsafe { ffi::x264_param_default_preset(raw.as_mut_ptr(), preset.as_ptr(), tune_pointer) };
        // SAFETY: all zeroes is a valid value (integers, floats, null pointers), so it is initialised even if the call failed.
        let params = Params(unsafe { raw.assume_init() });
        if code < 0 {
            let detail = format!(
                "rung {}: x264 has no preset {:?} with tuning {:?}; presets: {}",
                rung.name,
                rung.preset,
                rung.tune,
                PRESETS.join(" ")
            );
            return Err(CodecError::new(Fault::Config, COMPONENT, detail));
        }
        Ok(params)
    }

    fn apply_profile(&mut self, rung: &Rung) -> Result<(), CodecError> {
        let profile = c_name(COMPONENT, &rung.profile)?;
        // SAFETY: initialised parameters and a C string.
        match unsafe { ffi::x264_param_apply_profile(self.as_ptr(), profile.as_ptr()) } {
            code if code < 0 => {
                let detail = format!("rung {}: profile {:?} is not possible; use baseline, main or high", rung.name, rung.profile);
                Err(CodecError::new(Fault::Config, COMPONENT, detail))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Params {
    fn drop(&mut self) {
        // SAFETY: initialised parameters; frees only what x264 allocated in them.
        unsafe { ffi::x264_param_cleanup(self.as_ptr()) };
    }
}

/// Numbers of ISO/IEC 23091-2 for primaries, transfer and matrix.
fn set_color(raw: &mut ffi::x264_param_t, color: Color) {
    let number = match color.matrix {
        Matrix::Bt709 => 1,
        Matrix::Bt601 => 6,
        Matrix::Bt2020 => 9,
    };
    raw.vui.i_colorprim = number;
    raw.vui.i_transfer = if color.matrix == Matrix::Bt2020 { 14 } else { number };
    raw.vui.i_colmatrix = number;
    raw.vui.b_fullrange = i32::from(color.full_range);
}

/// One tick is one slot. Input counts as of variable rate, since slots are left out when the machine cannot keep up.
fn set_timing(raw: &mut ffi::x264_param_t, grid: &Grid) {
    raw.i_fps_num = grid.rate.numerator;
    raw.i_fps_den = grid.rate.denominator;
    raw.i_timebase_num = grid.rate.denominator;
    raw.i_timebase_den = grid.rate.numerator;
    raw.b_vfr_input = 1;
    // Every picture has a picture timing message, which is where its time code goes.
    raw.b_pic_struct = 1;
    // IDRs are forced at grid slots, which are never further apart than this.
    raw.i_keyint_max = i32::try_from(grid.gop_slots).unwrap_or(i32::MAX).min(1 << 30);
    raw.i_keyint_min = raw.i_keyint_max;
    raw.i_scenecut_threshold = 0;
    raw.b_open_gop = 0;
    raw.b_intra_refresh = 0;
}

fn set_rate(raw: &mut ffi::x264_param_t, rung: &Rung, bitrate_bps: u32) {
    let scaled =
        |bits: u32| (u64::from(bits) * u64::from(bitrate_bps) / u64::from(rung.bitrate_bps.max(1)) / 1000).clamp(1, 2_000_000) as i32;
    raw.rc.i_bitrate = scaled(rung.bitrate_bps);
    raw.rc.i_vbv_max_bitrate = scaled(rung.vbv_rate_bps);
    raw.rc.i_vbv_buffer_size = scaled(rung.vbv_size_bits);
}

fn set_log(raw: &mut ffi::x264_param_t) {
    raw.i_log_level = ffi::X264_LOG_WARNING as i32;
    #[cfg(target_arch = "x86_64")]
    {
        raw.pf_log = Some(super::log::on_x264_log);
    }
}

/// The library's version and build number.
pub(super) fn version() -> (String, u32) {
    let text = CStr::from_bytes_until_nul(ffi::X264_POINTVER).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
    (text, ffi::X264_BUILD)
}
