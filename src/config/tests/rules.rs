//! Every rule with a file that breaks it and one that just keeps it.

use super::super::{Overrides, Plan, random_key};
use super::{plan, plan_with, problems};
use crate::base::Rate;
use crate::channel::plan::{Idle, LadderPlan, SecondPublisher};
use crate::media::VideoCodec;
use crate::placement::{DevicePolicy, DeviceWish, GpuChoice};

/// A channel with these lines.
fn channel(lines: &str) -> String {
    format!("[[channel]]\nname = \"news\"\n{lines}\n")
}

fn refused(text: &str, fragment: &str) {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
    assert!(problems[0].contains(fragment), "{text}\n{problems:#?}");
}

fn taken(text: &str) -> Plan {
    plan(text).unwrap_or_else(|report| panic!("{text}\n{report}"))
}

fn on_network(text: &str) -> Result<Plan, String> {
    plan_with(text, Overrides { rtmp: Some("0.0.0.0".into()), ..Overrides::default() }).map_err(|report| report.to_string())
}

#[test]
fn what_is_not_written_has_its_default() {
    let plan = taken(&channel(""));
    assert_eq!((plan.http.to_string(), plan.rtmp.unwrap().to_string()), ("127.0.0.1:8080".into(), "127.0.0.1:1935".into()));
    let news = &plan.channels[0];
    assert!(news.stream_key.matches("news") && news.idle == Idle::Wait && news.rate.is_none() && news.ladder == LadderPlan::Auto);
    assert_eq!([news.gop, news.segment, news.window, news.hold].map(|span| span.as_millis()), [2000, 6000, 60_000, 1000]);
    assert!(news.formats.cmaf && news.formats.ts && news.second_publisher == SecondPublisher::Refuse && news.audio.bitrate_bps == 128_000);
}

#[test]
fn what_is_written_is_what_is_meant() {
    let text = "state_dir = \"/s\"\nhttp.listen = \":80\"\nrtmp = { listen = \"[::1]\" }\n".to_owned()
        + &channel(
            "stream_key = \"K\"\nfeed = \"pattern\"\nrate = \"30000/1001\"\nladder = \"x\"\nformats = [\"ts\"]\ngop = \"1s\"\nsegment = \"3s\"\nwindow = \"9s\"\nhold = \"2s\"\non_second_publisher = \"replace\"\naudio.bitrate = \"96k\"",
        )
        + "[[ladder.x]]\nname = \"hd\"\nwidth = 960\nheight = 720\nbitrate = 2000000\npreset = \"fast\"\ntune = \"film\"\nprofile = \"main\"\n";
    let plan = super::super::parse("a.toml", &text, &Overrides::default()).unwrap();
    assert_eq!((plan.http.to_string(), plan.rtmp.unwrap().to_string()), ("0.0.0.0:80".into(), "[::1]:1935".into()));
    assert_eq!(plan.state_dir.to_str(), Some("/s"));
    let news = &plan.channels[0];
    assert!(news.stream_key.matches("K") && news.idle == Idle::Pattern && news.rate == Some(Rate::new(30_000, 1001)));
    assert_eq!([news.gop, news.segment, news.window, news.hold].map(|span| span.as_millis()), [1000, 3000, 9000, 2000]);
    assert!(!news.formats.cmaf && news.formats.ts && news.second_publisher == SecondPublisher::Replace && news.audio.bitrate_bps == 96_000);
    let LadderPlan::Rungs(rungs) = &news.ladder else { panic!("{news:?}") };
    let hd = &rungs[0];
    assert_eq!((hd.name.as_str(), hd.width, hd.height, hd.bitrate_bps, hd.vbv_rate_bps), ("hd", 960, 720, 2_000_000, 2_140_000));
    assert_eq!((hd.preset.as_str(), hd.tune.as_str(), hd.profile.as_str()), ("fast", "film", "main"));
}

