//! Rosters change while publishers come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::channel::plan::{FeedSource, Idle, LadderPlan};
use crate::channel::programme::tests::plan;
use crate::channel::recorder::FlightStore;
use crate::channel::seats::SeatDesk;
use crate::channel::sequence::SequenceStore;
use crate::channel::status::Board;
use crate::channel::worker_process::WorkerProgram;

const NAMES: [&str; 6] = ["steady", "a", "b", "c", "d", "e"];

fn copied(name: &str, key: &str) -> ChannelPlan {
    let key = StreamKey::new(key);
    ChannelPlan {
        name: name.into(),
        feeds: FeedPlan::publisher(&key),
        stream_key: key,
        ladder: LadderPlan::Copy,
        overload: Vec::new(),
        ..plan(Idle::Wait)
    }
}

struct Place {
    directory: Arc<Directory>,
    board: Board,
    shelves: Shelves,
    _folder: tempfile::TempDir,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (board, shelves) = (Board::default(), Shelves::default());
    let house = House {
        worker: WorkerProgram::at(PathBuf::from("/nowhere/headend-worker"), "text", "info"),
        board: board.clone(),
        sequences: SequenceStore::open(folder.path()).unwrap(),
        flights: FlightStore::open(folder.path()).unwrap(),
        cores: 2,
        seats: SeatDesk::default(),
    };
    let directory = Arc::new(Directory::new(house, shelves.clone(), Handle::current()));
    Place { directory, board, shelves, _folder: folder }
}

fn offer(key: &str) -> Offer {
    let peer = SocketAddr::from(([192, 0, 2, 1], 1_000));
    Offer { protocol: "rtmp", application: "live".into(), stream: key.into(), peer, wrap: Ticks::ZERO }
}

fn roster(channels: Vec<ChannelPlan>) -> Roster {
    Roster { channels, ..Roster::default() }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), waiting).await.is_ok(), "{what}");
}

/// Two hundred reloads against publishers that come and go: who is in every roster is never interrupted, who was removed is sent away,
/// nothing is left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_race_publishers_and_nothing_is_lost_or_left_over() {
    let place = place();
    let directory = &place.directory;
    let mut random = StdRng::seed_from_u64(7);
    directory.apply(roster(vec![copied("steady", "steady")]));
    let steady = directory.admit(&offer("steady")).expect("the key is right");
    let mut publishing: BTreeMap<String, Admission> = BTreeMap::new();
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..200 {
        wanted.clear();
        for name in NAMES.iter().skip(1) {
            if random.random_bool(0.6) {
                wanted.insert((*name).to_owned(), format!("{name}-{}", random.random_range(0..2)));
            }
        }
        let mut channels: Vec<ChannelPlan> = wanted.iter().map(|(name, key)| copied(name, key)).collect();
        let window = Ticks::from_millis(60_000 + round % 3 * 1_000);
        channels.push(ChannelPlan { window, ..copied("steady", if round % 2 == 0 { "steady" } else { "rotated" }) });
        directory.apply(roster(channels));
        for (name, key) in &wanted {
            if random.random_bool(0.5)
                && let Ok(admission) = directory.admit(&offer(key))
            {
                assert_eq!(admission.channel, *name);
                publishing.insert(name.clone(), admission);
            }
        }
        publishing.retain(|_, _| random.random_bool(0.7));
        if random.random_bool(0.3) {
            tokio::task::yield_now().await;
        }
        assert!(!steady.events.is_closed(), "round {round}: the publisher that is in every roster was interrupted");
    }
    for (_, admission) in publishing.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        until("a publisher of a removed channel is told", || admission.events.is_closed()).await;
    }
    let expected: BTreeSet<String> = wanted.keys().cloned().chain(["steady".to_owned()]).collect();
    let shelved: BTreeSet<String> = place.shelves.all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(shelved, expected);
    until("the board shows the last roster", || {
        place.board.all().iter().map(|status| status.name.clone()).collect::<BTreeSet<_>>() == expected
    })
    .await;
    until("nobody is still ending", || directory.state.lock(|state| state.ending.values().all(JoinHandle::is_finished))).await;
    directory.stop().await;
    assert!(place.board.all().is_empty() && steady.events.is_closed());
}

#[tokio::test]
async fn a_rotated_key_lets_new_publishers_in_and_leaves_the_present_one_alone() {
    let place = place();
    place.directory.apply(roster(vec![copied("news", "old")]));
    let present = place.directory.admit(&offer("old")).unwrap();
    place.directory.apply(roster(vec![copied("news", "new")]));
    assert!(matches!(place.directory.admit(&offer("old")), Err(Refusal::Key(_))));
    assert!(matches!(place.directory.admit(&offer("new")), Err(Refusal::Busy { .. })), "it is the same feed, and somebody is there");
    assert!(!present.events.is_closed());
    drop(present);
    assert!(place.directory.admit(&offer("new")).is_ok());
    place.directory.stop().await;
}

