//! Settings as the structures that start and change a session.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use super::error::NvencError;
use super::limits::codec_id;
use super::session::Session;
use crate::base::Rate;
use crate::codec::frame::{Color, Matrix};
use crate::codec::nvidia::encoder_settings::{Passes, Profile, Rates, Settings, Tuning};
use crate::media::VideoCodec;

/// IDRs are forced by flag at grid slots. The encoder's own cadence must be finite where there are B pictures (nvEncodeAPI.h,
/// `frameIntervalP`), so it is one that no forced IDR leaves time for.
const OWN_GOP: u32 = 1 << 20;
/// `NV_ENC_LEVEL_AV1_AUTOSELECT`; for the other codecs it is zero.
const AV1_LEVEL_AUTO: u32 = 24;
/// chroma_format_idc of 4:2:0.
const CHROMA_420: u32 = 1;
/// video_format "unspecified" (H.264 table E-2).
const UNSPECIFIED_FORMAT: sdk::NV_ENC_VUI_VIDEO_FORMAT = sdk::NV_ENC_VUI_VIDEO_FORMAT::NV_ENC_VUI_VIDEO_FORMAT_UNSPECIFIED;

/// What is to be encoded.
#[derive(Clone, Copy, Debug)]
pub struct Video {
    /// The codec.
    pub codec: VideoCodec,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures a second.
    pub rate: Rate,
    /// What parameter sets say of the samples.
    pub color: Color,
}

/// The structures of a started session, kept to change its rates.
pub struct Parameters {
    start: Box<MaybeUninit<sdk::NV_ENC_INITIALIZE_PARAMS>>,
    config: Box<MaybeUninit<sdk::NV_ENC_CONFIG>>,
}

impl Session {
    /// Starts the encoder: the preset's values as the driver has them, and over them what the settings say.
    pub fn start(&self, video: &Video, settings: &Settings, custom_vbv: bool) -> Result<Parameters, NvencError> {
        let initialise = self.functions().initialise.ok_or(NvencError::missing("nvEncInitializeEncoder"))?;
        let codec = codec_id(video.codec).ok_or(NvencError::missing("nvEncInitializeEncoder"))?;
        let mut config = self.preset(codec, settings)?;
        let mut start = Box::new(MaybeUninit::<sdk::NV_ENC_INITIALIZE_PARAMS>::zeroed());
        set_config(config.as_mut_ptr(), video, settings);
        set_rates(config.as_mut_ptr(), settings.rates, custom_vbv);
        // SAFETY: zeroed and filled in as the header wants; `config` stays at its address as long as `start` points to it.
        unsafe {
            let start = start.as_mut_ptr();
            (*start).version = sdk::NV_ENC_INITIALIZE_PARAMS_VER;
            (*start).encodeGUID = codec;
            (*start).presetGUID = preset_id(settings.preset);
            (*start).tuningInfo = tuning(settings.tuning);
            (*start).encodeWidth = video.width;
            (*start).encodeHeight = video.height;
            (*start).darWidth = video.width;
            (*start).darHeight = video.height;
            (*start).frameRateNum = video.rate.numerator;
            (*start).frameRateDen = video.rate.denominator;
            (*start).enablePTD = 1;
            (*start).encodeConfig = config.as_mut_ptr();
        }
        let _current = self.current()?;
        // SAFETY: filled in above.
        let status = unsafe { initialise(self.handle(), start.as_mut_ptr()) };
        self.check("nvEncInitializeEncoder", status).map_err(NvencError::while_opening)?;
        Ok(Parameters { start, config })
    }

    /// Changes target and VBV from the next picture on, with no IDR and no reset.
    pub fn change(&self, parameters: &mut Parameters, rates: Rates, custom_vbv: bool) -> Result<(), NvencError> {
        set_rates(parameters.config.as_mut_ptr(), rates, custom_vbv);
        self.reconfigure(parameters)
    }

