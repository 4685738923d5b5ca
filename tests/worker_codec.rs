//! The software codecs by themselves.

mod worker_support;

use std::sync::Arc;

use bytes::Bytes;
use headend::base::Ticks;
use headend::codec::software::{VideoDecoder, X264Encoder, X264Options};
use headend::codec::{Attached, Color, Decoder, Encoder, EncoderInfo, Frame, HostPicture, PlanarPool, Surface};
use headend::media::nal::units;
use headend::media::{AccessUnit, Packet, Rung, Slot, Track};
use headend::wire::link::RungConfig;
use worker_support::*;

fn options() -> X264Options {
    X264Options { grid: grid(), color: Color::assumed(180), threads: 1 }
}

/// A picture of its slot: a step that moves, with captions that tell the slot.
fn frame(pool: &PlanarPool, slot: i64) -> Frame {
    let mut picture = pool.take();
    picture.fill([60, 128, 128]);
    let stride = picture.stride(0);
    for row in picture.plane_mut(0).chunks_exact_mut(stride) {
        row[slot as usize * 4..slot as usize * 4 + 40].fill(200);
    }
    Frame {
        pts: grid().start(Slot(slot)),
        duration: Ticks::ZERO,
        color: Color::assumed(180),
        surface: Surface::Host(HostPicture::Planar(Arc::new(picture))),
        attached: Attached { captions: Bytes::copy_from_slice(&[0xFC, 0x80, slot as u8]), timecode: None },
    }
}

fn encoded(tune: &str, preset: &str) -> (X264Encoder, Vec<Packet>) {
    let mut settings = rung("180p", 320, 180, 400_000);
    (settings.tune, settings.preset) = (tune.into(), preset.into());
    let mut encoder = X264Encoder::open(0, &settings, options()).unwrap();
    let pool = PlanarPool::new(320, 180, 2);
    let mut packets = Vec::new();
    for slot in 0..50 {
        encoder.encode(&frame(&pool, slot), grid().is_key(Slot(slot)), &mut packets).unwrap();
    }
    encoder.drain(&mut packets).unwrap();
    (encoder, packets)
}

#[test]
fn captions_arrive_with_their_pictures_in_presentation_order() {
    let (encoder, packets) = encoded("", "veryfast");
    assert!(packets.iter().any(|packet| packet.pts < packet.dts), "no picture was reordered");
    let Track::Video(track) = &encoder.info().track else { panic!() };
    let mut decoder = VideoDecoder::open(track).unwrap();
    let mut frames = Vec::new();
    for packet in packets {
        let unit = AccessUnit { track: 0, pts: packet.pts, dts: packet.dts, entry: packet.key, data: packet.data };
        decoder.decode(&unit, &mut frames).unwrap();
    }
    decoder.drain(&mut frames).unwrap();
    assert_eq!(frames.len(), 50);
    for (slot, frame) in frames.iter().enumerate() {
        assert_eq!(grid().nearest(frame.pts), Slot(slot as i64));
        assert_eq!(frame.attached.captions[..], [0xFC, 0x80, slot as u8]);
    }
}

#[test]
fn packets_hold_no_parameter_sets_and_no_advertisement() {
    let (_, packets) = encoded("", "superfast");
    for unit in packets.iter().flat_map(|packet| units(&packet.data)) {
        let kind = unit[0] & 31;
        assert!(matches!(kind, 1 | 5 | 6), "NAL unit of type {kind}");
        // SEI: picture timing and captions only, payload types 1 and 4.
        assert!(kind != 6 || matches!(unit[1], 1 | 4));
    }
}

#[test]
fn zero_latency_reorders_nothing_and_loses_no_packet() {
    let (encoder, packets) = encoded("zerolatency", "superfast");
    assert_eq!(encoder.info().reorder, Ticks::ZERO);
    assert_eq!(packets.len(), 50);
    assert!(packets.iter().all(|packet| packet.pts == packet.dts && packet.duration == grid().rate.period()));
}

#[test]
fn two_encoders_of_the_same_settings_make_the_same_bytes() {
    let (first, second) = (encoded("", "veryfast"), encoded("", "veryfast"));
    assert_eq!(first.0.info(), second.0.info());
    assert_eq!(first.1, second.1);
}

