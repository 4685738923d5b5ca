use super::*;
use proptest::prelude::*;

fn cores(text: &str) -> Cores {
    text.parse().unwrap()
}

/// A machine with one node and no hyperthreads.
fn plain(count: u16) -> Topology {
    Topology { allowed: (0..count).collect(), quota: count.into(), ..Topology::default() }
}

fn lists(map: &PinningMap) -> [String; 4] {
    [&map.ingest, &map.packaging, &map.edge, &map.workers].map(|place| place.cores.to_string())
}

#[test]
fn two_cores_are_shared_and_the_encoders_give_way_most() {
    let map = PinningMap::of(&plain(2), &PinningWish::default());
    assert_eq!((map.mode, map.pins()), (Mode::Niceness, false));
    assert_eq!(lists(&map), ["0-1"; 4]);
    assert_eq!([&map.ingest, &map.packaging, &map.edge, &map.workers].map(|place| place.nicer), [0, 1, 3, 5]);
}

#[test]
fn four_cores_leave_two_for_the_workers() {
    let map = PinningMap::of(&plain(4), &PinningWish::default());
    assert_eq!(lists(&map), ["0", "0", "1", "2-3"]);
    assert_eq!([&map.ingest, &map.packaging, &map.edge, &map.workers].map(|place| place.nicer), [0, 1, 0, 0]);
}

#[test]
fn a_large_machine_gives_the_front_more() {
    assert_eq!(lists(&PinningMap::of(&plain(8), &PinningWish::default())), ["0", "1", "2", "3-7"]);
    assert_eq!(lists(&PinningMap::of(&plain(64), &PinningWish::default())), ["0-3", "4-7", "8-15", "16-63"]);
}

#[test]
fn a_quota_of_two_cores_on_many_is_a_small_machine() {
    let machine = Topology { quota: 2, ..plain(64) };
    assert_eq!(PinningMap::of(&machine, &PinningWish::default()).mode, Mode::Niceness);
}

#[test]
fn the_front_stays_away_from_the_gpu_and_takes_whole_physical_cores() {
    let machine = Topology {
        nodes: vec![
            Node { number: 0, cores: cores("0-7,16-23"), has_gpu: true },
            Node { number: 1, cores: cores("8-15,24-31"), has_gpu: false },
        ],
        siblings: (0..16).map(|core| [core, core + 16].into_iter().collect()).collect(),
        ..plain(32)
    };
    let map = PinningMap::of(&machine, &PinningWish::default());
    assert_eq!(lists(&map), ["8,24", "9,25", "10-11,26-27", "0-7,12-23,28-31"]);
    assert_eq!(map.worker_nodes, [(0, cores("0-7,16-23")), (1, cores("12-15,28-31"))]);
    assert_eq!(map.workers_near(1).to_string(), "12-15,28-31");
    assert_eq!(map.workers_near(7), &map.workers.cores);
}

#[test]
fn what_the_operator_names_is_kept_and_the_rest_is_chosen_from_what_is_left() {
    let wish = PinningWish { workers: Some(cores("4-7")), ingest: Some(cores("2")), ..PinningWish::default() };
    assert_eq!(lists(&PinningMap::of(&plain(8), &wish)), ["2", "0", "1", "4-7"]);
    let small = PinningWish { ingest: Some(cores("0")), ..PinningWish::default() };
    let map = PinningMap::of(&plain(2), &small);
    assert_eq!(lists(&map), ["0", "1", "1", "1"]);
    assert_eq!([&map.ingest, &map.packaging, &map.edge, &map.workers].map(|place| place.nicer), [0, 0, 3, 5]);
}

#[test]
fn cores_that_are_not_there_are_said_and_not_used() {
    let wish = PinningWish { edge: Some(cores("1,9")), workers: Some(cores("12-15")), ..PinningWish::default() };
    let map = PinningMap::of(&plain(8), &wish);
    assert_eq!(lists(&map), ["0", "2", "1", "3-7"]);
    assert_eq!(map.unmet.len(), 2);
    assert!(map.unmet[0].starts_with("machine.edge names cores 9,") && map.unmet[0].ends_with("1 are used"), "{:?}", map.unmet);
    assert!(map.unmet[1].contains("12-15") && map.unmet[1].ends_with("cores are chosen instead"), "{:?}", map.unmet);
}

