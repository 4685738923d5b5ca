//! Whatever stands in a file, the answer is a plan that holds together or a report.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{Overrides, Plan};
use super::{plan, plan_with};
use crate::channel::plan::{FeedPlan, Idle, LadderPlan, StreamKey, Watch};

/// What every plan promises to the rest of the appliance.
fn check(plan: &Plan) {
    let names: BTreeSet<&str> = plan.channels.iter().map(|channel| channel.name.as_str()).collect();
    let published = || plan.channels.iter().flat_map(|channel| &channel.feeds).filter_map(FeedPlan::key).map(StreamKey::reveal);
    let keys: BTreeSet<&str> = published().collect();
    assert_eq!((names.len(), keys.len()), (plan.channels.len(), published().count()));
    assert!(!keys.contains("") && !names.contains(""));
    assert!(!plan.channels.is_empty() || !plan.wildcards.is_empty());
    assert!(plan.publishes_locally() || keys.iter().all(|key| key.len() >= 12));
    for channel in &plan.channels {
        let feeds: BTreeSet<&str> = channel.feeds.iter().map(|feed| feed.name.as_str()).collect();
        assert!((1..=8).contains(&feeds.len()) && feeds.len() == channel.feeds.len() && !feeds.contains("auto"));
        assert_eq!(channel.feeds.iter().find_map(FeedPlan::key).map_or("", StreamKey::reveal), channel.stream_key.reveal());
        assert!(channel.ladder != LadderPlan::Copy || (feeds.len() == 1 && channel.watch == Watch::default()));
    }
    for channel in plan.channels.iter().chain(plan.wildcards.iter().map(|wildcard| wildcard.template())) {
        assert!(channel.gop.0 > 0 && channel.segment.0 > 0 && channel.window.0 >= 3 * channel.segment.0 && channel.hold.0 > 0);
        assert!(channel.ladder == LadderPlan::Copy || channel.segment.0 % channel.gop.0 == 0);
        assert!(channel.formats.cmaf || channel.formats.ts);
        assert!(channel.idle == Idle::Wait || channel.rate.is_some());
        if let LadderPlan::Rungs(rungs) = &channel.ladder {
            assert!((1..=8).contains(&rungs.len()));
            assert!(rungs.iter().all(|rung| rung.width % 2 == 0 && rung.height % 2 == 0 && rung.width.min(rung.height) >= 64));
            assert!(rungs.windows(2).all(|pair| pair[0].bitrate_bps > pair[1].bitrate_bps && pair[0].name != pair[1].name));
        } else {
            assert!(channel.idle == Idle::Wait);
        }
    }
    assert!(!plan.summary().is_empty());
}

/// Values that are right, nearly right, or of another kind.
fn value() -> impl Strategy<Value = String> {
    let words = [
        "\"2s\"",
        "\"1s\"",
        "\"500ms\"",
        "\"6s\"",
        "\"60s\"",
        "\"5m\"",
        "2s",
        "\"4.5M\"",
        "\"800k\"",
        "5000",
        "720",
        "721",
        "25",
        "29.97",
        "\"30000/1001\"",
        "\"copy\"",
        "\"auto\"",
        "\"small\"",
        "\"x\"",
        "\"publish\"",
        "\"pattern\"",
        "\"refuse\"",
        "[\"cmaf\"]",
        "[\"ts\", \"ts\"]",
        "[]",
        "[1, {}]",
        "true",
        "false",
        "\"127.0.0.1:99\"",
        "\"0.0.0.0\"",
        "\"off\"",
        "\"*\"",
        "\"a-*\"",
        "\"abcdefghijklmnop\"",
        "\"never\"",
        "\"auto\"",
        "\"srt://192.0.2.7:9000?latency=200\"",
        "\"udp://:5000\"",
        "16",
        "{ after = \"1s\", freeze = \"off\" }",
        "{ passphrase = \"abcdefghijklmnop\" }",
        "[{}, { stream_key = \"ponmlkjihgfedcba\" }]",
        "{ bitrate = \"96k\" }",
        "1979-05-27",
        "inf",
        "\"\u{10FFFF}\"",
        "\"/var\"",
        "[[",
        "\"\"\"a",
        "-1",
    ];
    proptest::sample::select(words.to_vec()).prop_map(str::to_owned)
}

