//! Devices fail under channels, in simulated time.

use std::time::Duration;

use proptest::prelude::*;

use prometheus::core::Collector;

use super::super::super::MoveTo;
use super::super::super::seating::Loss;
use super::super::Immovable;
use super::house::House;
use crate::base::metrics::metrics;
use crate::base::{Fault, Mono, Ticks};
use crate::channel::plan::{ChannelPlan, LadderPlan};
use crate::channel::seats::tests::report;
use crate::channel::seats::{SOFTWARE, SeatDesk};
use crate::channel::status::State;
use crate::channel::supervisor::Whose;
use crate::media::Rung;
use crate::media::device::{DeviceReport, Verdict};
use crate::placement::{DevicePolicy, DeviceWish, GpuChoice, Load, Need, Priority};

const RETURN_AFTER: Duration = Duration::from_secs(5);

/// GPUs with one session each: a replacement on the same one needs the place of its predecessor.
fn desk(gpus: usize) -> SeatDesk {
    SeatDesk::new(report(&vec![1; gpus]), RETURN_AFTER)
}

fn wish(policy: DevicePolicy) -> DeviceWish {
    DeviceWish { policy, gpu: GpuChoice::Any }
}

fn live(desk: &SeatDesk, policy: DevicePolicy) -> House {
    House::seated("demo", desk.clone(), wish(policy)).on_air()
}

/// A probe in a child, which ends at once.
fn probe(desk: &SeatDesk, is_well: bool, now: Mono) -> bool {
    let due = desk.begin_probe(now);
    let answer = report(&vec![1; desk.list(now).gpus.len()]);
    desk.probed(if is_well { Ok(&answer) } else { Err("the driver does not answer") }, now);
    due
}

/// Two other channels lose this GPU.
fn condemn(desk: &SeatDesk, gpu: usize, now: Mono) {
    let wish = DeviceWish { policy: DevicePolicy::Require, gpu: GpuChoice::Uuid(format!("GPU-{gpu}")) };
    let rungs = [Rung::new("360p", 640, 360, 800_000, "superfast")];
    let need = Need { wish: &wish, source: None, rungs: &rungs, avoid: &[], load: Load::default() };
    let leases = ["news", "sports"].map(|channel| desk.seat(channel, &need, &[]).expect("there is room").0);
    leases.iter().for_each(|lease| desk.lost(lease, "it fell off the bus", now));
    assert_eq!(health(desk, gpu), "condemned");
}

fn health(desk: &SeatDesk, gpu: usize) -> &'static str {
    desk.list(Mono(0)).gpus[gpu].state
}

#[test]
fn a_lost_device_costs_no_number_and_no_picture_and_the_channel_goes_on_in_software() {
    for phase in [0, 13, 30, 49] {
        let desk = desk(1);
        let mut house = live(&desk, DevicePolicy::Prefer);
        house.run(50 + phase);
        assert_eq!((house.seat(), house.programme.status(house.now).fallback), (Some("GPU-0"), None));
        house.complain(Fault::DeviceLost);
        assert_eq!(house.seat(), Some(SOFTWARE), "at once");
        house.run(150);
        house.assert_unbroken_but_for(1);
        assert!(house.longest_wait() <= 100, "phase {phase}: {} steps", house.longest_wait());
        let status = house.programme.status(house.now);
        assert_eq!((status.seat.as_deref(), status.fallback.as_deref()), (Some(SOFTWARE), Some("encode: the driver said no")));
        assert_eq!((health(&desk, 0), desk.list(house.now).gpus[0].sessions), ("suspected", 0));
    }
}

#[test]
fn another_device_with_the_same_parameter_sets_leaves_no_trace() {
    let desk = desk(2);
    let mut house = live(&desk, DevicePolicy::Require);
    house.complain(Fault::DeviceLost);
    assert_eq!(house.seat(), Some("GPU-1"));
    house.run(150);
    house.assert_unbroken();
    assert_eq!(house.programme.status(house.now).fallback, None);
}

