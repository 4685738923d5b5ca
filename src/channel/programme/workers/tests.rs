//! Workers die, stand still and are changed, in simulated time: what is listed shows every picture of the source once, in order.

mod admission;
mod devices;
mod house;
mod plans;

use proptest::prelude::*;

use super::{Immovable, MoveTo};
use crate::channel::status::State;
use house::{GOP, House};

#[test]
fn the_simulated_source_is_listed_picture_by_picture() {
    let mut house = House::live();
    house.run(500);
    house.assert_unbroken();
    assert!(house.longest_wait() <= 51);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// Kills and planned changes at any moment, kills of replacements that are just starting included.
    #[test]
    fn no_picture_is_lost_or_doubled_whenever_workers_are_killed_or_changed(
        events in proptest::collection::vec((76usize..200, 0u8..3, 1usize..12), 1..6)
    ) {
        let mut house = House::live();
        for (steps, event, soon) in events {
            house.run(steps);
            match event {
                0 => house.kill(),
                1 => {
                    house.kill();
                    house.run(soon);
                    house.kill();
                }
                _ => drop(house.programme.move_worker(&MoveTo::Same)),
            }
        }
        house.run(150);
        house.assert_unbroken();
        prop_assert!(house.longest_wait() <= 100, "more than a segment late: {} steps", house.longest_wait());
    }
}

#[test]
fn a_worker_that_is_stopped_costs_at_most_a_segment_of_delay() {
    for phase in [0, 10, 20, 30, 40, 48] {
        let mut house = House::live();
        house.run(100 + phase);
        house.present.as_mut().expect("a worker").has_stopped = true;
        house.run(200);
        house.assert_unbroken();
        assert_eq!(house.programme.status(house.now).worker_restarts, 1);
        // Two seconds until it is noticed; half a second to start and catch up, once the segment is due.
        assert!(house.longest_wait() <= 50 + 50 + 16, "phase {phase}: {} steps", house.longest_wait());
    }
}

#[test]
fn a_worker_whose_feed_ran_ahead_and_fell_silent_has_nothing_to_do() {
    let mut house = House::live();
    // Two and a half seconds at once, then nothing: the worker is ahead of the programme by more than it may be silent.
    for _ in 0..62 {
        house.feed_picture();
    }
    (0..250).for_each(|_| house.step());
    assert_eq!(house.programme.status(house.now).worker_restarts, 0);
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1) && house.longest_wait() <= 50 + 62);
}

#[test]
fn a_planned_change_restarts_nothing_and_delays_nothing() {
    let mut house = House::live();
    let (before, usual) = (house.programme.supervisor.id(), house.latest());
    assert_eq!(house.programme.move_worker(&MoveTo::Same), Ok(()));
    assert_eq!(house.programme.move_worker(&MoveTo::Same), Err(Immovable::Moving));
    house.run(150);
    assert_eq!(house.programme.supervisor.id(), before + 1);
    assert_eq!(house.programme.status(house.now).worker_restarts, 0);
    assert!(house.leaving.is_none());
    house.assert_unbroken();
    assert!(house.latest() <= usual + 2, "{} steps, {usual} before", house.latest());
}

#[test]
fn a_change_while_the_slate_shows_needs_no_input() {
    let mut house = House::live();
    house.programme.feed_closed(0, house.now);
    (0..100).for_each(|_| house.step());
    let before = house.programme.supervisor.id();
    assert_eq!(house.programme.move_worker(&MoveTo::Same), Ok(()));
    (0..150).for_each(|_| house.step());
    assert_eq!(house.programme.supervisor.id(), before + 1);
    assert!(house.leaving.is_none());
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert_eq!(house.pictures.len(), house.sequences.len() * 50);
    assert!(house.sounds.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn a_worker_that_dies_while_it_drains_is_replaced_as_any_other() {
    let mut house = House::live();
    house.programme.move_worker(&MoveTo::Same).expect("a worker is up");
    house.dies_draining = true;
    house.run(250);
    assert_eq!(house.programme.status(house.now).worker_restarts, 1);
    house.assert_unbroken();
}

#[test]
fn a_worker_that_never_drains_is_given_up_with_its_successor() {
    let mut house = House::live();
    house.programme.move_worker(&MoveTo::Same).expect("a worker is up");
    house.hangs_draining = true;
    house.run(100);
    assert!(house.leaving.is_some());
    house.run(200);
    assert!(house.leaving.is_none(), "it is ended");
    assert_eq!(house.programme.status(house.now).worker_restarts, 1);
    house.assert_unbroken();
}

#[test]
fn a_place_that_kills_three_workers_is_skipped_and_the_rest_is_shown() {
    let mut house = House::live();
    let poison = house.sent + 20;
    house.poison = Some(poison);
    house.run(400);
    assert_eq!(house.deaths, 3);
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "{:?}", house.sequences);
    let resumed = (poison / GOP + 1) * GOP;
    let after: Vec<i64> = house.pictures.iter().copied().filter(|number| *number > poison).collect();
    assert!(after.first() <= Some(&(resumed + GOP)) && after.windows(2).all(|pair| pair[1] == pair[0] + 1), "{after:?}");
    assert!(!house.pictures.contains(&poison));
    assert!(house.programme.status(house.now).quarantined.is_empty());
}

#[test]
fn a_feed_that_goes_on_killing_is_left_out_and_comes_back_when_it_has_learnt() {
    let mut house = House::live();
    for _ in 0..3 {
        house.poison = Some(house.sent / GOP * GOP + GOP);
        house.run(70);
    }
    assert_eq!(house.deaths, 9);
    house.programme.feed_closed(0, house.now);
    house.publish();
    house.poison = Some(house.sent / GOP * GOP + GOP);
    house.run(60);
    assert_eq!(house.deaths, 9, "connecting anew is no way out");
    let status = house.programme.status(house.now);
    assert_eq!((status.quarantined, status.state, status.feed), (vec!["publisher".to_string()], State::Slate, "pattern".to_string()));
    house.poison = None;
    house.run(200);
    let status = house.programme.status(house.now);
    assert_eq!((status.quarantined.len(), status.state), (0, State::Live));
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(house.pictures.iter().rev().take(20).all(|number| *number > 0), "the source is on the air again");
}

#[test]
fn what_a_publisher_left_behind_kills_no_more_than_three_workers() {
    let mut house = House::live();
    house.poison = Some(house.sent + 2);
    house.run(5);
    house.programme.feed_closed(0, house.now);
    (0..300).for_each(|_| house.step());
    assert_eq!(house.deaths, 3);
    assert!(house.sequences.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(house.longest_wait() <= 100, "{} steps", house.longest_wait());
}

#[test]
fn deaths_without_input_blame_no_feed() {
    let mut house = House::new();
    for _ in 0..20 {
        (0..5).for_each(|_| house.step());
        house.kill();
    }
    assert!(house.programme.status(house.now).quarantined.is_empty());
    (0..400).for_each(|_| house.step());
    assert!(house.longest_wait() < 400 && !house.sequences.is_empty());
}

#[test]
fn a_worker_that_grows_too_large_is_replaced_without_a_trace() {
    let mut house = House::live();
    let id = house.programme.supervisor.id();
    house.programme.worker_too_large(id, 7 << 30, house.now);
    house.present = None;
    house.act();
    house.run(150);
    assert_eq!(house.programme.status(house.now).worker_restarts, 1);
    house.assert_unbroken();
}
