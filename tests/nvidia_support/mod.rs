//! What tests on the doubles of the NVIDIA driver share.
//!
//! The loader reads its path when a process starts, so a test starts itself again with the doubles on it, and its body runs there.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::cell::RefCell;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use headend::base::{Rate, Ticks};
use headend::codec::nvidia::cuda::{Device, Pinned, Stream};
use headend::codec::nvidia::{CopyLedger, CudaSurface, DevicePicture, DevicePool, Format};
use headend::codec::software::VideoDecoder;
use headend::codec::{Attached, Color, Decoder, Frame, Surface};
use headend::media::device::CopyReason;
use headend::media::h264::AvcConfig;
use headend::media::hevc::HevcConfig;
use headend::media::{AccessUnit, Grid, Packet, Rung, Slot, Track, VideoCodec, VideoTrack, nal};

#[path = "../support/tools.rs"]
pub mod tools;

#[allow(clippy::disallowed_methods, reason = "waiting for processes takes a clock")]
#[path = "../support/wait.rs"]
mod wait;

#[path = "../support/doubles.rs"]
mod doubles;

pub use doubles::{Driver, Report};

const CHILD: &str = "HEADEND_TEST_ON_DOUBLES";

/// Runs `body` in a child of this test, of the name `test`, on a driver with these `faults`. Every fault must fire, and a real driver
/// must have had nothing to complain of.
#[track_caller]
pub fn on_doubles(test: &str, faults: &str, body: impl FnOnce()) {
    let Some(report) = told_by_doubles(test, faults, body) else { return };
    assert!(report.violations().is_empty(), "{report:?}");
}

/// As [`on_doubles`], giving back what the doubles reported; none in the child, and where they cannot be built.
#[track_caller]
pub fn told_by_doubles(test: &str, faults: &str, body: impl FnOnce()) -> Option<Report> {
    if std::env::var_os(CHILD).is_some() {
        body();
        return None;
    }
    let driver = Driver::new(test)?;
    driver.set(faults);
    let mut child = Command::new(std::env::current_exe().unwrap());
    driver.equip(&mut child);
    let output = child.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, "1").output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}: {}\n{told}", output.status);
    assert!(told.contains("1 passed"), "{test} did not run in its child:\n{told}");
    let report = driver.report();
    for fault in faults.split(',').filter_map(|entry| entry.split(['=', '@']).next()).filter(|name| !name.is_empty() && !is_setting(name)) {
        assert!(report.fired(fault), "{fault} did not fire: {report:?}");
    }
    Some(report)
}

/// Entries that are no faults.
fn is_setting(name: &str) -> bool {
    matches!(name, "nvenc.session_code" | "nvenc.api")
}

pub fn grid() -> Grid {
    Grid { rate: Rate::new(25, 1), gop_slots: 25, segment_slots: 50 }
}

pub fn color() -> Color {
    Color::assumed(720)
}

/// A rung's place on the device, its pictures and what uploads them.
pub struct Place {
    pub stream: Arc<Stream>,
    pub pool: Arc<DevicePool>,
    pub ledger: Arc<CopyLedger>,
    /// What is being uploaded: nobody waits for it here, so an encoder that does not wait either sees the wrong picture.
    uploads: RefCell<Vec<Pinned>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stream.synchronize().unwrap();
    }
}

impl Place {
    pub fn new(rung: &Rung, format: Format, buffers: usize) -> Place {
        let device = Device::open(0).unwrap();
        let stream = Stream::new(&device).unwrap();
        let pool = DevicePool::new(&device, &rung.name, format, (rung.width, rung.height), buffers).unwrap();
        Place { stream, pool, ledger: Arc::default(), uploads: RefCell::default() }
    }

    /// The picture of `slot` on the device: a bright bar on a slope, further right with every slot.
    pub fn frame(&self, slot: i64) -> Frame {
        self.upload(slot, |bytes, pitch| self.paint(slot, bytes, pitch))
    }

