//! The H.264 sequence parameter set (clause 7.3.2.1.1, annex E).

use crate::base::Rate;
use crate::media::bits::{Fields, unescaped};
use crate::media::color::Color;
use crate::media::malformed::Malformed;
use crate::media::nal::vui::{Appearance, rate};

const RECORD: &str = "H.264 SPS";
/// What a visual sample entry can say of a width or height (ISO/IEC 14496-12 clause 12.1.3).
const MAX_SIDE: u32 = 65_535;

/// What a sequence parameter set says about its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// profile_idc: 66 Baseline, 77 Main, 100 High ...
    pub profile: u8,
    /// The constraint_set flags and reserved bits, as in avcC and in codec strings.
    pub compatibility: u8,
    /// level_idc: ten times the level.
    pub level: u8,
    /// chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits of a luma sample.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample.
    pub bit_depth_chroma: u8,
    /// Width after cropping, in samples.
    pub width: u32,
    /// Height after cropping, in samples of the frame, both fields where there are fields.
    pub height: u32,
    /// Every picture is a whole frame (frame_mbs_only_flag), so nothing is interlaced.
    pub progressive: bool,
    /// Shape of a sample, width to height, where the stream says.
    pub sample_aspect: Option<(u16, u16)>,
    /// How sample values mean colours.
    pub color: Color,
    /// Frames a second as the timing information has it. Encoders of variable rate write numbers that no picture keeps to.
    pub rate: Option<Rate>,
    /// fixed_frame_rate_flag: pictures keep to `rate`.
    pub fixed_rate: bool,
    /// max_num_reorder_frames, where the stream says: how many pictures can come before another in decode order and after it in output order.
    pub max_num_reorder: Option<u32>,
    /// How picture timing messages of the stream are laid out.
    pub timing: TimingLayout,
}

/// The layout of picture timing messages (clause D.1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimingLayout {
    /// Bits of cpb_removal_delay and dpb_output_delay together; none without HRD parameters.
    pub delay_bits: u32,
    /// pic_struct_present_flag: there is pic_struct, and there may be clock timestamps.
    pub has_pic_struct: bool,
}

impl Sps {
    /// Reads an SPS NAL unit, header byte included, emulation prevention bytes as they are.
    pub fn parse(nal: &[u8]) -> Result<Sps, Malformed> {
        let plain = unescaped(nal);
        let mut fields = Fields::new(RECORD, &plain);
        let header = fields.byte(8, "nal_unit_header")?;
        if header & 0x1f != super::SPS {
            return Err(fields.value("nal_unit_type", (header & 0x1f).into()));
        }
        let mut sps = Sps::head(&mut fields)?;
        order_count(&mut fields)?;
        fields.ue("max_num_ref_frames")?;
        fields.skip(1, "gaps_in_frame_num_value_allowed_flag")?;
        sps.size(&mut fields)?;
        if fields.flag("vui_parameters_present_flag")? {
            // Encoders cut or garble this part at times, and the pictures decode all the same: what was read holds.
            let _ = sps.usability(&mut fields);
        }
        Ok(sps)
    }

    fn head(fields: &mut Fields<'_>) -> Result<Sps, Malformed> {
        let profile = fields.byte(8, "profile_idc")?;
        let compatibility = fields.byte(8, "constraint_set_flags")?;
        let level = fields.byte(8, "level_idc")?;
        fields.ue_max(31, "seq_parameter_set_id")?;
        let mut sps = Sps {
            profile,
            compatibility,
            level,
            chroma_format: 1,
            bit_depth_luma: 8,
            bit_depth_chroma: 8,
            width: 0,
            height: 0,
            progressive: true,
            sample_aspect: None,
            color: Color::default(),
            rate: None,
            fixed_rate: false,
            max_num_reorder: None,
            timing: TimingLayout::default(),
        };
        if has_chroma_fields(profile) {
            sps.chroma(fields)?;
        }
        fields.ue_max(12, "log2_max_frame_num_minus4")?;
        Ok(sps)
    }

