//! Every fault of the doubles fires, says so, and does what a client of the real driver would meet.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::support::doubles::Driver;
use crate::support::wait;
use crate::{debian, driver, ffmpeg, h264, said, succeeds, witness};

/// What each fault does to an ffmpeg, and that it fired.
#[test]
fn every_fault_that_ffmpeg_can_reach_fires() {
    const DECODE: &str = "-c:v h264_cuvid -i {} -f null -";
    const ENCODE: &str = "-i {} -c:v h264_nvenc -f null -";
    const UPLOAD: &str = "-init_hw_device cuda=d -filter_hw_device d -i {} -vf hwupload_cuda -c:v h264_nvenc -f null -";
    const DOWNLOAD: &str = "-hwaccel cuda -hwaccel_output_format cuda -c:v h264_cuvid -i {} -vf hwdownload,format=nv12 -f null -";
    let Some(driver) = driver("faults") else { return };
    let clip = h264("faults");
    for (fault, line, message) in [
        ("cuda.init=999", DECODE, "CUDA_ERROR_UNKNOWN"),
        ("cuda.devices=0", ENCODE, "CUDA_ERROR_NO_DEVICE"),
        ("cuda.context=2", DECODE, "CUDA_ERROR_OUT_OF_MEMORY"),
        ("cuda.alloc=2@after=2", UPLOAD, "CUDA_ERROR_OUT_OF_MEMORY"),
        ("nvdec.create=801", DECODE, "CUDA_ERROR_NOT_SUPPORTED"),
        ("nvdec.unsupported", DECODE, "not supported"),
        ("nvdec.ecc_at_decode=5", DECODE, "CUDA_ERROR_ECC_UNCORRECTABLE"),
        ("nvdec.decode=5", DECODE, "CUDA_ERROR_UNKNOWN"),
        ("nvdec.map_out_of_memory=3", DECODE, "CUDA_ERROR_OUT_OF_MEMORY"),
        ("cuda.loss_at_sync=3", DOWNLOAD, "CUDA_ERROR_LAUNCH_FAILED"),
        ("nvenc.api=1000", ENCODE, "does not support the required nvenc API version"),
        ("nvenc.no_device", ENCODE, "no encode device (1)"),
        ("nvenc.unsupported", ENCODE, "unsupported device (2)"),
        ("nvenc.sessions=0", ENCODE, "out of memory (10)"),
        ("nvenc.sessions=0,nvenc.session_code=21", ENCODE, "incompatible client key (21)"),
        ("nvenc.no_h264", ENCODE, "No capable devices found"),
        ("nvenc.initialise=20", ENCODE, "generic error (20)"),
        ("nvenc.bitstream", ENCODE, "out of memory (10)"),
        ("nvenc.register", UPLOAD, "resource register failed (23)"),
        ("nvenc.map_out_of_memory=3", UPLOAD, "out of memory (10)"),
        ("nvenc.encode=10", ENCODE, "generic error (20)"),
    ] {
        let name = fault.split(['=', ',']).next().unwrap_or(fault);
        let driver = Driver::new(&format!("fault-{name}")).expect("built before");
        driver.set(fault);
        let output = ffmpeg(&driver, &debian(), line, &clip);
        assert!(said(&output).contains(message), "{fault}: {}", said(&output));
        assert!(driver.report().fired(name), "{fault} did not fire: {:?}", driver.report());
    }
    let output = ffmpeg(&driver, &debian(), UPLOAD, &clip);
    succeeds(&output);
}

#[test]
fn faults_of_a_launch_fire() {
    let Some(driver) = driver("launch") else { return };
    driver.set("cuda.ecc_at_launch=1");
    let output = witness(&driver, &["kernel"]);
    assert!(said(&output).contains("cuLaunchKernel") && said(&output).contains(": 214"), "{}", said(&output));
    driver.set("cuda.illegal_at_launch=1");
    let output = witness(&driver, &["kernel"]);
    assert!(said(&output).contains("cuMemcpyDtoH_v2") && said(&output).contains(": 700"), "{}", said(&output));
    let report = driver.report();
    assert!(report.fired("cuda.ecc_at_launch") && report.fired("cuda.illegal_at_launch"), "{report:?}");
}

#[test]
fn a_stalled_encoder_goes_on_or_never_does() {
    let Some(driver) = driver("stall") else { return };
    let clip = h264("stall");
    driver.set("nvenc.lock_stall_ms=300@after=3@times=2");
    succeeds(&ffmpeg(&driver, &debian(), "-i {} -c:v h264_nvenc -f null -", &clip));
    assert!(driver.report().fired("nvenc.lock_stall_ms"));

    driver.set("nvenc.lock_stall_ms=-1@after=3");
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "3", "ffmpeg", "-v", "error", "-y", "-i"]).arg(&clip).args(["-c:v", "h264_nvenc", "-f", "null", "-"]);
    driver.equip(&mut command);
    let output = command.stdin(Stdio::null()).output().expect("ffmpeg starts");
    assert!(!output.status.success(), "it came to an end: {}", said(&output));
    assert!(driver.report().lines_that_fired("nvenc.lock_stall_ms") >= 3);
}

#[test]
fn a_session_of_another_process_counts_until_it_dies() {
    let Some(driver) = driver("sessions") else { return };
    let clip = h264("sessions");
    driver.set("nvenc.sessions=1");
    let folder = driver.libraries().join("witness");
    let mut command = Command::new(folder.join("witness"));
    driver.equip(&mut command);
    let mut holder = command.arg("hold").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the witness starts");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("its output").take(100)).read_line(&mut line).expect("a line");
    assert_eq!(line, "holding\n");

    let refused = ffmpeg(&driver, &debian(), "-i {} -c:v h264_nvenc -f null -", &clip);
    assert!(said(&refused).contains("out of memory (10)"), "{}", said(&refused));
    holder.kill().expect("it can be ended");
    holder.wait().expect("it ends");
    succeeds(&ffmpeg(&driver, &debian(), "-i {} -c:v h264_nvenc -f null -", &clip));
}

#[test]
fn a_device_that_is_gone_after_a_restart_stays_gone() {
    let Some(driver) = driver("gone") else { return };
    let clip = h264("gone");
    driver.set("cuda.gone_after_starts=1");
    succeeds(&ffmpeg(&driver, &debian(), "-c:v h264_cuvid -i {} -f null -", &clip));
    let output = ffmpeg(&driver, &debian(), "-c:v h264_cuvid -i {} -f null -", &clip);
    assert!(said(&output).contains("CUDA_ERROR_NO_DEVICE"), "{}", said(&output));
    assert!(driver.report().fired("cuda.gone_after_starts"));
}

#[test]
fn a_running_program_meets_a_fault_and_counters_on_request() {
    let Some(driver) = driver("running") else { return };
    let clip = h264("running");
    let mut command = Command::new("timeout");
    command.args(["30", "ffmpeg", "-v", "error", "-y", "-re", "-stream_loop", "-1", "-i"]).arg(&clip);
    command.args(["-c:v", "h264_nvenc", "-f", "null", "-"]).stdin(Stdio::null()).stderr(Stdio::piped());
    driver.equip(&mut command);
    let program = command.spawn().expect("ffmpeg starts");
    driver.set("dump=1");
    wait::until("the counters of a running program", wait::seconds(10), || driver.report().counter("encoded").is_some());
    driver.set("nvenc.encode=1");
    let output = program.wait_with_output().expect("ffmpeg ends");
    assert!(said(&output).contains("generic error (20)"), "{}", said(&output));
    assert!(driver.report().fired("nvenc.encode"));
}
