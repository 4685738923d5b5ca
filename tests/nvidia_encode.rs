//! Encoders of devices, and the probe, on the doubles of the NVIDIA driver.

mod nvidia_support;

use headend::base::{Fault, Ticks};
use headend::codec::nvidia::{Format, HybridEncoder, NvEncoder, NvOptions};
use headend::codec::software::X264Options;
use headend::codec::{CodecError, Encoder};
use headend::media::device::CopyReason;
use headend::media::nal::units;
use headend::media::{Packet, Rung, Slot, Track, VideoCodec};
use nvidia_support::*;

const PICTURES: i64 = 60;

fn rung(preset: &str, tune: &str) -> Rung {
    Rung { tune: tune.into(), ..Rung::new("180p", 320, 180, 600_000, preset) }
}

fn options() -> NvOptions {
    NvOptions { grid: grid(), color: color(), live: true }
}

fn open(rung: &Rung, format: Format) -> Result<(NvEncoder, Place), CodecError> {
    let place = Place::new(rung, format, NvEncoder::depth(rung, options()) + 1);
    NvEncoder::open(3, rung, options(), &place.stream, &place.pool).map(|encoder| (encoder, place))
}

/// What comes out of sixty pictures, and of which track.
fn encoded(rung: &Rung, format: Format) -> (Track, Ticks, Vec<Packet>) {
    let (mut encoder, place) = open(rung, format).unwrap();
    let mut packets = Vec::new();
    for slot in 0..PICTURES {
        encoder.encode(&place.frame(slot), grid().is_key(Slot(slot)), &mut packets).unwrap();
    }
    encoder.drain(&mut packets).unwrap();
    let info = encoder.info().clone();
    drop(encoder);
    assert_eq!(place.pool.in_use(), 0, "buffers stay with an encoder that is gone");
    (info.track, info.reorder, packets)
}

/// Every picture is there, in its slot, with its captions, and looks like what went in.
fn check_pictures(rung: &Rung, track: &Track, packets: &[Packet], captions: bool) {
    let frames = decoded(track, packets);
    assert_eq!(frames.len(), PICTURES as usize);
    for (slot, frame) in frames.iter().enumerate() {
        assert_eq!(grid().nearest(frame.pts), Slot(slot as i64));
        if captions {
            assert_eq!(frame.attached.captions[..], [0xFC, 0x80, slot as u8], "captions of slot {slot}");
        }
    }
    let witnessed = witnessed_luma(track, packets);
    assert_eq!(witnessed.len(), PICTURES as usize);
    for (slot, plane) in witnessed.iter().enumerate() {
        let quality = psnr(plane, slot as i64, rung.width as usize);
        assert!(quality > 30.0, "slot {slot} has {quality:.1} dB");
    }
}

fn psnr(plane: &[u8], slot: i64, width: usize) -> f64 {
    let error = |(at, sample): (usize, &u8)| (f64::from(*sample) - f64::from(luma(slot, at % width, at / width))).powi(2);
    let mean = plane.iter().enumerate().map(error).sum::<f64>() / plane.len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(0.01)).log10()
}

/// IDRs exactly where asked, times that a muxer can use.
fn check_times(reorder: Ticks, packets: &[Packet]) {
    assert_eq!(packets.len(), PICTURES as usize);
    for packet in packets {
        assert_eq!(packet.rung, 3);
        assert_eq!(packet.key, grid().is_key(grid().nearest(packet.pts)), "pts {:?}", packet.pts);
        assert!(!packet.key || packet.pts == packet.dts);
        assert!(packet.dts - packet.pts <= reorder);
    }
    for pair in packets.windows(2) {
        assert_eq!(pair[0].dts + pair[0].duration, pair[1].dts);
        assert!(pair[0].duration > Ticks::ZERO);
    }
}

#[test]
fn packets_with_b_pictures_and_look_ahead_decode_to_what_went_in() {
    on_doubles("packets_with_b_pictures_and_look_ahead_decode_to_what_went_in", "", || {
        let rung = rung("veryfast", "");
        let (track, reorder, packets) = encoded(&rung, Format::Nv12);
        assert!(packets.iter().any(|packet| packet.pts < packet.dts), "no picture was reordered");
        check_times(reorder, &packets);
        check_pictures(&rung, &track, &packets, true);
        for unit in packets.iter().flat_map(|packet| units(&packet.data)) {
            assert!(matches!(unit[0] & 31, 1 | 5 | 6), "NAL unit of type {}", unit[0] & 31);
        }
    });
}

#[test]
fn zero_latency_gives_each_packet_as_soon_as_the_next_picture_goes_in() {
    on_doubles("zero_latency_gives_each_packet_as_soon_as_the_next_picture_goes_in", "", || {
        let (mut encoder, place) = open(&rung("medium", "zerolatency"), Format::Nv12).unwrap();
        let mut packets = Vec::new();
        for slot in 0..10 {
            encoder.encode(&place.frame(slot), slot == 0, &mut packets).unwrap();
            assert_eq!(packets.len(), slot as usize);
            assert_eq!(place.pool.in_use(), 0);
        }
        assert_eq!(encoder.info().reorder, Ticks::ZERO);
    });
}

