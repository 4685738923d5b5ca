//! A worker with a seat on a GPU, driven over its link, on the doubles of the driver: its pictures stay on the device.

mod worker_support;

#[path = "support/tools.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod tools;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use headend::base::{Fault, Ticks};
use headend::media::device::{CopyReason, CudaSeat, DeviceReport, Seat};
use headend::media::h264::AvcConfig;
use headend::media::nal::{joined, units};
use headend::media::{Slot, Track};
use headend::wire::link::{FromWorker, Open, ToWorker, Watch};
use tempfile::TempDir;
use worker_support::*;

const SIZE: (u32, u32) = (640, 360);

/// The doubles, where they are built, and the folder of a test.
struct Desk {
    doubles: PathBuf,
    directory: TempDir,
    uuid: String,
}

impl Desk {
    /// None, and said so, where the doubles are missing.
    #[track_caller]
    fn new() -> Option<Desk> {
        let doubles = tools::repository().join("target/doubles");
        if !doubles.join("libheadend-kernels-cpu.so").exists() {
            tools::left_out("target/doubles is missing (make doubles builds it)");
            return None;
        }
        let probed = Command::new(env!("CARGO_BIN_EXE_headend-worker")).arg("devices").env("LD_LIBRARY_PATH", &doubles).output().unwrap();
        let report: DeviceReport = serde_json::from_slice(&probed.stdout).unwrap();
        let uuid = report.gpus[0].uuid.clone();
        Some(Desk { doubles, directory: tempfile::tempdir().unwrap(), uuid })
    }

    fn seat(&self, encodes: bool) -> Seat {
        Seat::Cuda(CudaSeat { ordinal: 0, uuid: self.uuid.clone(), encodes })
    }

    fn worker(&self, open: Open, faults: &str) -> Worker {
        let report = self.directory.path().join("report");
        let environment: [(&str, &OsStr); 4] = [
            ("LD_LIBRARY_PATH", self.doubles.as_os_str()),
            ("HEADEND_DOUBLE_FAULT", OsStr::new(faults)),
            ("HEADEND_DOUBLE_REPORT", report.as_os_str()),
            // Workers lock themselves down before they load the driver.
            ("HEADEND_SANDBOX_WRITE", self.directory.path().as_os_str()),
        ];
        Worker::codec_in(open, None, &environment)
    }

    /// What the doubles wrote when the workers left.
    fn report(&self) -> String {
        fs::read_to_string(self.directory.path().join("report")).unwrap_or_default()
    }

    fn clip(&self, name: &str, size: &str, more: &[&str]) -> Clip {
        demuxed(&make_clip(self.directory.path(), name, size, 2, more))
    }

    /// A clip by an encoder that talks.
    fn clip_quietly(&self, name: &str, more: &[&str]) -> Clip {
        let path = self.directory.path().join(name);
        let lavfi = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=2", "-pix_fmt", "yuv420p", "-g", "50"];
        let made = Command::new("ffmpeg").args(["-y", "-nostdin", "-v", "quiet"]).args(lavfi).args(more).arg(&path).status().unwrap();
        assert!(made.success(), "{name}");
        demuxed(&path)
    }

    /// Everything that a worker makes of a clip as a file, and the pictures of each rung.
    fn transcoded(&self, seat: Seat, clip: &Clip) -> (Said, Vec<Vec<Vec<u8>>>) {
        let mut worker = self.worker(Open { seat, ..file(live().rungs) }, "");
        worker.feed(clip, 0);
        let (said, status) = worker.drain();
        assert!(status.success() && said.drained, "{:?}", said.faults);
        assert!(said.faults.is_empty(), "{:?}", said.faults);
        assert!(!self.report().contains("violation "), "{}", self.report());
        let pictures = [0, 1].map(|number: u8| decoded(self.directory.path(), &said.configs[usize::from(number)], &said.rung(number)));
        (said, pictures.into())
    }
}

fn crossed(said: &Said, reason: CopyReason) -> u64 {
    let counts = said.copies.as_ref().expect("a seat on a device reports its copies");
    counts.iter().find(|count| count.reason == reason).map_or(0, |count| count.pictures)
}

