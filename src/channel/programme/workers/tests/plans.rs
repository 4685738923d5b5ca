//! A running channel gets another plan: what is listed goes on.

use super::house::{FILL, House};
use crate::base::{Rate, Ticks};
use crate::channel::feed::FeedEvent;
use crate::channel::plan::{ChannelPlan, FeedPlan, FeedSource, Formats, LadderPlan, StreamKey};
use crate::channel::programme::FeedInfo;
use crate::channel::seats::SeatDesk;
use crate::media::Rung;
use crate::placement::{Admission, DeviceWish, Inventory, Priority};

fn with_rungs(house: &House, names: &[&str]) -> ChannelPlan {
    let heights = |name: &str| name.trim_end_matches('p').parse::<u32>().expect("a height");
    let rung = |name: &&str| Rung::new(name, heights(name) * 16 / 9 / 2 * 2, heights(name), 800_000, "superfast");
    ChannelPlan { ladder: LadderPlan::Rungs(names.iter().map(rung).collect()), ..house.programme.plan.clone() }
}

fn rungs(house: &House) -> Vec<String> {
    house.programme.status(house.now).rungs.into_iter().map(|rung| rung.name).collect()
}

#[test]
fn a_rung_joins_at_a_cut_and_is_offered_after_three_segments() {
    let mut house = House::live();
    house.programme.take_plan(with_rungs(&house, &["720p", "360p"]), house.now);
    house.run(100);
    assert_eq!(rungs(&house), ["720p", "360p", "audio"]);
    assert!(!house.master.contains("720p/"), "offered before there is enough to begin with: {}", house.master);
    house.run(150);
    assert!(house.master.contains("720p/playlist.m3u8") && house.master.contains("360p/playlist.m3u8"), "{}", house.master);
    house.assert_unbroken_but_for(1);
    assert_eq!(house.programme.status(house.now).worker_restarts, 0);
}

#[test]
fn a_rung_leaves_at_a_cut() {
    let mut house = House::live();
    house.programme.take_plan(with_rungs(&house, &["720p", "360p"]), house.now);
    house.run(250);
    house.programme.take_plan(with_rungs(&house, &["360p"]), house.now);
    house.run(150);
    assert!(!house.master.contains("720p/") && rungs(&house) == ["360p", "audio"], "{}", house.master);
    house.assert_unbroken_but_for(2);
}

#[test]
fn a_preset_changes_and_viewers_see_nothing_of_it() {
    let mut house = House::live();
    let mut plan = house.programme.plan.clone();
    plan.ladder = LadderPlan::Rungs(vec![Rung::new("360p", 640, 360, 800_000, "ultrafast")]);
    plan.hold = Ticks::from_millis(3_000);
    let before = house.programme.supervisor.id();
    house.programme.take_plan(plan, house.now);
    house.run(150);
    assert_eq!(house.programme.supervisor.id(), before + 1);
    let open = house.present.as_ref().and_then(|worker| worker.open.as_ref()).expect("opened");
    assert_eq!((open.rungs[0].preset.as_str(), open.hold), ("ultrafast", Ticks::from_millis(3_000)));
    house.assert_unbroken();
}

#[test]
fn a_ladder_that_cannot_be_opened_leaves_the_one_on_the_air() {
    let mut house = House::live();
    house.most_rungs = 1;
    house.programme.take_plan(with_rungs(&house, &["720p", "360p"]), house.now);
    house.run(600);
    assert_eq!((house.deaths, rungs(&house)), (2, vec!["360p".to_owned(), "audio".to_owned()]));
    house.assert_unbroken();
}

#[test]
fn a_worker_that_dies_before_the_cut_does_not_take_the_new_ladder_with_it() {
    let mut house = House::live();
    house.programme.take_plan(with_rungs(&house, &["720p", "360p"]), house.now);
    house.run(3);
    house.kill();
    house.run(250);
    assert_eq!(rungs(&house), ["720p", "360p", "audio"]);
    house.assert_unbroken_but_for(1);
}

#[test]
fn other_segments_begin_behind_the_last_one_and_numbers_go_on() {
    let mut house = House::live();
    let plan =
        ChannelPlan { segment: Ticks::from_millis(4_000), formats: Formats { cmaf: true, ts: true }, ..house.programme.plan.clone() };
    let listed = house.sequences.len();
    house.programme.take_plan(plan, house.now);
    house.run(400);
    let numbers: Vec<u64> = house.sequences.iter().map(|sequence| sequence.number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1) && numbers.len() > listed + 2, "{numbers:?}");
    let lengths: Vec<i64> = house.sequences[listed..].windows(2).map(|pair| (pair[1].end - pair[0].end).as_millis()).collect();
    assert!(lengths.iter().all(|length| *length == 4_000), "{lengths:?}");
    assert!(house.retired.iter().any(|path| path.ends_with(".m4s")) && house.retired.iter().any(|path| path == "360p/playlist.m3u8"));
    assert_eq!(house.playlist.matches("EXT-X-DISCONTINUITY\n").count(), 1, "{}", house.playlist);
    // The input is kept: what the old worker had not put out is made again.
    let first = house.pictures.iter().position(|number| *number == 0).expect("listed");
    assert!(house.pictures[first..].iter().enumerate().all(|(index, number)| *number == index as i64), "{:?}", &house.pictures[first..]);
    let restarts = house.programme.status(house.now).worker_restarts;
    assert_eq!(restarts, 0, "a change of plan is no loss");
}

#[test]
fn another_rate_goes_on_too() {
    let mut house = House::live();
    house.programme.take_plan(ChannelPlan { rate: Some(Rate::new(50, 1)), ..house.programme.plan.clone() }, house.now);
    house.run(200);
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "{:?}", house.sequences);
    assert_eq!(house.programme.status(house.now).rate.as_deref(), Some("50"));
}

