//! Every dependency's licence lets the binaries be shipped under MIT OR Apache-2.0 (what linking x264 means for them is in the README).

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than their notice, by SPDX identifier, and the exceptions that widen them.
const ALLOWED: [&str; 13] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "WTFPL",
    "Unicode-3.0",
];

#[test]
fn every_dependency_may_be_shipped() {
    let refused: Vec<String> = licences()
        .into_iter()
        .filter(|(_, licence)| !is_allowed(licence))
        .map(|(package, licence)| format!("{package}: {licence:?} is not in the list of tests/licences.rs"))
        .collect();
    assert!(refused.is_empty(), "\n{}\n", refused.join("\n"));
}

#[test]
fn an_expression_is_allowed_by_what_it_asks_for() {
    assert!(is_allowed("MIT OR GPL-3.0"), "one of the two is enough");
    assert!(!is_allowed("MIT AND GPL-3.0"), "both bind");
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception"));
    assert!(is_allowed("Unlicense/MIT"), "the old way to write OR");
    assert!(!is_allowed("MPL-2.0"), "changed files must be published: nobody here wants to track that");
    assert!(!is_allowed(""), "none given");
}

/// Licence of every package of the build, by name and version.
fn licences() -> BTreeMap<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let listing = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(listing.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&listing.stderr));
    let metadata: Value = serde_json::from_slice(&listing.stdout).expect("cargo metadata is JSON");
    let used: Vec<&str> = metadata["resolve"]["nodes"].as_array().into_iter().flatten().filter_map(|node| node["id"].as_str()).collect();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_string();
    let licences: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|package| used.iter().any(|id| package["id"] == *id))
        .map(|package| (format!("{} {}", text(package, "name"), text(package, "version")), text(package, "license")))
        .collect();
    assert!(licences.len() > 20, "only {} packages: the listing was misread", licences.len());
    licences
}

/// Whether an SPDX expression can be met with the allowed licences: AND binds tighter than OR.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "_WITH_");
    let words: Vec<String> = spaced.split_whitespace().map(|word| word.replace("_WITH_", " WITH ")).collect();
    let mut at = 0;
    any_of(&words, &mut at) && at == words.len()
}

fn any_of(words: &[String], at: &mut usize) -> bool {
    let mut allowed = all_of(words, at);
    while words.get(*at).is_some_and(|word| word == "OR") {
        *at += 1;
        allowed |= all_of(words, at);
    }
    allowed
}

fn all_of(words: &[String], at: &mut usize) -> bool {
    let mut allowed = one(words, at);
    while words.get(*at).is_some_and(|word| word == "AND") {
        *at += 1;
        allowed &= one(words, at);
    }
    allowed
}

fn one(words: &[String], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if word != "(" {
        return ALLOWED.contains(&word.as_str());
    }
    let allowed = any_of(words, at);
    let closed = words.get(*at).is_some_and(|word| word == ")");
    *at += 1;
    allowed && closed
}
