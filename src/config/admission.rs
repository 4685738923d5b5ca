//! Who is let in where there is not enough for all.

use crate::placement::{Admission, Priority};

use super::scalar::{Complaint, Scalar};
use super::values;

/// `warn` or `strict`.
pub fn admission(scalar: &Scalar) -> Result<Admission, Complaint> {
    values::one_of(scalar, &[Admission::Warn, Admission::Strict].map(|admission| (admission.label(), admission)))
}

/// `main` or `best-effort`.
pub fn priority(scalar: &Scalar) -> Result<Priority, Complaint> {
    values::one_of(scalar, &[Priority::Main, Priority::BestEffort].map(|priority| (priority.label(), priority)))
}

/// `auto` or `off`.
pub fn calibration(scalar: &Scalar) -> Result<bool, Complaint> {
    values::one_of(scalar, &[("auto", true), ("off", false)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{plan, problems};
    use super::*;

    const CHANNELS: &str = "[[channel]]\nname = \"a\"\npriority = \"best-effort\"\n[[channel]]\nname = \"b\"\n";

    #[test]
    fn a_file_that_says_nothing_of_it_has_main_channels_that_are_let_in() {
        let silent = plan(CHANNELS).unwrap();
        assert_eq!((silent.admission, silent.calibration), (Admission::Warn, true));
        assert_eq!(silent.channels.iter().map(|channel| channel.priority).collect::<Vec<_>>(), [Priority::BestEffort, Priority::Main]);
        let strict = plan(&format!("admission = \"strict\"\ncalibration = \"off\"\n{CHANNELS}")).unwrap();
        assert_eq!((strict.admission, strict.calibration), (Admission::Strict, false));
    }

    #[test]
    fn a_copy_has_no_priority_since_it_takes_no_seat() {
        let problems = problems("[[channel]]\nname = \"a\"\nladder = \"copy\"\npriority = \"best-effort\"\n");
        assert!(problems.len() == 1 && problems[0].contains("channel[0].priority") && problems[0].contains("copy"), "{problems:?}");
    }

    #[test]
    fn a_word_that_is_none_is_refused_with_those_that_are() {
        let problems = problems("admission = \"lax\"\n[[channel]]\nname = \"a\"\npriority = \"low\"\n");
        assert!(problems.len() == 2 && problems.iter().any(|problem| problem.contains("best-effort")), "{problems:?}");
    }
}
