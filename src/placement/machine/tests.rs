//! Who gets which seat, and what may never happen, whatever is asked in whatever order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::base::Mono;
use crate::media::device::Verdict;
use crate::placement::devices::tests::gpu;
use crate::placement::devices::{DeviceWish, GpuChoice, Load, Usage, lendable_bytes};
use crate::placement::ladder;
use crate::placement::report::Verdict as Outcome;

fn inventory(cores: usize, gpus: &[Option<u32>]) -> Inventory {
    let gpus = gpus.iter().enumerate().map(|(n, most)| gpu(n as u32, Verdict::Full, *most, 16 << 10)).collect();
    Inventory { nvidia: DeviceReport { gpus, ..DeviceReport::default() }, ..Inventory::new(cores, cores, 64 << 30, 64 << 30) }
}

fn machine(cores: usize, gpus: &[Option<u32>], admission: Admission) -> Machine {
    Machine::of(&inventory(cores, gpus), admission)
}

/// A ladder of about this many cores at 30 pictures a second: each rung of 720p takes 0.64.
fn rungs(count: usize) -> Vec<Rung> {
    (0..count).map(|n| Rung::new(&format!("r{n}"), 1280, 720, 2_000_000, "veryfast")).collect()
}

fn ask(machine: &mut Machine, channel: &str, policy: DevicePolicy, priority: Priority, ladder: &[Rung]) -> Result<Granted, Refusal> {
    let wish = DeviceWish { policy, gpu: GpuChoice::Any };
    let load = Load { priority, ..Load::default() };
    let before: Vec<Ticket> = machine.tickets_of(channel).collect();
    machine.seat(channel, &Need { wish: &wish, source: None, rungs: ladder, avoid: &[], load }, &before)
}

fn software(machine: &mut Machine, channel: &str, ladder: &[Rung]) -> Result<Granted, Refusal> {
    ask(machine, channel, DevicePolicy::Software, Priority::Main, ladder)
}

fn end(machine: &mut Machine, granted: &Granted) {
    machine.give_back(granted.ticket, granted.place);
}

#[test]
fn a_ladder_too_large_is_refused_with_what_is_short_and_what_would_fit() {
    let mut two = machine(2, &[], Admission::Strict);
    let refusal = software(&mut two, "sports", &ladder("standard").unwrap()).unwrap_err();
    assert_eq!(
        (refusal.to_string(), refusal.label()),
        ("needs 2.8 cores of 1.5 free: would fit without 1080p, or with preset ultrafast".to_owned(), "cores")
    );
    assert!(software(&mut two, "sports", &ladder("standard").unwrap()[1..]).is_ok(), "and that is true");
    let row = &two.report().channels[0];
    assert_eq!((row.verdict, two.report().channels.len()), (Outcome::Admitted, 1), "a refusal is forgotten when there is a seat");
}

#[test]
fn a_machine_that_only_warns_lets_a_main_channel_in_and_says_so() {
    let mut two = machine(2, &[], Admission::Warn);
    let granted = software(&mut two, "sports", &ladder("standard").unwrap()).unwrap();
    assert!(granted.over.is_some_and(|short| short.label() == "cores"));
    assert_eq!(two.report().channels[0].verdict, Outcome::Over);
    let refusal = ask(&mut two, "spare", DevicePolicy::Software, Priority::BestEffort, &rungs(1)).unwrap_err();
    assert_eq!(refusal.label(), "cores", "a best-effort channel runs on what is left");
    assert!(two.report().refuses());
}

#[test]
fn memory_is_short_where_the_cores_are_many() {
    let small = Inventory { memory_limit_bytes: Some(900 << 20), ..inventory(64, &[]) };
    let mut machine = Machine::of(&small, Admission::Strict);
    let refusal = software(&mut machine, "sports", &ladder("standard").unwrap()).unwrap_err();
    assert_eq!(refusal.label(), "memory");
    assert!(refusal.to_string().starts_with("needs 401 MiB of memory of 388 free: would fit without 1080p"), "{refusal}");
}

