//! Addresses, names, choices and numbers as people write them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use crate::channel::plan::Secret;

use super::keys::nearest;
use super::scalar::{Complaint, Scalar, complain};

/// Longest name of a channel, rung or ladder in characters.
const LONGEST_NAME: usize = 64;

/// Longest stream key in characters.
const LONGEST_KEY: usize = 128;

/// Longest line on a slate in characters.
const LONGEST_LINE: usize = 80;

/// `IP:PORT`, `IP` with the default port, `:PORT` for every IPv4 interface, `localhost`.
pub fn address(scalar: &Scalar, default_port: u16) -> Result<SocketAddr, Complaint> {
    let rule = "must be an IP address and a port, in quotes";
    let remedy = format!("write for example \"127.0.0.1:{default_port}\" for this machine or \"0.0.0.0:{default_port}\" for the network");
    let Some(text) = scalar.text().map(str::trim) else {
        return complain(rule, remedy);
    };
    let named = match text.strip_prefix("localhost") {
        Some(rest) => format!("{}{rest}", Ipv4Addr::LOCALHOST),
        None if text.starts_with(':') && !text.starts_with("::") => format!("{}{text}", Ipv4Addr::UNSPECIFIED),
        None => text.to_owned(),
    };
    let bare = named.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&named);
    let with_port = named.parse::<SocketAddr>();
    with_port.or_else(|_| bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, default_port))).map_err(|_| Complaint::new(rule, remedy))
}

/// An address, or `off`.
pub fn address_or_off(scalar: &Scalar, default_port: u16) -> Result<Option<SocketAddr>, Complaint> {
    match scalar.text() {
        Some("off") => Ok(None),
        _ => address(scalar, default_port).map(Some),
    }
}

/// A name that is safe in addresses, metrics and file names: `[a-z0-9_-]{1,64}`.
pub fn name(scalar: &Scalar) -> Result<String, Complaint> {
    let rule = format!("must be 1 to {LONGEST_NAME} of a-z, 0-9, _ and -, because it appears in addresses and metrics");
    match scalar.text() {
        Some(text) if is_name(text) => Ok(text.to_owned()),
        written => complain(rule, format!("use \"{}\"", name_like(written.unwrap_or_default()))),
    }
}

/// Whether a text is a name.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(allowed)
}

