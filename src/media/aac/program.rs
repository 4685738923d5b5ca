//! program_config_element (ISO/IEC 14496-3 clause 4.4.1.1): channel layouts that no channel configuration names.

use crate::media::bits::{BitWriter, Fields};
use crate::media::malformed::Malformed;

/// A channel element of a program, or a coupling channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Two channels and not one; of a coupling channel, that it is independently switched.
    pub pair: bool,
    /// element_instance_tag.
    pub tag: u8,
}

/// The element as fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramConfig {
    /// element_instance_tag.
    pub tag: u8,
    /// object_type: the audio object type less one.
    pub object_type: u8,
    /// sampling_frequency_index.
    pub rate_index: u8,
    /// Elements in front.
    pub front: Vec<Element>,
    /// Elements at the sides.
    pub side: Vec<Element>,
    /// Elements behind.
    pub back: Vec<Element>,
    /// Tags of low frequency elements.
    pub lfe: Vec<u8>,
    /// Tags of data elements.
    pub data: Vec<u8>,
    /// Coupling channels.
    pub coupling: Vec<Element>,
    /// mono_mixdown_element_number.
    pub mono_mixdown: Option<u8>,
    /// stereo_mixdown_element_number.
    pub stereo_mixdown: Option<u8>,
    /// matrix_mixdown_idx and pseudo_surround_enable, three bits.
    pub matrix_mixdown: Option<u8>,
    /// comment_field_data.
    pub comment: Vec<u8>,
}

impl ProgramConfig {
    /// Output channels, saturating.
    pub fn channels(&self) -> u8 {
        let elements = self.front.iter().chain(&self.side).chain(&self.back);
        let main: usize = elements.map(|element| if element.pair { 2 } else { 1 }).sum();
        u8::try_from(main + self.lfe.len()).unwrap_or(u8::MAX)
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<ProgramConfig, Malformed> {
        let tag = fields.byte(4, "element_instance_tag")?;
        let object_type = fields.byte(2, "object_type")?;
        let rate_index = fields.byte(4, "sampling_frequency_index")?;
        let front = fields.byte(4, "num_front_channel_elements")?;
        let side = fields.byte(4, "num_side_channel_elements")?;
        let back = fields.byte(4, "num_back_channel_elements")?;
        let lfe = fields.byte(2, "num_lfe_channel_elements")?;
        let data = fields.byte(3, "num_assoc_data_elements")?;
        let coupling = fields.byte(4, "num_valid_cc_elements")?;
        let mono_mixdown = optional(fields, 4)?;
        let stereo_mixdown = optional(fields, 4)?;
        let matrix_mixdown = optional(fields, 3)?;
        let front = elements(fields, front)?;
        let side = elements(fields, side)?;
        let back = elements(fields, back)?;
        let lfe = tags(fields, lfe)?;
        let data = tags(fields, data)?;
        let coupling = elements(fields, coupling)?;
        fields.align();
        let length = fields.byte(8, "comment_field_bytes")?;
        let comment = fields.bytes(length.into(), "comment_field_data")?.to_vec();
        Ok(ProgramConfig {
            tag,
            object_type,
            rate_index,
            front,
            side,
            back,
            lfe,
            data,
            coupling,
            mono_mixdown,
            stereo_mixdown,
            matrix_mixdown,
            comment,
        })
    }

    pub(super) fn write(&self, bits: &mut BitWriter) {
        let count = |length: usize, width: u32| (length.min((1 << width) - 1) as u32, width);
        for (value, width) in [
            (self.tag.into(), 4),
            (self.object_type.into(), 2),
            (self.rate_index.into(), 4),
            count(self.front.len(), 4),
            count(self.side.len(), 4),
            count(self.back.len(), 4),
            count(self.lfe.len(), 2),
            count(self.data.len(), 3),
            count(self.coupling.len(), 4),
        ] {
            bits.bits(value, width);
        }
        for (mixdown, width) in [(self.mono_mixdown, 4), (self.stereo_mixdown, 4), (self.matrix_mixdown, 3)] {
            bits.flag(mixdown.is_some());
            bits.bits(mixdown.unwrap_or_default().into(), if mixdown.is_some() { width } else { 0 });
        }
        let mut put_elements = |elements: &[Element]| {
            for element in elements.iter().take(15) {
                bits.flag(element.pair);
                bits.bits(element.tag.into(), 4);
            }
        };
        put_elements(&self.front);
        put_elements(&self.side);
        put_elements(&self.back);
        self.lfe.iter().take(3).chain(self.data.iter().take(7)).for_each(|&tag| bits.bits(tag.into(), 4));
        for element in self.coupling.iter().take(15) {
            bits.flag(element.pair);
            bits.bits(element.tag.into(), 4);
        }
        bits.align();
        let comment = self.comment.iter().take(255);
        bits.bits(comment.len() as u32, 8);
        comment.for_each(|&byte| bits.bits(byte.into(), 8));
    }
}

fn optional(fields: &mut Fields<'_>, width: u32) -> Result<Option<u8>, Malformed> {
    if fields.flag("mixdown_present")? { fields.byte(width, "mixdown").map(Some) } else { Ok(None) }
}

fn elements(fields: &mut Fields<'_>, count: u8) -> Result<Vec<Element>, Malformed> {
    let mut element = || Ok(Element { pair: fields.flag("element_is_cpe")?, tag: fields.byte(4, "element_tag_select")? });
    (0..count).map(|_| element()).collect()
}

fn tags(fields: &mut Fields<'_>, count: u8) -> Result<Vec<u8>, Malformed> {
    (0..count).map(|_| fields.byte(4, "element_tag_select")).collect()
}
