//! Measures what a core of this machine moves through decoder, scaler and x264 in a second of its own time, in a second or two.
//!
//! The front scales its cost model by the result. Time that other processes have taken is not counted: the kernel says how long this very
//! thread has run.

use std::fs;
use std::sync::Arc;

use serde::Serialize;

use crate::base::{Fault, Rate, Ticks};
use crate::codec::software::{LadderScaler, VideoDecoder, X264Encoder, X264Options};
use crate::codec::{Attached, CodecError, Color, Decoder, Encoder, Frame, HostPicture, Planar, PlanarPool, Scaler, Surface};
use crate::media::calibration::PixelRates;
use crate::media::device::CudaSeat;
use crate::media::{AccessUnit, Grid, Packet, Rung, Slot, Track};

use super::error::RoleError;

mod gpu;

const COMPONENT: &str = "calibration";

/// What is encoded and decoded.
const SIZE: (u32, u32) = (1280, 720);
/// What it is scaled to, the larger ones first.
const SCALED: [(u32, u32); 3] = [(854, 480), (640, 360), (426, 240)];
/// Pictures: a GOP of a second.
const PICTURES: u32 = 25;
const BITRATE_BPS: u32 = 3_000_000;
/// How often the pictures are decoded and scaled, which goes faster than encoding.
const ROUNDS: usize = 3;

/// What a core does: the [`PixelRates`] as one line of JSON.
///
/// # Errors
/// Where a codec fails, or the kernel does not say how long a thread has run.
pub fn calibrate() -> Result<String, RoleError> {
    said(software())
}

/// What the encoders of a GPU do, measured by so many sessions: the [`GpuRates`](crate::media::calibration::GpuRates) as one line of JSON.
///
/// # Errors
/// Where the GPU is another one by now, or a session cannot be had or fails.
pub fn calibrate_gpu(seat: &CudaSeat, sessions: u32) -> Result<String, RoleError> {
    said(gpu::rates(seat, sessions))
}

fn said(rates: Result<impl Serialize, CodecError>) -> Result<String, RoleError> {
    let failed = |cause: CodecError| RoleError::Failed { fault: cause.fault(), place: "calibration".to_owned(), detail: cause.to_string() };
    serde_json::to_string(&rates.map_err(failed)?).map_err(|cause| RoleError::Protocol(cause.to_string()))
}

fn software() -> Result<PixelRates, CodecError> {
    let grid = Grid { rate: Rate::new(25, 1), gop_slots: PICTURES, segment_slots: PICTURES };
    let color = Color::assumed(SIZE.1);
    let pictures = pictures(&grid, color);
    let rung = Rung::new("calibration", SIZE.0, SIZE.1, BITRATE_BPS, "veryfast");
    let mut encoder = X264Encoder::open(0, &rung, X264Options { grid, color, threads: 1 })?;
    let mut packets: Vec<Packet> = Vec::new();
    let begun = ran_ns()?;
    for (slot, picture) in pictures.iter().enumerate() {
        encoder.encode(picture, slot == 0, &mut packets)?;
    }
    encoder.drain(&mut packets)?;
    let encoded = rate(pictures.len(), SIZE, begun)?;

    let Track::Video(track) = &encoder.info().track else {
        return Err(CodecError::new(Fault::Bug, COMPONENT, "x264 made no pictures"));
    };
    let begun = ran_ns()?;
    let mut decoded = 0;
    for _ in 0..ROUNDS {
        let (mut decoder, mut frames) = (VideoDecoder::open(track)?, Vec::new());
        for Packet { pts, dts, key, data, .. } in &packets {
            decoder.decode(&AccessUnit { track: 0, pts: *pts, dts: *dts, entry: *key, data: data.clone() }, &mut frames)?;
            decoded += frames.drain(..).count();
        }
        decoder.drain(&mut frames)?;
        decoded += frames.len();
    }
    let decoded = rate(decoded, SIZE, begun)?;

    // The largest size is the source's own, which costs nothing.
    let mut scaler = LadderScaler::new(&[[SIZE].as_slice(), &SCALED].concat(), color);
    let begun = ran_ns()?;
    let mut out = Vec::new();
    for picture in pictures.iter().cycle().take(pictures.len() * ROUNDS) {
        scaler.scale(picture, &mut out)?;
        out.clear();
    }
    let ran = seconds_since(begun)?;
    let pixels: f64 = SCALED.iter().map(|size| pixels(*size)).sum();
    Ok(PixelRates { decoded, scaled: pixels * (pictures.len() * ROUNDS) as f64 / ran, encoded })
}

