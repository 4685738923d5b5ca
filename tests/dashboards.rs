//! Dashboards, alert rules and metrics agree with each other: Grafana's types take the dashboards, promtool the rules, and a Prometheus that
//! scrapes an appliance answers every query.

mod support;

#[path = "dashboards_support/mod.rs"]
mod dashboards;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use dashboards::prometheus::Prometheus;
use dashboards::{Query, dashboard_files, dashboard_queries, rule_queries};
use headend::base::metrics::{Described, families};
use support::appliance::Appliance;
use support::configs::{channel, config};
use support::doubles::Driver;
use support::publisher::Publisher;
use support::wait::{self, seconds};
use support::{media, tools};

/// What shows nothing on a machine where all is well, or needs what the story does not have: an Intel or AMD GPU, TLS, a card that retires
/// pages, a fault.
const QUIET: [&str; 20] = [
    "headend_drm_",
    "headend_certificate_",
    "headend_device_nvml_retire",
    "headend_device_faults_total",
    "headend_worker_restarts_total",
    "headend_worker_takeover_seconds",
    "headend_feed_skips_total",
    "headend_feed_quarantined",
    "headend_faults_total",
    "headend_segment_gaps_total",
    "headend_refusals_total",
    "headend_fallbacks_total",
    "headend_flight_dumps_total",
    "headend_events_total",
    "headend_ingest_gaps_total",
    "headend_ingest_errors_total",
    "headend_ingest_refusals_total",
    "headend_feed_switches_total",
    "headend_srt_unread_bytes_total",
    "headend_http_requests_total{instance=~\".+\",status=~\"5..\"}",
];