/// PSNR of luma in dB, the mean over pictures.
fn likeness(one: &[Vec<u8>], other: &[Vec<u8>], size: (u32, u32)) -> f64 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| psnr(one, other, size).min(60.0)).sum::<f64>() / one.len() as f64
}

#[test]
fn nothing_crosses_from_the_decoder_to_the_encoders_and_the_ladder_is_that_of_the_cores() {
    let Some(desk) = Desk::new() else { return };
    let clip = desk.clip("clip.mp4", "640x360", &[]);
    let (said, shown) = desk.transcoded(desk.seat(true), &clip);
    assert_eq!(said.copies, Some(Vec::new()));
    let report = desk.report();
    for counter in ["frame_sized_h2d=0", "frame_sized_d2h=0", "launches=50", "blocks_live=0", "sessions_live=0", "decoders_live=0"] {
        assert!(report.contains(counter), "no {counter} in {report}");
    }
    let source = pictures(desk.directory.path(), &desk.directory.path().join("clip.mp4"), SIZE);
    let (_, cores) = desk.transcoded(Seat::Software, &clip);
    assert!(likeness(&shown[0], &source, SIZE) > 32.0, "{:.1} dB", likeness(&shown[0], &source, SIZE));
    assert!(likeness(&shown[1], &cores[1], (320, 180)) > 30.0, "{:.1} dB", likeness(&shown[1], &cores[1], (320, 180)));
}

#[test]
fn every_codec_and_depth_that_the_device_decodes_becomes_the_ladder() {
    let Some(desk) = Desk::new() else { return };
    let hevc = ["-c:v", "libx265", "-x265-params", "log-level=none"];
    let ten = ["-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none"];
    let av1 = ["-c:v", "libsvtav1", "-preset", "12", "-crf", "20"];
    for (name, more) in [("hevc.mp4", &hevc[..]), ("ten.mp4", &ten), ("av1.mp4", &av1)] {
        let clip = desk.clip_quietly(name, more);
        let (said, shown) = desk.transcoded(desk.seat(true), &clip);
        assert_eq!(said.copies, Some(Vec::new()), "{name}");
        let source = pictures(desk.directory.path(), &desk.directory.path().join(name), SIZE);
        assert!(likeness(&shown[0], &source, SIZE) > 32.0, "{name}: {:.1} dB", likeness(&shown[0], &source, SIZE));
    }
}

#[test]
fn a_source_of_another_colour_is_shown_in_the_channels() {
    let Some(desk) = Desk::new() else { return };
    let full = ["-vf", "scale=out_range=full:out_color_matrix=bt709,format=yuv420p", "-color_range", "pc", "-colorspace", "bt709"];
    let clip = desk.clip("full.mp4", "640x360", &full);
    let (said, shown) = desk.transcoded(desk.seat(true), &clip);
    assert_eq!(said.copies, Some(Vec::new()));
    let (_, cores) = desk.transcoded(Seat::Software, &clip);
    assert!(likeness(&shown[0], &cores[0], SIZE) > 32.0, "{:.1} dB", likeness(&shown[0], &cores[0], SIZE));
}

#[test]
fn another_size_within_the_stream_is_fitted_to_the_same_rungs() {
    let Some(desk) = Desk::new() else { return };
    let (wide, tall) = (desk.clip("wide.mp4", "640x360", &[]), desk.clip("tall.mp4", "960x720", &[]));
    let mut worker = desk.worker(Open { seat: desk.seat(true), ..file(live().rungs) }, "");
    worker.feed(&wide, 0);
    // No new description: the parameter sets come in the stream.
    let Some(Track::Video(track)) = tall.tracks.first() else { panic!("no pictures") };
    let record = AvcConfig::parse(&track.config).unwrap();
    let shift = grid().start(Slot(50)) - grid().start(Slot(0));
    for unit in tall.units.iter().filter(|unit| unit.track == 0) {
        let sets = record.parameter_sets().map(|set| &set[..]).filter(|_| unit.entry);
        let data = joined(sets.chain(units(&unit.data)));
        worker.say_with(ToWorker::Au { track: 0, pts: unit.pts + shift, dts: unit.dts + shift, entry: unit.entry }, &data);
    }
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    assert_fills_slots(&said, 0, 0..100);
    let shown = decoded(desk.directory.path(), &said.configs[0], &said.rung(0));
    let luma = |picture: &[u8], x: usize, y: usize| picture[y * SIZE.0 as usize + x];
    assert!(luma(&shown[80], 40, 180).abs_diff(16) < 8, "no bars beside a picture of 4:3");
    let source = pictures(desk.directory.path(), &desk.directory.path().join("wide.mp4"), SIZE);
    assert!(likeness(&shown[..50], &source, SIZE) > 32.0);
}