#[test]
fn inline_tables_are_tables() {
    let plan = taken(
        "channel = [{ name = \"a\", ladder = \"x\" }, { name = \"b\", audio = { bitrate = \"64k\" } }]\nladder.x = [{ height = 720, bitrate = \"2M\" }]\n",
    );
    assert_eq!(plan.channels.len(), 2);
    assert_eq!(plan.channels[1].audio.bitrate_bps, 64_000);
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    refused(&channel("segmnt = \"2s\""), "a.toml:3:1: channel[0].segmnt: is not a known key; did you mean segment?");
    refused(&channel("color = 1"), "channel[0].color: is not a known key; [[channel]] may have name, stream_key,");
    refused(&("[htttp]\n".to_owned() + &channel("")), "a.toml:1:2: htttp: is not a known key; did you mean http?");
    refused(&(channel("") + "[http]\nport = 80\n"), "http.port: is not a known key; did you mean listen?");
    refused(&channel("audio.codec = \"aac\""), "channel[0].audio.codec: is not a known key; [channel.audio] may have bitrate");
    refused(&(channel("") + "[[ladder.x]]\nheight = 720\nbitrate = \"2M\"\nfps = 25\n"), "ladder.x[0].fps: is not a known key");
}

#[test]
fn things_of_the_wrong_kind_are_refused() {
    refused("[channel]\nname = \"x\"\n", "a.toml:1:1: channel: must be a list of tables; write [[channel]] with two brackets");
    refused(&("http = \"127.0.0.1:80\"\n".to_owned() + &channel("")), "http = \"127.0.0.1:80\": must be a table; write [http]");
    refused(&channel("formats = \"cmaf\""), "must be a list; write for example formats = [\"cmaf\", \"ts\"]");
    refused(&channel("formats = [\"cmaf\", 7]"), "a.toml:3:20: channel[0].formats[1] = 7: must be");
    refused(&channel("gop = 2"), "write \"2s\" if seconds are meant");
    refused(&channel("audio = \"96k\""), "must be a table");
    refused(&("ladder = \"standard\"\n".to_owned() + &channel("")), "must be tables with names");
    refused(&(channel("") + "[ladder.x]\nheight = 720\n"), "write [[ladder.x]] with two brackets");
    refused("channel = [{ name = \"x\" }, 5]\n", "must be a list of tables");
}

#[test]
fn a_file_needs_channels_but_not_too_many() {
    refused("", "a.toml:1:1: channel: is missing: there is nothing to put on the air");
    refused("channel = []", "channel: is missing: there is nothing to put on the air");
    let many = |count: usize| (0..count).map(|index| format!("[[channel]]\nname = \"c{index}\"\n")).collect::<String>();
    assert_eq!(taken(&many(256)).channels.len(), 256);
    refused(&many(257), "has 257 tables, and may have 256");
}

#[test]
fn channels_need_names_that_differ() {
    refused("[[channel]]\nrate = 25\n", "a.toml:1:1: channel[0].name: is missing");
    refused("[[channel]]\nname = \"News\"\n", "use \"news\"");
    refused(&(channel("") + &channel("stream_key = \"b\"")), "a.toml:5:8: channel[1].name = \"news\": must differ from the names");
    refused(&(channel("") + &channel("")), "must differ from the names");
    refused("[[channel]]\nname = \"a*b\"\n", "must be 1 to 64 of a-z");
    refused("[[channel]]\nname = \"A*\"\n", "with at most a-z, 0-9, _ and - before it");
    refused("[[channel]]\nname = \"*\"\n[[channel]]\nname = \"live/*\"\n", "must differ from the names");
}

#[test]
fn stream_keys_differ_and_are_never_printed() {
    let two = |one: &str, two: &str| format!("[[channel]]\nname = \"a\"\n{one}\n[[channel]]\nname = \"b\"\n{two}\n");
    refused(
        &two("stream_key = \"s3cret\"", "stream_key = \"s3cret\""),
        "channel[1].stream_key = (hidden): must differ from the key of channel \"a\"",
    );
    refused(&two("stream_key = \"b\"", ""), "channel[1].stream_key: must differ from the key of channel \"a\"");
    for wrong in ["\"s3 cret\"", "[\"s3cret\"]", "{ s3cret = 1 }", "s3cret"] {
        let said = problems(&channel(&format!("stream_key = {wrong}"))).join("\n");
        assert!(!said.is_empty() && !said.contains("s3"), "{said}");
    }
    let misspelt = problems(&channel("stream_kee = \"s3cret\"")).join("\n");
    assert!(misspelt.contains("did you mean stream_key") && !misspelt.contains("s3cret"), "{misspelt}");
    assert!(!format!("{:?}", taken(&channel("stream_key = \"s3cret\""))).contains("s3cret"));
    assert!(!taken(&channel("stream_key = \"s3cret\"")).summary().contains("s3cret"));
}

