//! A channel as it comes over the API, as text of a configuration file.

use std::fmt::Write;

use serde_json::{Map, Value};

const HEADER: &str = "[[channel]]";

/// Why a body is no channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Neither JSON nor TOML.
    #[error("send a channel as application/json or application/toml")]
    Kind,
    /// It cannot be understood.
    #[error("{0}")]
    Text(String),
}

fn wrong(text: impl Into<String>) -> Wrong {
    Wrong::Text(text.into())
}

/// The name and the `[[channel]]` that a body of this media type holds. `name` is the one that it must have, where it is known already.
pub fn channel_text(kind: &str, body: &[u8], name: Option<&str>) -> Result<(String, String), Wrong> {
    match kind {
        "application/json" => {
            let value: Value = serde_json::from_slice(body).map_err(|cause| wrong(format!("not JSON: {cause}")))?;
            let Value::Object(mut channel) = value else { return Err(wrong("a channel is an object with the keys of [[channel]]")) };
            if let Some(name) = name {
                channel.entry("name").or_insert_with(|| Value::from(name));
            }
            let own = channel.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut text = format!("{HEADER}\n");
            write_table(&mut text, "channel", &channel)?;
            named(own, name, text)
        }
        "application/toml" => {
            let text = std::str::from_utf8(body).map_err(|_| wrong("not text in UTF-8"))?;
            let text = if text.contains(HEADER) { text.to_owned() } else { format!("{HEADER}\n{text}") };
            let document = toml_edit::Document::parse(text.as_str()).map_err(|cause| wrong(format!("not TOML: {}", cause.message())))?;
            let channels = document.as_table().get("channel").and_then(|item| item.as_array_of_tables());
            let own = channels.and_then(|channels| channels.get(0)?.get("name")?.as_str()).unwrap_or_default().to_owned();
            named(own, name, format!("{}\n", text.trim_end()))
        }
        _ => Err(Wrong::Kind),
    }
}

/// Names are file names too.
fn named(own: String, name: Option<&str>, text: String) -> Result<(String, String), Wrong> {
    let is_safe = (1..=64).contains(&own.len())
        && own.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
    match name {
        _ if !is_safe => Err(wrong("a channel needs a name of 1 to 64 of a-z, 0-9, _ and -; wildcards are for the configuration file")),
        Some(name) if name != own => Err(wrong(format!("the channel is called {own:?}, and the address says {name:?}: use one name"))),
        _ => Ok((own, text)),
    }
}

/// Values first, then tables: whatever stands behind a header belongs to it.
fn write_table(text: &mut String, path: &str, table: &Map<String, Value>) -> Result<(), Wrong> {
    let is_table = |value: &&Value| value.is_object() || value.as_array().is_some_and(|list| list.iter().any(Value::is_object));
    for (key, value) in table.iter().filter(|(_, value)| !is_table(value)) {
        check_key(key)?;
        let _ = writeln!(text, "{key} = {}", scalar(key, value)?);
    }
    for (key, value) in table.iter().filter(|(_, value)| is_table(value)) {
        check_key(key)?;
        let below = format!("{path}.{key}");
        let list = match value {
            Value::Object(table) => {
                let _ = writeln!(text, "\n[{below}]");
                write_table(text, &below, table)?;
                continue;
            }
            Value::Array(list) => list,
            _ => continue,
        };
        for one in list {
            let Value::Object(table) = one else { return Err(wrong(format!("{key} must be a list of objects"))) };
            let _ = writeln!(text, "\n[[{below}]]");
            write_table(text, &below, table)?;
        }
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), Wrong> {
    let is_bare = !key.is_empty() && key.len() <= 64 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    is_bare.then_some(()).ok_or_else(|| wrong("keys are made of letters, digits, _ and -"))
}

/// A value in TOML's notation. JSON's strings are TOML's basic strings but for DEL.
fn scalar(key: &str, value: &Value) -> Result<String, Wrong> {
    match value {
        Value::String(string) => Ok(Value::from(string.as_str()).to_string().replace('\u{7f}', "\\u007f")),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(list) => {
            let list: Result<Vec<String>, Wrong> = list.iter().map(|value| scalar(key, value)).collect();
            Ok(format!("[{}]", list?.join(", ")))
        }
        Value::Null | Value::Object(_) => Err(wrong(format!("{key} has no value; leave it out for its default"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(body: &str) -> Result<(String, String), Wrong> {
        channel_text("application/json", body.as_bytes(), None)
    }

    #[test]
    fn an_object_becomes_the_lines_that_one_would_write() {
        let body = r#"{"name": "news", "failover": {"after": "3s"}, "feeds": [{"name": "main"}, {"name": "b", "source": "udp://:5000"}],
            "formats": ["cmaf"], "rate": 25, "audio": {"bitrate": "96k"}}"#;
        let (name, text) = json(body).unwrap();
        assert_eq!(name, "news");
        let plan = crate::config::parse("a.toml", &text, &crate::config::Overrides::default()).unwrap();
        let channel = &plan.channels[0];
        assert_eq!((channel.feeds.len(), channel.formats.ts, channel.audio.bitrate_bps), (2, false, 96_000));
    }

    #[test]
    fn toml_is_taken_with_or_without_its_header() {
        for text in ["name = \"news\"\ngop = \"1s\"", "# mine\n[[channel]]\nname = \"news\""] {
            let (name, text) = channel_text("application/toml", text.as_bytes(), Some("news")).unwrap();
            assert!(name == "news" && text.contains("[[channel]]"), "{text}");
        }
    }

    #[test]
    fn what_is_no_channel_is_refused_in_words() {
        assert!(matches!(channel_text("text/plain", b"", None), Err(Wrong::Kind)));
        for (body, part) in [
            ("[]", "object"),
            ("{", "not JSON"),
            ("{}", "needs a name"),
            (r#"{"name": "../x"}"#, "needs a name"),
            (r#"{"name": "live/*"}"#, "wildcards"),
            (r#"{"name": "x", "gop": null}"#, "leave it out"),
            (r#"{"name": "x", "a = 1\n[http]\nb": 1}"#, "letters"),
        ] {
            assert!(json(body).unwrap_err().to_string().contains(part), "{body}: {:?}", json(body));
        }
        assert!(channel_text("application/json", br#"{"name": "a"}"#, Some("b")).unwrap_err().to_string().contains("one name"));
    }

    proptest! {
        /// No text can leave its quotes and become lines of its own.
        #[test]
        fn a_string_comes_out_as_it_went_in(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
            let body = serde_json::json!({"name": "x", "slate": {"text": text}}).to_string();
            let (_, written) = json(&body).unwrap();
            let document = toml_edit::Document::parse(written.as_str()).unwrap();
            let channels = document.as_table().get("channel").and_then(|item| item.as_array_of_tables()).unwrap();
            prop_assert_eq!(channels.get(0).unwrap().get("slate").unwrap().get("text").unwrap().as_str(), Some(text.as_str()));
        }
    }
}
