//! Rungs of which less is made for a while: by a faster preset, with half the pictures, not at all.

mod worker_support;

use std::sync::Arc;
use std::time::Duration;

use headend::base::Ticks;
use headend::codec::software::{X264Encoder, X264Options};
use headend::codec::{Attached, Color, Encoder, EncoderInfo, Frame, HostPicture, Planar, PlanarPool, Surface};
use headend::media::{Packet, Rung, Slot};
use headend::wire::link::{Easing, RungConfig, ToWorker};
use worker_support::*;

fn options() -> X264Options {
    X264Options { grid: grid(), color: Color::assumed(180), threads: 1 }
}

fn framed(picture: Planar, slot: i64) -> Frame {
    Frame {
        pts: grid().start(Slot(slot)),
        duration: Ticks::ZERO,
        color: Color::assumed(180),
        surface: Surface::Host(HostPicture::Planar(Arc::new(picture))),
        attached: Attached::default(),
    }
}

/// A step that moves with the slots.
fn frame(pool: &PlanarPool, slot: i64) -> Frame {
    let mut picture = pool.take();
    picture.fill([60, 128, 128]);
    let stride = picture.stride(0);
    for row in picture.plane_mut(0).chunks_exact_mut(stride) {
        row[slot as usize * 4..slot as usize * 4 + 40].fill(200);
    }
    framed(picture, slot)
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
        let frame = Frame { pts: grid().start(Slot(slot)), ..frame(&pool, slot % 60) };
        encoder.encode(&frame, grid().is_key(Slot(slot)), &mut packets).unwrap();
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
fn a_faster_preset_takes_less_work() {
    let settings = Rung { preset: "medium".into(), ..rung("360p", 640, 360, 1_000_000) };
    let pool = PlanarPool::new(640, 360, 2);
    let pictures: Vec<Frame> = (0..50).map(|slot| framed(texture(&pool, slot as usize), slot)).collect();
    let worked = |faster: u8| {
        let mut encoder = X264Encoder::open(0, &settings, options()).unwrap();
        let mut packets = Vec::new();
        assert!(encoder.ease(faster, &mut packets).unwrap());
        let begun = thread_cpu();
        for (slot, frame) in pictures.iter().enumerate() {
            encoder.encode(frame, slot == 0, &mut packets).unwrap();
        }
        encoder.drain(&mut packets).unwrap();
        thread_cpu() - begun
    };
    let (own, fastest) = (worked(0), worked(9));
    println!("medium {own:?}, fastest {fastest:?}");
    assert!(fastest * 3 < own * 2, "{fastest:?} of {own:?}");
}

/// Waves that move over each other.
fn texture(pool: &PlanarPool, slot: usize) -> Planar {
    let wave = |at: usize| (at % 64).abs_diff(32);
    let mut picture = pool.take();
    picture.fill([0, 120, 130]);
    let stride = picture.stride(0);
    for (y, row) in picture.plane_mut(0).chunks_exact_mut(stride).enumerate() {
        for (x, luma) in row.iter_mut().enumerate() {
            *luma = (60 + wave(x + slot * 3) + wave(y * 2 + slot) + wave((x + y) * 3 + slot * 5) + (x * y) % 7) as u8;
        }
    }
    picture
}

/// CPU time of this thread: other processes do not matter to it.
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_rung_is_eased_left_out_and_brought_back_while_the_other_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut open = live();
    open.rungs.iter_mut().for_each(|rung| rung.preset = "veryfast".into());
    let mut worker = Worker::codec(open);
    let full = Easing::default();
    let halved = Easing { faster: 2, halved: true, off: false };
    // What is wished is looked at when a slot is made: the story waits for the slots in between on the rung that goes on.
    let mut until = 0;
    for (slot, easing) in [(30, halved), (60, Easing { off: true, ..halved }), (100, full), (160, full)] {
        worker.advance(START + slot);
        worker.wait_for_packets(1, (slot - until) as usize / 2 + until as usize - 12);
        until = slot;
        worker.say(ToWorker::Ease { rung: 0, easing });
    }
    let (said, status) = worker.drain();
    assert!(status.success() && said.faults.is_empty(), "{:?}", said.faults);
    assert_fills_slots(&said, 1, START..START + 160);
    let packets = said.rung(0);
    assert!(packets.windows(2).all(|pair| pair[0].dts + pair[0].duration == pair[1].dts && pair[1].dts > pair[0].dts));
    let from = |wanted: Easing| {
        let told = said.eased.iter().find(|(rung, easing, _)| *rung == 0 && *easing == wanted);
        grid().nearest(told.unwrap_or_else(|| panic!("{wanted:?} of {:?}", said.eased)).2)
    };
    let (slower, left_out) = (from(halved), from(Easing { off: true, ..halved }));
    let back = said.eased.iter().rev().find(|(rung, easing, _)| *rung == 0 && !easing.off).map(|(.., from)| grid().nearest(*from)).unwrap();
    let mut slots: Vec<i64> = packets.iter().map(|packet| grid().nearest(packet.pts).0).collect();
    slots.sort_unstable();
    // Another preset from an IDR on, nothing at once, and all again with a segment.
    assert!(grid().is_key(slower) && grid().is_cut(back) && slower < left_out && left_out < back, "{:?}", said.eased);
    assert!(slots.iter().all(|slot| !(left_out.0..back.0).contains(slot)), "{slots:?}");
    let between = slots.iter().filter(|slot| (slower.0..left_out.0).contains(slot)).count() as i64;
    assert!((between * 2 - (left_out.0 - slower.0)).abs() <= 2, "{between} pictures in {slower:?}..{left_out:?}");
    assert_eq!(slots.iter().filter(|slot| **slot >= back.0).count() as i64, START + 160 - back.0);
    assert_eq!(decoded(directory.path(), &said.configs[0], &packets).len(), packets.len());
}
