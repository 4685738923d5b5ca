//! A rung's settings, which are x264's words, as NVENC's.
//!
//! | x264 preset | NVENC | B pictures | look-ahead | passes | spatial AQ | temporal AQ |
//! |---|---|---|---|---|---|---|
//! | ultrafast | P1 | 0 | 0 | one | no | no |
//! | superfast | P2 | 3 | 0 | one | yes | no |
//! | veryfast | P3 | 3 | 8 | quarter size | yes | no |
//! | faster, fast | P4 | 3 | 16 | quarter size | yes | yes |
//! | medium | P5 | 3 | 20 | quarter size | yes | yes |
//! | slow, slower | P6 | 3 | 24 | full size | yes | yes |
//! | veryslow, placebo | P7 | 3 | 28 | full size | yes | yes |
//!
//! Tuning `zerolatency` takes B pictures, look-ahead and temporal AQ away and tunes for ultra-low latency; a live rung that has none of
//! them is tuned for low latency, every other for quality. `psnr` turns adaptive quantisation off, `fastdecode` arithmetic coding; tunings
//! by content (`film`, `animation`, `grain`, `stillimage`, `ssim`) change nothing, since NVENC has no counterpart.
//!
//! What a device cannot do is lowered, never refused; profile, size and bit depth are.

use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::media::{Rung, VideoCodec};

use super::nvenc::Limits;

const COMPONENT: &str = "nvenc";

/// What a preset of x264's asks for.
#[derive(Clone, Copy)]
struct Preset {
    name: &'static str,
    /// P1 to P7.
    number: u8,
    b_pictures: u32,
    look_ahead: u32,
    passes: Passes,
    spatial_aq: bool,
    temporal_aq: bool,
}

const fn row(name: &'static str, number: u8, b_pictures: u32, look_ahead: u32, passes: Passes) -> Preset {
    Preset { name, number, b_pictures, look_ahead, passes, spatial_aq: number > 1, temporal_aq: number > 3 }
}

const PRESETS: [Preset; 10] = [
    row("ultrafast", 1, 0, 0, Passes::One),
    row("superfast", 2, 3, 0, Passes::One),
    row("veryfast", 3, 3, 8, Passes::QuarterSize),
    row("faster", 4, 3, 16, Passes::QuarterSize),
    row("fast", 4, 3, 16, Passes::QuarterSize),
    row("medium", 5, 3, 20, Passes::QuarterSize),
    row("slow", 6, 3, 24, Passes::FullSize),
    row("slower", 6, 3, 24, Passes::FullSize),
    row("veryslow", 7, 3, 28, Passes::FullSize),
    row("placebo", 7, 3, 28, Passes::FullSize),
];

const TUNINGS: [&str; 8] = ["film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode", "zerolatency"];

/// NVENC looks ahead over at most so many pictures, B pictures included (nvEncodeAPI.h, `lookaheadDepth`).
const LONGEST_LOOK_AHEAD: u32 = 31;

/// Pictures that a driver may hold back besides those of B pictures and look-ahead: NVIDIA's own encoder class waits for as many.
const HELD_BACK: usize = 3;

/// How often a picture's bits are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// Once.
    One,
    /// First in a quarter of the size.
    QuarterSize,
    /// Twice.
    FullSize,
}

/// What the encoder is to be good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning {
    /// Picture quality.
    Quality,
    /// Quality with one picture in hand.
    LowLatency,
    /// No picture in hand.
    UltraLowLatency,
}

/// Profiles that a rung may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// H.264 Baseline (constrained: there are no interlaced tools).
    Baseline,
    /// H.264 Main.
    AvcMain,
    /// H.264 High.
    High,
    /// HEVC Main.
    HevcMain,
    /// HEVC Main 10.
    HevcMain10,
    /// AV1 Main, of 8 and 10 bits.
    Av1Main,
}

/// Target and VBV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Target in bit/s.
    pub average_bps: u32,
    /// Largest rate in bit/s.
    pub most_bps: u32,
    /// Size of the VBV in bits.
    pub vbv_bits: u32,
    /// What is in the VBV when the first picture is taken out: nine tenths, as x264 has it.
    pub vbv_initial_bits: u32,
}

