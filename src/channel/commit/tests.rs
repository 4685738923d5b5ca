use super::*;
use crate::base::Rate;
use bytes::Bytes;

const RATE: Rate = Rate::new(25, 1);

fn grid() -> Grid {
    Grid { rate: RATE, gop_slots: 50, segment_slots: 100 }
}

fn video(rung: u8, slot: i64) -> Packet {
    let at = grid().start(Slot(slot));
    Packet { rung, pts: at, dts: at, duration: RATE.period(), key: slot % 50 == 0, data: Bytes::new() }
}

fn audio(frame: i64) -> Packet {
    let at = MediaTime::from_scale(frame * 1024, 48_000);
    Packet { rung: 2, pts: at, dts: at, duration: Ticks::from_scale(1024, 48_000), key: true, data: Bytes::new() }
}

fn two_rungs() -> Commit {
    Commit::new(grid(), 2, true, Slot(1000), 77)
}

#[test]
fn a_segment_closes_with_its_last_packet_on_every_rung() {
    let mut commit = two_rungs();
    (1875..2063).for_each(|frame| commit.push(audio(frame)));
    for slot in 1000..1100 {
        commit.push(video(0, slot));
        assert!(commit.take(MediaTime(0)).is_none());
        commit.push(video(1, slot));
    }
    let committed = commit.take(MediaTime(0)).expect("closed with the last packet");
    assert_eq!((committed.set.number, committed.set.duration.as_millis()), (77, 4000));
    assert_eq!(committed.set.packets.iter().map(|run| run.as_ref().map_or(0, Vec::len)).collect::<Vec<_>>(), [100, 100, 188]);
    assert_eq!(commit.resume_slot(), Slot(1100));
}

#[test]
fn a_replacement_worker_fills_the_segment_that_was_left_open() {
    let mut commit = two_rungs();
    (1000..1060).for_each(|slot| commit.push(video(0, slot)));
    commit.restart();
    assert_eq!(commit.resume_slot(), Slot(1000));
    for slot in 1000..1100 {
        commit.push(video(0, slot));
        commit.push(video(1, slot));
    }
    (1875..2063).for_each(|frame| commit.push(audio(frame)));
    let set = commit.take(MediaTime(0)).expect("closed").set;
    assert_eq!((set.number, set.packets[0].as_ref().map(Vec::len), set.discontinuity), (77, Some(100), false));
}

#[test]
fn segments_that_are_given_up_leave_no_hole_in_the_numbers() {
    let mut commit = two_rungs();
    (1000..1060).for_each(|slot| commit.push(video(0, slot)));
    commit.skip_to(Slot(2150));
    assert_eq!((commit.resume_slot(), commit.next_number()), (Slot(2100), 77));
    (2100..2200).for_each(|slot| (0..2).for_each(|rung| commit.push(video(rung, slot))));
    (3937..4126).for_each(|frame| commit.push(audio(frame)));
    let set = commit.take(MediaTime(0)).expect("closed").set;
    assert_eq!((set.number, set.start, set.discontinuity), (77, grid().start(Slot(2100)), true));
    commit.skip_to(Slot(1000));
    assert_eq!(commit.resume_slot(), Slot(2200), "never back");
}

#[test]
fn a_rung_that_is_a_segment_late_is_left_out() {
    let mut commit = two_rungs();
    let first = grid().start(Slot(1000));
    (1875..2063).for_each(|frame| commit.push(audio(frame)));
    (1000..1100).for_each(|slot| commit.push(video(0, slot)));
    assert!(commit.take(first).is_none());
    assert!(commit.take(first + Ticks::from_millis(4_000)).is_none());
    let committed = commit.take(first + Ticks::from_millis(4_040)).expect("goes on without the late rung");
    assert_eq!(committed.missing, [1]);
    assert!(committed.set.packets[1].is_none() && committed.set.packets[0].is_some());
}

#[test]
fn a_small_rung_that_runs_ahead_while_the_worker_catches_up_costs_the_others_nothing() {
    let mut commit = two_rungs();
    (1000..1500).for_each(|slot| commit.push(video(1, slot)));
    assert!(commit.take(MediaTime(0)).is_none());
    (1000..1100).for_each(|slot| commit.push(video(0, slot)));
    (1875..2063).for_each(|frame| commit.push(audio(frame)));
    assert!(commit.take(MediaTime(0)).expect("every rung has it").missing.is_empty());
}