fn pixels(size: (u32, u32)) -> f64 {
    f64::from(size.0) * f64::from(size.1)
}

fn rate(pictures: usize, size: (u32, u32), begun: u64) -> Result<f64, CodecError> {
    Ok(pixels(size) * pictures as f64 / seconds_since(begun)?)
}

fn seconds_since(begun: u64) -> Result<f64, CodecError> {
    // Too short to be told is a nanosecond.
    Ok(ran_ns()?.saturating_sub(begun).max(1) as f64 / 1e9)
}

/// For how long this thread has been on a core, in nanoseconds (Linux, `Documentation/scheduler/sched-stats.rst`).
fn ran_ns() -> Result<u64, CodecError> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").map_err(|cause| unknown(&cause.to_string()))?;
    let ran = text.split_whitespace().next().and_then(|figure| figure.parse().ok());
    ran.ok_or_else(|| unknown(&format!("it says {text:?}")))
}

fn unknown(why: &str) -> CodecError {
    CodecError::new(Fault::Unsupported, COMPONENT, format!("/proc/thread-self/schedstat does not say how long a thread has run: {why}"))
}

/// A texture that moves, over which smaller ones move otherwise, with noise: work for motion search and rate control, the same every time.
fn pictures(grid: &Grid, color: Color) -> Vec<Frame> {
    let pool = PlanarPool::new(SIZE.0, SIZE.1, 0);
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    let texture: Vec<u8> = (0..TEXTURE * TEXTURE).map(|_| noise.next()).collect();
    let picture = |slot: i64| {
        let mut picture = pool.take();
        paint(&mut picture, &texture, slot as usize);
        Frame {
            pts: grid.start(Slot(slot)),
            duration: Ticks::ZERO,
            color,
            surface: Surface::Host(HostPicture::Planar(Arc::new(picture))),
            attached: Attached::default(),
        }
    };
    (0..i64::from(PICTURES)).map(picture).collect()
}

/// Side of the texture, which is repeated.
const TEXTURE: usize = 256;

fn paint(picture: &mut Planar, texture: &[u8], slot: usize) {
    let texel = |x: usize, y: usize| u32::from(texture.get((y % TEXTURE) * TEXTURE + x % TEXTURE).copied().unwrap_or(0));
    for plane in 0..3 {
        let (stride, length) = (picture.stride(plane), picture.row_length(plane));
        let scale = if plane == 0 { 1 } else { 2 };
        for (y, row) in picture.plane_mut(plane).chunks_exact_mut(stride).enumerate() {
            for (x, sample) in row.iter_mut().take(length).enumerate() {
                let (x, y) = (x * scale, y * scale);
                // Every band of 90 lines moves at its own speed.
                let moved = x + slot * (1 + y / 90 % 4);
                let coarse = texel(moved / 16, y / 16) + texel(moved / 16 + 1, y / 16);
                let fine = texel(moved, y);
                let grain = texel(x * 7 + slot * 31, y * 3 + slot * 17);
                *sample = (16 + (coarse * 6 + fine * 2 + grain / 2) / 16).min(235) as u8;
            }
        }
    }
}

/// Marsaglia's xorshift64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_measured_and_encoding_is_the_slowest() {
        let rates: PixelRates = serde_json::from_str(&calibrate().unwrap()).unwrap();
        let PixelRates { decoded, scaled, encoded } = rates;
        assert!(encoded > 1e6 && decoded > encoded && scaled > encoded, "{rates:?}");
    }

    #[test]
    fn time_on_a_core_goes_on_while_this_thread_works_only() {
        let begun = ran_ns().unwrap();
        let mut noise = Noise(1);
        while (0..100_000).fold(0u64, |sum, _| sum + u64::from(noise.next())) > 0 && ran_ns().unwrap() < begun + 1_000_000 {}
        assert!(seconds_since(begun).unwrap() >= 0.001);
    }
}
