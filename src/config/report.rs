//! Everything that is wrong with a configuration, as the operator reads it.

use std::fmt;

use crate::base::Fault;

/// Problems shown at most; a file that is no configuration at all has no end of them.
const SHOWN: usize = 100;

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// The file as a whole.
    File,
    /// A line and a column of the file, counted in characters from 1.
    At {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// An option of the command line: `--http`.
    Option(&'static str),
}

/// One thing that is wrong: what, where, against which rule, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub spot: Spot,
    /// The key: `channel[0].gop`. Empty for the file as a whole and for options.
    pub key: String,
    /// The value as written, shortened; `(hidden)` for secrets; `None` where there is none or it is no single value.
    pub value: Option<String>,
    /// The rule that is broken: `must be ...`.
    pub rule: String,
    /// What to do: `use ...`.
    pub remedy: String,
}

/// Everything that is wrong with a configuration, in the order of the file. Prints one line for each problem:
/// `FILE:LINE:COLUMN: KEY = VALUE: RULE; REMEDY`. Holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file: String,
    problems: Vec<Problem>,
    /// Other files that were read behind the first one: the line at which each begins, and its name.
    parts: Vec<(usize, String)>,
}

impl Report {
    /// A report about `file`; problems are put into the order of the file.
    pub fn new(file: &str, mut problems: Vec<Problem>) -> Report {
        problems.sort_by(|a, b| a.spot.cmp(&b.spot));
        Report { file: file.into(), problems, parts: Vec::new() }
    }

    /// The same about a text that other files follow, each from a line of the whole on.
    pub fn with_parts(self, parts: Vec<(usize, String)>) -> Report {
        Report { parts, ..self }
    }

    /// A report of one problem with the file as a whole.
    pub fn of_file(file: &str, rule: impl Into<String>, remedy: impl Into<String>) -> Report {
        let problem = Problem { spot: Spot::File, key: String::new(), value: None, rule: rule.into(), remedy: remedy.into() };
        Report { file: file.into(), problems: vec![problem], parts: Vec::new() }
    }

    /// The problems, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The class: always [`Fault::Config`].
    pub fn fault(&self) -> Fault {
        Fault::Config
    }

    /// The file in which a line of the whole text is, and its number there.
    fn file_of(&self, line: usize) -> (&str, usize) {
        let part = self.parts.iter().rev().find(|(first, _)| *first <= line);
        part.map_or((&self.file, line), |(first, file)| (file, line + 1 - first))
    }

    fn line(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &problem.spot {
            Spot::File => write!(f, "{}", self.file)?,
            Spot::At { line, column } => {
                let (file, line) = self.file_of(*line);
                write!(f, "{file}:{line}:{column}")?;
            }
            Spot::Option(option) => write!(f, "{option}")?,
        }
        match (&problem.spot, problem.key.as_str(), &problem.value) {
            (Spot::Option(_), _, Some(value)) => write!(f, " {value}: ")?,
            (_, "", _) | (Spot::Option(_), _, None) => write!(f, ": ")?,
            (_, key, Some(value)) => write!(f, ": {key} = {value}: ")?,
            (_, key, None) => write!(f, ": {key}: ")?,
        }
        writeln!(f, "{}; {}", problem.rule, problem.remedy)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.problems.iter().take(SHOWN) {
            self.line(problem, f)?;
        }
        match self.problems.len() {
            1 => write!(f, "1 problem in {}", self.file),
            count if count > SHOWN => write!(f, "more than {SHOWN} problems in {}, of which the first {SHOWN} are shown", self.file),
            count => write!(f, "{count} problems in {}", self.file),
        }
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, column: usize) -> Problem {
        let (key, rule, remedy) = ("channel[0].gop".into(), "must be short".into(), "use 2s".into());
        Problem { spot: Spot::At { line, column }, key, value: Some("\"9h\"".into()), rule, remedy }
    }

    #[test]
    fn a_problem_is_one_line_that_says_where_what_why_and_what_to_do() {
        let report = Report::new("a.toml", vec![problem(12, 5), problem(2, 7)]);
        let expected = "a.toml:2:7: channel[0].gop = \"9h\": must be short; use 2s\n\
                        a.toml:12:5: channel[0].gop = \"9h\": must be short; use 2s\n\
                        2 problems in a.toml";
        assert_eq!(report.to_string(), expected);
        assert_eq!(report.fault(), Fault::Config);
    }

    #[test]
    fn options_and_whole_files_have_no_line() {
        let option = Problem { spot: Spot::Option("--http"), ..problem(1, 1) };
        let text = Report::new("a.toml", vec![option]).to_string();
        assert!(text.starts_with("--http \"9h\": must be short; use 2s\n"), "{text}");
        let text = Report::of_file("a.toml", "cannot be read", "check its name").to_string();
        assert_eq!(text, "a.toml: cannot be read; check its name\n1 problem in a.toml");
    }

    #[test]
    fn thousands_of_problems_are_not_all_listed() {
        let report = Report::new("a.toml", (0..5000).map(|line| problem(line, 1)).collect());
        let text = report.to_string();
        assert_eq!(text.lines().count(), SHOWN + 1);
        assert!(text.ends_with("more than 100 problems in a.toml, of which the first 100 are shown"));
    }
}
