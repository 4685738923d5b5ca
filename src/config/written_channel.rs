//! A `[[channel]]` as typed, with the tables below it.

use std::path::PathBuf;

use crate::base::{Rate, Ticks};
use crate::channel::plan::{Idle, Relief, SecondPublisher, Secret};
use crate::channel::pull::PullAddress;
use crate::placement::{DevicePolicy, GpuChoice, Priority};

use super::keys::nearest;
use super::node::Node;
use super::scalar::{Complaint, Scalar, complain};
use super::sink::{Entry, Field, Place, Sink};
use super::{admission, devices, units, values};

/// Most channels that a wildcard may open.
const WILDCARD_CHANNELS: std::ops::RangeInclusive<u32> = 1..=256;

/// What a feed may not be called: who asks for it leaves the choice to the policy.
const NO_FEED: &str = "auto";

/// What a channel's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelName {
    /// One channel of this name.
    One(String),
    /// A channel for every stream name that begins like this.
    Wildcard(String),
}

/// Which formats are asked for, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CMAF with HLS and DASH.
    Cmaf,
    /// MPEG-TS with HLS.
    Ts,
}

/// A `[[channel]]`.
#[derive(Debug)]
pub struct WrittenChannel {
    pub place: Place,
    pub name: Field<ChannelName>,
    pub stream_key: Field<String>,
    pub feed: Field<Idle>,
    pub rate: Field<Rate>,
    pub ladder: Field<String>,
    pub formats: Field<Vec<Entry<Format>>>,
    pub gop: Field<Ticks>,
    pub segment: Field<Ticks>,
    pub window: Field<Ticks>,
    pub hold: Field<Ticks>,
    pub on_second_publisher: Field<SecondPublisher>,
    pub audio_bitrate: Field<u32>,
    pub feeds: Vec<WrittenFeed>,
    pub failover: WrittenFailover,
    pub srt: WrittenSecurity,
    pub slate: WrittenSlate,
    pub device: Field<DevicePolicy>,
    pub gpu: Field<GpuChoice>,
    pub overload: Field<Vec<Entry<Relief>>>,
    pub priority: Field<Priority>,
    pub thumbnails: Field<Option<Ticks>>,
    pub trusted_network: Field<bool>,
    pub max_channels: Field<u32>,
}

/// Where a feed comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Somebody publishes it.
    Publish,
    /// It is pulled from `address`, which was written as `text`.
    Pull { address: PullAddress, text: Secret },
}

/// A `[[channel.feeds]]`.
#[derive(Debug)]
pub struct WrittenFeed {
    pub place: Place,
    pub name: Field<String>,
    pub source: Field<Source>,
    pub stream_key: Field<String>,
    pub passphrase: Field<Secret>,
}

/// A `[channel.failover]`.
#[derive(Debug)]
pub struct WrittenFailover {
    pub after: Field<Ticks>,
    pub return_after: Field<Option<Ticks>>,
    pub freeze: Field<Option<Ticks>>,
    pub black: Field<Option<Ticks>>,
    pub silence: Field<Option<Ticks>>,
}

/// A `[channel.srt]`.
#[derive(Debug)]
pub struct WrittenSecurity {
    pub passphrase: Field<Secret>,
    pub key_length: Field<u8>,
}

/// A `[channel.slate]`.
#[derive(Debug)]
pub struct WrittenSlate {
    pub file: Field<PathBuf>,
    pub text: Field<String>,
}

impl WrittenFeed {
    /// Whether somebody publishes it; `None` where what it says of that cannot be used.
    pub fn is_published(&self) -> Option<bool> {
        match &self.source {
            Field::Absent => Some(true),
            Field::Given(source) => Some(source.value == Source::Publish),
            Field::Invalid => None,
        }
    }

    /// What a feed is called where the file is silent.
    pub fn default_name(index: usize) -> String {
        match index {
            0 => "main".into(),
            1 => "backup".into(),
            _ => format!("backup{index}"),
        }
    }
}

/// Reads a channel.
pub fn channel(node: &Node, sink: &mut Sink) -> WrittenChannel {
    let policies = [("refuse", SecondPublisher::Refuse), ("replace", SecondPublisher::Replace)];
    let reliefs = Relief::ALL.map(|relief| (relief.label(), relief));
    let formats = [("cmaf", Format::Cmaf), ("ts", Format::Ts)];
    WrittenChannel {
        place: node.place().clone(),
        name: node.field("name", sink, channel_name),
        stream_key: node.field("stream_key", sink, values::stream_key),
        feed: node.field("feed", sink, idle),
        rate: node.field("rate", sink, units::rate),
        ladder: node.field("ladder", sink, values::text),
        formats: node.list("formats", sink, |scalar| values::one_of(scalar, &formats)),
        gop: node.field("gop", sink, units::duration),
        segment: node.field("segment", sink, units::duration),
        window: node.field("window", sink, units::duration),
        hold: node.field("hold", sink, units::duration),
        on_second_publisher: node.field("on_second_publisher", sink, |scalar| values::one_of(scalar, &policies)),
        audio_bitrate: below(&node.table("audio", sink), "bitrate", sink, units::bitrate),
        feeds: node.tables("feeds", sink).iter().map(|node| feed(node, sink)).collect(),
        failover: failover(node.table("failover", sink), sink),
        srt: security(node.table("srt", sink), sink),
        slate: slate(node.table("slate", sink), sink),
        device: node.field("device", sink, devices::policy),
        gpu: node.field("gpu", sink, devices::gpu),
        overload: node.list("overload", sink, |scalar| values::one_of(scalar, &reliefs)),
        priority: node.field("priority", sink, admission::priority),
        thumbnails: node.field("thumbnails", sink, or_off),
        trusted_network: node.field("trusted_network", sink, values::flag),
        max_channels: node.field("max_channels", sink, |scalar| values::integer(scalar, WILDCARD_CHANNELS)),
    }
}

