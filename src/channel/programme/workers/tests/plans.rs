//! A running channel gets another plan: what is listed goes on.

use super::house::{FILL, House};
use crate::base::{Rate, Ticks};
use crate::channel::feed::FeedEvent;
use crate::channel::plan::{ChannelPlan, FeedPlan, FeedSource, Formats, LadderPlan, StreamKey};
use crate::channel::programme::FeedInfo;
use crate::media::Rung;

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
