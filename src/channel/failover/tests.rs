use super::*;
use proptest::prelude::*;

fn second(second: f64) -> Mono {
    Mono((second * 1e9) as u64)
}

/// Feeds that deliver in the given spans, in seconds; what was on the air, with the seconds at which it changed.
fn run(policy: &mut Failover, spans: &[&[(f64, f64)]], faulty: impl Fn(usize, f64) -> bool, seconds: u32) -> Vec<(u32, usize, Why)> {
    let mut changes = Vec::new();
    for tenth in 0..seconds * 10 {
        let (at, now) = (f64::from(tenth) / 10.0, second(f64::from(tenth) / 10.0));
        for (feed, spans) in spans.iter().enumerate() {
            if spans.iter().any(|(from, to)| (*from..*to).contains(&at)) {
                policy.delivered(feed, now);
            }
        }
        policy.picture(policy.active().is_some_and(|active| faulty(active, at)), now);
        if let Some((feed, why)) = policy.wanted(now) {
            policy.switched(feed, why, now);
            changes.push((tenth / 10, feed, why));
        }
    }
    changes
}

fn policy() -> Failover {
    Failover::new(FailoverPlan::default(), 2)
}

#[test]
fn a_lost_feed_is_left_after_two_seconds_and_returned_to_after_thirty() {
    let changes = run(&mut policy(), &[&[(0.0, 10.0), (20.0, 99.0)], &[(0.0, 99.0)]], |_, _| false, 90);
    assert_eq!(changes, [(0, 0, Why::First), (11, 1, Why::Lost), (50, 0, Why::Return)]);
}

#[test]
fn a_feed_that_comes_and_goes_does_not_get_its_place_back() {
    let flapping: Vec<(f64, f64)> = (0..10).map(|n| (10.0 * f64::from(n), 10.0 * f64::from(n) + 6.0)).collect();
    let changes = run(&mut policy(), &[&flapping, &[(0.0, 99.0)]], |_, _| false, 95);
    assert_eq!(changes, [(0, 0, Why::First), (7, 1, Why::Lost)]);
}

#[test]
fn a_frozen_picture_gives_way_and_two_bad_feeds_are_not_tossed_to_and_fro() {
    let changes = run(&mut policy(), &[&[(0.0, 999.0)], &[(0.0, 999.0)]], |_, at| at > 5.0, 300);
    assert_eq!(changes[..3], [(0, 0, Why::First), (5, 1, Why::Picture), (35, 0, Why::Picture)]);
    assert!(changes.len() <= 8, "{changes:?}");
}

#[test]
fn a_frozen_picture_is_better_than_none() {
    let changes = run(&mut policy(), &[&[(0.0, 99.0)], &[(0.0, 3.0)]], |_, at| at > 8.0, 60);
    assert_eq!(changes, [(0, 0, Why::First)]);
    let changes = run(&mut policy(), &[&[(0.0, 99.0)], &[(0.0, 20.0)]], |feed, at| feed == 0 && at > 8.0, 25);
    assert_eq!(changes, [(0, 0, Why::First), (8, 1, Why::Picture), (21, 0, Why::Lost)]);
}

#[test]
fn a_manual_choice_holds_until_its_feed_is_lost_and_again_when_it_is_back() {
    let mut policy = policy();
    policy.ask(Some(1));
    let changes = run(&mut policy, &[&[(0.0, 99.0)], &[(1.0, 30.0), (50.0, 99.0)]], |_, _| false, 80);
    assert_eq!(changes, [(0, 0, Why::First), (1, 1, Why::Manual), (31, 0, Why::Lost), (50, 1, Why::Manual)]);
}

#[test]
fn without_a_return_the_backup_stays() {
    let mut policy = Failover::new(FailoverPlan { return_after: None, ..FailoverPlan::default() }, 2);
    let changes = run(&mut policy, &[&[(0.0, 10.0), (20.0, 99.0)], &[(0.0, 99.0)]], |_, _| false, 90);
    assert_eq!(changes, [(0, 0, Why::First), (11, 1, Why::Lost)]);
}

proptest! {
    #[test]
    fn a_feed_that_delivers_is_always_on_the_air(events in prop::collection::vec((0usize..3, 0u8..6, 1u64..3_000), 1..200)) {
        let mut policy = Failover::new(FailoverPlan::default(), 3);
        let mut now = Mono(0);
        for (feed, event, millis) in events {
            now = now.after(Duration::from_millis(millis));
            match event {
                0..=2 => policy.delivered(feed, now),
                3 => policy.gone(feed),
                4 => policy.picture(feed == 0, now),
                _ => policy.ask((feed < 2).then_some(feed)),
            }
            if let Some((wanted, why)) = policy.wanted(now) {
                prop_assert!(policy.delivers(wanted, now) && policy.active() != Some(wanted));
                policy.switched(wanted, why, now);
                prop_assert!(policy.wanted(now).is_none_or(|(_, why)| why == Why::Manual), "no second change at the same instant");
            }
            let any = (0..3).any(|feed| policy.delivers(feed, now));
            prop_assert!(!any || policy.active().is_some_and(|active| policy.delivers(active, now)));
        }
    }
}