#[test]
fn keys_must_be_strong_where_others_can_try() {
    for (line, fragment) in [
        ("", "channel[0].stream_key: must be set where others can publish (0.0.0.0:1935)"),
        ("stream_key = \"news\"", "must not be a channel's name"),
        ("stream_key = \"elevenchars\"", "must have at least 12 characters"),
        ("stream_key = \"example-4f7a1c55\"", "must not be an example"),
    ] {
        let report = on_network(&channel(line)).unwrap_err();
        assert!(report.contains(fragment) && report.ends_with("1 problem in a.toml"), "{report}");
        taken(&channel(line));
    }
    assert!(on_network(&channel("stream_key = \"twelve-chars\"")).is_ok());
    assert!(on_network(&channel(&format!("stream_key = \"{}\"", random_key()))).is_ok());
    // The listener counts, not what the file says of it.
    let open = "[rtmp]\nlisten = \"192.0.2.1\"\n".to_owned() + &channel("");
    assert!(plan(&open).is_err());
    assert!(plan_with(&open, Overrides { rtmp: Some("[::ffff:127.0.0.1]:1".into()), ..Overrides::default() }).is_ok());
    assert!(plan_with(&channel("feed = \"pattern\""), Overrides { rtmp: Some("off".into()), ..Overrides::default() }).is_ok());
}

#[test]
fn wildcards_are_for_trusted_networks() {
    let text = "[[channel]]\nname = \"studio-*\"\n";
    let report = on_network(text).unwrap_err();
    assert!(report.contains("a.toml:2:8: channel[0].name = \"studio-*\": lets everybody publish who reaches 0.0.0.0:1935"), "{report}");
    assert!(on_network(&format!("{text}trusted_network = true\n")).is_ok());
    assert!(on_network(&format!("{text}trusted_network = false\n")).is_err());
    assert_eq!(taken(text).wildcards[0].max_channels, 16);
    refused(&format!("{text}max_channels = 0\n"), "must be a whole number from 1 to 256; use 1");
    refused(&format!("{text}stream_key = \"x\"\n"), "has no meaning on a wildcard");
    refused(&format!("{text}feed = \"pattern\"\n"), "must be \"publish\" for a wildcard");
    refused(&channel("trusted_network = true"), "belongs to wildcards");
    refused(&channel("max_channels = 3"), "belongs to wildcards");
}

#[test]
fn a_wildcard_has_a_template_and_a_limit() {
    let text = channel("stream_key = \"secret\"")
        + "[[channel]]\nname = \"live/*\"\ngop = \"1s\"\n[[channel]]\nname = \"studio-*\"\nmax_channels = 2\n";
    let plan = taken(&text);
    let [live, studio] = plan.wildcards.as_slice() else { panic!("{:?}", plan.wildcards) };
    assert_eq!((live.pattern().as_str(), live.template().gop.as_millis()), ("*", 1000));
    assert_eq!((studio.pattern().as_str(), studio.max_channels), ("studio-*", 2));
    assert!(taken(&channel("")).wildcards.is_empty());
}

#[test]
fn ports_of_listeners_must_not_overlap() {
    refused(&("[http]\nlisten = \"0.0.0.0:1935\"\n".to_owned() + &channel("")), "a.toml:2:10: http.listen = \"0.0.0.0:1935\": overlaps");
    let both = Overrides { http: Some(":9000".into()), rtmp: Some("localhost:9000".into()), ..Overrides::default() };
    let report = plan_with(&channel(""), both).unwrap_err().to_string();
    assert!(report.starts_with("--rtmp \"localhost:9000\": overlaps"), "{report}");
    let zero = Overrides { http: Some("127.0.0.1:0".into()), rtmp: Some("127.0.0.1:0".into()), ..Overrides::default() };
    assert!(plan_with(&channel(""), zero).is_ok());
}

#[test]
fn the_command_line_is_checked_like_the_file() {
    let wrong = Overrides { http: Some("example.org".into()), ..Overrides::default() };
    let report = plan_with(&channel("gop = 2"), wrong).unwrap_err().to_string();
    assert!(report.contains("--http \"example.org\": must be an IP address and a port") && report.contains("2 problems"), "{report}");
    let wrong_in_file = "[http]\nlisten = \"nonsense\"\n".to_owned() + &channel("");
    refused(&wrong_in_file, "http.listen");
    let relative = Overrides { state_dir: Some("here".into()), ..Overrides::default() };
    assert_eq!(plan_with(&channel(""), relative).unwrap().state_dir.to_str(), Some("here"));
    refused("state_dir = \"here\"\n[[channel]]\nname = \"a\"\n", "must be a path from the root");
}

