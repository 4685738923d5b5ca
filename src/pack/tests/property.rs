//! Any sizes, any GOPs: every byte is found again, in order, in both formats.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::boxes::samples;
use super::fixtures::{Shelf, decode_order, noise, presentation, unit};
use super::transport::{Transport, adts_frames, units};
use crate::base::{MediaTime, Rate, Ticks};
use crate::media::Packet;
use crate::pack::{Packager, SegmentSet, Window};

/// Pictures of a segment: for each GOP, for each picture, the sizes of its NAL units.
type Shape = Vec<Vec<Vec<usize>>>;

fn shapes() -> impl Strategy<Value = Shape> {
    let size = prop_oneof![Just(0usize), Just(1), 1..400usize, 150..200usize, 1000..6000usize];
    vec(vec(vec(size, 1..4), 1..14), 1..4)
}

fn pictures(shape: &Shape, start: MediaTime, period: Ticks, rung: u8) -> (Vec<Packet>, MediaTime) {
    let mut out = Vec::new();
    let mut begin = start;
    for gop in shape {
        for (place, shown) in decode_order(gop.len() as i64).into_iter().enumerate() {
            let key = place == 0;
            let kind = if key { 0x65 } else { 0x41 };
            let data: Vec<u8> = gop[place].iter().enumerate().flat_map(|(index, size)| unit(kind, *size, (index + place) as u32)).collect();
            let at = |slot: i64| begin + Ticks(period.0 * slot);
            out.push(Packet { rung, pts: at(shown), dts: at(place as i64), duration: period, key, data: data.into() });
        }
        begin += Ticks(period.0 * gop.len() as i64);
    }
    (out, begin)
}

fn sounds(sizes: &[usize], start: MediaTime, end: MediaTime) -> Vec<Packet> {
    let frame = Ticks::from_scale(1024, 48_000);
    let at = |index: usize| start + Ticks(frame.0 * index as i64);
    let sound = |(index, size): (usize, &usize)| Packet {
        rung: 1,
        pts: at(index),
        dts: at(index),
        duration: frame,
        key: true,
        data: noise(*size, index as u32),
    };
    sizes.iter().enumerate().map(sound).take_while(|packet| packet.pts < end).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_is_found_again(
        segments in vec((shapes(), vec(1..2000usize, 1..120)), 1..4),
        begin in prop_oneof![Just(0i64), 1_700_000_000i64..1_900_000_000],
        rate in prop_oneof![Just(Rate::new(25, 1)), Just(Rate::new(30_000, 1001)), Just(Rate::new(12, 1)), Just(Rate::new(60, 1))],
    ) {
        let mut presentation = presentation(Window::Event, rate);
        presentation.tracks.remove(1);
        let mut packager = Packager::new(presentation).unwrap();
        let mut shelf = Shelf::default();
        let mut start = MediaTime(begin / 1001 * 1001 * 705_600_000);
        let (mut video, mut audio) = (Vec::new(), Vec::new());
        for (index, (shape, sizes)) in segments.iter().enumerate() {
            let (pictures, end) = pictures(shape, start, rate.period(), 0);
            let sounds = sounds(sizes, start, end);
            video.push(pictures.clone());
            audio.push(sounds.clone());
            let packets = vec![Some(pictures), Some(sounds)];
            let set = SegmentSet { number: index as u64, start, duration: end - start, discontinuity: false, packets };
            shelf.apply(packager.push(set).unwrap());
            start = end;
        }
        let mut transport = Transport::default();
        let data = |packets: &[Packet]| packets.iter().map(|packet| packet.data.clone()).collect::<Vec<Bytes>>();
        for number in 0..segments.len() {
            for (name, packets) in [("720p", &video[number]), ("audio", &audio[number])] {
                let found = samples(shelf.bytes(&format!("{name}/{number}.m4s")));
                let found: Vec<Bytes> = found.into_iter().flatten().map(|sample| sample.data.into()).collect();
                prop_assert_eq!(found, data(packets));
            }
            transport.read(shelf.bytes(&format!("ts/720p/{number}.ts")));
        }
        let pictures = &transport.pes[&0x100];
        prop_assert_eq!(pictures.len(), video.concat().len());
        for (pes, packet) in pictures.iter().zip(video.concat()) {
            let own = units(&pes.data).into_iter().filter(|unit| !matches!(unit[0], 0x09 | 0x67 | 0x68));
            let written: Vec<u8> = own.flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], &unit].concat()).collect();
            prop_assert_eq!(written, packet.data);
            let ahead = (pes.pts as i64 - pes.dts as i64).rem_euclid(1 << 33);
            prop_assert!(ahead < 90_000);
        }
        let sound: Vec<u8> = transport.pes.get(&0x101).into_iter().flatten().flat_map(|pes| pes.data.clone()).collect();
        let frames: Vec<Bytes> = adts_frames(&sound).into_iter().map(Bytes::from).collect();
        prop_assert_eq!(frames, data(&audio.concat()));
        for pair in transport.clocks.windows(2) {
            let step = (pair[1].1 as i64 - pair[0].1 as i64).rem_euclid((1 << 33) * 300);
            prop_assert!((1..=27_000 * 40 + 2).contains(&step), "PCR moves by {}", step);
        }
    }

    #[test]
    fn no_packet_bytes_reach_a_panic(data in vec(vec(any::<u8>(), 0..64), 1..30), config in vec(any::<u8>(), 0..64), head in vec(any::<u8>(), 0..40)) {
        let rate = Rate::new(25, 1);
        let mut presentation = presentation(Window::Event, rate);
        if let crate::media::Track::Video(video) = &mut presentation.tracks[1].track {
            video.config = config.into();
        }
        if let crate::media::Track::Audio(audio) = &mut presentation.tracks[2].track {
            audio.config = head.into();
        }
        let _ = Packager::new(presentation.clone());
        presentation.tracks.truncate(1);
        let mut packager = Packager::new(presentation).unwrap();
        let packet = |(index, data): (usize, Vec<u8>)| {
            let at = MediaTime(rate.period().0 * index as i64);
            Packet { rung: 0, pts: at, dts: at, duration: rate.period(), key: index == 0, data: data.into() }
        };
        let packets: Vec<Packet> = data.into_iter().enumerate().map(packet).collect();
        let duration = Ticks(rate.period().0 * packets.len() as i64);
        let set = SegmentSet { number: 0, start: MediaTime(0), duration, discontinuity: false, packets: vec![Some(packets)] };
        prop_assert!(packager.push(set).is_ok());
    }
}