/// What NVENC is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// P1 (fastest) to P7.
    pub preset: u8,
    /// What to be good at.
    pub tuning: Tuning,
    /// The profile.
    pub profile: Profile,
    /// Samples have 10 bits.
    pub ten_bit: bool,
    /// B pictures in a row.
    pub b_pictures: u32,
    /// The middle one of them is a reference.
    pub b_reference: bool,
    /// Pictures of look-ahead.
    pub look_ahead: u32,
    /// Passes.
    pub passes: Passes,
    /// Bits go where the eye misses them.
    pub spatial_aq: bool,
    /// Bits go to what stays.
    pub temporal_aq: bool,
    /// Context-adaptive arithmetic coding (H.264).
    pub cabac: bool,
    /// Target and VBV.
    pub rates: Rates,
}

impl Settings {
    /// The settings of `rung`, as of a device without limits.
    pub fn of(rung: &Rung, live: bool, ten_bit: bool) -> Result<Settings, CodecError> {
        let Preset { number, b_pictures, look_ahead, passes, spatial_aq, temporal_aq, .. } = preset(rung)?;
        let tunings = tunings(rung)?;
        let tuned = |name| tunings.contains(&name);
        let profile = profile(rung, ten_bit)?;
        let zero_latency = tuned("zerolatency");
        let b_pictures = if zero_latency || profile == Profile::Baseline { 0 } else { b_pictures };
        let look_ahead = if zero_latency { 0 } else { look_ahead };
        let tuning = match (zero_latency, live && b_pictures == 0 && look_ahead == 0) {
            (true, _) => Tuning::UltraLowLatency,
            (false, true) => Tuning::LowLatency,
            (false, false) => Tuning::Quality,
        };
        Ok(Settings {
            preset: number,
            tuning,
            profile,
            ten_bit,
            b_pictures,
            b_reference: b_pictures > 1,
            look_ahead,
            passes,
            spatial_aq: spatial_aq && !tuned("psnr"),
            temporal_aq: temporal_aq && !zero_latency && !tuned("psnr"),
            cabac: !tuned("fastdecode") && profile != Profile::Baseline,
            rates: Rates::of(rung, rung.bitrate_bps),
        })
    }

    /// The number, 1 to 7, of a rung's preset.
    pub fn preset_of(rung: &Rung) -> Result<u8, CodecError> {
        preset(rung).map(|preset| preset.number)
    }

    /// The settings with what a device can do of them; an error where rung and device cannot meet.
    pub fn within(self, limits: &Limits, rung: &Rung) -> Result<Settings, CodecError> {
        let refused = |why: String| Err(CodecError::new(Fault::Unsupported, COMPONENT, format!("rung {}: {why}", rung.name)));
        let fits =
            (limits.min_width..=limits.max_width).contains(&rung.width) && (limits.min_height..=limits.max_height).contains(&rung.height);
        if !fits {
            let Limits { min_width, min_height, max_width, max_height, .. } = limits;
            return refused(format!(
                "{}x{} is outside {min_width}x{min_height} to {max_width}x{max_height}, which this device encodes as {:?}",
                rung.width, rung.height, rung.codec
            ));
        }
        if self.ten_bit && !limits.ten_bit {
            return refused(format!("this device does not encode {:?} of 10 bits; use profile main", rung.codec));
        }
        let b_pictures = self.b_pictures.min(limits.b_pictures);
        let lowered = Settings {
            b_pictures,
            b_reference: self.b_reference && limits.b_reference && b_pictures > 1,
            look_ahead: if limits.look_ahead { self.look_ahead.min(LONGEST_LOOK_AHEAD.saturating_sub(b_pictures)) } else { 0 },
            temporal_aq: self.temporal_aq && limits.temporal_aq,
            cabac: self.cabac && limits.cabac,
            ..self
        };
        if lowered != self {
            tracing::info!(
                rung = rung.name,
                codec = ?rung.codec,
                b_pictures = lowered.b_pictures,
                b_reference = lowered.b_reference,
                look_ahead = lowered.look_ahead,
                temporal_aq = lowered.temporal_aq,
                "the device does less than the preset asks for; the rest is kept"
            );
        }
        Ok(lowered)
    }

    /// Pictures of B pictures and look-ahead: at least so many go in before the first comes out.
    pub fn delay(&self) -> usize {
        (self.b_pictures + self.look_ahead) as usize
    }

    /// Pictures that must have gone in after one before its bitstream may be locked. A success of the driver's does not say that all
    /// bitstreams so far are due: pictures of the look-ahead are not.
    pub fn output_delay(&self) -> usize {
        match self.delay() {
            0 => 0,
            delay => delay + HELD_BACK,
        }
    }