#[test]
fn a_device_without_an_encoder_sends_each_rung_down_once_a_picture() {
    let Some(desk) = Desk::new() else { return };
    let clip = desk.clip("clip.mp4", "640x360", &[]);
    let (said, shown) = desk.transcoded(desk.seat(false), &clip);
    assert_eq!(crossed(&said, CopyReason::HostEncoded), 2 * 50);
    assert_eq!(said.copies.as_ref().map(Vec::len), Some(1), "{:?}", said.copies);
    let source = pictures(desk.directory.path(), &desk.directory.path().join("clip.mp4"), SIZE);
    assert!(likeness(&shown[0], &source, SIZE) > 32.0, "{:.1} dB", likeness(&shown[0], &source, SIZE));
}

#[test]
fn the_pattern_goes_up_once_a_slot_for_all_rungs() {
    let Some(desk) = Desk::new() else { return };
    let mut worker = desk.worker(Open { seat: desk.seat(true), ..live() }, "");
    worker.advance(START + 50);
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    for number in [0, 1] {
        assert_fills_slots(&said, number, START..START + 50);
    }
    assert_eq!((crossed(&said, CopyReason::Slate), said.copies.as_ref().map(Vec::len)), (50, Some(1)));
    let shown = decoded(desk.directory.path(), &said.configs[1], &said.rung(1));
    assert!(shown.iter().all(|picture| contrast(picture, (320, 180)) > 60));
}

#[test]
fn what_the_device_cannot_decode_is_decoded_on_the_cores_and_goes_up_counted() {
    let Some(desk) = Desk::new() else { return };
    let clip = desk.clip("422.mp4", "640x360", &["-pix_fmt", "yuv422p10le"]);
    let (said, shown) = desk.transcoded(desk.seat(true), &clip);
    assert_eq!((crossed(&said, CopyReason::HostDecoded), said.copies.as_ref().map(Vec::len)), (50, Some(1)));
    let source = pictures(desk.directory.path(), &desk.directory.path().join("422.mp4"), SIZE);
    assert!(likeness(&shown[0], &source, SIZE) > 32.0, "{:.1} dB", likeness(&shown[0], &source, SIZE));
}

#[test]
fn a_frozen_picture_is_told_and_shown_from_the_device() {
    let Some(desk) = Desk::new() else { return };
    let still = ["-vf", "trim=end_frame=1,loop=-1:1,trim=end_frame=50,setpts=N/25/TB"];
    let clip = desk.clip("still.mp4", "640x360", &still);
    let watch = Watch { freeze_after: Some(Ticks::from_millis(1000)), ..Watch::default() };
    let every = Some(Ticks::from_millis(1000));
    let mut worker = desk.worker(Open { seat: desk.seat(true), watch, thumbnail_every: every, ..live() }, "");
    worker.feed(&clip, START);
    worker.advance(START + 45);
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    let frozen = |sight: &FromWorker| matches!(sight, FromWorker::Picture { frozen: true, black: false, .. });
    assert!(said.sights.iter().any(frozen), "{:?}", said.sights);
    assert!(crossed(&said, CopyReason::Thumbnail) >= 1 && !said.thumbnails.is_empty());
    assert!(said.thumbnails.iter().all(|(_, jpeg)| jpeg.starts_with(&[0xFF, 0xD8])));
}

