//! Text to a TOML document, going on after mistakes of syntax so that one run shows as many of them as it can.

use toml_edit::Document;

use super::sink::{Place, Sink};

/// Mistakes of syntax that are looked for in one run.
const MISTAKES: usize = 20;

/// Stands in for a value that could not be read. Readers pass over it: it has been reported.
pub const UNREADABLE: &str = "\u{10FFFF}";

/// Parses `text`. Mistakes go into `sink`; what comes back is the document without the lines they are in, and `None`
/// where so little is left that further messages would mislead.
///
/// A value that cannot be read (`gop = 2s`) is replaced by [`UNREADABLE`] and a line that says something twice is
/// blanked; neither moves the lines and columns of anything else.
pub fn parse(text: &str, sink: &mut Sink) -> Option<Document<String>> {
    let mut text = text.to_owned();
    let mut replaced: Vec<usize> = Vec::new();
    for _ in 0..MISTAKES {
        let error = match Document::parse(text.clone()) {
            Ok(document) => return Some(document),
            Err(error) => error,
        };
        let offset = error.span().map_or(text.len(), |span| span.start).min(text.len());
        let (start, end) = line_around(&text, offset);
        let line = text.get(start..end)?.to_owned();
        let again = replaced.contains(&start);
        if !again {
            report(sink, &text, offset, &line, error.message());
            replaced.push(start);
        }
        let better = if again { Some(" ".repeat(line.len())) } else { without_value(&line) };
        text.replace_range(start..end, &better?);
        sink.text_changed(&text);
    }
    None
}

/// The line of `text` that holds `offset`, without its line feed.
fn line_around(text: &str, offset: usize) -> (usize, usize) {
    let bytes = text.as_bytes();
    let before = bytes.get(..offset).unwrap_or_default();
    // An error at a line feed is the error of the line that it ends.
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let rest = bytes.get(start..).unwrap_or_default();
    (start, start + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()))
}

/// The key of a line `key = ...`, and where the `=` is.
fn key_of(line: &str) -> Option<(&str, usize)> {
    let equals = line.find('=')?;
    let key = line.get(..equals)?.trim();
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (!key.is_empty() && key.chars().all(bare)).then_some((key, equals))
}

fn without_value(line: &str) -> Option<String> {
    let (_, equals) = key_of(line)?;
    Some(format!("{} \"{UNREADABLE}\"", line.get(..=equals)?))
}

/// Says what is wrong with a line without quoting its value: it may be a key.
fn report(sink: &mut Sink, text: &str, offset: usize, line: &str, message: &str) {
    let key = key_of(line);
    let value = key.and_then(|(_, equals)| line.get(equals + 1..)).unwrap_or_default().trim_start();
    let message: String = message.chars().filter(|c| !c.is_control()).collect();
    let parsers = format!("is not valid TOML ({message})");
    let (rule, remedy) = match key {
        Some((key, _)) if message.contains("duplicate") => ("is set twice in one table".into(), format!("remove one of the two {key}")),
        Some((key, _)) if value.starts_with(|c: char| c.is_alphanumeric()) => {
            ("is neither a number nor text in quotes".into(), format!("put text and units in quotes: {key} = \"...\""))
        }
        Some((key, _)) if value.starts_with('"') => {
            (parsers, format!("close the quotes, and write nothing but a # comment after them: {key} = \"...\""))
        }
        _ => (parsers, "a file is made of [tables] and of lines like: name = \"news\"".into()),
    };
    // The last line of a file that ends too early may be empty; its beginning is as good a place as any.
    let offset = offset.min(text.len());
    sink.add(&Place::at(offset, key.map_or("", |(key, _)| key)), rule, remedy);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> (bool, Vec<String>) {
        let mut sink = Sink::new("a.toml", text);
        let found = parse(text, &mut sink).is_some();
        let report = sink.into_report().map(|report| report.to_string()).unwrap_or_default();
        (found, report.lines().filter(|line| line.starts_with("a.toml:")).map(str::to_owned).collect())
    }

    #[test]
    fn values_without_quotes_are_all_found_in_one_run() {
        let (found, lines) = messages("a = 1\ngop = 2s\nb = 2\nname = news\n");
        assert!(found);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("a.toml:2:") && lines[0].ends_with("put text and units in quotes: gop = \"...\""), "{lines:?}");
        assert!(lines[1].starts_with("a.toml:4:") && lines[1].contains("name"), "{lines:?}");
    }

    #[test]
    fn a_key_that_is_set_twice_is_one_mistake() {
        let (found, lines) = messages("[http]\nlisten = \"a\"\nlisten = \"b\"\n");
        assert!(found);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("a.toml:3:1: listen: ") && lines[0].contains("set twice"), "{lines:?}");
    }

    #[test]
    fn a_broken_header_ends_the_search() {
        let (found, lines) = messages("[[channel]\nname = \"x\"\n");
        assert!(!found);
        assert_eq!(lines.len(), 1, "{lines:?}");
    }

    #[test]
    fn an_unquoted_key_is_not_repeated() {
        let (_, lines) = messages("stream_key = hunter2\n");
        assert!(!lines[0].contains("hunter2"), "{lines:?}");
    }
}