#[test]
fn a_channel_that_nobody_can_feed_is_refused() {
    let off = "[rtmp]\nlisten = \"off\"\n[srt]\nlisten = \"off\"\n".to_owned();
    refused(&(off.clone() + &channel("")), "a.toml:5:1: channel[0].feed: is \"publish\", but nobody can publish");
    assert!(taken(&(off + &channel("feed = \"pattern\""))).rtmp.is_none());
}

#[test]
fn the_pattern_has_no_size_or_rate_of_its_own() {
    let plan = taken(&channel("feed = \"pattern\""));
    assert_eq!(plan.channels[0].rate, Some(Rate::new(25, 1)));
    assert!(matches!(&plan.channels[0].ladder, LadderPlan::Rungs(rungs) if rungs.len() == 2));
    for ladder in ["auto", "copy"] {
        refused(&channel(&format!("feed = \"pattern\"\nladder = \"{ladder}\"")), "needs a publisher whose pictures set the sizes");
    }
    refused(&channel("feed = \"patern\""), "use \"pattern\"");
    refused(&channel("rate = 26"), "use 25");
}

#[test]
fn a_copy_channel_makes_nothing() {
    assert_eq!(taken(&channel("ladder = \"copy\"\nsegment = \"5s\"")).channels[0].ladder, LadderPlan::Copy);
    for line in ["gop = \"2s\"", "rate = 25", "hold = \"1s\"", "audio.bitrate = \"96k\""] {
        refused(&channel(&format!("ladder = \"copy\"\n{line}")), "has no meaning with ladder = \"copy\"");
    }
}

#[test]
fn segments_are_whole_gops_and_windows_hold_three() {
    let spans = |lines: &str| {
        let plan = taken(&channel(lines));
        [plan.channels[0].segment, plan.channels[0].window].map(|span| span.as_millis())
    };
    assert_eq!(spans("gop = \"4s\""), [8000, 60_000]);
    assert_eq!(spans("gop = \"10s\"\nsegment = \"30s\""), [30_000, 90_000]);
    assert_eq!(spans("gop = \"0.5s\"\nsegment = \"1s\"\nwindow = \"3s\""), [1000, 3000]);
    refused(&channel("segment = \"3s\""), "must be a multiple of the gop of 2s; use \"2s\" or \"4s\"");
    refused(&channel("gop = \"4s\"\nsegment = \"2s\""), "use \"4s\"");
    refused(&channel("segment = \"4s\"\nwindow = \"11s\""), "must hold at least 3 segments, 12s in all; use \"12s\" or more");
    // A mistake in one key is not made to look like one in another.
    refused(&channel("gop = \"banana\"\nsegment = \"3s\""), "banana");
    refused(&channel("segment = \"5s\"\nwindow = \"4s\""), "multiple");
}

#[test]
fn spans_have_ranges() {
    for (line, fragment) in [
        ("gop = \"400ms\"\nsegment = \"2s\"", "must be from 500ms to 10s; use \"500ms\" or more"),
        ("gop = \"11s\"", "use \"10s\" or less"),
        ("gop = \"0.5s\"\nsegment = \"500ms\"", "must be from 1s to 30s"),
        ("segment = \"32s\"", "use \"30s\" or less"),
        ("window = \"31m\"", "must be from 3s to 1800s"),
        ("hold = \"0s\"", "must be from 100ms to 60s"),
        ("hold = \"61s\"", "use \"60s\" or less"),
    ] {
        refused(&channel(line), fragment);
    }
    taken(&channel("gop = \"500ms\"\nsegment = \"1s\"\nwindow = \"30m\"\nhold = \"100ms\""));
    taken(&channel("gop = \"10s\"\nsegment = \"30s\"\nhold = \"60s\""));
    refused(&channel("audio.bitrate = \"8k\""), "must be from 16k to 512k; use \"16k\"");
    refused(&channel("audio.bitrate = \"1M\""), "use \"512k\"");
}

