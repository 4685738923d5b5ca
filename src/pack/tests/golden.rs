//! Golden files: brittle on purpose. `HEADEND_BLESS=1` writes them anew; tests/golden/pack/README.md says what a change means.

use std::path::PathBuf;

use super::boxes::{dump, file};
use super::fixtures::{Shelf, Source, presentation, run};
use crate::base::{Rate, Ticks};
use crate::pack::{Packager, Window};

fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pack").join(name);
    if std::env::var_os("HEADEND_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
    assert!(kept == text, "{name} differs, first at {differs:?}; see tests/golden/pack/README.md");
}

fn texts(directory: &str, shelf: &Shelf) {
    for (path, _) in shelf.files.iter().filter(|(path, _)| path.ends_with(".m3u8") || path.ends_with(".mpd")) {
        golden(&format!("{directory}/{}", path.replace('/', "_")), shelf.text(path));
    }
}

fn boxes(name: &str, bytes: &[u8]) {
    let mut text = String::new();
    dump(bytes, &file(bytes), 0, &mut text);
    golden(name, &text);
}

#[test]
fn a_live_run_with_everything_in_it() {
    let rate = Rate::new(25, 1);
    let presentation = presentation(Window::Live(Ticks::from_millis(60_000)), rate);
    let mut source = Source::new(&presentation, rate, 1_790_000_004, 298_333_334);
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, 5).unwrap();
    let mut gap = source.segment();
    gap.packets[1] = None;
    shelf.apply(packager.push(gap).unwrap());
    packager.reconfigure(source.tracks.clone()).unwrap();
    run(&mut packager, &mut source, &mut shelf, 6).unwrap();
    texts("live", &shelf);
    boxes("header-video.txt", shelf.bytes("720p/init-298333334.mp4"));
    boxes("header-audio.txt", shelf.bytes("audio/init-298333334.mp4"));
    boxes("segment-video.txt", shelf.bytes("720p/298333334.m4s"));
    boxes("segment-audio.txt", shelf.bytes("audio/298333334.m4s"));
}

#[test]
fn a_file_at_film_rate() {
    let rate = Rate::new(24_000, 1001);
    let presentation = presentation(Window::Vod, rate);
    let mut source = Source::new(&presentation, rate, 0, 1);
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    run(&mut packager, &mut source, &mut shelf, 3).unwrap();
    shelf.apply(packager.finish().unwrap());
    texts("vod", &shelf);
}
