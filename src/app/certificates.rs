//! Certificates and tokens while the appliance runs: renewed when their files change, and expiry told in time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::api::auth::TokenBook;
use crate::base::metrics::metrics;
use crate::base::tls::{Certificates, Renewal};
use crate::base::{Mono, WallTime, clock};
use crate::origin::iso8601;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// From when on expiry is told of.
const WARN_DAYS: i64 = 14;
/// How often it is told of.
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const MICROS_A_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Looks after certificates and tokens until `stop` turns true or its sender is gone. What is logged and shown is as of the last look.
pub async fn look_after(certificates: Arc<Certificates>, book: Arc<TokenBook>, mut stop: watch::Receiver<bool>) {
    let mut told = Told::default();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let (certificates, book) = (Arc::clone(&certificates), Arc::clone(&book));
        let looked = tokio::task::spawn_blocking(move || {
            look(&certificates, &book, &mut told);
            told
        });
        match looked.await {
            Ok(kept) => told = kept,
            Err(cause) => {
                error!(%cause, "certificates could not be looked at; please report this");
                told = Told::default();
            }
        }
    }
}

/// Looks once, now, and says all that is wrong. Blocks while it reads files.
pub fn renew(certificates: &Certificates, book: &TokenBook) {
    renew_certificates(certificates);
    Told::default().renew_tokens(book);
}

fn renew_certificates(certificates: &Certificates) {
    for (file, renewal) in certificates.renew() {
        let certificate = file.display().to_string();
        let outcome = match renewal {
            Renewal::Taken(pair) => {
                info!(
                    certificate,
                    names = pair.names().join(" "),
                    until = iso8601(pair.not_after()),
                    "certificate renewed; new connections are shown it"
                );
                "taken"
            }
            Renewal::Refused(errors) => {
                for error in errors {
                    warn!(certificate, cause = %error, remedy = error.remedy(), "a changed certificate is not taken; the one before is shown on");
                }
                "refused"
            }
        };
        metrics().tls.certificate_renewals.with_label_values(&[&*certificate, outcome]).inc();
    }
}

fn look(certificates: &Certificates, book: &TokenBook, told: &mut Told) {
    renew_certificates(certificates);
    told.renew_tokens(book);
    let (wall, mono) = (clock::wall(), clock::mono());
    for (file, pair) in certificates.all() {
        let (certificate, until) = (file.display().to_string(), iso8601(pair.not_after()));
        let seconds = pair.not_after().0.div_euclid(1_000_000);
        metrics().tls.certificate_expiry.with_label_values(&[&certificate]).set(seconds as f64);
        match told.calendar.due(&file, pair.not_after(), wall, mono) {
            Some(days) if days < 0 => {
                error!(certificate, until, "the certificate has expired: clients refuse it; put a new one into its file")
            }
            Some(days) => warn!(certificate, until, days, "the certificate expires soon; put a new one into its file"),
            None => {}
        }
    }
}

/// What was told before.
#[derive(Debug, Default)]
struct Told {
    calendar: Calendar,
    /// What is wrong with the file of tokens.
    tokens: Option<String>,
}

impl Told {
    /// Reads the tokens again; whether something was told. What is wrong is told until it is right, or something else is wrong, once.
    fn renew_tokens(&mut self, book: &TokenBook) -> bool {
        match book.renew() {
            Ok(is_changed) => {
                let was_wrong = self.tokens.take().is_some();
                if is_changed || was_wrong {
                    info!("the tokens of the state directory have changed");
                }
                is_changed || was_wrong
            }
            Err(cause) => {
                let before = self.tokens.replace(cause.to_string());
                let is_news = before != self.tokens;
                if is_news {
                    warn!(%cause, "the tokens of the state directory cannot be read; those known before go on");
                }
                is_news
            }
        }
    }
}

/// When each certificate's expiry was last told of.
#[derive(Debug, Default)]
struct Calendar(HashMap<PathBuf, Mono>);

impl Calendar {
    /// Whole days that are left, below zero after the end, where that is to be told now.
    fn due(&mut self, file: &Path, not_after: WallTime, wall: WallTime, now: Mono) -> Option<i64> {
        let days = (not_after.0.saturating_sub(wall.0)).div_euclid(MICROS_A_DAY);
        if days >= WARN_DAYS {
            self.0.remove(file);
            return None;
        }
        if self.0.get(file).is_some_and(|told| now.since(*told) < WARN_EVERY) {
            return None;
        }
        self.0.insert(file.to_owned(), now);
        Some(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_of_tokens_is_told_of_once_until_it_is_broken_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let (file, book) = (folder.path().join("tokens.json"), TokenBook::new(Vec::new(), folder.path()));
        let mut told = Told::default();
        let mut look = |text: &str| {
            std::fs::write(&file, text).unwrap();
            told.renew_tokens(&book)
        };
        assert_eq!(["{", "{", "{", "[7]", "[7]", "[]", "[]", "{"].map(&mut look), [true, false, false, true, false, true, false, true]);
    }

    #[test]
    fn expiry_is_told_of_daily_from_two_weeks_on() {
        let (mut calendar, file) = (Calendar::default(), Path::new("a.pem"));
        let day = |days: i64| (WallTime(days * MICROS_A_DAY), Mono(u64::try_from(days).unwrap() * 86_400_000_000_000));
        let end = WallTime(100 * MICROS_A_DAY);
        let mut due = |days: i64| calendar.due(file, end, day(days).0, day(days).1);
        assert_eq!([due(80), due(86)], [None, None], "two weeks are left");
        assert_eq!([due(87), due(87), due(88)], [Some(13), None, Some(12)]);
        assert_eq!([due(100), due(101)], [Some(0), Some(-1)]);
        assert_eq!(calendar.due(file, WallTime(200 * MICROS_A_DAY), day(102).0, day(102).1), None, "renewed");
        assert_eq!(calendar.due(file, end, day(102).0, day(102).1), Some(-2), "and exchanged for the old one again");
    }
}
