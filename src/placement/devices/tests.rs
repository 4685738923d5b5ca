//! What may never happen, whatever is asked in whatever order.

use proptest::prelude::*;

use super::*;
use crate::media::Rung;
use crate::media::device::{DecodeAbility, EncodeAbility, EncoderState};

pub(crate) fn gpu(ordinal: u32, verdict: Verdict, most_sessions: Option<u32>, free_mib: u64) -> GpuReport {
    let (max_width, max_height) = (4096, 4096);
    let encode = |codec| EncodeAbility { codec, ten_bit: true, max_width, max_height, b_pictures: 2, look_ahead: true };
    GpuReport {
        ordinal,
        uuid: format!("GPU-{ordinal:08}"),
        name: "NVIDIA L4".into(),
        pci: String::new(),
        numa_node: None,
        compute: (8, 9),
        memory_bytes: free_mib << 20,
        free_bytes: free_mib << 20,
        context_bytes: 300 << 20,
        verdict,
        reason: if verdict == Verdict::Full { String::new() } else { "no encoder".into() },
        encoder: if verdict == Verdict::Full { EncoderState::Ready } else { EncoderState::Absent },
        decodes: vec![DecodeAbility { codec: VideoCodec::H264, bits: 8, max_width, max_height }],
        encodes: if verdict == Verdict::Full { vec![encode(VideoCodec::H264), encode(VideoCodec::Hevc)] } else { Vec::new() },
        most_sessions,
        tried_sessions: 16,
    }
}

pub(crate) fn devices(gpus: Vec<GpuReport>) -> Devices {
    Devices::new(DeviceReport { gpus, ..DeviceReport::default() })
}

fn rungs(count: usize) -> Vec<Rung> {
    (0..count).map(|n| Rung::new(&format!("r{n}"), 1280 - 128 * n as u32, 720 - 72 * n as u32, 1_000_000, "veryfast")).collect()
}

fn wish(policy: DevicePolicy) -> DeviceWish {
    DeviceWish { policy, gpu: GpuChoice::Any }
}

fn asked(devices: &mut Devices, policy: DevicePolicy, count: usize) -> Result<Granted, Refusal> {
    let (wish, rungs) = (wish(policy), rungs(count));
    devices.seat("news", &Need { wish: &wish, source: None, rungs: &rungs, avoid: &[], load: Load::default() }, &[])
}

fn ordinal(granted: &Granted) -> Option<u32> {
    match &granted.seat {
        Seat::Software => None,
        Seat::Cuda(seat) => Some(seat.ordinal),
    }
}

#[test]
fn without_a_device_prefer_runs_in_software_and_require_does_not_run() {
    let mut none = devices(Vec::new());
    assert_eq!(asked(&mut none, DevicePolicy::Prefer, 4).unwrap().seat, Seat::Software);
    let refusal = asked(&mut none, DevicePolicy::Require, 4).unwrap_err();
    assert_eq!(refusal.to_string(), "no device has room, and device = \"require\" allows no other seat: there is none");
}

#[test]
fn a_ladder_of_four_gets_four_sessions_or_none() {
    let mut geforce = devices(vec![gpu(0, Verdict::Full, Some(5), 8192)]);
    assert_eq!(ordinal(&asked(&mut geforce, DevicePolicy::Prefer, 4).unwrap()), Some(0));
    let second = asked(&mut geforce, DevicePolicy::Prefer, 2).unwrap();
    assert_eq!(second.seat, Seat::Software);
    assert_eq!(listed(&second.passed), "nvidia 0 NVIDIA L4 1 encode sessions are free, and the ladder takes 2");
    assert_eq!(ordinal(&asked(&mut geforce, DevicePolicy::Require, 1).unwrap()), Some(0));
}

#[test]
fn seats_go_to_the_device_with_the_least_to_do_and_to_one_that_encodes_first() {
    let mut three =
        devices(vec![gpu(0, Verdict::Hybrid, None, 8192), gpu(1, Verdict::Full, Some(4), 8192), gpu(2, Verdict::Full, Some(4), 8192)]);
    let places: Vec<Option<u32>> = (0..4).map(|_| ordinal(&asked(&mut three, DevicePolicy::Prefer, 3).unwrap())).collect();
    assert_eq!(places, [Some(1), Some(2), Some(0), Some(0)]);
}

