//! What this machine's NVIDIA driver and GPUs are good for, found by trying.
//!
//! It is done in a process of its own: a driver that crashes or hangs costs nothing but that process.

use std::path::Path;
use std::sync::Arc;

use super::cuda::{self, CudaError, Device, Listed};
use super::kernels::Kernels;
use super::library::LoadError;
use super::nvenc::{Limits, NvencError, Session, negotiate};
use super::nvml::Monitor;
use super::{cuvid, nvenc};
use crate::media::VideoCodec;
use crate::media::device::{DecodeAbility, DeviceReport, EncodeAbility, EncoderState, GpuReport, Verdict};

/// Sessions that are tried: two ladders of eight rungs. Consumer cards stop at 3 to 12, the others do not.
const TRIED_SESSIONS: u32 = 16;
/// `CUDA_ERROR_NO_DEVICE`.
const NO_DEVICE: i32 = 100;
/// Where the kernel lists what is on the bus.
const PCI_DEVICES: &str = "/sys/bus/pci/devices";

/// The report. It never fails: what cannot be used is said in it. Of GPUs whose UUID is in `known`, no more than one encode session is
/// opened: how many there can be is known of them, and running channels need theirs.
pub fn probe(known: &[String]) -> DeviceReport {
    let monitor = Monitor::open();
    let mut report = DeviceReport {
        driver: monitor.as_ref().ok().and_then(Monitor::driver_version),
        cuda_version: cuda::driver_version().ok(),
        nvenc_version: match negotiate() {
            Ok(version) => Some(version),
            Err(NvencError::TooOld { driver, .. }) => Some(driver),
            Err(_) => None,
        },
        ..DeviceReport::default()
    };
    match cuda::device_count() {
        Ok(0) => {
            report.absent = Some("the NVIDIA driver is installed and lists no GPU".into());
            report.is_broken = is_on_bus(Path::new(PCI_DEVICES));
        }
        Ok(count) => {
            let outside = Outside { memory_used: monitor.as_ref().map(Monitor::memory_used).unwrap_or_default(), monitor: monitor.ok() };
            report.gpus = (0..count).map(|ordinal| gpu(ordinal, &outside, known)).collect();
        }
        Err(cause) => {
            report.absent = Some(absence(&cause));
            report.is_broken = is_broken(&cause, Path::new(PCI_DEVICES));
        }
    }
    report
}

/// Whether there ought to be GPUs. Machines without a card often have the driver's libraries from the same image as those with one.
fn is_broken(cause: &CudaError, pci: &Path) -> bool {
    match cause {
        CudaError::Load(LoadError::Absent { .. }) => false,
        CudaError::Call { status: NO_DEVICE, .. } => is_on_bus(pci),
        _ => true,
    }
}

/// Whether the kernel lists a display controller (PCI class 03) of NVIDIA, with a driver or without.
fn is_on_bus(pci: &Path) -> bool {
    let says =
        |device: &Path, file: &str, begin: &str| std::fs::read_to_string(device.join(file)).is_ok_and(|text| text.starts_with(begin));
    let devices = std::fs::read_dir(pci).into_iter().flatten().flatten();
    devices.map(|device| device.path()).any(|device| says(&device, "vendor", "0x10de") && says(&device, "class", "0x03"))
}

/// What is known of GPUs without a context on them.
struct Outside {
    monitor: Option<Monitor>,
    /// Device memory in use before this process touched a GPU, by UUID: what a context takes shows only from outside of it.
    memory_used: Vec<(String, u64)>,
}

impl Outside {
    fn numa_node(&self, uuid: &str) -> Option<u32> {
        self.monitor.as_ref().and_then(|monitor| monitor.numa_node(uuid))
    }

    /// Device memory that is in use beyond what was at the beginning; zero where nobody says.
    fn grown(&self, uuid: &str) -> u64 {
        let before = self.memory_used.iter().find(|(known, _)| known == uuid).map(|(_, used)| *used);
        let now = self.monitor.as_ref().and_then(|monitor| monitor.load(uuid)).and_then(|load| load.memory_used_bytes);
        before.zip(now).map_or(0, |(before, now)| now.saturating_sub(before))
    }
}

