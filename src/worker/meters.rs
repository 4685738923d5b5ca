//! How far each stage is, written by the stages and reported by the writer of the link.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::base::queue::Depth;
use crate::base::{MediaTime, Mono, Ticks};
use crate::wire::link::{FromWorker, Stage};

/// Nothing is through yet.
const NOTHING: i64 = i64::MIN;

/// One stage, or one rung of the encode stage.
#[derive(Debug)]
pub(super) struct Meter {
    pts: AtomicI64,
    done: AtomicU64,
    dropped: AtomicU64,
    /// Time that its thread was at work, in nanoseconds.
    worked: AtomicU64,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter { pts: AtomicI64::new(NOTHING), done: AtomicU64::new(0), dropped: AtomicU64::new(0), worked: AtomicU64::new(0) }
    }
}

impl Meter {
    /// One more is through, the newest at `pts`.
    pub(super) fn done(&self, pts: MediaTime) {
        self.pts.fetch_max(pts.0, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// One was left out by plan: who leaves everything out is not behind.
    pub(super) fn passed(&self, pts: MediaTime) {
        self.pts.fetch_max(pts.0, Ordering::Relaxed);
    }

    /// One was dropped.
    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Its thread was at work this long.
    pub(super) fn worked(&self, span: Duration) {
        self.worked.fetch_add(span.as_nanos().min(u128::from(u64::MAX)) as u64, Ordering::Relaxed);
    }
}

/// The meters of a stage with its queues; where there are several, the one furthest behind speaks for all.
#[derive(Debug)]
pub(super) struct StageMeters {
    stage: Stage,
    meters: Vec<Arc<Meter>>,
    queues: Vec<Depth>,
    /// The newest instant that the link has named.
    newest: Arc<AtomicI64>,
    reported: Option<(i64, u64)>,
    /// When it was asked last, and how long each thread had been at work by then.
    asked: Option<(Mono, Vec<u64>)>,
}

impl StageMeters {
    pub(super) fn new(stage: Stage, meters: Vec<Arc<Meter>>, queues: Vec<Depth>, newest: Arc<AtomicI64>) -> StageMeters {
        StageMeters { stage, meters, queues, newest, reported: None, asked: None }
    }

    /// The stage's progress, if it got on since it was asked last.
    pub(super) fn progress(&mut self, now: Mono) -> Option<FromWorker> {
        let busy_percent = self.busy_percent(now);
        let pts = self.meters.iter().map(|meter| meter.pts.load(Ordering::Relaxed)).min()?;
        let most =
            |count: fn(&Meter) -> &AtomicU64| self.meters.iter().map(|meter| count(meter).load(Ordering::Relaxed)).max().unwrap_or(0);
        let (done, dropped) = (most(|meter| &meter.done), most(|meter| &meter.dropped));
        if self.reported.replace((pts, dropped)) == Some((pts, dropped)) || (pts == NOTHING && dropped == 0) {
            return None;
        }
        let pts = if pts == NOTHING { self.newest.load(Ordering::Relaxed) } else { pts };
        let lag = Ticks(self.newest.load(Ordering::Relaxed).saturating_sub(pts).max(0));
        let queued = self.queues.iter().map(Depth::held).max().unwrap_or(0).min(u32::MAX as usize) as u32;
        Some(FromWorker::Progress { stage: self.stage, pts: MediaTime(pts), done, dropped, queued, lag, busy_percent })
    }

    fn busy_percent(&mut self, now: Mono) -> u8 {
        let worked: Vec<u64> = self.meters.iter().map(|meter| meter.worked.load(Ordering::Relaxed)).collect();
        let Some((asked, before)) = self.asked.replace((now, worked.clone())) else { return 0 };
        let passed = now.since(asked).as_nanos().max(1);
        let most = worked.iter().zip(&before).map(|(worked, before)| worked.saturating_sub(*before)).max().unwrap_or(0);
        (u128::from(most) * 100 / passed).min(100) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (Arc<Meter>, Arc<Meter>, Arc<AtomicI64>, StageMeters) {
        let (fast, slow) = (Arc::new(Meter::default()), Arc::new(Meter::default()));
        let newest = Arc::new(AtomicI64::new(12));
        let stage = StageMeters::new(Stage::Encode, vec![Arc::clone(&fast), Arc::clone(&slow)], Vec::new(), Arc::clone(&newest));
        (fast, slow, newest, stage)
    }

    fn progress(pts: i64, done: u64, lag: i64, busy_percent: u8) -> Option<FromWorker> {
        let (pts, lag) = (MediaTime(pts), Ticks(lag));
        Some(FromWorker::Progress { stage: Stage::Encode, pts, done, dropped: 0, queued: 0, lag, busy_percent })
    }

    #[test]
    fn a_stage_that_stands_still_reports_nothing() {
        let (fast, slow, _, mut stage) = two();
        assert_eq!(stage.progress(Mono(1)), None);
        fast.done(MediaTime(9));
        assert_eq!(stage.progress(Mono(2)), None);
        slow.done(MediaTime(4));
        assert_eq!(stage.progress(Mono(3)), progress(4, 1, 8, 0));
        fast.done(MediaTime(10));
        assert_eq!(stage.progress(Mono(4)), None);
    }

    #[test]
    fn a_rung_that_leaves_everything_out_is_not_behind() {
        let (fast, slow, _, mut stage) = two();
        fast.done(MediaTime(9));
        slow.passed(MediaTime(9));
        assert_eq!(stage.progress(Mono(1)), progress(9, 1, 3, 0));
    }

    #[test]
    fn the_busiest_thread_speaks_for_its_stage() {
        let (fast, slow, newest, mut stage) = two();
        [&fast, &slow].iter().for_each(|meter| meter.done(MediaTime(1)));
        stage.progress(Mono(0));
        fast.worked(Duration::from_nanos(300));
        slow.worked(Duration::from_nanos(700));
        newest.store(20, Ordering::Relaxed);
        [&fast, &slow].iter().for_each(|meter| meter.done(MediaTime(13)));
        assert_eq!(stage.progress(Mono(1_000)), progress(13, 2, 7, 70));
    }
}
