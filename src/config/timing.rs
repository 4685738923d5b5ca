//! GOP, segment, window and hold of a channel.

use crate::base::{FLICKS_PER_SECOND, Ticks};

use super::scalar::Complaint;
use super::sink::{Field, Sink};
use super::units::written_duration;
use super::written_channel::WrittenChannel;

/// libsrt's own default (SRTO_RCVLATENCY): enough for a round trip of 30 ms.
const SRT_LATENCY: Ticks = Ticks::from_millis(120);

const fn seconds(seconds: i64) -> Ticks {
    Ticks(seconds * FLICKS_PER_SECOND)
}

/// Two-second GOPs in six-second segments are what Apple's authoring specification for HLS recommends.
const GOP: Ticks = seconds(2);
const SEGMENT: Ticks = seconds(6);
const WINDOW: Ticks = seconds(60);
const HOLD: Ticks = seconds(1);

/// A live playlist shorter than three segments leaves players without a safe place to start (RFC 8216, 6.2.2).
const WINDOW_SEGMENTS: i64 = 3;

/// The spans of a channel.
pub struct Timing {
    /// Distance of IDRs.
    pub gop: Ticks,
    /// Length of segments.
    pub segment: Ticks,
    /// Length of the live playlist.
    pub window: Ticks,
    /// How long the last picture is held.
    pub hold: Ticks,
}

/// Checks the spans of a channel and fills in what is not written. With `copied` pictures the publisher sets the GOP.
pub fn timing(written: &WrittenChannel, copied: bool, sink: &mut Sink) -> Timing {
    let range =
        |field: &Field<Ticks>, least: Ticks, most: Ticks, sink: &mut Sink| field.clone().checked(sink, |span| within(*span, least, most));
    let gop_field = range(&written.gop, Ticks::from_millis(500), seconds(10), sink);
    let gop = gop_field.or(GOP);
    let mut segment_field = range(&written.segment, seconds(1), seconds(30), sink);
    if !copied && !gop_field.is_invalid() {
        segment_field = segment_field.checked(sink, |segment| whole_gops(*segment, gop));
    }
    // The nearest whole number of GOPs where nothing is written.
    let gops = ((SEGMENT.0 + gop.0 / 2) / gop.0.max(1)).max(1);
    let segment = segment_field.or(if copied { SEGMENT } else { Ticks(gop.0 * gops) });
    let shortest = Ticks(segment.0 * WINDOW_SEGMENTS);
    let mut window_field = range(&written.window, seconds(3), seconds(1800), sink);
    if !segment_field.is_invalid() {
        window_field = window_field.checked(sink, |window| holds_segments(*window, shortest));
    }
    let window = window_field.or(WINDOW.max(shortest));
    let hold = range(&written.hold, Ticks::from_millis(100), seconds(60), sink).or(HOLD);
    Timing { gop, segment, window, hold }
}

/// How long the SRT listener waits for what a network has lost.
pub fn srt_latency(written: &Field<Ticks>, sink: &mut Sink) -> Ticks {
    written.clone().checked(sink, |span| within(*span, Ticks::from_millis(20), seconds(60))).or(SRT_LATENCY)
}

/// Whether a span lies in a range.
pub fn within(span: Ticks, least: Ticks, most: Ticks) -> Result<(), Complaint> {
    let rule = || format!("must be from {} to {}", written_duration(least), written_duration(most));
    match span {
        _ if span < least => Err(Complaint::new(rule(), format!("use \"{}\" or more", written_duration(least)))),
        _ if span > most => Err(Complaint::new(rule(), format!("use \"{}\" or less", written_duration(most)))),
        _ => Ok(()),
    }
}

fn whole_gops(segment: Ticks, gop: Ticks) -> Result<(), Complaint> {
    let gops = segment.0 / gop.0.max(1);
    if gops >= 1 && segment.0 == gops * gop.0 {
        return Ok(());
    }
    let written = |gops: i64| format!("\"{}\"", written_duration(Ticks(gop.0 * gops)));
    let remedy = if gops < 1 { format!("use {}", written(1)) } else { format!("use {} or {}", written(gops), written(gops + 1)) };
    Err(Complaint::new(format!("must be a multiple of the gop of {}", written_duration(gop)), remedy))
}

fn holds_segments(window: Ticks, shortest: Ticks) -> Result<(), Complaint> {
    if window >= shortest {
        return Ok(());
    }
    let rule = format!("must hold at least {WINDOW_SEGMENTS} segments, {} in all", written_duration(shortest));
    Err(Complaint::new(rule, format!("use \"{}\" or more, or shorter segments", written_duration(shortest))))
}