#[test]
fn grafanas_own_types_take_every_dashboard() {
    let modules = tools::node_modules();
    let compiler = modules.join("typescript/bin/tsc");
    if !tools::has(&["node"]) {
        return;
    }
    if !compiler.exists() || !modules.join("@grafana/schema").exists() {
        return tools::left_out("typescript or @grafana/schema is missing (make test-deps installs them)");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let house = fs::read_to_string(tools::repository().join("tests/grafana/house.ts")).expect("the types are there");
    fs::write(folder.path().join("house.ts"), house).expect("a file");
    for file in dashboard_files() {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a dashboard is text");
        let checked = format!("import type {{ HouseDashboard }} from './house';\nexport const board: HouseDashboard = {text};\n");
        fs::write(folder.path().join(format!("{name}.ts")), checked).expect("a file");
    }
    let paths = format!("{{\"@grafana/schema/*\":[\"{}/@grafana/schema/*\"]}}", modules.display());
    let options = format!(
        "{{\"compilerOptions\":{{\"strict\":true,\"noEmit\":true,\"skipLibCheck\":true,\"target\":\"es2022\",\"module\":\"esnext\",\
         \"moduleResolution\":\"bundler\",\"types\":[],\"paths\":{paths}}},\"include\":[\"*.ts\"]}}"
    );
    fs::write(folder.path().join("tsconfig.json"), options).expect("a file");
    let run = Command::new("node").arg(compiler).arg("-p").arg(folder.path()).output().expect("node runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}

#[test]
fn dashboards_have_names_that_stay_and_panels_that_do_not_overlap() {
    let mut uids = BTreeSet::new();
    for (file, board) in dashboards::read_all() {
        assert!(uids.insert(board["uid"].as_str().expect("a uid").to_owned()), "{file}: its uid is another one's too");
        assert!(board.get("id").is_none(), "{file}: id is a number of the Grafana that it was exported from");
        let (mut ids, mut squares) = (BTreeSet::new(), BTreeSet::new());
        for panel in board["panels"].as_array().expect("panels") {
            assert!(ids.insert(panel["id"].as_u64()), "{file}: {} has another panel's id", panel["title"]);
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap_or_else(|| panic!("{file}: gridPos.{key} of {}", panel["title"]));
            assert!(at("x") + at("w") <= 24, "{file}: {} sticks out", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(squares.insert((x, y)), "{file}: {} lies on another panel", panel["title"]);
                }
            }
        }
    }
    assert_eq!(uids.len(), 4);
}

#[test]
fn queries_name_only_families_and_labels_that_there_are() {
    let families = families();
    let queries: Vec<Query> = dashboard_queries().into_iter().chain(rule_queries()).collect();
    assert!(queries.len() > 100, "{} queries were found", queries.len());
    let wrong: Vec<String> = queries.iter().filter_map(|query| wrong_with(query, &families)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let untrue = |expr: &str| wrong_with(&Query { place: "test".into(), expr: expr.into(), legend: String::new() }, &families).is_some();
    assert!(
        untrue("headend_segment_total") && untrue("sum by (rung) (headend_segments_total)") && untrue("headend_segments_total{rung=\"a\"}")
    );
    assert!(!untrue("sum by (channel, le) (rate(headend_segment_listing_seconds_bucket{channel=\"a\"}[1m]))"));
}

/// What a query has that no series can have.
fn wrong_with(query: &Query, families: &[Described]) -> Option<String> {
    let mut possible: BTreeSet<&str> = ["instance", "job", "le"].into();
    for name in query.families() {
        let plain = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_it =
            |family: &&Described| family.name == name || (family.kind == "histogram" && plain.is_some_and(|plain| plain == family.name));
        let Some(family) = families.iter().find(is_it) else { return Some(format!("{}: there is no {name}", query.place)) };
        possible.extend(family.labels.iter().map(String::as_str));
    }
    let labels = query.labels();
    let strange: Vec<&String> = labels.iter().filter(|label| !possible.contains(label.as_str())).collect();
    (!strange.is_empty()).then(|| format!("{}: no series of {} has {strange:?}", query.place, query.expr))
}

#[test]
fn alert_rules_fire_and_are_silent_when_they_should() {
    if !tools::has(&["promtool"]) {
        return;
    }
    let folder = tools::repository().join("configs/prometheus");
    let promtool = |arguments: &[&str]| {
        let run = Command::new("promtool").args(arguments).current_dir(&folder).output().expect("promtool runs");
        assert!(run.status.success(), "{arguments:?}: {}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    };
    promtool(&["check", "config", "prometheus.yml"]);
    for group in ["channels", "devices", "machine"] {
        promtool(&["test", "rules", &format!("{group}.test.yml")]);
        let [rules, tests] = ["rules", "test"].map(|kind| fs::read_to_string(folder.join(format!("{group}.{kind}.yml"))).expect("a file"));
        for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
            let cases: Vec<&str> = tests.split("- eval_time:").filter(|case| case.contains(&format!("alertname: {alert}\n"))).collect();
            let fires = cases.iter().filter(|case| case.contains("exp_alerts:")).count();
            assert!(fires > 0 && fires < cases.len(), "{alert} fires in {fires} of {} cases", cases.len());
        }
    }
}

#[test]
fn every_alert_is_in_the_runbook_with_what_it_means_and_what_to_do() {
    let read = |path: &str| fs::read_to_string(tools::repository().join(path)).unwrap_or_else(|cause| panic!("{path}: {cause}"));
    let rules = ["channels", "devices", "machine"].map(|group| read(&format!("configs/prometheus/{group}.rules.yml"))).concat();
    let alerts: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let runbook = read("docs/operations.md");
    let mut sections = BTreeSet::new();
    for section in runbook.split("\n#").filter_map(|section| section.strip_prefix("## Headend")) {
        let (rest, text) = section.split_once('\n').expect("a heading is a line");
        let alert = alerts.iter().find(|alert| alert.strip_prefix("Headend") == Some(rest));
        let alert = alert.unwrap_or_else(|| panic!("the runbook has Headend{rest}, which is no alert"));
        for part in ["**Means.**", "**First look.**", "**Remedy.**", "**Goes**"] {
            assert!(text.contains(part), "the runbook does not say of {alert}: {part}");
        }
        sections.insert(*alert);
    }
    assert_eq!(sections, alerts, "alerts that the runbook leaves out");
}

#[test]
fn a_prometheus_answers_every_query_of_dashboards_and_rules_from_a_running_appliance() {
    let (true, Some(driver)) = (tools::has(&["prometheus", "ffmpeg"]), Driver::new("dashboards")) else { return };
    let configuration = config(&[channel("demo").text("device", "require"), channel("calls").pattern().text("device", "prefer")]);
    let appliance = Appliance::start_equipped(&configuration, &|command| driver.equip(command));
    let mut prometheus = Prometheus::start(appliance.http);
    let _publisher = Publisher::start(&media::B_FRAMES.flv(), &appliance.publish_url("demo"));
    let (clip, url) = (media::FILM.flv(), appliance.srt_url("calls"));
    let _caller = Publisher::ffmpeg(&["-re", "-i", &clip.to_string_lossy(), "-c", "copy", "-f", "mpegts", &url]);
    appliance.wait_for_state("demo", "live", seconds(10));
    appliance.wait_for_state("calls", "live", seconds(10));
    appliance.wait_on_air("demo", seconds(10));
    let queries: Vec<Query> = dashboard_queries().into_iter().chain(rule_queries()).map(|query| query.filled_in()).collect();
    let is_due = |query: &&Query| query.place.starts_with("dashboard") && !QUIET.iter().any(|quiet| query.expr.contains(quiet));
    let due: Vec<&Query> = queries.iter().filter(is_due).collect();
    let answered = wait::until_ok(seconds(20), || {
        let empty = |query: &&&Query| prometheus.ask(&query.expr).is_ok_and(|series| series == 0);
        let without: Vec<String> = due.iter().filter(empty).map(|query| format!("{}: {}", query.place, query.expr)).collect();
        if without.is_empty() { Ok(()) } else { Err(format!("{without:#?}")) }
    });
    answered.unwrap_or_else(|without| panic!("no data for {without}"));
    let errors: Vec<String> =
        queries.iter().filter_map(|query| prometheus.ask(&query.expr).err().map(|cause| format!("{}: {cause}", query.place))).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(due.len() > 60, "only {} queries were to have data", due.len());
    let firing = prometheus.firing();
    assert!(firing.is_empty(), "alerts fire although all is well: {firing:?}");
    prometheus.assert_runs();
}
