//! Channels that stand in files of their own beside the configuration: one `[[channel]]` each, in a file that is called like it.

use toml_edit::Document;

use super::report::Report;

/// A file with one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// How messages call the file.
    pub file: String,
    /// The channel's name, which the file is called after.
    pub channel: String,
    /// What is in it.
    pub text: String,
}

impl Overlay {
    /// Checks that the text is one `[[channel]]` of this name and nothing else, as far as it is TOML at all; what is in it is
    /// checked with the rest of the configuration.
    pub(super) fn check(&self) -> Result<(), Report> {
        let wrong = || {
            Report::of_file(
                &self.file,
                format!("must hold one [[channel]] with name = \"{}\" and nothing else", self.channel),
                "write it so, or remove the file",
            )
        };
        let document = Document::parse(self.text.as_str()).map_err(|cause| {
            Report::of_file(&self.file, format!("is not valid TOML ({})", cause.message()), "correct it, or remove the file")
        })?;
        let table = document.as_table();
        let channels = table.get("channel").and_then(|item| item.as_array_of_tables()).ok_or_else(wrong)?;
        let named = channels.get(0).and_then(|channel| channel.get("name")?.as_str()).is_some_and(|name| name == self.channel);
        (table.len() == 1 && channels.len() == 1 && named).then_some(()).ok_or_else(wrong)
    }
}

/// The text of all files together, and at which line each of the others begins.
pub(super) fn joined(text: &str, overlays: &[Overlay]) -> (String, Vec<(usize, String)>) {
    let mut whole = text.to_owned();
    let mut parts = Vec::new();
    for overlay in overlays {
        if !whole.ends_with('\n') {
            whole.push('\n');
        }
        parts.push((whole.lines().count() + 1, overlay.file.clone()));
        whole.push_str(&overlay.text);
    }
    (whole, parts)
}