#[test]
fn formats_are_a_list_of_different_ones() {
    refused(&channel("formats = []"), "must name at least one format");
    refused(&channel("formats = [\"ts\", \"ts\"]"), "a.toml:3:18: channel[0].formats[1] = \"ts\": is in the list already");
    refused(&channel("formats = [\"hls\"]"), "must be \"cmaf\" or \"ts\"");
    refused(&channel("on_second_publisher = \"kick\""), "must be \"refuse\" or \"replace\"");
}

/// A channel with a ladder of these rungs.
fn ladder(rungs: &[&str]) -> String {
    channel("ladder = \"x\"") + &rungs.iter().map(|rung| format!("[[ladder.x]]\n{rung}\n")).collect::<String>()
}

#[test]
fn ladders_are_found_by_name() {
    refused(&channel("ladder = \"standart\""), "must be one of auto, copy, small, standard; use \"standard\"");
    refused(&channel("ladder = \"mine\""), "describe yours below [[ladder.NAME]]");
    refused(&(channel("") + "[[ladder.copy]]\nheight = 720\nbitrate = \"2M\"\n"), "is a name that headend has given already");
    refused(&(channel("") + "[[ladder.small]]\nheight = 720\nbitrate = \"2M\"\n"), "use another, for example \"my-small\"");
    refused(&(channel("") + "[[ladder.HD]]\nheight = 720\nbitrate = \"2M\"\n"), "ladder.HD: must be 1 to 64 of");
    refused(&("ladder.x = []\n".to_owned() + &channel("ladder = \"x\"")), "a.toml:1:8: ladder.x: has 0 rungs, and must have 1 to 8");
}

#[test]
fn rungs_need_a_size_and_a_sane_bitrate() {
    taken(&ladder(&["height = 64\nbitrate = \"50k\""]));
    taken(&ladder(&["height = 4096\nwidth = 4096\nbitrate = \"20M\""]));
    refused(&ladder(&["bitrate = \"2M\""]), "a.toml:4:1: ladder.x[0].height: is missing");
    refused(&ladder(&["height = 720"]), "ladder.x[0].bitrate: is missing; add for example bitrate = \"2.8M\"");
    refused(&ladder(&["height = 719\nbitrate = \"2M\""]), "must be even, because colour is coded at half the size; use 718 or 720");
    refused(&ladder(&["height = 720\nwidth = 1281\nbitrate = \"2M\""]), "use 1280 or 1282");
    refused(&ladder(&["height = 62\nbitrate = \"2M\""]), "must be a whole number from 64 to 4096; use 64");
    refused(&ladder(&["height = 720\nwidth = 5000\nbitrate = \"2M\""]), "use 4096");
    refused(&ladder(&["height = 720\nbitrate = 2800"]), "must be from 180k to 46M at 1280x720; write \"2800k\" if kbit/s are meant");
    refused(&ladder(&["height = 720\nbitrate = \"1k\""]), "use at least \"180k\"");
    refused(&ladder(&["height = 720\nbitrate = \"280M\""]), "use at most \"46M\"");
    refused(&ladder(&["height = 720\nbitrate = \"2M\"\npreset = \"veryfat\""]), "use \"veryfast\"");
    refused(&ladder(&["height = 720\nbitrate = \"2M\"\ntune = \"movie\""]), "must be \"film\" or");
    refused(&ladder(&["height = 720\nbitrate = \"2M\"\nprofile = \"high10\""]), "must be \"high\" or \"main\" or \"baseline\"");
}

#[test]
fn rungs_are_listed_largest_first_under_different_names() {
    let (hd, sd) = ("height = 720\nbitrate = \"2M\"", "height = 360\nbitrate = \"600k\"");
    taken(&ladder(&[hd, sd]));
    refused(&ladder(&[sd, hd]), "a.toml:8:10: ladder.x[1].height = 720: must come before 360p: rungs are listed largest first");
    refused(&ladder(&[hd, "height = 360\nbitrate = \"2M\""]), "must be less than the 2M of 720p before it");
    refused(&ladder(&[hd, "height = 720\nbitrate = \"1M\""]), "must differ from the other rungs' names, and \"720p\" is there already");
    taken(&ladder(&[hd, "name = \"720p-low\"\nheight = 720\nbitrate = \"1M\""]));
    refused(
        &ladder(&["name = \"audio\"\nheight = 720\nbitrate = \"2M\""]),
        "stands for something else in addresses; use for example \"720p\"",
    );
    refused(&ladder(&["name = \"7 20\"\nheight = 720\nbitrate = \"2M\""]), "use \"7-20\"");
    let many =
        |count: u32| (0..count).map(|index| format!("height = {}\nbitrate = \"{}k\"", 1080 - 2 * index, 5000 - index)).collect::<Vec<_>>();
    let as_ladder = |rungs: Vec<String>| ladder(&rungs.iter().map(String::as_str).collect::<Vec<_>>());
    taken(&as_ladder(many(8)));
    refused(&as_ladder(many(9)), "has 9 rungs, and must have 1 to 8");
}

