//! What is refused, and that a refusal changes nothing.

use super::fixtures::{Shelf, Source, presentation, run};
use crate::base::{Fault, Rate, Ticks};
use crate::media::Track;
use crate::pack::{PackError, Packager, SegmentSet, Window};

const RATE: Rate = Rate::new(25, 1);

fn begun() -> (Packager, Source) {
    let presentation = presentation(Window::Event, RATE);
    let mut source = Source::new(&presentation, RATE, 1_790_000_004, 1);
    let mut packager = Packager::new(presentation).unwrap();
    run(&mut packager, &mut source, &mut Shelf::default(), 1).unwrap();
    (packager, source)
}

#[test]
fn a_refused_segment_changes_nothing() {
    let spoil: [fn(&mut SegmentSet); 9] = [
        |set| set.number += 1,
        |set| set.packets.truncate(2),
        |set| set.duration = Ticks::ZERO,
        |set| set.duration = Ticks::from_millis(6500),
        |set| set.start -= Ticks::from_millis(40),
        |set| set.packets[0].as_mut().unwrap()[0].key = false,
        |set| set.packets[0].as_mut().unwrap()[7].dts.0 = i64::MAX,
        |set| set.packets[2].as_mut().unwrap()[3].pts.0 = -1,
        |set| set.packets[1].as_mut().unwrap().swap(0, 60),
    ];
    for (index, spoil) in spoil.into_iter().enumerate() {
        let (mut packager, mut source) = begun();
        let (mut untouched, _) = begun();
        let good = source.segment();
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(packager.push(bad).is_err(), "spoiled segment {index} was taken");
        assert_eq!(packager.push(good.clone()).unwrap(), untouched.push(good).unwrap(), "refusal {index} left a trace");
    }
}

#[test]
fn names_that_are_no_directories_are_refused() {
    for name in ["", "..", ".hidden", "a/b", "ts", "a b", "a\"b", "720p\n", "360p"] {
        let mut presentation = presentation(Window::Event, RATE);
        presentation.tracks[0].name = name.into();
        let error = Packager::new(presentation).unwrap_err();
        assert!(matches!(error, PackError::Name { .. }) && error.fault() == Fault::Config, "{name:?}: {error}");
    }
}

#[test]
fn a_configuration_cut_short_is_refused_with_its_rendition() {
    for (index, length) in [(0, 20), (1, 0), (2, 1)] {
        let mut presentation = presentation(Window::Event, RATE);
        match &mut presentation.tracks[index].track {
            Track::Video(video) => video.config.truncate(length),
            Track::Audio(audio) => audio.config.truncate(length),
        }
        let name = presentation.tracks[index].name.clone();
        let error = Packager::new(presentation).unwrap_err();
        assert!(error.to_string().contains(&name) && error.fault() == Fault::Corrupt, "{error}");
    }
}

#[test]
fn a_presentation_of_nothing_is_refused() {
    let mut empty = presentation(Window::Event, RATE);
    empty.tracks.clear();
    assert!(matches!(Packager::new(empty), Err(PackError::Nothing(_))));
    let mut formless = presentation(Window::Event, RATE);
    (formless.cmaf, formless.ts) = (false, false);
    assert!(matches!(Packager::new(formless), Err(PackError::Nothing(_))));
}

#[test]
fn a_broken_picture_costs_itself_and_is_noted_once() {
    let (mut packager, mut source) = begun();
    for _ in 0..2 {
        let mut set = source.segment();
        set.packets[0].as_mut().unwrap()[3].data = (&[0xff; 9][..]).into();
        packager.push(set).unwrap();
    }
    assert_eq!(packager.notes().len(), 1);
}