#[test]
fn a_lost_session_is_opened_again_on_the_same_device_once() {
    for fault in [Fault::SessionLost, Fault::Overload] {
        let desk = desk(2);
        let mut house = live(&desk, DevicePolicy::Prefer);
        house.fail(fault);
        assert_eq!((house.seat(), health(&desk, 0)), (Some("GPU-0"), "healthy"));
        house.run(100);
        house.fail(fault);
        assert_eq!((house.seat(), health(&desk, 0)), (Some("GPU-1"), "healthy"));
        house.run(100);
        house.assert_unbroken();
    }
}

#[test]
fn sessions_lost_a_minute_apart_move_nobody() {
    let desk = desk(2);
    let mut house = live(&desk, DevicePolicy::Prefer);
    for _ in 0..3 {
        house.fail(Fault::SessionLost);
        house.run(1_501);
        assert_eq!(house.seat(), Some("GPU-0"));
    }
}

#[test]
fn what_a_device_cannot_encode_is_not_tried_there_again() {
    let desk = desk(1);
    let mut house = live(&desk, DevicePolicy::Prefer);
    house.fail(Fault::Unsupported);
    assert_eq!((house.seat(), health(&desk, 0)), (Some(SOFTWARE), "healthy"));
}

#[test]
fn a_worker_that_is_stuck_on_a_device_counts_as_lost_on_it() {
    let desk = desk(1);
    let mut house = live(&desk, DevicePolicy::Prefer);
    house.present.as_mut().expect("a worker").has_stopped = true;
    house.run(60);
    assert_eq!((house.seat(), health(&desk, 0)), (Some(SOFTWARE), "suspected"));
    house.run(150);
    house.assert_unbroken_but_for(1);
}

#[test]
fn a_worker_that_has_just_left_a_condemned_device_is_not_replaced_again() {
    for steps in 40..60 {
        let desk = SeatDesk::new(report(&[4, 4]), RETURN_AFTER);
        let mut house = live(&desk, DevicePolicy::Prefer);
        house.present.as_mut().expect("a worker").has_stopped = true;
        house.run(steps);
        if health(&desk, 0) != "healthy" {
            assert!(steps > 45, "it has been replaced in an earlier tick");
            break;
        }
        condemn(&desk, 0, house.now);
        house.run(1);
        assert_eq!((house.seat(), house.programme.status(house.now).worker_restarts), (Some("GPU-1"), 1), "{steps} steps");
    }
}

#[test]
fn a_worker_that_drains_on_a_condemned_device_is_not_waited_for() {
    let desk = SeatDesk::new(report(&[4]), RETURN_AFTER);
    let mut house = live(&desk, DevicePolicy::Prefer);
    house.hangs_draining = true;
    house.programme.move_worker(&MoveTo::Software).expect("a worker is up");
    while house.leaving.is_none() {
        house.run(1);
    }
    condemn(&desk, 0, house.now);
    house.run(1);
    assert!(house.leaving.is_none() && house.seat() == Some(SOFTWARE));
    house.run(150);
    house.assert_unbroken_but_for(1);
}

#[test]
fn a_device_on_which_workers_grow_too_large_is_left_at_the_second_one() {
    let desk = desk(2);
    let mut house = live(&desk, DevicePolicy::Prefer);
    for seat in ["GPU-0", "GPU-1"] {
        let id = house.present.take().expect("a worker").id;
        house.programme.worker_too_large(id, 7 << 30, house.now);
        house.act();
        assert_eq!((house.seat(), health(&desk, 0)), (Some(seat), "healthy"));
        house.run(100);
    }
    house.assert_unbroken();
}

#[test]
fn a_device_whose_output_cannot_be_used_is_left_at_the_second_time() {
    let desk = desk(2);
    let mut house = live(&desk, DevicePolicy::Prefer);
    for seat in ["GPU-0", "GPU-1"] {
        house.programme.replace_worker(Whose::Present, &Loss::Useless, house.now);
        house.act();
        assert_eq!(house.seat(), Some(seat));
        house.run(100);
    }
}

#[test]
fn a_channel_without_a_seat_counts_one_fallback_however_the_reason_changes() {
    let desk = desk(1);
    let mut house = House::seated("counted", desk.clone(), wish(DevicePolicy::Require)).on_air();
    house.complain(Fault::DeviceLost);
    house.run(20);
    let before = house.programme.status(house.now).fallback;
    assert!(!probe(&desk, false, house.now) || health(&desk, 0) == "condemned");
    house.run(60);
    assert_ne!(house.programme.status(house.now).fallback, before, "the reason is told in other words");
    let counted: f64 = metrics().devices.fallbacks.collect()[0]
        .get_metric()
        .iter()
        .filter(|metric| metric.get_label().iter().any(|label| label.value() == "counted"))
        .map(|metric| metric.get_counter().get_value())
        .sum();
    assert_eq!(counted, 1.0);
}