    /// Changes the preset, 1 to 7, from the next picture on: the effort of the device's own search. All that has a place in the
    /// configuration, parameter sets with it, stays as it was set at the start. After a refusal everything is as before.
    pub fn change_preset(&self, parameters: &mut Parameters, preset: u8) -> Result<(), NvencError> {
        let start = parameters.start.as_mut_ptr();
        // SAFETY: filled in when the session was started; a GUID is plain old data.
        let before = unsafe { (*start).presetGUID };
        // SAFETY: as above.
        unsafe { (*start).presetGUID = preset_id(preset) };
        let changed = self.reconfigure(parameters);
        if changed.is_err() {
            // SAFETY: as above.
            unsafe { (*parameters.start.as_mut_ptr()).presetGUID = before };
        }
        changed
    }

    fn reconfigure(&self, parameters: &mut Parameters) -> Result<(), NvencError> {
        let reconfigure = self.functions().reconfigure.ok_or(NvencError::missing("nvEncReconfigureEncoder"))?;
        let mut change = MaybeUninit::<sdk::NV_ENC_RECONFIGURE_PARAMS>::zeroed();
        let _current = self.current()?;
        // SAFETY: zeroed and filled in; the copied structure points to `parameters.config`, which outlives the call.
        let status = unsafe {
            let change = change.as_mut_ptr();
            (*change).version = sdk::NV_ENC_RECONFIGURE_PARAMS_VER;
            (&raw mut (*change).reInitEncodeParams).copy_from_nonoverlapping(parameters.start.as_ptr(), 1);
            // The address from the start is of before the box was moved and lent.
            (*change).reInitEncodeParams.encodeConfig = parameters.config.as_mut_ptr();
            reconfigure(self.handle(), change)
        };
        self.check("nvEncReconfigureEncoder", status)
    }

    /// The driver's values of a preset.
    fn preset(&self, codec: sdk::GUID, settings: &Settings) -> Result<Box<MaybeUninit<sdk::NV_ENC_CONFIG>>, NvencError> {
        let ask = self.functions().tuned_preset.ok_or(NvencError::missing("nvEncGetEncodePresetConfigEx"))?;
        let mut preset = Box::new(MaybeUninit::<sdk::NV_ENC_PRESET_CONFIG>::zeroed());
        let mut config = Box::new(MaybeUninit::<sdk::NV_ENC_CONFIG>::zeroed());
        let _current = self.current()?;
        // SAFETY: zeroed, with the versions that the header wants.
        let status = unsafe {
            (*preset.as_mut_ptr()).version = sdk::NV_ENC_PRESET_CONFIG_VER;
            (*preset.as_mut_ptr()).presetCfg.version = sdk::NV_ENC_CONFIG_VER;
            ask(self.handle(), codec, preset_id(settings.preset), tuning(settings.tuning) as u32, preset.as_mut_ptr())
        };
        self.check("nvEncGetEncodePresetConfigEx", status)?;
        // SAFETY: copied as bytes: it may hold numbers that the SDK's enums do not know.
        unsafe { config.as_mut_ptr().copy_from_nonoverlapping(&raw const (*preset.as_ptr()).presetCfg, 1) };
        Ok(config)
    }
}

fn set_config(config: *mut sdk::NV_ENC_CONFIG, video: &Video, settings: &Settings) {
    // SAFETY: an own structure that was zeroed or filled in by the driver. Only fields are written, through their own places; bit fields lie
    // in structures whose enums are all valid at zero and were set by a driver of this API version.
    unsafe {
        (*config).version = sdk::NV_ENC_CONFIG_VER;
        (*config).profileGUID = profile_id(settings.profile);
        let without_b = settings.b_pictures == 0;
        (*config).gopLength = if without_b { sdk::NVENC_INFINITE_GOPLENGTH } else { OWN_GOP };
        (*config).frameIntervalP = settings.b_pictures as i32 + 1;
        (*config).frameFieldMode = sdk::NV_ENC_PARAMS_FRAME_FIELD_MODE::NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
        let rate = &raw mut (*config).rcParams;
        // Chosen once: rounding of scaled rates must not change it in a running session.
        (*rate).rateControlMode = match settings.rates.most_bps > settings.rates.average_bps {
            true => sdk::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_VBR,
            false => sdk::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR,
        };
        (*rate).multiPass = passes(settings.passes);
        (*rate).lookaheadDepth = settings.look_ahead as u16;
        (*rate).set_enableLookahead(u32::from(settings.look_ahead > 0));
        // The cadence of IDRs is the grid's: no I pictures at scene cuts.
        (*rate).set_disableIadapt(1);
        (*rate).set_disableBadapt(0);
        (*rate).set_enableAQ(settings.spatial_aq.into());
        (*rate).set_enableTemporalAQ(settings.temporal_aq.into());
        // It may switch look-ahead off.
        (*rate).set_zeroReorderDelay((settings.delay() == 0).into());
        let own_idrs = (*config).gopLength;
        let codec = &raw mut (*config).encodeCodecConfig;
        match video.codec {
            VideoCodec::Hevc => set_hevc(&raw mut (*codec).hevcConfig, video, settings, own_idrs),
            VideoCodec::Av1 => set_av1(&raw mut (*codec).av1Config, video, settings, own_idrs),
            _ => set_h264(&raw mut (*codec).h264Config, video, settings, own_idrs),
        }
    }
}

