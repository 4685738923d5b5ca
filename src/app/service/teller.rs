//! What is told to systemd and when, without a clock.

use std::time::Duration;

use super::beats::{Counts, Part};
use crate::base::Mono;

/// Status lines are told no more often than this.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// While it stops, systemd is asked for this much more from now on,
const EXTENSION: Duration = Duration::from_secs(10);
/// this often,
const EXTEND_EVERY: Duration = Duration::from_secs(2);
/// and no longer than this: a stop that hangs is systemd's to end.
pub(super) const LONGEST_STOP: Duration = Duration::from_secs(60);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Ready,
    Reloading,
    Reloaded,
    Status(String),
    Stopping(String),
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Ready,
    Reloading,
    Stopping,
    Status(String),
    Watchdog,
    Extend(Duration),
}

/// Makes notices of what happens and of time.
#[derive(Debug)]
pub(super) struct Teller {
    /// How long systemd waits for progress, where it does.
    watchdog: Option<Duration>,
    due: Vec<Notice>,
    /// The newest line, and the one that was told.
    status: String,
    told: String,
    told_at: Option<Mono>,
    /// Counts when systemd last was told of progress, and when that was.
    fed: Option<(Counts, Mono)>,
    is_ready: bool,
    has_warned: bool,
    stopping: Option<Mono>,
    extended: Option<Mono>,
}

impl Teller {
    pub(super) fn new(watchdog: Option<Duration>) -> Teller {
        Teller {
            watchdog,
            due: Vec::new(),
            status: String::new(),
            told: String::new(),
            told_at: None,
            fed: None,
            has_warned: false,
            is_ready: false,
            stopping: None,
            extended: None,
        }
    }

    pub(super) fn hear(&mut self, said: Said, now: Mono) {
        match said {
            // A reload ends as a start does; a stop that has begun does not end.
            Said::Ready | Said::Reloaded if self.stopping.is_none() => {
                self.is_ready = true;
                self.due.push(Notice::Ready);
            }
            Said::Reloading if self.stopping.is_none() => self.due.push(Notice::Reloading),
            Said::Ready | Said::Reloaded | Said::Reloading => {}
            Said::Status(text) => self.status = text,
            Said::Stopping(text) => {
                if self.stopping.is_none() {
                    self.stopping = Some(now);
                    self.due.push(Notice::Stopping);
                }
                self.status = text;
                self.told_at = None;
            }
        }
    }

    /// What is to be told now.
    pub(super) fn look(&mut self, counts: Counts, now: Mono) -> Vec<Notice> {
        let mut due = std::mem::take(&mut self.due);
        if self.status != self.told && self.told_at.is_none_or(|at| now.since(at) >= STATUS_EVERY) {
            self.told.clone_from(&self.status);
            self.told_at = Some(now);
            due.push(Notice::Status(self.status.clone()));
        }
        if self.is_to_extend(now) {
            self.extended = Some(now);
            due.push(Notice::Extend(EXTENSION));
        }
        due.extend(self.feed(counts, now));
        due
    }

    fn is_to_extend(&self, now: Mono) -> bool {
        let is_due = self.extended.is_none_or(|at| now.since(at) >= EXTEND_EVERY);
        is_due && self.stopping.is_some_and(|since| now.since(since) < LONGEST_STOP)
    }