#[test]
fn a_main_channel_pushes_out_no_more_best_effort_channels_than_it_must() {
    let mut four = machine(4, &[], Admission::Strict);
    let spare =
        |machine: &mut Machine, name: &str, count| ask(machine, name, DevicePolicy::Software, Priority::BestEffort, &rungs(count)).unwrap();
    let leases = [("large", 2), ("newest", 1)].map(|(name, count)| spare(&mut four, name, count));
    let granted = software(&mut four, "main", &rungs(3)).unwrap();
    assert_eq!(granted.pushed_out, ["large"], "the newest alone is too small, and not needed beside the large one");
    assert_eq!([0, 1].map(|index: usize| four.pushed_out(leases[index].place)), [Some("main"), None]);
    let again = ask(&mut four, "large", DevicePolicy::Software, Priority::BestEffort, &rungs(2)).unwrap_err();
    assert_eq!(again.label(), "cores", "who was pushed out has no claim to what it held");
    end(&mut four, &leases[0]);
    end(&mut four, &granted);
    assert!(ask(&mut four, "large", DevicePolicy::Software, Priority::BestEffort, &rungs(2)).is_ok());
}

#[test]
fn a_main_channel_that_requires_a_device_takes_the_sessions_of_a_best_effort_one() {
    let mut one = machine(2, &[Some(2), Some(2)], Admission::Strict);
    let spare = |machine: &mut Machine, name: &str| ask(machine, name, DevicePolicy::Require, Priority::BestEffort, &rungs(2)).unwrap();
    let (first, second) = (spare(&mut one, "first"), spare(&mut one, "second"));
    let granted = ask(&mut one, "main", DevicePolicy::Require, Priority::Main, &rungs(2)).unwrap();
    assert_eq!(granted.pushed_out, ["second"]);
    assert_eq!((&granted.seat, one.devices.each().map(|gpu| gpu.4.sessions).sum::<u32>()), (&second.seat, 4));
    assert!(one.pushed_out(first.place).is_none());
    end(&mut one, &second);
    assert_eq!(one.devices.each().map(|gpu| gpu.4.sessions).sum::<u32>(), 4, "the end of its worker frees nothing twice");
    assert!(ask(&mut one, "other", DevicePolicy::Require, Priority::Main, &rungs(3)).is_err(), "three sessions are nowhere");
    assert!(one.pushed_out(first.place).is_none(), "and nobody is pushed out in vain");
}

#[test]
fn the_sessions_of_who_is_pushed_out_are_nobodys_until_its_worker_has_ended() {
    let mut one = machine(64, &[Some(4)], Admission::Strict);
    let sessions = |machine: &Machine| machine.devices.each().map(|gpu| gpu.4.sessions).sum::<u32>();
    let spare = ask(&mut one, "spare", DevicePolicy::Require, Priority::BestEffort, &rungs(4)).unwrap();
    let main = ask(&mut one, "main", DevicePolicy::Require, Priority::Main, &rungs(2)).unwrap();
    assert_eq!((one.is_clear(main.place), sessions(&one)), (false, 4));
    assert!(ask(&mut one, "other", DevicePolicy::Require, Priority::Main, &rungs(2)).is_err(), "they are still in use");
    let again = ask(&mut one, "main", DevicePolicy::Require, Priority::Main, &rungs(2)).unwrap();
    end(&mut one, &main);
    assert_eq!((one.is_clear(again.place), sessions(&one)), (false, 4), "whoever asks anew waits as before");
    end(&mut one, &spare);
    assert_eq!((one.is_clear(again.place), sessions(&one)), (true, 2));
    assert!(ask(&mut one, "other", DevicePolicy::Require, Priority::Main, &rungs(2)).is_ok());
}

#[test]
fn a_faster_preset_is_taken_where_even_the_others_place_is_too_small_for_the_ladder_as_it_is() {
    let mut two = machine(2, &[Some(0)], Admission::Strict);
    let spare = ask(&mut two, "spare", DevicePolicy::Software, Priority::BestEffort, &rungs(1)).unwrap();
    let granted = ask(&mut two, "main", DevicePolicy::Prefer, Priority::Main, &rungs(3)).unwrap();
    assert_eq!((granted.preset, granted.pushed_out, granted.over), (Some("superfast"), vec!["spare".to_owned()], None));
    assert_eq!(two.pushed_out(spare.place), Some("main"));
}

#[test]
fn nobody_is_pushed_out_where_all_together_do_not_help() {
    let mut four = machine(4, &[], Admission::Warn);
    let spare = ask(&mut four, "spare", DevicePolicy::Software, Priority::BestEffort, &rungs(1)).unwrap();
    let granted = software(&mut four, "main", &rungs(9)).unwrap();
    assert!(granted.over.is_some() && granted.pushed_out.is_empty() && four.pushed_out(spare.place).is_none());
    end(&mut four, &granted);
    let granted = software(&mut four, "main", &rungs(4)).unwrap();
    assert_eq!((granted.over, granted.pushed_out), (None, vec!["spare".to_owned()]), "here it does help");
}

