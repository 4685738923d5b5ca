//! `headend probe`: what this machine can encode with.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::{Map, Value, json};

use crate::app::cli::ProbeArguments;
use crate::app::{devices, logging, print};
use crate::base::Rate;
use crate::channel::device_watch::ProbeFailure;
use crate::channel::worker_process::WorkerProgram;
use crate::media::confinement::{Confinement, Enforced};
use crate::media::device::{DeviceReport, GpuReport, Verdict};
use crate::placement::devices::{codec_name, gpu_name};
use crate::placement::pinning::Place;
use crate::placement::topology::topology;
use crate::placement::{self, PinningMap, PinningWish};

/// Why the machine could not be probed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The worker cannot be asked.
    #[error("the worker cannot be asked: {0}")]
    Worker(#[from] std::io::Error),
    /// The worker's answer is no JSON.
    #[error("the worker's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
    /// The worker failed.
    #[error("the worker failed: {0}; see its message above")]
    Failed(std::process::ExitStatus),
}

/// Runs the command. Codecs are asked for in a child, as everywhere.
pub fn probe(arguments: &ProbeArguments) -> Result<(), ProbeError> {
    let program = WorkerProgram::beside_this_binary("text", &logging::levels("warn"))?;
    let (link, _ours): (OwnedFd, _) = UnixStream::pair().map(|(theirs, ours)| (theirs.into(), ours))?;
    let codecs = said(program.command("probe", "probe", link))?;
    let (link, _ours): (OwnedFd, _) = UnixStream::pair().map(|(theirs, ours)| (theirs.into(), ours))?;
    let sandbox: Confinement = serde_json::from_value(said(program.command("confinement", "probe", link))?)?;
    let inventory = placement::linux::inventory();
    let (ladder, left_out) = placement::auto(1920, 1080, Rate::new(30, 1), inventory.cores_allowed);
    let ladder: Vec<&str> = ladder.iter().map(|rung| rung.name.as_str()).collect();
    let left_out: Vec<String> = left_out.iter().map(|left_out| left_out.to_string()).collect();
    let gpus = devices::probed(&program);
    let mut report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "cores": inventory.cores_allowed,
        "pinning": pinning(),
        "memory_bytes": inventory.memory_bytes,
        "sandbox": parts(&sandbox),
        "software": codecs,
        "auto_ladder_in_software_1080p30": { "rungs": ladder, "left_out": left_out },
    });
    if arguments.json {
        // The GPUs are beside it.
        let mut machine = serde_json::to_value(&inventory)?;
        let _ = machine.as_object_mut().map(|fields| fields.remove("nvidia"));
        report["inventory"] = machine;
        report["nvidia"] = match &gpus {
            Ok(gpus) => serde_json::to_value(gpus)?,
            Err(cause) => json!({ "absent": cause.to_string(), "gpus": [] }),
        };
        print::out(format_args!("{report:#}\n"));
    } else {
        print::out(format_args!("{}{}", table(&report), gpu_lines(&gpus)));
    }
    Ok(())
}

/// What a role prints.
fn said(mut command: std::process::Command) -> Result<Value, ProbeError> {
    let output = command.stdout(Stdio::piped()).output()?;
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout)?),
        false => Err(ProbeError::Failed(output.status)),
    }
}

/// Each part of the lock-down of workers with what this machine's kernel makes of it.
fn parts(sandbox: &Confinement) -> Value {
    let words = |enforced: &Enforced| match enforced {
        Enforced::Yes => "yes".to_owned(),
        Enforced::Partly(but) => format!("partly: {but}"),
        Enforced::No(why) => format!("no: {why}"),
    };
    sandbox.parts().iter().map(|(part, enforced)| ((*part).to_owned(), Value::from(words(enforced)))).collect::<Map<_, _>>().into()
}

/// Who runs on which cores where nothing is configured.
fn pinning() -> Value {
    let map = PinningMap::of(&topology(), &PinningWish::default());
    let place = |place: &Place| json!({ "cores": place.cores.to_string(), "niceness": place.nicer });
    let nodes: Vec<String> = map.worker_nodes.iter().map(|(node, cores)| format!("{node}: {cores}")).collect();
    json!({
        "by": map.mode.label(),
        "allowed": map.allowed.to_string(),
        "ingest": place(&map.ingest),
        "packaging": place(&map.packaging),
        "edge": place(&map.edge),
        "workers": place(&map.workers),
        "worker_nodes": nodes,
    })
}

/// One line for each GPU, or one that says why there is none.
fn gpu_lines(gpus: &Result<DeviceReport, ProbeFailure>) -> String {
    let gpus = match gpus {
        Ok(gpus) => gpus,
        Err(cause) => return format!("nvidia: {cause}\n"),
    };
    if gpus.gpus.is_empty() {
        return format!("nvidia: {}\n", gpus.absent.as_deref().unwrap_or("the driver lists no GPU"));
    }
    let version = |name: &str, version: Option<String>| version.map_or(String::new(), |version| format!(" {name} {version}"));
    let cuda = gpus.cuda_version.map(|cuda| format!("{}.{}", cuda / 1000, cuda % 1000 / 10));
    let nvenc = gpus.nvenc_version.map(|(major, minor)| format!("{major}.{minor}"));
    let versions = [version("driver", gpus.driver.clone()), version("CUDA", cuda), version("NVENC", nvenc)].concat();
    let lines = gpus.gpus.iter().map(|gpu| gpu_line(gpu) + "\n").collect::<String>();
    if versions.is_empty() { lines } else { format!("nvidia{versions}\n{lines}") }
}