    /// Progress is told when every part has shown some since it was told last.
    fn feed(&mut self, counts: Counts, now: Mono) -> Option<Notice> {
        // Before that nobody waits for it, and a probe of GPUs may take its time.
        let limit = self.watchdog.filter(|_| self.is_ready)?;
        let (before, at) = *self.fed.get_or_insert((counts, now));
        let stuck = || Part::ALL.into_iter().zip(counts.iter().zip(&before)).filter(|(_, (count, before))| count == before);
        if stuck().next().is_none() {
            if self.has_warned {
                tracing::warn!("every part of headend goes on again, and the watchdog is told so");
            }
            (self.fed, self.has_warned) = (Some((counts, now)), false);
            return Some(Notice::Watchdog);
        }
        let quiet = now.since(at);
        if quiet >= limit / 2 && !self.has_warned {
            self.has_warned = true;
            let parts = stuck().map(|(part, _)| part.label()).collect::<Vec<_>>().join(", ");
            tracing::error!(
                parts,
                quiet_s = quiet.as_secs_f64(),
                limit_s = limit.as_secs_f64(),
                "parts of headend stand still; systemd starts it anew when they still do at the limit. Please report the lines before this one"
            );
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::default().after(Duration::from_millis(ms))
    }

    /// A teller that has been told that all is ready.
    fn ready() -> Teller {
        let mut teller = Teller::new(Some(Duration::from_secs(30)));
        teller.hear(Said::Ready, at(0));
        teller
    }

    #[test]
    fn a_start_that_takes_its_time_is_no_standstill() {
        let mut teller = Teller::new(Some(Duration::from_secs(30)));
        for second in 0..60 {
            assert!(!fed(&teller.look([0; 4], at(second * 1_000))) && !teller.has_warned);
        }
        teller.hear(Said::Ready, at(60_000));
        teller.look([0; 4], at(60_000));
        assert!(fed(&teller.look([1; 4], at(61_000))) && !teller.has_warned);
    }

    fn fed(notices: &[Notice]) -> bool {
        notices.contains(&Notice::Watchdog)
    }

    #[test]
    fn the_watchdog_is_fed_only_when_every_part_has_gone_on() {
        let mut teller = ready();
        assert!(!fed(&teller.look([1, 1, 1, 1], at(0))), "nothing is known yet");
        assert!(fed(&teller.look([2, 2, 2, 2], at(1_000))));
        for (index, part) in Part::ALL.into_iter().enumerate() {
            let mut counts = teller.fed.unwrap().0.map(|count| count + 1);
            counts[index] -= 1;
            let begin = 10_000 * (index as u64 + 1);
            assert!(!fed(&teller.look(counts, at(begin))), "{part:?} stands still");
            assert!(!fed(&teller.look(counts.map(|count| count), at(begin + 1_000))));
            counts[index] += 1;
            assert!(fed(&teller.look(counts, at(begin + 2_000))), "{part:?} goes on, and the others have");
        }
        assert!(!fed(&Teller::new(None).look([9; 4], at(0))), "nobody asked for it");
    }

    #[test]
    fn a_part_that_stands_still_is_named_once_before_the_end() {
        let mut teller = ready();
        teller.look([1; 4], at(0));
        teller.look([2, 1, 2, 2], at(14_000));
        assert!(!teller.has_warned);
        teller.look([2, 1, 2, 2], at(15_000));
        assert!(teller.has_warned);
        assert!(fed(&teller.look([2; 4], at(16_000))) && !teller.has_warned);
    }

    #[test]
    fn a_status_is_told_when_it_changes_and_once_a_second_at_most() {
        let mut teller = Teller::new(None);
        let mut told = Vec::new();
        for ms in (0..5_000).step_by(100) {
            teller.hear(Said::Status(format!("{}", ms / 1_700)), at(ms));
            told.extend(teller.look([0; 4], at(ms)).into_iter().map(|notice| (ms, notice)));
        }
        let status = |text: &str| Notice::Status(text.into());
        assert_eq!(told, [(0, status("0")), (1_700, status("1")), (3_400, status("2"))]);
        teller.hear(Said::Status("3".into()), at(5_000));
        teller.look([0; 4], at(5_000));
        teller.hear(Said::Status("4".into()), at(5_100));
        assert_eq!(teller.look([0; 4], at(5_100)), []);
        assert_eq!(teller.look([0; 4], at(6_000)), [status("4")], "the newest is told when its time has come");
    }

    #[test]
    fn a_stop_is_told_at_once_and_extended_until_it_takes_too_long() {
        let mut teller = Teller::new(None);
        teller.hear(Said::Status("2 channels".into()), at(0));
        teller.look([0; 4], at(0));
        teller.hear(Said::Stopping("stopping".into()), at(100));
        let told = teller.look([0; 4], at(100));
        assert_eq!(told, [Notice::Stopping, Notice::Status("stopping".into()), Notice::Extend(EXTENSION)]);
        // A reload that was under way must not make it look as if it ran.
        teller.hear(Said::Reloaded, at(200));
        assert_eq!(teller.look([0; 4], at(200)), []);
        let extensions = (1..120).filter(|second| teller.look([0; 4], at(second * 1_000 + 100)).contains(&Notice::Extend(EXTENSION)));
        let seconds: Vec<u64> = extensions.collect();
        assert_eq!(seconds, (2..60).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn a_reload_is_told_from_its_beginning_to_its_end() {
        let mut teller = Teller::new(None);
        [Said::Ready, Said::Reloading, Said::Reloaded].into_iter().for_each(|said| teller.hear(said, at(0)));
        assert_eq!(teller.look([0; 4], at(0)), [Notice::Ready, Notice::Reloading, Notice::Ready]);
    }
}
