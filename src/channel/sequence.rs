//! What a channel remembers over restarts: a few bytes in the state directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{MediaTime, Mono, clock};

/// How often it is told that nothing can be kept.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The newest segment that was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Its media sequence number.
    pub number: u64,
    /// When it ends.
    pub end: MediaTime,
}

/// Where the sequences of all channels lie. Clones share it; when the last one goes, what is due is on the disk.
#[derive(Clone, Debug)]
pub struct SequenceStore {
    directory: PathBuf,
    writer: Arc<Writer>,
}

/// The disk may be slow, so a thread of its own writes.
#[derive(Debug)]
struct Writer {
    due: Arc<Due>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Due {
    sequences: Mutex<Sequences>,
    changed: Condvar,
}

/// What is to be written: of each channel the newest.
#[derive(Debug, Default)]
struct Sequences {
    newest: BTreeMap<String, Sequence>,
    /// What this process has kept, for channels that begin anew before the disk is done.
    kept: BTreeMap<String, Sequence>,
    closed: bool,
}

impl SequenceStore {
    /// The store below the state directory, which is made when something is kept: the disk may be mended by then.
    pub fn open(state_dir: &Path) -> io::Result<SequenceStore> {
        let directory = state_dir.join("sequence");
        let due = Arc::<Due>::default();
        let (thread_directory, thread_due) = (directory.clone(), Arc::clone(&due));
        let thread = Builder::new().name("sequences".into()).spawn(move || write_due(&thread_directory, &thread_due))?;
        Ok(SequenceStore { directory, writer: Arc::new(Writer { due, thread: Some(thread) }) })
    }

    /// What `channel` remembers. A file that does not parse counts as none: the clock then gives the next number.
    pub fn load(&self, channel: &str) -> Option<Sequence> {
        if let Some(kept) = self.writer.due.lock().kept.get(channel) {
            return Some(*kept);
        }
        let text = fs::read(path(&self.directory, channel)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps `sequence` for `channel`, soon; a newer one that comes before the disk is done takes its place.
    pub fn keep(&self, channel: &str, sequence: Sequence) {
        let mut due = self.writer.due.lock();
        due.newest.insert(channel.to_owned(), sequence);
        due.kept.insert(channel.to_owned(), sequence);
        drop(due);
        self.writer.due.changed.notify_one();
    }
}

impl Due {
    fn lock(&self) -> MutexGuard<'_, Sequences> {
        self.sequences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to write; `None` once closed and written.
    fn take(&self) -> Option<BTreeMap<String, Sequence>> {
        let nothing = |due: &mut Sequences| due.newest.is_empty() && !due.closed;
        let mut due = self.changed.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        Some(std::mem::take(&mut due.newest)).filter(|newest| !newest.is_empty())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.due.lock().closed = true;
        self.due.changed.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of sequence numbers ended by a defect");
        }
    }
}

fn write_due(directory: &Path, due: &Due) {
    let mut told = None;
    while let Some(newest) = due.take() {
        write(directory, newest, &mut told);
    }
}

/// Each segment of each channel asks for it: what is wrong is told once a minute, from `told` on, and that it is well again.
fn write(directory: &Path, sequences: BTreeMap<String, Sequence>, told: &mut Option<Mono>) {
    let now = clock::mono();
    let mut failed = None;
    for (channel, sequence) in sequences {
        if let Err(cause) = save(directory, &channel, sequence) {
            failed = Some((cause, channel));
        }
    }
    match failed {
        Some((cause, channel)) if told.is_none_or(|at| now.since(at) >= TELL_EVERY) => {
            *told = Some(now);
            tracing::error!(channel, %cause, "sequence numbers cannot be kept in the state directory; check space and rights");
        }
        Some(_) => {}
        None if told.take().is_some() => tracing::info!("sequence numbers are kept in the state directory again"),
        None => {}
    }
}

/// A crash in between leaves the file of before.
fn save(directory: &Path, channel: &str, sequence: Sequence) -> io::Result<()> {
    let text = serde_json::to_vec(&sequence).map_err(io::Error::other)?;
    let path = path(directory, channel);
    let beside = path.with_extension("new");
    fs::create_dir_all(directory)?;
    fs::write(&beside, text)?;
    fs::rename(beside, path)
}

/// Channel names are safe as file names: the configuration allows `[a-z0-9_-]` only.
fn path(directory: &Path, channel: &str) -> PathBuf {
    directory.join(format!("{channel}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_a_restart_and_a_broken_file_counts_as_none() {
        let state = tempfile::tempdir().unwrap();
        let sequence = Sequence { number: 297_000_001, end: MediaTime(7) };
        let store = SequenceStore::open(state.path()).unwrap();
        for number in 297_000_000..=297_000_001 {
            store.keep("demo", Sequence { number, ..sequence });
        }
        drop(store);
        let store = SequenceStore::open(state.path()).unwrap();
        assert_eq!(store.load("demo"), Some(sequence));
        fs::write(state.path().join("sequence/demo.json"), b"{").unwrap();
        assert_eq!(store.load("demo"), None);
    }
}
