//! Feeds, failover, SRT and the slate: every rule with a file that breaks it and one that just keeps it.

use std::fs;
use std::time::Duration;

use super::super::{Overrides, Plan, load};
use super::{plan, plan_with, problems};
use crate::base::Ticks;
use crate::channel::plan::{ChannelPlan, FeedSource, Watch};

/// A channel with these lines.
fn channel(lines: &str) -> String {
    format!("[[channel]]\nname = \"news\"\n{lines}\n")
}

/// A channel with feeds of these lines.
fn feeds(feeds: &[&str]) -> String {
    channel("") + &feeds.iter().map(|lines| format!("[[channel.feeds]]\n{lines}\n")).collect::<String>()
}

fn refused(text: &str, fragment: &str) {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
    assert!(problems[0].contains(fragment), "{text}\n{problems:#?}");
}

fn taken(text: &str) -> Plan {
    plan(text).unwrap_or_else(|report| panic!("{text}\n{report}"))
}

fn news(text: &str) -> ChannelPlan {
    taken(text).channels.remove(0)
}

fn on_network(text: &str) -> Result<Plan, String> {
    plan_with(text, Overrides { srt: Some("0.0.0.0".into()), ..Overrides::default() }).map_err(|report| report.to_string())
}

fn millis(span: i64) -> Option<Ticks> {
    Some(Ticks::from_millis(span))
}

#[test]
fn what_is_not_written_has_its_default() {
    let plan = taken(&channel(""));
    assert_eq!((plan.srt.unwrap().to_string().as_str(), plan.srt_latency), ("127.0.0.1:9000", Ticks::from_millis(120)));
    assert!(plan.publishes_locally());
    let news = &plan.channels[0];
    let [feed] = news.feeds.as_slice() else { panic!("one feed") };
    assert!(feed.name == "publisher" && feed.key().unwrap().matches("news") && news.has_key("news"));
    assert_eq!((news.failover.after, news.failover.return_after), (Duration::from_secs(2), Some(Duration::from_secs(30))));
    let watch = Watch { freeze_after: millis(10_000), black_after: millis(10_000), silence_after: millis(20_000) };
    assert_eq!((news.watch, news.thumbnail_every, news.srt.is_none()), (watch, millis(5000), true));
    assert!(news.slate.file.is_none() && news.slate.text.is_empty());
}

#[test]
fn what_is_written_is_what_is_meant() {
    let plan = taken(
        "srt = { listen = \"[::1]\", latency = \"1s\" }\n[[channel]]\nname = \"news\"\nstream_key = \"K\"\nthumbnails = \"1m\"\n\
         failover = { after = \"500ms\", return_after = \"never\", freeze = \"off\", black = \"2s\", silence = \"off\" }\n\
         srt = { passphrase = \"0123456789\", key_length = 24 }\nslate.text = \"back soon\"\n\
         feeds = [{ source = \"srt://h:1?latency=200\", passphrase = \"a & b = %20 c\" }, { }, { name = \"x\", stream_key = \"L\" }, { source = \"udp://@239.1.1.1:5000\" }]\n",
    );
    assert_eq!((plan.srt.unwrap().to_string().as_str(), plan.srt_latency.as_millis()), ("[::1]:9000", 1000));
    let news = &plan.channels[0];
    let names: Vec<&str> = news.feeds.iter().map(|feed| feed.name.as_str()).collect();
    assert_eq!(names, ["main", "backup", "x", "backup3"]);
    let FeedSource::Pull(first) = &news.feeds[0].source else { panic!("pulled") };
    assert_eq!((first.option("passphrase"), first.number("latency")), (Some("a & b = %20 c"), Some(200)));
    // The channel's key is that of the first feed that is published, wherever it stands.
    assert!(news.feeds[1].key().unwrap().matches("K") && news.stream_key.matches("K") && news.feeds[2].key().unwrap().matches("L"));
    assert!(matches!(&news.feeds[3].source, FeedSource::Pull(address) if address.to_string() == "udp://239.1.1.1:5000"));
    assert_eq!((news.failover.after, news.failover.return_after), (Duration::from_millis(500), None));
    let watch = Watch { freeze_after: None, black_after: millis(2000), silence_after: None };
    assert_eq!((news.watch, news.thumbnail_every, news.slate.text.as_str()), (watch, millis(60_000), "back soon"));
    let security = news.srt.as_ref().unwrap();
    assert_eq!((security.passphrase.reveal(), security.key_bytes), ("0123456789", 24));
}

