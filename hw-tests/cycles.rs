//! Decoder, ladder and encoders opened, used and closed over and over in one process, as long as a worker never lives.

use std::sync::Arc;

use headend::codec::nvidia::cuda::Device;
use headend::codec::nvidia::{ChannelDevice, Format, HybridEncoder, NvEncoder, NvOptions, PoolSize};
use headend::codec::software::X264Options;
use headend::codec::{Color, Encoder};
use headend::media::Rung;

use crate::bench::{Bench, grid, words};
use crate::clips;
use crate::encode::through;
use crate::link::{Clip, demuxed};
use crate::report::Findings;
use crate::support::process::resident_kib;

/// Turns after which the driver has what it keeps.
const WARM_UP: u32 = 3;
/// Device memory is given in pieces of 2 MiB, and a desktop on the same card takes some now and then.
const TOLERANCE_BYTES: u64 = 4 << 20;

/// Counts device memory before and after.
pub fn check(bench: &Bench, findings: &mut Findings) -> Result<(), String> {
    let what = format!("{} openings and closings", bench.cycles);
    if let Some(why) = bench.no_decoder() {
        findings.leave_out(&what, why);
        return Ok(());
    }
    let clip = match bench.clips.find(&clips::CROPPED) {
        Ok(path) => demuxed(&path)?,
        Err(why) => {
            findings.leave_out(&what, why);
            return Ok(());
        }
    };
    let device = bench.device()?;
    let mut warm = None;
    for cycle in 0..bench.cycles.max(WARM_UP + 1) {
        if cycle == WARM_UP {
            warm = Some((free_bytes(&device)?, resident_kib(std::process::id())));
        }
        turn(bench, &device, &clip).map_err(|cause| format!("turn {cycle}: {cause}"))?;
    }
    let (free, resident) = warm.ok_or("no turn was made")?;
    let lost = free.saturating_sub(free_bytes(&device)?);
    let grown_kib = resident_kib(std::process::id()).saturating_sub(resident);
    let outcome =
        if lost <= TOLERANCE_BYTES { Ok(()) } else { Err(format!("more than {TOLERANCE_BYTES} bytes of device memory are lost")) };
    findings.judge(
        &what,
        &format!("{lost} bytes of device memory lost since turn {WARM_UP}; main memory grew by {grown_kib} KiB"),
        outcome,
    );
    Ok(())
}

fn free_bytes(device: &Device) -> Result<u64, String> {
    device.synchronize().map_err(words)?;
    device.memory().map(|(free, _)| free).map_err(words)
}

/// Everything that a channel opens, a second of pictures, and the end.
fn turn(bench: &Bench, device: &Arc<Device>, clip: &Clip) -> Result<(), String> {
    let color = Color::assumed(clip.track.height);
    let sizes = [("top", clip.track.width, clip.track.height), ("middle", 480, 270), ("small", 320, 180)];
    let rungs = sizes.map(|(name, width, height)| Rung::new(name, width, height, 600_000, "superfast"));
    let options = NvOptions { grid: grid(), color, live: true };
    let pool = |rung: &Rung| {
        let count = 2 + if bench.encodes() { NvEncoder::depth(rung, options) } else { HybridEncoder::DEPTH };
        PoolSize { name: rung.name.clone(), size: (rung.width, rung.height), format: Format::Nv12, count }
    };
    let channel = ChannelDevice::on(device, &rungs.each_ref().map(pool), color).map_err(words)?;
    let mut encoders: Vec<Box<dyn Encoder>> = Vec::new();
    for (number, (rung, pool)) in rungs.iter().zip(channel.pools()).enumerate() {
        let (number, stream) = (number as u8, channel.stream());
        encoders.push(match bench.encodes() {
            true => Box::new(NvEncoder::open(number, rung, options, stream, pool).map_err(words)?),
            false => {
                let options = X264Options { grid: grid(), color, threads: 1 };
                Box::new(HybridEncoder::open(number, rung, options, stream, pool, channel.ledger()).map_err(words)?)
            }
        });
    }
    let mut borrowed: Vec<&mut dyn Encoder> = encoders.iter_mut().map(|encoder| &mut **encoder as &mut dyn Encoder).collect();
    let mut packets = Vec::new();
    through(&channel, clip, &mut borrowed, &mut packets)?;
    match packets.len() == clip.units.len() * rungs.len() {
        true => Ok(()),
        false => Err(format!("{} packets of {} pictures in {} rungs", packets.len(), clip.units.len(), rungs.len())),
    }
}
