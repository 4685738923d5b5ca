//! TOML as typed, then as meant.
//!
//! ```text
//! text -> document -> written (values converted, key by key) -> Plan (defaults filled in, rules kept)
//!             \________________\___________________________________\__> Report: everything wrong at once
//! ```
//!
//! [`keys`] is the list of what a file may say; `docs/configuration.md` explains it and a test compares the two.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::base::Ticks;

mod access;
mod admission;
mod certificates;
mod channels;
mod devices;
mod diff;
mod document;
mod failover;
mod feeds;
pub mod keys;
mod ladder_file;
mod ladders;
mod machine;
mod meant;
mod node;
mod overlay;
mod pinning;
mod plan;
mod report;
mod scalar;
mod sink;
mod slate;
mod stream_keys;
mod summary;
#[cfg(test)]
mod tests;
mod timing;
mod units;
mod values;
mod written;
mod written_channel;

pub use access::{AccessPlan, Network, Role, TokenRecord, from_hex};
pub use devices::DevicesPlan;
pub use diff::{Difference, diff, without_restart};
pub use ladder_file::ladder;
pub use machine::default_state_dir;
pub use overlay::Overlay;
pub use plan::{Plan, WildcardPlan};
pub use report::{Problem, Report, Spot};
pub use stream_keys::random_key;
pub use units::{decimal_rate, written_bitrate, written_duration};
pub use values::is_name;

/// Port of the HTTP listener where none is given.
pub const HTTP_PORT: u16 = 8080;

/// Port of the HTTPS listener where an address has none.
pub const HTTPS_PORT: u16 = 8443;

/// Port of the RTMPS listener where an address has none.
pub const RTMPS_PORT: u16 = 1936;

/// Port of the RTMP listener where none is given.
pub const RTMP_PORT: u16 = 1935;

/// Port of the SRT listener where none is given (UDP).
pub const SRT_PORT: u16 = 9000;

/// Largest file in bytes. Thousands of channels fit; a video given by mistake does not.
const LARGEST_FILE: u64 = 1 << 20;

/// What the command line says beside the file. Rules that depend on a listener see the final one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--http`, as written.
    pub http: Option<String>,
    /// `--rtmp`, as written; `off` closes it.
    pub rtmp: Option<String>,
    /// `--srt`, as written; `off` closes it.
    pub srt: Option<String>,
    /// `--state-dir`; may be relative to the working directory.
    pub state_dir: Option<PathBuf>,
    /// Keys for channels, by name, for which the file has none: keys that an earlier run made.
    pub stream_keys: BTreeMap<String, String>,
    /// Makes a key for every channel that still has none where others can publish, instead of refusing the file.
    /// [`Plan::generated_keys`] names those channels. Meant for the embedded default configuration.
    pub generate_keys: bool,
}

/// The configuration that runs where no file is given.
pub fn embedded_default() -> &'static str {
    include_str!("../../configs/headend.toml")
}

/// A duration as people write it (`6s`, `500ms`), from the command line.
pub fn duration(text: &str) -> Result<Ticks, String> {
    units::duration(&scalar::Scalar::Text(text)).map_err(|complaint| format!("{text:?} {}; {}", complaint.rule, complaint.remedy))
}

/// Reads the file at `path` and makes a plan of it, or a report of everything that is wrong. Files that it names are looked
/// up from its folder, and must be there. Blocks while it reads.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Plan, Report> {
    let name = path.display().to_string();
    parsed(&name, &read(path)?, path.parent(), overrides)
}

/// As [`load`], or the built-in configuration where there is no file, with channels that stand in files of their own.
pub fn load_with(path: Option<&Path>, overlays: &[Overlay], overrides: &Overrides) -> Result<Plan, Report> {
    let (name, text, folder) = match path {
        Some(path) => (path.display().to_string(), read(path)?, path.parent()),
        None => ("built-in headend.toml".to_owned(), embedded_default().to_owned(), None),
    };
    overlays.iter().try_for_each(Overlay::check)?;
    let (whole, parts) = overlay::joined(&text, overlays);
    parsed(&name, &whole, folder, overrides).map_err(|report| report.with_parts(parts))
}

/// The state directory that a configuration names; other files that belong to it lie there. Blocks while it reads.
pub fn state_dir(path: Option<&Path>, overrides: &Overrides) -> Result<PathBuf, Report> {
    let text = path.map_or_else(|| Ok(embedded_default().to_owned()), read)?;
    // What is wrong with the rest is said when it is read as a whole.
    let mut sink = sink::Sink::new("", &text);
    let document = document::parse(&text, &mut sink);
    let written = document.map(|document| written::read(document.as_table(), &mut sink).overridden(overrides, &mut sink));
    let named = written.and_then(|written| written.state_dir.value().cloned());
    Ok(named.unwrap_or_else(|| default_state_dir(|name| std::env::var_os(name))))
}

/// Makes a plan of `text`, which messages call `name`, or a report of everything that is wrong. Looks no files up.
pub fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<Plan, Report> {
    parsed(name, text, None, overrides)
}

fn parsed(name: &str, text: &str, folder: Option<&Path>, overrides: &Overrides) -> Result<Plan, Report> {
    let mut sink = sink::Sink::new(name, text);
    let document = document::parse(text, &mut sink);
    let plan = document.map(|document| {
        let written = written::read(document.as_table(), &mut sink).overridden(overrides, &mut sink);
        meant::plan(&written, folder, overrides, &mut sink)
    });
    match (sink.into_report(), plan) {
        (None, Some(plan)) => Ok(plan),
        (Some(report), _) => Err(report),
        (None, None) => Err(Report::of_file(name, "is not valid TOML", "compare it with docs/configuration.md")),
    }
}

fn read(path: &Path) -> Result<String, Report> {
    let name = path.display().to_string();
    let unreadable =
        |error: std::io::Error| Report::of_file(&name, format!("cannot be read: {error}"), "check its name and who may read it");
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Report::of_file(&name, "is larger than 1 MiB", "give a configuration file"));
    }
    String::from_utf8(bytes).map_err(|_| Report::of_file(&name, "is not text in UTF-8", "give a configuration file, or save it as UTF-8"))
}
