//! The HEVC sequence parameter set (clause 7.3.2.2, annex E) and the timing of the video parameter set (clause 7.3.2.1).

use super::profile::{ProfileTierLevel, with_sub_layers};
use crate::base::Rate;
use crate::media::bits::{Fields, unescaped};
use crate::media::color::Color;
use crate::media::malformed::Malformed;
use crate::media::nal::vui::{Appearance, rate};

const RECORD: &str = "HEVC SPS";
/// What a visual sample entry can say of a width or height (ISO/IEC 14496-12 clause 12.1.3).
const MAX_SIDE: u32 = 65_535;

/// What a sequence parameter set says about its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// Temporal sub-layers, 1 to 7.
    pub sub_layers: u8,
    /// sps_temporal_id_nesting_flag: switching up to a higher sub-layer works at every picture.
    pub temporal_nesting: bool,
    /// chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits of a luma sample.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample.
    pub bit_depth_chroma: u8,
    /// Width inside the conformance window, in samples.
    pub width: u32,
    /// Height inside the conformance window, in samples.
    pub height: u32,
    /// sps_max_num_reorder_pics of the highest sub-layer.
    pub max_num_reorder: u32,
    /// Shape of a sample, width to height, where the stream says.
    pub sample_aspect: Option<(u16, u16)>,
    /// How sample values mean colours.
    pub color: Color,
    /// Pictures a second as the timing information of the VUI has it; some streams have it in the VPS ([`vps_rate`]).
    pub rate: Option<Rate>,
}

impl Sps {
    /// Reads an SPS NAL unit of the base layer, header included, emulation prevention bytes as they are.
    pub fn parse(nal: &[u8]) -> Result<Sps, Malformed> {
        let plain = unescaped(nal);
        let mut fields = Fields::new(RECORD, &plain);
        let header = fields.bits(16, "nal_unit_header")?;
        if super::nal_type(nal) != Some(super::SPS) {
            return Err(fields.value("nal_unit_header", header.into()));
        }
        let mut sps = Sps::head(&mut fields)?;
        // The rest is long and seldom wanted; a stream whose rest is garbled decodes all the same where decoders are lenient.
        let _ = sps.rest(&mut fields);
        Ok(sps)
    }

    fn head(fields: &mut Fields<'_>) -> Result<Sps, Malformed> {
        fields.skip(4, "sps_video_parameter_set_id")?;
        let sub_layers = fields.byte(3, "sps_max_sub_layers_minus1")? + 1;
        if sub_layers > 7 {
            return Err(fields.value("sps_max_sub_layers_minus1", 7));
        }
        let temporal_nesting = fields.flag("sps_temporal_id_nesting_flag")?;
        let profile = with_sub_layers(fields, sub_layers)?;
        fields.ue_max(15, "sps_seq_parameter_set_id")?;
        let chroma_format = fields.ue_max(3, "chroma_format_idc")? as u8;
        if chroma_format == 3 {
            fields.skip(1, "separate_colour_plane_flag")?;
        }
        let (width, height) = size(fields, chroma_format)?;
        let bit_depth_luma = 8 + fields.ue_max(8, "bit_depth_luma_minus8")? as u8;
        let bit_depth_chroma = 8 + fields.ue_max(8, "bit_depth_chroma_minus8")? as u8;
        Ok(Sps {
            profile,
            sub_layers,
            temporal_nesting,
            chroma_format,
            bit_depth_luma,
            bit_depth_chroma,
            width,
            height,
            max_num_reorder: 0,
            sample_aspect: None,
            color: Color::default(),
            rate: None,
        })
    }

    fn rest(&mut self, fields: &mut Fields<'_>) -> Result<(), Malformed> {
        let order_bits = 4 + fields.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4")?;
        let all = fields.flag("sps_sub_layer_ordering_info_present_flag")?;
        for _ in 0..if all { self.sub_layers } else { 1 } {
            fields.ue("sps_max_dec_pic_buffering_minus1")?;
            self.max_num_reorder = fields.ue_max(16, "sps_max_num_reorder_pics")?;
            fields.ue("sps_max_latency_increase_plus1")?;
        }
        for _ in 0..6 {
            fields.ue("log2_block_sizes")?;
        }
        if fields.flag("scaling_list_enabled_flag")? && fields.flag("sps_scaling_list_data_present_flag")? {
            scaling_lists(fields)?;
        }
        fields.skip(2, "amp_enabled_flag")?;
        if fields.flag("pcm_enabled_flag")? {
            fields.skip(8, "pcm_sample_bit_depth")?;
            fields.ue("log2_min_pcm_luma_coding_block_size_minus3")?;
            fields.ue("log2_diff_max_min_pcm_luma_coding_block_size")?;
            fields.skip(1, "pcm_loop_filter_disabled_flag")?;
        }
        reference_sets(fields)?;
        if fields.flag("long_term_ref_pics_present_flag")? {
            let count = fields.ue_max(32, "num_long_term_ref_pics_sps")?;
            fields.skip((count * (order_bits + 1)) as usize, "lt_ref_pic_poc_lsb_sps")?;
        }
        fields.skip(2, "sps_temporal_mvp_enabled_flag")?;
        if fields.flag("vui_parameters_present_flag")? {
            self.usability(fields)?;
        }
        Ok(())
    }

