//! The manual and the parser know the same keys, and the manual's examples work.

use std::collections::BTreeSet;

use super::super::keys::{Holds, ROOT, Section};
use super::plan;

pub(super) const MANUAL: &str = include_str!("../../../docs/configuration.md");

/// Every section that can be reached from the top of the file.
pub(super) fn sections(section: &'static Section, found: &mut Vec<&'static Section>) {
    found.push(section);
    for key in section.keys {
        match key.holds {
            Holds::Table(below) | Holds::Tables(below) | Holds::Named(below) => sections(below, found),
            Holds::Value | Holds::Secret | Holds::Address => {}
        }
    }
}

#[test]
fn every_key_has_its_heading_in_the_manual_and_every_heading_its_key() {
    let mut known = Vec::new();
    sections(&ROOT, &mut known);
    let known: BTreeSet<(String, String)> =
        known.iter().flat_map(|section| section.keys.iter().map(|key| (section.header.to_owned(), key.name.to_owned()))).collect();
    let mut explained = BTreeSet::new();
    let mut section = None;
    for line in MANUAL.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = if title == "Top of the file" { Some(String::new()) } else { title.strip_prefix('`').map(|t| t.replace('`', "")) };
        } else if let (Some(key), Some(section)) = (line.strip_prefix("### `"), &section) {
            explained.insert((section.clone(), key.trim_end_matches('`').to_owned()));
        }
    }
    assert_eq!(known.difference(&explained).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "known to the parser only");
    assert_eq!(explained.difference(&known).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "known to the manual only");
}

#[test]
fn every_example_of_the_manual_is_valid() {
    let mut examples = 0;
    for block in MANUAL.split("```toml\n").skip(1) {
        let mut text = block.split("```").next().unwrap().to_owned();
        if !text.contains("[[channel]]") {
            text.push_str("\n[[channel]]\nname = \"news\"\nstream_key = \"a-key-of-its-own\"\n");
        }
        plan(&text).unwrap_or_else(|report| panic!("{text}\n{report}"));
        examples += 1;
    }
    assert!(examples > 15, "{examples}");
}

#[test]
fn the_report_that_the_manual_shows_is_a_real_one() {
    let shown = MANUAL.lines().find(|line| line.starts_with("my.toml:9:11:")).unwrap();
    let text = "#\n".repeat(6) + "[[channel]]\nname = \"news\"\nsegment = \"5s\"\n";
    assert_eq!(super::problems(&text), [shown.replace("my.toml", "a.toml")]);
}
