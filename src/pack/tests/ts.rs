//! Transport streams and packed AAC as an analyser sees them.

use super::fixtures::{AVCC, Shelf, Source, presentation, run};
use super::playlists::parse;
use super::transport::{Transport, adts_frames, units};
use crate::base::Rate;
use crate::media::Packet;
use crate::pack::{Packager, SegmentSet, Window};

const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
/// 18 000 rounds of 2^33 ticks of 90 kHz are 1 717 986 918 s; with the constant offset of ten seconds, the counter wraps after 16 s.
const BEFORE_WRAP: i64 = 1_717_986_918 - 10 - 16;

fn packaged(begin: i64, rate: Rate, count: usize) -> (Shelf, Vec<SegmentSet>) {
    let presentation = presentation(Window::Event, rate);
    let source = || {
        let mut source = Source::new(&presentation, rate, begin, 1);
        // No multiple of the distance of tables and clock references.
        source.gop_slots = 37;
        source
    };
    let (mut source, mut again) = (source(), source());
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, count).unwrap();
    (shelf, (0..count).map(|_| again.segment()).collect())
}

fn packets(sets: &[SegmentSet], rung: usize) -> impl Iterator<Item = &Packet> {
    sets.iter().flat_map(move |set| set.packets[rung].as_ref().unwrap())
}

fn read(shelf: &Shelf, sets: &[SegmentSet]) -> Transport {
    let mut transport = Transport::default();
    sets.iter().for_each(|set| transport.read(shelf.bytes(&format!("ts/720p/{}.ts", set.number))));
    transport
}

fn wrapped(difference: i64, bits: i64) -> i64 {
    difference.rem_euclid(bits)
}

#[test]
fn pictures_and_sound_come_out_as_they_went_in() {
    let (shelf, sets) = packaged(1_790_000_004, Rate::new(25, 1), 3);
    let transport = read(&shelf, &sets);
    let pictures = &transport.pes[&VIDEO];
    assert_eq!(pictures.len(), packets(&sets, 0).count());
    for (pes, packet) in pictures.iter().zip(packets(&sets, 0)) {
        let units = units(&pes.data);
        assert_eq!(units[0], [0x09, 0xf0]);
        assert_eq!(units.last().unwrap()[..], packet.data[4..]);
        assert_eq!(units.len(), if packet.key { 4 } else { 2 });
        assert_eq!(pes.random_access, packet.key);
        if packet.key {
            assert_eq!((units[1][0], units[2][0]), (0x67, 0x68));
            assert_eq!(units[1][..], AVCC[8..34]);
        }
    }
    let sound: Vec<u8> = transport.pes[&AUDIO].iter().flat_map(|pes| pes.data.clone()).collect();
    let frames = adts_frames(&sound);
    assert_eq!(frames.len(), packets(&sets, 2).count());
    assert!(frames.iter().zip(packets(&sets, 2)).all(|(frame, packet)| *frame == packet.data));
}

#[test]
fn times_keep_their_distances_over_the_wrap_of_33_bits() {
    for rate in [Rate::new(25, 1), Rate::new(24_000, 1001), Rate::new(10, 1)] {
        let (shelf, sets) = packaged(BEFORE_WRAP, rate, 6);
        let transport = read(&shelf, &sets);
        let pictures = &transport.pes[&VIDEO];
        assert!(pictures.iter().any(|pes| pes.pts < 90_000 * 60) && pictures.iter().any(|pes| pes.pts > 1 << 32), "no wrap in the run");
        let offset = |pes: u64, time: i64| (pes as i64 - time / 7840).rem_euclid(1 << 33);
        let first = offset(pictures[0].pts, packets(&sets, 0).next().unwrap().pts.0);
        for (pes, packet) in pictures.iter().zip(packets(&sets, 0)) {
            assert!((offset(pes.pts, packet.pts.0) - first).abs() <= 1, "PTS drifts from the timeline");
            assert!(wrapped(pes.pts as i64 - pes.dts as i64, 1 << 33) < 90_000, "PTS before DTS");
        }
        for pair in pictures.windows(2) {
            assert!((1..90_000).contains(&wrapped(pair[1].dts as i64 - pair[0].dts as i64, 1 << 33)), "DTS stands or goes back");
        }
        let sounds = &transport.pes[&AUDIO];
        let sound = packets(&sets, 2).next().unwrap();
        assert!((offset(sounds[0].pts, sound.pts.0) - first).abs() <= 1, "sound and picture have different offsets");
    }
}

