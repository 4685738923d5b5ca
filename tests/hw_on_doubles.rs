//! hw-test on the doubles of the NVIDIA driver: every check runs, every line says that it is a double's, no figure of time is claimed.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use support::doubles::Driver;
use support::tools;

/// The binary of `hw-tests/`, which cargo builds beside this one; the newest, since older builds stay there.
#[track_caller]
fn hw_test() -> Option<PathBuf> {
    let here = std::env::current_exe().expect("this binary has a path");
    let built =
        fs::read_dir(here.parent().expect("it lies in a folder")).expect("the folder can be read").flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.strip_prefix("hw-").is_some_and(|hash| hash.chars().all(|digit| digit.is_ascii_hexdigit()))
    };
    let age = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let newest = built.filter(is_it).max_by_key(age);
    if newest.is_none() {
        tools::left_out("hw-test is not built (cargo test --test hw --no-run builds it)");
    }
    newest
}

/// What a run said, and its report.
struct Ran {
    succeeded: bool,
    said: String,
    rows: Vec<Vec<String>>,
}

impl Ran {
    fn of(driver: &Driver, faults: &str, checks: &str) -> Option<Ran> {
        Ran::with(driver, faults, &["--only", checks])
    }

    fn with(driver: &Driver, faults: &str, arguments: &[&str]) -> Option<Ran> {
        let folder = tempfile::tempdir().expect("a folder for the report");
        let report = folder.path().join("report.md");
        driver.set(faults);
        let mut command = Command::new(hw_test()?);
        driver.equip(&mut command);
        command.arg("--quick").args(arguments).arg("--report").arg(&report).stdin(Stdio::null());
        let output = command.output().expect("it starts");
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        let text = fs::read_to_string(&report).unwrap_or_else(|cause| panic!("no report: {cause}\n{said}"));
        assert!(text.starts_with("### Double of a GPU") && text.contains("double of the driver: no figure counts"), "{text}");
        let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = text.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect();
        assert!(rows.iter().all(|row| row.len() == 4 && row[3].starts_with("double: ")), "{text}");
        Some(Ran { succeeded: output.status.success(), said, rows })
    }

    fn verdicts(&self, check: &str) -> Vec<&str> {
        self.rows.iter().filter(|row| row[0] == check).map(|row| row[3].trim_start_matches("double: ")).collect()
    }
}

#[test]
fn every_check_holds_on_the_doubles_and_claims_no_time() {
    let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new("hw")) else { return };
    let checks = ["kernels", "kernel-time", "decode", "encode", "throughput", "copies", "sessions", "kill", "cycles"];
    let Some(ran) = Ran::of(&driver, "nvenc.sessions=12", &checks.join(",")) else { return };
    assert!(ran.succeeded, "{}", ran.said);
    for check in checks {
        let verdicts = ran.verdicts(check);
        assert!(verdicts.contains(&"held"), "{check}: {verdicts:?}\n{}", ran.said);
        assert!(!verdicts.iter().any(|verdict| verdict.contains("FAILED")), "{}", ran.said);
    }
    let figures = |check: &str| ran.rows.iter().filter(|row| row[0] == check).map(|row| row[2].clone()).collect::<Vec<_>>();
    for check in ["kernel-time", "throughput"] {
        assert!(figures(check).iter().all(|figure| figure == "no figure on a double"), "{check}: {:?}", figures(check));
    }
    assert!(figures("sessions")[0].starts_with("12 opened; then: "), "{:?}", figures("sessions"));
    assert!(driver.report().fired("nvenc.sessions"), "the limit was met");
    assert!(driver.report().violations().is_empty(), "{:?}", driver.report().violations());
}

#[test]
fn what_a_card_without_an_encoder_cannot_do_is_left_out_and_its_downloads_are_counted() {
    let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new("hw-hybrid")) else { return };
    let Some(ran) = Ran::of(&driver, "nvenc.no_device=1", "encode,copies,sessions") else { return };
    assert!(ran.succeeded, "{}", ran.said);
    for check in ["encode", "sessions"] {
        assert!(ran.verdicts(check).iter().all(|verdict| verdict.starts_with("left out: NVENC")), "{check}: {:?}", ran.verdicts(check));
    }
    let downloads = ran.rows.iter().find(|row| row[1].contains("one download per rung")).expect("the ledger is looked at");
    assert!(downloads[3].ends_with("held") && downloads[2].contains("150 host_encoded"), "{downloads:?}");
}

/// `make soak` makes it a thousand (`HEADEND_SOAK_STARTS`).
#[test]
fn channels_that_come_and_go_leave_nothing_on_the_device() {
    let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new("hw-cycles")) else { return };
    let starts = std::env::var("HEADEND_SOAK_STARTS").unwrap_or_else(|_| "50".into());
    let Some(ran) = Ran::with(&driver, "", &["--only", "cycles", "--cycles", &starts]) else { return };
    println!("{}", ran.said);
    assert!(ran.succeeded, "{}", ran.said);
    let report = driver.report();
    for level in ["sessions_live", "decoders_live", "registered_live", "mapped_live", "video_mapped_live", "streams_live", "blocks_live"] {
        assert_eq!(report.newest(level), 0, "{level} after {starts} starts: {report:?}");
    }
    assert!(report.newest("registrations") > 50 && report.newest("encoded") > 50, "{report:?}");
    assert!(report.violations().is_empty(), "{:?}", report.violations());
}

#[test]
fn a_context_that_is_poisoned_costs_its_check_and_fails_the_run_but_no_other_check() {
    let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new("hw-poison")) else { return };
    // Opening sessions launches nothing.
    let Some(ran) = Ran::of(&driver, "cuda.ecc_at_launch=20", "kernels,sessions") else { return };
    assert!(!ran.succeeded, "{}", ran.said);
    assert!(ran.verdicts("kernels").iter().any(|verdict| verdict.starts_with("FAILED: ") && verdict.contains("214")), "{}", ran.said);
    assert!(ran.verdicts("sessions").iter().all(|verdict| *verdict == "held"), "{}", ran.said);
    assert!(driver.report().fired("cuda.ecc_at_launch"));
}