/// The name that comes nearest to a text: `News HD!` gives `news-hd`.
fn name_like(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()).take(4 * LONGEST_NAME) {
        match c {
            'a'..='z' | '0'..='9' | '_' => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(LONGEST_NAME);
    match name.trim_matches('-') {
        "" => "news".into(),
        trimmed => trimmed.into(),
    }
}

/// A stream key: what fits into the address of a publisher without escapes.
pub fn stream_key(scalar: &Scalar) -> Result<String, Complaint> {
    let rule = format!("must be 1 to {LONGEST_KEY} of A-Z, a-z, 0-9, '.', '_', '~' and '-', because publishers put it into an address");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    match scalar.text() {
        Some(text) if (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(allowed) => Ok(text.to_owned()),
        Some(_) => complain(rule, "leave other characters out"),
        None => complain(rule, "write it in quotes"),
    }
}

/// What SRT encrypts with: 10 to 79 bytes (SRTO_PASSPHRASE of libsrt).
pub fn passphrase(scalar: &Scalar) -> Result<Secret, Complaint> {
    let rule = "must be 10 to 79 bytes of text without control characters, because that is what SRT takes";
    match scalar.text() {
        Some(text) if (10..=79).contains(&text.len()) && !text.contains(char::is_control) => Ok(Secret::new(text)),
        Some(_) => complain(rule, "make one with: openssl rand -hex 16"),
        None => complain(rule, "write it in quotes"),
    }
}

/// One line that is painted into pictures.
pub fn line(scalar: &Scalar) -> Result<String, Complaint> {
    let rule = format!("must be one line of 1 to {LONGEST_LINE} characters");
    match scalar.text().map(str::trim) {
        Some(text) if (1..=LONGEST_LINE).contains(&text.chars().count()) && !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => complain(rule, "write for example \"We will be back in a moment\""),
    }
}

/// One of a few words.
pub fn one_of<T: Copy>(scalar: &Scalar, choices: &[(&'static str, T)]) -> Result<T, Complaint> {
    let words = || choices.iter().map(|(word, _)| *word);
    let listed = words().map(|word| format!("\"{word}\"")).collect::<Vec<_>>();
    let rule = format!("must be {}", listed.join(" or "));
    let Some(text) = scalar.text() else {
        return complain(rule, format!("use {}", listed.first().map_or("another", String::as_str)));
    };
    let found = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
    let plain = text.to_lowercase();
    let meant = || nearest(&plain, words()).or_else(|| words().next()).unwrap_or_default();
    found.ok_or_else(|| Complaint::new(rule, format!("use \"{}\"", meant())))
}

/// A whole number within a range.
pub fn integer(scalar: &Scalar, range: RangeInclusive<u32>) -> Result<u32, Complaint> {
    let rule = format!("must be a whole number from {} to {}", range.start(), range.end());
    match *scalar {
        Scalar::Integer(number) => match u32::try_from(number).ok().filter(|number| range.contains(number)) {
            Some(number) => Ok(number),
            None => complain(rule, format!("use {}", number.clamp((*range.start()).into(), (*range.end()).into()))),
        },
        Scalar::Text(text) if text.parse::<u32>().is_ok() => complain(rule, format!("leave the quotes out: {text}")),
        _ => complain(rule, format!("use for example {}", range.end())),
    }
}

/// `true` or `false`.
pub fn flag(scalar: &Scalar) -> Result<bool, Complaint> {
    match scalar {
        Scalar::Flag(flag) => Ok(*flag),
        _ => complain("must be true or false, without quotes", "use true"),
    }
}

/// Any text that is not empty.
pub fn text(scalar: &Scalar) -> Result<String, Complaint> {
    match scalar.text() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => complain("must be a text in quotes that is not empty", "write one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_as_written() {
        let cases = [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("0.0.0.0", "0.0.0.0:8080"),
            (":9000", "0.0.0.0:9000"),
            ("localhost:9000", "127.0.0.1:9000"),
            ("localhost", "127.0.0.1:8080"),
            ("[::1]:9000", "[::1]:9000"),
            ("[::]", "[::]:8080"),
            ("::", "[::]:8080"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ];
        for (text, expected) in cases {
            assert_eq!(address(&Scalar::Text(text), 8080).unwrap(), expected.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_listened_on_are_refused() {
        for text in ["", "8080", "example.org:80", "127.0.0.1:", "127.0.0.1:99999", "http://127.0.0.1:8080", "off", "localhosts"] {
            assert!(address(&Scalar::Text(text), 8080).is_err(), "{text}");
        }
        let remedy = address(&Scalar::Integer(8080), 8080).unwrap_err().remedy;
        assert_eq!(remedy, "write for example \"127.0.0.1:8080\" for this machine or \"0.0.0.0:8080\" for the network");
        assert_eq!(address_or_off(&Scalar::Text("off"), 1935), Ok(None));
    }

    #[test]
    fn names_that_need_escapes_are_refused_with_one_that_does_not() {
        for (text, remedy) in [("News HD!", "use \"news-hd\""), ("", "use \"news\""), ("a/b", "use \"a-b\""), ("..", "use \"news\"")] {
            assert_eq!(name(&Scalar::Text(text)).unwrap_err().remedy, remedy, "{text}");
        }
        assert!(name(&Scalar::Text(&"a".repeat(64))).is_ok() && name(&Scalar::Text(&"a".repeat(65))).is_err());
        assert!(name(&Scalar::Integer(1)).is_err());
        assert_eq!(name(&Scalar::Text("cam_1-b")), Ok("cam_1-b".into()));
    }

    #[test]
    fn stream_keys_fit_into_an_address() {
        assert!(stream_key(&Scalar::Text("aZ09._~-")).is_ok());
        for text in ["", "a b", "a/b", "a?b", "ä", "rtmp://host/live/x"] {
            assert!(stream_key(&Scalar::Text(text)).is_err(), "{text}");
        }
        assert!(stream_key(&Scalar::Text(&"a".repeat(129))).is_err());
        assert!(stream_key(&Scalar::Integer(7)).is_err());
    }

    #[test]
    fn passphrases_are_as_long_as_srt_takes_them() {
        for (length, fits) in [(9, false), (10, true), (79, true), (80, false)] {
            assert_eq!(passphrase(&Scalar::Text(&"a".repeat(length))).is_ok(), fits, "{length}");
        }
        assert!(passphrase(&Scalar::Text("ünïcödé")).is_ok(), "bytes count, not characters");
        assert!(passphrase(&Scalar::Text("line\nbreak-in-it")).is_err());
        assert!(passphrase(&Scalar::Integer(1_234_567_890)).is_err());
    }

    #[test]
    fn a_line_is_short_and_one_line() {
        assert_eq!(line(&Scalar::Text(" back soon ")), Ok("back soon".into()));
        assert!(line(&Scalar::Text(&"ä".repeat(80))).is_ok() && line(&Scalar::Text(&"a".repeat(81))).is_err());
        assert!(line(&Scalar::Text("a\nb")).is_err() && line(&Scalar::Text("  ")).is_err() && line(&Scalar::Flag(true)).is_err());
    }

    #[test]
    fn a_misspelt_word_names_the_nearest_one() {
        let choices = [("publish", 1), ("pattern", 2)];
        assert_eq!(one_of(&Scalar::Text("pattern"), &choices), Ok(2));
        assert_eq!(one_of(&Scalar::Text("Patern"), &choices), complain("must be \"publish\" or \"pattern\"", "use \"pattern\""));
        assert!(one_of(&Scalar::Flag(true), &choices).is_err());
    }

    #[test]
    fn numbers_out_of_range_name_the_nearest_one() {
        assert_eq!(integer(&Scalar::Integer(64), 64..=4096), Ok(64));
        assert_eq!(integer(&Scalar::Integer(-1), 64..=4096).unwrap_err().remedy, "use 64");
        assert_eq!(integer(&Scalar::Integer(i64::MAX), 64..=4096).unwrap_err().remedy, "use 4096");
        assert_eq!(integer(&Scalar::Text("720"), 64..=4096).unwrap_err().remedy, "leave the quotes out: 720");
        assert!(integer(&Scalar::Float(64.5), 64..=4096).is_err());
        assert!(flag(&Scalar::Text("true")).is_err() && flag(&Scalar::Flag(false)) == Ok(false));
        assert!(text(&Scalar::Text("")).is_err() && text(&Scalar::Text("x")).is_ok());
    }

    proptest! {
        #[test]
        fn a_suggested_name_is_a_name(text in ".{0,100}") {
            prop_assert!(is_name(&name_like(&text)));
            let _ = address(&Scalar::Text(&text), 1);
        }
    }
}
