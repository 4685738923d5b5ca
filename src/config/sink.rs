//! Collects problems while a file is read, and knows where in the file they are.

use super::report::{Problem, Report, Spot};
use super::scalar::Complaint;

/// Where a value stands, and how messages name and quote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    origin: Origin,
    /// The key: `channel[0].gop`.
    pub key: String,
    /// The value as messages quote it.
    pub shown: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// Byte offset in the file.
    Offset(usize),
    /// An option of the command line.
    Option(&'static str),
}

impl Place {
    /// A place in the file, without a value.
    pub fn at(offset: usize, key: impl Into<String>) -> Place {
        Place { origin: Origin::Offset(offset), key: key.into(), shown: None }
    }

    /// An option of the command line and what it was given.
    pub fn option(option: &'static str, shown: String) -> Place {
        Place { origin: Origin::Option(option), key: String::new(), shown: Some(shown) }
    }

    /// This place with the value that stands there.
    pub fn showing(self, shown: Option<String>) -> Place {
        Place { shown, ..self }
    }

    /// This place, called by another key.
    pub fn named(self, key: &str) -> Place {
        Place { key: key.into(), ..self }
    }

    /// This table's place, speaking of a key that should be in it.
    pub fn of(&self, key: &str) -> Place {
        self.clone().named(&format!("{}.{key}", self.key)).showing(None)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// What was found under a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Field<T> {
    /// Nothing.
    Absent,
    /// Something that was reported already; rules that need it stay silent.
    Invalid,
    /// A value.
    Given(Entry<T>),
}

impl<T> Field<T> {
    /// The value and its place, if there is a usable one.
    pub fn given(&self) -> Option<&Entry<T>> {
        match self {
            Field::Given(entry) => Some(entry),
            _ => None,
        }
    }

    /// The value, if there is a usable one.
    pub fn value(&self) -> Option<&T> {
        self.given().map(|entry| &entry.value)
    }

    /// Whether something unusable stands there.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Field::Invalid)
    }
}

impl<T: Clone> Field<T> {
    /// The value, or `default` where there is none or none that can be used.
    pub fn or(&self, default: T) -> T {
        self.value().cloned().unwrap_or(default)
    }

    /// This field if `rule` holds, and a reported one otherwise.
    pub fn checked(self, sink: &mut Sink, rule: impl FnOnce(&T) -> Result<(), Complaint>) -> Field<T> {
        match self {
            Field::Given(entry) => match rule(&entry.value) {
                Ok(()) => Field::Given(entry),
                Err(complaint) => {
                    sink.complain(&entry.place, complaint);
                    Field::Invalid
                }
            },
            other => other,
        }
    }
}

/// The problems found so far.
#[derive(Debug)]
pub struct Sink {
    file: String,
    text: String,
    problems: Vec<Problem>,
    patched: bool,
}

impl Sink {
    /// No problems yet with this file.
    pub fn new(file: &str, text: &str) -> Sink {
        Sink { file: file.into(), text: text.into(), problems: Vec::new(), patched: false }
    }

    /// Mistakes were cut out of the text; lines and columns of what is left are as before.
    pub fn text_changed(&mut self, text: &str) {
        self.text = text.into();
        self.patched = true;
    }

    /// Whether mistakes were cut out of the text.
    pub fn is_patched(&self) -> bool {
        self.patched
    }

    /// Adds a problem. After a thousand nobody reads on.
    pub fn add(&mut self, place: &Place, rule: impl Into<String>, remedy: impl Into<String>) {
        const MOST: usize = 1000;
        if self.problems.len() >= MOST {
            return;
        }
        let spot = match place.origin {
            Origin::Offset(offset) => self.spot(offset),
            Origin::Option(option) => Spot::Option(option),
        };
        self.problems.push(Problem { spot, key: place.key.clone(), value: place.shown.clone(), rule: rule.into(), remedy: remedy.into() });
    }

    /// Adds what a conversion says.
    pub fn complain(&mut self, place: &Place, complaint: Complaint) {
        self.add(place, complaint.rule, complaint.remedy);
    }

    /// Whether a problem with a key that begins like this was found already.
    pub fn speaks_of(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key.starts_with(key))
    }

    /// The report, if there is anything to report.
    pub fn into_report(self) -> Option<Report> {
        (!self.problems.is_empty()).then(|| Report::new(&self.file, self.problems))
    }

    fn spot(&self, offset: usize) -> Spot {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // Characters, not bytes: continuation bytes of UTF-8 do not count.
        let column = before.iter().skip(start).filter(|byte| (**byte & 0xC0) != 0x80).count() + 1;
        Spot::At { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "a = 1\n# ünï\nbä = 2";
        let sink = Sink::new("a.toml", text);
        assert_eq!(sink.spot(0), Spot::At { line: 1, column: 1 });
        assert_eq!(sink.spot(text.find('2').unwrap()), Spot::At { line: 3, column: 6 });
        assert_eq!(sink.spot(9999), Spot::At { line: 3, column: 7 });
    }

    #[test]
    fn a_rule_speaks_once() {
        let mut sink = Sink::new("a.toml", "");
        let field = Field::Given(Entry { value: 3, place: Place::at(0, "x") });
        let refuse = |_: &i32| Err(Complaint::new("must be", "use"));
        let field = field.checked(&mut sink, refuse).checked(&mut sink, refuse);
        assert!(field.is_invalid() && field.or(7) == 7);
        assert_eq!(sink.into_report().unwrap().problems().len(), 1);
    }
}
