//! Reads the keys of one table of the file: unknown keys and wrong types are reported, values are converted.

use toml_edit::{Item, Key as TomlKey, TableLike};

use super::document::UNREADABLE;
use super::keys::{Holds, Section};
use super::scalar::{Complaint, Scalar};
use super::sink::{Entry, Field, Place, Sink};

/// A table of the file.
#[derive(Clone)]
pub struct Node<'a> {
    table: &'a dyn TableLike,
    section: &'static Section,
    place: Place,
}

impl<'a> Node<'a> {
    /// The table at `place`; reports its unknown keys.
    pub fn new(table: &'a dyn TableLike, section: &'static Section, place: Place, sink: &mut Sink) -> Node<'a> {
        let node = Node { table, section, place };
        for (key, _) in node.table.iter().filter(|(key, _)| node.section.key(key).is_none()) {
            node.report_unknown(key, sink);
        }
        node
    }

    /// Where the table begins.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The value under `key`.
    pub fn field<T>(&self, key: &'static str, sink: &mut Sink, convert: impl FnOnce(&Scalar) -> Result<T, Complaint>) -> Field<T> {
        let Some((place, item)) = self.find(key) else {
            return Field::Absent;
        };
        converted(Scalar::of(item), place, sink, convert)
    }

    /// The values of the list under `key`; one bad value spoils the list.
    pub fn list<T>(&self, key: &'static str, sink: &mut Sink, convert: impl Fn(&Scalar) -> Result<T, Complaint>) -> Field<Vec<Entry<T>>> {
        let Some((place, item)) = self.find(key) else {
            return Field::Absent;
        };
        let Some(array) = item.as_array() else {
            let refuse = |_: &Scalar| Err(Complaint::new("must be a list", format!("write for example {key} = [{}]", example_of(key))));
            return converted(Scalar::of(item), place, sink, refuse);
        };
        let mut entries = Vec::new();
        for (index, value) in array.iter().enumerate() {
            let offset = value.span().map(|span| span.start);
            let at = offset.map_or_else(|| place.clone(), |offset| Place::at(offset, format!("{}[{index}]", place.key)));
            let scalar = Scalar::of_value(value);
            entries.push(converted(scalar, at.showing(Some(scalar.shown())), sink, &convert));
        }
        let count = entries.len();
        let given: Vec<Entry<T>> =
            entries.into_iter().filter_map(|field| if let Field::Given(entry) = field { Some(entry) } else { None }).collect();
        if given.len() < count { Field::Invalid } else { Field::Given(Entry { value: given, place }) }
    }

    /// The table under `key`.
    pub fn table(&self, key: &'static str, sink: &mut Sink) -> Option<Node<'a>> {
        let (place, item) = self.find(key)?;
        let Some(Holds::Table(section)) = self.section.key(key).map(|key| key.holds) else {
            return None;
        };
        match item.as_table_like() {
            Some(table) => Some(Node::new(table, section, place.showing(None), sink)),
            None => {
                if !passed_over(item, sink) {
                    sink.add(&place, "must be a table", format!("write {} on a line of its own, and its keys below", section.header));
                }
                None
            }
        }
    }

    /// The tables of the list under `key`.
    pub fn tables(&self, key: &'static str, sink: &mut Sink) -> Vec<Node<'a>> {
        match (self.find(key), self.section.key(key).map(|key| key.holds)) {
            (Some((place, item)), Some(Holds::Tables(section))) => tables_in(item, section, place, section.header, sink),
            _ => Vec::new(),
        }
    }

    /// The lists of tables below `key`, by their names and the places of those.
    pub fn named(&self, key: &'static str, sink: &mut Sink) -> Vec<(Entry<String>, Vec<Node<'a>>)> {
        let (Some((place, item)), Some(Holds::Named(section))) = (self.find(key), self.section.key(key).map(|key| key.holds)) else {
            return Vec::new();
        };
        let Some(names) = item.as_table_like() else {
            if !passed_over(item, sink) {
                sink.add(
                    &place,
                    "must be tables with names",
                    format!("write {} on a line of its own, with a name of yours", section.header),
                );
            }
            return Vec::new();
        };
        let mut found = Vec::new();
        for (name, item) in names.iter() {
            let offset = names.key(name).and_then(TomlKey::span).map_or(0, |span| span.start);
            let at = Place::at(offset, format!("{key}.{}", shortened(name)));
            let header = section.header.replace("NAME", &shortened(name));
            let nodes = tables_in(item, section, at.clone(), &header, sink);
            found.push((Entry { value: name.to_owned(), place: at }, nodes));
        }
        found
    }

    /// The item under `key` and its place: where the value begins, or the key where that is not known.
    fn find(&self, key: &'static str) -> Option<(Place, &'a Item)> {
        let (written, item) = self.table.get_key_value(key)?;
        let offset = item.span().or_else(|| written.span()).map_or(0, |span| span.start);
        let shown = match self.section.key(key).map(|key| key.holds) {
            Some(Holds::Secret) => Some("(hidden)".into()),
            Some(Holds::Address) => Some(Scalar::of(item).shown_address()),
            _ => Some(Scalar::of(item).shown()),
        };
        Some((Place::at(offset, self.path(key)).showing(shown), item))
    }

    fn path(&self, key: &str) -> String {
        match self.place.key.as_str() {
            "" => key.into(),
            table => format!("{table}.{key}"),
        }
    }

    /// Never quotes the value: it may be a secret under a misspelt key.
    fn report_unknown(&self, key: &str, sink: &mut Sink) {
        let offset = self.table.key(key).and_then(TomlKey::span).map_or(0, |span| span.start);
        let known = || self.section.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
        let header = if self.section.header.is_empty() { "the top of the file" } else { self.section.header };
        let remedy = match self.section.meant(key) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("{header} may have {}", known()),
        };
        sink.add(&Place::at(offset, self.path(&shortened(key))), "is not a known key", remedy);
    }
}