    /// Noise, another one in every slot, which takes all the bits that it is given.
    pub fn noise(&self, slot: i64) -> Frame {
        let mut state = slot as u64 + 1;
        self.upload(slot, |bytes, _| {
            for byte in bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = 64 + (state >> 57) as u8;
            }
        })
    }

    fn upload(&self, slot: i64, paint: impl FnOnce(&mut [u8], usize)) -> Frame {
        let picture = self.pool.take().unwrap();
        let rows = picture.rows();
        let mut host = Pinned::new(self.stream.device(), rows.width_bytes * rows.height).unwrap();
        paint(host.bytes_mut(), rows.width_bytes);
        self.ledger.to_device(CopyReason::Slate, (&host, rows.width_bytes), &picture, &self.stream).unwrap();
        self.uploads.borrow_mut().push(host);
        shown(slot, Arc::new(picture))
    }

    fn paint(&self, slot: i64, bytes: &mut [u8], pitch: usize) {
        let (width, height) = self.pool.size();
        let ten_bit = self.pool.format() == Format::P010;
        for (y, row) in bytes.chunks_exact_mut(pitch).enumerate() {
            for x in 0..width as usize {
                let value = if y < height as usize { luma(slot, x, y) } else { 128 };
                match ten_bit {
                    true => row[x * 2..x * 2 + 2].copy_from_slice(&(u16::from(value) << 8).to_le_bytes()),
                    false => row[x] = value,
                }
            }
        }
    }
}

/// A frame of `slot` with captions that tell the slot.
pub fn shown(slot: i64, picture: Arc<DevicePicture>) -> Frame {
    Frame {
        pts: grid().start(Slot(slot)),
        duration: Ticks::ZERO,
        color: color(),
        surface: Surface::Cuda(CudaSurface::Rung(picture)),
        attached: Attached { captions: Bytes::copy_from_slice(&[0xFC, 0x80, slot as u8]), timecode: None },
    }
}

/// The luma of the picture of `slot`.
pub fn luma(slot: i64, x: usize, y: usize) -> u8 {
    let bar = (slot as usize * 4) % 200;
    if (bar..bar + 40).contains(&x) { 200 } else { 50 + (x / 8 + y / 4) as u8 % 64 }
}

/// What libavcodec makes of packets.
pub fn decoded(track: &Track, packets: &[Packet]) -> Vec<Frame> {
    let mut decoder = VideoDecoder::open(track.video().unwrap()).unwrap();
    let mut frames = Vec::new();
    for packet in packets {
        let unit = AccessUnit { track: 0, pts: packet.pts, dts: packet.dts, entry: packet.key, data: packet.data.clone() };
        decoder.decode(&unit, &mut frames).unwrap();
    }
    decoder.drain(&mut frames).unwrap();
    frames
}

/// The luma of every picture as the ffmpeg program decodes packets to 8 bits.
pub fn witnessed_luma(track: &Track, packets: &[Packet]) -> Vec<Vec<u8>> {
    let track = track.video().unwrap();
    let (extension, stream) = elementary(track, packets);
    let file = tempfile::Builder::new().suffix(extension).tempfile().unwrap();
    std::fs::write(file.path(), stream).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file.path())
        .args(["-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let luma = (track.width * track.height) as usize;
    output.stdout.chunks_exact(luma * 3 / 2).map(|picture| picture[..luma].to_vec()).collect()
}

/// An elementary stream, and the extension by which ffmpeg knows it.
fn elementary(track: &VideoTrack, packets: &[Packet]) -> (&'static str, Vec<u8>) {
    let annex_b = |sets: Vec<Bytes>| {
        let sets = nal::joined(sets.iter().map(|set| &set[..]));
        let all = std::iter::once(&sets).chain(packets.iter().map(|packet| &packet.data));
        all.flat_map(|data| nal::to_annex_b(data).unwrap()).collect()
    };
    match track.codec {
        VideoCodec::Hevc => (".h265", annex_b(HevcConfig::parse(&track.config).unwrap().parameter_sets().cloned().collect())),
        VideoCodec::Av1 => (".obu", packets.iter().flat_map(|packet| [&[0x12, 0x00], &packet.data[..]].concat()).collect()),
        _ => (".h264", annex_b(AvcConfig::parse(&track.config).unwrap().parameter_sets().cloned().collect())),
    }
}