    fn chroma(&mut self, fields: &mut Fields<'_>) -> Result<(), Malformed> {
        self.chroma_format = fields.ue_max(3, "chroma_format_idc")? as u8;
        if self.chroma_format == 3 {
            fields.skip(1, "separate_colour_plane_flag")?;
        }
        self.bit_depth_luma = 8 + fields.ue_max(6, "bit_depth_luma_minus8")? as u8;
        self.bit_depth_chroma = 8 + fields.ue_max(6, "bit_depth_chroma_minus8")? as u8;
        fields.skip(1, "qpprime_y_zero_transform_bypass_flag")?;
        if fields.flag("seq_scaling_matrix_present_flag")? {
            let lists = if self.chroma_format == 3 { 12 } else { 8 };
            for list in 0..lists {
                if fields.flag("seq_scaling_list_present_flag")? {
                    scaling_list(fields, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(())
    }

    fn size(&mut self, fields: &mut Fields<'_>) -> Result<(), Malformed> {
        let width = (fields.ue_max(MAX_SIDE / 16, "pic_width_in_mbs_minus1")? + 1) * 16;
        let map_units = fields.ue_max(MAX_SIDE / 16, "pic_height_in_map_units_minus1")? + 1;
        self.progressive = fields.flag("frame_mbs_only_flag")?;
        let fields_a_frame = if self.progressive { 1 } else { 2 };
        let height = map_units * 16 * fields_a_frame;
        if !self.progressive {
            fields.skip(1, "mb_adaptive_frame_field_flag")?;
        }
        fields.skip(1, "direct_8x8_inference_flag")?;
        let (mut across, mut down) = (0, 0);
        if fields.flag("frame_cropping_flag")? {
            let (unit_x, unit_y) = match self.chroma_format {
                1 => (2, 2 * fields_a_frame),
                2 => (2, fields_a_frame),
                _ => (1, fields_a_frame),
            };
            let mut offset = |field| fields.ue_max(MAX_SIDE, field);
            across = (offset("frame_crop_left_offset")? + offset("frame_crop_right_offset")?) * unit_x;
            down = (offset("frame_crop_top_offset")? + offset("frame_crop_bottom_offset")?) * unit_y;
        }
        self.width = width.checked_sub(across).filter(|width| (1..=MAX_SIDE).contains(width)).ok_or(fields.value("width", width.into()))?;
        self.height =
            height.checked_sub(down).filter(|height| (1..=MAX_SIDE).contains(height)).ok_or(fields.value("height", height.into()))?;
        Ok(())
    }

    fn usability(&mut self, fields: &mut Fields<'_>) -> Result<(), Malformed> {
        let appearance = Appearance::read(fields)?;
        self.sample_aspect = appearance.sample_aspect;
        self.color = appearance.color;
        if fields.flag("timing_info_present_flag")? {
            let ticks_a_field = fields.bits(32, "num_units_in_tick")?;
            let ticks_a_second = fields.bits(32, "time_scale")?;
            self.rate = rate(ticks_a_second, 2 * u64::from(ticks_a_field));
            self.fixed_rate = fields.flag("fixed_frame_rate_flag")?;
        }
        let nal_hrd = fields.flag("nal_hrd_parameters_present_flag")?;
        if nal_hrd {
            self.timing = reference_decoder(fields)?;
        }
        let vcl_hrd = fields.flag("vcl_hrd_parameters_present_flag")?;
        if vcl_hrd {
            self.timing = reference_decoder(fields)?;
        }
        if nal_hrd || vcl_hrd {
            fields.skip(1, "low_delay_hrd_flag")?;
        }
        self.timing.has_pic_struct = fields.flag("pic_struct_present_flag")?;
        if fields.flag("bitstream_restriction_flag")? {
            fields.skip(1, "motion_vectors_over_pic_boundaries_flag")?;
            for field in
                ["max_bytes_per_pic_denom", "max_bits_per_mb_denom", "log2_max_mv_length_horizontal", "log2_max_mv_length_vertical"]
            {
                fields.ue(field)?;
            }
            self.max_num_reorder = Some(fields.ue_max(16, "max_num_reorder_frames")?);
        }
        Ok(())
    }
}

/// Profiles whose SPS carries chroma format and bit depths (clause 7.3.2.1.1).
fn has_chroma_fields(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

fn scaling_list(fields: &mut Fields<'_>, entries: usize) -> Result<(), Malformed> {
    let mut last = 8i32;
    for _ in 0..entries {
        let delta = fields.se("delta_scale")?;
        last = last.wrapping_add(delta) & 0xff;
        if last == 0 {
            // The rest repeats the entry before and is not coded.
            return Ok(());
        }
    }
    Ok(())
}

fn order_count(fields: &mut Fields<'_>) -> Result<(), Malformed> {
    match fields.ue_max(2, "pic_order_cnt_type")? {
        0 => fields.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4").map(drop),
        1 => {
            fields.skip(1, "delta_pic_order_always_zero_flag")?;
            fields.se("offset_for_non_ref_pic")?;
            fields.se("offset_for_top_to_bottom_field")?;
            for _ in 0..fields.ue_max(255, "num_ref_frames_in_pic_order_cnt_cycle")? {
                fields.se("offset_for_ref_frame")?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// hrd_parameters (annex E.1.2), of which the lengths of fields elsewhere are kept.
fn reference_decoder(fields: &mut Fields<'_>) -> Result<TimingLayout, Malformed> {
    let buffers = fields.ue_max(31, "cpb_cnt_minus1")? + 1;
    fields.skip(8, "bit_rate_scale")?;
    for _ in 0..buffers {
        fields.ue("bit_rate_value_minus1")?;
        fields.ue("cpb_size_value_minus1")?;
        fields.skip(1, "cbr_flag")?;
    }
    fields.skip(5, "initial_cpb_removal_delay_length_minus1")?;
    let removal_bits = fields.bits(5, "cpb_removal_delay_length_minus1")? + 1;
    let output_bits = fields.bits(5, "dpb_output_delay_length_minus1")? + 1;
    fields.skip(5, "time_offset_length")?;
    Ok(TimingLayout { delay_bits: removal_bits + output_bits, has_pic_struct: false })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // All made with: ffmpeg -f lavfi -i testsrc=s=SIZE:r=RATE -pix_fmt FORMAT -c:v libx264 -f h264, and the options named.
    /// 1920x1080, 30000/1001, yuv420p.
    const FULL_HD: &[u8] = b"\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58";
    /// 1920x1080, 30000/1001, -preset ultrafast -x264-params colorprim=bt709:transfer=bt709:colormatrix=bt709.
    const BASELINE: &[u8] = b"\x67\x42\xc0\x28\xda\x01\xe0\x08\x9f\x97\x01\x6a\x02\x02\x02\x80\x00\x01\xf4\x80\x00\x75\x30\x07\x8c\x19\x50";
    /// 854x480, 25, -aspect 16:9 -x264-params nal-hrd=vbr:vbv-maxrate=1000:vbv-bufsize=1000.
    const HRD: &[u8] = b"\x67\x64\x00\x1e\xac\xd9\x00\xd8\x3d\xe6\xff\xf0\x50\x00\x50\x11\x00\x00\x03\x00\x01\x00\x00\x03\x00\x32\x60\x40\x00\xf4\x24\x00\x1e\x84\xa4\x63\x00\x78\xb1\x6c\xb0";
    /// 720x576, 25, -flags +ildct+ilme -aspect 16:9.
    const INTERLACED: &[u8] =
        b"\x67\x64\x00\x1e\xac\xd9\x40\xb4\x24\xdf\xf8\x02\x00\x01\x68\x80\x00\x00\x03\x00\x80\x00\x00\x19\x0f\x8a\x14\xcb";
    /// 720x576, 25, yuv444p10le.
    const HIGH_444: &[u8] = b"\x67\xf4\x00\x1e\x90\xd9\xb2\x81\x68\x24\xd8\x08\x80\x00\x00\x03\x00\x80\x00\x00\x19\x07\x8b\x16\xcb";

    #[test]
    fn full_hd_is_1080_lines_and_not_1088() {
        let sps = Sps::parse(FULL_HD).unwrap();
        assert_eq!((sps.profile, sps.compatibility, sps.level), (100, 0, 40));
        assert_eq!((sps.width, sps.height, sps.progressive), (1920, 1080, true));
        assert_eq!((sps.rate, sps.max_num_reorder), (Some(Rate::new(30_000, 1001)), Some(2)));
        assert_eq!(sps.color, Color::default());
    }

    #[test]
    fn baseline_names_its_colour_and_never_reorders() {
        let sps = Sps::parse(BASELINE).unwrap();
        assert_eq!((sps.profile, sps.compatibility, sps.width, sps.height), (66, 0xc0, 1920, 1080));
        assert_eq!(sps.color, Color { primaries: 1, transfer: 1, matrix: 1, full_range: false });
        assert_eq!(sps.max_num_reorder, Some(0));
    }

    #[test]
    fn what_stands_behind_the_reference_decoder_is_reached() {
        let sps = Sps::parse(HRD).unwrap();
        assert_eq!((sps.width, sps.height, sps.rate), (854, 480, Some(Rate::new(25, 1))));
        assert_eq!((sps.sample_aspect, sps.fixed_rate), (Some((1280, 1281)), false));
        assert_eq!(sps.max_num_reorder, Some(2));
    }

    #[test]
    fn an_interlaced_picture_counts_both_fields() {
        let sps = Sps::parse(INTERLACED).unwrap();
        assert_eq!((sps.width, sps.height, sps.progressive), (720, 576, false));
        assert_eq!((sps.sample_aspect, sps.rate), (Some((64, 45)), Some(Rate::new(25, 1))));
    }

    #[test]
    fn ten_bits_in_full_chroma_are_read() {
        let sps = Sps::parse(HIGH_444).unwrap();
        assert_eq!((sps.profile, sps.chroma_format, sps.bit_depth_luma, sps.bit_depth_chroma), (244, 3, 10, 10));
        assert_eq!((sps.width, sps.height, sps.rate), (720, 576, Some(Rate::new(25, 1))));
    }

    #[test]
    fn a_scaling_list_that_stops_early_does_not_shift_the_fields_after_it() {
        // A first delta of -8 (000010001) makes the next entry 0, which ends the list; then sixteen deltas of 0; then a mark.
        let data = [0b0000_1000, 0b1111_1111, 0b1111_1111, 0b1010_0110];
        let mut fields = Fields::new("test", &data);
        scaling_list(&mut fields, 16).unwrap();
        scaling_list(&mut fields, 16).unwrap();
        assert_eq!(fields.bits(7, "mark").unwrap(), 0b010_0110);
    }

    #[test]
    fn a_cut_set_is_refused_until_its_size_is_known() {
        for end in 0..12 {
            assert!(Sps::parse(&FULL_HD[..end]).is_err(), "{end} bytes");
        }
        let cut = Sps::parse(&FULL_HD[..16]).unwrap();
        assert_eq!((cut.width, cut.height, cut.rate), (1920, 1080, None));
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(mut data in prop::collection::vec(any::<u8>(), 1..80), profile in prop::sample::select(vec![66u8, 100, 244])) {
            data[0] = 0x67;
            data.insert(1, profile);
            if let Ok(sps) = Sps::parse(&data) {
                prop_assert!(sps.width > 0 && sps.height > 0);
            }
        }

        #[test]
        fn a_flipped_bit_is_no_danger(bit in 0..HRD.len() * 8) {
            let mut data = HRD.to_vec();
            data[bit / 8] ^= 1 << (bit % 8);
            let _ = Sps::parse(&data);
        }
    }
}
