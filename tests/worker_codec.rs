//! The software codecs by themselves.

mod worker_support;

use std::sync::Arc;

use bytes::Bytes;
use headend::base::Ticks;
use headend::codec::software::{VideoDecoder, X264Encoder, X264Options};
use headend::codec::{Attached, Color, Decoder, Encoder, Frame, HostPicture, PlanarPool, Surface};
use headend::media::nal::units;
use headend::media::{AccessUnit, Packet, Slot, Track};
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
