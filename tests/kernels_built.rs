//! The kernels' build: the checked-in PTX is what the sources give and what every card's assembler takes without spilling, and
//! ThreadSanitizer finds no race, but does where a barrier is left out.

#[path = "kernel_support/mod.rs"]
#[allow(dead_code)]
mod kernel_support;
#[path = "support/tools.rs"]
#[allow(dead_code)]
mod tools;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use headend::codec::nvidia::ladder::job::{MODE_COPY, MODE_DIRECT, MODE_WINDOW};
use headend::codec::nvidia::ladder::{DevicePlanes, Filter, LadderPlan, PTX};
use kernel_support::compare::{ladder_equals_reference, rung, source};
use kernel_support::{build_folder, repository};
use tempfile::TempDir;

/// Enough threads for a race, few enough for a computer of two cores.
const BLOCK: [u32; 3] = [4, 2, 1];
const BARRIERS: u32 = 3;

fn has_assembler() -> bool {
    let installed = repository().join(".kernels/venv/.installed").exists() || std::env::var_os("PTXAS").is_some();
    if !installed {
        tools::left_out("ptxas missing (make test-deps installs it)");
    }
    installed && tools::has(&["clang++-14"])
}

#[test]
fn the_checked_in_ptx_is_what_the_sources_give_and_fits_every_card() {
    if !has_assembler() {
        return;
    }
    let checked = Command::new(repository().join("kernels/check-ptx.sh")).output().expect("bash runs");
    println!("{}", String::from_utf8_lossy(&checked.stdout));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn ptx_that_is_older_than_its_source_is_noticed() {
    if !has_assembler() {
        return;
    }
    let copy = TempDir::new().unwrap();
    for file in fs::read_dir(repository().join("kernels")).unwrap().map(Result::unwrap).filter(|file| file.path().is_file()) {
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let header = copy.path().join("scale.h");
    fs::write(&header, fs::read_to_string(&header).unwrap().replace("MIDDLE_BITS = 14", "MIDDLE_BITS = 13")).unwrap();
    let assembler = repository().join(".kernels/venv/lib");
    let mut check = Command::new(copy.path().join("check-ptx.sh"));
    let found = Command::new("find").arg(assembler).args(["-name", "ptxas"]).output().expect("find runs").stdout;
    if std::env::var_os("PTXAS").is_none() {
        check.env("PTXAS", String::from_utf8(found).unwrap().trim());
    }
    let checked = check.output().expect("bash runs");
    assert!(!checked.status.success());
    assert!(String::from_utf8_lossy(&checked.stderr).contains("run make kernels"), "{checked:?}");
}

#[test]
fn every_entry_that_the_host_launches_is_in_the_ptx() {
    let entries = fs::read_to_string(repository().join("kernels/cpu/entries.h")).unwrap();
    let names: Vec<&str> = entries.lines().filter_map(|line| line.trim().strip_prefix("ENTRY(")?.split(',').next()).collect();
    assert_eq!(names.len(), 9);
    assert!(names.iter().all(|name| PTX.contains(&format!(".entry {name}("))));
    assert!(PTX.ends_with('\0') && PTX.matches('\0').count() == 1);
}

/// Blocks of real threads under ThreadSanitizer, with one barrier left out (0: none). A script, because some kernels lay memory out in a
/// way that ThreadSanitizer does not take unless told not to.
fn threaded(without: u32) -> PathBuf {
    let folder = build_folder();
    let program = folder.join(format!("threads-{without}"));
    let kernels = repository().join("kernels/cpu");
    let mut compile = Command::new("g++");
    compile.args(["-std=c++17", "-O1", "-g", "-fsanitize=thread", "-pthread", "-DHEADEND_KERNELS_THREADS"]);
    compile.arg(format!("-DDROP_SYNC={without}")).arg(kernels.join("drive.cpp")).arg(kernels.join("library.cpp"));
    let built = compile.arg("-o").arg(&program).output().expect("g++ runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let script = folder.join(format!("threads-{without}.sh"));
    let text = "#!/bin/sh\nexport TSAN_OPTIONS=halt_on_error=1:exitcode=66\n\
                setarch --addr-no-randomize true 2>/dev/null && exec setarch --addr-no-randomize \"${0%.sh}\" \"$@\"\n\
                exec \"${0%.sh}\" \"$@\"\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

fn run(program: &Path) -> Result<(), String> {
    // One rung out of the window, one out of the source, one copied, one enlarged, in several chunks.
    let from = source(640, 240, false);
    let rungs = [rung(280, 104, false), rung(16, 6, false), rung(640, 240, false), rung(960, 360, false)];
    let plan = LadderPlan::new(&from, &rungs, Filter::Lanczos3).unwrap();
    let wide = DevicePlanes { pitch: 1024, ..DevicePlanes::default() };
    let targets = plan.launch(0, &wide, &[wide; 4]).unwrap().job.planes[1].targets;
    assert_eq!([0, 1, 2, 3].map(|rung: usize| targets[rung].mode), [MODE_WINDOW, MODE_DIRECT, MODE_COPY, MODE_WINDOW]);
    ladder_equals_reference(program, BLOCK, &from, &rungs, Filter::Lanczos3)
}

#[test]
fn threads_of_a_block_do_not_race() {
    run(&threaded(0)).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_barrier_left_out_is_a_race_that_is_found() {
    for barrier in 1..=BARRIERS {
        let error = run(&threaded(barrier)).expect_err("a race");
        assert!(error.contains("data race"), "barrier {barrier}: {error}");
    }
    let source = fs::read_to_string(repository().join("kernels/scale.h")).unwrap();
    assert_eq!(source.matches("BARRIER(").count(), BARRIERS as usize, "every barrier has its turn");
}