#[test]
fn hevc_is_made_by_a_device_that_encodes_or_refused_with_the_remedy() {
    let hevc = vec![Rung { codec: VideoCodec::Hevc, ..rungs(1).remove(0) }];
    let prefer = wish(DevicePolicy::Prefer);
    let need = Need { wish: &prefer, source: None, rungs: &hevc, avoid: &[], load: Load::default() };
    let mut hybrid = devices(vec![gpu(0, Verdict::Hybrid, None, 8192)]);
    let text = hybrid.seat("news", &need, &[]).unwrap_err().to_string();
    assert!(text.starts_with("rung r0 is hevc, which software does not make") && text.ends_with("use codec = \"h264\""), "{text}");
    assert!(devices(vec![gpu(0, Verdict::Full, None, 8192)]).seat("news", &need, &[]).is_ok());
}

#[test]
fn a_replacement_takes_over_what_its_predecessor_held() {
    let mut geforce = devices(vec![gpu(0, Verdict::Full, Some(4), 8192)]);
    let first = asked(&mut geforce, DevicePolicy::Prefer, 4).unwrap().ticket.unwrap();
    let (prefer, four) = (wish(DevicePolicy::Prefer), rungs(4));
    let need = Need { wish: &prefer, source: None, rungs: &four, avoid: &[], load: Load::default() };
    let next = geforce.seat("news", &need, &[first]).unwrap();
    assert!(next.follows && ordinal(&next) == Some(0));
    geforce.give_back(first);
    assert_eq!(geforce.each().next().unwrap().4.sessions, 4, "the end of the predecessor frees nothing twice");
    geforce.give_back(next.ticket.unwrap());
    assert_eq!(geforce.each().next().unwrap().4, Usage::default());
}

#[test]
fn a_device_is_named_by_the_beginning_of_its_uuid_or_by_its_ordinal() {
    for (choice, expected) in
        [(GpuChoice::Uuid("gpu-00000001".into()), Some(1)), (GpuChoice::Ordinal(0), Some(0)), (GpuChoice::Ordinal(7), None)]
    {
        let mut two = devices(vec![gpu(0, Verdict::Full, None, 8192), gpu(1, Verdict::Full, None, 8192)]);
        let (wish, one) = (DeviceWish { policy: DevicePolicy::Prefer, gpu: choice }, rungs(1));
        let granted = two.seat("news", &Need { wish: &wish, source: None, rungs: &one, avoid: &[], load: Load::default() }, &[]).unwrap();
        assert_eq!(ordinal(&granted), expected);
    }
}

#[test]
fn nobody_is_seated_on_a_device_that_is_suspected_and_all_are_told_when_it_is_condemned() {
    let mut one = devices(vec![gpu(0, Verdict::Full, None, 8192)]);
    let (first, second) = (asked(&mut one, DevicePolicy::Prefer, 1).unwrap(), asked(&mut one, DevicePolicy::Prefer, 1).unwrap());
    let change = one.lost(first.ticket.unwrap(), "ECC error", Mono(1)).unwrap();
    assert_eq!((change.state, change.reason.as_str()), (State::Suspected, "ECC error"));
    assert_eq!(asked(&mut one, DevicePolicy::Prefer, 1).unwrap().seat, Seat::Software);
    assert!(!one.is_condemned(second.ticket.unwrap()));
    assert!(one.begin_probe(Mono(2)) && !one.begin_probe(Mono(3)));
    let changes = one.probed(Err("killed after 15 s"), Mono(4));
    assert_eq!((changes.len(), changes[0].state, changes[0].reason.as_str()), (1, State::Condemned, "killed after 15 s"));
    assert!(one.is_condemned(second.ticket.unwrap()));
    let well = one.report().clone();
    assert!(one.begin_probe(Mono(2_000_000_000)));
    assert_eq!(one.probed(Ok(&well), Mono(2_000_000_000))[0].state, State::Healthy);
    assert_eq!(ordinal(&asked(&mut one, DevicePolicy::Prefer, 1).unwrap()), Some(0));
}

