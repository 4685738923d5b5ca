//! A stop that viewers do not lose a segment to: the one that is open is finished, and what is listed is served until players have looked again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::base::metrics::metrics;
use crate::base::{Mono, Ticks, clock};
use crate::channel::status::Board;

/// From the end of a segment to its listing: what the programme trails the clock by, and what encoders hold.
const LISTING: Duration = Duration::from_secs(4);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);
/// Somebody who has fetched nothing for longer watches no more.
const LEFT: Duration = Duration::from_secs(15);
/// Served for no longer after the last segment, however long segments are.
const LONGEST_LINGER: Duration = Duration::from_secs(10);

/// Whether anybody watches, by the segments that are fetched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audience {
    fetched: u64,
    seen: Option<Mono>,
}

impl Audience {
    /// So many segments were fetched until now, since the start.
    pub fn saw(&mut self, fetched: u64, now: Mono) {
        if fetched != self.fetched {
            (self.fetched, self.seen) = (fetched, Some(now));
        }
    }

    /// Whether somebody watches.
    pub fn is_there(&self, now: Mono) -> bool {
        self.seen.is_some_and(|seen| now.since(seen) <= LEFT)
    }
}

/// Segments that were fetched since the start, whatever the answer.
pub fn fetched() -> u64 {
    use prometheus::core::Collector;
    let families = metrics().http_requests.collect();
    let counters = families.iter().flat_map(|family| family.get_metric());
    let of_segments =
        counters.filter(|counter| counter.get_label().iter().any(|label| label.name() == "kind" && label.value() == "segment"));
    of_segments.map(|counter| counter.get_counter().get_value() as u64).sum()
}

/// How long what is listed is served after the last segment: players look once in a segment's length (RFC 8216 section 6.3.4).
pub fn linger(segment: Ticks) -> Duration {
    Duration::from(segment).min(LONGEST_LINGER)
}

/// Waits until every channel that lists segments has listed the one that is open now, but no longer than the longest of them takes, and not
/// when `hurried` turns true. Names the channels that have not.
pub async fn finish_segments(board: &Board, longest: Ticks, mut hurried: watch::Receiver<bool>) -> Vec<String> {
    let since = clock::mono();
    let limit = Duration::from(longest) + LISTING;
    let is_fresh = |name: &String| board.listed_at(name).is_some_and(|listed| since.since(listed) <= limit);
    let mut open: Vec<String> = board.all().iter().map(|status| status.name.clone()).filter(is_fresh).collect();
    let finished = async {
        loop {
            // One that is gone meanwhile has nothing to finish.
            open.retain(|name| board.listed_at(name).is_some_and(|listed| listed <= since));
            if open.is_empty() {
                return;
            }
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        _ = timeout(limit, finished) => {}
        _ = hurried.wait_for(|hurried| *hurried) => {}
    }
    open
}

/// Waits for this long, but not when `hurried` turns true.
pub async fn stay(span: Duration, mut hurried: watch::Receiver<bool>) {
    // Late or hurried, the wait is over.
    let _ = timeout(span, hurried.wait_for(|hurried| *hurried)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::service::status::tests::channel;
    use crate::channel::status::State;

    #[test]
    fn who_has_fetched_nothing_for_a_while_is_not_waited_for() {
        let at = |seconds| Mono::default().after(Duration::from_secs(seconds));
        let mut audience = Audience::default();
        audience.saw(0, at(1));
        assert!(!audience.is_there(at(1)), "nobody was there yet");
        audience.saw(3, at(2));
        audience.saw(3, at(10));
        assert!(audience.is_there(at(17)) && !audience.is_there(at(18)));
    }

    fn listing(names: &[&str]) -> Board {
        let board = Board::default();
        for name in names {
            board.post(channel(name, State::Live, false).as_ref().clone());
            board.listed(name, clock::mono());
        }
        board
    }

    #[tokio::test(start_paused = true)]
    async fn every_channel_is_waited_for_but_not_for_ever() {
        let (_hurry, hurried) = watch::channel(false);
        let board = listing(&["news", "sports", "gone"]);
        let waiting = finish_segments(&board, Ticks::from_millis(2_000), hurried.clone());
        let listing = async {
            sleep(Duration::from_millis(500)).await;
            board.listed("news", clock::mono());
            board.remove("gone");
        };
        assert_eq!(tokio::join!(waiting, listing).0, ["sports"]);
        board.listed("sports", clock::mono());
        let board = self::listing(&["news"]);
        let waiting = finish_segments(&board, Ticks::from_millis(2_000), hurried);
        let listing = async {
            sleep(Duration::from_millis(500)).await;
            board.listed("news", clock::mono());
        };
        assert!(tokio::join!(waiting, listing).0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_again_does_not_wait() {
        let (hurry, hurried) = watch::channel(false);
        let board = listing(&["news"]);
        hurry.send_replace(true);
        let both = async {
            assert_eq!(finish_segments(&board, Ticks::from_millis(30_000), hurried.clone()).await, ["news"]);
            stay(LONGEST_LINGER, hurried).await;
        };
        // Time stands still but for waits.
        assert!(timeout(LOOK * 2, both).await.is_ok());
    }
}
