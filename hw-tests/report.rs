//! What was found, line by line, and the report that is made of it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use headend::media::device::{DeviceReport, GpuReport};
use serde::{Deserialize, Serialize};

use crate::bench::is_double;

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// As it must be.
    Held,
    /// Not so, and how.
    Failed(String),
    /// Not tried, and why.
    LeftOut(String),
}

impl Verdict {
    /// Whether it fails the run.
    pub fn is_failure(&self) -> bool {
        matches!(self, Verdict::Failed(_))
    }

    fn words(&self) -> String {
        match self {
            Verdict::Held => "held".into(),
            Verdict::Failed(how) => format!("FAILED: {how}"),
            Verdict::LeftOut(why) => format!("left out: {why}"),
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    check: String,
    what: String,
    figure: String,
    /// What became of it.
    pub verdict: Verdict,
}

impl Line {
    /// A line without a figure.
    pub fn said(check: &str, what: &str, verdict: Verdict) -> Line {
        Line { check: check.into(), what: what.into(), figure: String::new(), verdict }
    }
}

/// What a check finds; each line is kept as soon as it is said.
pub struct Findings {
    check: String,
    is_double: bool,
    file: File,
}

impl Findings {
    /// Of this check, kept in `file`.
    pub fn new(check: &str, is_double: bool, file: &Path) -> Findings {
        let file = OpenOptions::new().create(true).append(true).open(file).expect("the findings can be written");
        Findings { check: check.into(), is_double, file }
    }

    /// Says a line.
    pub fn say(&mut self, what: &str, figure: &str, verdict: Verdict) {
        println!("  {what}: {}{}", verdict.words(), if figure.is_empty() { String::new() } else { format!(" ({figure})") });
        let line = Line { check: self.check.clone(), what: what.into(), figure: figure.into(), verdict };
        let text = serde_json::to_string(&line).expect("a line is text");
        writeln!(self.file, "{text}").expect("the findings can be written");
    }

    /// Says what holds, or how it does not.
    pub fn judge(&mut self, what: &str, figure: &str, outcome: Result<(), String>) {
        self.say(what, figure, outcome.map_or_else(Verdict::Failed, |()| Verdict::Held));
    }

    /// As [`Findings::judge`] of a figure that depends on the speed of the card, and how it must be: on a double there is none, and only
    /// a failure to measure counts.
    pub fn judge_speed(&mut self, what: &str, measured: Result<String, String>, wanted: Result<(), String>) {
        match measured {
            Err(cause) => self.judge(what, "", Err(cause)),
            Ok(_) if self.is_double => self.say(what, "no figure on a double", Verdict::Held),
            Ok(figure) => self.judge(what, &figure, wanted),
        }
    }

    /// Says what was not tried.
    pub fn leave_out(&mut self, what: &str, why: impl Into<String>) {
        self.say(what, "", Verdict::LeftOut(why.into()));
    }
}

/// The lines that a check has kept.
pub fn read(file: &Path) -> Vec<Line> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The report.
pub struct Report {
    card: String,
    driver: String,
    is_double: bool,
    /// Everything that was looked at.
    pub lines: Vec<Line>,
}

impl Report {
    /// On this card.
    pub fn new(gpu: &GpuReport, devices: &DeviceReport) -> Report {
        let (major, minor) = gpu.compute;
        let gib = gpu.memory_bytes as f64 / f64::from(1 << 30);
        let reason = if gpu.reason.is_empty() { String::new() } else { format!(" ({})", gpu.reason) };
        let cuda =
            devices.cuda_version.map_or_else(|| "unknown".to_owned(), |version| format!("{}.{}", version / 1000, version % 1000 / 10));
        let nvenc = devices.nvenc_version.map_or_else(|| "none".to_owned(), |(major, minor)| format!("{major}.{minor}"));
        let driver = devices.driver.clone().unwrap_or_else(|| "of unknown version".into());
        Report {
            card: format!("{}, compute {major}.{minor}, {gib:.0} GiB: {}{reason}", gpu.name, gpu.verdict.label()),
            driver: format!("driver {driver}, CUDA {cuda}, NVENC API {nvenc}"),
            is_double: is_double(gpu),
            lines: Vec::new(),
        }
    }

    /// What it was done on.
    pub fn heading(&self) -> String {
        let mark = if self.is_double { " [double of the driver: no figure counts]" } else { "" };
        format!("{}; {}{mark}", self.card, self.driver)
    }

    /// How many lines came out how.
    pub fn totals(&self) -> String {
        let failed = self.lines.iter().filter(|line| line.verdict.is_failure()).count();
        let held = self.lines.iter().filter(|line| line.verdict == Verdict::Held).count();
        format!("{held} held, {failed} FAILED, {} left out", self.lines.len() - held - failed)
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let cell = |text: &str| text.replace('|', "/").replace('\n', " ");
        let mark = if self.is_double { "double: " } else { "" };
        let mut text = format!("### {}\n\n", cell(&self.heading()));
        text.push_str(&format!("{}; {}; headend {}, commit {}.\n\n", self.totals(), today(), env!("CARGO_PKG_VERSION"), commit()));
        text.push_str("| check | what | figure | verdict |\n|---|---|---|---|\n");
        for Line { check, what, figure, verdict } in &self.lines {
            text.push_str(&format!("| {check} | {} | {} | {mark}{} |\n", cell(what), cell(figure), cell(&verdict.words())));
        }
        text
    }
}

fn today() -> String {
    said(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_else(|| "date unknown".into())
}

/// `HEADEND_COMMIT` where there is no repository.
fn commit() -> String {
    let asked = || said(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(env!("CARGO_MANIFEST_DIR")));
    std::env::var("HEADEND_COMMIT").ok().or_else(asked).unwrap_or_else(|| "unknown".into())
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
}
