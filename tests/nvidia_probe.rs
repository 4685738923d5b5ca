//! What `headend-worker devices` says of GPUs, on the doubles of the NVIDIA driver and without any.

mod nvidia_support;

use std::process::Command;

use headend::codec::nvidia::cuda::Device;
use headend::codec::nvidia::nvml::Monitor;
use headend::media::VideoCodec;
use headend::media::calibration::GpuRates;
use headend::media::device::{DeviceReport, Verdict};
use nvidia_support::*;

/// What the role prints, on a driver with these faults or without any driver.
fn report(driver: Option<(&Driver, &str)>) -> DeviceReport {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_headend-worker"));
    worker.arg("devices");
    if let Some((driver, faults)) = driver {
        driver.set(faults);
        driver.equip(&mut worker);
    }
    let output = worker.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A driver that has the kernels too.
#[track_caller]
fn driver(test: &str) -> Option<Driver> {
    let driver = Driver::new(test)?;
    if driver.libraries().join("libheadend-kernels-cpu.so").exists() {
        return Some(driver);
    }
    tools::left_out("the kernels' CPU build is missing (make doubles builds it)");
    None
}

#[test]
fn the_probe_tells_full_from_hybrid_and_finds_the_session_limit() {
    let Some(driver) = driver("the_probe_tells_full_from_hybrid_and_finds_the_session_limit") else { return };
    let with = |faults| report(Some((&driver, faults)));
    let full = with("");
    let gpu = &full.gpus[0];
    assert_eq!((gpu.verdict, gpu.reason.as_str(), gpu.most_sessions), (Verdict::Full, "", None), "{gpu:?}");
    assert!(gpu.can_decode(VideoCodec::H264, 8, 1920, 1080) && gpu.can_encode(VideoCodec::H264, 1920, 1080));

    let limited = with("nvenc.sessions=3");
    assert_eq!((limited.gpus[0].verdict, limited.gpus[0].most_sessions), (Verdict::Full, Some(3)));

    for faults in ["nvenc.no_device", "nvenc.unsupported"] {
        let hybrid = with(faults);
        assert_eq!(hybrid.gpus[0].verdict, Verdict::Hybrid, "{faults}");
        assert!(hybrid.gpus[0].reason.contains("no encoder"), "{}", hybrid.gpus[0].reason);
    }
    let broken = with("cuda.context=999");
    assert_eq!(broken.gpus[0].verdict, Verdict::None);
    assert!(broken.gpus[0].reason.contains("CUDA"), "{}", broken.gpus[0].reason);
    assert_eq!((&broken.gpus[0].uuid, &broken.gpus[0].name), (&gpu.uuid, &gpu.name), "it is known by what needs no context");
}

#[test]
fn without_a_driver_the_probe_says_what_to_install() {
    let report = report(None);
    if report.gpus.is_empty() {
        let why = report.absent.unwrap();
        assert!(why.contains("install"), "{why}");
    }
}

#[test]
fn load_figures_come_from_the_management_library() {
    on_doubles("load_figures_come_from_the_management_library", "", || {
        let uuid = Device::open(0).unwrap().uuid().unwrap();
        let monitor = Monitor::open().unwrap();
        assert!(monitor.driver_version().is_some());
        let load = monitor.load(&uuid).unwrap();
        assert_eq!((load.kernels_percent, load.encoder_percent, load.decoder_percent), (Some(7), Some(21), Some(13)));
        assert_eq!((load.temperature_celsius, load.power_milliwatts), (Some(48), Some(37_000)));
        assert!(load.memory_used_bytes.is_some_and(|bytes| bytes > 0), "{load:?}");
        assert_eq!((load.power_limit_milliwatts, load.temperature_limit_celsius), (Some(140_000), Some(93)));
        assert_eq!((load.throttled.as_deref(), load.ecc_uncorrected), (Some(&[][..]), Some(0)));
        assert_eq!(load.retired_pages, None, "what a card does not say is none");
        assert_eq!(monitor.loads().unwrap(), [load]);
        assert_eq!(monitor.load("GPU-of-nobody"), None);
    });
}

#[test]
fn the_encoders_of_a_gpu_are_measured_unless_it_is_another_one_or_lends_too_few_sessions() {
    let Some(driver) = driver("the_encoders_of_a_gpu_are_measured_unless_it_is_another_one_or_lends_too_few_sessions") else { return };
    let uuid = report(Some((&driver, ""))).gpus[0].uuid.clone();
    let measured = |faults: &str, uuid: &str, sessions: &str| {
        let mut worker = Command::new(env!("CARGO_BIN_EXE_headend-worker"));
        worker.args(["calibrate", "--gpu", uuid, "--ordinal", "0", "--sessions", sessions]);
        driver.set(faults);
        driver.equip(&mut worker);
        worker.output().unwrap()
    };
    let output = measured("", &uuid, "2");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rates: GpuRates = serde_json::from_slice(&output.stdout).unwrap();
    // Two hundred pictures of 720p, by doubles that are no faster than this machine and take no longer than a minute.
    assert!(rates.uuid == uuid && rates.encoded > 3e6 && rates.encoded < 1e11, "{rates:?}");
    assert!(driver.report().violations().is_empty(), "{:?}", driver.report());
    for (faults, uuid, sessions, says) in [("nvenc.sessions=1", &*uuid, "2", "session"), ("", "GPU-other", "1", "GPU-other")] {
        let output = measured(faults, uuid, sessions);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says) && !said.contains("panicked"), "{faults}: {said}");
    }
}