fn set_rates(config: *mut sdk::NV_ENC_CONFIG, rates: Rates, custom_vbv: bool) {
    // SAFETY: an own structure; plain numbers are written.
    unsafe {
        let rate = &raw mut (*config).rcParams;
        (*rate).averageBitRate = rates.average_bps;
        (*rate).maxBitRate = rates.most_bps;
        // Zero asks for the driver's own size.
        (*rate).vbvBufferSize = if custom_vbv { rates.vbv_bits } else { 0 };
        (*rate).vbvInitialDelay = if custom_vbv { rates.vbv_initial_bits } else { 0 };
    }
}

// SAFETY: the caller gives a structure of its own that is initialised.
unsafe fn set_h264(config: *mut sdk::NV_ENC_CONFIG_H264, video: &Video, settings: &Settings, own_idrs: u32) {
    use sdk::NV_ENC_H264_ENTROPY_CODING_MODE as Entropy;
    // SAFETY: the caller's structure; see `set_config`.
    unsafe {
        (*config).level = 0;
        (*config).idrPeriod = own_idrs;
        (*config).chromaFormatIDC = CHROMA_420;
        (*config).sliceMode = 3;
        (*config).sliceModeData = 1;
        (*config).entropyCodingMode = match settings.cabac {
            true => Entropy::NV_ENC_H264_ENTROPY_CODING_MODE_CABAC,
            false => Entropy::NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC,
        };
        (*config).useBFramesAsRef = b_reference(settings);
        (*config).set_outputAUD(0);
        (*config).set_disableSPSPPS(1);
        (*config).set_repeatSPSPPS(0);
        // Slots are left out when the machine cannot keep up: the rate is not fixed.
        (*config).set_enableVFR(1);
        // Every picture has a picture timing message, which is where its time code goes. A buffering period would put HRD parameters into
        // the SPS and delays into that message.
        (*config).set_outputPictureTimingSEI(1);
        (*config).set_outputBufferingPeriodSEI(0);
        (*config).set_enableFillerDataInsertion(0);
        set_vui(&raw mut (*config).h264VUIParameters, video);
    }
}

// SAFETY: the caller gives a structure of its own that is initialised.
unsafe fn set_hevc(config: *mut sdk::NV_ENC_CONFIG_HEVC, video: &Video, settings: &Settings, own_idrs: u32) {
    // SAFETY: the caller's structure; see `set_config`.
    unsafe {
        (*config).level = 0;
        (*config).tier = 0;
        (*config).idrPeriod = own_idrs;
        (*config).sliceMode = 3;
        (*config).sliceModeData = 1;
        (*config).useBFramesAsRef = b_reference(settings);
        (*config).set_chromaFormatIDC(CHROMA_420);
        (*config).set_pixelBitDepthMinus8(extra_bits(settings));
        (*config).set_outputAUD(0);
        (*config).set_disableSPSPPS(1);
        (*config).set_repeatSPSPPS(0);
        (*config).set_outputPictureTimingSEI(0);
        (*config).set_outputBufferingPeriodSEI(0);
        (*config).set_enableFillerDataInsertion(0);
        set_vui(&raw mut (*config).hevcVUIParameters, video);
    }
}

