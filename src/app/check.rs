//! `headend check`: everything that is wrong with a configuration file, at once.

use std::process::ExitCode;

use crate::app::cli::CheckArguments;
use crate::channel::plan::{Idle, LadderPlan};
use crate::config::{self, Overrides, Plan};

/// Runs the command.
pub fn check(arguments: &CheckArguments) -> ExitCode {
    match config::load(&arguments.file, &Overrides::default()) {
        Ok(plan) => {
            print!("{}", summary(&arguments.file.display().to_string(), &plan));
            ExitCode::SUCCESS
        }
        Err(report) => {
            eprintln!("{report}");
            ExitCode::FAILURE
        }
    }
}

fn summary(file: &str, plan: &Plan) -> String {
    let rtmp = plan.rtmp.map_or_else(|| "off".to_owned(), |address| address.to_string());
    let mut text = format!("{file}: valid\n  http {}  rtmp {rtmp}  state {}\n", plan.http, plan.state_dir.display());
    for channel in &plan.channels {
        let ladder = match &channel.ladder {
            LadderPlan::Rungs(rungs) => rungs.iter().map(|rung| rung.name.as_str()).collect::<Vec<_>>().join(" "),
            LadderPlan::Auto => "chosen by the source and this machine".to_owned(),
            LadderPlan::Copy => "the source as it is".to_owned(),
        };
        let idle = if channel.idle == Idle::Pattern { "pattern" } else { "waits" };
        text.push_str(&format!("  channel {}: {idle}; {ladder}; http://{}/live/{}/master.m3u8\n", channel.name, plan.http, channel.name));
    }
    for wildcard in &plan.wildcards {
        text.push_str(&format!("  channels {}: at most {}\n", wildcard.pattern(), wildcard.max_channels));
    }
    text
}
