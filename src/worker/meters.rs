//! How far each stage is, written by the stages and reported by the writer of the link.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::base::MediaTime;
use crate::base::queue::Depth;
use crate::wire::link::{FromWorker, Stage};

/// One stage, or one rung of the encode stage.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pts: AtomicI64,
    done: AtomicU64,
    dropped: AtomicU64,
}

impl Meter {
    /// One more is through, the newest at `pts`.
    pub(super) fn done(&self, pts: MediaTime) {
        self.pts.store(pts.0, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// One was dropped.
    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The meters of a stage with its queues; where there are several, the one furthest behind speaks for all.
#[derive(Debug)]
pub(super) struct StageMeters {
    stage: Stage,
    meters: Vec<std::sync::Arc<Meter>>,
    queues: Vec<Depth>,
    reported: Option<(u64, u64)>,
}

impl StageMeters {
    pub(super) fn new(stage: Stage, meters: Vec<std::sync::Arc<Meter>>, queues: Vec<Depth>) -> StageMeters {
        StageMeters { stage, meters, queues, reported: None }
    }

    /// The stage's progress, if it got on since it was asked last.
    pub(super) fn progress(&mut self) -> Option<FromWorker> {
        let behind = self.meters.iter().min_by_key(|meter| (meter.done.load(Ordering::Relaxed), meter.pts.load(Ordering::Relaxed)))?;
        let done = behind.done.load(Ordering::Relaxed);
        let dropped = self.meters.iter().map(|meter| meter.dropped.load(Ordering::Relaxed)).max().unwrap_or(0);
        if self.reported.replace((done, dropped)) == Some((done, dropped)) || done + dropped == 0 {
            return None;
        }
        let queued = self.queues.iter().map(Depth::held).max().unwrap_or(0).min(u32::MAX as usize) as u32;
        Some(FromWorker::Progress { stage: self.stage, pts: MediaTime(behind.pts.load(Ordering::Relaxed)), done, dropped, queued })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_stage_that_stands_still_reports_nothing() {
        let (fast, slow) = (Arc::new(Meter::default()), Arc::new(Meter::default()));
        let mut stage = StageMeters::new(Stage::Encode, vec![Arc::clone(&fast), Arc::clone(&slow)], Vec::new());
        assert_eq!(stage.progress(), None);
        fast.done(MediaTime(9));
        assert_eq!(stage.progress(), None);
        slow.done(MediaTime(4));
        assert_eq!(
            stage.progress(),
            Some(FromWorker::Progress { stage: Stage::Encode, pts: MediaTime(4), done: 1, dropped: 0, queued: 0 })
        );
        fast.done(MediaTime(10));
        assert_eq!(stage.progress(), None);
    }
}