// SAFETY: the caller gives a structure of its own that is initialised.
unsafe fn set_av1(config: *mut sdk::NV_ENC_CONFIG_AV1, video: &Video, settings: &Settings, own_idrs: u32) {
    let (primaries, transfer, matrix) = color(video.color);
    // SAFETY: the caller's structure; see `set_config`.
    unsafe {
        (*config).level = AV1_LEVEL_AUTO;
        (*config).tier = 0;
        (*config).idrPeriod = own_idrs;
        (*config).useBFramesAsRef = b_reference(settings);
        (*config).set_chromaFormatIDC(CHROMA_420);
        (*config).set_inputPixelBitDepthMinus8(extra_bits(settings));
        (*config).set_pixelBitDepthMinus8(extra_bits(settings));
        (*config).set_outputAnnexBFormat(0);
        // A sync sample carries its sequence header (AV1-ISOBMFF clause 2.4).
        (*config).set_disableSeqHdr(0);
        (*config).set_repeatSeqHdr(1);
        (*config).set_enableBitstreamPadding(0);
        (*config).colorPrimaries = primaries;
        (*config).transferCharacteristics = transfer;
        (*config).matrixCoefficients = matrix;
        (*config).colorRange = video.color.full_range.into();
    }
}

// SAFETY: the caller gives a structure of its own that is initialised.
unsafe fn set_vui(vui: *mut sdk::NV_ENC_CONFIG_H264_VUI_PARAMETERS, video: &Video) {
    let (primaries, transfer, matrix) = color(video.color);
    // SAFETY: the caller's structure; see `set_config`.
    unsafe {
        (*vui).videoSignalTypePresentFlag = 1;
        (*vui).videoFormat = UNSPECIFIED_FORMAT;
        (*vui).videoFullRangeFlag = video.color.full_range.into();
        (*vui).colourDescriptionPresentFlag = 1;
        (*vui).colourPrimaries = primaries;
        (*vui).transferCharacteristics = transfer;
        (*vui).colourMatrix = matrix;
        // Without it a decoder must assume the deepest reordering of the level, and shows late.
        (*vui).bitstreamRestrictionFlag = 1;
    }
}

type ColorNumbers = (sdk::NV_ENC_VUI_COLOR_PRIMARIES, sdk::NV_ENC_VUI_TRANSFER_CHARACTERISTIC, sdk::NV_ENC_VUI_MATRIX_COEFFS);

/// Numbers of ISO/IEC 23091-2, the ones that the software encoder writes.
fn color(color: Color) -> ColorNumbers {
    use sdk::NV_ENC_VUI_COLOR_PRIMARIES as Primaries;
    use sdk::NV_ENC_VUI_MATRIX_COEFFS as Coefficients;
    use sdk::NV_ENC_VUI_TRANSFER_CHARACTERISTIC as Transfer;
    match color.matrix {
        Matrix::Bt709 => (
            Primaries::NV_ENC_VUI_COLOR_PRIMARIES_BT709,
            Transfer::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT709,
            Coefficients::NV_ENC_VUI_MATRIX_COEFFS_BT709,
        ),
        Matrix::Bt601 => (
            Primaries::NV_ENC_VUI_COLOR_PRIMARIES_SMPTE170M,
            Transfer::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_SMPTE170M,
            Coefficients::NV_ENC_VUI_MATRIX_COEFFS_SMPTE170M,
        ),
        Matrix::Bt2020 => (
            Primaries::NV_ENC_VUI_COLOR_PRIMARIES_BT2020,
            Transfer::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT2020_10,
            Coefficients::NV_ENC_VUI_MATRIX_COEFFS_BT2020_NCL,
        ),
    }
}

fn extra_bits(settings: &Settings) -> u32 {
    if settings.ten_bit { 2 } else { 0 }
}

fn b_reference(settings: &Settings) -> sdk::NV_ENC_BFRAME_REF_MODE {
    match settings.b_reference {
        true => sdk::NV_ENC_BFRAME_REF_MODE::NV_ENC_BFRAME_REF_MODE_MIDDLE,
        false => sdk::NV_ENC_BFRAME_REF_MODE::NV_ENC_BFRAME_REF_MODE_DISABLED,
    }
}

