//! The AV1 sequence header (clause 5.5).

use crate::base::Rate;
use crate::media::bits::Fields;
use crate::media::color::Color;
use crate::media::malformed::Malformed;
use crate::media::nal::vui::rate;

const RECORD: &str = "AV1 sequence header";

/// What a sequence header says about its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceHeader {
    /// seq_profile: 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// seq_level_idx of the first operating point: 8 is level 4.0.
    pub level: u8,
    /// seq_tier of the first operating point: High tier and not Main tier.
    pub high_tier: bool,
    /// reduced_still_picture_header: the stream is one picture, and frame headers have no frame type.
    pub reduced_still_picture: bool,
    /// Largest width in samples.
    pub width: u32,
    /// Largest height in samples.
    pub height: u32,
    /// Bits of a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// There is no chroma.
    pub monochrome: bool,
    /// Chroma has half the width.
    pub subsampling_x: bool,
    /// Chroma has half the height.
    pub subsampling_y: bool,
    /// chroma_sample_position: 0 unknown, 1 vertical, 2 colocated.
    pub chroma_sample_position: u8,
    /// How sample values mean colours.
    pub color: Color,
    /// Pictures a second, where timing information says that they are equally far apart.
    pub rate: Option<Rate>,
}

impl SequenceHeader {
    /// Reads the payload of a sequence header unit.
    pub fn parse(payload: &[u8]) -> Result<SequenceHeader, Malformed> {
        let mut fields = Fields::new(RECORD, payload);
        let profile = fields.byte(3, "seq_profile")?;
        if profile > 2 {
            return Err(fields.value("seq_profile", profile.into()));
        }
        fields.skip(1, "still_picture")?;
        let reduced_still_picture = fields.flag("reduced_still_picture_header")?;
        let mut header = SequenceHeader {
            profile,
            level: 0,
            high_tier: false,
            reduced_still_picture,
            width: 0,
            height: 0,
            bit_depth: 8,
            monochrome: false,
            subsampling_x: true,
            subsampling_y: true,
            chroma_sample_position: 0,
            color: Color::default(),
            rate: None,
        };
        if reduced_still_picture {
            header.level = fields.byte(5, "seq_level_idx")?;
        } else {
            header.operating_points(&mut fields)?;
        }
        header.size(&mut fields)?;
        tools(&mut fields, reduced_still_picture)?;
        header.colors(&mut fields)?;
        Ok(header)
    }

    fn operating_points(&mut self, fields: &mut Fields<'_>) -> Result<(), Malformed> {
        let mut delay_bits = None;
        if fields.flag("timing_info_present_flag")? {
            self.rate = timing(fields)?;
            if fields.flag("decoder_model_info_present_flag")? {
                delay_bits = Some(fields.bits(5, "buffer_delay_length_minus_1")? + 1);
                fields.skip(32 + 5 + 5, "decoder_model_info")?;
            }
        }
        let display_delays = fields.flag("initial_display_delay_present_flag")?;
        for point in 0..=fields.bits(5, "operating_points_cnt_minus_1")? {
            fields.skip(12, "operating_point_idc")?;
            let level = fields.byte(5, "seq_level_idx")?;
            let high_tier = level > 7 && fields.flag("seq_tier")?;
            if point == 0 {
                (self.level, self.high_tier) = (level, high_tier);
            }
            if let Some(bits) = delay_bits
                && fields.flag("decoder_model_present_for_this_op")?
            {
                fields.skip(2 * bits as usize + 1, "operating_parameters_info")?;
            }
            if display_delays && fields.flag("initial_display_delay_present_for_this_op")? {
                fields.skip(4, "initial_display_delay_minus_1")?;
            }
        }
        Ok(())
    }

    fn size(&mut self, fields: &mut Fields<'_>) -> Result<(), Malformed> {
        let width_bits = fields.bits(4, "frame_width_bits_minus_1")? + 1;
        let height_bits = fields.bits(4, "frame_height_bits_minus_1")? + 1;
        self.width = fields.bits(width_bits, "max_frame_width_minus_1")? + 1;
        self.height = fields.bits(height_bits, "max_frame_height_minus_1")? + 1;
        if !self.reduced_still_picture && fields.flag("frame_id_numbers_present_flag")? {
            fields.skip(4 + 3, "frame_id_length")?;
        }
        Ok(())
    }

    /// color_config (clause 5.5.2).
    fn colors(&mut self, fields: &mut Fields<'_>) -> Result<(), Malformed> {
        let high_depth = fields.flag("high_bitdepth")?;
        self.bit_depth = match (high_depth, self.profile) {
            (true, 2) if fields.flag("twelve_bit")? => 12,
            (true, _) => 10,
            (false, _) => 8,
        };
        self.monochrome = self.profile != 1 && fields.flag("mono_chrome")?;
        if fields.flag("color_description_present_flag")? {
            self.color.primaries = fields.byte(8, "color_primaries")?;
            self.color.transfer = fields.byte(8, "transfer_characteristics")?;
            self.color.matrix = fields.byte(8, "matrix_coefficients")?;
        }
        let is_srgb = self.color.primaries == 1 && self.color.transfer == 13 && self.color.matrix == 0;
        if !self.monochrome && is_srgb {
            // RGB is full range and 4:4:4 without saying so.
            self.color.full_range = true;
            (self.subsampling_x, self.subsampling_y) = (false, false);
            return Ok(());
        }
        self.color.full_range = fields.flag("color_range")?;
        if self.monochrome {
            return Ok(());
        }
        (self.subsampling_x, self.subsampling_y) = match self.profile {
            0 => (true, true),
            1 => (false, false),
            _ if self.bit_depth == 12 => {
                let across = fields.flag("subsampling_x")?;
                (across, across && fields.flag("subsampling_y")?)
            }
            _ => (true, false),
        };
        if self.subsampling_x && self.subsampling_y {
            self.chroma_sample_position = fields.byte(2, "chroma_sample_position")?;
        }
        Ok(())
    }
}

