//! The manifest against the segments that it names.

use super::boxes::samples;
use super::fixtures::{Shelf, Source, halved, presentation};
use super::playlists::date_ms;
use crate::base::{Rate, Ticks};
use crate::pack::{Packager, Presentation, Window};

/// A start tag with its attributes.
#[derive(Debug)]
struct Tag {
    name: String,
    text: String,
}

impl Tag {
    fn value(&self, key: &str) -> Option<&str> {
        let from = self.text.find(&format!(" {key}=\""))? + key.len() + 3;
        self.text[from..].split('"').next()
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.value(key).map(|value| value.parse().unwrap())
    }
}

fn tags(text: &str) -> Vec<Tag> {
    let starts = text.split('<').skip(1).filter(|part| !part.starts_with(['/', '?']));
    starts
        .map(|part| {
            let text = part.split('>').next().unwrap().replace('\n', " ");
            Tag { name: text.split([' ', '/']).next().unwrap().into(), text: format!(" {text}") }
        })
        .collect()
}

fn seconds(duration: &str) -> f64 {
    duration.strip_prefix("PT").unwrap().strip_suffix('S').unwrap().parse().unwrap()
}

/// Checks every timeline entry against its file; the Periods with the renditions of each.
fn judge(shelf: &Shelf) -> Vec<(f64, Vec<String>)> {
    let all = tags(shelf.text("manifest.mpd"));
    let mut periods: Vec<(f64, Vec<String>)> = Vec::new();
    let mut template: Option<usize> = None;
    for (index, tag) in all.iter().enumerate() {
        match tag.name.as_str() {
            "Period" => periods.push((seconds(tag.value("start").unwrap()), Vec::new())),
            "AdaptationSet" => template = None,
            "SegmentTemplate" => template = Some(index),
            "Representation" => {
                let own = all.get(index + 1..).and_then(|rest| rest.iter().position(|tag| tag.name == "SegmentTemplate"));
                let at = template.or(own.map(|own| index + 1 + own)).unwrap();
                let (start, names) = periods.last_mut().unwrap();
                let name = tag.value("id").unwrap();
                representation(shelf, name, *start, &all[at..]);
                names.push(name.into());
            }
            _ => {}
        }
    }
    periods
}

fn representation(shelf: &Shelf, name: &str, period: f64, tags: &[Tag]) {
    let template = &tags[0];
    let fill = |pattern: &str, number: i64| pattern.replace("$RepresentationID$", name).replace("$Number$", &number.to_string());
    assert!(shelf.files.contains_key(&fill(template.value("initialization").unwrap(), 0)));
    let timescale = template.number("timescale").unwrap();
    let offset = template.number("presentationTimeOffset").unwrap();
    assert!((offset as f64 / timescale as f64 - period).abs() < 0.001, "the Period begins at {period}, its media at {offset}");
    let mut number = template.number("startNumber").unwrap();
    let mut due = None;
    for tag in tags[2..].iter().take_while(|tag| tag.name == "S") {
        let mut time = tag.number("t").or(due).unwrap();
        assert!(due.is_none_or(|due| due == time), "a hole in a timeline");
        for _ in 0..=tag.number("r").unwrap_or(0) {
            let file = shelf.bytes(&fill(template.value("media").unwrap(), number));
            let samples: Vec<_> = samples(file).into_iter().flatten().collect();
            assert_eq!(samples[0].dts, time, "{name}/{number}");
            let duration: i64 = samples.iter().map(|sample| sample.duration).sum();
            assert_eq!(duration, tag.number("d").unwrap(), "{name}/{number}");
            assert!(time >= offset, "{name}/{number} begins before its Period");
            (number, time) = (number + 1, time + duration);
        }
        due = Some(time);
    }
}

fn live(rate: Rate) -> (Presentation, Source) {
    let presentation = presentation(Window::Live(Ticks::from_millis(30_000)), rate);
    let source = Source::new(&presentation, rate, 1_790_000_004, 500);
    (presentation, source)
}

