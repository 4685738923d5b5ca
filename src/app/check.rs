//! `headend check`: everything that is wrong with a configuration file, at once.

use std::process::ExitCode;

use crate::app::cli::CheckArguments;
use crate::config::{self, Overrides};

/// Runs the command.
pub fn check(arguments: &CheckArguments) -> ExitCode {
    match config::load(&arguments.file, &Overrides::default()) {
        Ok(plan) => {
            println!("{}: valid\n{}", arguments.file.display(), plan.summary());
            ExitCode::SUCCESS
        }
        Err(report) => {
            eprintln!("{report}");
            ExitCode::FAILURE
        }
    }
}