/// Why there is no GPU, and what to do about it.
fn absence(cause: &CudaError) -> String {
    match cause {
        CudaError::Load(LoadError::Absent { name, cause }) => {
            format!("no NVIDIA driver: {name} cannot be opened ({cause}); install NVIDIA's driver, 530 or later, to encode on a GPU")
        }
        CudaError::Load(other) => format!("{other}; install NVIDIA's driver, 530 or later"),
        CudaError::Call { status: NO_DEVICE, .. } => "the NVIDIA driver is installed and finds no GPU".into(),
        other => format!("the NVIDIA driver cannot be used: {other}; look for \"NVRM\" in the kernel's log"),
    }
}

fn gpu(ordinal: u32, outside: &Outside, known: &[String]) -> GpuReport {
    let mut report = nothing(ordinal);
    if let Err(why) = examine(&mut report, outside, known) {
        report.verdict = Verdict::None;
        report.reason = why;
    }
    report
}

/// Fills a report in as far as it goes; an error in words where the GPU cannot be used.
fn examine(report: &mut GpuReport, outside: &Outside, known: &[String]) -> Result<(), String> {
    let cuda = |cause: CudaError| format!("CUDA: {cause}");
    let listed = Listed::at(report.ordinal).map_err(cuda)?;
    describe(report, &listed, outside).map_err(cuda)?;
    let device = listed.open().map_err(cuda)?;
    report.memory_bytes = device.memory().map_err(cuda)?.1;
    let kernels = Kernels::load(&device).map_err(|cause| format!("kernels: {cause}"))?;
    report.free_bytes = device.memory().map_err(cuda)?.0;
    report.context_bytes = outside.grown(&report.uuid);
    report.decodes = cuvid::abilities(&device).map_err(|cause| format!("NVDEC: {cause}"))?;
    let decodes = judge_decoder(&report.decodes);
    let encodes = judge_encoder(report, &device, known.contains(&report.uuid));
    drop(kernels);
    (report.verdict, report.reason) = verdict(decodes, encodes);
    Ok(())
}

/// What needs no context, first of all what the GPU is known by: one that fails from here on is told from one that is gone.
fn describe(report: &mut GpuReport, listed: &Listed, outside: &Outside) -> Result<(), CudaError> {
    report.uuid = listed.uuid()?;
    report.name = listed.name().unwrap_or_default();
    report.pci = listed.pci().unwrap_or_default();
    report.compute = listed.compute()?;
    report.numa_node = outside.numa_node(&report.uuid).or_else(|| numa_node_of(&report.pci));
    Ok(())
}

fn judge_decoder(decodes: &[DecodeAbility]) -> Result<(), String> {
    match decodes.iter().any(|ability| ability.codec == VideoCodec::H264) {
        true => Ok(()),
        false => Err("NVDEC: this device does not decode H.264".into()),
    }
}

/// Fills in what the device encodes; the error says why it does not.
fn judge_encoder(report: &mut GpuReport, device: &Arc<Device>, is_known: bool) -> Result<(), String> {
    negotiate().map_err(|cause| format!("NVENC: {cause}"))?;
    report.tried_sessions = 1;
    let session = Session::open(device).map_err(|cause| {
        report.encoder = encoder_state(&cause);
        report.most_sessions = (report.encoder == EncoderState::Busy).then_some(0);
        refusal(&cause)
    })?;
    report.encoder = EncoderState::Failing;
    let codecs = session.codecs().map_err(|cause| format!("NVENC: {cause}"))?;
    for codec in codecs {
        let limits = session.limits(codec).map_err(|cause| format!("NVENC: {cause}"))?;
        report.encodes.push(ability(codec, &limits));
    }
    if !report.encodes.iter().any(|ability| ability.codec == VideoCodec::H264) {
        report.encoder = EncoderState::Absent;
        return Err("NVENC: this device does not encode H.264".into());
    }
    if !is_known {
        count_sessions(report, device, session)?;
    }
    report.encoder = EncoderState::Ready;
    Ok(())
}

fn encoder_state(cause: &NvencError) -> EncoderState {
    match cause {
        NvencError::SessionLimit { .. } => EncoderState::Busy,
        cause if cause.no_encoder() => EncoderState::Absent,
        _ => EncoderState::Failing,
    }
}

fn refusal(cause: &NvencError) -> String {
    match cause {
        cause if cause.no_encoder() => "NVENC: this device has no encoder (A100, H100 and H200 have none)".into(),
        cause => format!("NVENC: {cause}"),
    }
}

