use super::*;
use proptest::prelude::*;

/// As i915 and amdgpu have it.
const I915: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t284\ndrm-driver:\ti915\ndrm-client-id:\t39\ndrm-pdev:\t0000:00:02.0\n\
    drm-total-system0:\t6044 KiB\ndrm-shared-system0:\t0\ndrm-resident-system0:\t6044 KiB\ndrm-engine-render:\t346249 ns\n\
    drm-engine-copy:\t0 ns\ndrm-engine-video:\t2000000000 ns\ndrm-engine-capacity-video:\t2\ndrm-engine-video-enhance:\t0 ns\n";
/// As xe has it.
const XE: &str = "pos:\t0\nflags:\t0100002\nino:\t685\ndrm-driver:\txe\ndrm-client-id:\t3\ndrm-pdev:\t0000:03:00.0\ndrm-total-vram0:\t23992 KiB\n\
    drm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225\ndrm-cycles-vcs:\t0\ndrm-total-cycles-vcs:\t7655183225\n\
    drm-engine-capacity-vcs:\t2\n";

fn at(seconds: u64) -> Mono {
    Mono::default().after(Duration::from_secs(seconds))
}

fn of(worked: &[Worked], engine: &str) -> (f64, u64) {
    let found = worked.iter().find(|worked| worked.place.engine == engine).unwrap();
    (found.busy_s, found.capacity)
}

#[test]
fn nanoseconds_of_a_client_become_seconds_once_for_all_its_descriptors() {
    let before = client(I915).unwrap();
    assert_eq!((&*before.driver, &*before.pdev, before.id, before.engines.len()), ("i915", "0000:00:02.0", 39, 4));
    let mut ledger = Ledger::default();
    let worked = ledger.look(&[before.clone(), before.clone()], at(0));
    assert_eq!(of(&worked, "video"), (2.0, 2), "a copy of the descriptor is the same client");
    assert_eq!(of(&worked, "video-enhance"), (0.0, 1));
    let later = client(&I915.replace("2000000000 ns", "3500000000 ns")).unwrap();
    let other = Client { id: 40, ..later.clone() };
    assert_eq!(of(&ledger.look(&[later, other], at(2)), "video").0, 1.5 + 3.5, "another client is counted beside it");
}

#[test]
fn cycles_of_a_client_become_a_part_of_the_time_that_went_by() {
    let mut ledger = Ledger::default();
    assert_eq!(of(&ledger.look(&[client(XE).unwrap()], at(0)), "rcs"), (0.0, 1), "it is not known since when");
    let later = XE.replace("28257900", "128257900").replace("rcs:\t7655183225", "rcs:\t7855183225");
    let worked = ledger.look(&[client(&later).unwrap()], at(2));
    assert_eq!(of(&worked, "rcs"), (1.0, 1), "half of two seconds");
    assert_eq!(of(&worked, "vcs"), (0.0, 2));
}

#[test]
fn a_counter_that_falls_back_for_a_moment_is_not_counted_twice() {
    let mut ledger = Ledger::default();
    let high = client(I915).unwrap();
    let low = client(&I915.replace("2000000000 ns", "1000000000 ns")).unwrap();
    ledger.look(std::slice::from_ref(&high), at(0));
    assert_eq!(of(&ledger.look(&[low], at(2)), "video").0, 0.0);
    assert_eq!(of(&ledger.look(&[high], at(4)), "video").0, 0.0);
}

#[test]
fn a_file_about_something_else_is_no_client() {
    for text in [
        "",
        "pos:\t0\nflags:\t02\n",
        "drm-driver:\tast\n",
        "drm-driver:\tnvidia-drm\ndrm-client-id:\t4\n",
        "drm-driver:\ta b\ndrm-client-id:\t1\ndrm-engine-x:\t1 ns\n",
    ] {
        assert_eq!(client(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn time_never_runs_backwards_whatever_the_counters_do(
        looks in proptest::collection::vec(proptest::collection::vec((0u64..4, any::<u64>(), any::<u64>(), any::<bool>()), 0..5), 0..12),
    ) {
        let mut ledger = Ledger::default();
        for (second, clients) in looks.into_iter().enumerate() {
            let client = |(id, one, other, is_time): (u64, u64, u64, bool)| Client {
                driver: "xe".into(), pdev: String::new(), id,
                engines: BTreeMap::from([("vcs".to_owned(), match is_time {
                    true => Engine { busy_ns: Some(one), ..Engine::default() },
                    false => Engine { cycles: Some(one), total_cycles: Some(other), ..Engine::default() },
                })]),
            };
            let clients: Vec<Client> = clients.into_iter().map(client).collect();
            for worked in ledger.look(&clients, at(second as u64)) {
                prop_assert!(worked.busy_s >= 0.0 && worked.busy_s.is_finite());
            }
        }
    }

    #[test]
    fn noise_is_no_client_or_a_bounded_one(text in "(drm-(driver|client-id|engine-|cycles-|total-cycles-)?[a-z0-9:-]{0,8}[: \t0-9a-z]{0,12}\n){0,40}") {
        if let Some(client) = client(&text) {
            prop_assert!(client.engines.len() <= MOST_ENGINES);
        }
    }
}
