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
    /// The spare, if one stands by; another one is started in its place. The first call starts the first one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::worker_process::tests::stand_in;
    use std::path::Path;

    /// Asks until one stands by, which takes the keeper a moment.
    async fn taken(program: &WorkerProgram) -> WorkerProcess {
        let asking = async {
            loop {
                match program.spares.take(program).await {
                    Some(spare) => return spare,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asking).await.expect("one stands by")
    }

    #[tokio::test]
    async fn another_one_stands_by_as_soon_as_one_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let program = stand_in(folder.path());
        let (first, second) = (taken(&program).await, taken(&program).await);
        assert!(first.process_id().is_some() && first.process_id() != second.process_id());
        let worker = program.codec_worker("demo", 7, None).await.unwrap();
        assert_eq!(worker.id, 7);
        for worker in [first, second, worker] {
            worker.end().await;
        }
    }

    /// Waits until a process other than `known` has left its number in the folder.
    async fn started(folder: &Path, known: &[u32]) -> u32 {
        let looking = async {
            loop {
                let names = std::fs::read_dir(folder).unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok());
                if let Some(process) = names.into_iter().find(|process: &u32| !known.contains(process)) {
                    return process;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.expect("another one is started")
    }

    #[tokio::test]
    async fn a_spare_that_dies_is_replaced_before_anybody_asks() {
        let folder = tempfile::tempdir().unwrap();
        let program = stand_in(folder.path());
        let first = taken(&program).await;
        let taken_one = first.process_id().unwrap();
        let spare = started(folder.path(), &[taken_one]).await;
        std::process::Command::new("kill").args(["-s", "KILL", &spare.to_string()]).status().unwrap();
        let next = started(folder.path(), &[taken_one, spare]).await;
        let worker = taken(&program).await;
        assert_eq!(worker.process_id(), Some(next));
        worker.end().await;
        first.end().await;
    }

    #[tokio::test]
    async fn a_program_that_is_missing_stops_nobody_from_asking() {
        let folder = tempfile::tempdir().unwrap();
        let program = WorkerProgram::at(folder.path().join("none"), "text", "info");
        for _ in 0..3 {
            assert!(program.spares.take(&program).await.is_none());
        }
        assert!(program.codec_worker("demo", 1, None).await.is_err());
    }
}
