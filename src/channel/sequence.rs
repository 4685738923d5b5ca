//! What a channel remembers over restarts: a few bytes in the state directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::MediaTime;

/// The newest segment that was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Its media sequence number.
    pub number: u64,
    /// When it ends.
    pub end: MediaTime,
}

/// Where the sequences of all channels lie.
#[derive(Clone, Debug)]
pub struct SequenceStore {
    directory: PathBuf,
}

impl SequenceStore {
    /// The store below the state directory, which is made if need be.
    pub fn open(state_dir: &Path) -> io::Result<SequenceStore> {
        let directory = state_dir.join("sequence");
        fs::create_dir_all(&directory)?;
        Ok(SequenceStore { directory })
    }

    /// What `channel` remembers. A file that does not parse counts as none: the clock then gives the next number.
    pub fn load(&self, channel: &str) -> Option<Sequence> {
        let text = fs::read(self.path(channel)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps `sequence` for `channel`; a crash in between leaves the one before.
    pub fn save(&self, channel: &str, sequence: Sequence) -> io::Result<()> {
        let text = serde_json::to_vec(&sequence).map_err(io::Error::other)?;
        let path = self.path(channel);
        let beside = path.with_extension("new");
        fs::write(&beside, text)?;
        fs::rename(beside, path)
    }

    /// Channel names are safe as file names: the configuration allows `[a-z0-9_-]` only.
    fn path(&self, channel: &str) -> PathBuf {
        self.directory.join(format!("{channel}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_a_restart_and_a_broken_file_counts_as_none() {
        let state = tempfile::tempdir().unwrap();
        let sequence = Sequence { number: 297_000_001, end: MediaTime(7) };
        SequenceStore::open(state.path()).unwrap().save("demo", sequence).unwrap();
        let store = SequenceStore::open(state.path()).unwrap();
        assert_eq!(store.load("demo"), Some(sequence));
        fs::write(state.path().join("sequence/demo.json"), b"{").unwrap();
        assert_eq!(store.load("demo"), None);
    }
}
