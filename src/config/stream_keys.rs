//! Who may publish: every channel's key, strong enough for those who can try.

use std::collections::BTreeMap;

use rand::Rng;

use super::Overrides;
use super::channels::{Door, HOW, check_not_an_example};
use super::sink::{Field, Place, Sink};
use super::written_channel::{ChannelName, WrittenChannel, WrittenFeed};

/// Shortest key in characters where others than this machine can try: beyond guessing over a network.
const SHORTEST_EXPOSED: usize = 12;

/// A stream key for somebody who has set none: 26 letters and digits that cannot be mistaken for each other, 130 bits.
pub fn random_key() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    (0..26).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}

/// The keys of the channels that have one.
pub struct Keys {
    /// By channel name, in the order of the channel's published feeds.
    pub of: BTreeMap<String, Vec<String>>,
    /// Channels whose key was made just now.
    pub generated: Vec<String>,
}

/// Settles the key of every published feed. The first of a channel has the written key, the channel's, the handed-over one, on
/// loopback the channel's name, else a made one if `overrides` asks for it. The others have written ones.
pub fn settled(written: &[WrittenChannel], door: Door, overrides: &Overrides, sink: &mut Sink) -> Keys {
    let names: Vec<&str> = written.iter().filter_map(name_of).collect();
    let mut keys = Keys { of: BTreeMap::new(), generated: Vec::new() };
    let mut owners: BTreeMap<String, (&str, usize, String)> = BTreeMap::new();
    for channel in written {
        let Some(name) = name_of(channel) else { continue };
        let mut of_channel = Vec::new();
        for published in published(channel, name, sink) {
            let key = published.key(&names, door, overrides, &mut keys.generated, sink).unwrap_or_default();
            if !key.is_empty() {
                check_differs(&key, &published, &mut owners, sink);
            }
            of_channel.push(key);
        }
        keys.of.insert(name.to_owned(), of_channel);
    }
    keys
}

/// Publishers are told apart by their keys alone.
fn check_differs<'a>(key: &str, published: &Published<'a>, owners: &mut BTreeMap<String, (&'a str, usize, String)>, sink: &mut Sink) {
    let owner = (published.name, published.order, published.to_string());
    match owners.insert(key.to_owned(), owner) {
        // A channel that is there twice is one mistake, not two.
        Some((name, order, other)) if (name, order) != (published.name, published.order) => sink.add(
            &published.place(),
            format!("must differ from the key of {other}, or publishers could not be told apart"),
            "set another stream_key",
        ),
        _ => {}
    }
}

fn name_of(channel: &WrittenChannel) -> Option<&str> {
    match channel.name.value()? {
        ChannelName::One(name) => Some(name),
        ChannelName::Wildcard(_) => None,
    }
}

/// What is published in a channel: one of its feeds, or the channel itself where it lists none.
struct Published<'a> {
    channel: &'a WrittenChannel,
    name: &'a str,
    /// The feed, and its place among the channel's feeds.
    feed: Option<(usize, &'a WrittenFeed)>,
    /// Its place among the published ones.
    order: usize,
}

/// What is published in a channel; nothing where a feed is so wrong that it is not known which ones are.
fn published<'a>(channel: &'a WrittenChannel, name: &'a str, sink: &mut Sink) -> Vec<Published<'a>> {
    if channel.feeds.is_empty() {
        return vec![Published { channel, name, feed: None, order: 0 }];
    }
    if channel.feeds.iter().any(|feed| feed.is_published().is_none()) {
        return Vec::new();
    }
    let feeds = channel.feeds.iter().enumerate().filter(|(_, feed)| feed.is_published() == Some(true)).enumerate();
    let published: Vec<Published> = feeds.map(|(order, feed)| Published { channel, name, feed: Some(feed), order }).collect();
    if let (Some(own), Some(first)) = (channel.stream_key.given(), published.first())
        && let Some((_, feed)) = first.feed.filter(|(_, feed)| !matches!(feed.stream_key, Field::Absent))
    {
        let key = feed.place.of("stream_key").key;
        sink.add(
            &own.place,
            format!("has no meaning beside {key}: it is the key of the first feed that is published"),
            "keep one of the two",
        );
    }
    published
}

impl std::fmt::Display for Published<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.feed {
            Some((index, feed)) => {
                write!(f, "feed \"{}\" of channel \"{}\"", feed.name.or(WrittenFeed::default_name(index)), self.name)
            }
            None => write!(f, "channel \"{}\"", self.name),
        }
    }
}

impl Published<'_> {
    fn written(&self) -> &Field<String> {
        match self.feed {
            Some((_, feed)) if self.order > 0 || !matches!(feed.stream_key, Field::Absent) => &feed.stream_key,
            _ => &self.channel.stream_key,
        }
    }

    /// Where the key stands, or would stand.
    fn place(&self) -> Place {
        let table = self.feed.filter(|_| self.order > 0).map_or(&self.channel.place, |(_, feed)| &feed.place);
        self.written().given().map_or_else(|| table.of("stream_key"), |key| key.place.clone())
    }

    fn key(&self, names: &[&str], door: Door, overrides: &Overrides, generated: &mut Vec<String>, sink: &mut Sink) -> Option<String> {
        match (self.written(), door) {
            (Field::Invalid, _) => return None,
            (Field::Given(key), _) => {
                check_strength(&key.value, &key.place, names, door, sink);
                return Some(key.value.clone());
            }
            (Field::Absent, _) if self.order > 0 => {
                let rule = "is missing: only the first feed that is published can do without, with the key of its channel";
                sink.add(&self.place(), rule, format!("add stream_key = \"...\"; {HOW}"));
                return None;
            }
            (Field::Absent, _) => {}
        }
        match (overrides.stream_keys.get(self.name), door) {
            (Some(key), _) => Some(key.clone()),
            (None, Door::Closed | Door::Local) => Some(self.name.to_owned()),
            (None, Door::Exposed(_)) if overrides.generate_keys => {
                generated.push(self.name.to_owned());
                Some(random_key())
            }
            (None, Door::Exposed(address)) => {
                let rule = format!(
                    "must be set where others can publish ({address}): the default is the channel's name, which everybody can read"
                );
                sink.add(&self.place(), rule, format!("set stream_key = \"...\"; {HOW}"));
                None
            }
        }
    }
}

/// What a key must be like where others can try.
fn check_strength(key: &str, place: &Place, names: &[&str], door: Door, sink: &mut Sink) {
    let Door::Exposed(address) = door else { return };
    let rule = match key {
        _ if names.contains(&key) => format!("must not be a channel's name where others can publish ({address})"),
        _ if check_not_an_example(key, place, door, sink) => return,
        _ if key.len() < SHORTEST_EXPOSED => {
            format!("must have at least {SHORTEST_EXPOSED} characters where others can publish ({address})")
        }
        _ => return,
    };
    sink.add(place, rule, HOW);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scalar::Scalar;
    use crate::config::values;

    #[test]
    fn made_keys_are_strong_keys_and_never_the_same() {
        let (one, other) = (random_key(), random_key());
        assert_ne!(one, other);
        assert_eq!(one.len(), 26);
        assert_eq!(values::stream_key(&Scalar::Text(&one)), Ok(one.clone()));
    }
}