/// timing_info (clause 5.5.3).
fn timing(fields: &mut Fields<'_>) -> Result<Option<Rate>, Malformed> {
    let ticks = fields.bits(32, "num_units_in_display_tick")?;
    let ticks_a_second = fields.bits(32, "time_scale")?;
    if !fields.flag("equal_picture_interval")? {
        return Ok(None);
    }
    // uvlc() is Exp-Golomb but for codes above 32 bits, which no real stream has.
    let ticks_a_picture = u64::from(fields.ue("num_ticks_per_picture_minus_1")?) + 1;
    Ok(u64::from(ticks).checked_mul(ticks_a_picture).and_then(|ticks| rate(ticks_a_second, ticks)))
}

/// The flags for coding tools between frame size and colour.
fn tools(fields: &mut Fields<'_>, reduced_still_picture: bool) -> Result<(), Malformed> {
    fields.skip(3, "use_128x128_superblock")?;
    if !reduced_still_picture {
        fields.skip(4, "enable_interintra_compound")?;
        let order_hint = fields.flag("enable_order_hint")?;
        fields.skip(if order_hint { 2 } else { 0 }, "enable_jnt_comp")?;
        let choose_content_tools = fields.flag("seq_choose_screen_content_tools")?;
        if (choose_content_tools || fields.flag("seq_force_screen_content_tools")?) && !fields.flag("seq_choose_integer_mv")? {
            fields.skip(1, "seq_force_integer_mv")?;
        }
        fields.skip(if order_hint { 3 } else { 0 }, "order_hint_bits_minus_1")?;
    }
    fields.skip(3, "enable_superres")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::bits::BitWriter;

    // Payloads made with: ffmpeg -f lavfi -i testsrc=s=SIZE:r=RATE -pix_fmt FORMAT -c:v ENCODER.
    /// 1920x1080, yuv420p, libsvtav1.
    const SVT: &[u8] = b"\x00\x00\x00\x42\xab\xbf\xc3\x73\xef\xe4\x01";
    /// 854x480, yuv420p10le, libaom-av1.
    const AOM_10: &[u8] = b"\x00\x00\x00\x24\xc6\xab\xdf\x36\xbe\x50\x10";

    #[test]
    fn headers_of_two_encoders_are_read() {
        let svt = SequenceHeader::parse(SVT).unwrap();
        assert_eq!((svt.profile, svt.level, svt.high_tier, svt.bit_depth), (0, 8, false, 8));
        assert_eq!((svt.width, svt.height, svt.rate), (1920, 1080, None));
        let aom = SequenceHeader::parse(AOM_10).unwrap();
        assert_eq!((aom.width, aom.height, aom.bit_depth, aom.level), (854, 480, 10, 4));
        assert_eq!((aom.monochrome, aom.subsampling_x, aom.subsampling_y), (false, true, true));
    }

    #[test]
    fn timing_and_colour_are_read_where_they_are_said() {
        let mut bits = BitWriter::new();
        // Main profile; 1001 ticks of 30000 a second, one a picture; no decoder model, no display delay; one point, level 9, high tier.
        for (value, count) in [(0, 5), (1, 1), (1001, 32), (30_000, 32), (1, 1), (1, 1), (0, 1), (0, 1), (0, 5), (0, 12), (9, 5), (1, 1)] {
            bits.bits(value, count);
        }
        // 1280x720, no frame ids, no tools, order hint off, screen content tools forced off.
        for (value, count) in [(10, 4), (9, 4), (1279, 11), (719, 10), (0, 1), (0, 3), (0, 4), (0, 1), (0, 1), (0, 1), (0, 3)] {
            bits.bits(value, count);
        }
        // Ten bits, colour, BT.2020 PQ, video range, colocated.
        for (value, count) in [(1, 1), (0, 1), (1, 1), (9, 8), (16, 8), (9, 8), (0, 1), (2, 2)] {
            bits.bits(value, count);
        }
        let header = SequenceHeader::parse(&bits.finish()).unwrap();
        assert_eq!((header.width, header.height, header.rate), (1280, 720, Some(Rate::new(30_000, 1001))));
        assert_eq!((header.level, header.high_tier, header.bit_depth), (9, true, 10));
        assert_eq!((header.color, header.chroma_sample_position), (Color { primaries: 9, transfer: 16, matrix: 9, full_range: false }, 2));
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(header) = SequenceHeader::parse(&data) {
                prop_assert!(header.width > 0 && header.height > 0);
            }
        }

        #[test]
        fn a_cut_header_is_refused(end in 0..SVT.len() - 1) {
            prop_assert!(SequenceHeader::parse(&SVT[..end]).is_err());
        }
    }
}
