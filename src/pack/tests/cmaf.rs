//! CMAF segments and headers as a reader sees them.

use super::boxes::{be, file, find, samples, timescale};
use super::fixtures::{Shelf, Source, presentation, run};
use super::playlists::parse;
use crate::base::{MediaTime, Rate};
use crate::pack::{Packager, Window};

const RATE: Rate = Rate::new(25, 1);
const NOW: i64 = 1_790_000_004;

fn packaged(window: Window, begin: i64, rate: Rate, count: usize) -> (Shelf, Vec<crate::pack::SegmentSet>) {
    let presentation = presentation(window, rate);
    let mut source = Source::new(&presentation, rate, begin, 7);
    let mut again = Source::new(&presentation, rate, begin, 7);
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, count).unwrap();
    (shelf, (0..count).map(|_| again.segment()).collect())
}

#[test]
fn samples_carry_the_packets_and_their_times() {
    for rate in [RATE, Rate::new(30_000, 1001), Rate::new(24, 1)] {
        let (shelf, sets) = packaged(Window::Event, NOW, rate, 3);
        for (rung, name) in ["720p", "360p", "audio"].into_iter().enumerate() {
            let scale = timescale(shelf.bytes(&format!("{name}/init-7.mp4")));
            let scaled = |time: MediaTime| (i128::from(time.0) * i128::from(scale) / 705_600_000) as i64;
            let mut due = None;
            for set in &sets {
                let found: Vec<_> = samples(shelf.bytes(&format!("{name}/{}.m4s", set.number))).into_iter().flatten().collect();
                let packets = set.packets[rung].as_ref().unwrap();
                assert_eq!(found.len(), packets.len());
                for (sample, packet) in found.iter().zip(packets) {
                    assert_eq!(sample.data, packet.data);
                    assert_eq!((sample.dts, sample.pts, sample.sync), (scaled(packet.dts), scaled(packet.pts), packet.key));
                    assert!(due.is_none_or(|due| due == sample.dts), "a hole or an overlap at {}", sample.dts);
                    due = Some(sample.dts + sample.duration);
                }
            }
        }
    }
}

#[test]
fn every_idr_is_a_byte_range_that_begins_a_fragment() {
    let (shelf, sets) = packaged(Window::Event, NOW, RATE, 2);
    let playlist = parse(shelf.text("720p/iframe.m3u8"));
    let packets = sets.iter().flat_map(|set| set.packets[0].as_ref().unwrap());
    let keys: Vec<_> = packets.filter(|packet| packet.key).collect();
    assert_eq!(playlist.segments.len(), keys.len());
    for (segment, packet) in playlist.segments.iter().zip(keys) {
        let (offset, length) = segment.range.unwrap();
        let range = &shelf.bytes(&format!("720p/{}", segment.uri))[offset..offset + length];
        let moof = be(&range[..4]) as usize;
        assert_eq!((&range[4..8], &range[moof + 4..moof + 8]), (&b"moof"[..], &b"mdat"[..]));
        assert_eq!(range[moof + 8..], packet.data[..]);
        assert_eq!(segment.date_ms.unwrap(), packet.pts.0 / 705_600);
    }
}

#[test]
fn audio_has_one_fragment_and_video_one_per_gop() {
    let (shelf, _) = packaged(Window::Event, NOW, RATE, 1);
    assert_eq!(samples(shelf.bytes("audio/7.m4s")).len(), 1);
    let video = samples(shelf.bytes("720p/7.m4s"));
    assert_eq!(video.len(), 3);
    assert!(video.iter().all(|fragment| fragment[0].sync && fragment[1..].iter().all(|sample| !sample.sync)));
}

#[test]
fn fragments_are_numbered_in_order() {
    let (shelf, sets) = packaged(Window::Event, NOW, RATE, 3);
    let mut last = 0;
    for set in &sets {
        let segment = shelf.bytes(&format!("720p/{}.m4s", set.number));
        for moof in file(segment).iter().filter(|node| node.kind == "moof") {
            let number = be(&segment[find(&moof.children, &["mfhd"]).body.clone()]);
            assert_eq!(number, last + 1);
            last = number;
        }
    }
}

#[test]
fn a_header_holds_the_configuration_byte_for_byte() {
    let (shelf, _) = packaged(Window::Event, NOW, RATE, 1);
    let header = shelf.bytes("720p/init-7.mp4");
    let nodes = file(header);
    let entry = find(&nodes, &["moov", "trak", "mdia", "minf", "stbl", "stsd", "avc1"]);
    assert_eq!(header[find(&entry.children, &["avcC"]).body.clone()], *super::fixtures::AVCC);
    assert_eq!(be(&header[entry.body.start + 24..entry.body.start + 28]), 1280 << 16 | 720);
    let audio = shelf.bytes("audio/init-7.mp4");
    let nodes = file(audio);
    let esds = &audio[find(&nodes, &["moov", "trak", "mdia", "minf", "stbl", "stsd", "mp4a", "esds"]).body.clone()];
    assert!(esds.windows(4).any(|window| window == [0x05, 2, 0x11, 0x90]), "no AudioSpecificConfig in {esds:02x?}");
    assert_eq!(esds.len(), 4 + 2 + usize::from(esds[5]));
}
