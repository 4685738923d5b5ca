//! Reconfigurations, ends, odd presentations.

use super::fixtures::{Shelf, Source, audio, presentation, run, video};
use super::playlists::{check, parse};
use super::transport::Transport;
use crate::base::{Rate, Ticks};
use crate::media::{AudioCodec, Track, VideoCodec};
use crate::pack::{Change, Kind, Packager, Window};

const RATE: Rate = Rate::new(25, 1);

fn live() -> (Packager, Source) {
    let presentation = presentation(Window::Live(Ticks::from_millis(30_000)), RATE);
    let source = Source::new(&presentation, RATE, 1_790_000_004, 40);
    (Packager::new(presentation).unwrap(), source)
}

#[test]
fn files_come_before_the_texts_that_name_them() {
    let (mut packager, mut source) = live();
    for _ in 0..3 {
        let changes = packager.push(source.segment()).unwrap();
        let rank = |change: &Change| match change {
            Change::Put { kind: Kind::Init { .. }, .. } => 0,
            Change::Put { kind: Kind::Cmaf { .. } | Kind::Ts | Kind::PackedAac, .. } => 1,
            Change::Put { kind: Kind::Playlist { .. }, .. } => 2,
            Change::Put { kind: Kind::Multivariant | Kind::Manifest { .. }, .. } => 3,
            Change::Remove { .. } => 4,
        };
        assert!(changes.is_sorted_by_key(rank), "{changes:?}");
    }
}

#[test]
fn a_new_configuration_brings_a_discontinuity_a_new_map_and_a_new_period() {
    let (mut packager, mut source) = live();
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, 3).unwrap();
    packager.reconfigure(source.tracks.clone()).unwrap();
    run(&mut packager, &mut source, &mut shelf, 2).unwrap();
    let playlist = parse(shelf.text("720p/playlist.m3u8"));
    check(&playlist, false);
    let marks: Vec<_> = playlist.segments.iter().map(|segment| (segment.discontinuity, segment.map.clone().unwrap())).collect();
    let (old, new) = ("init-40.mp4".to_string(), "init-43.mp4".to_string());
    assert_eq!(marks, [(false, old.clone()), (false, old.clone()), (false, old), (true, new.clone()), (false, new)]);
    assert_eq!(shelf.text("manifest.mpd").matches("<Period ").count(), 2);
    let mut transport = Transport::default();
    (40..45).for_each(|number| transport.read(shelf.bytes(&format!("ts/720p/{number}.ts"))));
    assert_eq!(transport.discontinuities, 1);
}

#[test]
fn old_headers_leave_with_their_last_segment() {
    let (mut packager, mut source) = live();
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, 2).unwrap();
    packager.reconfigure(source.tracks.clone()).unwrap();
    run(&mut packager, &mut source, &mut shelf, 30).unwrap();
    let place = |path: &str| shelf.removed.iter().position(|removed| removed == path);
    assert!(place("720p/init-40.mp4").is_some() && shelf.files.contains_key("720p/init-42.mp4"));
    assert!(place("720p/41.m4s") > place("720p/40.m4s"));
    assert!(place("720p/init-40.mp4") > place("720p/40.m4s"), "the header left before its first segment");
}

#[test]
fn a_rendition_that_is_gone_goes_on_with_gaps_until_its_window_is_empty() {
    let (mut packager, mut source) = live();
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, 3).unwrap();
    source.tracks = vec![video("480p", 854, 480, RATE), audio("audio")];
    packager.reconfigure(source.tracks.clone()).unwrap();
    run(&mut packager, &mut source, &mut shelf, 2).unwrap();
    let gone = parse(shelf.text("720p/playlist.m3u8"));
    assert_eq!(gone.segments.iter().map(|segment| segment.gap).collect::<Vec<_>>(), [false, false, false, true, true]);
    let new = parse(shelf.text("480p/playlist.m3u8"));
    let audio = parse(shelf.text("audio/playlist.m3u8"));
    assert_eq!(new.segments[0].sequence, 43);
    assert_eq!(new.segments[0].discontinuity_sequence, audio.segments[3].discontinuity_sequence);
    assert!(!shelf.text("master.m3u8").contains("720p"));
    run(&mut packager, &mut source, &mut shelf, 30).unwrap();
    assert!(!shelf.files.keys().any(|path| path.contains("720p")), "{:?}", shelf.files.keys());
}

