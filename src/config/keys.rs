//! Every key that a configuration may have, as data: the reader, the did-you-mean and the test of the manual use it.

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// How the table's header is written: `[[channel]]`; empty for the top of the file.
    pub header: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// What people write who mean this key, beside misspellings.
    pub also: &'static [&'static str],
}

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// A value.
    Value,
    /// A value that is never printed.
    Secret,
    /// An address; what may be a secret in it is never printed.
    Address,
    /// A table.
    Table(&'static Section),
    /// A list of tables.
    Tables(&'static Section),
    /// Lists of tables by names of the operator's choice.
    Named(&'static Section),
}

const fn value(name: &'static str, also: &'static [&'static str]) -> Key {
    Key { name, holds: Holds::Value, also }
}

/// The top of the file.
pub static ROOT: Section = Section {
    header: "",
    keys: &[
        value("state_dir", &["state", "statedir", "data_dir"]),
        value("admission", &["admit", "overcommit", "limits"]),
        value("calibration", &["calibrate", "benchmark"]),
        value("api_changes", &["api_writes"]),
        Key { name: "http", holds: Holds::Table(&HTTP), also: &["web", "server", "listen"] },
        Key { name: "rtmp", holds: Holds::Table(&RTMP), also: &["ingest"] },
        Key { name: "https", holds: Holds::Table(&HTTPS), also: &[] },
        Key { name: "rtmps", holds: Holds::Table(&RTMPS), also: &[] },
        Key { name: "srt", holds: Holds::Table(&SRT), also: &[] },
        Key { name: "certificate", holds: Holds::Tables(&CERTIFICATE), also: &["tls", "ssl", "cert", "certificates"] },
        Key { name: "api", holds: Holds::Table(&API), also: &["auth", "access"] },
        Key { name: "token", holds: Holds::Tables(&TOKEN), also: &["tokens", "users", "user"] },
        Key { name: "devices", holds: Holds::Table(&DEVICES), also: &["gpu", "gpus", "nvidia", "hardware"] },
        Key { name: "machine", holds: Holds::Table(&MACHINE), also: &["system", "host", "cpu"] },
        Key { name: "channel", holds: Holds::Tables(&CHANNEL), also: &["stream", "streams", "input"] },
        Key { name: "ladder", holds: Holds::Named(&RUNG), also: &["rungs", "renditions", "profiles"] },
    ],
};

const LISTEN: Key = value("listen", &["address", "addr", "bind", "port", "host"]);

/// Where viewers come.
pub static HTTP: Section = Section { header: "[http]", keys: &[LISTEN] };

/// Where publishers come.
pub static RTMP: Section = Section { header: "[rtmp]", keys: &[LISTEN] };

/// Where viewers come through TLS.
pub static HTTPS: Section = Section { header: "[https]", keys: &[LISTEN] };

/// Where publishers come through TLS.
pub static RTMPS: Section = Section { header: "[rtmps]", keys: &[LISTEN] };

/// A certificate with its key.
pub static CERTIFICATE: Section = Section {
    header: "[[certificate]]",
    keys: &[
        value("chain", &["cert", "certificate", "file", "fullchain", "crt", "pem"]),
        value("key", &["private_key", "privkey", "key_file"]),
        value("names", &["hosts", "host", "domains", "name", "server_name", "sni"]),
    ],
};

/// Who may use the API.
pub static API: Section = Section {
    header: "[api]",
    keys: &[
        value("loopback_tokens", &["local_tokens", "require_token", "tokens_on_loopback"]),
        value("trusted_proxies", &["proxies", "proxy", "trusted", "real_ip"]),
    ],
};

/// A token of the API.
pub static TOKEN: Section = Section {
    header: "[[token]]",
    keys: &[
        value("name", &["id", "user", "owner"]),
        value("role", &["roles", "scope", "rights"]),
        Key { name: "sha256", holds: Holds::Secret, also: &["hash", "token", "secret", "password", "digest"] },
    ],
};

/// Where SRT callers come.
pub static SRT: Section = Section { header: "[srt]", keys: &[LISTEN, value("latency", &["delay", "rcvlatency", "buffer"])] };

/// The devices of the machine, and what channels want of them where they are silent.
pub static DEVICES: Section = Section {
    header: "[devices]",
    keys: &[
        value("nvidia", &["cuda", "nvenc"]),
        value("device", &["policy", "hardware", "hwaccel"]),
        value("gpu", &["card", "uuid", "ordinal"]),
        value("return_after", &["return", "failback", "back_after"]),
    ],
};

/// The machine itself.
pub static MACHINE: Section = Section {
    header: "[machine]",
    keys: &[
        value("pinning", &["affinity", "pin", "cores"]),
        value("ingest", &["ingest_cores", "input"]),
        value("packaging", &["packaging_cores", "packager", "channels"]),
        value("edge", &["edge_cores", "origin", "http"]),
        value("workers", &["worker_cores", "worker", "encoders", "encode"]),
    ],
};

/// A channel.
pub static CHANNEL: Section = Section {
    header: "[[channel]]",
    keys: &[
        value("name", &["id", "title"]),
        Key { name: "stream_key", holds: Holds::Secret, also: &["key", "secret", "password", "token"] },
        // People write addresses here that belong to a feed of the list.
        Key { name: "feed", holds: Holds::Address, also: &["source", "input"] },
        value("rate", &["fps", "framerate", "frame_rate"]),
        value("ladder", &["rungs", "renditions", "profile"]),
        value("formats", &["output", "outputs"]),
        value("gop", &["keyint", "keyframe_interval", "idr"]),
        value("segment", &["segment_duration", "segment_length", "hls_time", "fragment"]),
        value("window", &["playlist", "playlist_length", "dvr"]),
        value("hold", &["timeout"]),
        value("on_second_publisher", &["second_publisher", "takeover"]),
        Key { name: "audio", holds: Holds::Table(&AUDIO), also: &["aac"] },
        Key { name: "feeds", holds: Holds::Tables(&FEED), also: &["sources", "inputs"] },
        Key { name: "failover", holds: Holds::Table(&FAILOVER), also: &["backup", "switch", "switchover"] },
        Key { name: "srt", holds: Holds::Table(&CHANNEL_SRT), also: &["encryption"] },
        Key { name: "slate", holds: Holds::Table(&SLATE), also: &["fallback", "holding_picture"] },
        value("device", &["hardware", "hwaccel", "acceleration"]),
        value("gpu", &["card"]),
        value("overload", &["degrade", "shed", "too_slow"]),
        value("priority", &["importance", "class"]),
        value("thumbnails", &["preview", "previews", "snapshots"]),
        value("trusted_network", &["trusted", "insecure"]),
        value("max_channels", &["max", "limit"]),
    ],
};

/// A channel's audio.
pub static AUDIO: Section = Section { header: "[channel.audio]", keys: &[value("bitrate", &["rate", "bandwidth"])] };

/// A feed of a channel.
pub static FEED: Section = Section {
    header: "[[channel.feeds]]",
    keys: &[
        value("name", &["id", "title"]),
        Key { name: "source", holds: Holds::Address, also: &["url", "uri", "address", "input", "from"] },
        Key { name: "stream_key", holds: Holds::Secret, also: &["key", "secret", "token"] },
        Key { name: "passphrase", holds: Holds::Secret, also: &["password", "pass"] },
    ],
};

/// When a channel changes its feed, and what its pictures and sound are watched for.
pub static FAILOVER: Section = Section {
    header: "[channel.failover]",
    keys: &[
        value("after", &["timeout", "loss", "lost"]),
        value("return_after", &["return", "failback", "back_after", "revert"]),
        value("freeze", &["frozen", "still"]),
        value("black", &["dark"]),
        value("silence", &["silent", "mute"]),
    ],
};

/// How SRT callers of a channel encrypt.
pub static CHANNEL_SRT: Section = Section {
    header: "[channel.srt]",
    keys: &[
        Key { name: "passphrase", holds: Holds::Secret, also: &["password", "pass", "secret", "key"] },
        value("key_length", &["pbkeylen", "keylen", "bits", "aes"]),
    ],
};

/// What shows in holes.
pub static SLATE: Section = Section {
    header: "[channel.slate]",
    keys: &[value("file", &["path", "image", "picture", "clip", "video"]), value("text", &["title", "message"])],
};

/// A rung of a ladder.
pub static RUNG: Section = Section {
    header: "[[ladder.NAME]]",
    keys: &[
        value("name", &["id"]),
        value("width", &["size", "resolution"]),
        value("height", &["lines"]),
        value("bitrate", &["bandwidth", "rate", "video_bitrate"]),
        value("codec", &["encoder", "vcodec"]),
        value("preset", &["speed"]),
        value("tune", &["tuning"]),
        value("profile", &[]),
    ],
};

impl Section {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The key that somebody may have meant who wrote `written`.
    pub fn meant(&self, written: &str) -> Option<&'static str> {
        let plain = written.to_lowercase().replace('-', "_");
        let synonym = self.keys.iter().find(|key| key.name == plain || key.also.contains(&plain.as_str()));
        synonym.map(|key| key.name).or_else(|| nearest(&plain, self.keys.iter().map(|key| key.name)))
    }
}

/// The candidate that `written` is most likely a misspelling of: at most a third of its letters differ.
pub fn nearest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = |candidate: &str| (candidate.len().max(3)) / 3;
    let scored = candidates.map(|candidate| (edits(written, candidate), candidate));
    scored.filter(|(edits, candidate)| *edits <= limit(candidate)).min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour that make one text of the other. Long texts count as far apart.
fn edits(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(LONGEST + 1).collect(), b.chars().take(LONGEST + 1).collect());
    if a.len().max(b.len()) > LONGEST {
        return usize::MAX;
    }
    let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let shortest = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { shortest.min(table[i - 2][j - 2] + 1) } else { shortest }
                }
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_and_other_programs_words_are_understood() {
        assert_eq!(CHANNEL.meant("straem_key"), Some("stream_key"));
        assert_eq!(CHANNEL.meant("Segments"), Some("segment"));
        assert_eq!(CHANNEL.meant("fps"), Some("rate"));
        assert_eq!(CHANNEL.meant("stream-key"), Some("stream_key"));
        assert_eq!(ROOT.meant("channels"), Some("channel"));
        assert_eq!(HTTP.meant("port"), Some("listen"));
        assert_eq!(CHANNEL.meant("whatever"), None);
    }

    #[test]
    fn edits_count_letters() {
        assert_eq!(edits("gop", "gop"), 0);
        assert_eq!(edits("pgo", "gop"), 2);
        assert_eq!(edits("ogp", "gop"), 1);
        assert_eq!(edits("", "gop"), 3);
        assert_eq!(edits(&"x".repeat(100_000), "gop"), usize::MAX);
    }

    #[test]
    fn no_synonym_is_another_key_of_its_section() {
        for section in [
            &ROOT,
            &HTTP,
            &RTMP,
            &HTTPS,
            &RTMPS,
            &CERTIFICATE,
            &API,
            &TOKEN,
            &SRT,
            &DEVICES,
            &CHANNEL,
            &FEED,
            &FAILOVER,
            &CHANNEL_SRT,
            &SLATE,
            &AUDIO,
            &RUNG,
        ] {
            let all: Vec<&str> = section.keys.iter().flat_map(|key| key.also.iter().chain([&key.name])).copied().collect();
            let mut unique = all.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(all.len(), unique.len(), "{}", section.header);
        }
    }
}
