//! Periods: AdaptationSets by kind of media, Representations by rendition.

use std::fmt::Write;

use super::{Programme, zero};
use crate::base::Rate;
use crate::media::{AudioCodec, Track, VideoCodec};
use crate::pack::epoch::{Epoch, Stream, Tree};
use crate::pack::text::xs_duration;
use crate::pack::window::{Entry, Made, Period};

/// A rendition with its index among the streams.
type Indexed<'a> = (usize, &'a Stream);

/// Writes a Period, unless nothing of it is listed.
pub fn write(out: &mut String, programme: &Programme, period: &Period) {
    let Some(epoch) = programme.epoch(period.epoch) else { return };
    let entries: Vec<&Entry> = programme.entries.iter().filter(|entry| entry.period == period.id).collect();
    let there = |(index, stream): &Indexed<'_>| stream.tree == Tree::Cmaf && period.present.get(*index) == Some(&true);
    let streams: Vec<Indexed<'_>> = epoch.streams.iter().enumerate().filter(there).collect();
    if entries.is_empty() || streams.is_empty() {
        return;
    }
    let _ = write!(out, "  <Period id=\"p{}\" start=\"{}\"", period.id, xs_duration(period.start - zero(programme)));
    if programme.ended {
        let _ = write!(out, " duration=\"{}\"", xs_duration(period.end - period.start));
    }
    out.push_str(">\n");
    let mut groups: Vec<(u32, Vec<Indexed<'_>>)> = Vec::new();
    for stream in streams {
        let id = set_id(stream.1);
        match groups.iter_mut().find(|(known, _)| *known == id) {
            Some((_, group)) => group.push(stream),
            None => groups.push((id, vec![stream])),
        }
    }
    let listed = |id: u64| programme.periods.iter().any(|period| period.id == id);
    let continues = period.continues.filter(|id| listed(*id));
    for (id, group) in &groups {
        adaptation_set(out, *id, group, &Span { epoch, period, entries: &entries, continues });
    }
    out.push_str("  </Period>\n");
}

/// What the parts of a Period are written from.
struct Span<'a> {
    epoch: &'a Epoch,
    period: &'a Period,
    entries: &'a [&'a Entry],
    continues: Option<u64>,
}

/// The same in every Period, so that players know what belongs together: one AdaptationSet per kind of media and codec.
fn set_id(stream: &Stream) -> u32 {
    match &stream.track.track {
        Track::Video(video) => match video.codec {
            VideoCodec::H264 | VideoCodec::Other => 1,
            VideoCodec::Hevc => 2,
            VideoCodec::Av1 => 3,
        },
        Track::Audio(audio) => match audio.codec {
            AudioCodec::Aac | AudioCodec::Mp3 | AudioCodec::Other => 11,
            AudioCodec::Opus => 12,
        },
    }
}