#[test]
fn a_hole_in_the_timeline_is_a_discontinuity_even_if_nobody_says_so() {
    let (mut packager, mut source) = live();
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, 2).unwrap();
    source.slot += 100;
    run(&mut packager, &mut source, &mut shelf, 1).unwrap();
    let playlist = parse(shelf.text("720p/playlist.m3u8"));
    check(&playlist, true);
    assert!(playlist.segments[2].discontinuity);
}

#[test]
fn an_event_keeps_everything_and_ends() {
    let presentation = presentation(Window::Event, RATE);
    let mut source = Source::new(&presentation, RATE, 1_790_000_004, 40);
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, 25).unwrap();
    shelf.apply(packager.finish().unwrap());
    let playlist = parse(shelf.text("ts/360p/playlist.m3u8"));
    assert_eq!((playlist.segments.len(), playlist.ended, playlist.kind.as_deref()), (25, true, Some("EVENT")));
    assert!(shelf.removed.is_empty());
    assert!(packager.push(source.segment()).is_err() && packager.finish().is_err());
}

#[test]
fn sound_alone_and_pictures_alone_are_presentations() {
    for only in [0, 2] {
        let mut presentation = presentation(Window::Event, RATE);
        presentation.tracks = vec![presentation.tracks[only].clone()];
        let mut source = Source::new(&presentation, RATE, 1_790_000_004, 1);
        let mut packager = Packager::new(presentation).unwrap();
        let mut shelf = Shelf::default();
        run(&mut packager, &mut source, &mut shelf, 2).unwrap();
        for master in ["master.m3u8", "ts/master.m3u8"] {
            assert_eq!(shelf.text(master).matches("EXT-X-STREAM-INF").count(), 1);
            assert!(!shelf.text(master).contains("EXT-X-MEDIA"));
        }
        assert_eq!(shelf.text("manifest.mpd").matches("<Representation").count(), 1);
    }
}

#[test]
fn what_has_no_place_in_a_transport_stream_is_left_out_and_noted() {
    let mut presentation = presentation(Window::Event, RATE);
    if let Track::Video(video) = &mut presentation.tracks[0].track {
        (video.codec, video.config) = (VideoCodec::Av1, (&[0x81, 4, 12, 0][..]).into());
    }
    if let Track::Audio(audio) = &mut presentation.tracks[2].track {
        (audio.codec, audio.config) = (AudioCodec::Opus, (&b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"[..]).into());
    }
    let mut source = Source::new(&presentation, RATE, 1_790_000_004, 1);
    let mut packager = Packager::new(presentation).unwrap();
    let notes = packager.notes();
    assert!(notes.len() == 2 && notes[0].contains("720p") && notes[1].contains("audio"), "{notes:?}");
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, 1).unwrap();
    assert!(shelf.files.contains_key("ts/360p/1.ts") && !shelf.files.contains_key("ts/720p/1.ts"));
    assert!(shelf.files.contains_key("audio/1.m4s") && !shelf.files.contains_key("ts/audio/1.aac"));
    assert_eq!(shelf.text("manifest.mpd").matches("<AdaptationSet").count(), 3);
}

#[test]
fn the_measured_bitrate_is_that_of_the_newest_segment() {
    let (mut packager, mut source) = live();
    let mut set = source.segment();
    set.packets[1] = None;
    let bytes: usize = set.packets[0].as_ref().unwrap().iter().map(|packet| packet.data.len()).sum();
    packager.push(set).unwrap();
    assert_eq!(packager.measured_bitrate(0), (bytes * 8 / 6) as u32);
    assert_eq!((packager.measured_bitrate(1), packager.measured_bitrate(9)), (0, 0));
}