#[test]
fn hevc_and_av1_of_both_depths_decode_to_what_went_in() {
    on_doubles("hevc_and_av1_of_both_depths_decode_to_what_went_in", "", || {
        for codec in [VideoCodec::Hevc, VideoCodec::Av1] {
            for (profile, format) in [("main", Format::Nv12), ("main10", Format::P010)] {
                let rung = Rung { codec, profile: profile.into(), ..rung("veryfast", "") };
                let (track, reorder, packets) = encoded(&rung, format);
                check_times(reorder, &packets);
                check_pictures(&rung, &track, &packets, true);
            }
        }
    });
}

#[test]
fn a_picture_that_is_shown_twice_is_encoded_twice() {
    // The doubles report that an input is handed over again while it is in use. Drivers take that, as ffmpeg's encoder does it too.
    told_by_doubles("a_picture_that_is_shown_twice_is_encoded_twice", "", || {
        let (mut encoder, place) = open(&rung("veryfast", ""), Format::Nv12).unwrap();
        let first = place.frame(0);
        let mut packets = Vec::new();
        for slot in 0..30 {
            let mut frame = first.clone();
            frame.pts = grid().start(Slot(slot));
            encoder.encode(&frame, slot == 0, &mut packets).unwrap();
        }
        encoder.drain(&mut packets).unwrap();
        assert_eq!(packets.len(), 30);
        drop((encoder, first));
        assert_eq!(place.pool.in_use(), 0);
    });
}

#[test]
fn a_new_target_changes_the_rate_without_an_idr() {
    on_doubles("a_new_target_changes_the_rate_without_an_idr", "", || {
        let rung = Rung::new("180p", 320, 180, 1_500_000, "superfast");
        let (mut encoder, place) = open(&rung, Format::Nv12).unwrap();
        let mut packets = Vec::new();
        for slot in 0..150 {
            if slot == 75 {
                encoder.retune(100_000).unwrap();
            }
            encoder.encode(&place.noise(slot), slot == 0, &mut packets).unwrap();
        }
        encoder.drain(&mut packets).unwrap();
        assert_eq!(packets.iter().filter(|packet| packet.key).count(), 1);
        let bytes = |slots: std::ops::Range<i64>| -> usize {
            packets.iter().filter(|packet| slots.contains(&grid().nearest(packet.pts).0)).map(|packet| packet.data.len()).sum()
        };
        assert!(bytes(25..75) > 2 * bytes(100..150), "{} and {} bytes", bytes(25..75), bytes(100..150));
    });
}

#[test]
fn a_faster_preset_needs_no_other_session_and_no_other_parameter_sets() {
    on_doubles("a_faster_preset_needs_no_other_session_and_no_other_parameter_sets", "", || {
        for codec in [VideoCodec::H264, VideoCodec::Hevc] {
            let rung = Rung { codec, profile: if codec == VideoCodec::H264 { "high" } else { "main" }.into(), ..rung("medium", "") };
            let (mut encoder, place) = open(&rung, Format::Nv12).unwrap();
            let before = encoder.info().clone();
            let mut packets = Vec::new();
            for slot in 0..PICTURES {
                // x265 behind the double tells more of its preset in its parameter sets than H.264 does: there the change is taken back.
                let wanted = [(25, 5), (50, 0)].into_iter().find(|(at, _)| *at == slot).map(|(_, faster)| faster);
                let eased = wanted.is_none_or(|faster| encoder.ease(faster, &mut packets).unwrap());
                assert!(eased || codec == VideoCodec::Hevc, "{codec:?} at {slot}");
                encoder.encode(&place.frame(slot), grid().is_key(Slot(slot)), &mut packets).unwrap();
            }
            encoder.drain(&mut packets).unwrap();
            assert_eq!(*encoder.info(), before);
            check_pictures(&rung, &before.track, &packets, true);
            check_times(before.reorder, &packets);
        }
    });
}

#[test]
fn more_sessions_than_the_driver_allows_ask_for_another_place() {
    on_doubles("more_sessions_than_the_driver_allows_ask_for_another_place", "nvenc.sessions=1", one_session_is_all);
}

#[test]
fn so_they_do_in_the_word_of_newer_drivers() {
    on_doubles("so_they_do_in_the_word_of_newer_drivers", "nvenc.sessions=1,nvenc.session_code=21", one_session_is_all);
}

fn one_session_is_all() {
    let one = open(&rung("superfast", ""), Format::Nv12).unwrap();
    let refused = open(&rung("superfast", ""), Format::Nv12).err().unwrap();
    assert_eq!(refused.fault(), Fault::Overload);
    assert!(refused.to_string().contains("no further encode session"), "{refused}");
    drop(one);
    assert!(open(&rung("superfast", ""), Format::Nv12).is_ok());
}

