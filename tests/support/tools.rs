//! Tools that are not headend's: whether they are here, and what to do where they are not.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where clips and scratch files of tests live.
pub fn scratch() -> PathBuf {
    repository().join("target").join("media")
}

/// A file of the folder that is shared beside the checkout (real clips, player drivers), where there is one.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = env::var_os("HEADEND_SHARED").map_or_else(|| repository().join("../shared"), PathBuf::from);
    let file = folder.join(path);
    file.exists().then_some(file)
}

/// The installed browser players: `QA_NODE_MODULES`, else `.qa/node_modules`.
pub fn node_modules() -> PathBuf {
    env::var_os("QA_NODE_MODULES").map_or_else(|| repository().join(".qa/node_modules"), PathBuf::from)
}

/// Whether every one of these programs is on the PATH. Says which is not and that the test is left out;
/// fails instead where `HEADEND_TEST_STRICT=1`, because `make test` has installed them.
#[track_caller]
pub fn has(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !on_path(program)).collect();
    if missing.is_empty() {
        return true;
    }
    left_out(&format!("{} missing (make test-deps installs it)", missing.join(", ")));
    false
}

/// Says that a test is left out for want of an installed tool; fails where `HEADEND_TEST_STRICT=1`.
#[track_caller]
pub fn left_out(why: &str) {
    assert!(env::var("HEADEND_TEST_STRICT").as_deref() != Ok("1"), "{why}");
    say_left_out(why);
}

/// Says that a test is left out, past libtest's capture of a passing test's output.
#[track_caller]
pub fn say_left_out(why: &str) {
    let place = std::panic::Location::caller();
    let _ = writeln!(std::io::stderr(), "skipped: {}: {why}", place.file());
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
