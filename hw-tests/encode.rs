//! The card's encoders: what decoded pictures lose, and how many bits they take.

use std::sync::Arc;

use headend::codec::nvidia::{ChannelDevice, DeviceLadder, Format, NvDecoder, NvEncoder, NvOptions, PoolSize};
use headend::codec::{Color, Encoder, Frame, Scaler};
use headend::media::{AccessUnit, Packet, Rung, Track, VideoCodec};

use crate::bench::{Bench, grid, words};
use crate::clips;
use crate::link::{Clip, demuxed};
use crate::pictures::{Reference, by_libavcodec, psnr_db};
use crate::report::Findings;

/// Less is no picture to publish at these rates.
const WANTED_DB: f64 = 32.0;
/// Of the target, over two seconds; the VBV lets a little more through.
const WANTED_RATE: f64 = 1.3;

/// Encodes a clip with every codec that the card has.
pub fn check(bench: &Bench, findings: &mut Findings) -> Result<(), String> {
    if let Some(why) = bench.no_encoder() {
        findings.leave_out("encoding", why);
        return Ok(());
    }
    let (recipe, bitrate_bps) = if bench.quick { (clips::H264, 1_500_000) } else { (clips::FULL_HD, 6_000_000) };
    let clip = demuxed(&bench.clips.find(&recipe)?)?;
    let references = by_libavcodec(&clip.track, &clip.units, false)?;
    for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
        let (width, height) = (clip.track.width, clip.track.height);
        let what = format!("{codec:?} of {width}x{height} at {:.1} Mb/s", f64::from(bitrate_bps) / 1e6);
        if !bench.gpu.can_encode(codec, width, height) {
            findings.leave_out(&what, "the card does not encode it");
            continue;
        }
        let mut rung = Rung::new("rung", width, height, bitrate_bps, "medium");
        rung.codec = codec;
        rung.profile = if codec == VideoCodec::H264 { "high" } else { "main" }.into();
        let measured = coded(bench, &clip, &rung).and_then(|(track, packets)| Measured::of(&track, &packets, &references));
        let figure = measured.as_ref().map_or_else(|_| String::new(), Measured::words);
        findings.judge(&what, &figure, measured.and_then(|measured| measured.judged(bitrate_bps)));
    }
    Ok(())
}

/// What came of a clip.
struct Measured {
    psnr_db: f64,
    rate_bps: f64,
}

impl Measured {
    fn of(track: &Track, packets: &[Packet], references: &[Reference]) -> Result<Measured, String> {
        let unit =
            |packet: &Packet| AccessUnit { track: 0, pts: packet.pts, dts: packet.dts, entry: packet.key, data: packet.data.clone() };
        let units: Vec<AccessUnit> = packets.iter().map(unit).collect();
        let decoded = by_libavcodec(track.video().ok_or("no video track")?, &units, false)?;
        if decoded.len() != references.len() {
            return Err(format!("{} pictures come out of {}", decoded.len(), references.len()));
        }
        if let Some(pair) = decoded.iter().zip(references).find(|(made, reference)| made.pts != reference.pts) {
            return Err(format!("a picture is shown at {:?}, not at {:?}", pair.0.pts, pair.1.pts));
        }
        let psnr_db = psnr_db(decoded.iter().zip(references).map(|(made, reference)| (&made.image, &reference.image)));
        let bits: usize = packets.iter().map(|packet| packet.data.len() * 8).sum();
        Ok(Measured { psnr_db, rate_bps: bits as f64 / (decoded.len() as f64 * grid().rate.period().as_secs_f64()) })
    }

    fn words(&self) -> String {
        format!("luma {:.1} dB, {:.2} Mb/s", self.psnr_db, self.rate_bps / 1e6)
    }

    fn judged(&self, target_bps: u32) -> Result<(), String> {
        if self.psnr_db < WANTED_DB {
            return Err(format!("less than {WANTED_DB} dB"));
        }
        match self.rate_bps <= f64::from(target_bps) * WANTED_RATE {
            true => Ok(()),
            false => Err(format!("more than {WANTED_RATE} times the target")),
        }
    }
}

/// A clip through decoder, kernel and encoder.
fn coded(bench: &Bench, clip: &Clip, rung: &Rung) -> Result<(Track, Vec<Packet>), String> {
    let color = Color::assumed(rung.height);
    let options = NvOptions { grid: grid(), color, live: false };
    let size = PoolSize {
        name: rung.name.clone(),
        size: (rung.width, rung.height),
        format: Format::Nv12,
        count: NvEncoder::depth(rung, options) + 2,
    };
    let channel = ChannelDevice::on(&bench.device()?, &[size], color).map_err(words)?;
    let pool = channel.pools().first().ok_or("no pool")?;
    let mut encoder = NvEncoder::open(0, rung, options, channel.stream(), pool).map_err(words)?;
    let mut packets = Vec::new();
    through(&channel, clip, &mut [&mut encoder], &mut packets)?;
    Ok((encoder.info().track.clone(), packets))
}

/// A clip through a decoder and a ladder to the encoder of each rung, to the end.
pub fn through(channel: &Arc<ChannelDevice>, clip: &Clip, encoders: &mut [&mut dyn Encoder], out: &mut Vec<Packet>) -> Result<(), String> {
    let mut decoder = NvDecoder::open(channel, &clip.track).map_err(words)?;
    let mut ladder = DeviceLadder::new(channel);
    let (mut rungs, mut outcome) = (Vec::new(), Ok::<(), String>(()));
    let mut sink = |frame: Frame| {
        rungs.clear();
        let key = grid().is_key(grid().nearest(frame.pts));
        outcome = outcome.clone().and_then(|()| ladder.scale(&frame, &mut rungs).map_err(words));
        drop(frame);
        for (encoder, frame) in encoders.iter_mut().zip(rungs.drain(..)) {
            outcome = outcome.clone().and_then(|()| encoder.encode(&frame, key, out).map_err(words));
        }
        outcome.is_ok()
    };
    for unit in &clip.units {
        decoder.decode_each(unit, &mut sink).map_err(words)?;
    }
    decoder.drain_each(&mut sink).map_err(words)?;
    outcome?;
    encoders.iter_mut().try_for_each(|encoder| encoder.drain(out).map_err(words))
}
