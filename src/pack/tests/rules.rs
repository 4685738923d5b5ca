//! A live run of twenty segments with a sliding window, judged by a reader after every segment.

use std::collections::BTreeMap;

use super::fixtures::{Shelf, Source, halved, presentation};
use super::playlists::{Playlist, attributes, check, check_update, parse};
use crate::base::{Rate, Ticks};
use crate::pack::{Packager, Window};

const PLAYLISTS: [&str; 10] = [
    "720p/playlist.m3u8",
    "720p/iframe.m3u8",
    "360p/playlist.m3u8",
    "360p/iframe.m3u8",
    "audio/playlist.m3u8",
    "ts/720p/playlist.m3u8",
    "ts/720p/iframe.m3u8",
    "ts/360p/playlist.m3u8",
    "ts/360p/iframe.m3u8",
    "ts/audio/playlist.m3u8",
];

fn judge(shelf: &Shelf, before: &mut BTreeMap<&str, Playlist>, young: bool) {
    for path in PLAYLISTS {
        let playlist = parse(shelf.text(path));
        check(&playlist, young);
        let directory = path.rsplit_once('/').unwrap().0;
        for segment in &playlist.segments {
            let there = |name: &str| shelf.files.contains_key(&format!("{directory}/{name}"));
            assert!(segment.gap || there(&segment.uri), "{path} names {}", segment.uri);
            assert!(segment.map.as_deref().is_none_or(there), "{path} names {:?}", segment.map);
        }
        if let Some(before) = before.insert(path, playlist.clone()) {
            check_update(&before, &playlist);
        }
    }
    let in_step: Vec<&Playlist> = before.iter().filter(|(path, _)| !path.contains("iframe")).map(|(_, playlist)| playlist).collect();
    for playlist in &in_step {
        let facts = |playlist: &Playlist| {
            let line = |segment: &super::playlists::Segment| (segment.sequence, segment.discontinuity_sequence);
            (playlist.target, playlist.segments.iter().map(line).collect::<Vec<_>>())
        };
        assert_eq!(facts(playlist), facts(in_step[0]), "renditions are out of step");
    }
}

/// Bandwidths of a multivariant playlist against what the playlists that it names hold now.
fn judge_bandwidth(shelf: &Shelf, master: &str) {
    let text = shelf.text(master);
    let prefix = master.strip_suffix("master.m3u8").unwrap();
    let peak = |name: &str| {
        let playlist = parse(shelf.text(&format!("{prefix}{name}/playlist.m3u8")));
        let bitrate = |segment: &super::playlists::Segment| {
            shelf.bytes(&format!("{prefix}{name}/{}", segment.uri)).len() as f64 * 8.0 / segment.extinf
        };
        playlist.segments.iter().map(bitrate).fold(0.0, f64::max)
    };
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(values) = line.strip_prefix("#EXT-X-STREAM-INF:") else { continue };
        let values = attributes(values);
        let rung = lines[index + 1].split('/').next().unwrap();
        let audio = values.get("AUDIO").map_or(0.0, |_| peak("audio"));
        let declared: f64 = values["BANDWIDTH"].parse().unwrap();
        let average: f64 = values["AVERAGE-BANDWIDTH"].parse().unwrap();
        assert!(peak(rung) + audio <= declared * 1.25 && average <= declared, "{rung}: {} of {declared}", peak(rung) + audio);
    }
}

#[test]
fn twenty_live_segments_keep_the_rules() {
    for rate in [Rate::new(25, 1), Rate::new(30_000, 1001), Rate::new(24_000, 1001)] {
        let presentation = presentation(Window::Live(Ticks::from_millis(30_000)), rate);
        let mut source = Source::new(&presentation, rate, 1_790_000_004, 298_333_334);
        let mut packager = Packager::new(presentation).unwrap();
        let (mut shelf, mut before) = (Shelf::default(), BTreeMap::new());
        let mut masters = Vec::new();
        for count in 0..20 {
            let mut set = source.segment();
            match count {
                5 => set.discontinuity = true,
                9 => set.packets[1] = None,
                13 => set.packets[2] = None,
                _ => {}
            }
            let changes = packager.push(set).unwrap();
            shelf.apply(changes);
            judge(&shelf, &mut before, count < 4);
            if !(9..20).contains(&count) {
                judge_bandwidth(&shelf, "master.m3u8");
                judge_bandwidth(&shelf, "ts/master.m3u8");
            }
            masters.push(shelf.text("master.m3u8").to_string());
        }
        masters.dedup();
        assert!(masters.len() <= 2, "the multivariant playlist flaps: {masters:#?}");
        let first = &before["720p/playlist.m3u8"].segments[0];
        assert!(first.sequence > 298_333_334 + 12, "nothing slid out");
        assert_eq!(before["720p/playlist.m3u8"].discontinuity_sequence, 1, "the discontinuity slid out uncounted");
        assert!(!shelf.removed.is_empty());
    }
}

