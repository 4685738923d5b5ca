//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::app::version;

/// A live-transcode appliance: RTMP, SRT and MPEG-TS in, an adaptive ladder out as HLS and DASH.
///
/// `headend serve` with no options puts a test pattern on the air at http://127.0.0.1:8080/ and takes a publisher at
/// rtmp://127.0.0.1/live/demo. `headend transcode` makes the same renditions of a file.
#[derive(Debug, Parser)]
#[command(name = "headend", version = version::SHORT, long_version = version::FRONT, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the appliance: take publishers, make ladders, serve viewers.
    Serve(ServeArguments),
    /// Let the running appliance read its configuration again, and say what changes and when it takes effect.
    Reload(ReloadArguments),
    /// Say everything that is wrong with a configuration file, with line, rule and remedy; exit 1 if anything is.
    Check(CheckArguments),
    /// Say which channel of a configuration gets which seat on this machine, or on another one; exit 1 if one gets none. Starts nothing.
    Plan(PlanArguments),
    /// Make an adaptive ladder of a file, in a directory that any web server can serve.
    Transcode(TranscodeArguments),
    /// Make, list and revoke the tokens that let others operate this appliance over its API.
    Token(TokenArguments),
    /// Say what this machine can encode with: its cores, its codecs, its GPUs.
    Probe(ProbeArguments),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
    /// With fields and priorities, for systemd's journal; as text where standard error does not go there.
    Journal,
}

impl LogFormat {
    /// As the command line writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
            LogFormat::Journal => "journal",
        }
    }
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Configuration file (TOML); without it the built-in one runs: channel `demo` with a test pattern.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where viewers connect, instead of what the configuration says [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// Where publishers connect, instead of what the configuration says [default: 127.0.0.1:1935].
    #[arg(long, value_name = "ADDR")]
    pub rtmp: Option<String>,
    /// Where SRT callers publish, instead of what the configuration says [default: 127.0.0.1:9000]; "off" closes it.
    #[arg(long, value_name = "ADDR")]
    pub srt: Option<String>,
    /// Where sequence numbers and generated keys are kept, instead of what the configuration says.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How log lines look. The level comes from HEADEND_LOG (`debug`, `headend::channel=debug` ...).
    #[arg(long, value_enum, default_value = "text")]
    pub log: LogFormat,
}

/// Options of `reload`.
#[derive(Debug, Args)]
pub struct ReloadArguments {
    /// The configuration file of the running appliance, which says where its state directory is.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The state directory, where `serve` was given one too.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Ask over HTTP there, and not over the socket in the state directory.
    #[arg(long, value_name = "ADDR", conflicts_with = "state_dir")]
    pub http: Option<String>,
    /// Change nothing: only say what would be different.
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The configuration file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// The configuration file; without it the built-in one.
    #[arg(value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// As one JSON object instead of a table, as `/api/v1/plan` shows it of a running appliance.
    #[arg(long)]
    pub json: bool,
    /// Plan for the machine in this file instead of this one: what `headend probe --json` or `headend plan --print-inventory` printed there.
    #[arg(long, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// Print what this machine has, for `--inventory` elsewhere, and plan nothing.
    #[arg(long, conflicts_with_all = ["config", "json", "inventory"])]
    pub print_inventory: bool,
}

/// A format of `transcode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// Fragmented MP4 with HLS playlists and a DASH manifest.
    Cmaf,
    /// MPEG-TS with HLS playlists, below `ts/`.
    Ts,
}

/// Options of `transcode`.
#[derive(Debug, Args)]
pub struct TranscodeArguments {
    /// The file: anything that FFmpeg reads.
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// The directory to make; an existing one is written into.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The ladder: a built-in name, or a TOML file with `[[ladder.NAME]]` tables.
    #[arg(long, value_name = "NAME|FILE", default_value = "standard")]
    pub ladder: String,
    /// What to make.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "cmaf")]
    pub format: Vec<FileFormat>,
    /// Length of a segment.
    #[arg(long, value_name = "DURATION", default_value = "6s")]
    pub segment: String,
    /// Where to work: on a GPU where one has room (`prefer`), on a GPU or not at all (`require`), or in software.
    #[arg(long, value_enum, default_value = "prefer")]
    pub device: DeviceChoice,
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text")]
    pub log: LogFormat,
}

/// Where `transcode` works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// On a GPU where one has room, else in software.
    Prefer,
    /// On a GPU or not at all.
    Require,
    /// In software.
    Software,
}

/// Options of `probe`.
#[derive(Debug, Args)]
pub struct ProbeArguments {
    /// As one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `token`.
#[derive(Debug, Args)]
pub struct TokenArguments {
    /// What to do.
    #[command(subcommand)]
    pub action: TokenAction,
    /// Configuration file of the appliance, which says where its state directory is.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The state directory, instead of what the configuration says.
    #[arg(long, value_name = "DIR", global = true)]
    pub state_dir: Option<PathBuf>,
}

/// What `token` does. A running appliance follows within ten seconds.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Make a token and print it: this once, for only its digest is kept.
    New {
        /// Who will have it; the audit log names it so.
        #[arg(value_name = "NAME")]
        name: String,
        /// What it is good for.
        #[arg(long, value_enum)]
        role: RoleChoice,
        /// Keep nothing; print a [[token]] table for the configuration beside the token.
        #[arg(long)]
        print: bool,
    },
    /// Name the tokens of the state directory, with their roles.
    List,
    /// Remove a token from the state directory.
    Revoke {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// A role of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleChoice {
    /// See who publishes and what came in.
    Viewer,
    /// Operate channels.
    Operator,
    /// Create and delete channels, see and change keys.
    Admin,
}

/// The command that was given; leaves with a message if it is not one.
pub fn parse() -> Command {
    Cli::parse().command
}
