//! `headend probe`: what this machine can encode with.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::app::cli::ProbeArguments;
use crate::app::logging;
use crate::base::Rate;
use crate::channel::worker_process::WorkerProgram;
use crate::placement;

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
    let output = program.command("probe", "probe", link).stdout(Stdio::piped()).output()?;
    if !output.status.success() {
        return Err(ProbeError::Failed(output.status));
    }
    let codecs: Value = serde_json::from_slice(&output.stdout)?;
    let inventory = placement::linux::inventory();
    let (ladder, left_out) = placement::auto(1920, 1080, Rate::new(30, 1), inventory.cores_allowed);
    let ladder: Vec<&str> = ladder.iter().map(|rung| rung.name.as_str()).collect();
    let left_out: Vec<String> = left_out.iter().map(|left_out| left_out.to_string()).collect();
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "cores": inventory.cores_allowed,
        "memory_bytes": inventory.memory_bytes,
        "software": codecs,
        "auto_ladder_1080p30": { "rungs": ladder, "left_out": left_out },
    });
    if arguments.json {
        println!("{report:#}");
    } else {
        print!("{}", table(&report));
    }
    Ok(())
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
