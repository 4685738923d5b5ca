//! What a reload takes, key by key, as the manual's table says.

use std::collections::{BTreeMap, BTreeSet};

use super::super::keys::{Holds, ROOT, Section};
use super::super::{Difference, Overlay, Overrides, Plan, SourceText, diff, parse, without_restart};
use super::manual::{MANUAL, sections};
use crate::base::tls::tests::write_pair;
use crate::channel::change::Effect;

fn plan(text: &str) -> Plan {
    parse("a.toml", text, &Overrides::default()).unwrap_or_else(|report| panic!("{text}\n{report}"))
}

fn differences(before: &str, after: &str) -> Vec<Difference> {
    diff(&plan(before), &plan(after))
}

/// Stands for a folder of certificates in examples.
const FOLDER: &str = "/certificates";
const NEWS: &str = "[[channel]]\nname = \"news\"\n";

/// For each key two texts that differ in nothing else.
fn example(section: &str, key: &str) -> [String; 2] {
    let ladder = |rung: &str| format!("{NEWS}ladder = \"mine\"\n[[ladder.mine]]\n{rung}");
    let rung = "name = \"a\"\nheight = 360\nwidth = 640\nbitrate = \"600k\"\npreset = \"fast\"\n";
    let channel = |line: &str| format!("{NEWS}{line}\n");
    let feeds = |rest: &str| format!("{NEWS}[[channel.feeds]]\n{rest}");
    let wild = |line: &str| format!("[[channel]]\nname = \"live/*\"\n{line}\n");
    let table = |header: &str, line: &str| format!("{header}\n{line}\n{NEWS}");
    let tls = |listener: &str| format!("{listener}[[certificate]]\nchain = \"{FOLDER}/chain.pem\"\nkey = \"{FOLDER}/key.pem\"\n{NEWS}");
    let token = |name: &str, role: &str, digit: char| {
        let digits = digit.to_string().repeat(64);
        format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{digits}\"\n{NEWS}")
    };
    match (section, key) {
        ("", "state_dir") => ["/a", "/b"].map(|path| format!("state_dir = \"{path}\"\n{NEWS}")),
        ("", "api_changes") => ["true", "false"].map(|word| format!("api_changes = {word}\n{NEWS}")),
        ("", "admission") => ["warn", "strict"].map(|word| format!("admission = \"{word}\"\n{NEWS}")),
        ("", "calibration") => ["auto", "off"].map(|word| format!("calibration = \"{word}\"\n{NEWS}")),
        ("[https]", "listen") => ["127.0.0.1:8443", "127.0.0.1:8444"].map(|to| tls(&format!("[https]\nlisten = \"{to}\"\n"))),
        ("[rtmps]", "listen") => ["127.0.0.1:1936", "off"].map(|to| tls(&format!("[rtmps]\nlisten = \"{to}\"\n"))),
        ("[[certificate]]", "chain") => ["chain.pem", "other.pem"].map(|to| tls("").replace("chain.pem", to)),
        ("[[certificate]]", "key") => ["key.pem", "other-key.pem"].map(|to| tls("").replace("key.pem", to)),
        ("[[certificate]]", "names") => ["", "names = [\"a.example\"]\n"].map(|to| tls("").replace("[[channel", &format!("{to}[[channel"))),
        ("[api]", "loopback_tokens") => ["true", "false"].map(|to| table("[api]", &format!("loopback_tokens = {to}"))),
        ("[api]", "trusted_proxies") => ["10.0.0.0/8", "10.0.0.1"].map(|to| table("[api]", &format!("trusted_proxies = [\"{to}\"]"))),
        ("[[token]]", "name") => ["a", "b"].map(|to| token(to, "viewer", '1')),
        ("[[token]]", "role") => ["viewer", "operator"].map(|to| token("a", to, '1')),
        ("[[token]]", "sha256") => ['1', '2'].map(|to| token("a", "viewer", to)),
        ("[machine]", "pinning") => ["auto", "off"].map(|to| table("[machine]", &format!("pinning = \"{to}\""))),
        ("[machine]", key) => ["0", "1"].map(|to| table("[machine]", &format!("{key} = \"{to}\""))),
        ("[http]", "listen") => ["127.0.0.1:8081", "127.0.0.1:8082"].map(|to| table("[http]", &format!("listen = \"{to}\""))),
        ("[rtmp]", "listen") => ["127.0.0.1:1936", "off"].map(|to| table("[rtmp]", &format!("listen = \"{to}\""))),
        ("[srt]", "listen") => ["127.0.0.1:9001", "off"].map(|to| table("[srt]", &format!("listen = \"{to}\""))),
        ("[srt]", "latency") => ["200ms", "400ms"].map(|to| table("[srt]", &format!("latency = \"{to}\""))),
        ("[devices]", "nvidia") => ["auto", "off"].map(|to| table("[devices]", &format!("nvidia = \"{to}\""))),
        ("[devices]", "device") => ["prefer", "software"].map(|to| table("[devices]", &format!("device = \"{to}\""))),
        ("[devices]", "gpu") => ["0", "1"].map(|to| table("[devices]", &format!("gpu = {to}"))),
        ("[devices]", "return_after") => ["30s", "60s"].map(|to| table("[devices]", &format!("return_after = \"{to}\""))),
        ("[[channel]]", "name") => ["news", "late"].map(|name| format!("[[channel]]\nname = \"{name}\"\n")),
        ("[[channel]]", "stream_key") => ["one", "two"].map(|to| channel(&format!("stream_key = \"{to}\""))),
        ("[[channel]]", "feed") => ["publish", "pattern"].map(|to| channel(&format!("rate = 25\nladder = \"small\"\nfeed = \"{to}\""))),
        ("[[channel]]", "rate") => ["25", "50"].map(|to| channel(&format!("rate = {to}"))),
        ("[[channel]]", "ladder") => ["small", "standard"].map(|to| channel(&format!("ladder = \"{to}\""))),
        ("[[channel]]", "formats") => ["[\"cmaf\"]", "[\"cmaf\", \"ts\"]"].map(|to| channel(&format!("formats = {to}"))),
        ("[[channel]]", "gop") => ["1s", "2s"].map(|to| channel(&format!("segment = \"6s\"\ngop = \"{to}\""))),
        ("[[channel]]", "segment") => ["4s", "6s"].map(|to| channel(&format!("segment = \"{to}\""))),
        ("[[channel]]", "window") => ["60s", "90s"].map(|to| channel(&format!("window = \"{to}\""))),
        ("[[channel]]", "hold") => ["1s", "2s"].map(|to| channel(&format!("hold = \"{to}\""))),
        ("[[channel]]", "overload") => ["[]", "[\"rungs\"]"].map(|to| channel(&format!("overload = {to}"))),
        ("[[channel]]", "priority") => ["main", "best-effort"].map(|to| channel(&format!("priority = \"{to}\""))),
        ("[[channel]]", "on_second_publisher") => ["refuse", "replace"].map(|to| channel(&format!("on_second_publisher = \"{to}\""))),
        ("[[channel]]", "device") => ["prefer", "software"].map(|to| channel(&format!("device = \"{to}\""))),
        ("[[channel]]", "gpu") => ["0", "1"].map(|to| channel(&format!("gpu = {to}"))),
        ("[[channel]]", "thumbnails") => ["5s", "off"].map(|to| channel(&format!("thumbnails = \"{to}\""))),
        ("[[channel]]", "trusted_network") => ["true", "false"].map(|to| wild(&format!("trusted_network = {to}"))),
        ("[[channel]]", "max_channels") => ["3", "4"].map(|to| wild(&format!("max_channels = {to}"))),
        ("[channel.audio]", "bitrate") => ["96k", "128k"].map(|to| channel(&format!("audio.bitrate = \"{to}\""))),
        ("[[channel.feeds]]", "name") => ["main", "first"].map(|to| feeds(&format!("name = \"{to}\"\nstream_key = \"k\"\n"))),
        ("[[channel.feeds]]", "source") => ["udp://:5000", "udp://:5001"].map(|to| feeds(&format!("name = \"a\"\nsource = \"{to}\"\n"))),
        ("[[channel.feeds]]", "stream_key") => ["one", "two"].map(|to| feeds(&format!("name = \"a\"\nstream_key = \"{to}\"\n"))),
        ("[[channel.feeds]]", "passphrase") => ["0123456789", "9876543210"]
            .map(|to| feeds(&format!("name = \"a\"\nsource = \"srt://192.0.2.7:9000\"\npassphrase = \"{to}\"\n"))),
        ("[channel.failover]", "after") => ["2s", "3s"].map(|to| channel(&format!("failover.after = \"{to}\""))),
        ("[channel.failover]", "return_after") => ["20s", "30s"].map(|to| channel(&format!("failover.return_after = \"{to}\""))),
        ("[channel.failover]", key) => ["10s", "20s"].map(|to| channel(&format!("failover.{key} = \"{to}\""))),
        ("[channel.srt]", "passphrase") => ["0123456789", "9876543210"].map(|to| channel(&format!("srt.passphrase = \"{to}\""))),
        ("[channel.srt]", "key_length") => {
            ["16", "32"].map(|to| channel(&format!("srt.passphrase = \"0123456789\"\nsrt.key_length = {to}")))
        }
        ("[channel.slate]", "file") => ["a.png", "b.png"].map(|to| channel(&format!("slate.file = \"{to}\""))),
        ("[channel.slate]", "text") => ["soon", "later"].map(|to| channel(&format!("slate.text = \"{to}\""))),
        ("[[ladder.NAME]]", "name") => ["a", "b"].map(|to| ladder(&rung.replace("\"a\"", &format!("\"{to}\"")))),
        ("[[ladder.NAME]]", "height") => ["360", "362"].map(|to| ladder(&rung.replace("360", to))),
        ("[[ladder.NAME]]", "width") => ["640", "642"].map(|to| ladder(&rung.replace("640", to))),
        ("[[ladder.NAME]]", "bitrate") => ["600k", "700k"].map(|to| ladder(&rung.replace("600k", to))),
        ("[[ladder.NAME]]", "codec") => {
            ["h264", "hevc"].map(|to| ladder(&format!("{rung}codec = \"{to}\"\n").replace("preset = \"fast\"\n", "")))
        }
        ("[[ladder.NAME]]", "preset") => ["fast", "faster"].map(|to| ladder(&rung.replace("fast", to))),
        ("[[ladder.NAME]]", "tune") => ["film", "grain"].map(|to| ladder(&format!("{rung}tune = \"{to}\"\n"))),
        ("[[ladder.NAME]]", "profile") => ["high", "main"].map(|to| ladder(&format!("{rung}profile = \"{to}\"\n"))),
        other => panic!("no example for {other:?}: add one, and its effect to the manual"),
    }
}

