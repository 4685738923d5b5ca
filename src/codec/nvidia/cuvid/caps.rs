//! What a device decodes, as its driver says.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::Arc;

use nvidia_video_codec_sdk::sys::cuviddec::{CUVIDDECODECAPS, cudaVideoChromaFormat_enum as Chroma};

use super::COMPONENT;
use super::calls::{Cuvid, native};
use crate::base::Fault;
use crate::codec::error::CodecError;
use crate::codec::nvidia::cuda::{CudaError, Device};
use crate::media::VideoCodec;
use crate::media::device::DecodeAbility;

/// What is asked for: 4:2:0 of 8 and 10 bits.
const ASKED: [(VideoCodec, u8); 5] =
    [(VideoCodec::H264, 8), (VideoCodec::Hevc, 8), (VideoCodec::Hevc, 10), (VideoCodec::Av1, 8), (VideoCodec::Av1, 10)];

/// Every codec and bit depth that the device decodes. `Unsupported` where the driver has no NVDEC library.
pub fn abilities(device: &Arc<Device>) -> Result<Vec<DecodeAbility>, CodecError> {
    let found = ASKED.iter().map(|&(codec, bits)| Caps::ask(device, codec, bits));
    let found: Vec<Option<Caps>> = found.collect::<Result<_, CudaError>>().map_err(|cause| cause.of(COMPONENT))?;
    Ok(found.into_iter().flatten().map(|caps| caps.ability).collect())
}

/// `Unsupported`, with the reason, where the device does not decode coded pictures of this kind.
pub fn check_ability(device: &Arc<Device>, codec: VideoCodec, bits: u8, (width, height): (u32, u32)) -> Result<(), CodecError> {
    let refused = |why: String| Err(CodecError::new(Fault::Unsupported, COMPONENT, why));
    match Caps::ask(device, codec, bits).map_err(|cause| cause.of(COMPONENT))? {
        None => refused(format!("this device does not decode {codec:?} of {bits} bits")),
        Some(caps) if !caps.takes(width, height) => {
            let DecodeAbility { max_width, max_height, .. } = caps.ability;
            refused(format!("{width}x{height} of {codec:?} is outside what this device decodes, at most {max_width}x{max_height}"))
        }
        Some(_) => Ok(()),
    }
}

/// The limits of one codec and bit depth.
struct Caps {
    ability: DecodeAbility,
    min_width: u32,
    min_height: u32,
    max_macroblocks: u64,
}

impl Caps {
    fn ask(device: &Arc<Device>, codec: VideoCodec, bits: u8) -> Result<Option<Caps>, CudaError> {
        let Some(native) = native(codec).filter(|_| matches!(bits, 8..=12)) else { return Ok(None) };
        let cuvid = Cuvid::load().map_err(CudaError::Load)?;
        let _current = device.enter()?;
        let mut caps = MaybeUninit::<CUVIDDECODECAPS>::zeroed();
        let raw = caps.as_mut_ptr();
        // SAFETY: writes plain fields of a structure of zeros, which the driver then completes.
        let status = unsafe {
            (*raw).eCodecType = native;
            (*raw).eChromaFormat = Chroma::cudaVideoChromaFormat_420;
            (*raw).nBitDepthMinus8 = u32::from(bits) - 8;
            (cuvid.caps)(raw)
        };
        device.check("cuvidGetDecoderCaps", status)?;
        // SAFETY: reads integers, which were zero before the driver wrote them.
        let (supported, width, height, macroblocks, min_width, min_height) =
            unsafe { ((*raw).bIsSupported, (*raw).nMaxWidth, (*raw).nMaxHeight, (*raw).nMaxMBCount, (*raw).nMinWidth, (*raw).nMinHeight) };
        Ok((supported != 0).then_some(Caps {
            ability: DecodeAbility { codec, bits, max_width: width, max_height: height },
            min_width: min_width.into(),
            min_height: min_height.into(),
            max_macroblocks: macroblocks.into(),
        }))
    }

    fn takes(&self, width: u32, height: u32) -> bool {
        let macroblocks = u64::from(width) * u64::from(height) / 256;
        (self.min_width..=self.ability.max_width).contains(&width)
            && (self.min_height..=self.ability.max_height).contains(&height)
            && macroblocks <= self.max_macroblocks
    }
}