#[test]
fn half_the_pictures_and_a_rung_that_is_away_for_long_keep_the_rules() {
    let rate = Rate::new(25, 1);
    let presentation = presentation(Window::Live(Ticks::from_millis(30_000)), rate);
    let mut source = Source::new(&presentation, rate, 1_790_000_004, 1);
    let mut packager = Packager::new(presentation).unwrap();
    let (mut shelf, mut before) = (Shelf::default(), BTreeMap::new());
    for count in 0..18 {
        let mut set = source.segment();
        if (4..15).contains(&count) {
            set.packets[1] = set.packets[1].as_deref().map(halved);
        }
        if (6..12).contains(&count) {
            set.packets[0] = None;
        }
        shelf.apply(packager.push(set).unwrap());
        judge(&shelf, &mut before, count < 4);
        for master in ["master.m3u8", "ts/master.m3u8"] {
            let text = shelf.text(master);
            let is_listed = text.contains("\n720p/playlist.m3u8") && text.contains("720p/iframe.m3u8");
            assert_eq!(is_listed, !(8..12).contains(&count), "{master} after segment {count}");
            assert!(text.contains("\n360p/playlist.m3u8"));
        }
    }
}

#[test]
fn a_removed_segment_stays_for_its_length_and_the_longest_playlist() {
    let rate = Rate::new(25, 1);
    let presentation = presentation(Window::Live(Ticks::from_millis(30_000)), rate);
    let mut source = Source::new(&presentation, rate, 1_790_000_004, 1);
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    let (mut longest, mut unlisted_at, mut removed_at) = (0.0f64, BTreeMap::new(), BTreeMap::new());
    for step in 0..25 {
        shelf.apply(packager.push(source.segment()).unwrap());
        let playlist = parse(shelf.text("720p/playlist.m3u8"));
        longest = longest.max(playlist.segments.iter().map(|segment| segment.extinf).sum());
        for number in 1..playlist.segments[0].sequence {
            unlisted_at.entry(number).or_insert(step);
            if !shelf.files.contains_key(&format!("720p/{number}.m4s")) {
                removed_at.entry(number).or_insert(step);
            }
        }
    }
    assert!(removed_at.len() > 5);
    for (number, removed) in removed_at {
        let stayed = f64::from(removed - unlisted_at[&number]) * 6.0;
        assert!(stayed >= 6.0 + longest, "segment {number} stayed {stayed} s");
        assert!(stayed < 12.0 + longest, "segment {number} stayed {stayed} s, too long");
    }
}

#[test]
fn multivariant_playlists_say_what_the_streams_are() {
    let rate = Rate::new(30_000, 1001);
    let presentation = presentation(Window::Event, rate);
    let mut source = Source::new(&presentation, rate, 1_790_000_004, 1);
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    shelf.apply(packager.push(source.segment()).unwrap());
    let line = |master: &str, tag: &str| {
        let text = shelf.text(master).lines().find_map(|line| line.strip_prefix(tag)).unwrap_or_else(|| panic!("no {tag}"));
        attributes(text)
    };
    let variant = line("master.m3u8", "#EXT-X-STREAM-INF:");
    let facts = |keys: [&str; 4]| keys.map(|key| variant[key].clone());
    assert_eq!(facts(["CODECS", "RESOLUTION", "FRAME-RATE", "AUDIO"]), ["avc1.64001f,mp4a.40.2", "1280x720", "29.970", "audio"]);
    let audio = line("master.m3u8", "#EXT-X-MEDIA:");
    assert_eq!((audio["GROUP-ID"].as_str(), audio["CHANNELS"].as_str(), audio["DEFAULT"].as_str()), ("audio", "2", "YES"));
    let iframes = line("master.m3u8", "#EXT-X-I-FRAME-STREAM-INF:");
    assert_eq!((iframes["CODECS"].as_str(), iframes["URI"].as_str()), ("avc1.64001f", "720p/iframe.m3u8"));
    let ts = shelf.text("ts/master.m3u8");
    assert!(!ts.contains("EXT-X-MEDIA:") && ts.contains("\naudio/playlist.m3u8\n"), "{ts}");
}
