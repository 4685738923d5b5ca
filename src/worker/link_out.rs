//! The writing end of the link: one thread, one bounded queue, every message of the worker.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use bytes::Bytes;

use crate::base::queue::{Receiver, Sender, queue};
use crate::base::{Fault, Mono, clock};
use crate::codec::CodecError;
use crate::codec::nvidia::CopyLedger;
use crate::media::Packet;
use crate::wire::link::{FromWorker, framed};

use super::error::{RoleError, Stop};
use super::meters::StageMeters;
use super::watch::Sight;

/// Messages that wait for the socket.
const OUT_QUEUE: usize = 64;
/// How often progress is reported.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Faults of one part that are told at most this often.
const FAULT_EVERY: Duration = Duration::from_secs(1);

enum Out {
    Message(FromWorker, Bytes),
    /// What the input looks and sounds like, and the number of that news.
    Sight(u64, FromWorker),
    /// The last message; the link is closed after it.
    Failure(FromWorker),
}

/// Where threads put their messages. Cloning shares the queue.
#[derive(Clone, Debug)]
pub(super) struct Outbox(Sender<Out>);

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Out")
    }
}

impl Outbox {
    pub(super) fn send(&self, message: FromWorker) -> Result<(), Stop> {
        Ok(self.0.send(Out::Message(message, Bytes::new()))?)
    }

    pub(super) fn send_with(&self, message: FromWorker, payload: Bytes) -> Result<(), Stop> {
        Ok(self.0.send(Out::Message(message, payload))?)
    }

    pub(super) fn packets(&self, packets: &mut Vec<Packet>) -> Result<(), Stop> {
        for Packet { rung, pts, dts, duration, key, data } in packets.drain(..) {
            self.send_with(FromWorker::Packet { rung, pts, dts, duration, key }, data)?;
        }
        Ok(())
    }

    /// What the input looks and sounds like has changed. It is left out if news with a higher number has gone before it.
    pub(super) fn sight(&self, number: u64, message: FromWorker) -> Result<(), Stop> {
        Ok(self.0.send(Out::Sight(number, message))?)
    }

    /// The worker cannot go on; the front is told why and the link is closed. The first failure told is the one that counts.
    pub(super) fn fail(&self, place: &str, cause: &CodecError) {
        let told =
            self.0.send(Out::Failure(FromWorker::Fault { fault: cause.fault(), place: place.into(), detail: cause.to_string() })).is_ok();
        tracing::debug!(place, %cause, told, "this worker cannot go on");
    }
}

/// Tells the front about faults that do not end the worker, not more often than is useful.
#[derive(Debug)]
pub(super) struct FaultReporter {
    outbox: Outbox,
    place: &'static str,
    told: Option<Mono>,
    untold: u64,
}

impl FaultReporter {
    pub(super) fn new(outbox: Outbox, place: &'static str) -> FaultReporter {
        FaultReporter { outbox, place, told: None, untold: 0 }
    }

    pub(super) fn report(&mut self, cause: &CodecError) -> Result<(), Stop> {
        let now = clock::mono();
        if self.told.is_some_and(|told| now.since(told) < FAULT_EVERY) {
            self.untold += 1;
            return Ok(());
        }
        let detail = match std::mem::take(&mut self.untold) {
            0 => cause.to_string(),
            untold => format!("{cause} (and {untold} faults before it)"),
        };
        self.told = Some(now);
        tracing::warn!(place = self.place, fault = %cause.fault(), %detail, "going on after a fault");
        self.outbox.send(FromWorker::Fault { fault: cause.fault(), place: self.place.into(), detail })
    }
}

/// What is reported every so often.
#[derive(Debug, Default)]
struct Reports {
    stages: Vec<StageMeters>,
    /// What crosses between main memory and the device, where there is one.
    ledger: Option<Arc<CopyLedger>>,
}

/// The writer's thread.
#[derive(Debug)]
pub(super) struct LinkWriter {
    thread: JoinHandle<()>,
    reports: Arc<Mutex<Reports>>,
    sight: Arc<Sight>,
    failure: Arc<Mutex<Option<RoleError>>>,
}

