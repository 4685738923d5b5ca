//! Which pictures cross between device and main memory, by the worker's own ledger and by NVIDIA's profiler.

use std::path::Path;
use std::process::{Command, Stdio};

use headend::media::Rung;
use headend::media::device::{CopyCount, CopyReason};

use crate::bench::{Bench, words};
use crate::clips;
use crate::link::{Made, demuxed, transcoded};
use crate::report::Findings;
use crate::support::appliance::headend;

/// Nothing but samples of pictures is as large as this; bitstreams of these clips are smaller.
const FRAME_SIZED_BYTES: f64 = 57_600.0;

/// Transcodes a clip and counts.
pub fn check(bench: &Bench, findings: &mut Findings) -> Result<(), String> {
    if let Some(why) = bench.no_decoder() {
        findings.leave_out("copies", why);
        return Ok(());
    }
    let path = match bench.clips.find(&clips::H264) {
        Ok(path) => path,
        Err(why) => {
            findings.leave_out("copies", why);
            return Ok(());
        }
    };
    let clip = demuxed(&path)?;
    let rungs = [("360p", 640, 360), ("270p", 480, 270), ("180p", 320, 180)];
    let rungs: Vec<Rung> = rungs.map(|(name, width, height)| Rung::new(name, width, height, 600_000, "veryfast")).into();
    let made = transcoded(bench.seat(), rungs, &clip)?;
    let figure = format!("{} pictures in, {:?} out, {}", clip.units.len(), made.packets, told(&made));
    let what = if bench.encodes() { "ledger: none on the device's own path" } else { "ledger: one download per rung and picture" };
    findings.judge(what, &figure, expected(bench, &made, clip.units.len() as u64));
    by_profiler(bench, findings, &path, &made);
    Ok(())
}

fn told(made: &Made) -> String {
    let count = |count: &CopyCount| format!("{} {} ({} bytes)", count.pictures, count.reason.label(), count.bytes);
    match made.copies.as_deref() {
        None => "the worker says nothing of copies".into(),
        Some([]) => "no copies".into(),
        Some(counts) => counts.iter().map(count).collect::<Vec<_>>().join(", "),
    }
}

fn expected(bench: &Bench, made: &Made, pictures: u64) -> Result<(), String> {
    if made.packets.iter().any(|packets| *packets != pictures) {
        return Err(format!("not every rung has {pictures} packets"));
    }
    let copied = made.copies.as_ref().ok_or("the worker says nothing of copies")?;
    let crossed = |wanted: CopyReason| copied.iter().find(|count| count.reason == wanted).map_or(0, |count| count.pictures);
    for reason in CopyReason::all() {
        let wanted = if reason == CopyReason::HostEncoded && !bench.encodes() { made.packets.iter().sum() } else { 0 };
        if crossed(reason) != wanted {
            return Err(format!("{} pictures crossed for {}, not {wanted}", crossed(reason), reason.label()));
        }
    }
    Ok(())
}

/// The same of `headend transcode`, which makes one rung of this clip, as `nsys` counts.
fn by_profiler(bench: &Bench, findings: &mut Findings, clip: &Path, made: &Made) {
    let what = "copies of a picture's size as nsys counts them";
    if bench.is_double || Command::new("nsys").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return findings
            .leave_out(what, if bench.is_double { "there is nothing to profile on a double" } else { "nsys is not on the PATH" });
    }
    let wanted = if bench.encodes() { 0 } else { made.packets.first().copied().unwrap_or(0) };
    let counted = profiled(clip);
    let figure = counted.as_ref().map_or_else(|_| String::new(), |count| format!("{count}"));
    let judged = counted.and_then(|count| if count == wanted { Ok(()) } else { Err(format!("not {wanted}")) });
    findings.judge(what, &figure, judged);
}

fn profiled(clip: &Path) -> Result<u64, String> {
    let folder = tempfile::tempdir().map_err(words)?;
    let (trace, out) = (folder.path().join("trace"), folder.path().join("out"));
    let mut record = Command::new("nsys");
    record.args(["profile", "--trace=cuda", "--sample=none", "--cpuctxsw=none", "--output"]).arg(&trace);
    record.arg(headend()).arg("transcode").arg(clip).arg("--out").arg(out).args(["--device", "require"]);
    let recorded = record.stdin(Stdio::null()).output().map_err(words)?;
    if !recorded.status.success() {
        return Err(format!("nsys profile: {}", String::from_utf8_lossy(&recorded.stderr).trim()));
    }
    let mut list = Command::new("nsys");
    list.args(["stats", "--report", "cuda_gpu_trace", "--format", "csv"]).arg(trace.with_extension("nsys-rep"));
    let listed = list.output().map_err(words)?;
    frame_sized_copies(&String::from_utf8_lossy(&listed.stdout))
}

/// Counts copies between device and host that are as large as a picture, in the table of `nsys stats`, whose sizes are in MB.
fn frame_sized_copies(table: &str) -> Result<u64, String> {
    let cells = |line: &str| line.split(',').map(|cell| cell.trim_matches('"').to_owned()).collect::<Vec<_>>();
    let mut lines = table.lines().skip_while(|line| !line.contains("Bytes (MB)"));
    let header = cells(lines.next().ok_or("nsys stats prints no sizes")?);
    let bytes_at = header.iter().position(|name| name == "Bytes (MB)").ok_or("nsys stats prints no sizes")?;
    let is_one = |line: &&str| {
        let crosses = line.contains("DtoH") || line.contains("HtoD") || line.contains("Device-to-Host") || line.contains("Host-to-Device");
        let bytes = cells(line).get(bytes_at).and_then(|cell| cell.parse::<f64>().ok()).map_or(0.0, |megabytes| megabytes * 1e6);
        crosses && bytes >= FRAME_SIZED_BYTES
    };
    Ok(lines.filter(is_one).count() as u64)
}