#[test]
fn feeds_have_names_that_differ() {
    refused(&feeds(&["name = \"Main\""]), "use \"main\"");
    refused(&feeds(&["name = \"auto\""]), "channel[0].feeds[0].name = \"auto\": means that no feed in particular is asked for");
    let keyed = |name: &str| format!("{name}\nstream_key = \"k\"");
    refused(&feeds(&["", &keyed("name = \"main\"")]), "a.toml:7:8: channel[0].feeds[1].name = \"main\": must differ from the names");
    refused(&feeds(&["name = \"backup\"", &keyed("")]), "feeds[1].name: must differ from the names of the channel's other feeds");
    taken(&feeds(&["name = \"a\"", &keyed("name = \"b\"")]));
}

#[test]
fn a_channel_has_eight_feeds_at_most() {
    let pulled: Vec<String> = (0..9).map(|port| format!("source = \"udp://:{}\"", 5000 + port)).collect();
    let pulled: Vec<&str> = pulled.iter().map(String::as_str).collect();
    assert_eq!(taken(&feeds(&pulled[..8])).channels[0].feeds.len(), 8);
    refused(&feeds(&pulled), "channel[0].feeds[8]: is one of 9 feeds, and a channel may have 8");
}

#[test]
fn sources_are_addresses_or_publishers() {
    refused(
        &feeds(&["source = \"rtmp://h/live/x\""]),
        "a.toml:5:10: channel[0].feeds[0].source = \"rtmp://h/live/x\": must begin with srt://",
    );
    refused(&feeds(&["source = \"pubish\""]), "must be \"publish\" or an address");
    refused(&feeds(&["source = 5000"]), "must be \"publish\" or an address");
    refused(&feeds(&["source = \"srt://h:1?latncy=20\""]), "has no option \"latncy\"");
    refused(&channel("feed = \"srt://h:1\""), "feeds are listed below [[channel.feeds]], with an s");
    refused("[[channel]]\nname = \"n\"\n[[channel.feed]]\nname = \"x\"\n", "feeds are listed below [[channel.feeds]], with an s");
    refused(&channel("[channel.feeds]\nname = \"x\""), "write [[channel.feeds]] with two brackets");
}

#[test]
fn keys_are_for_feeds_that_are_published() {
    refused(&feeds(&["", ""]), "channel[0].feeds[1].stream_key: is missing: only the first feed that is published can do without");
    refused(&feeds(&["source = \"udp://:5000\"", "", ""]), "channel[0].feeds[2].stream_key: is missing");
    refused(&feeds(&["source = \"udp://:5000\"\nstream_key = \"s3cret\""]), "stream_key = (hidden): is for feeds that are published");
    let twice = feeds(&["stream_key = \"a\""]).replace("name = \"news\"", "name = \"news\"\nstream_key = \"b\"");
    refused(&twice, "a.toml:3:14: channel[0].stream_key = (hidden): has no meaning beside channel[0].feeds[0].stream_key");
    let pulled = feeds(&["source = \"udp://:5000\""]);
    assert!(taken(&pulled).channels[0].stream_key.reveal().is_empty());
    for line in ["stream_key = \"s3cret\"", "srt.passphrase = \"0123456789\""] {
        refused(
            &pulled.replace("name = \"news\"", &format!("name = \"news\"\n{line}")),
            "is for publishers, and every feed of this channel is pulled",
        );
    }
}

#[test]
fn keys_differ_over_all_feeds_of_all_channels() {
    refused(
        &feeds(&["stream_key = \"a\"", "stream_key = \"a\""]),
        "feeds[1].stream_key = (hidden): must differ from the key of feed \"main\" of channel \"news\"",
    );
    refused(&feeds(&["", "stream_key = \"news\""]), "must differ from the key of feed \"main\"");
    let other = "[[channel]]\nname = \"other\"\n[[channel.feeds]]\n";
    refused(
        &(feeds(&["", "stream_key = \"other\""]) + other),
        "channel[1].stream_key: must differ from the key of feed \"backup\" of channel \"news\"",
    );
    // A channel that is there twice is one mistake.
    let two = feeds(&["stream_key = \"a\"", "stream_key = \"b\""]);
    refused(&(two.clone() + &two), "must differ from the names of the other channels");
}

