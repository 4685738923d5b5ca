//! The processes of a channel's workers.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::channel::worker_process::{WorkerProcess, end_beside};

/// A replacement on the same device begins after this, whether its predecessor has ended or not.
const ENDING_LIMIT: Duration = Duration::from_secs(1);

/// The workers of a channel: one, or two while the one takes over from the other.
#[derive(Debug, Default)]
pub(super) struct Workers {
    pub(super) present: Option<WorkerProcess>,
    /// It drains: it is told nothing more.
    pub(super) leaving: Option<WorkerProcess>,
    /// The ends of those that were replaced.
    ending: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Ends a worker beside the caller.
    pub(super) fn end(&mut self, worker: WorkerProcess, channel: &str) {
        self.ending.retain(|end| !end.is_finished());
        self.ending.push(end_beside(worker, channel));
    }

    /// Waits until those that were replaced have given their places on a device back, for a while: a driver may keep one for ever.
    pub(super) async fn have_ended(&mut self) {
        let ends = async {
            for end in self.ending.drain(..) {
                let _ = end.await;
            }
        };
        let _ = tokio::time::timeout(ENDING_LIMIT, ends).await;
    }
}
