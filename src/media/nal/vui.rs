//! The part of the video usability information that H.264 (annex E.1.1) and HEVC (annex E.2.1) begin with alike.

use crate::base::Rate;
use crate::media::bits::Fields;
use crate::media::color::Color;
use crate::media::malformed::Malformed;

/// Sample aspect ratios by aspect_ratio_idc from 1 (H.264 table E-1).
const ASPECTS: [(u16, u16); 16] = [
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

/// What the common beginning says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Appearance {
    pub(crate) sample_aspect: Option<(u16, u16)>,
    pub(crate) color: Color,
}

impl Appearance {
    /// Reads aspect ratio, overscan, signal type and chroma location.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Appearance, Malformed> {
        let sample_aspect = sample_aspect(fields)?;
        if fields.flag("overscan_info_present_flag")? {
            fields.skip(1, "overscan_appropriate_flag")?;
        }
        let color = color(fields)?;
        if fields.flag("chroma_loc_info_present_flag")? {
            fields.ue("chroma_sample_loc_type_top_field")?;
            fields.ue("chroma_sample_loc_type_bottom_field")?;
        }
        Ok(Appearance { sample_aspect, color })
    }
}

fn sample_aspect(fields: &mut Fields<'_>) -> Result<Option<(u16, u16)>, Malformed> {
    if !fields.flag("aspect_ratio_info_present_flag")? {
        return Ok(None);
    }
    let index = fields.byte(8, "aspect_ratio_idc")?;
    if index != 255 {
        return Ok(usize::from(index).checked_sub(1).and_then(|index| ASPECTS.get(index)).copied());
    }
    let width = fields.bits(16, "sar_width")? as u16;
    let height = fields.bits(16, "sar_height")? as u16;
    // Zero in either means that the aspect is unspecified.
    Ok((width > 0 && height > 0).then_some((width, height)))
}

fn color(fields: &mut Fields<'_>) -> Result<Color, Malformed> {
    let mut color = Color::default();
    if fields.flag("video_signal_type_present_flag")? {
        fields.skip(3, "video_format")?;
        color.full_range = fields.flag("video_full_range_flag")?;
        if fields.flag("colour_description_present_flag")? {
            color.primaries = fields.byte(8, "colour_primaries")?;
            color.transfer = fields.byte(8, "transfer_characteristics")?;
            color.matrix = fields.byte(8, "matrix_coefficients")?;
        }
    }
    Ok(color)
}

/// `ticks_a_second / ticks_a_picture` in lowest terms; none where either is zero or the fraction does not fit.
pub(crate) fn rate(ticks_a_second: u32, ticks_a_picture: u64) -> Option<Rate> {
    let (mut a, mut b) = (u64::from(ticks_a_second), ticks_a_picture);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let numerator = u32::try_from(u64::from(ticks_a_second).checked_div(a)?).ok()?;
    let denominator = u32::try_from(ticks_a_picture.checked_div(a)?).ok()?;
    (numerator > 0 && denominator > 0).then_some(Rate::new(numerator, denominator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_comes_in_lowest_terms_and_never_with_a_zero() {
        assert_eq!(rate(60_000, 2002), Some(Rate::new(30_000, 1001)));
        assert_eq!(rate(180_000, 7200), Some(Rate::new(25, 1)));
        assert_eq!((rate(0, 2), rate(50, 0), rate(0, 0)), (None, None, None));
        assert_eq!(rate(3, 2 * u64::from(u32::MAX) + 1), None);
    }
}
