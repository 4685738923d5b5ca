//! One worker of the appliance stands by: executed, libraries loaded and locked down, with no channel yet. A channel that needs a
//! worker takes it, and another one is started at once.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::base::backoff::Backoff;
use crate::channel::worker_process::{WorkerEvent, WorkerProcess, WorkerProgram};

/// Channels that ask at the same instant; one more starts its own worker.
const REQUEST_QUEUE: usize = 16;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

type Answer = oneshot::Sender<WorkerProcess>;

/// The way to the spare. Clones share it; when the last one goes, so does the spare.
#[derive(Clone, Debug, Default)]
pub struct Spares {
    requests: Arc<OnceLock<mpsc::Sender<Answer>>>,
}

impl Spares {
    /// The spare, if one stands by; another one is started in its place. The first call only sees to it that there will be one.
    pub async fn take(&self, program: &WorkerProgram) -> Option<WorkerProcess> {
        let requests = self.requests.get_or_init(|| {
            let (requests, asked) = mpsc::channel(REQUEST_QUEUE);
            // Without the way to itself, or it would never end.
            let program = WorkerProgram { spares: Spares::default(), ..program.clone() };
            tokio::spawn(keep(program, asked));
            requests
        });
        let (answer, answered) = oneshot::channel();
        requests.try_send(answer).ok()?;
        answered.await.ok()
    }
}

async fn keep(program: WorkerProgram, mut asked: mpsc::Receiver<Answer>) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let cause = match stand_by(&program, &mut asked).await {
            Ok(Some(cause)) => cause,
            Ok(None) => {
                backoff.succeeded();
                continue;
            }
            Err(Ended::Start(cause)) => format!("it cannot be started: {cause}"),
            Err(Ended::Nobody) => return,
        };
        let wait = backoff.failed();
        tracing::warn!(
            cause,
            retry_s = wait.as_secs_f64(),
            "no worker stands by; channels start their own, which takes them a moment longer"
        );
        if refuse(&mut asked, wait).await.is_none() {
            return;
        }
    }
}

/// Why nothing stands by any longer.
enum Ended {
    Start(io::Error),
    /// Nobody can ask any more.
    Nobody,
}

/// Holds one spare until somebody takes it (`None`) or it dies (why).
async fn stand_by(program: &WorkerProgram, asked: &mut mpsc::Receiver<Answer>) -> Result<Option<String>, Ended> {
    let mut spare = WorkerProcess::start(program, None, 0, None).map_err(Ended::Start)?;
    tracing::debug!(process = spare.process_id(), "a worker stands by");
    tokio::select! {
        answer = asked.recv() => {
            // A channel that did not wait for the answer has ended; its spare ends with it.
            let _ = answer.ok_or(Ended::Nobody)?.send(spare);
            Ok(None)
        }
        event = spare.events.recv() => {
            let cause = match event {
                Some(WorkerEvent::Gone(cause)) => cause,
                other => format!("it said {other:?} unasked"),
            };
            let status = spare.end().await;
            Ok(Some(format!("{cause} ({status})")))
        }
    }
}

/// Answers nobody's request for `wait`; `None` when nobody can ask any more.
async fn refuse(asked: &mut mpsc::Receiver<Answer>, wait: Duration) -> Option<()> {
    let waiting = tokio::time::sleep(wait);
    tokio::pin!(waiting);
    loop {
        tokio::select! {
            () = &mut waiting => return Some(()),
            answer = asked.recv() => drop(answer?),
        }
    }
}
