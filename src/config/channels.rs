//! The rules of one channel, and what it is where the file is silent.

use std::net::SocketAddr;
use std::path::Path;

use crate::base::Rate;
use crate::channel::plan::{ChannelPlan, Formats, Idle, LadderPlan, Relief, SecondPublisher, StreamKey};
use crate::media::AudioRung;
use crate::placement::Priority;

use super::devices::{Devices, wish};
use super::failover::{failover, thumbnails, watch};
use super::feeds::{feeds, security};
use super::ladders::Ladders;
use super::scalar::Complaint;
use super::sink::{Entry, Field, Place, Sink};
use super::slate::slate;
use super::timing::{Timing, timing};
use super::units::written_bitrate;
use super::written_channel::{ChannelName, Format, WrittenChannel, WrittenFailover};

/// How secrets are made.
pub const HOW: &str = "make one with: openssl rand -hex 16";

/// Channels that a wildcard opens at most where the file is silent.
const WILDCARD_CHANNELS: u32 = 16;

/// What the pattern shows where the file is silent.
const PATTERN_RATE: Rate = Rate::new(25, 1);

/// Keys and passphrases that begin like this are examples that anybody can read.
pub const EXAMPLE: &str = "example-";

/// The listeners for publishers as far as channels care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// There is none.
    Closed,
    /// Only this machine reaches it.
    Local,
    /// Others reach it, at this address.
    Exposed(SocketAddr),
}

impl Door {
    /// What these listeners are together: as open as the most open one.
    pub fn of<const COUNT: usize>(listeners: [Option<SocketAddr>; COUNT]) -> Door {
        let there = || listeners.into_iter().flatten();
        match there().find(|address| !address.ip().to_canonical().is_loopback()) {
            Some(address) => Door::Exposed(address),
            None if there().next().is_some() => Door::Local,
            None => Door::Closed,
        }
    }
}

/// What the rules of a channel look at beside the channel.
pub struct Surroundings<'a> {
    /// The ladders that it may name.
    pub ladders: &'a Ladders,
    /// The listeners for publishers.
    pub door: Door,
    /// What channels want of devices where they are silent.
    pub devices: &'a Devices<'a>,
    /// Where the files that it names are looked up; nowhere, where there is none.
    pub folder: Option<&'a Path>,
}

/// A channel or wildcard whose own rules hold; its key is not settled yet.
pub enum Checked {
    /// A channel.
    One(Box<ChannelPlan>),
    /// A wildcard: prefix, most channels, template.
    Wildcard(String, usize, Box<ChannelPlan>),
}

/// Checks a channel by itself. `None` where it has no usable name; other mistakes are reported, and defaults stand in for them.
pub fn checked(written: &WrittenChannel, around: &Surroundings, sink: &mut Sink) -> Option<Checked> {
    let door = around.door;
    if matches!(written.name, Field::Absent) {
        sink.add(&written.place.of("name"), "is missing", "add for example name = \"news\"");
    }
    let wildcard = matches!(written.name.value(), Some(ChannelName::Wildcard(_)));
    let idle = idle(written, wildcard, door, sink);
    let ladder = ladder(written, idle, around.ladders, sink);
    let copied = ladder == LadderPlan::Copy;
    if copied {
        refuse_with_copy(written, sink);
    }
    let device = wish(written, &ladder, around.devices, sink);
    check_wildcard_keys(written, wildcard, door, sink);
    let Timing { gop, segment, window, hold } = timing(written, copied, sink);
    let plan = Box::new(ChannelPlan {
        name: String::new(),
        stream_key: StreamKey::new(""),
        idle,
        rate: written.rate.value().copied().or((idle == Idle::Pattern).then_some(PATTERN_RATE)),
        ladder,
        audio: audio(written, sink),
        formats: formats(&written.formats, sink),
        gop,
        segment,
        window,
        hold,
        second_publisher: written.on_second_publisher.or(SecondPublisher::Refuse),
        feeds: feeds(written, copied, sink),
        failover: failover(&written.failover, sink),
        watch: watch(&written.failover, copied, sink),
        srt: security(written, door, sink),
        slate: slate(&written.slate, idle, around.folder, sink),
        thumbnail_every: thumbnails(&written.thumbnails, copied, sink),
        device,
        overload: overload(&written.overload, copied, sink),
        priority: written.priority.or(Priority::Main),
    });
    match written.name.value()?.clone() {
        ChannelName::One(name) => Some(Checked::One(Box::new(ChannelPlan { name, ..*plan }))),
        ChannelName::Wildcard(prefix) => Some(Checked::Wildcard(prefix, written.max_channels.or(WILDCARD_CHANNELS) as usize, plan)),
    }
}

fn idle(written: &WrittenChannel, wildcard: bool, door: Door, sink: &mut Sink) -> Idle {
    let idle = written.feed.or(Idle::Wait);
    let place = written.feed.given().map_or_else(|| written.place.of("feed"), |feed| feed.place.clone());
    if idle == Idle::Pattern && wildcard {
        sink.add(&place, "must be \"publish\" for a wildcard, whose channels begin with a publisher", "use \"publish\"");
    }
    let pulled = written.feeds.iter().any(|feed| feed.is_published() != Some(true));
    if idle == Idle::Wait && door == Door::Closed && !pulled && !written.feed.is_invalid() {
        sink.add(
            &place,
            "is \"publish\", but nobody can publish while rtmp.listen and srt.listen are \"off\"",
            "set one of them, or use feed = \"pattern\"",
        );
    }
    idle
}

