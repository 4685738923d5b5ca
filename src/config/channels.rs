//! The rules of one channel, and what it is where the file is silent.

use std::net::SocketAddr;

use crate::base::Rate;
use crate::channel::plan::{ChannelPlan, Formats, Idle, LadderPlan, SecondPublisher, StreamKey};
use crate::media::AudioRung;

use super::ladders::Ladders;
use super::scalar::Complaint;
use super::sink::{Entry, Field, Place, Sink};
use super::timing::{Timing, timing};
use super::units::written_bitrate;
use super::written::{ChannelName, Format, WrittenChannel};

/// Channels that a wildcard opens at most where the file is silent.
const WILDCARD_CHANNELS: u32 = 16;

/// What the pattern shows where the file is silent.
const PATTERN_RATE: Rate = Rate::new(25, 1);

/// The listener for publishers as far as channels care.
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
    /// The kind of this listener.
    pub fn of(rtmp: Option<SocketAddr>) -> Door {
        match rtmp {
            None => Door::Closed,
            Some(address) if address.ip().to_canonical().is_loopback() => Door::Local,
            Some(address) => Door::Exposed(address),
        }
    }
}

/// A channel or wildcard whose own rules hold; its key is not settled yet.
pub enum Checked {
    /// A channel.
    One(Box<ChannelPlan>),
    /// A wildcard: prefix, most channels, template.
    Wildcard(String, usize, Box<ChannelPlan>),
}

/// Checks a channel by itself. `None` where it has no usable name; other mistakes are reported, and defaults stand in for them.
pub fn checked(written: &WrittenChannel, ladders: &Ladders, door: Door, sink: &mut Sink) -> Option<Checked> {
    if matches!(written.name, Field::Absent) {
        sink.add(&written.place.of("name"), "is missing", "add for example name = \"news\"");
    }
    let wildcard = matches!(written.name.value(), Some(ChannelName::Wildcard(_)));
    let idle = idle(written, wildcard, door, sink);
    let ladder = ladder(written, idle, ladders, sink);
    let copied = ladder == LadderPlan::Copy;
    if copied {
        refuse_with_copy(written, sink);
    }
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
        srt: None,
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
    if idle == Idle::Wait && door == Door::Closed && !written.feed.is_invalid() {
        sink.add(
            &place,
            "is \"publish\", but nobody can publish while rtmp.listen is \"off\"",
            "set rtmp.listen, or use feed = \"pattern\"",
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

/// Keys that say how pictures and sound are made, where none are made.
fn refuse_with_copy(written: &WrittenChannel, sink: &mut Sink) {
    let places = [
        written.rate.given().map(|entry| &entry.place),
        written.gop.given().map(|entry| &entry.place),
        written.hold.given().map(|entry| &entry.place),
        written.audio_bitrate.given().map(|entry| &entry.place),
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

/// Where a channel's key stands, or would stand.
pub fn key_place(written: &WrittenChannel) -> Place {
    written.stream_key.given().map_or_else(|| written.place.of("stream_key"), |key| key.place.clone())
}
