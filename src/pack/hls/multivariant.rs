//! Multivariant playlists.

use std::fmt::Write;

use crate::base::Rate;
use crate::pack::epoch::{Stream, Tree};
use crate::pack::window::Programme;

const AUDIO_GROUP: &str = "audio";
/// Segments from the end at which players begin (RFC 8216 section 6.3.3), and as many of them must be gaps before a rendition is not listed.
const NEWEST: usize = 3;

/// The multivariant playlist of a tree; `None` while none of its renditions has what it takes to begin with.
///
/// In CMAF, video variants share an audio rendition; in MPEG-TS they carry the sound themselves and an audio-only
/// variant stands beside them.
pub fn multivariant(programme: &Programme, tree: Tree) -> Option<String> {
    let streams: Vec<&Stream> =
        programme.newest()?.tree(tree).filter(|stream| stream.is_offered() && is_there(programme, tree, stream)).collect();
    if streams.is_empty() {
        return None;
    }
    let has_video = streams.iter().any(|stream| stream.is_video());
    let group = streams.iter().find(|stream| tree == Tree::Cmaf && has_video && !stream.is_video()).copied();
    let version = if tree == Tree::Cmaf { 7 } else { 4 };
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    if let Some(audio) = group {
        rendition(&mut out, audio);
    }
    for stream in &streams {
        match stream.is_video() {
            true => variant(&mut out, stream, group),
            false if group.is_none() => variant(&mut out, stream, None),
            false => {}
        }
    }
    for stream in streams.iter().filter(|stream| stream.is_video()) {
        iframe_variant(&mut out, stream);
    }
    Some(out)
}

/// Whether a rendition is worth beginning with: its newest segments, with which players begin, are not all gaps.
fn is_there(programme: &Programme, tree: Tree, stream: &Stream) -> bool {
    let made = |entry| programme.stream(entry, tree, stream.name()).and_then(|(index, _)| entry.made.get(index)?.as_ref());
    let newest: Vec<_> = programme.entries.iter().rev().take(NEWEST).collect();
    newest.len() < NEWEST || newest.into_iter().any(|entry| made(entry).is_some())
}

fn rendition(out: &mut String, audio: &Stream) {
    let name = audio.name();
    let channels = audio.track.track.audio().map_or(0, |track| track.channels);
    let _ = write!(out, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{AUDIO_GROUP}\",NAME=\"{name}\",DEFAULT=YES,AUTOSELECT=YES");
    if channels > 0 {
        let _ = write!(out, ",CHANNELS=\"{channels}\"");
    }
    let _ = writeln!(out, ",URI=\"{name}/playlist.m3u8\"");
}

fn variant(out: &mut String, stream: &Stream, audio: Option<&Stream>) {
    let also = |rate: fn(&Stream) -> u64| rate(stream) + audio.map_or(0, rate);
    let peak = also(|stream| stream.bandwidth.peak_bps()).max(1);
    let average = also(|stream| stream.bandwidth.average_bps()).max(1);
    let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}", stream.codecs);
    if let Some(audio) = audio {
        let _ = write!(out, ",{}", audio.codecs);
    }
    out.push('"');
    picture(out, stream);
    if let Some(rate) = frame_rate(stream) {
        let _ = write!(out, ",FRAME-RATE={:.3}", rate.as_f64());
    }
    if audio.is_some() {
        let _ = write!(out, ",AUDIO=\"{AUDIO_GROUP}\"");
    }
    let _ = writeln!(out, "\n{}/playlist.m3u8", stream.name());
}

fn iframe_variant(out: &mut String, stream: &Stream) {
    let bandwidth = &stream.iframe_bandwidth;
    let video = stream.codecs.split(',').next().unwrap_or_default();
    let (peak, average) = (bandwidth.peak_bps().max(1), bandwidth.average_bps().max(1));
    let _ = write!(out, "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{video}\"");
    picture(out, stream);
    let _ = writeln!(out, ",URI=\"{}/iframe.m3u8\"", stream.name());
}

/// RESOLUTION and VIDEO-RANGE of pictures.
fn picture(out: &mut String, stream: &Stream) {
    let Some(video) = stream.track.track.video() else { return };
    if video.width > 0 && video.height > 0 {
        let _ = write!(out, ",RESOLUTION={}x{}", video.width, video.height);
    }
    let _ = write!(out, ",VIDEO-RANGE={}", stream.appearance.video_range());
}

fn frame_rate(stream: &Stream) -> Option<Rate> {
    let video = stream.track.track.video()?;
    stream.track.rate.or(video.rate).filter(|rate| rate.numerator > 0 && rate.denominator > 0)
}
