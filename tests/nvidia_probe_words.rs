//! What `headend probe` says of a driver that is broken, old or short of something: each story asserts that its fault has fired.

mod support;

use std::process::Command;

use serde_json::Value;
use support::doubles::Driver;

/// The words of `headend probe` for a driver with these faults, and its JSON.
fn probed(driver: &Driver, faults: &str) -> (String, Value) {
    driver.set(faults);
    let run = |json: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headend"));
        driver.equip(command.arg("probe").args(json));
        let output = command.output().expect("headend runs");
        assert!(output.status.success(), "a broken driver is an answer, not a failure: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = (run(&[]), serde_json::from_str(&run(&["--json"])).expect("it is JSON"));
    for key in faults.split(',').filter_map(|entry| entry.split(['=', '@']).next()).filter(|key| !key.is_empty() && !SETTINGS.contains(key))
    {
        assert!(driver.report().fired(key), "{key} has not fired: {:?}", driver.report());
    }
    said
}

const SETTINGS: [&str; 2] = ["nvenc.session_code", "cuda.memory_mb"];

#[test]
fn a_healthy_card_is_full() {
    let Some(driver) = Driver::new("probe-full") else { return };
    let (words, json) = probed(&driver, "");
    let line = words.lines().find(|line| line.contains("nvidia 0")).unwrap_or_else(|| panic!("{words}"));
    assert!(line.contains("full") && line.contains("GPU-") && line.contains("h264"), "{line}");
    assert_eq!(json["nvidia"]["gpus"][0]["verdict"], "full", "{json:#}");
}

#[test]
fn what_is_wrong_is_said_with_the_verdict_it_leaves() {
    let Some(driver) = Driver::new("probe-faults") else { return };
    // Faults, the verdict, and words that the operator must find.
    let cases = [
        ("nvenc.no_device", "hybrid", "encode"),
        ("nvenc.unsupported", "hybrid", "NVENC"),
        ("nvenc.api=1100", "hybrid", "11.0"),
        ("nvenc.no_h264,nvenc.no_hevc,nvenc.no_av1", "hybrid", "NVENC"),
        ("nvdec.unsupported", "none", "decode"),
        ("cuda.context=2", "none", "memory"),
        ("cuda.module=218", "none", "kernels"),
        ("cuda.init=100", "absent", "GPU"),
        ("cuda.devices=0", "absent", "GPU"),
    ];
    for (faults, verdict, word) in cases {
        let (words, json) = probed(&driver, faults);
        let said = match verdict {
            "absent" => json["nvidia"]["absent"].as_str().unwrap_or_default().to_owned(),
            _ => {
                assert_eq!(json["nvidia"]["gpus"][0]["verdict"], verdict, "{faults}: {json:#}");
                json["nvidia"]["gpus"][0]["reason"].as_str().unwrap_or_default().to_owned()
            }
        };
        assert!(said.to_lowercase().contains(&word.to_lowercase()), "{faults}: {word:?} is not in {said:?}");
        assert!(words.contains("nvidia"), "{faults}: {words}");
    }
}

#[test]
fn session_limits_are_found_by_opening_whichever_way_the_driver_says_no() {
    let Some(driver) = Driver::new("probe-sessions") else { return };
    for code in [10, 21] {
        let (words, json) = probed(&driver, &format!("nvenc.sessions=3,nvenc.session_code={code}"));
        assert_eq!(json["nvidia"]["gpus"][0]["most_sessions"], 3, "{json:#}");
        assert_eq!(json["nvidia"]["gpus"][0]["verdict"], "full");
        assert!(words.contains("3 sessions"), "{words}");
    }
}