#[test]
fn every_key_must_be_strong_where_others_can_call() {
    for (lines, fragment) in [
        (["", "stream_key = \"long-enough-key\""], "channel[0].stream_key: must be set where others can publish (0.0.0.0:9000)"),
        (["stream_key = \"long-enough-key\"", "stream_key = \"news\""], "feeds[1].stream_key = (hidden): must not be a channel's name"),
        (["stream_key = \"long-enough-key\"", "stream_key = \"elevenchars\""], "feeds[1].stream_key = (hidden): must have at least 12"),
        (
            ["stream_key = \"example-4f7a1c55\"", "stream_key = \"long-enough-key\""],
            "feeds[0].stream_key = (hidden): must not be an example",
        ),
    ] {
        let report = on_network(&feeds(&lines)).unwrap_err();
        assert!(report.contains(fragment) && report.ends_with("1 problem in a.toml"), "{report}");
        taken(&feeds(&lines));
    }
    let passphrase = channel("stream_key = \"long-enough-key\"\nsrt.passphrase = \"example-passphrase\"");
    assert!(on_network(&passphrase).unwrap_err().contains("srt.passphrase = (hidden): must not be an example"));
    assert!(!on_network(&channel("stream_key = \"long-enough-key\"")).unwrap().publishes_locally());
    let made = Overrides { srt: Some("0.0.0.0".into()), generate_keys: true, ..Overrides::default() };
    let plan = plan_with(&feeds(&["source = \"udp://:5000\"", ""]), made).unwrap();
    assert!(plan.generated_keys == ["news"] && plan.channels[0].feeds[1].key() == Some(&plan.channels[0].stream_key));
}

#[test]
fn passphrases_are_for_srt() {
    let srt = "source = \"srt://h:1\"";
    refused(&feeds(&["passphrase = \"0123456789\""]), "what publishers encrypt with is the passphrase of [channel.srt]");
    refused(&feeds(&["source = \"udp://:5000\"\npassphrase = \"0123456789\""]), "is for a source that begins with srt://");
    refused(&feeds(&["source = \"srt://h:1?passphrase=0123456789\"\npassphrase = \"0123456789\""]), "stands in the source's options too");
    refused(&feeds(&[&format!("{srt}\npassphrase = \"short\"")]), "must be 10 to 79 bytes");
    refused(&channel("srt.key_length = 32"), "srt.key_length = 32: says nothing without a passphrase");
    for (wrong, remedy) in [("128", "write 16 for AES-128"), ("\"16\"", "leave the quotes out"), ("8", "use 16")] {
        refused(&channel(&format!("srt = {{ passphrase = \"0123456789\", key_length = {wrong} }}")), remedy);
    }
    assert_eq!(news(&channel("srt.passphrase = \"0123456789\"")).srt.unwrap().key_bytes, 16);
}

#[test]
fn secrets_are_never_printed() {
    for lines in [
        "source = \"srt://h:1?passphrase=s3cret\"",
        "source = \"srt://h:1?passphrase=0123456789&s3cret=1\"",
        "source = \"srt://h:1?s3cret%\"",
        "source = \"srt://u:s3cret@h:1\"",
        "source = \"srt://h:1\"\npassphrase = \"s3cret\"",
        "source = [\"srt://h:1?passphrase=s3cret\"]",
        "passphrase = \"s3cret-s3cret\"",
        "pasphrase = \"s3cret\"",
        "stream_key = \"s3 cret\"",
        "[[channel]]\nname = \"b\"\nfeed = \"srt://h:1?passphrase=s3cret\"",
    ] {
        let said = problems(&feeds(&[lines])).join("\n");
        assert!(!said.is_empty() && !said.contains("s3"), "{said}");
    }
    let plan = taken(
        &(channel("srt.passphrase = \"s3cret-s3cret\"\nstream_key = \"s3cret\"")
            + "[[channel.feeds]]\n[[channel.feeds]]\nsource = \"srt://h:1?streamid=s3cret\"\npassphrase = \"s3cret-s3cret\"\n"),
    );
    let text = format!("{plan:?} {}", plan.summary());
    assert!(!text.contains("s3cret"), "{text}");
    assert!(text.contains("  feed     backup   srt://h:1, encrypted\n"), "{text}");
}

#[test]
fn a_port_for_datagrams_has_one_receiver() {
    let second = |source: &str| feeds(&["source = \"udp://:5000\"", &format!("source = \"{source}\"")]);
    refused(
        &second("rtp://127.0.0.1:5000"),
        "feeds[1].source = \"rtp://127.0.0.1:5000\": is an address whose datagrams channel[0].feeds[0].source gets already",
    );
    refused(&feeds(&["source = \"udp://127.0.0.1:9000\""]), "is an address whose datagrams srt.listen gets already; use another port");
    taken(&second("udp://:5001"));
    taken(&second("srt://127.0.0.1:5000"));
    taken(&feeds(&["source = \"udp://@239.1.1.1:5000\"", "source = \"udp://@239.1.1.1:5000\"", "source = \"udp://:5000\""]));
}

