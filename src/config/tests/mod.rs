//! What a configuration file does as a whole.

mod feeds;
mod golden;
mod manual;
mod noise;
mod reload;
mod rules;

use super::{Overrides, Plan, Report, parse};

/// A plan with the state directory out of the way of the environment.
fn plan_with(text: &str, overrides: Overrides) -> Result<Plan, Report> {
    parse("a.toml", text, &Overrides { state_dir: overrides.state_dir.clone().or(Some("/state".into())), ..overrides })
}

pub(super) fn plan(text: &str) -> Result<Plan, Report> {
    plan_with(text, Overrides::default())
}

/// The problems of a text, one line each.
pub(super) fn problems(text: &str) -> Vec<String> {
    let report = plan(text).map(|_| String::new()).unwrap_or_else(|report| report.to_string());
    report.lines().filter(|line| !line.ends_with(" in a.toml")).map(str::to_owned).collect()
}
