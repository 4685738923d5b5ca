//! A feed that kills its workers: first its bad place is skipped, then the feed is left out for a while. Pure; time is an argument.
//!
//! A place is how far the channel is published. While the commit line stands still, a replacement is sent the same input as its
//! predecessor, and what killed the one kills the next.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::{MediaTime, Mono};

/// Workers that a place may cost before it is skipped.
const DEATHS: u32 = 3;
/// Places skipped within [`SKIPPING`] after which the feed is left out.
const SKIPS: usize = 3;
const SKIPPING: Duration = Duration::from_secs(60);
/// A feed is left out for this long at first, and twice as long each time it has not learnt.
const FIRST_TERM: Duration = Duration::from_secs(5);
const LONGEST_TERM: Duration = Duration::from_secs(300);
/// A feed that has killed nobody for this long is a new one.
const GOOD_WHILE: Duration = Duration::from_secs(600);
/// Feeds that are remembered; the one that has behaved the longest gives way.
const RECORDS: usize = 32;

/// What follows from the loss of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The replacement gets the same input again.
    Resume,
    /// The input is given up as far as the lost worker had been sent it, and further to the next entry.
    Skip,
    /// The feed is left out for this long.
    Bar(Duration),
}

#[derive(Debug)]
struct Record {
    feed: String,
    place: MediaTime,
    deaths: u32,
    skips: VecDeque<Mono>,
    terms: Backoff,
    barred_until: Option<Mono>,
    last_loss: Mono,
}

/// What is known of the feeds of a channel that have cost it workers.
#[derive(Debug, Default)]
pub struct Quarantine {
    records: Vec<Record>,
}

impl Quarantine {
    /// A worker that had been sent input of `feed` is lost while the channel is published up to `place`.
    pub fn worker_lost(&mut self, feed: &str, place: MediaTime, now: Mono) -> Verdict {
        let record = self.record(feed, now);
        if now.since(record.last_loss) > GOOD_WHILE {
            record.skips.clear();
            record.terms.succeeded();
        }
        record.last_loss = now;
        if place > record.place {
            (record.place, record.deaths) = (place, 0);
        }
        record.deaths += 1;
        if record.deaths < DEATHS {
            return Verdict::Resume;
        }
        record.deaths = 0;
        record.skips.retain(|skip| now.since(*skip) < SKIPPING);
        record.skips.push_back(now);
        // Who was left out before and has not learnt is left out at once.
        if record.skips.len() < SKIPS && record.terms.failures() == 0 {
            return Verdict::Skip;
        }
        record.skips.clear();
        let term = record.terms.failed();
        record.barred_until = Some(now.after(term));
        Verdict::Bar(term)
    }

    /// Whether `feed` is left out.
    pub fn is_barred(&self, feed: &str) -> bool {
        self.records.iter().any(|record| record.feed == feed && record.barred_until.is_some())
    }

    /// The feeds that are left out.
    pub fn barred(&self) -> Vec<String> {
        self.records.iter().filter(|record| record.barred_until.is_some()).map(|record| record.feed.clone()).collect()
    }

    /// The feeds whose term is over, once.
    pub fn take_released(&mut self, now: Mono) -> Vec<String> {
        let over = |record: &&mut Record| record.barred_until.is_some_and(|until| now >= until);
        let release = |record: &mut Record| {
            record.barred_until = None;
            record.feed.clone()
        };
        self.records.iter_mut().filter(over).map(release).collect()
    }