/// A value of a table that need not be there.
fn below<T>(table: &Option<Node>, key: &'static str, sink: &mut Sink, convert: impl Fn(&Scalar) -> Result<T, Complaint>) -> Field<T> {
    table.as_ref().map_or(Field::Absent, |table| table.field(key, sink, convert))
}

fn or_off(scalar: &Scalar) -> Result<Option<Ticks>, Complaint> {
    units::duration_or("off", scalar)
}

fn feed(node: &Node, sink: &mut Sink) -> WrittenFeed {
    WrittenFeed {
        place: node.place().clone(),
        name: node.field("name", sink, feed_name),
        source: node.field("source", sink, source),
        stream_key: node.field("stream_key", sink, values::stream_key),
        passphrase: node.field("passphrase", sink, values::passphrase),
    }
}

fn failover(table: Option<Node>, sink: &mut Sink) -> WrittenFailover {
    WrittenFailover {
        after: below(&table, "after", sink, units::duration),
        return_after: below(&table, "return_after", sink, |scalar| units::duration_or("never", scalar)),
        freeze: below(&table, "freeze", sink, or_off),
        black: below(&table, "black", sink, or_off),
        silence: below(&table, "silence", sink, or_off),
    }
}

fn security(table: Option<Node>, sink: &mut Sink) -> WrittenSecurity {
    WrittenSecurity {
        passphrase: below(&table, "passphrase", sink, values::passphrase),
        key_length: below(&table, "key_length", sink, key_length),
    }
}

fn slate(table: Option<Node>, sink: &mut Sink) -> WrittenSlate {
    WrittenSlate {
        file: below(&table, "file", sink, |scalar| values::text(scalar).map(PathBuf::from)),
        text: below(&table, "text", sink, values::line),
    }
}

/// `news`, or a wildcard: `*`, `studio-*`, `live/*`.
fn channel_name(scalar: &Scalar) -> Result<ChannelName, Complaint> {
    let text = scalar.text().unwrap_or_default();
    let Some(before) = text.strip_suffix('*') else {
        return values::name(scalar).map(ChannelName::One);
    };
    let prefix = before.strip_prefix("live/").unwrap_or(before);
    match prefix.is_empty() || values::is_name(prefix) {
        true => Ok(ChannelName::Wildcard(prefix.into())),
        false => complain("must be a name, or * with at most a-z, 0-9, _ and - before it", "use \"*\" or for example \"studio-*\""),
    }
}

/// What shows while no feed delivers. People who know of feeds write them here.
fn idle(scalar: &Scalar) -> Result<Idle, Complaint> {
    let elsewhere = match scalar {
        Scalar::Other(_) => true,
        _ => scalar.text().is_some_and(|text| text.contains("://")),
    };
    let complaint = |complaint: Complaint| match elsewhere {
        true => Complaint { remedy: "feeds are listed below [[channel.feeds]], with an s".into(), ..complaint },
        false => complaint,
    };
    values::one_of(scalar, &[("publish", Idle::Wait), ("pattern", Idle::Pattern)]).map_err(complaint)
}

fn feed_name(scalar: &Scalar) -> Result<String, Complaint> {
    match values::name(scalar)? {
        name if name == NO_FEED => complain("means that no feed in particular is asked for", "choose another, for example \"main\""),
        name => Ok(name),
    }
}

/// `publish`, or an address. What a complaint says holds no part of the address that may be a secret.
fn source(scalar: &Scalar) -> Result<Source, Complaint> {
    let text = scalar.text().unwrap_or_default();
    if text == "publish" {
        return Ok(Source::Publish);
    }
    match text.parse() {
        Ok(address) => Ok(Source::Pull { address, text: Secret::new(text) }),
        Err(wrong) => complain(without_secrets(&wrong.rule), wrong.remedy),
    }
}

/// The rule of a wrong address without the option that it quotes, unless that looks like a misspelt one: a passphrase with an
/// unescaped `&` goes on as an option that nobody knows.
fn without_secrets(rule: &str) -> String {
    const OPTIONS: [&str; 8] = ["mode", "latency", "passphrase", "pbkeylen", "streamid", "packetfilter", "iface", "source"];
    let Some(((before, rest), last)) = rule.split_once('"').zip(rule.rfind('"')) else {
        return rule.to_owned();
    };
    let quoted = rest.get(..last.saturating_sub(before.len() + 1)).unwrap_or_default();
    match OPTIONS.contains(&quoted) || nearest(quoted, OPTIONS.into_iter()).is_some() || quoted == "publish" {
        true => rule.to_owned(),
        false => format!("{before}of this name (write & in a value as %26)"),
    }
}

/// Bytes of the AES key.
fn key_length(scalar: &Scalar) -> Result<u8, Complaint> {
    let rule = "must be 16, 24 or 32: the bytes of an AES key";
    match scalar {
        Scalar::Integer(bytes @ (16 | 24 | 32)) => Ok(*bytes as u8),
        Scalar::Integer(bits @ (128 | 192 | 256)) => complain(rule, format!("write {} for AES-{bits}", bits / 8)),
        Scalar::Text("16" | "24" | "32") => complain(rule, "leave the quotes out"),
        _ => complain(rule, "use 16, or 32 for the strongest"),
    }
}