fn ladder(written: &WrittenChannel, idle: Idle, ladders: &Ladders, sink: &mut Sink) -> LadderPlan {
    let Some(Entry { value: name, place }) = written.ladder.given() else {
        // The pattern has no size of its own that a ladder could follow.
        let small = ladders.named("small").flatten().unwrap_or_default();
        return if idle == Idle::Pattern { LadderPlan::Rungs(small) } else { LadderPlan::Auto };
    };
    if idle == Idle::Pattern && matches!(name.as_str(), "auto" | "copy") {
        let rule = "needs a publisher whose pictures set the sizes, and this channel's feed is \"pattern\"";
        sink.add(place, rule, "use \"small\", \"standard\" or a ladder of yours");
    }
    match name.as_str() {
        "auto" => LadderPlan::Auto,
        "copy" => LadderPlan::Copy,
        name => match ladders.named(name) {
            Some(rungs) => LadderPlan::Rungs(rungs.unwrap_or_default()),
            None => {
                sink.complain(place, ladders.complaint(name));
                LadderPlan::Auto
            }
        },
    }
}

fn place<T>(field: &Field<T>) -> Option<&Place> {
    field.given().map(|entry| &entry.place)
}

/// Keys that say how pictures and sound are made, where none are made.
fn refuse_with_copy(written: &WrittenChannel, sink: &mut Sink) {
    let WrittenFailover { after, return_after, freeze, black, silence } = &written.failover;
    let places = [
        place(&written.rate),
        place(&written.gop),
        place(&written.hold),
        place(&written.audio_bitrate),
        place(after),
        place(return_after),
        place(freeze),
        place(black),
        place(silence),
        place(&written.slate.file),
        place(&written.slate.text),
        place(&written.overload),
        place(&written.thumbnails),
        place(&written.device),
        place(&written.gpu),
        place(&written.priority),
    ];
    for place in places.into_iter().flatten() {
        sink.add(place, "has no meaning with ladder = \"copy\", which passes on what the publisher sends", "remove it");
    }
}

fn check_wildcard_keys(written: &WrittenChannel, wildcard: bool, door: Door, sink: &mut Sink) {
    if wildcard {
        if let Some(key) = written.stream_key.given() {
            sink.add(&key.place, "has no meaning on a wildcard, where the stream name is name and key at once", "remove it");
        }
        if let Some(feed) = written.feeds.first() {
            sink.add(&feed.place, "has no meaning on a wildcard, whose channels begin with a publisher", "name the channel that has feeds");
        }
        if let (Door::Exposed(address), Some(name), false) = (door, written.name.given(), written.trusted_network.or(false)) {
            let rule = format!("lets everybody publish who reaches {address}");
            sink.add(&name.place, rule, "name channels with a stream_key each, or set trusted_network = true if everybody there may");
        }
    } else if written.name.given().is_some() {
        let trusted = written.trusted_network.given().map(|entry| &entry.place);
        for place in trusted.into_iter().chain(written.max_channels.given().map(|entry| &entry.place)) {
            sink.add(place, "belongs to wildcards (name = \"*\")", "remove it");
        }
    }
}

fn audio(written: &WrittenChannel, sink: &mut Sink) -> AudioRung {
    let default = AudioRung::default();
    let range = |bitrate: &u32| match bitrate {
        16_000..=512_000 => Ok(()),
        _ => Err(Complaint::new("must be from 16k to 512k", format!("use \"{}\"", written_bitrate((*bitrate).clamp(16_000, 512_000))))),
    };
    let bitrate = written.audio_bitrate.clone().checked(sink, range);
    AudioRung { bitrate_bps: bitrate.or(default.bitrate_bps), ..default }
}

fn formats(written: &Field<Vec<Entry<Format>>>, sink: &mut Sink) -> Formats {
    let Some(entry) = written.given() else {
        return Formats { cmaf: true, ts: true };
    };
    let mut formats = Formats { cmaf: false, ts: false };
    for format in &entry.value {
        let asked = match format.value {
            Format::Cmaf => &mut formats.cmaf,
            Format::Ts => &mut formats.ts,
        };
        if *asked {
            sink.add(&format.place, "is in the list already", "remove it");
        }
        *asked = true;
    }
    if entry.value.is_empty() {
        sink.add(&entry.place, "must name at least one format", "use [\"cmaf\", \"ts\"]");
    }
    formats
}

/// What is given up first, next, last. An empty list gives nothing up but pictures.
fn overload(written: &Field<Vec<Entry<Relief>>>, copied: bool, sink: &mut Sink) -> Vec<Relief> {
    let Some(entry) = written.given() else {
        return if copied { Vec::new() } else { Relief::ALL.to_vec() };
    };
    let mut order: Vec<Relief> = Vec::new();
    for relief in &entry.value {
        match order.contains(&relief.value) {
            true => sink.add(&relief.place, "is in the list already", "remove it"),
            false => order.push(relief.value),
        }
    }
    order
}

/// Names and prefixes that two channels share.
pub fn check_names(written: &[WrittenChannel], sink: &mut Sink) {
    let mut seen: Vec<&ChannelName> = Vec::new();
    for entry in written.iter().filter_map(|channel| channel.name.given()) {
        if seen.contains(&&entry.value) {
            sink.add(&entry.place, "must differ from the names of the other channels", "choose another, or remove one of the two");
        }
        seen.push(&entry.value);
    }
}

/// Refuses a key or passphrase that anybody can read, where others can try. Says whether it did.
pub fn check_not_an_example(secret: &str, place: &Place, door: Door, sink: &mut Sink) -> bool {
    let Door::Exposed(address) = door else { return false };
    let is_example = secret.starts_with(EXAMPLE);
    if is_example {
        sink.add(place, format!("must not be an example (\"{EXAMPLE}...\") where others can publish ({address})"), HOW);
    }
    is_example
}
