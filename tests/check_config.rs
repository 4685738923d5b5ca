//! `headend check` says everything that is wrong at once, and where.

use std::path::Path;
use std::process::Command;

#[test]
fn the_configurations_that_come_with_it_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let files = std::fs::read_dir(folder).expect("configs is there").map(|entry| entry.expect("configs is readable").path());
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "toml")) {
        let (is_right, said) = check(&file);
        assert!(is_right, "{}: {said}", file.display());
    }
}

/// A service that has just been installed is nobody's but this machine's.
#[test]
fn the_packaged_configuration_is_right_and_listens_to_this_machine_only() {
    let (is_right, said) = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/debian/headend.toml"));
    assert!(is_right, "{said}");
    let listeners = said.lines().find(|line| line.starts_with("http ")).unwrap_or_else(|| panic!("no listeners in {said}"));
    for listener in ["http 127.0.0.1:", "rtmp 127.0.0.1:", "srt 127.0.0.1:", "state in /var/lib/headend"] {
        assert!(listeners.contains(listener), "no {listener} in {listeners}");
    }
}

#[test]
fn every_binary_says_what_it_was_made_of() {
    let gateway = option_env!("CARGO_BIN_EXE_headend-srt");
    for binary in [Some(env!("CARGO_BIN_EXE_headend")), Some(env!("CARGO_BIN_EXE_headend-worker")), gateway].into_iter().flatten() {
        let asked = |option: &str| Command::new(binary).arg(option).output().expect("it runs").stdout;
        let (long, short) = (asked("--version"), asked("-V"));
        let (long, short) = (String::from_utf8_lossy(&long), String::from_utf8_lossy(&short));
        for line in ["commit: ", "date: ", "built for: ", "built by: rustc ", "linked with: "] {
            assert!(long.lines().any(|said| said.starts_with(line)), "{binary} does not say {line}\n{long}");
        }
        assert_eq!(short.lines().count(), 1, "{short}");
        assert!(short.contains(env!("CARGO_PKG_VERSION")), "{short}");
    }
}

#[test]
fn every_mistake_is_named_with_its_place_and_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.toml");
    let text = "[http]\nlisten = \"0.0.0.0:8080\"\n\n[[channel]]\nname = \"news\"\nladder = \"sport\"\nsegment = \"2\"\n\n\
                [[ladder.sports]]\nheight = 721\nbitrate = \"1M\"\nfps = 3\n";
    std::fs::write(&file, text).expect("a file");
    let (is_right, said) = check(&file);
    assert!(!is_right, "{said}");
    for place in ["wrong.toml:6:", "wrong.toml:7:", "wrong.toml:10:", "wrong.toml:12:"] {
        assert!(said.contains(place), "nothing about {place}\n{said}");
    }
    assert!(said.contains("sports"), "no remedy for the misspelt ladder\n{said}");
}

#[test]
fn the_help_names_every_command() {
    let run = Command::new(env!("CARGO_BIN_EXE_headend")).arg("--help").output().expect("headend runs");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    for command in ["serve", "check", "transcode", "probe", "token"] {
        assert!(said.contains(command), "--help does not name {command}:\n{said}");
    }
}

/// Whether `headend check` takes the file, and what it says.
fn check(file: &Path) -> (bool, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_headend")).arg("check").arg(file).output().expect("headend runs");
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    assert!(matches!(run.status.code(), Some(0 | 1)), "{}: {said}", run.status);
    (run.status.success(), said)
}