    /// How many pictures may overtake another: one with B pictures, two where one of those is a reference. Temporal units of AV1 come in
    /// the order of their pictures: what is coded ahead travels inside them.
    pub fn reorder_depth(&self) -> usize {
        match (self.profile, self.b_pictures, self.b_reference) {
            (Profile::Av1Main, _, _) | (_, 0, _) => 0,
            (_, _, false) => 1,
            (_, _, true) => 2,
        }
    }
}

impl Rates {
    /// The rung's rates, scaled to a target in bit/s.
    pub fn of(rung: &Rung, bitrate_bps: u32) -> Rates {
        let scaled = |bits: u32| {
            let bits = u64::from(bits) * u64::from(bitrate_bps) / u64::from(rung.bitrate_bps.max(1));
            u32::try_from(bits).unwrap_or(u32::MAX).max(1)
        };
        let vbv_bits = scaled(rung.vbv_size_bits);
        Rates {
            average_bps: scaled(rung.bitrate_bps),
            most_bps: scaled(rung.vbv_rate_bps).max(scaled(rung.bitrate_bps)),
            vbv_bits,
            vbv_initial_bits: (u64::from(vbv_bits) * 9 / 10) as u32,
        }
    }
}

fn preset(rung: &Rung) -> Result<Preset, CodecError> {
    PRESETS.into_iter().find(|preset| preset.name == rung.preset).ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let detail = format!("rung {}: there is no preset {:?}; presets: {}", rung.name, rung.preset, names.join(" "));
        CodecError::new(Fault::Config, COMPONENT, detail)
    })
}

/// The tunings of a rung, which x264 lets be joined by any of these signs.
fn tunings(rung: &Rung) -> Result<Vec<&str>, CodecError> {
    let named: Vec<&str> = rung.tune.split([',', '.', '/', '-', '+']).filter(|name| !name.is_empty()).collect();
    match named.iter().find(|name| !TUNINGS.contains(name)) {
        None => Ok(named),
        Some(unknown) => {
            let detail = format!("rung {}: there is no tuning {unknown:?}; tunings: {}", rung.name, TUNINGS.join(" "));
            Err(CodecError::new(Fault::Config, COMPONENT, detail))
        }
    }
}

