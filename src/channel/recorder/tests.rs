use std::fs;

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::base::WallTime;

const WALL: WallTime = WallTime(1_790_000_000_000_000);

fn at_ms(ms: u64) -> Mono {
    Mono(100_000_000_000 + ms * 1_000_000)
}

fn unit(dts_ms: i64) -> SourceUnit {
    let data = Bytes::from_static(b"secret picture");
    SourceUnit { track: 1, dts: Ticks::from_millis(dts_ms), offset: Ticks::from_millis(80), entry: true, data }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_recording_tells_headers_and_decisions_with_their_times() {
    let recorder = Recorder::default();
    recorder.feed_note("publisher", Note::FeedOpened, at_ms(0));
    recorder.unit("publisher", &unit(40), Some(WALL.as_media()), at_ms(500));
    recorder.feed_note("publisher", Note::Bend { track: 1, kind: Bend::Jump }, at_ms(600));
    recorder.note(Note::WorkerGone(3, text("exit status: 139")), at_ms(1_000));
    let told = lines(&recorder.recording(at_ms(2_000)).json_lines("demo", "worker_gone", WALL));
    assert_eq!((&told[0]["what"], &told[0]["channel"], &told[0]["entries"]), (&"flight".into(), &"demo".into(), &4.into()));
    assert_eq!(
        (&told[1]["what"], &told[1]["feed"], &told[1]["at"]),
        (&"feed_opened".into(), &"publisher".into(), &"2026-09-21T14:13:18.000Z".into())
    );
    let unit = serde_json::json!({
        "at": "2026-09-21T14:13:18.500Z", "what": "unit", "feed": "publisher", "track": 1, "dts_ms": 40.0, "offset_ms": 80.0, "bytes": 14,
        "entry": true, "pts": "2026-09-21T14:13:20.000Z",
    });
    assert_eq!(told[2], unit);
    assert_eq!((&told[3]["what"], &told[3]["kind"]), (&"bend".into(), &"jump".into()));
    assert_eq!((&told[4]["worker"], &told[4]["text"], told[4].get("feed")), (&3.into(), &"exit status: 139".into(), None));
}

#[test]
fn no_coded_byte_is_recorded() {
    let recorder = Recorder::default();
    recorder.unit("publisher", &unit(40), None, at_ms(0));
    assert!(!recorder.recording(at_ms(0)).json_lines("demo", "test", WALL).contains("secret"));
}

#[test]
fn the_ring_is_bounded_in_entries_and_in_time() {
    let recorder = Recorder::default();
    for n in 0..10_000 {
        recorder.unit("publisher", &unit(n), None, at_ms(0));
    }
    assert_eq!(recorder.recording(at_ms(0)).len(), ENTRIES);
    assert!(recorder.recording(at_ms(31_000)).is_empty());
    recorder.note(Note::State("slate"), at_ms(31_000));
    assert_eq!(recorder.ring().entries.len(), 1);
    for n in 0..100 {
        recorder.feed_note(&format!("feed-{n}"), Note::FeedOpened, at_ms(31_000));
    }
    assert_eq!(recorder.ring().names.len(), NAMES);
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    assert_eq!(text(&"é".repeat(200)).len(), TEXT_BYTES);
    assert_eq!(&*text(&format!("a{}", "é".repeat(200))), format!("a{}", "é".repeat(79)));
    assert_eq!(&*text("short"), "short");
}

#[test]
fn faults_that_follow_each_other_are_written_once_a_minute() {
    let recorder = Recorder::default();
    assert!(recorder.recording_of_fault(at_ms(0)).is_some());
    assert!(recorder.recording_of_fault(at_ms(59_000)).is_none());
    assert!(recorder.recording_of_fault(at_ms(60_000)).is_some());
}

#[test]
fn the_newest_sixteen_recordings_of_a_channel_stay_and_a_neighbour_keeps_its_own() {
    let state = tempfile::tempdir().unwrap();
    let store = FlightStore::open(state.path()).unwrap();
    let other = Recorder::default();
    store.write(&other, "demo-2", "worker_gone", at_ms(0), WALL);
    drop(store);
    let recorder = Recorder::default();
    recorder.note(Note::State("slate"), at_ms(0));
    for minute in 0..20 {
        // One at a time, so that none is given up for want of room.
        let store = FlightStore::open(state.path()).unwrap();
        store.write(&recorder, "demo", "worker_gone", at_ms(minute * 60_000), WallTime(WALL.0 + minute as i64 * 60_000_000));
    }
    let mut names: Vec<String> =
        fs::read_dir(state.path().join("flight")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 17);
    assert_eq!(names[0], "demo-2-20260921T141320Z-worker_gone.jsonl");
    assert_eq!(names[1], "demo-20260921T141720Z-worker_gone.jsonl");
    let newest = fs::read_to_string(state.path().join("flight").join(&names[16])).unwrap();
    assert_eq!(lines(&newest)[0]["reason"], "worker_gone");
}