#[test]
fn a_channel_that_nobody_can_feed_is_refused() {
    let off = "rtmp.listen = \"off\"\nsrt.listen = \"off\"\n".to_owned();
    refused(&(off.clone() + &channel("")), "is \"publish\", but nobody can publish while rtmp.listen and srt.listen are \"off\"");
    refused(&(off.clone() + &feeds(&[""])), "channel[0].feed: is \"publish\", but nobody can publish");
    taken(&("rtmp.listen = \"off\"\n".to_owned() + &channel("")));
    taken(&("srt.listen = \"off\"\n".to_owned() + &channel("")));
    taken(&(off + &feeds(&["source = \"udp://:5000\""])));
}

#[test]
fn spans_have_ranges_and_words() {
    for (line, fragment) in [
        ("failover.after = \"100ms\"", "must be from 200ms to 60s; use \"200ms\" or more"),
        ("failover.after = \"61s\"", "use \"60s\" or less"),
        ("failover.return_after = \"500ms\"", "must be from 1s to 3600s"),
        ("failover.return_after = \"off\"", ", or \"never\""),
        ("failover.freeze = \"never\"", ", or \"off\""),
        ("failover.black = false", "write \"off\""),
        ("failover.silence = \"11m\"", "must be from 1s to 600s"),
        ("thumbnails = \"100ms\"", "must be from 1s to 3600s"),
        ("failover.timeout = \"2s\"", "did you mean after?"),
        ("slate.text = \"one\\ntwo\"", "must be one line of 1 to 80 characters"),
    ] {
        refused(&channel(line), fragment);
    }
    refused(&("srt.latency = \"10ms\"\n".to_owned() + &channel("")), "srt.latency = \"10ms\": must be from 20ms to 60s");
    taken(&channel("thumbnails = \"1h\"\nfailover = { after = \"60s\", return_after = \"1h\", freeze = \"10m\" }"));
}

#[test]
fn copy_channels_and_wildcards_have_one_feed_as_it_is() {
    let copied = |lines: &str| channel(&format!("ladder = \"copy\"\n{lines}"));
    let plan = news(&copied(""));
    assert_eq!((plan.watch, plan.thumbnail_every), (Watch::default(), None));
    for line in ["failover.after = \"1s\"", "failover.black = \"off\"", "slate.text = \"x\"", "thumbnails = \"5s\""] {
        refused(&copied(line), "has no meaning with ladder = \"copy\"");
    }
    let one = "[[channel.feeds]]\nsource = \"udp://:5000\"\n";
    taken(&copied(one));
    refused(&copied(&format!("{one}[[channel.feeds]]\n")), "channel[0].feeds[1]: is a second feed, but with ladder = \"copy\"");
    refused("[[channel]]\nname = \"*\"\n[[channel.feeds]]\n", "channel[0].feeds[0]: has no meaning on a wildcard");
    let wild = taken("[[channel]]\nname = \"*\"\nsrt.passphrase = \"0123456789\"\nfailover.freeze = \"off\"\n");
    let template = wild.wildcards[0].template();
    assert!(template.srt.is_some() && template.watch.freeze_after.is_none());
}

#[test]
fn a_slate_is_a_file_or_a_text() {
    assert_eq!(news(&channel("slate.file = \"nowhere.png\"")).slate.file.unwrap().to_str(), Some("nowhere.png"));
    refused(&channel("slate = { file = \"a.png\", text = \"x\" }"), "slate.text = \"x\": is painted over the plain slate or the pattern");
    refused(&channel("feed = \"pattern\"\nslate.file = \"a.png\""), "has no meaning with feed = \"pattern\"");
    taken(&channel("feed = \"pattern\"\nslate.text = \"x\""));
}

#[test]
fn the_slates_file_is_looked_up_beside_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    let said = |slate: &str| {
        fs::write(&file, channel(&format!("slate.file = \"{slate}\""))).unwrap();
        load(&file, &Overrides { state_dir: Some("/state".into()), ..Overrides::default() })
    };
    let missing = said("pictures/back.png").unwrap_err().to_string();
    let expected = format!(
        "a.toml:3:14: channel[0].slate.file = \"pictures/back.png\": cannot be read as {}: No such file",
        dir.path().join("pictures/back.png").display()
    );
    assert!(missing.contains(&expected) && missing.contains("begins at the folder of this file"), "{missing}");
    fs::create_dir(dir.path().join("pictures")).unwrap();
    assert!(said("pictures").unwrap_err().to_string().contains("it is not a file"));
    let picture = dir.path().join("pictures/back.png");
    fs::write(&picture, "").unwrap();
    assert!(said("pictures/back.png").unwrap_err().to_string().contains("it is empty"));
    fs::write(&picture, "picture").unwrap();
    for slate in ["pictures/back.png", picture.to_str().unwrap()] {
        assert_eq!(said(slate).unwrap().channels[0].slate.file.as_ref(), Some(&picture));
    }
}
