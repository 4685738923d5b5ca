//! How long the ladder's kernel takes for one picture of 1080p, beside what moving its bytes takes at least.

use std::ffi::CStr;
use std::sync::Arc;

use headend::codec::Area;
use headend::codec::nvidia::cuda::{Buffer, Device, Event, Kernel, Module, Stream};
use headend::codec::nvidia::ladder::{DevicePlanes, Filter, LadderPlan, PTX, RungGeometry, SourceGeometry};
use headend::codec::nvidia::{DevicePicture, DevicePool, Format};

use crate::bench::{Bench, words};
use crate::report::Findings;

/// The standard ladder.
const RUNGS: [(u32, u32); 4] = [(1920, 1080), (1280, 720), (854, 480), (640, 360)];
/// What a picture may take.
const WANTED_MS: f32 = 0.5;
/// More than any card's cache holds.
const BEYOND_CACHE_BYTES: usize = 220 << 20;
/// Launches before the first that counts.
const WARM_UP: usize = 30;

/// Measures every depth with every filter, with one source picture and with more than the cache holds.
pub fn check(bench: &Bench, findings: &mut Findings) -> Result<(), String> {
    let device = bench.device()?;
    let bytes_per_s = device.memory_bytes_per_s().map_err(words)?;
    for format in [Format::Nv12, Format::P010] {
        for filter in [Filter::Bicubic, Filter::Lanczos3] {
            let beyond = if bench.quick { 4 << 20 } else { BEYOND_CACHE_BYTES };
            for (place, bytes) in [("source in the cache", 0), ("sources beyond the cache", beyond)] {
                let what = format!("{format:?}, {filter:?}, {place}");
                let median_ms = Stand::new(&device, format, filter, bytes)?.median_ms(if bench.quick { 3 } else { 300 })?;
                let moved = moved_bytes(format);
                let floor = bytes_per_s.map_or_else(String::new, |rate| {
                    format!(
                        ", floor {:.3} ms ({:.2} MB at {:.0} GB/s)",
                        moved as f64 * 1e3 / rate as f64,
                        moved as f64 / 1e6,
                        rate as f64 / 1e9
                    )
                });
                let outcome = (median_ms <= WANTED_MS).then_some(()).ok_or_else(|| format!("more than {WANTED_MS} ms"));
                findings.judge_speed(&what, Ok(format!("median {median_ms:.3} ms{floor}")), outcome);
            }
        }
    }
    Ok(())
}

/// The source read once and every rung written once.
fn moved_bytes(format: Format) -> u64 {
    let bytes = |(width, height): (u32, u32)| u64::from(width) * u64::from(height) * 3 / 2 * format.sample_bytes() as u64;
    bytes(RUNGS[0]) + RUNGS.into_iter().map(bytes).sum::<u64>()
}

/// A ladder that is launched over and over.
struct Stand {
    stream: Arc<Stream>,
    kernel: Kernel,
    plan: LadderPlan,
    tables: Buffer,
    sources: Vec<DevicePicture>,
    targets: Vec<DevicePicture>,
}

impl Stand {
    fn new(device: &Arc<Device>, format: Format, filter: Filter, source_bytes: usize) -> Result<Stand, String> {
        let ten_bit = format == Format::P010;
        let stream = Stream::new(device).map_err(words)?;
        let module = Module::load(device, CStr::from_bytes_until_nul(PTX.as_bytes()).map_err(words)?).map_err(words)?;
        let (width, height) = RUNGS[0];
        let source = SourceGeometry { width, height, ten_bit, crop: Area::whole(width, height) };
        let rung = |(width, height)| RungGeometry { width, height, ten_bit, picture: Area::whole(width, height), full_range: false };
        let plan = LadderPlan::new(&source, &RUNGS.map(rung), filter).map_err(words)?;
        let tables = Buffer::new(device, plan.tables().len()).map_err(words)?;
        tables.write(plan.tables(), &stream).map_err(words)?;
        let picture_bytes = width as usize * height as usize * 3 / 2 * format.sample_bytes();
        let take = |size, count| -> Result<Vec<DevicePicture>, String> {
            let pool = DevicePool::new(device, "source", format, size, count).map_err(words)?;
            (0..count).map(|_| pool.take().map_err(words)).collect()
        };
        let sources = take(RUNGS[0], source_bytes.div_ceil(picture_bytes).max(1))?;
        let targets = RUNGS.into_iter().map(|size| take(size, 1)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        Ok(Stand { kernel: module.kernel(plan.entry()).map_err(words)?, stream, plan, tables, sources, targets })
    }

    /// Median of the times from one launch's end to the next one's, with launches queued ahead.
    fn median_ms(&self, launches: usize) -> Result<f32, String> {
        let targets: Vec<DevicePlanes> = self.targets.iter().map(DevicePicture::planes).collect();
        let mut sources = self.sources.iter().cycle();
        let mut launch = || -> Result<(), String> {
            let source = sources.next().ok_or("no source")?.planes();
            let launch = self.plan.launch(self.tables.pointer(), &source, &targets).map_err(words)?;
            self.kernel.launch(&self.stream, launch.grid, launch.block, launch.shared_bytes, &launch.job).map_err(words)
        };
        (0..WARM_UP.min(launches)).try_for_each(|_| launch())?;
        let marks = (0..=launches).map(|_| Event::timed(self.stream.device())).collect::<Result<Vec<_>, _>>().map_err(words)?;
        for (number, mark) in marks.iter().enumerate() {
            if number > 0 {
                launch()?;
            }
            mark.record(&self.stream).map_err(words)?;
        }
        self.stream.synchronize().map_err(words)?;
        let mut times = marks.windows(2).map(|pair| pair[1].since_ms(&pair[0])).collect::<Result<Vec<f32>, _>>().map_err(words)?;
        times.sort_by(f32::total_cmp);
        times.get(times.len() / 2).copied().ok_or_else(|| "nothing was measured".into())
    }
}
