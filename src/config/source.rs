//! The text of a configuration, read once: what is made of it later does not depend on what has been written into the file since.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::machine::listeners;
use super::overlay::{Overlay, joined};
use super::plan::Plan;
use super::report::Report;
use super::sink::Sink;
use super::written::{self, Written};
use super::{Overrides, default_state_dir, document, embedded_default, parsed};

/// Largest file in bytes. Thousands of channels fit; a video given by mistake does not.
const LARGEST_FILE: u64 = 1 << 20;

/// A configuration file as it was when it was read, or the built-in one.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceText {
    /// How messages call it.
    name: String,
    text: String,
    /// Where the files that it names are looked up.
    folder: Option<PathBuf>,
}

/// Stream keys may stand in the text.
impl std::fmt::Debug for SourceText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceText").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SourceText {
    /// Reads a file of at most 1 MiB; the built-in configuration where there is none. Blocks.
    pub fn read(path: Option<&Path>) -> Result<SourceText, Report> {
        let Some(path) = path else {
            return Ok(SourceText { name: "built-in headend.toml".to_owned(), text: embedded_default().to_owned(), folder: None });
        };
        Ok(SourceText { name: path.display().to_string(), text: read(path)?, folder: path.parent().map(Path::to_owned) })
    }

    /// A plan of it with channels that stand in files of their own, or a report of everything that is wrong. Files that it names must be
    /// there; blocks while it looks.
    pub fn plan(&self, overlays: &[Overlay], overrides: &Overrides) -> Result<Plan, Report> {
        overlays.iter().try_for_each(Overlay::check)?;
        let (whole, parts) = joined(&self.text, overlays);
        parsed(&self.name, &whole, self.folder.as_deref(), overrides).map_err(|report| report.with_parts(parts))
    }

    /// The state directory that it names, whatever is wrong with the rest; an error where that cannot be told.
    pub fn state_dir(&self, overrides: &Overrides) -> Result<PathBuf, Report> {
        if let Some(given) = &overrides.state_dir {
            return Ok(given.clone());
        }
        let named = |written: &Written, _: &mut Sink| (!written.state_dir.is_invalid()).then(|| written.state_dir.value().cloned());
        let named = self.tolerantly(overrides, "state_dir", named)?;
        Ok(named.unwrap_or_else(|| default_state_dir(|name| std::env::var_os(name))))
    }

    /// Where it has HTTP, whatever is wrong with the rest; an error where that cannot be told.
    pub fn http(&self, overrides: &Overrides) -> Result<SocketAddr, Report> {
        let told = |written: &Written, sink: &mut Sink| (!written.http.is_invalid()).then(|| listeners(written, sink).http);
        self.tolerantly(overrides, "http.listen", told)
    }

    /// What `tell` finds, or what was wrong on the way to it.
    fn tolerantly<T>(&self, overrides: &Overrides, key: &str, tell: impl FnOnce(&Written, &mut Sink) -> Option<T>) -> Result<T, Report> {
        let mut sink = Sink::new(&self.name, &self.text);
        let document = document::parse(&self.text, &mut sink);
        let written = document.map(|document| written::read(document.as_table(), &mut sink).overridden(overrides, &mut sink));
        let found = written.and_then(|written| tell(&written, &mut sink));
        let unknown = || Report::of_file(&self.name, format!("does not say what {key} is"), "compare it with docs/configuration.md");
        found.ok_or_else(|| sink.into_report().unwrap_or_else(unknown))
    }
}

/// The text of a file of at most 1 MiB. Blocks.
pub(super) fn read(path: &Path) -> Result<String, Report> {
    let name = path.display().to_string();
    let unreadable =
        |error: std::io::Error| Report::of_file(&name, format!("cannot be read: {error}"), "check its name and who may read it");
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Report::of_file(&name, "is larger than 1 MiB", "give a configuration file"));
    }
    String::from_utf8(bytes).map_err(|_| Report::of_file(&name, "is not text in UTF-8", "give a configuration file, or save it as UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourceText {
        SourceText { name: "a.toml".into(), text: text.into(), folder: None }
    }

    #[test]
    fn what_is_wrong_elsewhere_does_not_hide_where_the_appliance_is() {
        let wrong = "state_dir = \"/state\"\nhttp = { listen = \"0.0.0.0:81\" }\n[[channel]]\ngop = 9h\nname = \"x\"\n";
        let found = source(wrong);
        assert!(found.plan(&[], &Overrides::default()).is_err());
        assert_eq!(found.state_dir(&Overrides::default()).unwrap(), PathBuf::from("/state"));
        assert_eq!(found.http(&Overrides::default()).unwrap().to_string(), "0.0.0.0:81");
        let given = Overrides { state_dir: Some("/other".into()), http: Some("127.0.0.1:82".into()), ..Overrides::default() };
        assert_eq!(found.state_dir(&given).unwrap(), PathBuf::from("/other"));
        assert_eq!(found.http(&given).unwrap().to_string(), "127.0.0.1:82");
    }

    #[test]
    fn a_place_that_cannot_be_told_is_not_guessed() {
        let wrong = source("state_dir = 5\n[http]\nlisten = \"what\"\n");
        assert!(wrong.state_dir(&Overrides::default()).unwrap_err().to_string().contains("a.toml:1:13: state_dir"));
        assert!(wrong.http(&Overrides::default()).unwrap_err().to_string().contains("http.listen"));
        let given = Overrides { state_dir: Some("/other".into()), http: Some("127.0.0.1:82".into()), ..Overrides::default() };
        assert!(wrong.state_dir(&given).is_ok() && wrong.http(&given).is_ok());
    }

    #[test]
    fn what_was_read_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("main.toml");
        std::fs::write(&file, "[[channel]]\nname = \"news\"\n").unwrap();
        let found = SourceText::read(Some(&file)).unwrap();
        std::fs::write(&file, "half writ").unwrap();
        assert_eq!(found.plan(&[], &Overrides::default()).unwrap().channels.len(), 1);
        assert!(!format!("{found:?}").contains("news"), "keys do not get into logs");
    }
}
