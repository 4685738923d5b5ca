//! A Prometheus that scrapes one appliance every second, with the repository's alert rules.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::appliance::free_address;
use crate::support::http;
use crate::support::process::Process;
use crate::support::tools;

/// A running Prometheus; stopped when dropped.
pub struct Prometheus {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target`.
    pub fn start(target: SocketAddr) -> Prometheus {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = tools::repository().join("configs/prometheus");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}/*.rules.yml']\nscrape_configs:\n- job_name: headend\n  static_configs: [{{targets: ['{target}']}}]\n",
            rules.display()
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, text).expect("a file");
        let address = free_address();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display())).arg(format!("--web.listen-address={address}"));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        let process = Process::start(&mut command, &folder.path().join("prometheus.log"));
        Prometheus { process, address, _folder: folder }
    }

    /// How many series a query has now; its error in words.
    pub fn ask(&self, expr: &str) -> Result<usize, String> {
        let encoded: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"))?;
        match answer["data"]["result"].as_array() {
            Some(series) if answer["status"] == "success" => Ok(series.len()),
            _ => Err(format!("{expr}: {answer}")),
        }
    }

    /// The alerts that fire now.
    pub fn firing(&self) -> Vec<String> {
        let answer = self.get("/api/v1/alerts").expect("it answers");
        let alerts = answer["data"]["alerts"].as_array().expect("alerts").iter();
        alerts.filter(|alert| alert["state"] == "firing").map(|alert| alert["labels"].to_string()).collect()
    }

    /// It has not ended.
    pub fn assert_runs(&mut self) {
        assert_eq!(self.process.ended(), None);
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let answer = http::get(self.address, path)?;
        serde_json::from_slice(&answer.body).map_err(|cause| format!("{cause}: {}", answer.text()))
    }
}
