//! The command line. Words of `cargo test` that mean nothing here are passed over.

use std::path::PathBuf;

/// What was asked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// The driver's ordinal of the card; the first one where none is named.
    pub gpu: Option<u32>,
    /// Fewer and smaller pictures: no figure of a quick run is worth reporting.
    pub quick: bool,
    /// Openings and closings of the check `cycles`.
    pub cycles: Option<u32>,
    /// Names of the checks that run; all where none is named.
    pub only: Vec<String>,
    /// Where clips lie, or are made.
    pub clips: Option<PathBuf>,
    /// Put every clip into this folder and do nothing else.
    pub carry_clips: Option<PathBuf>,
    /// `cargo test -- --list`.
    pub lists: bool,
    /// In a child: the check.
    pub run: Option<String>,
    /// In a child: the card.
    pub card: Option<PathBuf>,
    /// In a child: where its findings go.
    pub results: Option<PathBuf>,
}

impl Options {
    /// Out of the arguments.
    pub fn read(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            let number = |text: String| text.parse::<u32>().map_err(|_| format!("{argument}: {text:?} is no number"));
            match argument.as_str() {
                "--report" => options.report = Some(value()?.into()),
                "--gpu" => options.gpu = Some(number(value()?)?),
                "--cycles" => options.cycles = Some(number(value()?)?),
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--clips" => options.clips = Some(value()?.into()),
                "--carry-clips" => options.carry_clips = Some(value()?.into()),
                "--run" => options.run = Some(value()?),
                "--card" => options.card = Some(value()?.into()),
                "--results" => options.results = Some(value()?.into()),
                "--quick" => options.quick = true,
                "--list" => options.lists = true,
                _ => {}
            }
        }
        Ok(options)
    }

    /// Whether a check runs.
    pub fn is_wanted(&self, check: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == check)
    }

    /// What a child is told besides its check.
    pub fn for_child(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        arguments.extend(self.quick.then(|| "--quick".to_owned()));
        for (name, value) in [
            ("--cycles", self.cycles.map(|cycles| cycles.to_string())),
            ("--clips", self.clips.as_ref().map(|folder| folder.to_string_lossy().into_owned())),
        ] {
            arguments.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        }
        arguments
    }
}