#[test]
fn two_channels_that_lose_a_device_take_every_other_one_along_and_all_return_when_it_is_well() {
    let desk = SeatDesk::new(report(&[4]), RETURN_AFTER);
    let house = |name: &str| House::seated(name, desk.clone(), wish(DevicePolicy::Prefer)).on_air();
    let mut houses = [house("news"), house("sports"), house("bars")];
    assert!(houses.iter().all(|house| house.seat() == Some("GPU-0")));
    houses[0].complain(Fault::DeviceLost);
    assert_eq!((health(&desk, 0), houses[2].seat()), ("suspected", Some("GPU-0")));
    houses.iter_mut().for_each(|house| house.run(20));
    houses[1].complain(Fault::DeviceLost);
    assert_eq!((health(&desk, 0), houses[2].seat()), ("condemned", Some("GPU-0")));
    houses.iter_mut().for_each(|house| house.run(1));
    assert!(houses.iter().all(|house| house.seat() == Some(SOFTWARE)), "all of its seats are replaced at once");
    houses.iter_mut().for_each(|house| house.run(49));
    let well = houses[0].now;
    assert!(probe(&desk, true, well));
    houses.iter_mut().for_each(|house| house.run(100));
    assert!(houses.iter().all(|house| house.seat() == Some(SOFTWARE)), "not before it has been well for a while");
    (0..200).for_each(|_| houses.iter_mut().for_each(|house| house.run(1)));
    for house in &houses {
        assert_eq!((house.seat(), house.programme.status(house.now).fallback), (Some("GPU-0"), None));
        house.assert_unbroken_but_for(2);
    }
}

#[test]
fn a_channel_that_requires_a_device_waits_for_it_and_says_why() {
    let desk = desk(1);
    let mut house = live(&desk, DevicePolicy::Require);
    house.complain(Fault::DeviceLost);
    house.run(20);
    let status = house.programme.status(house.now);
    assert!(house.present.is_none() && status.seat.is_none());
    assert!(status.fallback.as_deref().is_some_and(|why| why.contains("is suspected: encode: the driver said no")), "{status:?}");
    assert!(probe(&desk, true, house.now));
    house.run(150);
    assert_eq!((house.seat(), house.programme.status(house.now).fallback), (Some("GPU-0"), None));
    house.assert_unbroken();
}

#[test]
fn a_channel_that_waits_for_a_seat_for_long_goes_on_with_the_present() {
    let desk = desk(1);
    let mut house = live(&desk, DevicePolicy::Require);
    house.complain(Fault::DeviceLost);
    house.run(2_500);
    let (waited, listed) = (house.programme.status(house.now), house.sequences.len());
    assert!(house.programme.wants_feed(0, house.now), "the publisher is not held up");
    assert_eq!((waited.state, waited.feed.as_str(), waited.feeds[0].warnings.as_slice()), (State::Waiting, "none", &[][..]));
    assert!(waited.unseated().is_some());
    assert!(probe(&desk, true, house.now));
    house.run(150);
    let status = house.programme.status(house.now);
    assert_eq!((house.seat(), status.state, status.unseated()), (Some("GPU-0"), State::Live, None));
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "{:?}", house.sequences);
    assert!(house.sequences.len() - listed <= 4, "{} segments in six seconds: the past is made", house.sequences.len() - listed);
    assert_eq!(house.playlist.matches("EXT-X-DISCONTINUITY\n").count(), 1, "{}", house.playlist);
    let newest = *house.pictures.last().expect("pictures");
    assert!(house.sent - newest < 150, "the newest picture is listed: {newest} of {}", house.sent);
}

