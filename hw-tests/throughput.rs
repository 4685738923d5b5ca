//! The standard ladder of a file through `headend transcode`, on the card and in software.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bench::{Bench, words};
use crate::clips;
use crate::link::demuxed;
use crate::report::Findings;
use crate::support::appliance::headend;
use crate::support::hls;
use crate::support::wait::Stopwatch;

/// `/proc` counts CPU time in hundredths of a second on every architecture that has these cards.
const TICKS_A_SECOND: f64 = 100.0;

/// Transcodes a short and a long clip, so that what a start costs can be told from what a picture costs.
pub fn check(bench: &Bench, findings: &mut Findings) -> Result<(), String> {
    let (short, long) = if bench.quick { (clips::CROPPED, clips::H264) } else { (clips::FULL_HD, clips::FULL_HD_LONG) };
    let [short, long] = [bench.clips.find(&short), bench.clips.find(&long)];
    let (short, long) = match (short, long) {
        (Ok(short), Ok(long)) => (short, long),
        (Err(why), _) | (_, Err(why)) => {
            findings.leave_out("transcoding", why);
            return Ok(());
        }
    };
    for device in ["require", "software"] {
        let kind = if bench.encodes() { "decoder, kernel and encoder of the card" } else { "hybrid: decoder and kernel of the card, x264" };
        let what = if device == "require" { kind } else { "software" };
        if let Some(why) = bench.no_decoder().filter(|_| device == "require") {
            findings.leave_out(what, why);
            continue;
        }
        let runs = Run::of(&short, device).and_then(|short| Ok((short, Run::of(&long, device)?)));
        findings.judge_speed(what, runs.map(|(short, long)| compared(&short, &long)), Ok(()));
    }
    Ok(())
}

/// Pictures a second between the starts, and CPU time for each.
fn compared(short: &Run, long: &Run) -> String {
    let pictures = long.pictures - short.pictures;
    let each = |run: fn(&Run) -> f64| (run(long) - run(short)) / pictures;
    format!(
        "{} rungs: {:.0} pictures/s, {:.1} ms of CPU time each; {:.0} pictures in {:.1} s with the start",
        long.rungs,
        1.0 / each(|run| run.seconds).max(1e-6),
        each(|run| run.cpu_s) * 1e3,
        long.pictures,
        long.seconds
    )
}

/// One file.
struct Run {
    pictures: f64,
    seconds: f64,
    cpu_s: f64,
    rungs: usize,
}

impl Run {
    fn of(clip: &Path, device: &str) -> Result<Run, String> {
        let pictures = demuxed(clip)?.units.len();
        let folder = tempfile::tempdir().map_err(words)?;
        let mut command = Command::new(headend());
        command.arg("transcode").arg(clip).arg("--out").arg(folder.path()).args(["--device", device, "--segment", "1s"]);
        let (watch, cpu_s) = (Stopwatch::start(), children_cpu_s());
        let output = command.stdin(Stdio::null()).output().map_err(words)?;
        let (seconds, cpu_s) = (watch.seconds(), children_cpu_s() - cpu_s);
        if !output.status.success() {
            return Err(format!("headend transcode --device {device}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let rungs = complete_rungs(folder.path(), pictures as f64 / 25.0)?;
        Ok(Run { pictures: pictures as f64, seconds, cpu_s, rungs })
    }
}

/// How many rungs were made; an error where one is shorter than the clip.
fn complete_rungs(folder: &Path, length_s: f64) -> Result<usize, String> {
    let read = |path: &str| fs::read_to_string(folder.join(path)).map_err(|cause| format!("{path}: {cause}"));
    let master = hls::multivariant(&read("master.m3u8")?)?;
    for variant in &master.variants {
        let uri = variant.get("URI").ok_or("a variant without a URI")?;
        let made_s: f64 = hls::media(&read(uri)?)?.segments.iter().map(|segment| segment.duration_s).sum();
        if (made_s - length_s).abs() > 0.1 {
            return Err(format!("{uri} is {made_s:.2} s long, and the clip {length_s:.2} s"));
        }
    }
    match master.variants.len() {
        0 => Err("no rung was made".into()),
        count => Ok(count),
    }
}

/// CPU time of all children that have ended, and of theirs.
fn children_cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    // The 16th and 17th field of proc(5), of which the first two are before the bracket.
    fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_A_SECOND
}
