//! Log lines in the journal's own form (systemd, "Native Journal Protocol"): the text for people, and each field beside it for filters.
//!
//! The text has the fields too: who reads `journalctl` sees no others, and the reason of a line is one of them.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::base::syslog::priority;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// A journal that takes nothing holds up whoever has something to say for no longer than that.
const PATIENCE: Duration = Duration::from_millis(20);
/// A value is cut there, so that a datagram holds a line whatever is in it (unix(7): `SO_SNDBUF` bounds it).
const LONGEST_VALUE_BYTES: usize = 16 << 10;
/// Values in a line beside its text.
const MOST_FIELDS: usize = 8;

/// The layer that writes to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    /// Waits for nothing: in use while lines are being lost, so that a journal that hangs holds nobody up line after line.
    hasty: UnixDatagram,
    path: &'static Path,
    /// Lines that it did not take.
    lost: AtomicU64,
}

impl Journal {
    /// Ready to write.
    pub(super) fn open() -> io::Result<Journal> {
        let journal = Journal::at(Path::new(SOCKET))?;
        // Whether anybody is there; each line finds the way by itself, for the journal may be restarted.
        journal.socket.send_to(b"", journal.path)?;
        Ok(journal)
    }

    fn at(path: &'static Path) -> io::Result<Journal> {
        let (socket, hasty) = (UnixDatagram::unbound()?, UnixDatagram::unbound()?);
        socket.set_write_timeout(Some(PATIENCE))?;
        hasty.set_nonblocking(true)?;
        Ok(Journal { socket, hasty, path, lost: AtomicU64::new(0) })
    }

    fn send(&self, entry: &[u8]) {
        let socket = if self.lost.load(Ordering::Relaxed) > 0 { &self.hasty } else { &self.socket };
        if socket.send_to(entry, self.path).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} log lines before this one are lost: the journal did not take them");
            if self.socket.send_to(&entry_of(&Level::WARN, &text), self.path).is_err() {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        self.send(&entry(event.metadata(), &words));
    }
}

/// What an event says.
#[derive(Debug, Default)]
struct Words {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }
}

impl Words {
    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push((name, value)),
        }
    }

    /// As the text log has it.
    fn text(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            let _ = if value.contains([' ', '"', '\n']) { write!(text, " {name}={value:?}") } else { write!(text, " {name}={value}") };
        }
        text
    }
}

fn entry(metadata: &Metadata<'_>, words: &Words) -> Vec<u8> {
    let mut entry = entry_of(metadata.level(), &words.text());
    put(&mut entry, "TARGET", metadata.target());
    if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
        put(&mut entry, "CODE_FILE", file);
        put(&mut entry, "CODE_LINE", &line.to_string());
    }
    for (name, value) in words.fields.iter().take(MOST_FIELDS) {
        put(&mut entry, &field_name(name), value);
    }
    entry
}

fn entry_of(level: &Level, text: &str) -> Vec<u8> {
    let mut entry = Vec::new();
    put(&mut entry, "PRIORITY", &priority(level).to_string());
    put(&mut entry, "SYSLOG_IDENTIFIER", "headend");
    put(&mut entry, "MESSAGE", text);
    entry
}

/// `channel` is `F_CHANNEL`: the prefix keeps a field of ours from being taken for one of the journal's.
fn field_name(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("F_{}", name.chars().map(letter).take(60).collect::<String>())
}

/// One field. A value with a newline in it goes by its length, as 64 bits, little-endian.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let end = (0..=LONGEST_VALUE_BYTES.min(value.len())).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
    let value = value.get(..end).unwrap_or_default();
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;
    use tracing_subscriber::prelude::*;

    fn received(say: impl FnOnce()) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        // As long as the process lives, for the layer keeps a static path.
        let path: &'static Path = Box::leak(folder.path().join("socket").into_boxed_path());
        let listener = UnixDatagram::bind(path).unwrap();
        let journal = Journal { lost: AtomicU64::new(2), ..Journal::at(path).unwrap() };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), say);
        listener.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 1 << 18];
        std::iter::from_fn(|| listener.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec())).collect()
    }

    #[test]
    fn a_line_has_its_reason_in_the_text_and_in_a_field() {
        let got = received(|| tracing::warn!(channel = "news", cause = %"it is late", "worker gone"));
        let text = String::from_utf8(got[0].clone()).unwrap();
        for line in ["PRIORITY=4", "MESSAGE=worker gone channel=news cause=\"it is late\"", "F_CHANNEL=news", "F_CAUSE=it is late"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(String::from_utf8_lossy(&got[1]).contains("MESSAGE=2 log lines before this one are lost"));
    }

    #[test]
    fn a_journal_that_reads_nothing_holds_up_one_line_and_not_all() {
        let folder = tempfile::tempdir().unwrap();
        let path: &'static Path = Box::leak(folder.path().join("socket").into_boxed_path());
        let _hangs = UnixDatagram::bind(path).unwrap();
        let journal = Journal::at(path).unwrap();
        let begun = clock::mono();
        (0..2_000).for_each(|_| journal.send(b"MESSAGE=x\n"));
        assert!(journal.lost.load(Ordering::Relaxed) > 500, "the queue of a socket is not that long");
        // By PATIENCE each, they would take half a minute.
        assert!(clock::mono().since(begun) < PATIENCE * 200);
    }

    #[test]
    fn a_value_cannot_pass_for_a_field() {
        let got = received(|| tracing::info!(peer = "x\nPRIORITY=0", "closed"));
        let value = b"x\nPRIORITY=0";
        let framed = [b"F_PEER\n".as_slice(), &(value.len() as u64).to_le_bytes(), value, b"\n"].concat();
        assert!(got[0].windows(framed.len()).any(|window| window == framed), "{:?}", String::from_utf8_lossy(&got[0]));
        // The text has it escaped.
        assert!(String::from_utf8_lossy(&got[0]).contains(r#"MESSAGE=closed peer="x\nPRIORITY=0""#));
    }

    #[test]
    fn however_long_a_value_is_the_line_arrives() {
        let long = "ä".repeat(1 << 20);
        let got = received(|| tracing::info!(long, "said"));
        assert!(got.first().is_some_and(|entry| entry.len() < 3 * LONGEST_VALUE_BYTES), "{}", got.len());
        assert_eq!(field_name("state-dir.x"), "F_STATE_DIR_X");
    }
}
