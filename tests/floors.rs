//! The house keeps its floors: a module names only modules on lower floors, files stay readable, and `unsafe` stays fenced.

#[path = "support/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use source::{code_only, line_of, rust_files};

/// Modules by floor, as the table in `src/lib.rs` has them.
const FLOORS: [(&str, u32); 16] = [
    ("app", 9),
    ("ingest", 8),
    ("origin", 8),
    ("api", 8),
    ("ui", 8),
    ("config", 7),
    ("channel", 6),
    ("placement", 5),
    ("shelf", 4),
    ("worker", 4),
    ("wire", 3),
    ("pack", 3),
    ("codec", 3),
    ("media", 2),
    ("base", 1),
    ("lib", 10),
];

/// Folders whose files may fence foreign functions with `#![allow(unsafe_code)]`.
const FOREIGN_FUNCTION_FOLDERS: [&str; 2] = ["codec/", "worker/"];

/// What sans-IO code does not name, by the text that would name it.
const OUTSIDE_WORLD: [&str; 6] = ["tokio::", "std::net::Tcp", "std::net::Udp", "std::fs", "clock::mono", "clock::wall"];

const LONGEST_FILE_LINES: usize = 500;

#[test]
fn a_module_names_only_modules_on_lower_floors() {
    let broken: Vec<String> = sources().iter().flat_map(|(path, text)| floor_breaks(path, text)).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_floor() {
    let lib = fs::read_to_string(root().join("lib.rs")).expect("src/lib.rs is there");
    for line in code_only(&lib).lines() {
        let Some(name) = line.trim().strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) else { continue };
        assert!(floor(name).is_some(), "src/lib.rs: module {name} has no floor in tests/floors.rs");
        assert!(lib.contains(&format!("[`{name}`]")), "src/lib.rs: module {name} is missing in the table of contents");
    }
}