#[test]
fn what_no_device_can_serve_is_known_before_a_publisher_comes() {
    let absent = DeviceReport { absent: Some("no NVIDIA driver: libcuda.so.1 cannot be opened".into()), ..DeviceReport::default() };
    let desk = SeatDesk::new(absent, RETURN_AFTER);
    let strict = House::seated("demo", desk.clone(), wish(DevicePolicy::Require));
    let cause = strict.programme.no_seat_foreseen().expect("there is no device");
    assert!(cause.contains("libcuda.so.1 cannot be opened"), "{cause}");
    assert_eq!(House::seated("demo", desk, wish(DevicePolicy::Prefer)).programme.no_seat_foreseen(), None);
}

#[test]
fn a_channel_that_was_lost_on_a_well_device_stays_away_longer_each_time() {
    let desk = desk(1);
    let mut house = live(&desk, DevicePolicy::Prefer);
    let mut away = Vec::new();
    for _ in 0..3 {
        house.complain(Fault::DeviceLost);
        assert!(probe(&desk, true, house.now), "it turns out to be well");
        let mut steps = 0;
        while house.seat() == Some(SOFTWARE) {
            house.run(1);
            steps += 1;
            assert!(steps < 2_000, "it never returns");
        }
        away.push(steps / 25);
        house.run(100);
    }
    assert!((5..=9).contains(&away[0]) && (10..=14).contains(&away[1]) && (20..=24).contains(&away[2]), "{away:?}");
}

#[test]
fn a_full_device_is_left_to_those_who_have_it_and_taken_when_they_go() {
    let desk = SeatDesk::new(report(&[1]), RETURN_AFTER);
    let first = live(&desk, DevicePolicy::Prefer);
    let mut second = live(&desk, DevicePolicy::Prefer);
    let status = second.programme.status(second.now);
    assert_eq!((first.seat(), second.seat()), (Some("GPU-0"), Some(SOFTWARE)));
    assert_eq!(status.fallback.as_deref(), Some("nvidia 0 NVIDIA L4 0 encode sessions are free, and the ladder takes 1"));
    drop(first);
    second.run(150);
    assert_eq!(second.seat(), Some("GPU-0"));
    second.assert_unbroken_but_for(1);
}

#[test]
fn a_channel_on_a_device_without_encoder_moves_to_one_that_encodes_when_it_has_room() {
    let mut gpus = report(&[1, 1]);
    gpus.gpus[1].verdict = Verdict::Hybrid;
    let desk = SeatDesk::new(gpus, RETURN_AFTER);
    let first = live(&desk, DevicePolicy::Prefer);
    let mut second = live(&desk, DevicePolicy::Require);
    second.run(150);
    assert_eq!((first.seat(), second.seat()), (Some("GPU-0"), Some("GPU-1")));
    drop(first);
    second.run(150);
    assert_eq!(second.seat(), Some("GPU-0"));
    let mut third = live(&desk, DevicePolicy::Prefer);
    third.run(300);
    assert_eq!((second.seat(), third.seat()), (Some("GPU-0"), Some("GPU-1")), "nobody is moved where there is no room");
    second.assert_unbroken();
}

