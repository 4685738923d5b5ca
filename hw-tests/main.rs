//! What an NVIDIA card is held to, in one command that ends in a report to paste into `docs/hardware.md`.
//!
//! ```text
//! headend-worker devices -> card -> each check in a process of its own -> findings -> report
//! ```
//!
//! A check that poisons its CUDA context, hangs or dies costs itself and no other. What the card cannot do is left out and says why.
//! Without a card there is nothing to test, which is a success. On the doubles of the driver everything runs and no figure counts.

mod bench;
mod clips;
mod copies;
mod cycles;
mod decode;
mod encode;
mod kernel_time;
mod kernels;
mod kill;
mod link;
mod options;
mod pictures;
mod report;
mod sessions;
#[path = "../tests/support/mod.rs"]
mod support;
mod throughput;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use bench::Bench;
use headend::codec::software::forward_library_logs;
use options::Options;
use report::{Findings, Report, Verdict};
use support::wait::{self, seconds};

/// A check: its name, what it asks, the longest that it may take in seconds, and itself.
type Check = (&'static str, &'static str, u64, fn(&Bench, &mut Findings) -> Result<(), String>);

const CHECKS: [Check; 9] = [
    ("kernels", "kernels equal the reference to the byte", 900, kernels::check),
    ("kernel-time", "time of the kernel for a picture of 1080p to four rungs", 300, kernel_time::check),
    ("decode", "decoding equals libavcodec to the sample", 600, decode::check),
    ("encode", "encoders' quality and rate", 600, encode::check),
    ("throughput", "a file through `headend transcode`", 600, throughput::check),
    ("copies", "pictures that cross between device and main memory", 300, copies::check),
    ("sessions", "encode sessions, opened until one is refused", 120, sessions::check),
    ("kill", "a worker killed on the air", 180, kill::check),
    ("cycles", "device memory after opening and closing over and over", 1800, cycles::check),
];

fn main() -> ExitCode {
    let options = match Options::read(env::args().skip(1)) {
        Ok(options) => options,
        Err(cause) => return failed(&cause),
    };
    if options.lists {
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = &options.carry_clips {
        let carried = clips::carry_all(&clips::Clips::new(options.clips.clone()), folder);
        return carried.map_or_else(|cause| failed(&cause), |()| ExitCode::SUCCESS);
    }
    let ended = match &options.run {
        Some(name) => run_here(name, &options),
        None => run_all(&options),
    };
    ended.unwrap_or_else(|cause| failed(&cause))
}

fn failed(cause: &str) -> ExitCode {
    eprintln!("hw-test: {cause}");
    ExitCode::FAILURE
}

/// Finds the card, runs every check in a child, writes the report.
fn run_all(options: &Options) -> Result<ExitCode, String> {
    let devices = link::devices()?;
    let Some(gpu) = devices.gpus.iter().find(|gpu| options.gpu.is_none_or(|ordinal| gpu.ordinal == ordinal)) else {
        println!("no NVIDIA device: nothing to test here");
        return Ok(ExitCode::SUCCESS);
    };
    let folder = tempfile::tempdir().map_err(|cause| cause.to_string())?;
    let card = folder.path().join("card.json");
    fs::write(&card, serde_json::to_vec(gpu).map_err(|cause| cause.to_string())?).map_err(|cause| cause.to_string())?;
    let mut report = Report::new(gpu, &devices);
    println!("{}", report.heading());
    for check in CHECKS.iter().filter(|check| options.is_wanted(check.0)) {
        println!("{}: {}", check.0, check.1);
        report.lines.extend(run_apart(check, options, &card, &folder.path().join(check.0))?);
    }
    let file = options.report.clone().unwrap_or_else(|| support::tools::repository().join("target/hw-report.md"));
    fs::write(&file, report.markdown()).map_err(|cause| format!("{} cannot be written: {cause}", file.display()))?;
    println!("{}\nreport: {}", report.totals(), file.display());
    Ok(if report.lines.iter().any(|line| line.verdict.is_failure()) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs one check in a child; the child's end is part of what is found.
fn run_apart(check: &Check, options: &Options, card: &std::path::Path, results: &std::path::Path) -> Result<Vec<report::Line>, String> {
    let (name, _, limit_s, _) = check;
    let program = env::current_exe().map_err(|cause| cause.to_string())?;
    let mut command = Command::new(program);
    command.args(options.for_child()).args(["--run", name]).arg("--card").arg(card).arg("--results").arg(results).stdin(Stdio::null());
    let mut child = command.spawn().map_err(|cause| format!("the check {name} does not start: {cause}"))?;
    let ended = wait::until_ok(seconds(*limit_s), || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        _ => Err("still at work"),
    });
    let mut lines = report::read(results);
    let complaint = match ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("the check ended with {status}")),
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            Some(format!("the check was stopped: it was at work for more than {limit_s} s"))
        }
    };
    if let Some(complaint) = complaint.filter(|_| !lines.iter().any(|line| line.verdict.is_failure())) {
        lines.push(report::Line::said(name, "runs to its end", Verdict::Failed(complaint)));
    } else if lines.is_empty() {
        lines.push(report::Line::said(name, "says something", Verdict::Failed("it found nothing, good or bad".into())));
    }
    Ok(lines)
}

/// Runs one check in this process.
fn run_here(name: &str, options: &Options) -> Result<ExitCode, String> {
    let check = CHECKS.iter().find(|check| check.0 == name).ok_or_else(|| format!("there is no check {name}"))?;
    // libav's own remarks; what counts comes back as errors.
    forward_library_logs();
    let bench = Bench::new(options)?;
    let mut findings = Findings::new(name, bench.is_double, options.results.as_deref().ok_or("--run goes with --results")?);
    let ended = catch_unwind(AssertUnwindSafe(|| check.3(&bench, &mut findings)));
    let cause = match ended {
        Ok(Ok(())) => return Ok(ExitCode::SUCCESS),
        Ok(Err(cause)) => cause,
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()))
            .unwrap_or_default(),
    };
    findings.say("runs to its end", "", Verdict::Failed(cause));
    Ok(ExitCode::FAILURE)
}
