//! Enhanced RTMP from an ffmpeg that speaks it: HEVC with AAC and AV1 with Opus, transcoded and copied.
//!
//! Debian's ffmpeg is older than enhanced RTMP; `make test-deps` fetches a newer one from PyPI.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::seconds;
use support::{media, tools};

#[test]
fn hevc_and_av1_are_transcoded_and_copied() {
    let Some(ffmpeg) = newer_ffmpeg() else {
        return tools::left_out("no newer ffmpeg in .qa/venv (make test-deps fetches it from PyPI)");
    };
    let appliance = Appliance::start(&config(&[channel("demo").pattern(), channel("through").copy().without("gop").text("segment", "4s")]));
    let hevc = clip(&ffmpeg, "hevc.mp4", &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0:keyint=50"], "aac");
    publishes(&appliance, &ffmpeg, &hevc, "HEVC 640x360", "hvc1.", "mp4a.40.2");
    let av1 = clip(&ffmpeg, "av1.mp4", &["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "50"], "libopus");
    publishes(&appliance, &ffmpeg, &av1, "AV1 640x360", "av01.", "opus");
}

fn publishes(appliance: &Appliance, ffmpeg: &str, clip: &Path, source: &str, video: &str, audio: &str) {
    let clip = clip.to_str().expect("the path is text");
    let send = |key: &str| {
        let url = appliance.publish_url(key);
        Publisher::program(ffmpeg, &["-nostdin", "-v", "error", "-re", "-i", clip, "-c", "copy", "-f", "flv", &url])
    };
    let publishers = [send("demo"), send("through")];
    appliance.wait_for_state("demo", "live", seconds(15));
    appliance.wait_for_state("through", "live", seconds(15));
    assert!(appliance.channel("demo")["source"].as_str().is_some_and(|said| said.starts_with(source)), "{:#}", appliance.channel("demo"));
    let listed = |answer: &support::http::Response| answer.text().contains(video) && answer.text().contains(audio);
    appliance.wait_for("/live/through/master.m3u8", seconds(20), listed);
    let (pictures, complaints) = media::decoded(&appliance.url("/live/demo/360p/playlist.m3u8"), 6);
    assert_eq!(complaints, Vec::<String>::new());
    assert!(pictures >= media::fewest(150), "{pictures} pictures in six seconds");
    publishers.into_iter().for_each(Publisher::stop);
    appliance.wait_for_state("through", "waiting", seconds(10));
}

fn newer_ffmpeg() -> Option<String> {
    let folder = tools::repository().join(".qa/venv/lib");
    let python = std::fs::read_dir(folder).ok()?.flatten().next()?.path();
    let binaries = std::fs::read_dir(python.join("site-packages/imageio_ffmpeg/binaries")).ok()?;
    let found = binaries.flatten().find(|entry| entry.file_name().to_string_lossy().starts_with("ffmpeg-"))?;
    found.path().to_str().map(str::to_owned)
}

fn clip(ffmpeg: &str, name: &str, video: &[&str], audio: &str) -> PathBuf {
    let path = tools::scratch().join(name);
    if !path.exists() {
        std::fs::create_dir_all(tools::scratch()).expect("target/media can be made");
        let mut command = Command::new(ffmpeg);
        command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"]);
        command.args(["-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "40"]).args(video).args(["-c:a", audio]).arg(&path);
        let made = command.output().expect("ffmpeg runs");
        assert!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
    }
    path
}