fn line() -> impl Strategy<Value = String> {
    let keys = [
        "name",
        "stream_key",
        "feed",
        "rate",
        "ladder",
        "formats",
        "gop",
        "segment",
        "window",
        "hold",
        "on_second_publisher",
        "audio",
        "audio.bitrate",
        "trusted_network",
        "max_channels",
        "listen",
        "srt",
        "latency",
        "feeds",
        "source",
        "passphrase",
        "key_length",
        "failover",
        "failover.after",
        "return_after",
        "black",
        "slate",
        "text",
        "file",
        "thumbnails",
        "overload",
        "state_dir",
        "http",
        "rtmp",
        "channel",
        "width",
        "height",
        "bitrate",
        "preset",
        "tune",
        "profile",
        "nmae",
        "ünï",
        "\"a b\"",
    ];
    let headers = [
        "[[channel]]",
        "[[channel]]\nname = \"n1\"",
        "[[channel]]\nname = \"n2\"",
        "[http]",
        "[rtmp]",
        "[[ladder.x]]",
        "[[ladder.x]]\nheight = 720\nbitrate = \"2M\"",
        "[channel.audio]",
        "[srt]",
        "[[channel.feeds]]",
        "[[channel.feeds]]\nname = \"f\"\nstream_key = \"qrstuvwxyz234567\"",
        "[[channel.feeds]]\nsource = \"srt://192.0.2.7:9000\"",
        "[channel.failover]",
        "[channel.srt]",
        "[channel.slate]",
        "[ladder]",
        "[x.y]",
    ];
    let pair = (proptest::sample::select(keys.to_vec()), value()).prop_map(|(key, value)| format!("{key} = {value}"));
    prop_oneof![3 => pair, 2 => proptest::sample::select(headers.to_vec()).prop_map(str::to_owned)]
}

/// A channel of values that are right on their own.
fn channel(index: usize) -> impl Strategy<Value = String> {
    let pick = |words: &[&str]| proptest::sample::select(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let timing = (pick(&["", "gop = \"1s\"\n", "gop = \"2s\"\n"]), pick(&["", "segment = \"4s\"\n"]), pick(&["", "window = \"18s\"\n"]));
    let ladder = pick(&["", "ladder = \"small\"\n", "ladder = \"x\"\n", "ladder = \"copy\"\n"]);
    let rest = (
        pick(&["", "feed = \"pattern\"\n"]),
        pick(&["", "rate = 50\n"]),
        pick(&["", "formats = [\"ts\"]\n"]),
        pick(&["", "stream_key = \"long-enough-key\"\n"]),
        pick(&[
            "",
            "[[channel.feeds]]\n",
            "[[channel.feeds]]\nstream_key = \"key-of-the-main-feed\"\n",
            "[[channel.feeds]]\n[[channel.feeds]]\nsource = \"udp://:5000\"\n",
        ]),
    );
    (timing, ladder, rest).prop_map(move |((gop, segment, window), ladder, (feed, rate, formats, key, feeds))| {
        format!("[[channel]]\nname = \"c{index}\"\n{gop}{segment}{window}{ladder}{feed}{rate}{formats}{key}{feeds}")
    })
}

const LADDER: &str = "[[ladder.x]]\nheight = 480\nbitrate = \"1M\"\n[[ladder.x]]\nheight = 240\nbitrate = \"300k\"\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn lines_in_any_order_give_a_plan_or_a_report(lines in proptest::collection::vec(line(), 0..12), network in any::<bool>(), by_srt in any::<bool>()) {
        let open = |open: bool| open.then(|| "0.0.0.0".to_owned());
        let overrides = Overrides { rtmp: open(network), srt: open(by_srt), ..Overrides::default() };
        match plan_with(&lines.join("\n"), overrides) {
            Ok(plan) => check(&plan),
            Err(report) => prop_assert!(!report.problems().is_empty() && report.to_string().lines().count() > 1),
        }
    }

    #[test]
    fn noise_gives_a_report(text in "[ -~\n\u{e9}\u{10FFFF}]{0,200}") {
        if let Ok(plan) = plan(&text) { check(&plan) }
    }

    #[test]
    fn a_good_file_cut_anywhere_gives_a_plan_or_a_report(cut in 0usize..5000, hole in 0usize..40, failover in any::<bool>()) {
        let text = if failover { include_str!("../../../configs/failover.toml") } else { include_str!("../../../configs/broadcast.toml") };
        let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let rest = (cut + hole..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        for text in [text[..cut].to_owned(), format!("{}{}", &text[..cut], &text[rest..])] {
            if let Ok(plan) = plan(&text) { check(&plan) }
        }
    }

    #[test]
    fn channels_of_right_values_are_mostly_taken(one in channel(1), two in channel(2)) {
        match plan(&format!("{one}{two}{LADDER}")) {
            Ok(plan) => check(&plan),
            Err(report) => {
                // What is right on its own clashes only where two keys of a channel, or two channels, do.
                let clash = |rule: &str| ["copy", "publisher whose pictures", "differ from the key of", "beside", "gets already"].iter().any(|word| rule.contains(word));
                prop_assert!(report.problems().iter().all(|problem| clash(&problem.rule)), "{report}");
            }
        }
    }
}