fn gpu_line(gpu: &GpuReport) -> String {
    let sessions = match (gpu.most_sessions, gpu.verdict) {
        (Some(most), _) => format!("{most} sessions"),
        (None, Verdict::Full) => format!("{} sessions or more", gpu.tried_sessions),
        (None, _) => "no sessions".to_owned(),
    };
    let deep = |bits: u8| if bits > 8 { format!("/{bits}") } else { String::new() };
    let decodes: Vec<String> = gpu.decodes.iter().map(|able| codec_name(able.codec).to_owned() + &deep(able.bits)).collect();
    let encodes: Vec<String> =
        gpu.encodes.iter().map(|able| codec_name(able.codec).to_owned() + &deep(if able.ten_bit { 10 } else { 8 })).collect();
    let words =
        |what: &str, items: Vec<String>| if items.is_empty() { format!("{what} nothing") } else { format!("{what} {}", items.join(" ")) };
    let mut columns = vec![
        format!("{} {}", gpu_name(gpu), gpu.verdict.label()),
        gpu.uuid.clone(),
        format!("{} of {} MiB free", gpu.free_bytes >> 20, gpu.memory_bytes >> 20),
        sessions,
        words("decodes", decodes),
        words("encodes", encodes),
    ];
    columns.extend(Some(gpu.pci.clone()).filter(|pci| !pci.is_empty()).map(|pci| format!("pci {pci}")));
    columns.extend(gpu.numa_node.map(|node| format!("numa {node}")));
    columns.extend(Some(gpu.reason.clone()).filter(|reason| !reason.is_empty()));
    columns.join(", ")
}

/// A list of more items than this is abridged in the table; `--json` has all.
const LONGEST_LIST: usize = 12;
/// What people look for in a long list.
const SOUGHT: [&str; 10] = ["h264", "hevc", "av1", "mpeg2video", "aac", "opus", "mp3", "mp2", "ac3", "eac3"];

fn abridged(all: &[String]) -> Vec<String> {
    let mut items: Vec<String> = all.iter().filter(|item| SOUGHT.contains(&item.as_str())).cloned().collect();
    items.push(format!("and {} more (--json lists them)", all.len() - items.len()));
    items
}

fn table(report: &Value) -> String {
    let mut text = String::new();
    rows(&mut text, "", report);
    text
}

/// One line per value, nested keys joined by spaces.
fn rows(text: &mut String, prefix: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = key.replace('_', " ");
                rows(text, &if prefix.is_empty() { name } else { format!("{prefix} {name}") }, value);
            }
        }
        Value::Array(items) => {
            let all: Vec<String> = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
            let items = if all.len() > LONGEST_LIST { abridged(&all) } else { all };
            text.push_str(&format!("{prefix:<36} {}\n", if items.is_empty() { "none".to_owned() } else { items.join(", ") }));
        }
        Value::String(value) => text.push_str(&format!("{prefix:<36} {value}\n")),
        value => text.push_str(&format!("{prefix:<36} {value}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::VideoCodec;
    use crate::media::device::{DecodeAbility, EncodeAbility, EncoderState};

    #[test]
    fn a_gpu_is_one_line_with_all_that_decides_where_channels_run() {
        let (max_width, max_height) = (8192, 8192);
        let decode = |codec, bits| DecodeAbility { codec, bits, max_width, max_height };
        let encode = |codec, ten_bit| EncodeAbility { codec, ten_bit, max_width, max_height, b_pictures: 4, look_ahead: true };
        let gpu = GpuReport {
            ordinal: 0,
            uuid: "GPU-5d2c1a90".into(),
            name: "NVIDIA L4".into(),
            pci: "0000:65:00.0".into(),
            numa_node: Some(1),
            compute: (8, 9),
            memory_bytes: 24 << 30,
            free_bytes: 23 << 30,
            context_bytes: 1,
            verdict: Verdict::Full,
            reason: String::new(),
            encoder: EncoderState::Ready,
            decodes: vec![decode(VideoCodec::H264, 8), decode(VideoCodec::Hevc, 10)],
            encodes: vec![encode(VideoCodec::H264, false), encode(VideoCodec::Av1, true)],
            most_sessions: None,
            tried_sessions: 16,
        };
        let hybrid =
            GpuReport { verdict: Verdict::Hybrid, encodes: Vec::new(), reason: "NVENC: no encoder".into(), numa_node: None, ..gpu.clone() };
        let report = DeviceReport {
            driver: Some("535.183.01".into()),
            cuda_version: Some(12_020),
            gpus: vec![gpu, hybrid],
            ..DeviceReport::default()
        };
        let expected = "nvidia driver 535.183.01 CUDA 12.2\n\
            nvidia 0 NVIDIA L4 full, GPU-5d2c1a90, 23552 of 24576 MiB free, 16 sessions or more, decodes h264 hevc/10, encodes h264 av1/10, pci 0000:65:00.0, numa 1\n\
            nvidia 0 NVIDIA L4 hybrid, GPU-5d2c1a90, 23552 of 24576 MiB free, no sessions, decodes h264 hevc/10, encodes nothing, pci 0000:65:00.0, NVENC: no encoder\n";
        assert_eq!(gpu_lines(&Ok(report)), expected);
        let absent = DeviceReport { absent: Some("no NVIDIA driver".into()), ..DeviceReport::default() };
        assert_eq!(gpu_lines(&Ok(absent)), "nvidia: no NVIDIA driver\n");
    }
}
