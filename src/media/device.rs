//! Where a channel's pictures are worked on, what a machine's GPUs can do, and what crosses between a device and main memory.

use serde::{Deserialize, Serialize};

use super::track::VideoCodec;

/// Where a codec worker decodes, scales and encodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seat {
    /// On the cores, with libavcodec and x264.
    #[default]
    Software,
    /// On an NVIDIA GPU.
    Cuda(CudaSeat),
}

/// A seat on an NVIDIA GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CudaSeat {
    /// The driver's ordinal as the probe of this machine saw it.
    pub ordinal: u32,
    /// `GPU-` and a UUID: a worker that finds another device at the ordinal refuses the seat.
    pub uuid: String,
    /// The GPU encodes. Else pictures are decoded and scaled on it, downloaded once per rung, and encoded by x264.
    pub encodes: bool,
}

/// Which way samples cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// From main memory to a device.
    ToDevice,
    /// From a device to main memory.
    ToHost,
}

/// Why samples of a picture cross between a device and main memory. Bitstreams, tables and counters are not samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CopyReason {
    /// A pattern or slate picture, which is painted in main memory.
    Slate,
    /// The source was decoded in main memory because the device cannot.
    HostDecoded,
    /// The device has no encoder: each rung is downloaded for x264.
    HostEncoded,
    /// A small picture of the input for the page.
    Thumbnail,
}

impl Direction {
    /// The value of the `direction` label.
    pub fn label(self) -> &'static str {
        match self {
            Direction::ToDevice => "to_device",
            Direction::ToHost => "to_host",
        }
    }
}

impl CopyReason {
    /// The value of the `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            CopyReason::Slate => "slate",
            CopyReason::HostDecoded => "host_decoded",
            CopyReason::HostEncoded => "host_encoded",
            CopyReason::Thumbnail => "thumbnail",
        }
    }

    /// The one way that samples go for this reason.
    pub fn direction(self) -> Direction {
        match self {
            CopyReason::Slate | CopyReason::HostDecoded => Direction::ToDevice,
            CopyReason::HostEncoded | CopyReason::Thumbnail => Direction::ToHost,
        }
    }

    /// Every reason.
    pub fn all() -> [CopyReason; 4] {
        [CopyReason::Slate, CopyReason::HostDecoded, CopyReason::HostEncoded, CopyReason::Thumbnail]
    }
}

/// How many pictures crossed for one reason since a worker started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyCount {
    /// Why; it says the direction too.
    pub reason: CopyReason,
    /// Pictures.
    pub pictures: u64,
    /// Bytes of samples.
    pub bytes: u64,
}

/// What a machine's NVIDIA driver and GPUs turned out to be, by trying.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceReport {
    /// The driver's version (`535.183.01`), where NVML says it.
    pub driver: Option<String>,
    /// The newest CUDA version that the driver knows, as 1000 * major + 10 * minor.
    pub cuda_version: Option<u32>,
    /// The newest NVENC API that the driver knows, as (major, minor).
    pub nvenc_version: Option<(u32, u32)>,
    /// Why there is no GPU to use, where there is none; in words for an operator.
    pub absent: Option<String>,
    /// There is none although there ought to be: the driver fails, or finds none of the cards on the bus.
    pub is_broken: bool,
    /// Every GPU that the driver lists, in its order.
    pub gpus: Vec<GpuReport>,
}

/// What a GPU is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = GpuVerdict)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Decodes, scales and encodes.
    Full,
    /// Decodes and scales; it has no encoder.
    Hybrid,
    /// Cannot be used.
    None,
}

impl Verdict {
    /// The word of tables, labels and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Full => "full",
            Verdict::Hybrid => "hybrid",
            Verdict::None => "none",
        }
    }
}

/// What was found of a GPU's encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncoderState {
    /// The device has none that can be used.
    #[default]
    Absent,
    /// Others hold all of its sessions.
    Busy,
    /// It fails.
    Failing,
    /// A session opens.
    Ready,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GpuReport {
    /// The driver's ordinal.
    pub ordinal: u32,
    /// `GPU-` and a UUID.
    pub uuid: String,
    /// `NVIDIA L4`.
    pub name: String,
    /// `0000:65:00.0`; empty where unknown.
    pub pci: String,
    /// The NUMA node that it is attached to.
    pub numa_node: Option<u32>,
    /// CUDA compute capability, (major, minor).
    pub compute: (u32, u32),
    /// Device memory in bytes.
    pub memory_bytes: u64,
    /// Device memory that was free when probed, in bytes.
    pub free_bytes: u64,
    /// Device memory that one context with the kernels takes, in bytes, as measured.
    pub context_bytes: u64,
    /// What it is good for.
    pub verdict: Verdict,
    /// Why it is no more than that; empty for `Full`.
    pub reason: String,
    /// What was found of its encoder.
    pub encoder: EncoderState,
    /// What it decodes.
    pub decodes: Vec<DecodeAbility>,
    /// What it encodes.
    pub encodes: Vec<EncodeAbility>,
    /// Encode sessions that could be opened at once, found by opening. None where all that were tried opened.
    pub most_sessions: Option<u32>,
    /// Sessions that were tried.
    pub tried_sessions: u32,
}

/// One codec and bit depth that a GPU decodes (4:2:0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DecodeAbility {
    /// The codec.
    pub codec: VideoCodec,
    /// 8 or 10.
    pub bits: u8,
    /// Largest width in pixels.
    pub max_width: u32,
    /// Largest height in pixels.
    pub max_height: u32,
}

/// One codec that a GPU encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EncodeAbility {
    /// The codec.
    pub codec: VideoCodec,
    /// It takes 10-bit pictures.
    pub ten_bit: bool,
    /// Largest width in pixels.
    pub max_width: u32,
    /// Largest height in pixels.
    pub max_height: u32,
    /// B pictures in a row.
    pub b_pictures: u32,
    /// It looks ahead.
    pub look_ahead: bool,
}

impl GpuReport {
    /// Whether it decodes pictures of this kind.
    pub fn can_decode(&self, codec: VideoCodec, bits: u8, width: u32, height: u32) -> bool {
        let fits = |ability: &DecodeAbility| {
            ability.codec == codec && ability.bits == bits && width <= ability.max_width && height <= ability.max_height
        };
        self.decodes.iter().any(fits)
    }

    /// Whether it encodes pictures of this kind.
    pub fn can_encode(&self, codec: VideoCodec, width: u32, height: u32) -> bool {
        let fits = |ability: &EncodeAbility| ability.codec == codec && width <= ability.max_width && height <= ability.max_height;
        self.encodes.iter().any(fits)
    }
}
