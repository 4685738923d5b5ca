//! `headend-worker`: the process around native codecs. `headend` starts it; people only ever need `probe`, `devices` and `load`.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use headend::base::syslog::Prioritized;
use headend::codec::software::forward_library_logs;
use headend::media::device::CudaSeat;
use headend::worker::sandbox::{Confined, lock_down};
use headend::worker::{
    RoleError, be_the_first_to_go, calibrate, calibrate_gpu, codec_role, devices, die_with_parent, file_role, load, probe, use_small_pages,
};
use tracing_subscriber::EnvFilter;

/// Decodes, scales and encodes for one channel of headend, in a process of its own.
///
/// It is started by `headend`, which keeps a link to it on descriptor 0 and restarts it when it fails. Its log goes to
/// standard error. Run by hand, only `headend-worker probe`, `devices` and `load` are of use.
#[derive(Debug, Parser)]
#[command(name = "headend-worker", version = headend::app::version::SHORT, long_version = headend::app::version::WORKER, verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
    /// Form of the log.
    #[arg(long, value_enum, default_value_t = LogForm::Text, global = true)]
    log: LogForm,
    /// The channel's name, for those who read the list of processes.
    #[arg(long, value_name = "NAME", global = true)]
    channel: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
enum Role {
    /// Access units in, packets of every rung out: descriptor 0 is the link, descriptor 1 the slate's file where one shall be shown.
    Codec,
    /// A file in, its access units out: descriptor 0 is the link, descriptor 1 the file, opened for reading.
    File,
    /// Measures what a core of this machine does, for a second or two, and prints it as JSON; or what the encoders of a GPU do.
    Calibrate {
        /// A GPU, which must be at `--ordinal`.
        #[arg(long, value_name = "UUID")]
        gpu: Option<String>,
        /// The driver's number of it.
        #[arg(long, value_name = "N", default_value_t = 0)]
        ordinal: u32,
        /// Encode sessions at once.
        #[arg(long, value_name = "N", default_value_t = 1)]
        sessions: u32,
    },
    /// Prints what this machine can decode and encode, as JSON.
    Probe,
    /// Prints how far this machine's kernel lets it be locked down, as JSON.
    Confinement,
    /// Prints what this machine's GPUs are good for, found by trying, as JSON.
    Devices {
        /// A GPU in use, whose encode sessions are not counted again: one is opened, to see that it can be.
        #[arg(long, value_name = "UUID")]
        known: Vec<String>,
    },
    /// Prints how busy this machine's GPUs are, as a line of JSON for each line that it reads.
    Load,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogForm {
    Text,
    Json,
    /// Text with priorities, as systemd reads it.
    Journal,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.log);
    be_the_first_to_go();
    let confinement = lock_down(Confined::Codecs);
    forward_library_logs();
    // A codec worker learns its channel's name over the link: it may have been started before there was one.
    let in_channel = tracing::error_span!("worker", channel = tracing::field::Empty).entered();
    if let (Role::File, Some(channel)) = (&arguments.role, &arguments.channel) {
        in_channel.record("channel", channel.as_str());
    }
    let ended = match &arguments.role {
        Role::Probe => return print(probe()),
        Role::Confinement => return print(serde_json::to_string(&confinement)),
        Role::Devices { known } => {
            // A driver that hangs must not keep this process when its front is gone.
            die_with_parent();
            return print(devices(known));
        }
        Role::Load => {
            die_with_parent();
            load(BufReader::new(std::io::stdin()), std::io::stdout()).map_err(RoleError::from)
        }
        Role::Calibrate { gpu, ordinal, sessions } => {
            die_with_parent();
            let measured = match gpu {
                None => calibrate(),
                Some(uuid) => calibrate_gpu(&CudaSeat { ordinal: *ordinal, uuid: uuid.clone(), encodes: true }, *sessions),
            };
            measured.and_then(|text| Ok(writeln!(std::io::stdout(), "{text}")?))
        }
        Role::Codec => link().and_then(|link| codec_role(link, input()?)),
        Role::File => link().and_then(|link| file_role(link, input()?)),
    };
    match ended {
        // Threads that are still at work have nobody left to work for: returning from main ends them.
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            tracing::error!(fault = %cause.fault(), "{cause}");
            ExitCode::FAILURE
        }
    }
}

/// Descriptor 0 as the link.
fn link() -> Result<UnixStream, RoleError> {
    die_with_parent();
    use_small_pages();
    let link = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    match link.peer_addr() {
        Ok(_) => Ok(link),
        Err(_) => Err(RoleError::Protocol(
            "descriptor 0 is no link: headend-worker is started by headend, not by hand (try `headend-worker probe`)".into(),
        )),
    }
}

/// Descriptor 1 as the file.
fn input() -> Result<File, RoleError> {
    Ok(File::from(std::io::stdout().as_fd().try_clone_to_owned()?))
}

fn print(report: serde_json::Result<String>) -> ExitCode {
    let printed = report.map_err(std::io::Error::other).and_then(|text| writeln!(std::io::stdout(), "{text}"));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            tracing::error!(%cause, "the capabilities could not be printed");
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error; `HEADEND_LOG` filters (`debug`, `headend::worker=trace`).
fn start_log(form: LogForm) {
    let filter = EnvFilter::try_from_env("HEADEND_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match form {
        LogForm::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogForm::Json => log.json().flatten_event(true).init(),
        LogForm::Journal => log.with_ansi(false).event_format(Prioritized::default()).init(),
    }
}