#[test]
fn a_rung_that_is_left_out_by_plan_is_not_waited_for_and_is_back_with_a_whole_segment() {
    let mut commit = two_rungs();
    (1875..2626).for_each(|frame| commit.push(audio(frame)));
    let at = |slot: i64| grid().start(Slot(slot));
    (1000..1040).for_each(|slot| commit.push(video(0, slot)));
    commit.leave_out(0, at(1040), true);
    (1000..1200).for_each(|slot| commit.push(video(1, slot)));
    for _ in 0..2 {
        let committed = commit.take(MediaTime(0)).expect("closed without the rung");
        assert_eq!((committed.missing, committed.left_out), (Vec::new(), vec![0]));
        assert!(committed.set.packets[0].is_none() && committed.set.packets[1].is_some());
    }
    commit.leave_out(0, at(1200), false);
    (1200..1300).for_each(|slot| commit.push(video(1, slot)));
    assert!(commit.take(MediaTime(0)).is_none(), "it is waited for");
    (1200..1300).for_each(|slot| commit.push(video(0, slot)));
    let committed = commit.take(MediaTime(0)).expect("closed");
    assert_eq!((committed.left_out.len(), committed.set.packets[0].as_ref().map(Vec::len)), (0, Some(100)));
}

#[test]
fn a_replacement_is_expected_to_make_every_rung_until_it_says_otherwise() {
    let mut commit = two_rungs();
    commit.leave_out(0, grid().start(Slot(1000)), true);
    commit.restart();
    (1875..2063).for_each(|frame| commit.push(audio(frame)));
    (1000..1100).for_each(|slot| commit.push(video(1, slot)));
    assert!(commit.take(MediaTime(0)).is_none());
}

#[test]
fn pictures_of_no_rung_close_nothing() {
    let mut commit = two_rungs();
    (1875..2063).for_each(|frame| commit.push(audio(frame)));
    (0..2).for_each(|rung| commit.leave_out(rung, grid().start(Slot(1000)), true));
    assert!(commit.take(MediaTime(0)).is_none());
}

#[test]
fn what_nobody_makes_any_more_is_not_waited_for() {
    let mut commit = two_rungs();
    (1875..2063).for_each(|frame| commit.push(audio(frame)));
    (1000..1100).for_each(|slot| commit.push(video(0, slot)));
    assert!(commit.take(MediaTime(0)).is_none());
    commit.expect_no_more(grid().start(Slot(1100)));
    assert_eq!(commit.take(MediaTime(0)).expect("closed").missing, [1]);
}

#[test]
fn sound_alone_closes_nothing() {
    let mut commit = two_rungs();
    (1875..2500).for_each(|frame| commit.push(audio(frame)));
    assert!(commit.take(MediaTime(0)).is_none());
    assert!(commit.take(grid().start(Slot(1000))).is_none());
}

#[test]
fn a_refused_segment_gives_its_number_to_the_next() {
    let mut commit = two_rungs();
    (1875..2251).for_each(|frame| commit.push(audio(frame)));
    (1000..1200).for_each(|slot| (0..2).for_each(|rung| commit.push(video(rung, slot))));
    assert_eq!(commit.take(MediaTime(0)).expect("closed").set.number, 77);
    commit.refused();
    let set = commit.take(MediaTime(0)).expect("closed").set;
    assert_eq!((set.number, set.discontinuity), (77, true));
}

#[test]
fn what_is_published_is_not_taken_twice() {
    let mut commit = two_rungs();
    for slot in 1000..1100 {
        commit.push(video(0, slot));
        commit.push(video(1, slot));
    }
    (1875..2063).for_each(|frame| commit.push(audio(frame)));
    commit.take(MediaTime(0)).expect("closed");
    commit.push(video(0, 1099));
    commit.push(audio(2000));
    assert!(commit.lines.iter().take(1).all(|line| line.packets.is_empty()));
    assert!(commit.lines[2].packets.is_empty());
}
