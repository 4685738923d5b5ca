use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Shelf, Shelves};
use crate::base::{Ticks, WallTime};
use crate::pack::{Change, Kind};

const NOW: WallTime = WallTime(1_790_000_000_500_000);

fn put(path: &str, body: impl Into<Bytes>, kind: Kind) -> Change {
    Change::Put { path: path.into(), body: body.into(), kind }
}

fn segment(number: usize, bytes: usize) -> Change {
    put(&format!("720p/{number}.m4s"), vec![number as u8; bytes], Kind::Cmaf { video: true })
}

fn shelf(capacity_bytes: usize) -> Shelf {
    Shelf::new(Ticks::from_millis(6000), capacity_bytes)
}

#[test]
fn a_segment_is_shared_and_never_copied() {
    let shelf = shelf(1 << 20);
    let body = Bytes::from(vec![7; 5000]);
    shelf.apply(vec![put("a/1.m4s", body.clone(), Kind::Cmaf { video: false })], NOW).unwrap();
    let item = shelf.find("a/1.m4s").unwrap();
    assert_eq!(item.body.as_ptr(), body.as_ptr());
    assert_eq!(item.content_type, "audio/mp4");
    assert!(item.gzip.is_none(), "media does not compress");
}

#[test]
fn a_full_shelf_drops_the_oldest_segments_and_keeps_playlists() {
    let shelf = shelf(20_000);
    shelf.apply(vec![put("720p/playlist.m3u8", "#EXTM3U", Kind::Playlist { live: true })], NOW).unwrap();
    let dropped: Vec<usize> = (0..5).map(|number| shelf.apply(vec![segment(number, 5000)], NOW).unwrap().dropped).collect();
    assert_eq!(dropped, [0, 0, 0, 1, 1]);
    assert!(shelf.find("720p/1.m4s").is_none() && shelf.find("720p/2.m4s").is_some());
    assert!(shelf.find("720p/playlist.m3u8").is_some());
    assert!(shelf.bytes() <= 20_000);
}

#[test]
fn a_batch_larger_than_the_shelf_is_refused_whole() {
    let shelf = shelf(10_000);
    shelf.apply(vec![segment(1, 5000)], NOW).unwrap();
    let full = shelf.apply(vec![Change::Remove { path: "720p/1.m4s".into() }, segment(2, 8000), segment(3, 8000)], NOW).unwrap_err();
    assert!(full.needed_bytes > 16_000 && full.capacity_bytes == 10_000);
    assert!(shelf.find("720p/1.m4s").is_some() && shelf.find("720p/2.m4s").is_none());
}

#[test]
fn a_thousand_tiny_files_fill_the_shelf_too() {
    let shelf = shelf(100_000);
    for number in 0..1000 {
        shelf.apply(vec![segment(number, 1)], NOW).unwrap();
    }
    assert!(shelf.bytes() <= 100_000);
    assert!(shelf.find("720p/500.m4s").is_none() && shelf.find("720p/999.m4s").is_some());
}

#[test]
fn a_playlist_rewritten_for_ever_takes_no_more_room() {
    let shelf = shelf(10_000);
    for number in 0..100 {
        shelf.apply(vec![put("p.m3u8", format!("#EXTM3U\n#{number}\n"), Kind::Playlist { live: true })], NOW).unwrap();
    }
}

#[test]
fn equal_bytes_keep_tag_and_date_over_puts_and_restarts() {
    let (one, other) = (shelf(1 << 20), shelf(1 << 20));
    let later = WallTime(NOW.0 + 60_000_000);
    one.apply(vec![put("master.m3u8", "#EXTM3U", Kind::Multivariant)], NOW).unwrap();
    other.apply(vec![put("master.m3u8", "#EXTM3U", Kind::Multivariant)], later).unwrap();
    let first = one.find("master.m3u8").unwrap();
    assert_eq!(first.etag, other.find("master.m3u8").unwrap().etag);
    one.apply(vec![put("master.m3u8", "#EXTM3U", Kind::Multivariant)], later).unwrap();
    assert_eq!(one.find("master.m3u8").unwrap().modified, NOW);
    one.apply(vec![put("master.m3u8", "#EXTM3U8", Kind::Multivariant)], later).unwrap();
    let changed = one.find("master.m3u8").unwrap();
    assert!(changed.modified == later && changed.etag != first.etag);
}

#[test]
fn playlists_are_compressed_once_and_segments_are_kept_for_ever() {
    let shelf = shelf(1 << 20);
    let text = "#EXTINF:6.000,\n720p/1234.m4s\n".repeat(20);
    shelf.apply(vec![put("p.m3u8", text.clone(), Kind::Playlist { live: true }), segment(1, 10)], NOW).unwrap();
    let item = shelf.find("p.m3u8").unwrap();
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(item.gzip.as_ref().unwrap().as_ref()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text);
    assert_ne!(item.etag, item.gzip_etag);
    assert_eq!(item.last_modified, "Mon, 21 Sep 2026 14:13:20 GMT");
    assert_eq!(item.cache_control, "public, max-age=1");
    assert!(shelf.find("720p/1.m4s").unwrap().cache_control.ends_with(b"immutable"));
}

#[test]
fn a_live_playlist_with_short_segments_is_not_kept_for_half_a_target() {
    let shelf = Shelf::new(Ticks::from_millis(2000), 1 << 20);
    shelf.apply(vec![put("p.m3u8", "#EXTM3U", Kind::Playlist { live: true })], NOW).unwrap();
    assert!(shelf.find("p.m3u8").unwrap().cache_control.starts_with(b"public, max-age=0"));
}

#[test]
fn a_time_before_the_epoch_or_past_the_calendar_makes_a_date_anyway() {
    for (number, time) in [i64::MIN, -1, i64::MAX].into_iter().enumerate() {
        let shelf = shelf(1 << 20);
        shelf.apply(vec![segment(number, 10)], WallTime(time)).unwrap();
        assert!(shelf.find(&format!("720p/{number}.m4s")).unwrap().last_modified.ends_with(b"GMT"));
    }
}

#[test]
fn a_channel_taken_down_is_found_no_more_while_its_readers_go_on() {
    let shelves = Shelves::default();
    shelves.add("demo", Arc::new(shelf(1 << 20)));
    let held = shelves.find("demo").unwrap();
    assert!(shelves.clone().remove("demo").is_some());
    assert!(shelves.find("demo").is_none() && held.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize, usize, bool),
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        (0..12usize, 0..4000usize, any::<bool>()).prop_map(|(path, bytes, media)| Step::Put(path, bytes, media)),
        (0..12usize).prop_map(Step::Remove),
    ];
    proptest::collection::vec(proptest::collection::vec(step, 0..5), 0..40)
}

proptest! {
    #[test]
    fn bytes_held_are_the_sum_of_the_items_and_never_above_the_capacity(batches in steps()) {
        let shelf = shelf(16_000);
        for batch in batches {
            let changes = batch.into_iter().map(|step| match step {
                Step::Put(path, bytes, true) => put(&path.to_string(), vec![1; bytes], Kind::Ts),
                Step::Put(path, bytes, false) => put(&path.to_string(), vec![1; bytes], Kind::Init { video: true }),
                Step::Remove(path) => Change::Remove { path: path.to_string() },
            });
            let _ = shelf.apply(changes.collect(), NOW);
            let sum: usize = (0..12).map(|path| path.to_string()).filter_map(|path| {
                shelf.find(&path).map(|item| item.body.len() + 2 * path.len() + 512)
            }).sum();
            prop_assert_eq!(shelf.bytes(), sum);
            prop_assert!(sum <= 16_000);
        }
    }
}
