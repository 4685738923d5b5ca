//! Decoding on the device against libavcodec, sample by sample; and how fast it goes.

use std::sync::Arc;

use headend::base::Ticks;
use headend::codec::nvidia::ladder::reference::{HostImage, scaled};
use headend::codec::nvidia::ladder::{Filter, RungGeometry, SourceGeometry};
use headend::codec::nvidia::{ChannelDevice, Format, NvDecoder, PoolSize};
use headend::codec::{Area, Color, Frame, fit};
use headend::media::VideoCodec;

use crate::bench::{Bench, words};
use crate::clips::{self, Recipe};
use crate::kernels::same;
use crate::link::{Clip, demuxed};
use crate::pictures::{Reference, brought_down, by_libavcodec};
use crate::report::Findings;
use crate::support::wait::Stopwatch;

const CLIPS: [(&str, Recipe, VideoCodec, u8); 6] = [
    ("H.264 with B pictures", clips::H264, VideoCodec::H264, 8),
    ("H.264 of 638x358", clips::CROPPED, VideoCodec::H264, 8),
    ("H.264 that changes its size in mid-stream", clips::RESIZED, VideoCodec::H264, 8),
    ("HEVC of 8 bits", clips::HEVC, VideoCodec::Hevc, 8),
    ("HEVC of 10 bits", clips::HEVC_10, VideoCodec::Hevc, 10),
    ("AV1", clips::AV1, VideoCodec::Av1, 8),
];

const FULL_HD: [(&str, Recipe, VideoCodec); 3] = [
    ("rate of H.264 1080p, 6 Mb/s", clips::FULL_HD, VideoCodec::H264),
    ("rate of HEVC 1080p, 4 Mb/s", clips::FULL_HD_HEVC, VideoCodec::Hevc),
    ("rate of AV1 1080p, 4 Mb/s", clips::FULL_HD_AV1, VideoCodec::Av1),
];

/// Compares every clip and measures the rates.
pub fn check(bench: &Bench, findings: &mut Findings) -> Result<(), String> {
    if let Some(why) = bench.no_decoder() {
        findings.leave_out("decoding", why);
        return Ok(());
    }
    for (what, recipe, codec, bits) in CLIPS {
        let Some(clip) = found(bench, findings, what, &recipe, codec, bits) else { continue };
        let compared = compared(bench, &clip, bits > 8);
        let figure = compared.as_ref().map_or_else(|_| String::new(), |count| format!("{count} pictures"));
        findings.judge(what, &figure, compared.map(|_| ()));
    }
    if bench.quick {
        return measured(bench, findings, "rate of H.264 360p", &clips::H264, VideoCodec::H264, 1);
    }
    FULL_HD.iter().try_for_each(|(what, recipe, codec)| measured(bench, findings, what, recipe, *codec, 40))
}

/// Says how fast a clip is decoded.
fn measured(bench: &Bench, findings: &mut Findings, what: &str, recipe: &Recipe, codec: VideoCodec, times: i64) -> Result<(), String> {
    let Some(clip) = found(bench, findings, what, recipe, codec, 8) else { return Ok(()) };
    let rate = rate(bench, &clip, times);
    let figure = rate.map(|rate| format!("{rate:.0} pictures/s, decoded and handed on by the kernel"));
    findings.judge_speed(what, figure, Ok(()));
    Ok(())
}

/// The clip, unless the card does not decode it or it cannot be had; then that is said.
fn found(bench: &Bench, findings: &mut Findings, what: &str, recipe: &Recipe, codec: VideoCodec, bits: u8) -> Option<Clip> {
    let clip = match bench.gpu.can_decode(codec, bits, 640, 360) {
        false => Err("the card does not decode it".to_owned()),
        true => bench.clips.find(recipe),
    };
    match clip {
        Err(why) => findings.leave_out(what, why),
        Ok(path) => match demuxed(&path) {
            Err(cause) => findings.judge(what, "", Err(cause)),
            Ok(clip) => return Some(clip),
        },
    }
    None
}

