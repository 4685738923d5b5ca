//! The feeds of a channel: where each comes from, what it is called, and who may have which address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::channel::plan::{FeedPlan, FeedSource, Secret, SrtSecurity, StreamKey};
use crate::channel::pull::{PullAddress, Scheme};

use super::channels::{Door, check_not_an_example};
use super::machine::overlap;
use super::scalar::{Complaint, complain};
use super::sink::{Entry, Field, Sink};
use super::written_channel::{Source, WrittenChannel, WrittenFeed};

/// Most feeds of a channel.
const MOST_FEEDS: usize = 8;

/// What `key_length` is where the file is silent.
const KEY_BYTES: u8 = 16;

/// The feeds of a channel, without their keys; those are settled when all channels are known. One where the file names none.
pub fn feeds(written: &WrittenChannel, copied: bool, sink: &mut Sink) -> Vec<FeedPlan> {
    let list = &written.feeds;
    if let Some(feed) = list.get(MOST_FEEDS) {
        sink.add(&feed.place, format!("is one of {} feeds, and a channel may have {MOST_FEEDS}", list.len()), "remove some");
    } else if let Some(feed) = list.get(1).filter(|_| copied) {
        let rule = "is a second feed, but with ladder = \"copy\" nothing makes one programme of two";
        sink.add(&feed.place, rule, "use another ladder, or keep one feed");
    }
    check_names(list, sink);
    refuse_without_publisher(written, sink);
    match list.is_empty() {
        true => FeedPlan::publisher(&StreamKey::new("")),
        false => list.iter().enumerate().map(|(index, feed)| checked(index, feed, sink)).collect(),
    }
}

fn name(index: usize, feed: &WrittenFeed) -> String {
    feed.name.or(WrittenFeed::default_name(index))
}

fn check_names(list: &[WrittenFeed], sink: &mut Sink) {
    let mut seen: Vec<String> = Vec::new();
    for (index, feed) in list.iter().enumerate().filter(|(_, feed)| !feed.name.is_invalid()) {
        let name = name(index, feed);
        if seen.contains(&name) {
            let place = feed.name.given().map_or_else(|| feed.place.of("name"), |name| name.place.clone());
            let rule = format!("must differ from the names of the channel's other feeds, and \"{name}\" is there already");
            sink.add(&place, rule, "choose another");
        }
        seen.push(name);
    }
}

/// What says how to publish, where nothing is published.
fn refuse_without_publisher(written: &WrittenChannel, sink: &mut Sink) {
    let all_pulled = !written.feeds.is_empty() && written.feeds.iter().all(|feed| feed.is_published() == Some(false));
    let places = [written.stream_key.given().map(|entry| &entry.place), written.srt.passphrase.given().map(|entry| &entry.place)];
    for place in places.into_iter().flatten().filter(|_| all_pulled) {
        sink.add(place, "is for publishers, and every feed of this channel is pulled", "remove it");
    }
}

fn checked(index: usize, feed: &WrittenFeed, sink: &mut Sink) -> FeedPlan {
    let source = match feed.source.value() {
        Some(Source::Pull { address, text }) => {
            if let Some(key) = feed.stream_key.given() {
                sink.add(&key.place, "is for feeds that are published, and this one is pulled", "remove it");
            }
            FeedSource::Pull(encrypted(address, text, &feed.passphrase, sink))
        }
        Some(Source::Publish) | None => {
            if let (Some(passphrase), false) = (feed.passphrase.given(), feed.source.is_invalid()) {
                let rule = "is for a source that begins with srt://, and this feed is published";
                sink.add(&passphrase.place, rule, "what publishers encrypt with is the passphrase of [channel.srt]");
            }
            FeedSource::Publish(StreamKey::new(""))
        }
    };
    FeedPlan { name: name(index, feed), source }
}

/// The address with the feed's passphrase among its options.
fn encrypted(address: &PullAddress, text: &Secret, passphrase: &Field<Secret>, sink: &mut Sink) -> PullAddress {
    let Some(Entry { value, place }) = passphrase.given() else { return address.clone() };
    match with_passphrase(address, text, value) {
        Ok(address) => address,
        Err(complaint) => {
            sink.complain(place, complaint);
            address.clone()
        }
    }
}

fn with_passphrase(address: &PullAddress, text: &Secret, passphrase: &Secret) -> Result<PullAddress, Complaint> {
    match address.scheme {
        Scheme::Udp | Scheme::Rtp => return complain("is for a source that begins with srt://", "remove it"),
        Scheme::Srt if address.option("passphrase").is_some() => {
            return complain("stands in the source's options too", "keep one of the two, best this one");
        }
        Scheme::Srt => {}
    }
    let separator = if text.reveal().contains('?') { '&' } else { '?' };
    let escaped: String = passphrase.reveal().bytes().map(|byte| format!("%{byte:02x}")).collect();
    let whole = format!("{}{separator}passphrase={escaped}", text.reveal());
    whole.parse().map_err(|_| Complaint::new("does not fit into the source's options", "write it there, as passphrase=..."))
}

/// What SRT callers of a channel encrypt with.
pub fn security(written: &WrittenChannel, door: Door, sink: &mut Sink) -> Option<SrtSecurity> {
    let (passphrase, key_length) = (&written.srt.passphrase, &written.srt.key_length);
    if let (Field::Absent, Some(length)) = (passphrase, key_length.given()) {
        sink.add(&length.place, "says nothing without a passphrase", "set passphrase = \"...\" beside it, or remove it");
    }
    let Entry { value, place } = passphrase.given()?;
    check_not_an_example(value.reveal(), place, door, sink);
    Some(SrtSecurity { passphrase: value.clone(), key_bytes: key_length.or(KEY_BYTES) })
}

/// Datagrams go to one socket: two feeds, or a feed and the SRT listener, cannot have the same port of the same interface.
/// Multicast groups can be joined twice.
pub fn check_receivers(written: &[WrittenChannel], srt: Option<SocketAddr>, sink: &mut Sink) {
    let mut taken: BTreeMap<SocketAddr, String> = srt.into_iter().map(|srt| (srt, "srt.listen".to_owned())).collect();
    for source in written.iter().flat_map(|channel| &channel.feeds).filter_map(|feed| feed.source.given()) {
        let Some(address) = receiver(&source.value) else { continue };
        match taken.iter().find(|(other, _)| overlap(address, **other)) {
            Some((_, who)) => {
                sink.add(&source.place, format!("is an address whose datagrams {who} gets already"), "use another port");
            }
            None => {
                taken.insert(address, source.place.key.clone());
            }
        }
    }
}

/// Where a source of datagrams for one receiver is bound.
fn receiver(source: &Source) -> Option<SocketAddr> {
    let Source::Pull { address, .. } = source else { return None };
    let ip = match address.host.as_str() {
        "" => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        host => host.parse().ok()?,
    };
    (address.scheme != Scheme::Srt && !ip.is_multicast()).then_some(SocketAddr::new(ip, address.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_passphrase_fits_into_the_options_of_an_address() {
        for text in ["srt://192.0.2.1:9000", "srt://192.0.2.1:9000?latency=200"] {
            for passphrase in ["correct & horse=? +%20#", "ünïcödé-ünïcödé"] {
                let written = Secret::new(text);
                let address = with_passphrase(&text.parse().unwrap(), &written, &Secret::new(passphrase)).unwrap();
                assert_eq!(address.option("passphrase"), Some(passphrase));
                assert_eq!(address.number("latency"), text.contains("latency").then_some(200));
            }
        }
    }
}