/// Two GOPs with the rung's own preset, two with one that is so many faster, two with its own again.
fn eased(preset: &str, tune: &str, profile: &str, faster: u8) -> (X264Encoder, Vec<Packet>) {
    let mut settings = rung("180p", 320, 180, 400_000);
    (settings.tune, settings.preset, settings.profile) = (tune.into(), preset.into(), profile.into());
    let mut encoder = X264Encoder::open(0, &settings, options()).unwrap();
    let before = encoder.info().clone();
    let pool = PlanarPool::new(320, 180, 2);
    let mut packets = Vec::new();
    for slot in 0..150 {
        if slot == 50 || slot == 100 {
            let is_eased = encoder.ease(if slot == 50 { faster } else { 0 }, &mut packets).unwrap();
            assert!(is_eased, "{preset} {tune} {profile}: parameter sets differ {faster} presets further");
        }
        encoder.encode(&frame(&pool, slot % 60), grid().is_key(Slot(slot)), &mut packets).unwrap();
    }
    encoder.drain(&mut packets).unwrap();
    assert_eq!(*encoder.info(), before);
    (encoder, packets)
}

/// Which pictures with B pictures, weights, arithmetic coding and 8x8 transform are there depends on the preset; parameter sets tell it.
#[test]
fn faster_presets_keep_the_parameter_sets_and_the_stream_decodes_across_the_change() {
    let directory = tempfile::tempdir().unwrap();
    let tried = [
        ("veryfast", "", "high", 1),
        ("veryfast", "", "high", 2),
        ("superfast", "", "main", 1),
        ("medium", "", "high", 2),
        ("medium", "", "high", 9),
        ("slow", "film", "high", 9),
        ("veryslow", "grain", "high", 4),
        ("faster", "zerolatency", "baseline", 9),
    ];
    for (preset, tune, profile, faster) in tried {
        let (encoder, packets) = eased(preset, tune, profile, faster);
        let EncoderInfo { track, reorder } = encoder.info().clone();
        let config = RungConfig { track, reorder };
        let pictures = decoded(directory.path(), &config, &packets.iter().collect::<Vec<_>>());
        assert_eq!(pictures.len(), 150, "{preset} {tune} {profile} {faster}");
        assert!(packets.windows(2).all(|pair| pair[0].dts + pair[0].duration == pair[1].dts && pair[1].dts > pair[0].dts));
        assert!(packets.iter().all(|packet| packet.dts - packet.pts <= config.reorder && (!packet.key || packet.dts == packet.pts)));
        let mut slots: Vec<i64> = packets.iter().map(|packet| grid().nearest(packet.pts).0).collect();
        slots.sort_unstable();
        assert_eq!(slots, (0..150).collect::<Vec<_>>());
        // The moving step is where it belongs in every picture: nothing refers to pictures of another encoder.
        for (slot, picture) in pictures.iter().enumerate() {
            let (inside, outside) = (picture[90 * 320 + slot % 60 * 4 + 20], picture[90 * 320 + (slot % 60 * 4 + 180) % 320]);
            assert!(inside > 170 || slot % 60 > 40 && inside > 120, "{preset} {faster}: slot {slot} {inside} {outside}");
        }
    }
}

#[test]
fn a_faster_preset_is_faster() {
    let settings = |preset: &str| Rung { preset: preset.into(), ..rung("720p", 1280, 720, 2_000_000) };
    let pool = PlanarPool::new(1280, 720, 2);
    let pictures: Vec<Frame> = (0..40)
        .map(|slot| {
            let mut picture = pool.take();
            let mut state = slot as u32 + 1;
            for plane in 0..3 {
                for byte in picture.plane_mut(plane) {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *byte = 90 + (state >> 27) as u8;
                }
            }
            Frame { surface: Surface::Host(HostPicture::Planar(Arc::new(picture))), ..frame(&PlanarPool::new(320, 180, 1), slot) }
        })
        .collect();
    let cpu_s = |faster: u8| {
        let mut encoder = X264Encoder::open(0, &settings("medium"), options()).unwrap();
        let mut packets = Vec::new();
        encoder.ease(faster, &mut packets).unwrap();
        let begun = thread_cpu();
        for (slot, frame) in pictures.iter().enumerate() {
            encoder.encode(frame, slot == 0, &mut packets).unwrap();
        }
        encoder.drain(&mut packets).unwrap();
        thread_cpu() - begun
    };
    let (own, fastest) = (cpu_s(0), cpu_s(9));
    assert!(fastest * 2 < own, "{fastest:?} of {own:?}");
}

/// CPU time of this thread: other processes do not matter to it.
fn thread_cpu() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
