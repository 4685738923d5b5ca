//! Channels that compete for cores.

use std::time::Duration;

use super::super::super::MoveTo;
use super::super::Immovable;
use super::house::House;
use crate::channel::seats::tests::report;
use crate::channel::seats::{SOFTWARE, SeatDesk};
use crate::channel::status::State;
use crate::placement::{Admission, DevicePolicy, DeviceWish, GpuChoice, Inventory, Priority};

/// Lends one and a half times what is in use.
fn lend_half_more(desk: &SeatDesk) {
    let cpu_quota = Some(desk.report().cores.used * 1.5 / 0.75);
    desk.lend(&Inventory { cpu_quota, ..Inventory::new(64, 64, 0, 0) }, Admission::Strict);
}

/// A best-effort channel on the air, and a main one for which there is no room beside it.
fn rivals(desk: &SeatDesk) -> (House, House) {
    let spare = House::placed("spare", desk.clone(), DeviceWish::default(), Priority::BestEffort).on_air();
    lend_half_more(desk);
    (spare, House::placed("main", desk.clone(), DeviceWish::default(), Priority::Main))
}

#[test]
fn a_best_effort_channel_gives_way_to_a_main_one_and_comes_back_after_it() {
    let desk = SeatDesk::default();
    let (mut spare, mut main) = rivals(&desk);
    (0..5).for_each(|_| main.step());
    assert_eq!((spare.seat(), main.seat()), (Some(SOFTWARE), None), "nobody begins beside a worker that has not ended");
    spare.run(5);
    main.step();
    let mut main = main.on_air();
    let status = spare.programme.status(spare.now);
    assert_eq!((spare.seat(), main.seat(), status.state), (None, Some(SOFTWARE), State::Waiting));
    assert_eq!(main.programme.status(main.now).worker_restarts, 0);
    assert!(status.fallback.as_deref().is_some_and(|why| why.contains(" cores of ")), "{:?}", status.fallback);
    assert!(desk.report().refuses());
    main.run(50);
    drop(main);
    spare.run(100);
    assert_eq!((spare.seat(), spare.programme.status(spare.now).fallback), (Some(SOFTWARE), None));
    drop(spare);
    assert_eq!((desk.report().cores.used, desk.report().channels.len()), (0.0, 0));
}

#[test]
fn a_channel_that_does_not_leave_is_not_waited_for_without_end() {
    let desk = SeatDesk::default();
    let (mut spare, mut main) = rivals(&desk);
    (0..190).for_each(|_| main.step());
    assert_eq!(main.programme.status(main.now).fallback, None, "it is still waited for");
    (0..30).for_each(|_| main.step());
    assert!(main.programme.status(main.now).fallback.is_some_and(|why| why.contains(" cores of ")), "it asks for another place");
    spare.run(1);
    (0..60).for_each(|_| main.step());
    assert_eq!(main.seat(), Some(SOFTWARE));
}

#[test]
fn a_channel_whose_worker_is_lost_leaves_the_place_that_it_kept_for_the_next_one() {
    let desk = SeatDesk::default();
    let mut spare = House::placed("spare", desk.clone(), DeviceWish::default(), Priority::BestEffort).on_air();
    let mut without = 0;
    for _ in 0..400 {
        spare.kill();
        spare.step();
        without = if spare.seat().is_none() { without + 1 } else { 0 };
        if without == 10 {
            break;
        }
    }
    assert_eq!(without, 10, "its next worker waits for a while");
    lend_half_more(&desk);
    let mut main = House::placed("main", desk.clone(), DeviceWish::default(), Priority::Main);
    main.step();
    assert_eq!(main.seat(), None);
    spare.step();
    main.step();
    assert_eq!(main.seat(), Some(SOFTWARE));
}

#[test]
fn a_planned_change_waits_for_the_end_of_who_is_pushed_out() {
    let desk = SeatDesk::new(report(&[1]), Duration::from_secs(5));
    let wish = |policy| DeviceWish { policy, gpu: GpuChoice::Any };
    let mut spare = House::placed("spare", desk.clone(), wish(DevicePolicy::Require), Priority::BestEffort).on_air();
    let mut main = House::placed("main", desk.clone(), wish(DevicePolicy::Prefer), Priority::Main).on_air();
    assert_eq!((spare.seat(), main.seat()), (Some("GPU-0"), Some(SOFTWARE)));
    let to = MoveTo::Gpu("GPU-0".into());
    main.programme.move_worker(&to).unwrap();
    main.run(120);
    assert_eq!((main.programme.move_worker(&to), main.seat()), (Err(Immovable::Moving), Some(SOFTWARE)));
    spare.run(1);
    main.run(150);
    assert_eq!((spare.seat(), main.seat()), (None, Some("GPU-0")));
    main.assert_unbroken_but_for(1);
}

#[test]
fn a_main_channel_for_which_there_is_no_room_waits_and_a_lost_worker_keeps_its_seat() {
    let desk = SeatDesk::default();
    let mut first = House::placed("first", desk.clone(), DeviceWish::default(), Priority::Main).on_air();
    lend_half_more(&desk);
    let mut second = House::placed("second", desk.clone(), DeviceWish::default(), Priority::Main);
    second.run(5);
    assert_eq!((first.seat(), second.seat()), (Some(SOFTWARE), None));
    first.kill();
    first.run(150);
    assert_eq!(first.seat(), Some(SOFTWARE));
    first.assert_unbroken();
    drop(first);
    second.run(100);
    assert_eq!(second.seat(), Some(SOFTWARE));
}
