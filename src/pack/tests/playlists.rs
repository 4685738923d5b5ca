//! A reader of HLS playlists that shares nothing with the writer, and the rules that hold for them.

use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Segment {
    pub uri: String,
    pub extinf: f64,
    pub date_ms: Option<i64>,
    pub discontinuity: bool,
    pub sequence: u64,
    pub discontinuity_sequence: u64,
    pub gap: bool,
    pub map: Option<String>,
    pub range: Option<(usize, usize)>,
}

#[derive(Debug, Clone, Default)]
pub struct Playlist {
    pub version: u32,
    pub target: u32,
    pub kind: Option<String>,
    pub iframes_only: bool,
    pub independent: bool,
    pub ended: bool,
    pub discontinuity_sequence: u64,
    pub segments: Vec<Segment>,
}

pub fn parse(text: &str) -> Playlist {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("#EXTM3U"));
    let mut out = Playlist::default();
    let mut next = Segment::default();
    let mut number = 0;
    let mut map = None;
    for line in lines {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-VERSION" => out.version = value.parse().unwrap(),
            "#EXT-X-TARGETDURATION" => out.target = value.parse().unwrap(),
            "#EXT-X-MEDIA-SEQUENCE" => number = value.parse().unwrap(),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => out.discontinuity_sequence = value.parse().unwrap(),
            "#EXT-X-PLAYLIST-TYPE" => out.kind = Some(value.into()),
            "#EXT-X-INDEPENDENT-SEGMENTS" => out.independent = true,
            "#EXT-X-I-FRAMES-ONLY" => out.iframes_only = true,
            "#EXT-X-ENDLIST" => out.ended = true,
            "#EXT-X-MAP" => map = Some(attributes(value)["URI"].clone()),
            "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
            "#EXT-X-GAP" => next.gap = true,
            "#EXT-X-PROGRAM-DATE-TIME" => next.date_ms = Some(date_ms(value)),
            "#EXTINF" => next.extinf = value.strip_suffix(',').unwrap().parse().unwrap(),
            "#EXT-X-BYTERANGE" => {
                let (length, offset) = value.split_once('@').unwrap();
                next.range = Some((offset.parse().unwrap(), length.parse().unwrap()));
            }
            _ if line.starts_with('#') => panic!("unknown tag {line}"),
            _ => {
                let before = out.segments.last().map_or(out.discontinuity_sequence, |last| last.discontinuity_sequence);
                next.discontinuity_sequence = before + u64::from(next.discontinuity);
                next.sequence = number + out.segments.len() as u64;
                (next.uri, next.map) = (line.into(), map.clone());
                out.segments.push(std::mem::take(&mut next));
            }
        }
    }
    out
}

pub fn attributes(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, later) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, later) = quoted.split_once('"').unwrap();
                (value, later.strip_prefix(',').unwrap_or(later))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        assert!(out.insert(key.into(), value.into()).is_none(), "{key} twice");
        rest = later;
    }
    out
}

/// Milliseconds since the epoch, by counting days.
pub fn date_ms(text: &str) -> i64 {
    let numbers: Vec<i64> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect();
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of = |year, month| match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap(year)),
        _ => 31,
    };
    let years: i64 = (1970..numbers[0]).map(|year| 365 + i64::from(leap(year))).sum();
    let months: i64 = (1..numbers[1]).map(|month| days_of(numbers[0], month)).sum();
    let days = years + months + numbers[2] - 1;
    ((days * 24 + numbers[3]) * 60 + numbers[4]) * 60_000 + numbers[5] * 1000 + numbers[6]
}

/// Rules of one playlist by itself. A window may be short while the programme is younger than three target durations.
pub fn check(playlist: &Playlist, young: bool) {
    let fmp4 = playlist.segments.iter().any(|segment| segment.map.is_some());
    assert!(playlist.version >= if fmp4 { 6 } else { 3 });
    assert!(playlist.version >= 8 || playlist.segments.iter().all(|segment| !segment.gap));
    assert!(playlist.iframes_only || playlist.independent);
    for segment in &playlist.segments {
        assert!(segment.extinf.round() as u32 <= playlist.target, "{segment:?}");
        assert!(!segment.uri.ends_with(".m4s") || segment.gap || segment.map.is_some(), "no map: {segment:?}");
        assert_eq!(playlist.iframes_only && !segment.gap, segment.range.is_some());
    }
    for pair in playlist.segments.windows(2) {
        if let (Some(a), Some(b)) = (pair[0].date_ms, pair[1].date_ms) {
            assert!(b > a, "dates go backwards");
            let drift = b - a - (pair[0].extinf * 1000.0).round() as i64;
            // A gap has the length of the grid's segment, sound that of its frames: up to a frame of 21.3 ms apart.
            let allowed = if pair.iter().any(|segment| segment.gap) { 22 } else { 1 };
            assert!(pair[1].discontinuity || drift.abs() <= allowed, "date and EXTINF differ by {drift} ms: {pair:?}");
        }
    }
    let length: f64 = playlist.segments.iter().map(|segment| segment.extinf).sum();
    assert!(young || playlist.ended || length >= f64::from(playlist.target) * 3.0, "a window of {length} s");
}

/// Rules between two states of the same playlist.
pub fn check_update(before: &Playlist, after: &Playlist) {
    assert_eq!((before.target, &before.kind), (after.target, &after.kind));
    assert!(after.discontinuity_sequence >= before.discontinuity_sequence);
    let known: BTreeMap<u64, &Segment> = before.segments.iter().map(|segment| (segment.sequence, segment)).collect();
    for segment in &after.segments {
        if let Some(known) = known.get(&segment.sequence) {
            let same = |a: &Segment, b: &Segment| {
                (&a.uri, a.date_ms, a.discontinuity_sequence, a.gap) == (&b.uri, b.date_ms, b.discontinuity_sequence, b.gap)
            };
            assert!(same(known, segment), "a segment changed: {known:?} {segment:?}");
        }
    }
    let (newest, oldest) = (before.segments.last().unwrap().sequence, after.segments[0].sequence);
    assert!(oldest <= newest + 1, "segments {newest} to {oldest} were never listed");
    assert!(oldest >= before.segments[0].sequence);
}