/// A key of the operator's choice as messages repeat it.
fn shortened(key: &str) -> String {
    let short: String = key.chars().take(40).collect();
    short.escape_debug().to_string()
}

/// Whether an item stands for one that was reported as a mistake of syntax.
fn passed_over(item: &Item, sink: &Sink) -> bool {
    sink.is_patched() && item.as_str() == Some(UNREADABLE)
}

/// What a list under a key may hold.
fn example_of(key: &str) -> &'static str {
    if key == "overload" { "\"preset\", \"rungs\"" } else { "\"cmaf\", \"ts\"" }
}

fn converted<T>(scalar: Scalar, place: Place, sink: &mut Sink, convert: impl FnOnce(&Scalar) -> Result<T, Complaint>) -> Field<T> {
    if sink.is_patched() && scalar == Scalar::Text(UNREADABLE) {
        return Field::Invalid;
    }
    match convert(&scalar) {
        Ok(value) => Field::Given(Entry { value, place }),
        Err(complaint) => {
            sink.complain(&place, complaint);
            Field::Invalid
        }
    }
}

/// The tables of `[[header]]` or of a list of inline tables.
fn tables_in<'a>(item: &'a Item, section: &'static Section, place: Place, header: &str, sink: &mut Sink) -> Vec<Node<'a>> {
    let mut found: Vec<(&'a dyn TableLike, Option<usize>)> = Vec::new();
    let mut whole = true;
    match item {
        Item::ArrayOfTables(tables) => {
            found.extend(tables.iter().map(|table| (table as &dyn TableLike, table.span().map(|span| span.start))))
        }
        _ => match item.as_array() {
            Some(array) => {
                let tables = array.iter().filter_map(|value| value.as_inline_table());
                found.extend(tables.map(|table| (table as &dyn TableLike, table.span().map(|span| span.start))));
                whole = found.len() == array.len();
            }
            None => whole = false,
        },
    }
    if !whole && !passed_over(item, sink) {
        sink.add(
            &place.clone().showing(None),
            "must be a list of tables",
            format!("write {header} with two brackets on a line of its own"),
        );
    }
    let at = |index: usize, offset: Option<usize>| {
        let key = format!("{}[{index}]", place.key);
        offset.map_or_else(|| place.clone().named(&key), |offset| Place::at(offset, key.clone())).showing(None)
    };
    let nodes = found.into_iter().enumerate();
    nodes.map(|(index, (table, offset))| Node::new(table, section, at(index, offset), sink)).collect()
}
