//! TOML as typed, then as meant.
//!
//! ```text
//! text -> document -> written (values converted, key by key) -> Plan (defaults filled in, rules kept)
//!             \________________\___________________________________\__> Report: everything wrong at once
//! ```
//!
//! [`keys`] is the list of what a file may say; `docs/configuration.md` explains it and a test compares the two.

use std::collections::BTreeMap;
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
mod source;
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
pub use source::SourceText;
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
    /// Files of certificates are not looked at: an appliance that starts goes on the air without those that are missing or broken.
    pub bears_certificates: bool,
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
    SourceText::read(Some(path))?.plan(&[], overrides)
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