/// The effects in the manual's table: by section, then key.
fn told() -> BTreeMap<(String, String), String> {
    let from = MANUAL.find("| table | keys | effect |").expect("the manual has the table of effects");
    let rows = MANUAL[from..].lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut found = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let section = if cells[0] == "top" { "" } else { cells[0].trim_matches('`') };
        for key in cells[1].split(',').map(|key| key.trim().trim_matches('`')) {
            let before = found.insert((section.to_owned(), key.to_owned()), cells[2].split('.').next().unwrap_or_default().to_owned());
            assert_eq!(before, None, "{section} {key} stands twice");
        }
    }
    found
}

fn values() -> Vec<(&'static Section, &'static str)> {
    let mut all = Vec::new();
    sections(&ROOT, &mut all);
    let is_value = |holds: Holds| matches!(holds, Holds::Value | Holds::Secret | Holds::Address);
    all.into_iter()
        .flat_map(|section| section.keys.iter().filter(move |key| is_value(key.holds)).map(move |key| (section, key.name)))
        .collect()
}

#[test]
fn every_key_has_the_effect_that_the_manual_tells() {
    let told = told();
    let mut wrong = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let pair = write_pair(folder.path(), "pair", &["a.example"]);
    for (from, names) in [(&pair.chain, ["chain.pem", "other.pem"]), (&pair.key, ["key.pem", "other-key.pem"])] {
        for name in names {
            std::fs::copy(from, folder.path().join(name)).unwrap();
        }
    }
    for (section, key) in values() {
        let [before, after] = example(section.header, key).map(|text| text.replace(FOLDER, &folder.path().display().to_string()));
        let found = differences(&before, &after);
        let effect = found.iter().map(|difference| difference.effect).max().unwrap_or(Effect::Live).label();
        let expected = told.get(&(section.header.to_owned(), key.to_owned())).map_or("nothing", String::as_str);
        if effect != expected {
            wrong.push(format!("{} {key}: it is {effect}, and the manual tells {expected}", section.header));
        }
        // They are rules for the check, and not for what runs.
        if found.is_empty() && !["trusted_network", "names"].contains(&key) {
            wrong.push(format!("{} {key}: the difference is not seen", section.header));
        }
    }
    let known: BTreeSet<(String, String)> =
        values().into_iter().map(|(section, key)| (section.header.to_owned(), key.to_owned())).collect();
    wrong.extend(told.keys().filter(|key| !known.contains(key)).map(|key| format!("{key:?} is no key")));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn nothing_is_different_from_itself_and_channels_come_and_go() {
    assert_eq!(differences(NEWS, NEWS), []);
    let two = format!("{NEWS}[[channel]]\nname = \"late\"\n[[channel]]\nname = \"live/*\"\n");
    let found: Vec<(Option<String>, String)> =
        differences(NEWS, &two).into_iter().map(|difference| (difference.channel, difference.after)).collect();
    assert_eq!(found, [(Some("late".into()), "added".into()), (Some("*".into()), "added".into())]);
    assert!(differences(&two, NEWS).iter().all(|difference| difference.before == "removed" && difference.effect == Effect::Live));
}

#[test]
fn no_difference_tells_a_secret() {
    for (section, key) in [("[[channel]]", "stream_key"), ("[channel.srt]", "passphrase"), ("[[channel.feeds]]", "passphrase")] {
        let [before, after] = example(section, key).map(|text| text.replace("one", "hunter2-one").replace("0123456789", "hunter2-0123"));
        let text = format!("{:?}", differences(&before, &after));
        assert!(!text.contains("hunter2") && text.contains("effect"), "{text}");
    }
}

#[test]
fn what_waits_for_a_restart_stays_as_it_is_and_the_rest_does_not() {
    for (section, key) in values().into_iter().filter(|(section, _)| section.header != "[[certificate]]") {
        let [before, after] = example(section.header, key).map(|text| plan(&text));
        let waits = diff(&before, &after).iter().any(|difference| difference.effect == Effect::ProcessRestart);
        let taken = without_restart(&before, after.clone());
        assert_eq!(taken, if waits { before } else { after }, "{} {key}", section.header);
    }
}

#[test]
fn channels_in_files_of_their_own_are_part_of_the_whole_and_their_mistakes_are_found_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("main.toml");
    std::fs::write(&file, NEWS.trim_end()).unwrap();
    let overlay = |text: &str| Overlay { file: "late.toml".into(), channel: "late".into(), text: text.into() };
    let load = |text: &str| SourceText::read(Some(&file)).unwrap().plan(&[overlay(text)], &Overrides::default());
    let whole = load("[[channel]]\nname = \"late\"\n").unwrap();
    assert_eq!(whole.channels.iter().map(|channel| channel.name.as_str()).collect::<Vec<_>>(), ["news", "late"]);
    let report = load("[[channel]]\nname = \"late\"\ngop = \"9h\"\n").unwrap_err().to_string();
    assert!(report.starts_with("late.toml:3:7: channel[1].gop"), "{report}");
    for wrong in ["[[channel]]\nname = \"other\"\n", "state_dir = \"/x\"\n[[channel]]\nname = \"late\"\n", "listen = ", ""] {
        assert!(load(wrong).unwrap_err().to_string().starts_with("late.toml: "), "{wrong}");
    }
}