fn adaptation_set(out: &mut String, id: u32, group: &[Indexed<'_>], span: &Span<'_>) {
    let Some((_, first)) = group.first() else { return };
    let kind = if first.is_video() { "video" } else { "audio" };
    let _ = write!(
        out,
        "    <AdaptationSet id=\"{id}\" contentType=\"{kind}\" mimeType=\"{kind}/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\""
    );
    let pixels = |size: fn(&Stream) -> u32| group.iter().map(|(_, stream)| size(stream)).max().filter(|size| *size > 0);
    if let (Some(width), Some(height)) = (pixels(|stream| picture(stream).0), pixels(|stream| picture(stream).1)) {
        let _ = write!(out, " maxWidth=\"{width}\" maxHeight=\"{height}\"");
    }
    out.push_str(">\n");
    if let Some(before) = span.continues {
        let _ = writeln!(out, "      <SupplementalProperty schemeIdUri=\"urn:mpeg:dash:period-continuity:2015\" value=\"p{before}\"/>");
    }
    out.push_str("      <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/>\n");
    let templates: Vec<String> = group.iter().map(|stream| template(*stream, span)).collect();
    let shared = templates.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
    if let (true, Some(template)) = (shared, templates.first()) {
        out.push_str(template);
    }
    for ((_, stream), template) in group.iter().zip(&templates) {
        representation(out, stream, (!shared).then_some(template));
    }
    out.push_str("    </AdaptationSet>\n");
}

fn picture(stream: &Stream) -> (u32, u32) {
    stream.track.track.video().map_or((0, 0), |video| (video.width, video.height))
}

fn representation(out: &mut String, stream: &Stream, template: Option<&String>) {
    let bandwidth = stream.bandwidth.peak_bps().max(1);
    let _ = write!(out, "      <Representation id=\"{}\" codecs=\"{}\" bandwidth=\"{bandwidth}\"", stream.name(), stream.codecs);
    let mut channels = 0;
    match &stream.track.track {
        Track::Video(video) => {
            if video.width > 0 && video.height > 0 {
                let _ = write!(out, " width=\"{}\" height=\"{}\"", video.width, video.height);
            }
            if let Some(Rate { numerator, denominator }) = stream.track.rate.or(video.rate) {
                let _ = write!(out, " frameRate=\"{numerator}");
                let _ = if denominator == 1 { write!(out, "\"") } else { write!(out, "/{denominator}\"") };
            }
        }
        Track::Audio(audio) => {
            channels = audio.channels;
            let _ = write!(out, " audioSamplingRate=\"{}\"", stream.timescale());
        }
    }
    if channels == 0 && template.is_none() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    if channels > 0 {
        let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
        let _ = writeln!(out, "        <AudioChannelConfiguration schemeIdUri=\"{scheme}\" value=\"{channels}\"/>");
    }
    if let Some(template) = template {
        out.push_str(template);
    }
    out.push_str("      </Representation>\n");
}

/// The segments of a rendition in this Period.
fn template((index, stream): Indexed<'_>, span: &Span<'_>) -> String {
    let timescale = stream.timescale();
    let offset = span.period.start.in_scale(timescale);
    let first = span.entries.first().map_or(0, |entry| entry.number);
    let header = stream.header_name(span.epoch).unwrap_or_default();
    let mut out = format!("      <SegmentTemplate timescale=\"{timescale}\" presentationTimeOffset=\"{offset}\" startNumber=\"{first}\"");
    let _ = writeln!(out, " initialization=\"$RepresentationID$/{header}\" media=\"$RepresentationID$/$Number$.m4s\">");
    out.push_str("        <SegmentTimeline>\n");
    let made: Vec<&Made> = span.entries.iter().filter_map(|entry| entry.made.get(index)?.as_ref()).collect();
    timeline(&mut out, &made);
    out.push_str("        </SegmentTimeline>\n      </SegmentTemplate>\n");
    out
}

/// `S` elements: runs of equal durations; a time only at the first and where the media itself leaves a hole.
fn timeline(out: &mut String, made: &[&Made]) {
    let mut rest = made;
    let mut due = None;
    while let Some(first) = rest.first() {
        let follows = |count: &usize| {
            rest.get(*count).is_some_and(|next| {
                next.scaled_duration == first.scaled_duration
                    && next.scaled_start == first.scaled_start + first.scaled_duration * *count as i64
            })
        };
        let count = (1..).take_while(follows).count() + 1;
        out.push_str("          <S");
        if due != Some(first.scaled_start) {
            let _ = write!(out, " t=\"{}\"", first.scaled_start);
        }
        let _ = write!(out, " d=\"{}\"", first.scaled_duration);
        let _ = if count > 1 { writeln!(out, " r=\"{}\"/>", count - 1) } else { writeln!(out, "/>") };
        due = Some(first.scaled_start + first.scaled_duration * count as i64);
        rest = rest.get(count..).unwrap_or_default();
    }
}
