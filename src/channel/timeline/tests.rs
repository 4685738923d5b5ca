use super::*;
use crate::base::Rate;
use bytes::Bytes;
use proptest::prelude::*;

const RTMP_WRAP: Ticks = Ticks::from_millis(1 << 32);

fn ms(millis: i64) -> Ticks {
    Ticks::from_millis(millis)
}

fn now() -> MediaTime {
    MediaTime::from_scale(1_790_000_000, 1)
}

fn unit(track: u8, dts_ms: i64, offset_ms: i64, entry: bool) -> SourceUnit {
    SourceUnit { track, dts: ms(dts_ms.rem_euclid(1 << 32)), offset: ms(offset_ms), entry, data: Bytes::new() }
}

fn timeline() -> Timeline {
    let mut timeline = Timeline::new(Grid::fitted(Rate::new(25, 1), ms(2000), ms(6000)));
    timeline.splice(2, true, RTMP_WRAP);
    timeline
}

fn at(mapped: Mapped) -> (MediaTime, MediaTime) {
    match mapped {
        Mapped::At { pts, dts } => (pts, dts),
        Mapped::BeforeEntry => panic!("not placed"),
    }
}

#[test]
fn nothing_is_placed_before_the_first_keyframe_and_it_lands_on_a_slot() {
    let mut timeline = timeline();
    assert_eq!(timeline.map(&unit(1, 0, 0, true), false, now()), Mapped::BeforeEntry);
    assert_eq!(timeline.map(&unit(0, 0, 0, false), true, now()), Mapped::BeforeEntry);
    let (pts, dts) = at(timeline.map(&unit(0, 40, 80, true), true, now() + ms(13)));
    assert_eq!(pts, now() + ms(40));
    assert_eq!(pts - dts, ms(80));
    let (audio, _) = at(timeline.map(&unit(1, 121, 0, true), false, now() + ms(20)));
    assert_eq!(audio - pts, ms(1), "lip-sync is the source's");
}

#[test]
fn the_clock_of_rtmp_wraps_after_49_days_without_a_seam() {
    let mut timeline = timeline();
    let wrap = 1i64 << 32;
    let first = at(timeline.map(&unit(0, wrap - 40, 0, true), true, now())).0;
    let second = at(timeline.map(&unit(0, wrap, 0, false), true, now() + ms(40))).0;
    let audio = at(timeline.map(&unit(1, wrap + 7, 0, true), false, now() + ms(47))).0;
    assert_eq!(second - first, ms(40));
    assert_eq!(audio - second, ms(7));
    assert!(timeline.take_bends().is_empty());
}

#[test]
fn both_clocks_starting_over_keep_lip_sync() {
    let mut timeline = timeline();
    for n in 0..100 {
        timeline.map(&unit(0, 50_000 + n * 40, 0, n % 50 == 0), true, now() + ms(n * 40));
        timeline.map(&unit(1, 50_010 + n * 40, 0, true), false, now() + ms(n * 40));
    }
    let video = at(timeline.map(&unit(0, 0, 0, true), true, now() + ms(4000))).0;
    let audio = at(timeline.map(&unit(1, 25, 0, true), false, now() + ms(4000))).0;
    assert_eq!(video, now() + ms(4000));
    assert_eq!(audio - video, ms(25));
    assert_eq!(timeline.take_bends(), [(0, Bend::Jump), (1, Bend::Jump)]);
}

#[test]
fn a_hole_stays_a_hole() {
    let mut timeline = timeline();
    timeline.map(&unit(0, 0, 0, true), true, now());
    let after = at(timeline.map(&unit(0, 12_000, 0, true), true, now() + ms(12_000))).0;
    assert_eq!(after - now(), ms(12_000));
    assert_eq!(timeline.take_bends(), [(0, Bend::Gap)]);
}