impl LinkWriter {
    pub(super) fn start(socket: UnixStream) -> Result<(LinkWriter, Outbox), RoleError> {
        let (sender, receiver) = queue("link_out", OUT_QUEUE);
        let reports: Arc<Mutex<Reports>> = Arc::default();
        let failure: Arc<Mutex<Option<RoleError>>> = Arc::default();
        let sight = Arc::<Sight>::default();
        let shared_sight = Arc::clone(&sight);
        let (shared_reports, shared_failure) = (Arc::clone(&reports), Arc::clone(&failure));
        let run = move || {
            let Err(cause) = write_all(&socket, &receiver, &shared_reports, &shared_sight) else { return };
            let mut failure = shared_failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // A front that is gone is no failure of this worker, whichever end of the link notices first.
            *failure = Some(cause).filter(|cause| !cause.is_front_gone());
            // Wakes whoever reads the link, who then finds the failure.
            let closed = socket.shutdown(Shutdown::Both);
            tracing::trace!(?closed, "link closed after a failure");
        };
        let thread = Builder::new().name("link-out".into()).spawn(run)?;
        Ok((LinkWriter { thread, reports, sight, failure }, Outbox(sender)))
    }

    /// Adds a stage to the progress reports.
    pub(super) fn watch(&self, stage: StageMeters) {
        locked(&self.reports).stages.push(stage);
    }

    /// Adds the ledger of copies to the progress reports.
    pub(super) fn watch_copies(&self, ledger: Arc<CopyLedger>) {
        locked(&self.reports).ledger = Some(ledger);
    }

    /// What the input looks and sounds like, told with the progress.
    pub(super) fn sight(&self) -> Arc<Sight> {
        Arc::clone(&self.sight)
    }

    /// Why the writer ended, if it did.
    pub(super) fn failure(&self) -> Option<RoleError> {
        self.failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }

    /// Waits until everything is written; every [`Outbox`] must be gone by then, or a failure sent.
    pub(super) fn finish(self) -> Result<(), RoleError> {
        let LinkWriter { thread, failure, .. } = self;
        let panicked = thread.join().is_err();
        match failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            Some(failure) => Err(failure),
            None if panicked => {
                Err(RoleError::Failed { fault: Fault::Bug, place: "link-out".into(), detail: "the writer panicked".into() })
            }
            None => Ok(()),
        }
    }
}

fn write_all(mut socket: &UnixStream, queue: &Receiver<Out>, reports: &Mutex<Reports>, sight: &Sight) -> Result<(), RoleError> {
    let mut reported = clock::mono();
    let mut told = 0;
    loop {
        let waited = clock::mono().since(reported);
        let item = match queue.recv_within(PROGRESS_EVERY.saturating_sub(waited)) {
            Ok(item) => item,
            Err(_) => return Ok(()),
        };
        match item {
            Some(Out::Message(message, payload)) => {
                if message == FromWorker::Drained {
                    report_copies(socket, reports)?;
                }
                socket.write_all(&framed(&message, &payload)?)?
            }
            Some(Out::Sight(number, message)) if number >= told => {
                told = number;
                socket.write_all(&framed(&message, &[])?)?;
            }
            Some(Out::Sight(..)) => {}
            Some(Out::Failure(message)) => {
                socket.write_all(&framed(&message, &[])?)?;
                let FromWorker::Fault { fault, place, detail } = message else { return Ok(()) };
                return Err(RoleError::Failed { fault, place, detail });
            }
            None => {}
        }
        if clock::mono().since(reported) >= PROGRESS_EVERY {
            reported = clock::mono();
            report(socket, reports, reported)?;
            report_copies(socket, reports)?;
            if let Some((number, message)) = sight.message() {
                told = number;
                socket.write_all(&framed(&message, &[])?)?;
            }
        }
    }
}

fn report(mut socket: &UnixStream, reports: &Mutex<Reports>, now: Mono) -> Result<(), RoleError> {
    for progress in locked(reports).stages.iter_mut().filter_map(|stage| stage.progress(now)) {
        socket.write_all(&framed(&progress, &[])?)?;
    }
    Ok(())
}

/// With no reason at all in it, it says that nothing has crossed.
fn report_copies(mut socket: &UnixStream, reports: &Mutex<Reports>) -> Result<(), RoleError> {
    let Some(counts) = locked(reports).ledger.as_ref().map(|ledger| ledger.counts()) else { return Ok(()) };
    Ok(socket.write_all(&framed(&FromWorker::Copies { counts }, &[])?)?)
}

fn locked(reports: &Mutex<Reports>) -> MutexGuard<'_, Reports> {
    reports.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