#[tokio::test]
async fn feeds_that_move_in_the_list_keep_their_publishers() {
    let feed = |name: &str| FeedPlan { name: name.into(), source: FeedSource::Publish(StreamKey::new(name)) };
    let with = |names: &[&str]| ChannelPlan {
        ladder: LadderPlan::Auto,
        feeds: names.iter().map(|name| feed(name)).collect(),
        ..copied("news", "main")
    };
    let place = place();
    place.directory.apply(roster(vec![with(&["main", "backup"])]));
    let (main, backup) = (place.directory.admit(&offer("main")).unwrap(), place.directory.admit(&offer("backup")).unwrap());
    place.directory.apply(roster(vec![with(&["studio", "backup", "main"])]));
    assert!(matches!(place.directory.admit(&offer("backup")), Err(Refusal::Busy { .. })));
    place.directory.apply(roster(vec![with(&["main"])]));
    until("the publisher of a removed feed is told", || backup.events.is_closed()).await;
    assert!(!main.events.is_closed(), "{}", main.ending.why());
    assert!(backup.ending.why().contains("removed"), "{}", backup.ending.why());
    place.directory.stop().await;
}

#[tokio::test]
async fn sources_that_are_fetched_keep_their_feeds_when_the_list_changes() {
    let feed = |name: &str| FeedPlan { name: name.into(), source: FeedSource::Pull("udp://239.1.1.1:5000".parse().unwrap()) };
    let with = |names: &[&str]| ChannelPlan {
        ladder: LadderPlan::Auto,
        feeds: names.iter().map(|name| feed(name)).collect(),
        second_publisher: SecondPublisher::Replace,
        ..copied("news", "main")
    };
    let place = place();
    let directory = &place.directory;
    let calling = |feed: &str| directory.admit(&offer(&directory.pull_key("news", feed)));
    let fetching = |feed: &str| directory.admit_pulled("news", feed, SocketAddr::from(([192, 0, 2, 1], 1_000)), Ticks::ZERO);
    directory.apply(roster(vec![with(&["one", "two", "three"])]));
    assert_eq!(calling("two").map(|admission| admission.feed).ok(), Some("two".to_owned()));
    directory.apply(roster(vec![with(&["three", "two"])]));
    assert_eq!(calling("two").map(|admission| admission.feed).ok(), Some("two".to_owned()));
    assert_eq!(fetching("three").map(|admission| admission.feed).ok(), Some("three".to_owned()));
    for refused in [calling("one"), fetching("one")] {
        let refused = refused.expect_err("it is fetched no more").to_string();
        assert!(refused.contains("no longer fetches feed one") && !refused.contains('/'), "{refused}");
    }
    directory.stop().await;
}

/// A wildcard's channel that has lingered out is an entry without a life until somebody comes by.
#[tokio::test]
async fn a_channel_whose_life_is_over_is_started_by_a_roster_and_by_hand() {
    let place = place();
    let directory = &place.directory;
    let over = |name: &str, wild: bool| {
        let mut entries = directory.entries();
        let entry = entries.get_mut(name).expect("it is there");
        entry.stop.send_replace(true);
        entry.wild = wild.then(|| "live-".to_owned());
    };
    let is_over = |name: &str| directory.entries().get(name).is_some_and(|entry| entry.task.is_finished());
    directory.apply(roster(vec![copied("live-1", "key"), copied("news", "other")]));
    over("live-1", true);
    until("its life is over", || is_over("live-1")).await;
    directory.apply(roster(vec![copied("live-1", "key"), copied("news", "other")]));
    assert!(directory.admit(&offer("key")).is_ok() && place.shelves.find("live-1").is_some(), "started by the roster");
    over("news", false);
    until("its life is over", || is_over("news")).await;
    assert_eq!(directory.resume("news"), Ok(()));
    assert!(directory.admit(&offer("other")).is_ok(), "started by hand");
    directory.stop().await;
}

#[tokio::test]
async fn a_stopped_channel_refuses_and_a_started_one_lets_in_and_both_may_be_asked_twice() {
    let place = place();
    place.directory.apply(roster(vec![copied("news", "key")]));
    let before = place.directory.admit(&offer("key")).unwrap();
    for _ in 0..2 {
        assert_eq!(place.directory.halt("news"), Ok(()));
    }
    until("its publisher is sent away", || before.events.is_closed()).await;
    let refusal = place.directory.admit(&offer("key")).expect_err("it is stopped");
    assert!(refusal.to_string().contains("is stopped"), "{refusal}");
    // A reload that still wants it stopped leaves it so.
    place.directory.apply(Roster { stopped: BTreeSet::from(["news".to_owned()]), ..roster(vec![copied("news", "key")]) });
    assert!(place.directory.halted().contains("news") && place.shelves.find("news").is_none());
    for _ in 0..2 {
        assert_eq!(place.directory.resume("news"), Ok(()));
    }
    assert!(place.directory.admit(&offer("key")).is_ok());
    assert_eq!((place.directory.halt("other"), place.directory.resume("other")), (Err(Unknown), Err(Unknown)));
    place.directory.stop().await;
}