#[test]
fn a_clock_that_jumps_an_hour_ahead_is_bridged() {
    let mut timeline = timeline();
    timeline.map(&unit(0, 0, 0, true), true, now());
    timeline.map(&unit(0, 40, 0, false), true, now() + ms(40));
    let after = at(timeline.map(&unit(0, 3_600_080, 0, false), true, now() + ms(80))).0;
    assert_eq!(after - now(), ms(80));
}

#[test]
fn a_feed_that_stands_still_is_placed_anew_at_its_next_entry() {
    let mut timeline = timeline();
    for n in 0..100 {
        timeline.map(&unit(0, 0, 0, n == 0), true, now() + ms(n * 40));
    }
    let after = at(timeline.map(&unit(0, 0, 0, true), true, now() + ms(4000))).0;
    assert_eq!(after, now() + ms(4000));
    assert!(timeline.take_bends().contains(&(0, Bend::Resplice)));
}

#[test]
fn one_damaged_composition_time_moves_nothing_else() {
    let mut timeline = timeline();
    timeline.map(&unit(0, 0, 0, true), true, now());
    let damaged = at(timeline.map(&unit(0, 40, 8_388_607, false), true, now() + ms(40))).0;
    assert_eq!(damaged, now() + ms(40));
    assert!(timeline.lead(now() + ms(40)).unwrap() < ms(1_000));
    timeline.splice(2, true, RTMP_WRAP);
    let next = at(timeline.map(&unit(0, 5, 0, true), true, now() + ms(1_000))).0;
    assert_eq!(next, now() + ms(1_000));
}

#[test]
fn sound_from_before_the_wrap_and_pictures_from_after_it_belong_together() {
    let mut timeline = timeline();
    let wrap = 1i64 << 32;
    assert_eq!(timeline.map(&unit(1, wrap - 20, 0, true), false, now()), Mapped::BeforeEntry);
    let video = at(timeline.map(&unit(0, wrap, 0, true), true, now())).0;
    let audio = at(timeline.map(&unit(1, wrap + 3, 0, true), false, now())).0;
    assert_eq!(audio - video, ms(3));
}

#[test]
fn sound_on_a_clock_of_its_own_is_placed_where_it_arrives() {
    let mut timeline = timeline();
    let video = at(timeline.map(&unit(0, 0, 0, true), true, now())).0;
    let audio = at(timeline.map(&unit(1, 7_200_000, 0, true), false, now() + ms(10))).0;
    assert!((audio - video).abs() <= ms(40), "{:?}", audio - video);
}

#[test]
fn a_publisher_that_is_gone_holds_nobody_up() {
    let mut timeline = timeline();
    timeline.map(&unit(0, 0, 0, true), true, now());
    timeline.map(&unit(0, 900, 0, false), true, now());
    assert!(timeline.lead(now()).is_some());
    timeline.forget_feed();
    assert_eq!(timeline.lead(now()), None);
}

#[test]
fn a_second_publisher_comes_after_all_that_was_placed() {
    let mut timeline = timeline();
    let first = at(timeline.map(&unit(0, 0, 200, true), true, now())).0;
    timeline.splice(1, true, RTMP_WRAP);
    let second = at(timeline.map(&unit(0, 777, 0, true), true, now())).0;
    assert!(second >= first);
    timeline.not_before(now() + ms(900));
    timeline.splice(1, true, RTMP_WRAP);
    let third = at(timeline.map(&unit(0, 5, 0, true), true, now())).0;
    assert!(third >= now() + ms(900), "what is published is never overlapped");
}

#[test]
fn publishers_that_come_and_go_in_bursts_do_not_push_the_programme_into_the_future() {
    let mut timeline = timeline();
    for cycle in 0..100 {
        let clock = now() + ms(cycle * 300);
        timeline.splice(2, true, RTMP_WRAP);
        for n in 0..13 {
            timeline.map(&unit(0, n * 40, 0, n == 0), true, clock);
        }
        assert!(timeline.lead(clock).unwrap() <= ms(800), "{} ms ahead", timeline.lead(clock).unwrap().as_millis());
        timeline.forget_feed();
    }
}

