//! Command line, wiring, signals, telemetry: the only floor that sees all others.

pub mod ask_reload;
pub mod ask_worker;
pub mod banner;
pub mod calibrate;
pub mod certificates;
pub mod channel_files;
pub mod check;
pub mod cli;
pub mod confinement;
pub mod control_socket;
pub mod devices;
pub mod feeds;
pub mod kept_file;
pub mod keys;
pub mod limits;
pub mod listeners;
pub mod logging;
pub mod plan;
pub mod print;
pub mod probe;
pub mod reload;
pub mod runtimes;
pub mod serve;
pub mod service;
pub mod state_dir;
pub mod stream_keys;
pub mod telemetry;
pub mod token;
pub mod transcode;
pub mod version;

use std::process::ExitCode;

use tracing::Level;

use crate::base::syslog::{stderr_is_journal, with_priority};

/// Runs the command line; what `main` does.
pub fn run() -> ExitCode {
    let command = cli::parse();
    match command {
        cli::Command::Serve(arguments) => report(serve::serve(arguments).inspect_err(|cause| service::failed(&cause.to_string()))),
        cli::Command::Reload(arguments) => ask_reload::ask_reload(&arguments),
        cli::Command::Check(arguments) => check::check(&arguments),
        cli::Command::Transcode(arguments) => report(transcode::transcode(&arguments)),
        cli::Command::Token(arguments) => report(token::token(&arguments)),
        cli::Command::Plan(arguments) => plan::plan(&arguments),
        cli::Command::Probe(arguments) => report(probe::probe(&arguments)),
    }
}

fn report<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            let text = format!("headend: {cause}");
            match stderr_is_journal() {
                true => print::err(with_priority(&Level::ERROR, &text)),
                false => print::err(format_args!("{text}\n")),
            }
            ExitCode::FAILURE
        }
    }
}
