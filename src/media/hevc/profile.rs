//! profile_tier_level of HEVC (clause 7.3.3) and the codec string made of it.

use std::fmt::Write;

use crate::media::bits::Fields;
use crate::media::malformed::Malformed;

/// The general part of profile_tier_level, the same twelve bytes in VPS, SPS and hvcC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileTierLevel {
    /// general_profile_space: 0, or 1 to 3 for spaces yet to come.
    pub profile_space: u8,
    /// general_tier_flag: High tier and not Main tier.
    pub high_tier: bool,
    /// general_profile_idc: 1 Main, 2 Main 10 ...
    pub profile: u8,
    /// general_profile_compatibility_flags, flag 0 in the highest bit.
    pub compatibility: u32,
    /// The 48 bits of constraint flags.
    pub constraints: [u8; 6],
    /// general_level_idc: thirty times the level.
    pub level: u8,
}

impl ProfileTierLevel {
    /// Reads the general part.
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<ProfileTierLevel, Malformed> {
        let profile_space = fields.byte(2, "general_profile_space")?;
        let high_tier = fields.flag("general_tier_flag")?;
        let profile = fields.byte(5, "general_profile_idc")?;
        let compatibility = fields.bits(32, "general_profile_compatibility_flags")?;
        let mut constraints = [0; 6];
        for byte in &mut constraints {
            *byte = fields.byte(8, "general_constraint_indicator_flags")?;
        }
        let level = fields.byte(8, "general_level_idc")?;
        Ok(ProfileTierLevel { profile_space, high_tier, profile, compatibility, constraints, level })
    }

    /// The general part as it stands in hvcC.
    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[0] = (self.profile_space & 3) << 6 | u8::from(self.high_tier) << 5 | (self.profile & 31);
        bytes[1..5].copy_from_slice(&self.compatibility.to_be_bytes());
        bytes[5..11].copy_from_slice(&self.constraints);
        bytes[11] = self.level;
        bytes
    }

    /// Codec string, `hvc1.1.6.L120.90` (ISO/IEC 14496-15 annex E.3): profile, compatibility flags with the first flag
    /// in the lowest bit, tier and level, and the constraint bytes without trailing zero bytes.
    pub fn codec_string(&self) -> String {
        let space = match self.profile_space {
            1 => "A",
            2 => "B",
            3 => "C",
            _ => "",
        };
        let tier = if self.high_tier { 'H' } else { 'L' };
        let mut text = format!("hvc1.{space}{}.{:X}.{tier}{}", self.profile, self.compatibility.reverse_bits(), self.level);
        let said = self.constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for byte in self.constraints.iter().take(said) {
            let _ = write!(text, ".{byte:X}");
        }
        text
    }
}

/// Reads profile_tier_level as it stands in VPS and SPS, the parts of sub-layers passed over.
pub(super) fn with_sub_layers(fields: &mut Fields<'_>, sub_layers: u8) -> Result<ProfileTierLevel, Malformed> {
    let general = ProfileTierLevel::read(fields)?;
    let mut present = [(false, false); 8];
    let upper = usize::from(sub_layers.saturating_sub(1));
    for entry in present.iter_mut().take(upper) {
        *entry = (fields.flag("sub_layer_profile_present_flag")?, fields.flag("sub_layer_level_present_flag")?);
    }
    if upper > 0 {
        fields.skip(2 * (8usize.saturating_sub(upper)), "reserved_zero_2bits")?;
    }
    for (profile, level) in present {
        fields.skip(if profile { 88 } else { 0 }, "sub_layer_profile")?;
        fields.skip(if level { 8 } else { 0 }, "sub_layer_level_idc")?;
    }
    Ok(general)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_strings_are_those_of_the_annex() {
        // The examples of ISO/IEC 14496-15 annex E.3.
        let main = ProfileTierLevel {
            profile_space: 0,
            high_tier: false,
            profile: 1,
            compatibility: 0x6000_0000,
            constraints: [0xb0, 0, 0, 0, 0, 0],
            level: 93,
        };
        assert_eq!(main.codec_string(), "hvc1.1.6.L93.B0");
        let high = ProfileTierLevel {
            profile_space: 1,
            high_tier: true,
            profile: 4,
            compatibility: 0x0800_0000,
            constraints: [0x90, 0, 8, 0, 0, 0],
            level: 120,
        };
        assert_eq!(high.codec_string(), "hvc1.A4.10.H120.90.0.8");
        let bare = ProfileTierLevel { constraints: [0; 6], ..main };
        assert_eq!(bare.codec_string(), "hvc1.1.6.L93");
    }
}