#[test]
fn an_operator_moves_a_channel_to_software_and_leaves_it_to_the_policy_again() {
    let desk = desk(1);
    let mut house = live(&desk, DevicePolicy::Prefer);
    assert_eq!(house.programme.move_worker(&MoveTo::Software), Ok(()));
    house.run(400);
    assert_eq!((house.seat(), house.programme.status(house.now).fallback), (Some(SOFTWARE), None), "it stays there");
    assert!(matches!(house.programme.move_worker(&MoveTo::Gpu("GPU-9".into())), Err(Immovable::NoSeat(_))));
    assert_eq!(house.programme.move_worker(&MoveTo::Auto), Ok(()));
    house.run(150);
    assert_eq!(house.seat(), Some("GPU-0"));
    assert_eq!(house.programme.status(house.now).worker_restarts, 0);
    house.assert_unbroken_but_for(2);
    drop(house);
    let mut strict = live(&desk, DevicePolicy::Require);
    assert!(matches!(strict.programme.move_worker(&MoveTo::Software), Err(Immovable::NoSeat(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn no_picture_is_lost_or_doubled_whatever_devices_do(
        events in proptest::collection::vec((30usize..160, 0u8..7), 1..6)
    ) {
        let desk = desk(2);
        let mut house = live(&desk, DevicePolicy::Prefer);
        for (steps, event) in events {
            house.run(steps);
            match event {
                0 => house.complain(Fault::DeviceLost),
                1 => house.fail(Fault::SessionLost),
                2 => house.kill(),
                3 => drop(probe(&desk, true, house.now)),
                4 => drop(probe(&desk, false, house.now)),
                5 => drop(house.programme.move_worker(&MoveTo::Auto)),
                _ => drop(house.programme.move_worker(&MoveTo::Software)),
            }
        }
        house.run(200);
        let held = |house: &House| desk.list(house.now).gpus.iter().map(|gpu| gpu.sessions).sum::<u32>();
        // A return that is planned just now holds a seat beside the present one until the next segment.
        let settles = (0..100).any(|_| {
            house.run(1);
            held(&house) == u32::from(house.seat() != Some(SOFTWARE))
        });
        prop_assert!(settles, "one seat, or none on a device: {} are held and the channel is in {:?}", held(&house), house.seat());
        house.assert_unbroken_but_for(house.playlist.matches("EXT-X-DISCONTINUITY\n").count());
        prop_assert!(house.longest_wait() <= 110, "more than a segment late: {} steps", house.longest_wait());
    }
}

#[test]
fn a_plan_changes_on_a_full_device_without_leaving_it() {
    for policy in [DevicePolicy::Prefer, DevicePolicy::Require] {
        let desk = desk(1);
        let mut house = live(&desk, policy);
        let plan = ChannelPlan { hold: Ticks::from_millis(3_000), ..house.programme.plan.clone() };
        house.programme.take_plan(plan, house.now);
        house.run(150);
        let open = house.present.as_ref().and_then(|worker| worker.open.as_ref()).expect("opened");
        assert_eq!((house.seat(), open.hold), (Some("GPU-0"), Ticks::from_millis(3_000)));
        assert_eq!((house.programme.status(house.now).fallback, house.programme.status(house.now).worker_restarts), (None, 0));
        house.assert_unbroken();
    }
}

#[test]
fn a_ladder_that_cannot_be_opened_does_not_cost_the_channel_its_device() {
    let desk = SeatDesk::new(report(&[8]), RETURN_AFTER);
    let mut house = live(&desk, DevicePolicy::Require);
    house.most_rungs = 1;
    let rungs = ["720p", "360p"].map(|name| Rung::new(name, 640, 360, 800_000, "superfast"));
    let plan = ChannelPlan { ladder: LadderPlan::Rungs(rungs.to_vec()), ..house.programme.plan.clone() };
    house.programme.take_plan(plan, house.now);
    house.run(600);
    assert_eq!((house.deaths, house.seat()), (2, Some("GPU-0")));
    house.assert_unbroken();
    house.most_rungs = 2;
    house.run(600 * 25);
    assert_eq!(house.programme.status(house.now).rungs.len(), 3, "what refused it has gone by");
}

#[test]
fn another_priority_does_not_cost_a_channel_its_full_device() {
    let desk = desk(1);
    let mut house = live(&desk, DevicePolicy::Prefer);
    let plan = ChannelPlan { priority: Priority::BestEffort, ..house.programme.plan.clone() };
    house.programme.take_plan(plan, house.now);
    house.run(150);
    assert_eq!((house.seat(), house.programme.status(house.now).fallback), (Some("GPU-0"), None));
    house.assert_unbroken();
}

#[test]
fn a_ladder_for_which_a_full_device_has_no_room_leaves_the_one_on_the_air() {
    // The second one fits when the first one has ended, and cannot be opened.
    for (sessions, deaths) in [(1, 0), (2, 2)] {
        let desk = SeatDesk::new(report(&[sessions]), RETURN_AFTER);
        let mut house = live(&desk, DevicePolicy::Require);
        house.most_rungs = 1;
        let rungs = ["720p", "360p"].map(|name| Rung::new(name, 640, 360, 800_000, "superfast"));
        let plan = ChannelPlan { ladder: LadderPlan::Rungs(rungs.to_vec()), ..house.programme.plan.clone() };
        house.programme.take_plan(plan, house.now);
        house.run(400);
        let names: Vec<String> = house.programme.status(house.now).rungs.into_iter().map(|rung| rung.name).collect();
        assert_eq!((house.deaths, house.seat(), names), (deaths, Some("GPU-0"), vec!["360p".to_owned(), "audio".to_owned()]));
        house.assert_unbroken();
    }
}