#[test]
fn off_is_off() {
    let wish = PinningWish { off: true, ingest: Some(cores("0")), ..PinningWish::default() };
    let map = PinningMap::of(&plain(16), &wish);
    assert_eq!((map.mode, lists(&map), map.workers.nicer), (Mode::Off, ["0-15"; 4].map(str::to_owned), 0));
}

fn some_cores() -> impl Strategy<Value = Cores> {
    proptest::collection::btree_set(0u16..96, 1..64).prop_map(|cores| cores.into_iter().collect())
}

fn machines() -> impl Strategy<Value = Topology> {
    (some_cores(), 1usize..80, 0u16..5, any::<u8>(), any::<bool>()).prop_map(|(allowed, quota, nodes, gpus, smt)| {
        let node = |number: u16| Node {
            number: number.into(),
            cores: (0..96).filter(|core| core % nodes == number).collect(),
            has_gpu: gpus >> number & 1 == 1,
        };
        let siblings = (0..48).filter(|_| smt).map(|core| [core, core + 48].into_iter().collect()).collect();
        Topology { allowed, quota, nodes: (0..nodes).map(node).collect(), siblings }
    })
}

fn wishes() -> impl Strategy<Value = PinningWish> {
    let list = || proptest::option::weighted(0.3, some_cores());
    (proptest::bool::weighted(0.1), list(), list(), list(), list()).prop_map(|(off, ingest, packaging, edge, workers)| PinningWish {
        off,
        ingest,
        packaging,
        edge,
        workers,
    })
}

proptest! {
    #[test]
    fn everybody_has_cores_and_nobody_one_that_is_not_allowed(machine in machines(), wish in wishes()) {
        let map = PinningMap::of(&machine, &wish);
        for place in [&map.ingest, &map.packaging, &map.edge, &map.workers] {
            prop_assert!(!place.cores.is_empty());
            prop_assert!(place.cores.without(&machine.allowed).is_empty());
        }
        prop_assert_eq!(map.ingest.nicer, 0);
        let united = map.worker_nodes.iter().fold(Cores::default(), |all, (_, cores)| all.and(cores));
        let is_whole = machine.nodes.is_empty() || united == map.workers.cores;
        prop_assert!(is_whole && map.worker_nodes.iter().all(|(_, cores)| !cores.is_empty()));
    }

    #[test]
    fn from_four_cores_up_nobody_shares_with_ingest_but_packaging_on_small_machines(machine in machines()) {
        let map = PinningMap::of(&machine, &PinningWish::default());
        let size = machine.allowed.count().min(machine.quota);
        prop_assert_eq!(map.pins(), size >= FEWEST_PINNED);
        if size >= FEWEST_PINNED {
            prop_assert!(map.ingest.cores.is_apart_from(&map.edge.cores) && map.ingest.cores.is_apart_from(&map.workers.cores));
            prop_assert!(map.edge.cores.is_apart_from(&map.workers.cores) && map.packaging.cores.is_apart_from(&map.workers.cores));
            prop_assert!(map.packaging.cores.is_apart_from(&map.edge.cores));
            prop_assert_eq!(map.packaging.cores.is_apart_from(&map.ingest.cores), size >= FEWEST_FOR_PACKAGING);
            prop_assert!(map.workers.cores.count() * 2 >= machine.allowed.count(), "the workers have most of the machine");
        }
    }

    #[test]
    fn what_is_named_and_there_is_given(machine in machines(), wish in wishes()) {
        let map = PinningMap::of(&machine, &wish);
        for (named, place) in [(&wish.ingest, &map.ingest), (&wish.packaging, &map.packaging), (&wish.edge, &map.edge), (&wish.workers, &map.workers)] {
            if let Some(named) = named.as_ref().map(|named| named.within(&machine.allowed)).filter(|named| !named.is_empty() && !wish.off) {
                prop_assert_eq!(&place.cores, &named);
            }
        }
    }
}
