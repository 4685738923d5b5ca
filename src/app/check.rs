//! `headend check`: everything that is wrong with a configuration file, at once.

use std::process::ExitCode;

use crate::app::cli::CheckArguments;
use crate::app::print;
use crate::base::clock;
use crate::base::tls::Pair;
use crate::config::{self, Overrides, Plan};
use crate::origin::iso8601;

/// Runs the command.
pub fn check(arguments: &CheckArguments) -> ExitCode {
    match config::load(&arguments.file, &Overrides::default()) {
        Ok(plan) if !in_time(&plan) => ExitCode::FAILURE,
        Ok(plan) => {
            print::out(format_args!("{}: valid\n{}\n", arguments.file.display(), plan.summary()));
            ExitCode::SUCCESS
        }
        Err(report) => {
            print::err(format_args!("{report}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Says which certificates are not valid now. The files are good, so that `serve` shows them all the same: a clock may be wrong.
fn in_time(plan: &Plan) -> bool {
    let now = clock::wall();
    let mut all = true;
    for files in &plan.certificates {
        let Ok(pair) = Pair::load(files) else { continue };
        let (from, until) = (iso8601(pair.not_before()), iso8601(pair.not_after()));
        if now > pair.not_after() || now < pair.not_before() {
            print::err(format_args!(
                "{}: is valid from {from} to {until}, and now it is {}; put a valid certificate there\n",
                files.chain.display(),
                iso8601(now)
            ));
            all = false;
        }
    }
    all
}