#[tokio::test]
async fn a_wildcards_channels_follow_it_and_go_with_it() {
    let place = place();
    let wildcard = |most| Wildcard { prefix: "live-".into(), template: copied("", ""), most };
    let with = |wildcards| Roster { wildcards, ..roster(vec![copied("news", "key")]) };
    place.directory.apply(with(vec![wildcard(1)]));
    let one = place.directory.admit(&offer("live-1")).unwrap();
    assert!(matches!(place.directory.admit(&offer("live-2")), Err(Refusal::Full(1))));
    place.directory.apply(with(vec![wildcard(2)]));
    assert!(place.directory.admit(&offer("live-2")).is_ok() && !one.events.is_closed());
    place.directory.apply(with(Vec::new()));
    until("its channels end", || one.events.is_closed()).await;
    assert!(matches!(place.directory.admit(&offer("live-1")), Err(Refusal::Key(_))));
    place.directory.stop().await;
}

/// Whether a publisher was asked to leave by now.
async fn is_asked_to_leave(admission: &Admission) -> bool {
    tokio::time::timeout(Duration::ZERO, admission.ending.is_asked_to_leave()).await.is_ok()
}

#[tokio::test]
async fn a_drained_channel_keeps_its_publisher_and_lets_nobody_new_in() {
    let place = place();
    let directory = &place.directory;
    directory.apply(roster(vec![copied("news", "key"), copied("other", "other")]));
    let present = directory.admit(&offer("key")).unwrap();
    assert!(!is_asked_to_leave(&present).await);
    let first = directory.drain("news").unwrap().expect("it begins");
    assert_eq!(directory.drain("news"), Ok(None), "asking twice changes nothing");
    assert!(is_asked_to_leave(&present).await && !present.events.is_closed());
    let refusal = directory.admit(&offer("key")).expect_err("nobody new");
    assert!(refusal.label() == "draining" && refusal.to_string().contains("/start"), "{refusal}");
    assert!(directory.admit(&offer("other")).is_ok(), "the other channel is not concerned");
    // A reload does not take it back, and whoever starts the channel does.
    directory.apply(roster(vec![copied("news", "key"), copied("other", "other")]));
    assert_eq!(directory.drained("news", first), Some(1));
    assert_eq!(directory.resume("news"), Ok(()));
    let second = directory.drain("news").unwrap().expect("it begins again");
    assert_eq!(directory.drained("news", first), None, "the first one was taken back");
    drop(present);
    assert_eq!(directory.drained("news", second), Some(0));
    assert_eq!((directory.drain("nobody"), directory.halt("news"), directory.drain("news")), (Err(Unknown), Ok(()), Ok(None)));
    directory.stop().await;
}

#[tokio::test]
async fn a_drained_appliance_refuses_publishers_until_that_is_taken_back() {
    let place = place();
    let directory = &place.directory;
    let pulled = FeedPlan { name: "pulled".into(), source: FeedSource::Pull("udp://:5000".parse().unwrap()) };
    let mixed =
        ChannelPlan { ladder: LadderPlan::Auto, feeds: vec![copied("news", "key").feeds.remove(0), pulled], ..copied("news", "key") };
    directory.apply(roster(vec![mixed]));
    let present = directory.admit(&offer("key")).unwrap();
    let _fetched = directory.admit_pulled("news", "pulled", offer("").peer, Ticks::ZERO).unwrap();
    directory.drain_all(true);
    assert!(is_asked_to_leave(&present).await && !present.events.is_closed());
    assert!(matches!(directory.admit(&offer("key")), Err(Refusal::Draining(_))));
    assert_eq!(directory.drain_of_all(), Drain { draining: true, publishers: 1 }, "what is fetched does not count");
    drop(present);
    assert_eq!(directory.drain_of_all().publishers, 0);
    directory.drain_all(false);
    let back = directory.admit(&offer("key")).unwrap();
    assert!(!is_asked_to_leave(&back).await);
    let feeds = directory.feeds(Some("news"));
    let shown: Vec<_> = feeds.iter().map(|feed| (feed.name.as_str(), feed.kind, feed.peer.is_some())).collect();
    assert_eq!(shown, [("publisher", FeedKind::Publish, true), ("pulled", FeedKind::Pull, true)]);
    drop(back);
    assert_eq!(directory.feeds(None)[0].peer, None);
    assert!(directory.feeds(Some("nobody")).is_empty());
    directory.stop().await;
}

#[tokio::test]
async fn a_wildcard_opens_channels_but_never_somebody_elses() {
    let place = place();
    let wildcard = |prefix: &str| Wildcard { prefix: prefix.into(), template: copied("", ""), most: 8 };
    let wildcards = vec![wildcard(""), wildcard("studio-")];
    place.directory.apply(Roster { wildcards, ..roster(vec![copied("news", "key")]) });
    for (stream, prefix) in [("studio-7", "studio-"), ("other", "")] {
        let admitted = place.directory.admit(&offer(stream)).expect("it is let in");
        assert_eq!(admitted.channel, stream);
        assert_eq!(place.directory.entries()[stream].wild.as_deref(), Some(prefix), "the longest beginning that fits");
    }
    for stream in ["news", "A/b", ""] {
        assert!(matches!(place.directory.admit(&offer(stream)), Err(Refusal::Key(_))), "{stream}");
    }
    place.directory.stop().await;
}