fn passes(passes: Passes) -> sdk::NV_ENC_MULTI_PASS {
    match passes {
        Passes::One => sdk::NV_ENC_MULTI_PASS::NV_ENC_MULTI_PASS_DISABLED,
        Passes::QuarterSize => sdk::NV_ENC_MULTI_PASS::NV_ENC_TWO_PASS_QUARTER_RESOLUTION,
        Passes::FullSize => sdk::NV_ENC_MULTI_PASS::NV_ENC_TWO_PASS_FULL_RESOLUTION,
    }
}

fn tuning(tuning: Tuning) -> sdk::NV_ENC_TUNING_INFO {
    match tuning {
        Tuning::Quality => sdk::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_HIGH_QUALITY,
        Tuning::LowLatency => sdk::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_LOW_LATENCY,
        Tuning::UltraLowLatency => sdk::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY,
    }
}

fn preset_id(preset: u8) -> sdk::GUID {
    match preset {
        ..=1 => sdk::NV_ENC_PRESET_P1_GUID,
        2 => sdk::NV_ENC_PRESET_P2_GUID,
        3 => sdk::NV_ENC_PRESET_P3_GUID,
        4 => sdk::NV_ENC_PRESET_P4_GUID,
        5 => sdk::NV_ENC_PRESET_P5_GUID,
        6 => sdk::NV_ENC_PRESET_P6_GUID,
        7.. => sdk::NV_ENC_PRESET_P7_GUID,
    }
}

fn profile_id(profile: Profile) -> sdk::GUID {
    match profile {
        Profile::Baseline => sdk::NV_ENC_H264_PROFILE_BASELINE_GUID,
        Profile::AvcMain => sdk::NV_ENC_H264_PROFILE_MAIN_GUID,
        Profile::High => sdk::NV_ENC_H264_PROFILE_HIGH_GUID,
        Profile::HevcMain => sdk::NV_ENC_HEVC_PROFILE_MAIN_GUID,
        Profile::HevcMain10 => sdk::NV_ENC_HEVC_PROFILE_MAIN10_GUID,
        Profile::Av1Main => sdk::NV_ENC_AV1_PROFILE_MAIN_GUID,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Rung;

    fn settings(profile: &str, tune: &str) -> Settings {
        let rung = Rung { profile: profile.into(), tune: tune.into(), ..rung() };
        Settings::of(&rung, true, false).unwrap()
    }

    /// A rung whose largest rate is a bit above its target.
    fn rung() -> Rung {
        Rung { vbv_rate_bps: 1_000_001, ..Rung::new("360p", 640, 360, 1_000_000, "veryfast") }
    }

    fn configured(settings: &Settings) -> Box<MaybeUninit<sdk::NV_ENC_CONFIG>> {
        let mut config = Box::new(MaybeUninit::zeroed());
        let video = Video { codec: VideoCodec::H264, width: 640, height: 360, rate: Rate::new(25, 1), color: Color::assumed(360) };
        set_config(config.as_mut_ptr(), &video, settings);
        set_rates(config.as_mut_ptr(), settings.rates, true);
        config
    }

    #[test]
    fn reordering_is_waived_only_where_no_picture_waits() {
        let waived = |profile, tune| {
            let config = configured(&settings(profile, tune));
            // SAFETY: zeroed and filled in; zero is a value of each of its enums.
            unsafe { (*config.as_ptr()).rcParams.zeroReorderDelay() == 1 }
        };
        assert!(waived("high", "zerolatency"));
        assert!(!waived("high", ""), "there are B pictures");
        assert!(!waived("baseline", ""), "there is look-ahead without B pictures");
    }

    #[test]
    fn a_new_target_never_changes_the_mode() {
        let mut config = configured(&settings("high", ""));
        let rates = Rates::of(&rung(), 1_000);
        assert_eq!(rates.most_bps, rates.average_bps, "rounding brings them together");
        set_rates(config.as_mut_ptr(), rates, true);
        // SAFETY: as above.
        let (mode, average_bps) = unsafe { ((*config.as_ptr()).rcParams.rateControlMode, (*config.as_ptr()).rcParams.averageBitRate) };
        assert_eq!((mode as u32, average_bps), (sdk::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_VBR as u32, 1_000));
    }
}