#[test]
fn a_picture_that_moves_is_not_frozen_on_the_device() {
    let Some(desk) = Desk::new() else { return };
    let clip = desk.clip("clip.mp4", "640x360", &[]);
    let watch = Watch { freeze_after: Some(Ticks::from_millis(500)), ..Watch::default() };
    let mut worker = desk.worker(Open { seat: desk.seat(true), watch, ..live() }, "");
    worker.feed(&clip, START);
    worker.advance(START + 45);
    let (said, _) = worker.drain();
    let told = |sight: &FromWorker| matches!(sight, FromWorker::Picture { frozen: true, .. } | FromWorker::Picture { black: true, .. });
    assert!(!said.sights.iter().any(told), "{:?}", said.sights);
}

fn fault_of(said: &Said) -> Option<Fault> {
    said.faults.iter().find_map(|fault| match fault {
        FromWorker::Fault { fault, .. } => Some(*fault),
        _ => None,
    })
}

#[test]
fn a_seat_on_another_device_than_the_one_there_is_refused() {
    let Some(desk) = Desk::new() else { return };
    let seat = Seat::Cuda(CudaSeat { ordinal: 0, uuid: "GPU-00000000-0000-0000-0000-000000000000".into(), encodes: true });
    let (said, status) = desk.worker(Open { seat, ..live() }, "").wait();
    assert_eq!((fault_of(&said), status.success()), (Some(Fault::DeviceLost), false), "{:?}", said.faults);
}

#[test]
fn a_device_that_is_lost_at_a_launch_costs_the_worker_and_nothing_hangs() {
    let Some(desk) = Desk::new() else { return };
    let clip = desk.clip("clip.mp4", "640x360", &[]);
    let mut worker = desk.worker(Open { seat: desk.seat(true), ..file(live().rungs) }, "cuda.ecc_at_launch=20");
    worker.feed_until_gone(&clip, 0);
    let (said, status) = worker.wait();
    assert_eq!((fault_of(&said), status.success()), (Some(Fault::DeviceLost), false), "{:?}", said.faults);
    assert!(desk.report().contains("fired cuda.ecc_at_launch"), "{}", desk.report());
}

#[test]
fn a_picture_that_the_driver_refuses_is_left_out_and_costs_neither_the_worker_nor_an_old_picture() {
    let Some(desk) = Desk::new() else { return };
    let clip = desk.clip("clip.mp4", "640x360", &[]);
    let mut worker = desk.worker(Open { seat: desk.seat(true), ..file(live().rungs) }, "nvdec.decode=30@times=1");
    worker.feed(&clip, 0);
    let (said, status) = worker.drain();
    assert!(status.success() && said.drained, "{:?}", said.faults);
    assert!(
        !said.faults.iter().any(|fault| matches!(fault, FromWorker::Fault { fault, .. } if *fault != Fault::Corrupt)),
        "{:?}",
        said.faults
    );
    assert_fills_slots(&said, 0, 0..50);
    let report = desk.report();
    assert!(report.contains("fired nvdec.decode") && report.contains("launches=49"), "{report}");
}

#[test]
fn a_source_of_which_the_driver_refuses_every_picture_is_decoded_on_the_cores() {
    let Some(desk) = Desk::new() else { return };
    let path = make_clip(desk.directory.path(), "clip.mp4", "640x360", 5, &["-g", "25", "-bf", "0"]);
    let clip = demuxed(&path);
    let mut worker = desk.worker(Open { seat: desk.seat(true), ..file(live().rungs) }, "nvdec.decode=1");
    worker.feed(&clip, 0);
    let (said, status) = worker.drain();
    assert!(status.success() && said.drained && fault_of(&said).is_none_or(|fault| fault == Fault::Corrupt), "{:?}", said.faults);
    assert!(desk.report().contains("fired nvdec.decode"), "{}", desk.report());
    assert_fills_slots(&said, 0, 0..125);
    let source = pictures(desk.directory.path(), &path, SIZE);
    let shown = decoded(desk.directory.path(), &said.configs[0], &said.rung(0));
    let likeness = likeness(&shown[80..], &source[80..], SIZE);
    assert!(likeness > 30.0 && crossed(&said, CopyReason::HostDecoded) >= 45, "{likeness:.1} dB, {:?}", said.copies);
}
