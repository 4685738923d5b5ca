//! The slate of a channel, and whether its file is there.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::channel::plan::{Idle, SlatePlan};

use super::sink::Sink;
use super::written_channel::WrittenSlate;

/// The slate. Files are looked up from `folder`, that of the configuration; without one nothing is looked up.
pub fn slate(written: &WrittenSlate, idle: Idle, folder: Option<&Path>, sink: &mut Sink) -> SlatePlan {
    let text = written.text.or(String::new());
    let Some(entry) = written.file.given() else { return SlatePlan { file: None, text } };
    if idle == Idle::Pattern {
        let rule = "has no meaning with feed = \"pattern\", where the pattern shows in holes";
        sink.add(&entry.place, rule, "remove it, or use feed = \"publish\"");
    }
    if let Some(text) = written.text.given() {
        sink.add(&text.place, "is painted over the plain slate or the pattern, not over a file", "remove it, or remove file");
    }
    let Some(folder) = folder else { return SlatePlan { file: Some(entry.value.clone()), text } };
    let path = absolute(folder, &entry.value);
    if let Err(cause) = readable(&path) {
        let rule = format!("cannot be read as {}: {cause}", path.display());
        sink.add(&entry.place, rule, "give a picture or a clip; a path without / in front begins at the folder of this file");
    }
    SlatePlan { file: Some(path), text }
}

/// The process may change its working directory; the plan's path must not change its meaning.
pub fn absolute(folder: &Path, file: &Path) -> PathBuf {
    let path = folder.join(file);
    std::path::absolute(&path).unwrap_or(path)
}

/// Whether a file is there and can be opened. A pipe is not opened: that would wait for its other end.
fn readable(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    match (metadata.is_file(), metadata.len()) {
        (false, _) => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a file")),
        (true, 0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "it is empty")),
        (true, _) => File::open(path).map(drop),
    }
}