/// Opens an encoder and encodes: the error that comes.
fn error() -> CodecError {
    let (mut encoder, place) = match open(&rung("superfast", ""), Format::Nv12) {
        Ok(opened) => opened,
        Err(cause) => return cause,
    };
    let mut packets = Vec::new();
    let failed = (0..20).find_map(|slot| encoder.encode(&place.frame(slot), slot == 0, &mut packets).err());
    drop(encoder);
    assert!(place.pool.in_use() > 0, "what the device may still read was given back");
    failed.expect("nothing failed")
}

#[test]
fn a_device_whose_encoder_is_gone_is_lost() {
    on_doubles("a_device_whose_encoder_is_gone_is_lost", "nvenc.no_device", || assert_eq!(error().fault(), Fault::DeviceLost));
}

#[test]
fn an_old_driver_is_told_which_is_needed() {
    on_doubles("an_old_driver_is_told_which_is_needed", "nvenc.api=1101", || {
        let error = error();
        assert_eq!(error.fault(), Fault::Unsupported);
        assert!(error.to_string().contains("11.1") && error.to_string().contains("12.1"), "{error}");
    });
}

#[test]
fn a_device_without_memory_asks_for_another_place() {
    on_doubles("a_device_without_memory_asks_for_another_place", "nvenc.map_out_of_memory=3", || {
        assert_eq!(error().fault(), Fault::Overload);
    });
}

#[test]
fn a_registration_that_is_refused_costs_the_session() {
    on_doubles("a_registration_that_is_refused_costs_the_session", "nvenc.register", || assert_eq!(error().fault(), Fault::SessionLost));
}

#[test]
fn a_failing_encode_costs_the_session_and_not_the_device() {
    on_doubles("a_failing_encode_costs_the_session_and_not_the_device", "nvenc.encode=5", || {
        assert_eq!(error().fault(), Fault::SessionLost);
    });
}

#[test]
fn a_busy_encoder_is_asked_again() {
    on_doubles("a_busy_encoder_is_asked_again", "nvenc.busy=5@times=3", || {
        let (track, _, packets) = encoded(&rung("superfast", ""), Format::Nv12);
        assert_eq!(decoded(&track, &packets).len(), PICTURES as usize);
    });
}

#[test]
fn an_encoder_that_stays_busy_costs_the_session() {
    on_doubles("an_encoder_that_stays_busy_costs_the_session", "nvenc.busy=5", || assert_eq!(error().fault(), Fault::Transient));
}

#[test]
fn a_key_picture_that_nobody_asked_for_is_no_wrong_decode_time() {
    on_doubles("a_key_picture_that_nobody_asked_for_is_no_wrong_decode_time", "nvenc.own_idr=5@times=1", || {
        let error = error();
        assert_eq!(error.fault(), Fault::SessionLost);
        assert!(error.to_string().contains("key picture"), "{error}");
    });
}

#[test]
fn time_codes_of_the_source_arrive_in_hevc() {
    on_doubles("time_codes_of_the_source_arrive_in_hevc", "", || {
        let rung = Rung { codec: VideoCodec::Hevc, profile: "main".into(), ..rung("superfast", "") };
        let (mut encoder, place) = open(&rung, Format::Nv12).unwrap();
        let mut packets = Vec::new();
        let told = |slot: i64| 0x00_56_34_12 | (slot as u32 % 10) << 24;
        for slot in 0..10 {
            let mut frame = place.frame(slot);
            frame.attached.timecode = Some(told(slot));
            encoder.encode(&frame, slot == 0, &mut packets).unwrap();
        }
        encoder.drain(&mut packets).unwrap();
        let frames = decoded(&encoder.info().track, &packets);
        let arrived: Vec<Option<u32>> = frames.iter().map(|frame| frame.attached.timecode).collect();
        assert_eq!(arrived, (0..10).map(|slot| Some(told(slot))).collect::<Vec<_>>());
    });
}

#[test]
fn a_device_without_encoder_has_its_pictures_downloaded_once() {
    on_doubles("a_device_without_encoder_has_its_pictures_downloaded_once", "", || {
        let rung = rung("veryfast", "");
        let place = Place::new(&rung, Format::Nv12, HybridEncoder::DEPTH + 1);
        let x264 = X264Options { grid: grid(), color: color(), threads: 1 };
        let mut encoder = HybridEncoder::open(3, &rung, x264, &place.stream, &place.pool, &place.ledger).unwrap();
        let mut packets = Vec::new();
        for slot in 0..PICTURES {
            encoder.encode(&place.frame(slot), grid().is_key(Slot(slot)), &mut packets).unwrap();
        }
        encoder.drain(&mut packets).unwrap();
        let info = encoder.info();
        check_times(info.reorder, &packets);
        check_pictures(&rung, &info.track, &packets, true);
        let counts = place.ledger.counts();
        let down = counts.iter().find(|count| count.reason == CopyReason::HostEncoded).unwrap();
        assert_eq!((down.pictures, down.bytes), (PICTURES as u64, PICTURES as u64 * 320 * 270));
    });
}
