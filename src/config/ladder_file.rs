//! The ladder that the command line names: a built-in one, or a file that describes one.

use std::path::Path;

use crate::media::Rung;
use crate::placement;
use crate::placement::ladders::NAMES;

use super::document;
use super::ladders::Ladders;
use super::report::Report;
use super::sink::{Place, Sink};
use super::written::read_ladders;

/// The ladder called `spec`: the name of a built-in one, else the path of a file with one `[[ladder.NAME]]` list. Blocks while it reads.
pub fn ladder(spec: &str) -> Result<Vec<Rung>, Report> {
    if let Some(rungs) = placement::ladder(spec) {
        return Ok(rungs);
    }
    if !Path::new(spec).exists() {
        let rule = "is neither a built-in ladder nor a file";
        return Err(Report::of_file(spec, rule, format!("use {} or the path of a file with [[ladder.NAME]] tables", NAMES.join(", "))));
    }
    parse(spec, &super::source::read(Path::new(spec))?)
}

fn parse(name: &str, text: &str) -> Result<Vec<Rung>, Report> {
    let mut sink = Sink::new(name, text);
    let mut found = None;
    if let Some(document) = document::parse(text, &mut sink) {
        let written = read_ladders(document.as_table(), &mut sink);
        let ladders = Ladders::of(&written, &mut sink);
        match written.as_slice() {
            [one] => found = ladders.named(&one.name.value).flatten(),
            _ => sink.add(
                &Place::at(0, "ladder"),
                format!("must be one ladder, and {} are here", written.len()),
                "keep one [[ladder.NAME]] list in the file",
            ),
        }
    }
    match (sink.into_report(), found) {
        (None, Some(rungs)) => Ok(rungs),
        (Some(report), _) => Err(report),
        (None, None) => Err(Report::of_file(name, "holds no ladder", "describe one below [[ladder.NAME]]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_one_ladder_is_that_ladder() {
        let text = "[[ladder.web]]\nheight = 720\nbitrate = \"2M\"\n[[ladder.web]]\nheight = 360\nbitrate = \"600k\"\ntune = \"film\"\n";
        let rungs = parse("web.toml", text).unwrap();
        assert_eq!(rungs.iter().map(|rung| (rung.name.as_str(), rung.width)).collect::<Vec<_>>(), [("720p", 1280), ("360p", 640)]);
        assert_eq!(rungs[1].tune, "film");
    }

    #[test]
    fn two_ladders_or_none_are_refused() {
        let two = "[[ladder.a]]\nheight = 720\nbitrate = \"2M\"\n[[ladder.b]]\nheight = 720\nbitrate = \"2M\"\n";
        assert!(parse("x", two).unwrap_err().to_string().contains("must be one ladder, and 2 are here"));
        assert!(parse("x", "").unwrap_err().to_string().contains("must be one ladder, and 0 are here"));
    }

    #[test]
    fn the_command_line_names_built_in_ladders_and_says_so() {
        assert_eq!(ladder("standard").unwrap().len(), 4);
        let text = ladder("/no/such/ladder").unwrap_err().to_string();
        assert!(text.contains("use standard, small or the path of a file"), "{text}");
    }
}