fn profile(rung: &Rung, ten_bit: bool) -> Result<Profile, CodecError> {
    let refused = |use_instead: &str| {
        let bits = if ten_bit { 10 } else { 8 };
        let detail = format!("rung {}: {:?} has no profile {:?} of {bits} bits; use {use_instead}", rung.name, rung.codec, rung.profile);
        Err(CodecError::new(Fault::Config, COMPONENT, detail))
    };
    match (rung.codec, rung.profile.as_str(), ten_bit) {
        (VideoCodec::H264, "baseline", false) => Ok(Profile::Baseline),
        (VideoCodec::H264, "main", false) => Ok(Profile::AvcMain),
        (VideoCodec::H264, "high", false) => Ok(Profile::High),
        (VideoCodec::H264, ..) => refused("baseline, main or high with 8 bits"),
        (VideoCodec::Hevc, "main", false) => Ok(Profile::HevcMain),
        (VideoCodec::Hevc, "main10", true) => Ok(Profile::HevcMain10),
        (VideoCodec::Hevc, ..) => refused("main with 8 bits or main10 with 10"),
        (VideoCodec::Av1, "main", false) | (VideoCodec::Av1, "main10", true) => Ok(Profile::Av1Main),
        (VideoCodec::Av1, ..) => refused("main with 8 bits or main10 with 10"),
        (VideoCodec::Other, ..) => refused("codec h264, hevc or av1"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ABLE: Limits = Limits {
        max_width: 4096,
        max_height: 4096,
        min_width: 145,
        min_height: 49,
        ten_bit: true,
        b_pictures: 4,
        b_reference: true,
        look_ahead: true,
        temporal_aq: true,
        vbv_size: true,
        cabac: true,
    };

    fn rung(preset: &str, tune: &str) -> Rung {
        Rung { tune: tune.into(), ..Rung::new("720p", 1280, 720, 3_000_000, preset) }
    }

    fn settings(preset: &str, tune: &str) -> Settings {
        Settings::of(&rung(preset, tune), true, false).unwrap()
    }

    #[test]
    fn slower_presets_never_ask_for_less() {
        let all: Vec<Settings> = PRESETS.iter().map(|preset| settings(preset.name, "")).collect();
        assert!(all.windows(2).all(|pair| pair[0].preset <= pair[1].preset && pair[0].look_ahead <= pair[1].look_ahead));
        assert_eq!((all[0].preset, all[9].preset), (1, 7));
    }

    #[test]
    fn zero_latency_keeps_no_picture_back() {
        for preset in PRESETS {
            let settings = settings(preset.name, "film,zerolatency");
            assert_eq!((settings.output_delay(), settings.reorder_depth(), settings.tuning), (0, 0, Tuning::UltraLowLatency));
        }
        assert_eq!(settings("ultrafast", "").tuning, Tuning::LowLatency);
        assert_eq!(settings("veryfast", "").tuning, Tuning::Quality);
    }

    #[test]
    fn baseline_has_neither_b_pictures_nor_arithmetic_coding() {
        let settings = Settings::of(&Rung { profile: "baseline".into(), ..rung("medium", "") }, true, false).unwrap();
        assert_eq!((settings.b_pictures, settings.cabac), (0, false));
    }

    #[test]
    fn a_lesser_device_lowers_what_it_cannot_and_keeps_the_rest() {
        let asked = settings("medium", "");
        assert_eq!(asked.within(&ABLE, &rung("medium", "")).unwrap(), asked);
        let lesser = Limits { b_pictures: 0, look_ahead: false, temporal_aq: false, ..ABLE };
        let lowered = asked.within(&lesser, &rung("medium", "")).unwrap();
        assert_eq!((lowered.delay(), lowered.reorder_depth(), lowered.temporal_aq), (0, 0, false));
        assert_eq!((lowered.preset, lowered.spatial_aq, lowered.rates), (asked.preset, true, asked.rates));
    }

    #[test]
    fn what_cannot_be_met_is_refused_with_what_to_use() {
        let fault_of = |rung: &Rung, ten_bit| Settings::of(rung, true, ten_bit).unwrap_err().fault();
        assert_eq!(fault_of(&rung("warp", ""), false), Fault::Config);
        assert_eq!(fault_of(&rung("fast", "loud"), false), Fault::Config);
        assert_eq!(fault_of(&rung("fast", ""), true), Fault::Config);
        let wide = Rung { width: 8192, ..rung("fast", "") };
        let error = Settings::of(&wide, true, false).unwrap().within(&ABLE, &wide).unwrap_err();
        assert!(error.fault() == Fault::Unsupported && error.to_string().contains("4096"), "{error}");
    }

    #[test]
    fn profiles_go_with_codec_and_depth() {
        let of = |codec, profile: &str, ten_bit| {
            Settings::of(&Rung { codec, profile: profile.into(), ..rung("fast", "") }, true, ten_bit).map(|settings| settings.profile).ok()
        };
        assert_eq!(of(VideoCodec::Hevc, "main", false), Some(Profile::HevcMain));
        assert_eq!(of(VideoCodec::Hevc, "main10", true), Some(Profile::HevcMain10));
        assert_eq!(of(VideoCodec::Hevc, "main10", false), None);
        assert_eq!(of(VideoCodec::Av1, "main10", true), Some(Profile::Av1Main));
        assert_eq!(of(VideoCodec::Other, "main", false), None);
    }

    proptest! {
        #[test]
        fn a_new_target_scales_the_vbv_and_overflows_nothing(target: u32, base in 1u32.., rate: u32, size: u32) {
            let rung = Rung { bitrate_bps: base, vbv_rate_bps: rate, vbv_size_bits: size, ..rung("fast", "") };
            let rates = Rates::of(&rung, target);
            prop_assert!(rates.most_bps >= rates.average_bps && rates.vbv_initial_bits <= rates.vbv_bits);
            prop_assert_eq!(rates.average_bps, target.max(1));
        }

        #[test]
        fn look_ahead_and_b_pictures_fit_the_encoder_together(preset in 0usize..10, most_b in 0u32..6) {
            let rung = rung(PRESETS[preset].name, "");
            let lowered = Settings::of(&rung, true, false).unwrap().within(&Limits { b_pictures: most_b, ..ABLE }, &rung).unwrap();
            prop_assert!(lowered.b_pictures <= most_b && lowered.b_pictures + lowered.look_ahead <= LONGEST_LOOK_AHEAD);
        }
    }
}