#[test]
fn clock_references_are_close_ahead_and_steady() {
    for rate in [Rate::new(25, 1), Rate::new(24_000, 1001), Rate::new(10, 1), Rate::new(60, 1)] {
        let (shelf, sets) = packaged(BEFORE_WRAP, rate, 6);
        let transport = read(&shelf, &sets);
        for pair in transport.clocks.windows(2) {
            let step = wrapped(pair[1].1 as i64 - pair[0].1 as i64, (1 << 33) * 300);
            assert!((1..=27_000 * 40 + 2).contains(&step), "PCR moves by {step} at {}", pair[1].0);
        }
        for pes in transport.pes.values().flatten() {
            let clock =
                transport.clocks.iter().take_while(|(at, _)| *at <= pes.at).last().map_or(transport.clocks[0].1, |(_, clock)| *clock);
            let ahead = wrapped(pes.dts as i64 - (clock / 300) as i64, 1 << 33);
            assert!(ahead < 90_000, "arrives {ahead} ticks before it is due");
        }
    }
}

#[test]
fn tables_come_at_least_every_tenth_of_a_second_and_before_every_idr() {
    for rate in [Rate::new(25, 1), Rate::new(10, 1)] {
        let (shelf, sets) = packaged(1_790_000_004, rate, 2);
        let transport = read(&shelf, &sets);
        let clock_at = |at: usize| transport.clocks.iter().find(|(clock_at, _)| *clock_at > at).map(|(_, clock)| *clock);
        let times: Vec<u64> = transport.tables.iter().filter_map(|at| clock_at(*at)).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 27_000 * 100 + 2), "{rate}: {times:?}");
        let keys = transport.pes[&VIDEO].iter().filter(|pes| pes.random_access);
        assert!(keys.into_iter().all(|pes| transport.tables.contains(&(pes.at - 2 * 188))));
    }
}

#[test]
fn an_iframe_range_is_a_stream_by_itself() {
    let (shelf, sets) = packaged(1_790_000_004, Rate::new(25, 1), 2);
    let playlist = parse(shelf.text("ts/720p/iframe.m3u8"));
    let keys: Vec<&Packet> = packets(&sets, 0).filter(|packet| packet.key).collect();
    assert_eq!(playlist.segments.len(), keys.len());
    for (segment, packet) in playlist.segments.iter().zip(keys) {
        let (offset, length) = segment.range.unwrap();
        let mut transport = Transport::default();
        transport.read(&shelf.bytes(&format!("ts/720p/{}", segment.uri))[offset..offset + length]);
        assert_eq!(transport.pes[&VIDEO].len(), 1);
        assert_eq!(units(&transport.pes[&VIDEO][0].data).last().unwrap()[..], packet.data[4..]);
        assert!(!transport.pes.contains_key(&AUDIO));
    }
}

#[test]
fn packed_audio_begins_with_the_timestamp_that_the_muxed_audio_has() {
    // One round of 2^33 ticks later than elsewhere, so that a bit too many would show.
    let (shelf, sets) = packaged(1_790_000_004 + 95_444, Rate::new(25, 1), 2);
    let muxed = read(&shelf, &sets).pes[&AUDIO][0].pts;
    let file = shelf.bytes("ts/audio/1.aac");
    assert_eq!(&file[..6], b"ID3\x04\0\0");
    let size = file[6..10].iter().fold(0, |size, byte| size << 7 | usize::from(*byte));
    let tag = &file[10..10 + size];
    assert_eq!(&tag[..4], b"PRIV");
    let owner = b"com.apple.streaming.transportStreamTimestamp\0";
    assert_eq!(&tag[10..10 + owner.len()], owner);
    assert_eq!(super::boxes::be(&tag[10 + owner.len()..]), muxed);
    let frames = adts_frames(&file[10 + size..]);
    let packets = sets[0].packets[2].as_ref().unwrap();
    assert!(frames.iter().zip(packets).all(|(frame, packet)| *frame == packet.data) && frames.len() == packets.len());
}