    fn record(&mut self, feed: &str, now: Mono) -> &mut Record {
        let known = self.records.iter().position(|record| record.feed == feed);
        let index = known.unwrap_or_else(|| {
            if self.records.len() >= RECORDS
                && let Some(oldest) = (0..self.records.len()).min_by_key(|index| self.records[*index].last_loss)
            {
                self.records.swap_remove(oldest);
            }
            let place = MediaTime(i64::MIN);
            let terms = Backoff::new(FIRST_TERM, LONGEST_TERM);
            let feed = feed.to_owned();
            self.records.push(Record { feed, place, deaths: 0, skips: VecDeque::new(), terms, barred_until: None, last_loss: now });
            self.records.len() - 1
        });
        &mut self.records[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    /// Three deaths at one place; the verdict on the last one.
    fn three_deaths(quarantine: &mut Quarantine, place: i64, now: Mono) -> Verdict {
        assert_eq!(quarantine.worker_lost("main", MediaTime(place), now), Verdict::Resume);
        assert_eq!(quarantine.worker_lost("main", MediaTime(place), now), Verdict::Resume);
        quarantine.worker_lost("main", MediaTime(place), now)
    }

    fn bar(quarantine: &mut Quarantine, now: Mono) -> Verdict {
        let verdicts: Vec<Verdict> = (0..3).map(|n| three_deaths(quarantine, n, now)).collect();
        assert_eq!(verdicts[..2], [Verdict::Skip, Verdict::Skip]);
        verdicts[2]
    }

    #[test]
    fn workers_that_die_at_different_places_are_no_fault_of_the_feed() {
        let mut quarantine = Quarantine::default();
        for place in 0..200 {
            assert_eq!(quarantine.worker_lost("main", MediaTime(place), at(1)), Verdict::Resume);
            assert_eq!(quarantine.worker_lost("main", MediaTime(place), at(1)), Verdict::Resume);
        }
    }

    #[test]
    fn the_third_death_at_a_place_skips_it_and_the_third_skip_bars_the_feed() {
        let mut quarantine = Quarantine::default();
        assert_eq!(bar(&mut quarantine, at(10)), Verdict::Bar(FIRST_TERM));
        assert!(quarantine.is_barred("main") && !quarantine.is_barred("backup"));
        assert!(quarantine.take_released(at(14)).is_empty());
        assert_eq!(quarantine.take_released(at(15)), ["main"]);
        assert!(!quarantine.is_barred("main") && quarantine.take_released(at(16)).is_empty());
    }

    #[test]
    fn skips_that_are_far_apart_bar_nobody() {
        let mut quarantine = Quarantine::default();
        for n in 0..50 {
            assert_eq!(three_deaths(&mut quarantine, n, at(31 * n as u64)), Verdict::Skip);
        }
    }

    #[test]
    fn a_feed_that_has_not_learnt_is_barred_at_once_and_for_longer_until_it_was_good_for_a_while() {
        let mut quarantine = Quarantine::default();
        let mut now = at(1);
        let mut terms = Vec::new();
        let mut verdict = bar(&mut quarantine, now);
        for place in 10..18 {
            let Verdict::Bar(term) = verdict else { panic!("{verdict:?}") };
            terms.push(term.as_secs());
            now = now.after(term);
            assert_eq!(quarantine.take_released(now), ["main"]);
            verdict = three_deaths(&mut quarantine, place, now);
        }
        assert_eq!(terms, [5, 10, 20, 40, 80, 160, 300, 300]);
        now = now.after(LONGEST_TERM);
        quarantine.take_released(now);
        now = now.after(GOOD_WHILE);
        assert_eq!(three_deaths(&mut quarantine, 99, now), Verdict::Skip, "forgotten");
    }

    proptest! {
        /// Whatever is lost when and where: a bar always ends, and no place costs more than three workers in a row.
        #[test]
        fn every_term_ends_and_no_place_is_retried_for_ever(losses in proptest::collection::vec((0i64..4, 0u64..90), 1..200)) {
            let mut quarantine = Quarantine::default();
            let (mut now, mut resumed) = (at(0), 0);
            for (place, pause) in losses {
                now = now.after(Duration::from_secs(pause));
                match quarantine.worker_lost("main", MediaTime(place), now) {
                    Verdict::Resume => resumed += 1,
                    _ => resumed = 0,
                }
                prop_assert!(resumed <= (DEATHS - 1) * 4);
            }
            quarantine.take_released(now.after(LONGEST_TERM));
            prop_assert!(quarantine.barred().is_empty());
        }
    }
}