#[test]
fn devices_are_wished_for_in_general_and_by_channel() {
    let text = "[devices]\ndevice = \"require\"\ngpu = 1\nreturn_after = \"1m\"\n".to_owned()
        + &channel("device = \"prefer\"\ngpu = \"GPU-5d2c1a90\"")
        + "[[channel]]\nname = \"other\"\n";
    let plan = taken(&text);
    assert!(plan.devices.nvidia && plan.devices.return_after.as_secs() == 60);
    let (news, other) = (&plan.channels[0].device, &plan.channels[1].device);
    assert_eq!((news.policy, &news.gpu), (DevicePolicy::Prefer, &GpuChoice::Uuid("GPU-5d2c1a90".into())));
    assert_eq!((other.policy, &other.gpu), (DevicePolicy::Require, &GpuChoice::Ordinal(1)));
    let plan = taken(&channel(""));
    assert!(plan.devices.nvidia && plan.devices.return_after.as_secs() == 30 && plan.channels[0].device == DeviceWish::default());
}

#[test]
fn what_no_device_can_give_is_refused_with_the_remedy() {
    refused(&channel("device = \"gpu\""), "must be \"prefer\" or \"require\" or \"software\"");
    refused(
        &channel("device = \"software\"\ngpu = 0"),
        "a.toml:4:7: channel[0].gpu = 0: has no meaning with device = \"software\"; remove it",
    );
    let off = "[devices]\nnvidia = \"off\"\n".to_owned();
    refused(&(off.clone() + &channel("device = \"require\"")), "a.toml:5:10: channel[0].device = \"require\": needs a device, and");
    refused(
        &("devices = { nvidia = \"off\", device = \"require\" }\n".to_owned() + &channel("")),
        "use device = \"software\", or nvidia = \"auto\"",
    );
    refused(&channel("ladder = \"copy\"\ndevice = \"prefer\""), "has no meaning with ladder = \"copy\"");
    refused(&("[devices]\nreturn_after = \"0s\"\n".to_owned() + &channel("")), "must be from 1s to 3600s");
    let hevc = "height = 720\nbitrate = \"2M\"\ncodec = \"hevc\"";
    refused(
        &(off + &ladder(&[hevc])),
        "channel[0].ladder = \"x\": has rung 720p coded as hevc, which software does not make, and devices.nvidia is \"off\"",
    );
    refused(
        &ladder(&[hevc]).replace("ladder = \"x\"", "ladder = \"x\"\ndevice = \"software\""),
        "use codec = \"h264\" for it, or let a device in",
    );
}

#[test]
fn the_codec_of_a_rung_decides_its_profiles() {
    let rung = |lines: &str| {
        let plan = taken(&ladder(&[&format!("height = 720\nbitrate = \"2M\"\n{lines}")]));
        let LadderPlan::Rungs(rungs) = &plan.channels[0].ladder else { panic!("rungs") };
        (rungs[0].codec, rungs[0].profile.clone())
    };
    assert_eq!(rung(""), (VideoCodec::H264, "high".into()));
    assert_eq!(rung("codec = \"hevc\""), (VideoCodec::Hevc, "main".into()));
    assert_eq!(rung("codec = \"av1\"\nprofile = \"main10\""), (VideoCodec::Av1, "main10".into()));
    refused(&ladder(&["height = 720\nbitrate = \"2M\"\ncodec = \"hevc\"\nprofile = \"high\""]), "must be \"main\" or \"main10\"");
    refused(&ladder(&["height = 720\nbitrate = \"2M\"\ncodec = \"h265\""]), "must be \"h264\" or \"hevc\" or \"av1\"; use \"h264\"");
}