/// Opens sessions until one is refused. Sessions of other processes count too: what is found is what is left now.
fn count_sessions(report: &mut GpuReport, device: &Arc<Device>, first: Session) -> Result<(), String> {
    let mut open = vec![first];
    while report.tried_sessions < TRIED_SESSIONS {
        report.tried_sessions += 1;
        match Session::open(device) {
            Ok(session) => open.push(session),
            Err(NvencError::SessionLimit { .. }) => {
                report.most_sessions = Some(open.len() as u32);
                break;
            }
            Err(cause) => return Err(refusal(&cause)),
        }
    }
    Ok(())
}

/// What the two findings make of a GPU.
fn verdict(decodes: Result<(), String>, encodes: Result<(), String>) -> (Verdict, String) {
    match (decodes, encodes) {
        (Ok(()), Ok(())) => (Verdict::Full, String::new()),
        (Ok(()), Err(why)) => (Verdict::Hybrid, why),
        (Err(why), _) => (Verdict::None, why),
    }
}

fn ability(codec: VideoCodec, limits: &nvenc::Limits) -> EncodeAbility {
    let Limits { ten_bit, max_width, max_height, b_pictures, look_ahead, .. } = *limits;
    EncodeAbility { codec, ten_bit, max_width, max_height, b_pictures, look_ahead }
}

/// The NUMA node by the kernel's word for a PCI device; it says -1 where there is one node.
fn numa_node_of(pci: &str) -> Option<u32> {
    let path = format!("{PCI_DEVICES}/{}/numa_node", pci.to_ascii_lowercase());
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn nothing(ordinal: u32) -> GpuReport {
    GpuReport {
        ordinal,
        uuid: String::new(),
        name: String::new(),
        pci: String::new(),
        numa_node: None,
        compute: (0, 0),
        memory_bytes: 0,
        free_bytes: 0,
        context_bytes: 0,
        verdict: Verdict::None,
        reason: String::new(),
        encoder: EncoderState::default(),
        decodes: Vec::new(),
        encodes: Vec::new(),
        most_sessions: None,
        tried_sessions: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_driver_is_told_what_to_install() {
        let missing = CudaError::Load(LoadError::Absent { name: "libcuda.so.1", cause: "no such file".into() });
        let text = absence(&missing);
        assert!(text.contains("libcuda.so.1") && text.contains("install"), "{text}");
    }

    #[test]
    fn no_gpu_is_a_fault_only_where_a_card_is_on_the_bus_or_the_driver_fails() {
        let bus = tempfile::tempdir().unwrap();
        let failed = |status| CudaError::Call { call: "cuInit", status, name: String::new() };
        let add = |slot: &str, vendor: &str, class: &str| {
            std::fs::create_dir(bus.path().join(slot)).unwrap();
            std::fs::write(bus.path().join(slot).join("vendor"), vendor).unwrap();
            std::fs::write(bus.path().join(slot).join("class"), class).unwrap();
        };
        add("0000:00:02.0", "0x8086\n", "0x030000\n");
        add("0000:65:00.1", "0x10de\n", "0x040300\n");
        assert!(!is_broken(&failed(NO_DEVICE), bus.path()) && is_broken(&failed(999), bus.path()));
        add("0000:65:00.0", "0x10de\n", "0x030200\n");
        assert!(is_broken(&failed(NO_DEVICE), bus.path()));
        let missing = CudaError::Load(LoadError::Absent { name: "libcuda.so.1", cause: "no such file".into() });
        assert!(!is_broken(&missing, bus.path()), "a card without a driver is as its operator left it");
    }

    #[test]
    fn a_device_without_encoder_is_hybrid_and_one_that_decodes_nothing_is_none() {
        let no_encoder = NvencError::Call { call: "nvEncOpenEncodeSessionEx", status: 2, detail: String::new() };
        let why = refusal(&no_encoder);
        assert!(why.contains("H100"), "{why}");
        assert_eq!(verdict(Ok(()), Err(why.clone())), (Verdict::Hybrid, why));
        assert_eq!(verdict(Ok(()), Ok(())).0, Verdict::Full);
        assert_eq!(verdict(judge_decoder(&[]), Ok(())).0, Verdict::None);
    }
}
