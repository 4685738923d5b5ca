//! A single value as written, and what a conversion says of one that it cannot take.

use toml_edit::{Item, Value};

/// A single value of the file or of the command line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Text in quotes.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A number with a point.
    Float(f64),
    /// `true` or `false`.
    Flag(bool),
    /// Something that is no single value; says what.
    Other(&'static str),
}

/// What is wrong with a value, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// `must be ...`
    pub rule: String,
    /// `use ...`
    pub remedy: String,
}

impl Complaint {
    /// A complaint.
    pub fn new(rule: impl Into<String>, remedy: impl Into<String>) -> Complaint {
        Complaint { rule: rule.into(), remedy: remedy.into() }
    }
}

/// A complaint as the result of a conversion.
pub fn complain<T>(rule: impl Into<String>, remedy: impl Into<String>) -> Result<T, Complaint> {
    Err(Complaint::new(rule, remedy))
}

impl<'a> Scalar<'a> {
    /// The single value of an item of the file.
    pub fn of(item: &'a Item) -> Scalar<'a> {
        match item {
            Item::Value(value) => Scalar::of_value(value),
            Item::Table(_) => Scalar::Other("a table"),
            Item::ArrayOfTables(_) => Scalar::Other("a list of tables"),
            Item::None => Scalar::Other("nothing"),
        }
    }

    /// The single value of a value of the file.
    pub fn of_value(value: &'a Value) -> Scalar<'a> {
        match value {
            Value::String(text) => Scalar::Text(text.value()),
            Value::Integer(number) => Scalar::Integer(*number.value()),
            Value::Float(number) => Scalar::Float(*number.value()),
            Value::Boolean(flag) => Scalar::Flag(*flag.value()),
            Value::Datetime(_) => Scalar::Other("a date"),
            Value::Array(_) => Scalar::Other("a list"),
            Value::InlineTable(_) => Scalar::Other("a table"),
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&'a str> {
        match self {
            Scalar::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number in decimal, if it is one.
    pub fn number(&self) -> Option<String> {
        match self {
            Scalar::Integer(number) => Some(number.to_string()),
            Scalar::Float(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// How messages quote it: shortened, on one line.
    pub fn shown(&self) -> String {
        const LONGEST: usize = 60;
        match self {
            Scalar::Text(text) => {
                let short: String = text.chars().take(LONGEST).collect();
                let cut = if short.len() < text.len() { "..." } else { "" };
                format!("\"{}{cut}\"", short.escape_debug())
            }
            Scalar::Integer(number) => number.to_string(),
            Scalar::Float(number) => number.to_string(),
            Scalar::Flag(flag) => flag.to_string(),
            Scalar::Other(what) => format!("({what})"),
        }
    }

    /// How messages quote it where an address should stand: without options and user, which may hold a passphrase.
    pub fn shown_address(&self) -> String {
        let Some(text) = self.text() else { return self.shown() };
        let (place, options) = text.split_at(text.find(['?', '&', '#', ';', ' ']).unwrap_or(text.len()));
        let (scheme, place) = place.split_once("://").map_or(("", place), |(scheme, place)| (scheme, place));
        let separator = if scheme.is_empty() { "" } else { "://" };
        // A bare `@` before a multicast group is no user.
        let (user, host) = match place.rsplit_once('@') {
            Some((user, host)) => (if user.is_empty() { "@" } else { "...@" }, host),
            None => ("", place),
        };
        let cut = if options.is_empty() { "" } else { "?..." };
        Scalar::Text(&format!("{scheme}{separator}{user}{host}{cut}")).shown()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_quoted_without_what_may_be_a_passphrase() {
        let shown = |text| Scalar::Text(text).shown_address();
        assert_eq!(shown("srt://host:9000?latency=200&passphrase=hunter2hunter2"), "\"srt://host:9000?...\"");
        for text in ["srt://hunter2@host:1", "srt://u:hunter2@host:1", "srt://host:1&passphrase=hunter2", "srt://host:1 hunter2"] {
            assert!(shown(text).contains("host") && !shown(text).contains("hunter2"), "{}", shown(text));
        }
        assert_eq!(shown("udp://@239.1.1.1:5000"), "\"udp://@239.1.1.1:5000\"");
        assert_eq!(Scalar::Integer(5).shown_address(), "5");
    }

    #[test]
    fn messages_quote_a_value_on_one_short_line() {
        assert_eq!(Scalar::Text("a\nb\u{1b}[1m\"").shown(), r#""a\nb\u{1b}[1m\"""#);
        assert_eq!(Scalar::Text(&"ä".repeat(5000)).shown().chars().count(), 65);
        assert_eq!(Scalar::Float(29.97).shown(), "29.97");
        assert_eq!(Scalar::Other("a list").shown(), "(a list)");
    }
}