    fn usability(&mut self, fields: &mut Fields<'_>) -> Result<(), Malformed> {
        let appearance = Appearance::read(fields)?;
        self.sample_aspect = appearance.sample_aspect;
        self.color = appearance.color;
        fields.skip(3, "neutral_chroma_indication_flag")?;
        if fields.flag("default_display_window_flag")? {
            for _ in 0..4 {
                fields.ue("def_disp_win_offset")?;
            }
        }
        if fields.flag("vui_timing_info_present_flag")? {
            self.rate = timing(fields)?;
        }
        Ok(())
    }
}

fn size(fields: &mut Fields<'_>, chroma_format: u8) -> Result<(u32, u32), Malformed> {
    let width = fields.ue_max(MAX_SIDE, "pic_width_in_luma_samples")?;
    let height = fields.ue_max(MAX_SIDE, "pic_height_in_luma_samples")?;
    let (mut across, mut down) = (0, 0);
    if fields.flag("conformance_window_flag")? {
        let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma_format == 1 { 2 } else { 1 };
        let mut offset = |field| fields.ue_max(MAX_SIDE, field);
        across = (offset("conf_win_left_offset")? + offset("conf_win_right_offset")?) * unit_x;
        down = (offset("conf_win_top_offset")? + offset("conf_win_bottom_offset")?) * unit_y;
    }
    let shown = |side: u32, cut: u32| side.checked_sub(cut).filter(|&side| side > 0);
    let width = shown(width, across).ok_or(fields.value("width", width.into()))?;
    let height = shown(height, down).ok_or(fields.value("height", height.into()))?;
    Ok((width, height))
}

/// num_units_in_tick and time_scale; a tick is a picture here, not a field as in H.264.
fn timing(fields: &mut Fields<'_>) -> Result<Option<Rate>, Malformed> {
    let ticks_a_picture = fields.bits(32, "num_units_in_tick")?;
    let ticks_a_second = fields.bits(32, "time_scale")?;
    Ok(rate(ticks_a_second, ticks_a_picture.into()))
}

/// scaling_list_data (clause 7.3.4).
fn scaling_lists(fields: &mut Fields<'_>) -> Result<(), Malformed> {
    for size in 0..4u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !fields.flag("scaling_list_pred_mode_flag")? {
                fields.ue("scaling_list_pred_matrix_id_delta")?;
                continue;
            }
            if size > 1 {
                fields.se("scaling_list_dc_coef_minus8")?;
            }
            for _ in 0..64.min(1 << (4 + 2 * size)) {
                fields.se("scaling_list_delta_coef")?;
            }
        }
    }
    Ok(())
}

/// The short-term reference picture sets (clause 7.3.7). One may be coded against the one before, whose size it needs.
fn reference_sets(fields: &mut Fields<'_>) -> Result<(), Malformed> {
    let sets = fields.ue_max(64, "num_short_term_ref_pic_sets")?;
    let mut pictures = 0;
    for set in 0..sets {
        let predicted = set > 0 && fields.flag("inter_ref_pic_set_prediction_flag")?;
        pictures = if predicted { predicted_set(fields, pictures)? } else { listed_set(fields)? };
    }
    Ok(())
}

fn predicted_set(fields: &mut Fields<'_>, pictures_before: u32) -> Result<u32, Malformed> {
    fields.skip(1, "delta_rps_sign")?;
    fields.ue("abs_delta_rps_minus1")?;
    let mut pictures = 0;
    for _ in 0..=pictures_before {
        // used_by_curr_pic_flag, and where it is not set use_delta_flag, whose absence means set.
        if fields.flag("used_by_curr_pic_flag")? || fields.flag("use_delta_flag")? {
            pictures += 1;
        }
    }
    if pictures > 16 { Err(fields.value("NumDeltaPocs", pictures.into())) } else { Ok(pictures) }
}

fn listed_set(fields: &mut Fields<'_>) -> Result<u32, Malformed> {
    let negative = fields.ue_max(16, "num_negative_pics")?;
    let positive = fields.ue_max(16 - negative, "num_positive_pics")?;
    for _ in 0..negative + positive {
        fields.ue("delta_poc_minus1")?;
        fields.skip(1, "used_by_curr_pic_flag")?;
    }
    Ok(negative + positive)
}

/// Pictures a second by the timing information of a VPS NAL unit, where it has any.
pub fn vps_rate(nal: &[u8]) -> Option<Rate> {
    if super::nal_type(nal) != Some(super::VPS) {
        return None;
    }
    let plain = unescaped(nal);
    timing_of_vps(&mut Fields::new("HEVC VPS", &plain)).ok().flatten()
}

fn timing_of_vps(fields: &mut Fields<'_>) -> Result<Option<Rate>, Malformed> {
    fields.skip(16 + 4 + 2 + 6, "vps_video_parameter_set_id")?;
    let sub_layers = fields.byte(3, "vps_max_sub_layers_minus1")? + 1;
    fields.skip(1 + 16, "vps_temporal_id_nesting_flag")?;
    with_sub_layers(fields, sub_layers)?;
    let all = fields.flag("vps_sub_layer_ordering_info_present_flag")?;
    for _ in 0..if all { sub_layers } else { 1 } {
        fields.ue("vps_max_dec_pic_buffering_minus1")?;
        fields.ue("vps_max_num_reorder_pics")?;
        fields.ue("vps_max_latency_increase_plus1")?;
    }
    let layers = fields.bits(6, "vps_max_layer_id")? + 1;
    let layer_sets = fields.ue_max(1023, "vps_num_layer_sets_minus1")?;
    fields.skip((layers * layer_sets) as usize, "layer_id_included_flag")?;
    if fields.flag("vps_timing_info_present_flag")? { timing(fields) } else { Ok(None) }
}

#[cfg(test)]
mod tests;
