//! Stream keys of a plan: where each comes from, and how another one is written where it stands.

use std::collections::BTreeMap;

use toml_edit::{DocumentMut, Item, TableLike, value};

use crate::api::keys::{FeedKey, KeyOrigin};
use crate::app::channel_files::ChannelFiles;
use crate::config::Plan;

/// The keys of a channel's feeds that are pushed, by preference; none where the plan has no such channel. `made` are those that were made
/// where none was configured, by channel: they are the first such feed's.
pub fn keys_of(plan: &Plan, files: &ChannelFiles, made: &BTreeMap<String, String>, name: &str) -> Option<Vec<FeedKey>> {
    let channel = plan.channels.iter().find(|channel| channel.name == name)?;
    let is_overlay = files.overlays.iter().any(|overlay| overlay.channel == name);
    let pushed = channel.feeds.iter().filter_map(|feed| Some((feed, feed.key()?)));
    let keys = pushed.enumerate().map(|(order, (feed, key))| {
        let is_made = made.get(name).is_some_and(|made| order == 0 && key.matches(made));
        let origin = match is_overlay {
            _ if is_made => KeyOrigin::Generated,
            _ if order == 0 && key.matches(name) => KeyOrigin::Name,
            true => KeyOrigin::Api,
            false => KeyOrigin::File,
        };
        FeedKey { feed: feed.name.clone(), key: key.clone(), origin }
    });
    Some(keys.collect())
}

/// The text of a channel's own file with another key for its feed number `index`. The first feed that is pushed may have its key in the
/// channel's table. An error says what is wrong with the text.
pub fn with_key(text: &str, index: usize, is_first: bool, key: &str) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|cause: toml_edit::TomlError| cause.message().to_owned())?;
    let channel = document.get_mut("channel").and_then(Item::as_array_of_tables_mut).and_then(|channels| channels.get_mut(0));
    let channel = channel.ok_or("there is no [[channel]]")?;
    let in_channel = is_first && channel.contains_key("stream_key");
    let place: &mut dyn TableLike = match channel.get_mut("feeds").filter(|_| !in_channel) {
        None => channel,
        Some(feeds) => feed(feeds, index).ok_or_else(|| format!("there is no feed number {index}"))?,
    };
    place.insert("stream_key", value(key));
    Ok(document.to_string())
}

/// Feeds are written as tables or in line.
fn feed(feeds: &mut Item, index: usize) -> Option<&mut dyn TableLike> {
    match feeds {
        Item::ArrayOfTables(tables) => Some(tables.get_mut(index)?),
        Item::Value(list) => Some(list.as_array_mut()?.get_mut(index)?.as_inline_table_mut()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Overlay, Overrides};

    fn plan(text: &str, made: &BTreeMap<String, String>) -> Plan {
        let overrides = Overrides { stream_keys: made.clone(), ..Overrides::default() };
        config::parse("a.toml", text, &overrides).unwrap_or_else(|report| panic!("{report}"))
    }

    fn shown(text: &str, files: &ChannelFiles, made: &BTreeMap<String, String>) -> Vec<(String, String, KeyOrigin)> {
        let keys = keys_of(&plan(text, made), files, made, "news").expect("there is such a channel");
        keys.into_iter().map(|key| (key.feed, key.key.reveal().to_owned(), key.origin)).collect()
    }

    #[test]
    fn where_a_key_comes_from_is_known() {
        let none = (ChannelFiles::default(), BTreeMap::new());
        let publisher = |key: &str, origin| vec![("publisher".to_owned(), key.to_owned(), origin)];
        let plain = "[[channel]]\nname = \"news\"\n";
        assert_eq!(shown(plain, &none.0, &none.1), publisher("news", KeyOrigin::Name));
        let made = BTreeMap::from([("news".to_owned(), "made-for-news".to_owned())]);
        assert_eq!(shown(plain, &none.0, &made), publisher("made-for-news", KeyOrigin::Generated));
        let written = "[[channel]]\nname = \"news\"\nstream_key = \"written\"\n";
        assert_eq!(shown(written, &none.0, &made), publisher("written", KeyOrigin::File), "a written key comes before a made one");
        let overlay = Overlay { file: "news.toml".into(), channel: "news".into(), text: written.into() };
        let files = ChannelFiles { overlays: vec![overlay], ..ChannelFiles::default() };
        assert_eq!(shown(written, &files, &none.1), publisher("written", KeyOrigin::Api));
        assert_eq!(keys_of(&plan(plain, &none.1), &none.0, &none.1, "other"), None);
    }

    #[test]
    fn another_key_is_written_where_the_one_before_stood() {
        let channel = "# mine\n[[channel]]\nname = \"news\"\n";
        let feeds = "[[channel.feeds]]\nname = \"main\"\n\n[[channel.feeds]]\nsource = \"udp://:5000\"\n\n[[channel.feeds]]\nstream_key = \"old\"\n";
        let inline = "feeds = [{ name = \"main\" }, { source = \"udp://:5000\" }, { stream_key = \"old\" }]\n";
        for (text, index, is_first, order) in [
            (channel.to_owned(), 0, true, 0),
            (format!("{channel}stream_key = \"old\"\n"), 0, true, 0),
            (format!("{channel}{feeds}"), 0, true, 0),
            (format!("{channel}{feeds}"), 2, false, 1),
            (format!("{channel}stream_key = \"old-main\"\n{feeds}"), 0, true, 0),
            (format!("{channel}stream_key = \"old-main\"\n{inline}"), 2, false, 1),
        ] {
            let written = with_key(&text, index, is_first, "new-key").unwrap();
            assert!(written.starts_with("# mine\n"), "{written}");
            let keys = shown(&written, &ChannelFiles::default(), &BTreeMap::new());
            assert_eq!(keys[order].1, "new-key", "{written}");
            assert!(keys.iter().filter(|key| key.1 == "new-key").count() == 1, "{written}");
        }
        assert!(with_key("[http]\n", 0, true, "new-key").is_err());
        assert!(with_key("[[channel]]\nfeeds = []\n", 3, false, "new-key").is_err());
    }
}