#[test]
fn protocols_and_packagers_stay_without_input_and_output() {
    let mut broken = Vec::new();
    for (path, text) in
        sources().iter().filter(|(path, _)| (path.starts_with("wire/") || path.starts_with("pack/")) && !path.contains("/tests"))
    {
        let code = code_only(text);
        for (number, line) in code.lines().enumerate() {
            for outside in OUTSIDE_WORLD.iter().filter(|outside| line.contains(**outside)) {
                broken.push(format!("src/{path}:{}: names {outside}; wire and pack take bytes and a time as arguments", number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|(_, text)| text.lines().count() > LONGEST_FILE_LINES)
        .map(|(path, text)| format!("src/{path}: {} lines, more than {LONGEST_FILE_LINES}: it is two files", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "\n{}\n", long.join("\n"));
}

#[test]
fn unsafe_stays_in_foreign_function_modules_and_says_why_it_is_sound() {
    let broken: Vec<String> = sources().iter().flat_map(|(path, text)| unsafe_breaks(path, text)).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// `forbid` cannot be taken back further down, `deny` can.
#[test]
fn the_front_cannot_have_unsafe_at_all() {
    let library = fs::read_to_string(root().join("lib.rs")).unwrap();
    for (module, _) in FLOORS.iter().filter(|(module, _)| *module != "lib") {
        let is_fenced = FOREIGN_FUNCTION_FOLDERS.contains(&&*format!("{module}/"));
        let forbids = library.contains(&format!("#[forbid(unsafe_code)]\npub mod {module};\n"));
        assert_eq!(forbids, !is_fenced, "{module}");
    }
    for program in ["main.rs", "bin/headend-worker.rs", "bin/headend-srt.rs"] {
        assert!(fs::read_to_string(root().join(program)).unwrap().contains("#![forbid(unsafe_code)]"), "{program}");
    }
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let repository = root().parent().expect("src lies in the repository");
    let model = fs::read_to_string(repository.join("docs/threat-model.md")).expect("the threat model is there");
    let named: Vec<(&str, &str)> = model.split('`').filter_map(|word| word.split_once(".rs::")).collect();
    assert!(named.len() > 40, "{} tests are named", named.len());
    for (file, test) in named {
        let text = fs::read_to_string(repository.join(format!("{file}.rs"))).unwrap_or_else(|cause| panic!("{file}.rs: {cause}"));
        let (before, _) = text.split_once(&format!("fn {test}(")).unwrap_or_else(|| panic!("{file}.rs has no test {test}"));
        // plain tests, tokio's, and those of proptest, which may have their conditions in between
        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
        assert!(["test]", "test("].iter().any(|end| attributes.contains(end)), "{test} of {file}.rs is no test");
    }
}

#[test]
fn the_checks_see_what_they_are_for() {
    let breaks = |text: &str| floor_breaks("pack/hls.rs", text).len();
    assert_eq!(breaks("use crate::{base::Ticks, media};\nuse super::change;\nuse crate::pack::change;\n"), 0);
    assert_eq!(breaks("// use crate::wire::link;\nconst A: &str = \"crate::wire\";\n"), 0);
    assert_eq!(breaks("use crate::wire::link;\n"), 1, "the same floor");
    assert_eq!(breaks("use crate::{base::{self, Ticks}, channel::{Board, plan}, wire};\n"), 2, "inside a group");
    assert_eq!(breaks("fn f() { crate::channel::status() }\n"), 1, "outside a use");
    assert_eq!(breaks("use crate::*;\n"), 1, "everything");
    assert_eq!(breaks("use super::super::wire;\n"), 1, "up and out");
    assert_eq!(breaks("mod tests { use super::super::change; }\n"), 0, "up, and not out");
    let unsound = |path: &str, text: &str| unsafe_breaks(path, text).len();
    assert_eq!(unsound("pack/hls.rs", "fn f() { unsafe { g() } }\n"), 1, "the wrong place");
    assert_eq!(unsound("codec/software/x264.rs", "#![allow(unsafe_code)]\nfn f() { unsafe { g() } }\n"), 1, "no reason");
    assert_eq!(
        unsound("codec/software/x264.rs", "#![allow(unsafe_code)]\n// SAFETY: g has no conditions.\nfn f() { unsafe { g() } }\n"),
        0
    );
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

/// Path below `src` and text of every file.
fn sources() -> Vec<(String, String)> {
    let named = |path: &std::path::PathBuf| path.strip_prefix(root()).expect("below src").display().to_string();
    rust_files(root()).iter().map(|path| (named(path), fs::read_to_string(path).expect("source is text"))).collect()
}

fn floor(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// What of a file names a module that it may not name.
fn floor_breaks(path: &str, text: &str) -> Vec<String> {
    let module = path.split(['/', '.']).next().unwrap_or_default();
    let Some(own) = floor(module).filter(|floor| *floor < 10) else { return Vec::new() };
    let code = code_only(text);
    let mut broken = Vec::new();
    for (offset, _) in code.match_indices("crate::") {
        for named in first_names(&code[offset + "crate::".len()..]) {
            if named != module && floor(&named).is_none_or(|floor| floor >= own) {
                let line = line_of(&code, offset);
                broken.push(format!("src/{path}:{line}: {module} (floor {own}) names crate::{named}, which is not on a lower floor"));
            }
        }
    }
    broken.extend(climbs(path, &code).into_iter().map(|line| format!("src/{path}:{line}: super:: climbs out of {module}; name crate::")));
    broken
}

/// The modules that a path after `crate::` begins with: one, or those of a `{group}`.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut names, mut start) = (0, vec![name(group)], 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = at + 1,
            _ => continue,
        }
        if c == ',' && depth == 0 {
            names.push(name(&group[start..]));
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Lines with more `super::` in a row than the module is deep.
fn climbs(path: &str, code: &str) -> Vec<usize> {
    let file_depth = path.split('/').count() - usize::from(path.ends_with("/mod.rs"));
    let mut lines = Vec::new();
    let mut blocks: Vec<bool> = Vec::new();
    let mut statement = 0;
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        if rest.starts_with("super::") {
            let supers = rest.split("super::").take_while(|between| between.is_empty()).count();
            let inline = blocks.iter().filter(|is_module| **is_module).count();
            if supers >= file_depth + inline {
                lines.push(line_of(code, at));
            }
            at += supers * "super::".len();
            continue;
        }
        match rest.as_bytes()[0] {
            b'{' => {
                let opening = code[statement..at].split_whitespace().collect::<Vec<_>>();
                blocks.push(opening.len() >= 2 && opening[opening.len() - 2] == "mod");
                statement = at + 1;
            }
            b'}' => {
                blocks.pop();
                statement = at + 1;
            }
            b';' => statement = at + 1,
            _ => {}
        }
        at += rest.chars().next().map_or(1, char::len_utf8);
    }
    lines
}

/// Uses of `unsafe` that lie in the wrong place or give no reason.
fn unsafe_breaks(path: &str, text: &str) -> Vec<String> {
    let code = code_only(text);
    let lines: Vec<&str> = text.lines().collect();
    let fenced = code.contains("#![allow(unsafe_code") && FOREIGN_FUNCTION_FOLDERS.iter().any(|folder| path.starts_with(folder));
    let mut broken = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        // a callback's type or definition: the blocks in its body give the reasons
        let is_callback = line.contains("unsafe extern") && words.contains(&"fn");
        if !words.contains(&"unsafe") || is_callback {
            continue;
        }
        if !fenced {
            broken.push(format!("src/{path}:{}: unsafe outside a foreign function module", number + 1));
            continue;
        }
        let reason = |text: &str| text.contains("SAFETY:") || text.contains("# Safety");
        if !lines[number.saturating_sub(8)..=number].iter().any(|line| reason(line)) {
            broken.push(format!("src/{path}:{}: unsafe without a // SAFETY: reason in the lines above", number + 1));
        }
    }
    broken
}