/// A channel with one rung of the source's size.
fn channel(bench: &Bench, size: (u32, u32), ten_bit: bool, color: Color) -> Result<Arc<ChannelDevice>, String> {
    let format = if ten_bit { Format::P010 } else { Format::Nv12 };
    ChannelDevice::on(&bench.device()?, &[PoolSize { name: "source".into(), size, format, count: 4 }], color).map_err(words)
}

/// How many pictures were equal; an error names the first one that was not.
fn compared(bench: &Bench, clip: &Clip, ten_bit: bool) -> Result<usize, String> {
    let references = by_libavcodec(&clip.track, &clip.units, ten_bit)?;
    let first = references.first().ok_or("libavcodec decodes nothing of it")?;
    let channel = channel(bench, first.size, ten_bit, first.color)?;
    let mut decoder = NvDecoder::open(&channel, &clip.track).map_err(words)?;
    let (mut number, mut outcome) = (0, Ok::<(), String>(()));
    // The first failure is what is told; the decoder shows what follows all the same.
    let mut sink = |frame: Frame| {
        let expected = references.get(number).ok_or_else(|| "more pictures than libavcodec decodes".to_owned());
        let equal = expected.and_then(|reference| is_equal(&channel, &frame, reference, first.size));
        outcome = outcome.clone().and_then(|()| equal.map_err(|differs| format!("picture {number}: {differs}")));
        number += 1;
        true
    };
    for unit in &clip.units {
        decoder.decode_each(unit, &mut sink).map_err(words)?;
    }
    decoder.drain_each(&mut sink).map_err(words)?;
    outcome?;
    match number == references.len() {
        true => Ok(number),
        false => Err(format!("{number} pictures, and libavcodec decodes {}", references.len())),
    }
}

fn is_equal(channel: &ChannelDevice, frame: &Frame, reference: &Reference, rung: (u32, u32)) -> Result<(), String> {
    if frame.pts != reference.pts {
        return Err(format!("it is shown at {:?}, not at {:?}", frame.pts, reference.pts));
    }
    same(&brought_down(channel, frame)?, &in_rung(reference, rung))
}

/// A picture as the rung has it: as it is, or fitted into the rung after the source's size has changed.
fn in_rung(reference: &Reference, (width, height): (u32, u32)) -> HostImage {
    if reference.size == (width, height) {
        return reference.image.clone();
    }
    let (from_width, from_height) = reference.size;
    let ten_bit = reference.image.ten_bit;
    let source = SourceGeometry { width: from_width, height: from_height, ten_bit, crop: Area::whole(from_width, from_height) };
    let picture = fit(from_width, from_height, 1.0, width, height);
    let rung = RungGeometry { width, height, ten_bit, picture, full_range: reference.color.full_range };
    scaled(&reference.image, &source, &rung, Filter::default())
}

/// Pictures a second of a clip that is decoded over and over, each handed on by the kernel.
fn rate(bench: &Bench, clip: &Clip, times: i64) -> Result<f64, String> {
    let size = (clip.track.width, clip.track.height);
    let channel = channel(bench, size, false, Color::assumed(size.1))?;
    let mut decoder = NvDecoder::open(&channel, &clip.track).map_err(words)?;
    let length = clip.units.iter().map(|unit| unit.pts.0).max().unwrap_or(0) + Ticks::from_millis(40).0;
    let mut pictures = 0u64;
    let mut sink = |_: Frame| {
        pictures += 1;
        true
    };
    let watch = Stopwatch::start();
    for unit in (0..times).flat_map(|turn| clip.units.iter().map(move |unit| (turn, unit))) {
        let (shift, mut unit) = (Ticks(unit.0 * length), unit.1.clone());
        (unit.pts, unit.dts) = (unit.pts + shift, unit.dts + shift);
        decoder.decode_each(&unit, &mut sink).map_err(words)?;
    }
    decoder.drain_each(&mut sink).map_err(words)?;
    channel.stream().synchronize().map_err(words)?;
    let seconds = watch.seconds();
    match pictures as usize == clip.units.len() * times as usize {
        true => Ok(pictures as f64 / seconds),
        false => Err(format!("{pictures} pictures of {} units", clip.units.len() * times as usize)),
    }
}