/// A day of a source whose clock runs `ppm` fast, its 33-bit clock wrapping on the way; returns the largest |A-V| and lead.
fn a_day(ppm: i64, jitter: impl Fn(i64) -> i64) -> (Ticks, Ticks) {
    let wrap = Ticks::from_scale(1 << 33, 90_000);
    let mut timeline = timeline();
    timeline.splice(2, true, wrap);
    let start = wrap - ms(3_600_000 * 11);
    let (mut skew, mut worst_lead) = (Ticks::ZERO, Ticks::ZERO);
    let (mut video, mut last): (Option<(i64, MediaTime)>, [Option<MediaTime>; 2]) = (None, [None; 2]);
    for n in 0..24 * 3600 * 25i64 {
        // By our clock a picture comes every 40 ms; the source believes that a little more or less has passed.
        let source_ms = |n: i64| n * 40 + n * 40 * ppm / 1_000_000;
        let clock = now() + ms(n * 40 + jitter(n));
        for track in 0..2u8 {
            let dts = Ticks((start + ms(source_ms(n) + i64::from(track) * 7)).0.rem_euclid(wrap.0));
            let unit = SourceUnit { track, dts, offset: Ticks::ZERO, entry: track == 1 || n % 50 == 0, data: Bytes::new() };
            let (_, out) = at(timeline.map(&unit, track == 0, clock));
            assert!(last[usize::from(track)].is_none_or(|last| out > last), "decode times increase");
            last[usize::from(track)] = Some(out);
            match (track, video) {
                (0, _) => video = Some((n, out)),
                (_, Some((_, video))) => skew = skew.max((out - video - ms(7)).abs()),
                _ => {}
            }
            if n > 25 * 3600 {
                worst_lead = worst_lead.max((out - now() - ms(n * 40)).abs());
            }
        }
    }
    assert!(timeline.take_bends().is_empty(), "nothing was spliced anew");
    (skew, worst_lead)
}

#[test]
fn a_day_with_a_clock_500_ppm_off_and_a_wrap_has_no_seam_and_keeps_lip_sync() {
    for ppm in [500, -500] {
        let (skew, lead) = a_day(ppm, |n| n * 7919 % 83);
        assert!(skew <= ms(1), "sound moved {} ticks against the pictures", skew.0);
        assert!(lead <= ms(60), "the feed is {} ms from where it was", lead.as_millis());
    }
}

proptest! {
    #[test]
    fn decode_times_strictly_increase_whatever_the_source_says(
        steps in prop::collection::vec((0u8..2, prop_oneof![8 => 0i64..60, 1 => -5_000i64..5_000, 1 => -(1i64 << 33)..(1i64 << 33)], 0i64..200, any::<bool>()), 1..200)
    ) {
        let mut timeline = timeline();
        let mut clock = now();
        let mut raw = [0i64; 2];
        let mut last: [Option<MediaTime>; 2] = [None; 2];
        for (track, step, offset, entry) in steps {
            let index = usize::from(track);
            raw[index] += step;
            clock += ms(20);
            if let Mapped::At { pts, dts } = timeline.map(&unit(track, raw[index], offset, entry || track == 1), track == 0, clock) {
                prop_assert!(last[index].is_none_or(|last| dts > last));
                prop_assert!(pts >= dts);
                last[index] = Some(dts);
            }
        }
    }

    #[test]
    fn a_clean_feed_keeps_its_distances_wherever_its_clock_starts(start in 0i64..(1i64 << 32), frames in 10i64..300) {
        let mut timeline = timeline();
        let first = at(timeline.map(&unit(0, start, 0, true), true, now())).0;
        for n in 1..frames {
            let video = at(timeline.map(&unit(0, start + n * 40, 0, n % 50 == 0), true, now() + ms(n * 40))).0;
            let audio = at(timeline.map(&unit(1, start + n * 40 + 3, 0, true), false, now() + ms(n * 40))).0;
            prop_assert_eq!(video - first, ms(n * 40));
            prop_assert_eq!(audio - video, ms(3));
        }
    }
}