#[test]
fn the_loss_of_the_largest_device_is_provided_for_with_faster_presets_where_that_suffices() {
    let mut eight = machine(6, &[Some(8), Some(8)], Admission::Strict);
    let prefer = |machine: &mut Machine, name: &str| ask(machine, name, DevicePolicy::Prefer, Priority::Main, &rungs(4));
    let fallback =
        |machine: &Machine, name: &str| machine.report().channels.iter().find(|row| row.channel == name).unwrap().fallback.clone();
    let leases = ["a", "b", "c"].map(|name| prefer(&mut eight, name).unwrap());
    assert_eq!(fallback(&eight, "a").unwrap().preset, None);
    assert_eq!(fallback(&eight, "b").unwrap().preset, None, "it is on the other device, and one of both is lost at a time");
    assert!(fallback(&eight, "c").unwrap().preset.is_some(), "{:?}", eight.report());
    let refusal = (0..8).find_map(|n| prefer(&mut eight, &format!("more{n}")).err()).unwrap();
    assert_eq!(refusal.label(), "cores", "the sessions are given away, and the cores are kept for those who have them");
    assert_eq!(leases.iter().filter(|lease| lease.ticket.is_some()).count(), 3);
}

#[test]
fn a_channel_of_a_lost_device_gets_what_was_kept_and_goes_back_to_a_device_when_it_can() {
    let mut machine = machine(8, &[Some(8)], Admission::Strict);
    let lease = ask(&mut machine, "a", DevicePolicy::Prefer, Priority::Main, &rungs(4)).unwrap();
    machine.devices_mut().lost(lease.ticket.unwrap(), "gone", Mono(1));
    assert!(software(&mut machine, "newcomer", &rungs(8)).is_err(), "what is kept is not for others");
    let fallen = ask(&mut machine, "a", DevicePolicy::Prefer, Priority::Main, &rungs(4)).unwrap();
    end(&mut machine, &lease);
    assert_eq!((fallen.seat.clone(), fallen.preset, fallen.over.clone()), (Seat::Software, None, None));
    let well = machine.devices().report().clone();
    machine.devices_mut().begin_probe(Mono(1));
    machine.devices_mut().probed(Ok(&well), Mono(2));
    let back = ask(&mut machine, "a", DevicePolicy::Prefer, Priority::Main, &rungs(4)).unwrap();
    end(&mut machine, &fallen);
    assert!(back.ticket.is_some() && machine.report().channels[0].fallback.is_some());
}

#[test]
fn a_channel_whose_fallback_has_no_room_is_refused_or_let_in_without_one() {
    let strict = ask(&mut machine(2, &[Some(8)], Admission::Strict), "a", DevicePolicy::Prefer, Priority::Main, &rungs(8)).unwrap_err();
    assert_eq!(strict.label(), "fallback");
    let mut two = machine(2, &[Some(8)], Admission::Warn);
    let warned = ask(&mut two, "a", DevicePolicy::Prefer, Priority::Main, &rungs(8)).unwrap();
    assert!(warned.ticket.is_some() && warned.unprotected.is_some() && warned.over.is_none());
    assert!(two.report().channels[0].reason.starts_with("no seat is kept for the loss of its device: needs "));
    for policy in [DevicePolicy::Require, DevicePolicy::Prefer] {
        let priority = if policy == DevicePolicy::Prefer { Priority::BestEffort } else { Priority::Main };
        assert!(ask(&mut machine(2, &[Some(8)], Admission::Strict), "a", policy, priority, &rungs(8)).is_ok(), "it needs no second seat");
    }
}

#[test]
fn software_keeps_its_presets_over_restarts() {
    let mut two = machine(2, &[Some(0)], Admission::Strict);
    let first = ask(&mut two, "a", DevicePolicy::Prefer, Priority::Main, &rungs(3)).unwrap();
    assert_eq!(first.preset, Some("superfast"), "no device has room, and the whole ladder as it is does not fit");
    two.lend(&inventory(64, &[]), Admission::Strict);
    let second = ask(&mut two, "a", DevicePolicy::Prefer, Priority::Main, &rungs(3)).unwrap();
    assert_eq!(second.preset, first.preset);
    let mut plain = machine(2, &[], Admission::Strict);
    assert!(
        ask(&mut plain, "a", DevicePolicy::Prefer, Priority::Main, &rungs(3)).is_err(),
        "without devices the ladder is what was asked for"
    );
}