#[test]
fn feeds_come_and_go_while_one_is_on_the_air() {
    let feed = |name: &str| FeedPlan { name: name.into(), source: FeedSource::Publish(StreamKey::new(name)) };
    let mut house = House::live();
    let mut plan = house.programme.plan.clone();
    plan.feeds = vec![feed("main"), feed("publisher")];
    house.programme.take_plan(plan.clone(), house.now);
    let on_air = |house: &House| house.programme.feeds.active_index();
    assert_eq!(on_air(&house), Some(1), "it is the second one now");
    let info = FeedInfo { index: 0, name: "main".into(), peer: "192.0.2.1:2".into(), wrap: Ticks::ZERO };
    house.programme.feed_opened(info, house.now);
    house.programme.feed_event(0, FeedEvent::Tracks(Vec::new()), house.now);
    plan.feeds = vec![feed("publisher")];
    house.programme.take_plan(plan.clone(), house.now);
    assert_eq!(on_air(&house), Some(0));
    house.run(50);
    house.assert_unbroken();
    plan.feeds = vec![feed("other")];
    house.programme.take_plan(plan, house.now);
    assert_eq!(on_air(&house), None);
    (0..150).for_each(|_| house.step());
    assert_eq!(house.pictures.last(), Some(&FILL), "its feed is gone: the pattern is on the air");
}

#[test]
fn a_correction_reaches_a_channel_whose_encoders_cannot_be_opened() {
    let mut house = House::new();
    house.most_rungs = 0;
    house.step();
    assert!(house.programme.supervisor.is_opening());
    house.programme.take_plan(with_rungs(&house, &["240p"]), house.now);
    (0..20).for_each(|_| house.step());
    assert_eq!(rungs(&house), ["240p", "audio"]);
}

#[test]
fn a_worker_that_dies_while_it_drains_does_not_speak_against_the_new_ladder() {
    let mut house = House::live();
    house.dies_draining = true;
    house.programme.take_plan(with_rungs(&house, &["720p", "360p"]), house.now);
    house.run(150);
    house.dies_draining = false;
    house.run(150);
    assert_eq!(rungs(&house), ["720p", "360p", "audio"]);
}

#[test]
fn a_rate_for_which_there_is_no_seat_leaves_what_is_on_the_air_until_there_is_one() {
    let desk = SeatDesk::default();
    let mut house = House::placed("demo", desk.clone(), DeviceWish::default(), Priority::Main).on_air();
    let lend = |times: f64| {
        let cpu_quota = Some(desk.report().cores.used * times / 0.75);
        desk.lend(&Inventory { cpu_quota, ..Inventory::new(64, 64, 0, 0) }, Admission::Strict);
    };
    lend(1.2);
    house.programme.take_plan(ChannelPlan { rate: Some(Rate::new(60, 1)), ..house.programme.plan.clone() }, house.now);
    house.run(150);
    assert_eq!(house.programme.status(house.now).rate.as_deref(), Some("25"));
    house.assert_unbroken();
    lend(4.0);
    house.run(150);
    assert_eq!(house.programme.status(house.now).rate.as_deref(), Some("60"));
}

#[test]
fn not_all_channels_change_their_workers_at_once() {
    let desk = SeatDesk::default();
    let mut houses = ["a", "b", "c"].map(|name| House::seated(name, desk.clone(), DeviceWish::default()).on_air());
    let change = |house: &mut House| {
        let plan = ChannelPlan { hold: Ticks::from_millis(3_000), ..house.programme.plan.clone() };
        house.programme.take_plan(plan, house.now);
    };
    houses.iter_mut().for_each(change);
    houses.iter_mut().for_each(|house| house.run(1));
    let changing =
        |houses: &[House]| houses.iter().filter(|house| house.programme.air.as_ref().is_some_and(|air| air.is_handing_over())).count();
    assert_eq!(changing(&houses), 2);
    for _ in 0..300 {
        houses.iter_mut().for_each(|house| house.run(1));
        assert!(changing(&houses) <= 2);
    }
    for house in &houses {
        let open = house.present.as_ref().and_then(|worker| worker.open.as_ref()).expect("opened");
        assert_eq!(open.hold, Ticks::from_millis(3_000));
        house.assert_unbroken();
    }
}

#[test]
fn a_small_change_while_a_ladder_joins_does_not_take_it_back() {
    let mut house = House::live();
    house.programme.take_plan(with_rungs(&house, &["720p", "360p"]), house.now);
    let is_joining = |house: &House| house.programme.air.as_ref().is_some_and(|air| air.is_joining());
    let mut steps = 0;
    while !is_joining(&house) {
        house.run(1);
        steps += 1;
        assert!(steps < 200, "no cut is made");
    }
    let plan = ChannelPlan { window: Ticks::from_millis(50_000), ..house.programme.plan.clone() };
    house.programme.take_plan(plan, house.now);
    house.run(300);
    assert_eq!(rungs(&house), ["720p", "360p", "audio"]);
    house.assert_unbroken_but_for(1);
}

#[test]
fn a_second_plan_does_not_forget_what_the_first_one_was_to_change_at_a_cut() {
    let mut house = House::live();
    let plan = ChannelPlan { hold: Ticks::from_millis(3_000), ..house.programme.plan.clone() };
    house.programme.take_plan(plan, house.now);
    let plan = ChannelPlan { window: Ticks::from_millis(50_000), ..house.programme.plan.clone() };
    house.programme.take_plan(plan, house.now);
    house.run(150);
    let open = house.present.as_ref().and_then(|worker| worker.open.as_ref()).expect("opened");
    assert_eq!(open.hold, Ticks::from_millis(3_000));
}