#[test]
fn a_device_that_the_driver_no_longer_lists_is_not_well() {
    let mut one = devices(vec![gpu(0, Verdict::Full, None, 8192)]);
    let ticket = asked(&mut one, DevicePolicy::Prefer, 1).unwrap().ticket.unwrap();
    one.lost(ticket, "gone", Mono(1));
    one.begin_probe(Mono(1));
    let changes = one.probed(Ok(&DeviceReport { absent: Some("no device".into()), ..DeviceReport::default() }), Mono(2));
    assert_eq!((changes[0].state, changes[0].reason.as_str()), (State::Condemned, "no device"));
}

/// A condemned GPU of this verdict, and what becomes of it when a probe finds `found`.
fn probed_again(verdict: Verdict, found: GpuReport) -> (State, String) {
    let mut one = devices(vec![gpu(0, verdict, None, 8192)]);
    let ticket = asked(&mut one, DevicePolicy::Prefer, 1).unwrap().ticket.unwrap();
    one.lost(ticket, "ECC error", Mono(1));
    one.begin_probe(Mono(1));
    let change = one.probed(Ok(&DeviceReport { gpus: vec![found], ..DeviceReport::default() }), Mono(2)).remove(0);
    (change.state, change.reason)
}

#[test]
fn a_gpu_that_fails_before_it_has_a_uuid_is_condemned_for_its_own_reason() {
    let found = GpuReport { uuid: String::new(), reason: "CUDA: cuDeviceGetUuid".into(), ..gpu(0, Verdict::None, None, 0) };
    assert_eq!(probed_again(Verdict::Full, found), (State::Condemned, "CUDA: cuDeviceGetUuid".into()));
}

#[test]
fn a_gpu_that_encoded_before_is_not_well_while_it_does_not_encode() {
    assert_eq!(probed_again(Verdict::Full, gpu(0, Verdict::Hybrid, None, 8192)), (State::Condemned, "no encoder".into()));
    assert_eq!(probed_again(Verdict::Hybrid, gpu(0, Verdict::Hybrid, None, 8192)).0, State::Healthy);
    let full_up = GpuReport { encoder: EncoderState::Busy, ..gpu(0, Verdict::Hybrid, Some(0), 8192) };
    assert_eq!(probed_again(Verdict::Full, full_up).0, State::Healthy, "its own channels hold all sessions");
    assert_eq!(probed_again(Verdict::Hybrid, gpu(0, Verdict::Full, None, 8192)).0, State::Healthy);
}

#[test]
fn gpus_that_come_up_after_a_failed_probe_are_found_and_seated() {
    let mut devices = Devices::unknown("the driver hangs".into());
    assert!(devices.has_driver() && devices.begin_probe(Mono(0)) && !devices.begin_probe(Mono(1)));
    devices.probed(Err("it still hangs"), Mono(1));
    assert_eq!(devices.report().absent.as_deref(), Some("it still hangs"));
    assert!(devices.begin_probe(Mono(2_000_000_000)) && !devices.begin_probe(Mono(3_000_000_000)), "waits grow");
    let found = DeviceReport { gpus: vec![gpu(0, Verdict::Full, None, 8192)], ..DeviceReport::default() };
    assert_eq!(devices.probed(Ok(&found), Mono(3_000_000_000))[0].state, State::Healthy);
    assert_eq!(devices.report().absent, None);
    assert_eq!(ordinal(&asked(&mut devices, DevicePolicy::Require, 4).unwrap()), Some(0));
    assert!(!devices.begin_probe(Mono(900_000_000_000)), "nothing is wanting any more");
}

#[test]
fn a_gpu_whose_encoder_others_held_is_probed_again_and_keeps_what_is_in_use() {
    let busy = GpuReport { most_sessions: Some(0), encoder: EncoderState::Busy, ..gpu(0, Verdict::Hybrid, None, 8192) };
    assert_eq!(devices(vec![busy.clone(), gpu(1, Verdict::Full, None, 8192)]).known(), ["GPU-00000001"]);
    let mut one = devices(vec![busy, gpu(1, Verdict::Full, None, 8192)]);
    asked(&mut one, DevicePolicy::Prefer, 1).unwrap();
    assert!(one.begin_probe(Mono(0)));
    let free = DeviceReport { gpus: vec![gpu(0, Verdict::Full, Some(3), 8192), gpu(1, Verdict::None, None, 0)], ..DeviceReport::default() };
    one.probed(Ok(&free), Mono(1));
    let seen: Vec<_> = one.each().map(|(report, _, since, _, used)| (report.verdict, since, used.sessions)).collect();
    assert_eq!(seen, [(Verdict::Full, Mono(1), 0), (Verdict::Full, Mono::default(), 1)]);
    assert!(!devices(vec![gpu(0, Verdict::Hybrid, None, 8192)]).begin_probe(Mono(0)), "no encoder comes up where there is none");
    assert!(!Devices::default().begin_probe(Mono(0)), "and no driver where none is installed");
}

