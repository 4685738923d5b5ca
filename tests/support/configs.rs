//! Configurations of the tests: small ladders that two cores carry in real time, short segments.

/// A ladder `test` of 360p and 180p.
pub const TEST_LADDER: &str = r#"
[[ladder.test]]
name = "360p"
height = 360
bitrate = "600k"
preset = "ultrafast"

[[ladder.test]]
name = "180p"
height = 180
bitrate = "200k"
preset = "ultrafast"
"#;

/// Names of the rungs of `test`.
pub const TEST_RUNGS: [&str; 2] = ["360p", "180p"];

/// A channel as the tests want it; written out by [`config`].
#[derive(Clone, Debug)]
pub struct Channel {
    name: &'static str,
    keys: Vec<(&'static str, String)>,
}

/// A channel of the ladder `test` with two-second segments; its key is its name.
pub fn channel(name: &'static str) -> Channel {
    let quoted = |value: &str| format!("\"{value}\"");
    // A machine that is busy elsewhere must not change the ladder in the middle of a story.
    let overload = ("overload", "[]".to_owned());
    let keys = vec![("ladder", quoted("test")), ("segment", quoted("2s")), ("gop", quoted("1s")), ("window", quoted("20s")), overload];
    Channel { name, keys }
}

impl Channel {
    /// The pattern is on the air while nobody publishes.
    pub fn pattern(self) -> Channel {
        self.text("feed", "pattern").value("rate", "25")
    }

    /// The source's own packets, no ladder.
    pub fn copy(self) -> Channel {
        self.text("ladder", "copy").without("overload")
    }

    /// CMAF and MPEG-TS.
    pub fn with_ts(self) -> Channel {
        self.value("formats", "[\"cmaf\", \"ts\"]")
    }

    /// Leaves a key to its default.
    pub fn without(mut self, key: &str) -> Channel {
        self.keys.retain(|(name, _)| *name != key);
        self
    }

    /// Sets a key to a string.
    pub fn text(self, key: &'static str, value: &str) -> Channel {
        self.value(key, &format!("\"{value}\""))
    }

    /// Sets a key to a value in TOML's own notation.
    pub fn value(mut self, key: &'static str, value: &str) -> Channel {
        self.keys.retain(|(name, _)| *name != key);
        self.keys.push((key, value.into()));
        self
    }
}

/// The file.
pub fn config(channels: &[Channel]) -> String {
    let mut text = String::new();
    for channel in channels {
        text.push_str(&format!("[[channel]]\nname = \"{}\"\n", channel.name));
        for (key, value) in &channel.keys {
            text.push_str(&format!("{key} = {value}\n"));
        }
        text.push('\n');
    }
    text + TEST_LADDER
}
