//! Channels that compete for cores.

use super::house::House;
use crate::channel::seats::{SOFTWARE, SeatDesk};
use crate::channel::status::State;
use crate::placement::{Admission, DeviceWish, Inventory, Priority};

/// Lends one and a half times what is in use.
fn lend_half_more(desk: &SeatDesk) {
    let cpu_quota = Some(desk.report().cores.used * 1.5 / 0.75);
    desk.lend(&Inventory { cpu_quota, ..Inventory::new(64, 64, 0, 0) }, Admission::Strict);
}

#[test]
fn a_best_effort_channel_gives_way_to_a_main_one_and_comes_back_after_it() {
    let desk = SeatDesk::default();
    let mut spare = House::placed("spare", desk.clone(), DeviceWish::default(), Priority::BestEffort).on_air();
    lend_half_more(&desk);
    let main = House::placed("main", desk.clone(), DeviceWish::default(), Priority::Main).on_air();
    spare.run(5);
    let status = spare.programme.status(spare.now);
    assert_eq!((spare.seat(), main.seat(), status.state), (None, Some(SOFTWARE), State::Waiting));
    assert!(status.fallback.as_deref().is_some_and(|why| why.contains(" cores of ")), "{:?}", status.fallback);
    assert!(desk.report().refuses());
    drop(main);
    spare.run(100);
    assert_eq!((spare.seat(), spare.programme.status(spare.now).fallback), (Some(SOFTWARE), None));
    drop(spare);
    assert_eq!((desk.report().cores.used, desk.report().channels.len()), (0.0, 0));
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
