//! How busy this machine's GPUs are, for the front: a role of its own, because the management library hangs where the driver does.
//!
//! It answers when it is asked, so that it needs no clock, and ends when nobody is left to ask.

use std::io::{self, BufRead, Read, Write};

use crate::codec::nvidia::nvml::Monitor;
use crate::media::load::LoadReport;

/// Longest question; what it says does not matter.
const LONGEST_QUESTION: u64 = 64;

/// For each line of `questions`, a [`LoadReport`] as a line of JSON, until they end. A library that cannot be opened is tried anew each
/// time: the driver may be loaded later.
///
/// # Errors
/// Where questions cannot be read or answers cannot be written.
pub fn load(mut questions: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    let mut monitor = None;
    let mut question = Vec::new();
    loop {
        question.clear();
        if questions.by_ref().take(LONGEST_QUESTION).read_until(b'\n', &mut question)? == 0 {
            return Ok(());
        }
        let text = serde_json::to_string(&report(&mut monitor))?;
        answers.write_all(format!("{text}\n").as_bytes())?;
        answers.flush()?;
    }
}

fn report(monitor: &mut Option<Monitor>) -> LoadReport {
    let loads = match monitor {
        Some(monitor) => monitor.loads(),
        None => Monitor::open().and_then(|opened| monitor.insert(opened).loads()),
    };
    match loads {
        Ok(gpus) => LoadReport { absent: None, gpus },
        Err(absent) => {
            *monitor = None;
            LoadReport { absent: Some(absent), gpus: Vec::new() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_one_answer_and_the_end_of_questions_is_the_end() {
        let mut answers = Vec::new();
        load(&b"\n\nwhat else\n"[..], &mut answers).unwrap();
        let text = String::from_utf8(answers).unwrap();
        let reports: Vec<LoadReport> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(reports.len(), 3);
        assert!(reports.iter().all(|report| report.absent.is_some() == report.gpus.is_empty()), "{reports:?}");
    }
}
