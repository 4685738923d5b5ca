//! Who may publish: every channel's key, strong enough for those who can try.

use std::collections::BTreeMap;

use rand::Rng;

use super::Overrides;
use super::channels::{Door, key_place};
use super::sink::{Field, Sink};
use super::written::{ChannelName, WrittenChannel};

/// Shortest key in characters where others than this machine can try: beyond guessing over a network.
const SHORTEST_EXPOSED: usize = 12;

/// Keys that begin like this are examples that anybody can read.
const EXAMPLE: &str = "example-";

const HOW: &str = "make one with: openssl rand -hex 16";

/// A stream key for somebody who has set none: 26 letters and digits that cannot be mistaken for each other, 130 bits.
pub fn random_key() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    (0..26).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}

/// The keys of the channels that have one.
pub struct Keys {
    /// By channel name.
    pub of: BTreeMap<String, String>,
    /// Channels whose key was made just now.
    pub generated: Vec<String>,
}

/// Settles the key of every named channel: the written one, the handed-over one, on loopback the channel's name, else a made one
/// if `overrides` asks for it.
pub fn settled(written: &[WrittenChannel], door: Door, overrides: &Overrides, sink: &mut Sink) -> Keys {
    let mut keys = Keys { of: BTreeMap::new(), generated: Vec::new() };
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let names: Vec<&str> = written.iter().filter_map(name_of).collect();
    for (channel, name) in written.iter().filter_map(|channel| name_of(channel).map(|name| (channel, name))) {
        let Some(key) = key_of(channel, name, &names, door, overrides, &mut keys.generated, sink) else {
            continue;
        };
        // A channel that is there twice is one mistake, not two.
        match owners.insert(key.clone(), name.to_owned()) {
            Some(other) if other != name => sink.add(
                &key_place(channel),
                format!("must differ from the key of channel \"{other}\", or publishers could not be told apart"),
                "set another stream_key",
            ),
            _ => {}
        }
        keys.of.insert(name.to_owned(), key);
    }
    keys
}

fn name_of(channel: &WrittenChannel) -> Option<&str> {
    match channel.name.value()? {
        ChannelName::One(name) => Some(name),
        ChannelName::Wildcard(_) => None,
    }
}

fn key_of(
    channel: &WrittenChannel,
    name: &str,
    names: &[&str],
    door: Door,
    overrides: &Overrides,
    generated: &mut Vec<String>,
    sink: &mut Sink,
) -> Option<String> {
    match (&channel.stream_key, overrides.stream_keys.get(name), door) {
        (Field::Invalid, _, _) => None,
        (Field::Given(key), _, Door::Exposed(_)) => {
            check_strength(channel, &key.value, names, door, sink);
            Some(key.value.clone())
        }
        (Field::Given(key), _, _) => Some(key.value.clone()),
        (Field::Absent, Some(key), _) => Some(key.clone()),
        (Field::Absent, None, Door::Closed | Door::Local) => Some(name.to_owned()),
        (Field::Absent, None, Door::Exposed(_)) if overrides.generate_keys => {
            generated.push(name.to_owned());
            Some(random_key())
        }
        (Field::Absent, None, Door::Exposed(address)) => {
            let rule =
                format!("must be set where others can publish ({address}): the default is the channel's name, which everybody can read");
            sink.add(&key_place(channel), rule, format!("set stream_key = \"...\"; {HOW}"));
            None
        }
    }
}

/// What a key must be like where others can try.
fn check_strength(channel: &WrittenChannel, key: &str, names: &[&str], door: Door, sink: &mut Sink) {
    let Door::Exposed(address) = door else { return };
    let rule = match key {
        _ if names.contains(&key) => format!("must not be a channel's name where others can publish ({address})"),
        _ if key.starts_with(EXAMPLE) => format!("must not be an example (\"{EXAMPLE}...\") where others can publish ({address})"),
        _ if key.len() < SHORTEST_EXPOSED => {
            format!("must have at least {SHORTEST_EXPOSED} characters where others can publish ({address})")
        }
        _ => return,
    };
    sink.add(&key_place(channel), rule, HOW);
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
