//! `headend-srt`: the process around libsrt. `headend` starts it, one for all SRT ports.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use headend::base::syslog::Prioritized;
use headend::worker::sandbox::{Confined, lock_down};
use headend::worker::srt::gateway_role;
use headend::worker::{RoleError, be_the_first_to_go, die_with_parent};
use tracing_subscriber::EnvFilter;

/// Holds the SRT connections of headend, in a process of its own.
///
/// It is started by `headend`, which keeps a link to it on descriptor 0 and restarts it when it fails; ports, keys and
/// passphrases come over the link. Its log goes to standard error.
#[derive(Debug, Parser)]
#[command(name = "headend-srt", version = headend::app::version::SHORT, long_version = headend::app::version::GATEWAY, verbatim_doc_comment)]
struct Arguments {
    /// Form of the log.
    #[arg(long, value_enum, default_value_t = LogForm::Text)]
    log: LogForm,
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
    lock_down(Confined::Gateway);
    let _in_gateway = tracing::error_span!("srt").entered();
    match link().and_then(gateway_role) {
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
    let link = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    match link.peer_addr() {
        Ok(_) => Ok(link),
        Err(_) => Err(RoleError::Protocol("descriptor 0 is no link: headend-srt is started by headend, not by hand".into())),
    }
}

/// Logs to standard error; `HEADEND_LOG` filters (`debug`, `libsrt=debug,info`).
fn start_log(form: LogForm) {
    let filter = EnvFilter::try_from_env("HEADEND_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match form {
        LogForm::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogForm::Json => log.json().flatten_event(true).init(),
        LogForm::Journal => log.with_ansi(false).event_format(Prioritized::default()).init(),
    }
}
