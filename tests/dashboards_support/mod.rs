//! The queries of dashboards and alert rules, read from their files.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::support::tools;

pub mod prometheus;

/// A query, and where it stands.
#[derive(Clone, Debug)]
pub struct Query {
    /// `dashboard gpu-load.json: Engines`.
    pub place: String,
    /// The expression.
    pub expr: String,
    /// Text with `{{label}}` in it.
    pub legend: String,
}

/// The files of the dashboards.
pub fn dashboard_files() -> Vec<PathBuf> {
    let folder = fs::read_dir(tools::repository().join("configs/grafana")).expect("configs/grafana is there");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

/// Every dashboard with the name of its file.
pub fn read_all() -> Vec<(String, Value)> {
    let read = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("a dashboard is text");
        (file.file_name().expect("a name").to_string_lossy().into_owned(), serde_json::from_str(&text).expect("a dashboard is JSON"))
    };
    dashboard_files().iter().map(read).collect()
}

/// The queries of every panel and of every variable that asks for label values.
pub fn dashboard_queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, board) in read_all() {
        for panel in board["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
                let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
                let place = format!("dashboard {file}: {}", panel["title"].as_str().unwrap_or_default());
                queries.push(Query { place, expr: text("expr"), legend: text("legendFormat") });
            }
        }
        for variable in board["templating"]["list"].as_array().expect("variables") {
            let asked = variable["query"]["query"].as_str().and_then(|query| query.strip_prefix("label_values("));
            if let Some((family, label)) = asked.and_then(|query| query.strip_suffix(')')?.rsplit_once(", ")) {
                let expr = format!("count by ({label}) ({family})");
                queries.push(Query { place: format!("dashboard {file}: variable {label}"), expr, legend: String::new() });
            }
        }
    }
    queries
}

/// The expressions of every alert rule.
pub fn rule_queries() -> Vec<Query> {
    let folder = tools::repository().join("configs/prometheus");
    let mut queries = Vec::new();
    for group in ["channels", "devices", "machine"] {
        let text = fs::read_to_string(folder.join(format!("{group}.rules.yml"))).expect("rules are there");
        let exprs = text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
        queries.extend(exprs.map(|expr| Query { place: format!("rule of {group}"), expr: expr.to_owned(), legend: String::new() }));
    }
    queries
}

impl Query {
    /// With Grafana's variables as it would fill them in.
    pub fn filled_in(&self) -> Query {
        let expr = self.expr.replace("$__rate_interval", "10s");
        let expr = ["$instance", "$channel", "$device"].iter().fold(expr, |expr, variable| expr.replace(variable, ".+"));
        Query { expr, ..self.clone() }
    }

    /// The families that it names.
    pub fn families(&self) -> BTreeSet<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        self.expr.split(|c| !is_name(c)).filter(|word| word.starts_with("headend_")).map(str::to_owned).collect()
    }

    /// The labels that it names: in matchers, after `by` and `on`, and in its legend.
    pub fn labels(&self) -> BTreeSet<String> {
        let mut labels = BTreeSet::new();
        let matchers = self.expr.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        for matcher in matchers.flat_map(|matchers| matchers.split("\",")) {
            let end = matcher.find(['=', '!']).expect("a matcher has an operator");
            labels.insert(matcher[..end].trim().to_owned());
        }
        for keyword in ["by (", "on ("] {
            let groups = self.expr.split(keyword).skip(1).filter_map(|rest| rest.split(')').next());
            labels.extend(groups.flat_map(|group| group.split(',')).map(|label| label.trim().to_owned()));
        }
        labels.extend(self.legend.split("{{").skip(1).filter_map(|rest| Some(rest.split("}}").next()?.trim().to_owned())));
        labels
    }
}