#[test]
fn the_manifest_names_what_is_there_while_the_window_slides() {
    for rate in [Rate::new(25, 1), Rate::new(24_000, 1001)] {
        let (presentation, mut source) = live(rate);
        let mut packager = Packager::new(presentation).unwrap();
        let mut shelf = Shelf::default();
        let (mut published, mut begins) = (Vec::new(), Vec::new());
        for _ in 0..15 {
            shelf.apply(packager.push(source.segment()).unwrap());
            let periods = judge(&shelf);
            assert_eq!(periods.len(), 1);
            assert_eq!(periods[0].1, ["720p", "360p", "audio"]);
            begins.push(periods[0].0);
            let mpd = tags(shelf.text("manifest.mpd"));
            assert_eq!(mpd[0].value("type"), Some("dynamic"));
            assert_eq!(mpd[0].value("availabilityStartTime"), Some("1970-01-01T00:00:00Z"));
            assert!(shelf.text("manifest.mpd").find("<Period").unwrap() < 512, "GStreamer does not know it for a manifest");
            published.push(date_ms(mpd[0].value("publishTime").unwrap()));
        }
        assert!(
            begins.iter().all(|begin| *begin == begins[0]) && (begins[0] - 1_790_000_004.0).abs() < 0.1,
            "the Period moved: {begins:?}"
        );
        assert!(published.windows(2).all(|pair| pair[1] > pair[0]), "publishTime stands still");
    }
}

#[test]
fn a_gap_or_a_discontinuity_begins_a_period_and_no_timeline_has_a_hole() {
    let (presentation, mut source) = live(Rate::new(25, 1));
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    for count in 0..5 {
        let mut set = source.segment();
        set.discontinuity = count == 1;
        if count == 3 {
            set.packets[1] = None;
        }
        shelf.apply(packager.push(set).unwrap());
    }
    let periods = judge(&shelf);
    let names: Vec<usize> = periods.iter().map(|(_, names)| names.len()).collect();
    assert_eq!(names, [3, 3, 2, 3]);
    let text = shelf.text("manifest.mpd");
    assert_eq!(text.matches("urn:mpeg:dash:period-continuity:2015").count(), 4, "continuity is for gaps only");
}

#[test]
fn half_the_pictures_are_no_reason_for_a_period_and_leave_no_hole() {
    let (presentation, mut source) = live(Rate::new(25, 1));
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    for count in 0..5 {
        let mut set = source.segment();
        if count > 1 {
            set.packets[0] = set.packets[0].as_deref().map(halved);
        }
        shelf.apply(packager.push(set).unwrap());
    }
    assert_eq!(judge(&shelf).len(), 1);
}

#[test]
fn a_file_is_static_from_zero() {
    let rate = Rate::new(25, 1);
    let presentation = presentation(Window::Vod, rate);
    let mut source = Source::new(&presentation, rate, 0, 1);
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    for _ in 0..3 {
        shelf.apply(packager.push(source.segment()).unwrap());
        assert!(!shelf.files.keys().any(|path| path.ends_with(".m3u8") || path.ends_with(".mpd")));
    }
    shelf.apply(packager.finish().unwrap());
    assert_eq!(judge(&shelf)[0].0, 0.0);
    let mpd = &tags(shelf.text("manifest.mpd"))[0];
    assert_eq!((mpd.value("type"), mpd.value("mediaPresentationDuration")), (Some("static"), Some("PT18S")));
    assert_eq!((mpd.value("availabilityStartTime"), mpd.value("publishTime")), (None, None));
}

#[test]
fn a_live_manifest_that_ends_keeps_its_timeline() {
    let (presentation, mut source) = live(Rate::new(25, 1));
    let mut packager = Packager::new(presentation).unwrap();
    let mut shelf = Shelf::default();
    shelf.apply(packager.push(source.segment()).unwrap());
    let before = judge(&shelf);
    shelf.apply(packager.finish().unwrap());
    assert_eq!(judge(&shelf), before);
    let mpd = &tags(shelf.text("manifest.mpd"))[0];
    assert_eq!((mpd.value("type"), mpd.value("minimumUpdatePeriod")), (Some("static"), None));
}