#[derive(Clone, Debug)]
enum Step {
    Seat { policy: DevicePolicy, rungs: usize, replaces: bool },
    End(usize),
    Lose(usize),
    Probe(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let policy = prop_oneof![Just(DevicePolicy::Prefer), Just(DevicePolicy::Require), Just(DevicePolicy::Software)];
    prop_oneof![
        6 => (policy, 0usize..7, any::<bool>()).prop_map(|(policy, rungs, replaces)| Step::Seat { policy, rungs, replaces }),
        3 => (0usize..20).prop_map(Step::End),
        1 => (0usize..20).prop_map(Step::Lose),
        1 => any::<bool>().prop_map(Step::Probe),
    ]
}

proptest! {
    #[test]
    fn no_order_of_events_gives_away_more_than_there_is(
        limits in proptest::collection::vec((proptest::option::of(0u32..9), 0u64..8192, 0u8..3), 0..4),
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let gpus: Vec<GpuReport> = limits
            .iter()
            .enumerate()
            .map(|(n, (most, mib, kind))| gpu(n as u32, [Verdict::Full, Verdict::Hybrid, Verdict::None][usize::from(*kind)], *most, *mib))
            .collect();
        let mut devices = devices(gpus);
        let mut tickets: Vec<Ticket> = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            let now = Mono(n as u64 * 700_000_000);
            match step {
                Step::Seat { policy, rungs: count, replaces } => {
                    let before: Vec<Ticket> = tickets.last().copied().filter(|_| replaces).into_iter().collect();
                    let sessions = |devices: &Devices| devices.each().map(|gpu| gpu.4.sessions).sum::<u32>();
                    let (held, freed) = (sessions(&devices), before.first().and_then(|ticket| devices.held.get(ticket)).map_or(0, |held| held.demand.sessions));
                    let (wish, ladder) = (wish(policy), rungs(count));
                    let need = Need { wish: &wish, source: None, rungs: &ladder, avoid: &[], load: Load::default() };
                    match devices.seat("news", &need, &before) {
                        Ok(granted) => {
                            prop_assert!(policy != DevicePolicy::Require || granted.seat != Seat::Software);
                            prop_assert!(policy != DevicePolicy::Software || granted.seat == Seat::Software);
                            prop_assert_eq!(granted.ticket.is_some(), granted.seat != Seat::Software);
                            if let Seat::Cuda(seat) = &granted.seat {
                                let gained = if seat.encodes { count as u32 } else { 0 };
                                let given_up = if granted.follows { freed } else { 0 };
                                prop_assert_eq!(sessions(&devices), held - given_up + gained, "the whole ladder or none of it");
                            }
                            tickets.extend(granted.ticket);
                        }
                        Err(_) => prop_assert!(policy == DevicePolicy::Require && sessions(&devices) == held),
                    }
                }
                Step::End(at) => {
                    if at < tickets.len() {
                        devices.give_back(tickets.remove(at));
                    }
                }
                Step::Lose(at) => {
                    if let Some(ticket) = tickets.get(at) {
                        devices.lost(*ticket, "lost", now);
                    }
                }
                Step::Probe(is_well) => {
                    devices.begin_probe(now);
                    let report = devices.report().clone();
                    devices.probed(if is_well { Ok(&report) } else { Err("no answer") }, now);
                }
            }
            for (report, _, _, _, used) in devices.each() {
                prop_assert!(used.sessions <= report.most_sessions.unwrap_or(u32::MAX), "{used:?}");
                prop_assert!(used.bytes <= lendable_bytes(report), "{used:?}");
                prop_assert!(used.channels.is_empty() || report.verdict != Verdict::None);
            }
        }
        tickets.into_iter().for_each(|ticket| devices.give_back(ticket));
        prop_assert!(devices.each().all(|gpu| gpu.4 == Usage::default()), "everything comes back");
    }
}