#[test]
fn gpus_are_balanced_by_what_they_were_measured_to_do() {
    let mut inventory = inventory(64, &[None, None]);
    let rates = |n: usize, encoded| crate::media::calibration::GpuRates { uuid: inventory.nvidia.gpus[n].uuid.clone(), encoded };
    let software = crate::media::calibration::PixelRates { decoded: 1.0, scaled: 1.0, encoded: 1.0 };
    inventory.measured = Some(Measured { software, gpus: vec![rates(0, 1e9), rates(1, 3e9)] });
    let mut machine = Machine::of(&inventory, Admission::Strict);
    let seats: Vec<Seat> =
        (0..8).map(|n| ask(&mut machine, &format!("c{n}"), DevicePolicy::Require, Priority::Main, &rungs(2)).unwrap().seat).collect();
    let on_first = seats.iter().filter(|seat| matches!(seat, Seat::Cuda(seat) if seat.ordinal == 0)).count();
    assert_eq!(on_first, 2);
}

#[test]
fn what_is_foreseen_is_what_happens_and_holds_nothing() {
    let two = machine(2, &[], Admission::Strict);
    let wish = DeviceWish::default();
    let ladder = rungs(4);
    let need = Need { wish: &wish, source: None, rungs: &ladder, avoid: &[], load: Load::default() };
    assert_eq!(two.foreseen("a", &need, &[]).map(|refusal| refusal.label()), Some("cores"));
    assert!(two.report().channels.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Seat { channel: usize, policy: DevicePolicy, priority: Priority, rungs: usize },
    End(usize),
    Lose(usize),
    Probe(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let policy = prop_oneof![Just(DevicePolicy::Prefer), Just(DevicePolicy::Require), Just(DevicePolicy::Software)];
    let priority = prop_oneof![2 => Just(Priority::Main), 1 => Just(Priority::BestEffort)];
    prop_oneof![
        8 => (0usize..6, policy, priority, 1usize..5).prop_map(|(channel, policy, priority, rungs)| Step::Seat { channel, policy, priority, rungs }),
        4 => (0usize..12).prop_map(Step::End),
        1 => (0usize..12).prop_map(Step::Lose),
        1 => any::<bool>().prop_map(Step::Probe),
    ]
}

/// What workers that have begun really have: cores and memory, of each channel that of the larger worker while two are there, and sessions by
/// device, where a worker on the same device ends before the next one of its channel begins.
fn at_work(machine: &Machine, leases: &[(String, Granted)], begun: &BTreeSet<Place>) -> (Amount, BTreeMap<usize, u32>) {
    let (mut amounts, mut sessions) = (BTreeMap::<&str, Amount>::new(), BTreeMap::<(&str, u32), u32>::new());
    for (name, lease) in leases {
        let is_begun = begun.contains(&lease.place);
        let Some(hold) = machine.pool.hold(lease.place).filter(|_| is_begun) else { continue };
        let amount = amounts.entry(name).or_default();
        *amount = amount.most(hold.amount);
        if let (Seat::Cuda(seat), Some(row)) = (&lease.seat, machine.seated.get(&lease.place)) {
            sessions.insert((name, seat.ordinal), row.sessions);
        }
    }
    let mut by_device = BTreeMap::new();
    sessions.into_iter().for_each(|((_, gpu), count)| *by_device.entry(gpu as usize).or_default() += count);
    (amounts.into_values().fold(Amount::default(), |sum, amount| sum + amount), by_device)
}

proptest! {
    #[test]
    fn no_order_of_events_admits_more_than_there_is(
        cores in 1usize..12,
        memory_mib in 600u64..4096,
        limits in proptest::collection::vec(proptest::option::of(0u32..9), 0..4),
        is_strict in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..80)
    ) {
        let memory = memory_mib << 20;
        let inventory = Inventory { memory_bytes: memory, ..inventory(cores, &limits) };
        let admission = if is_strict { Admission::Strict } else { Admission::Warn };
        let mut machine = Machine::of(&inventory, admission);
        let lent = machine.pool.lent();
        let mut leases: Vec<(String, Granted)> = Vec::new();
        // Places whose workers have begun.
        let mut begun: BTreeSet<Place> = BTreeSet::new();
        // Places whose workers were ended for another one of the channel on the same device.
        let mut ended: BTreeSet<Place> = BTreeSet::new();
        // Whether somebody lives on what is kept for the loss of a device, so that less than that is kept for the others.
        let mut has_fallen = false;
        for (n, step) in steps.into_iter().enumerate() {
            let now = Mono(n as u64 * 700_000_000);
            match step {
                Step::Seat { channel, policy, priority, rungs: count } => {
                    let name = format!("c{channel}");
                    let had_device = machine.tickets_of(&name).next().is_some();
                    let held = (machine.pool.used(&[]), machine.seated.len());
                    // The worker of a channel that was pushed out has ended before the channel asks again.
                    let out: Vec<usize> = (0..leases.len()).rev().filter(|at| leases[*at].0 == name && machine.pushed_out(leases[*at].1.place).is_some()).collect();
                    out.into_iter().for_each(|at| { let (_, lease) = leases.remove(at); end(&mut machine, &lease); });
                    match ask(&mut machine, &name, policy, priority, &rungs(count)) {
                        Ok(granted) => {
                            prop_assert!(policy != DevicePolicy::Require || granted.seat != Seat::Software);
                            prop_assert!(policy != DevicePolicy::Software || granted.seat == Seat::Software);
                            prop_assert!(priority == Priority::Main || (granted.over.is_none() && granted.pushed_out.is_empty()));
                            prop_assert!(!is_strict || granted.over.is_none());
                            has_fallen |= had_device && granted.seat == Seat::Software;
                            // A seat that was still waited for is given up for the new one.
                            let waiting = |lease: &(String, Granted)| lease.0 == name && !begun.contains(&lease.1.place);
                            leases.extract_if(.., |lease| waiting(lease)).collect::<Vec<_>>().iter().for_each(|(_, lease)| end(&mut machine, lease));
                            if granted.follows {
                                ended.extend(leases.iter().filter(|(earlier, _)| *earlier == name).map(|(_, lease)| lease.place));
                            }
                            leases.push((name, granted));
                        }
                        Err(_) => prop_assert!(machine.pool.used(&[]).fits(held.0), "a refusal takes nothing"),
                    }
                }
                Step::End(at) => {
                    if at < leases.len() {
                        let (_, lease) = leases.remove(at);
                        end(&mut machine, &lease);
                    }
                }
                Step::Lose(at) => {
                    if let Some(ticket) = leases.get(at).and_then(|(_, lease)| lease.ticket) {
                        machine.devices_mut().lost(ticket, "lost", now);
                    }
                }
                Step::Probe(is_well) => {
                    machine.devices_mut().begin_probe(now);
                    let report = machine.devices().report().clone();
                    machine.devices_mut().probed(if is_well { Ok(&report) } else { Err("no answer") }, now);
                }
            }
            begun.extend(leases.iter().map(|(_, lease)| lease.place).filter(|place| machine.is_clear(*place)));
            begun.retain(|place| !ended.contains(place));
            let (at_work, sessions) = at_work(&machine, &leases, &begun);
            for (n, report) in machine.devices.report().gpus.iter().enumerate() {
                prop_assert!(sessions.get(&n).copied().unwrap_or(0) <= report.most_sessions.unwrap_or(u32::MAX), "{sessions:?}");
            }
            prop_assert!(!is_strict || has_fallen || at_work.fits(lent), "{at_work} of {lent}");
            let (used, kept) = (machine.pool.used(&[]), machine.pool.kept(&[], None));
            if is_strict {
                prop_assert!(used.fits(lent), "{used} of {lent}");
                prop_assert!(has_fallen || (used + kept).fits(lent), "{used} and {kept} of {lent}");
            }
            // Who was pushed out while it waited itself has nothing, and counts all the same until it has given its seat up.
            let counts_for_nothing = leases.iter().any(|(_, lease)| !begun.contains(&lease.place) && machine.pushed_out(lease.place).is_some());
            for (report, _, _, _, usage) in machine.devices.each().filter(|_| !counts_for_nothing) {
                prop_assert!(usage.sessions <= report.most_sessions.unwrap_or(u32::MAX) && usage.bytes <= lendable_bytes(report), "{usage:?}");
            }
            let report = machine.report();
            let shown: f64 = report.channels.iter().filter(|row| row.seat.is_some()).map(|row| row.cores).sum();
            prop_assert!(shown <= report.cores.used + 1e-9, "{report:?}");
        }
        leases.into_iter().for_each(|(_, lease)| end(&mut machine, &lease));
        prop_assert_eq!((machine.pool.used(&[]), machine.pool.kept(&[], None)), (Amount::default(), Amount::default()));
        prop_assert!(machine.seated.is_empty() && machine.devices.each().all(|gpu| gpu.4 == Usage::default()), "everything comes back");
    }
}
