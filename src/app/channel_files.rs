//! Channels that were made over the API, in files of their own below the state directory: `channels.d/NAME.toml`. A file `NAME.stopped`
//! beside them says that a channel, wherever it is configured, is not to run.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::app::kept_file::{replace, sync_folder};
use crate::config::Overlay;

const FOLDER: &str = "channels.d";
/// Longest text of a channel in bytes: it is a page; what is longer is no channel.
pub const LONGEST_TEXT: usize = 64 << 10;

/// What is in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelFiles {
    /// Channels, by name.
    pub overlays: Vec<Overlay>,
    /// Channels that are not to run.
    pub stopped: BTreeSet<String>,
}

/// Reads the folder. A folder that is not there is empty.
pub fn read(state_dir: &Path) -> io::Result<ChannelFiles> {
    let mut found = ChannelFiles::default();
    let entries = match fs::read_dir(state_dir.join(FOLDER)) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(cause) => return Err(cause),
    };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else { continue };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => found.overlays.push(overlay(state_dir, &name, text(&path)?)),
            Some("stopped") => drop(found.stopped.insert(name)),
            _ => {}
        }
    }
    found.overlays.sort_by(|one, other| one.channel.cmp(&other.channel));
    Ok(found)
}

/// A channel as its file would hold it.
pub fn overlay(state_dir: &Path, name: &str, text: String) -> Overlay {
    Overlay { file: path(state_dir, name, "toml").display().to_string(), channel: name.to_owned(), text }
}

/// Writes a channel's file, whole or not at all. It may hold a stream key, so that its owner alone can read it.
pub fn write(state_dir: &Path, overlay: &Overlay) -> io::Result<()> {
    put(state_dir, &overlay.channel, "toml", overlay.text.as_bytes())
}

/// Removes a channel's files. The mark goes first: left alone, it would stop the next channel of this name.
pub fn remove(state_dir: &Path, name: &str) -> io::Result<()> {
    set_stopped(state_dir, name, false)?;
    remove_file(&path(state_dir, name, "toml"))
}

/// Notes whether a channel is not to run.
pub fn set_stopped(state_dir: &Path, name: &str, is_stopped: bool) -> io::Result<()> {
    match is_stopped {
        true => put(state_dir, name, "stopped", b""),
        false => remove_file(&path(state_dir, name, "stopped")),
    }
}

fn put(state_dir: &Path, name: &str, extension: &str, text: &[u8]) -> io::Result<()> {
    let path = path(state_dir, name, extension);
    fs::create_dir_all(state_dir.join(FOLDER))?;
    replace(&path, text)
}

/// A file that is not there is as good as removed.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(path)),
    }
}

fn text(path: &Path) -> io::Result<String> {
    let of_file = |kind, words: String| io::Error::new(kind, format!("{}: {words}", path.display()));
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LONGEST_TEXT as u64 + 1).read_to_string(&mut text));
    read.map_err(|cause| of_file(cause.kind(), cause.to_string()))?;
    match text.len() {
        0..=LONGEST_TEXT => Ok(text),
        _ => {
            Err(of_file(io::ErrorKind::InvalidData, format!("longer than {LONGEST_TEXT} bytes, which is no channel; correct or remove it")))
        }
    }
}

/// Names of channels are safe as file names: `a-z`, `0-9`, `_` and `-` only.
fn path(state_dir: &Path, name: &str, extension: &str) -> PathBuf {
    state_dir.join(FOLDER).join(format!("{name}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn channels_survive_a_restart_and_their_keys_are_private() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(read(state.path()).unwrap(), ChannelFiles::default());
        let news = overlay(state.path(), "news", "[[channel]]\nname = \"news\"\n".into());
        write(state.path(), &news).unwrap();
        set_stopped(state.path(), "demo", true).unwrap();
        set_stopped(state.path(), "demo", true).unwrap();
        let found = read(state.path()).unwrap();
        assert_eq!((found.overlays, found.stopped), (vec![news.clone()], BTreeSet::from(["demo".to_owned()])));
        assert_eq!(fs::metadata(&news.file).unwrap().permissions().mode() & 0o777, 0o600);
        set_stopped(state.path(), "news", true).unwrap();
        remove(state.path(), "news").unwrap();
        remove(state.path(), "news").unwrap();
        set_stopped(state.path(), "demo", false).unwrap();
        assert_eq!(read(state.path()).unwrap(), ChannelFiles::default());
    }

    #[test]
    fn a_file_that_is_too_long_is_told_and_not_cut() {
        let state = tempfile::tempdir().unwrap();
        let of = |bytes: usize| overlay(state.path(), "news", "#".repeat(bytes));
        write(state.path(), &of(LONGEST_TEXT)).unwrap();
        assert_eq!(read(state.path()).unwrap().overlays, [of(LONGEST_TEXT)]);
        write(state.path(), &of(LONGEST_TEXT + 1)).unwrap();
        let told = read(state.path()).unwrap_err().to_string();
        assert!(told.contains("news.toml") && told.contains("65536"), "{told}");
    }

    #[test]
    fn a_channel_that_cannot_be_removed_leaves_no_mark_behind() {
        let state = tempfile::tempdir().unwrap();
        set_stopped(state.path(), "news", true).unwrap();
        // A folder in the file's place cannot be removed as a file.
        fs::create_dir(path(state.path(), "news", "toml")).unwrap();
        assert!(remove(state.path(), "news").is_err());
        assert!(!path(state.path(), "news", "stopped").exists());
    }
}
