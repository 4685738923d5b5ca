//! From a request target to the names that a shelf knows.

use std::borrow::Cow;

/// Why a path is not looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadPath {
    /// A broken percent-encoding, or octets that are no UTF-8 or no text.
    Malformed,
    /// Empty, `.` or `..` segments, encoded slashes, backslashes: no shelf has such a name.
    Outside,
}

/// Splits `CHANNEL/PATH` and decodes both. The look-up compares whole strings, so nothing outside a shelf can be named;
/// odd paths are turned away all the same, for a cache in front may normalise them.
pub(super) fn split(path: &str) -> Result<(Cow<'_, str>, Cow<'_, str>), BadPath> {
    let (channel, file) = path.split_once('/').ok_or(BadPath::Outside)?;
    Ok((decoded(channel)?, decoded(file)?))
}

fn decoded(text: &str) -> Result<Cow<'_, str>, BadPath> {
    let decoded = if text.contains('%') { Cow::Owned(decode(text)?) } else { Cow::Borrowed(text) };
    if decoded.contains(char::is_control) {
        return Err(BadPath::Malformed);
    }
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    let odd = decoded.contains('\\')
        || slashes(&decoded) != slashes(text)
        || decoded.split('/').any(|segment| matches!(segment, "" | "." | ".."));
    if odd { Err(BadPath::Outside) } else { Ok(decoded) }
}

/// RFC 3986 section 2.1, once: `%252e` stays `%2e`.
fn decode(text: &str) -> Result<String, BadPath> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>().ok_or(BadPath::Malformed)?;
        octets.push(digit(digits[0])? << 4 | digit(digits[1])?);
        rest = tail;
    }
    String::from_utf8(octets).map_err(|_| BadPath::Malformed)
}

fn digit(octet: u8) -> Result<u8, BadPath> {
    let value = char::from(octet).to_digit(16).ok_or(BadPath::Malformed)?;
    Ok(value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn channel_and_file_are_taken_apart_and_decoded_once() {
        let (channel, file) = split("de%6Do/720p/a%2520b.m4s").unwrap();
        assert_eq!((channel.as_ref(), file.as_ref()), ("demo", "720p/a%20b.m4s"));
        assert!(matches!(split("demo/master.m3u8"), Ok((Cow::Borrowed("demo"), Cow::Borrowed("master.m3u8")))));
    }

    #[test]
    fn path_tricks_are_turned_away() {
        for path in [
            "demo",
            "demo/",
            "/master.m3u8",
            "demo//master.m3u8",
            "demo/../other/master.m3u8",
            "demo/%2e%2e/x",
            "demo/.%2E/x",
            "demo/./x",
            "demo/a%2fb",
            "demo%2Fa/b",
            "demo/a%5cb",
            "demo/a\\b",
            "../etc/passwd",
            "demo/x/",
        ] {
            assert_eq!(split(path), Err(BadPath::Outside), "{path}");
        }
        for path in ["demo/%", "demo/%2", "demo/%zz", "demo/%+1", "demo/%00", "demo/a%0d%0ab", "demo/%ff", "demo/%c0%ae"] {
            assert_eq!(split(path), Err(BadPath::Malformed), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_has_plain_segments_only(path in "[a./%2eEfF\\\\]{0,20}") {
            if let Ok((channel, file)) = split(&path) {
                prop_assert!(!channel.contains('/') && !channel.is_empty());
                prop_assert!(file.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
            }
        }
    }
}
