//! Drives a channel's state machine: feeds, the worker's process, the shelf and time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::base::metrics::metrics;
use crate::base::{Mono, clock};
use crate::channel::clock::ProgrammeClock;
use crate::channel::copy::CopyProgramme;
use crate::channel::feed::FeedEvent;
use crate::channel::plan::{ChannelPlan, LadderPlan};
use crate::channel::programme::{Action, FeedInfo, Programme};
use crate::channel::sequence::{Sequence, SequenceStore};
use crate::channel::status::{Board, ChannelStatus, State};
use crate::channel::worker_process::{WorkerEvent, WorkerProcess, WorkerProgram, end_beside, next_event, room};
use crate::pack::Change;
use crate::shelf::Shelf;

/// Publishers that wait to be taken up by their channel.
pub const ARRIVAL_QUEUE: usize = 4;
const TICK: Duration = Duration::from_millis(40);
const STATUS_EVERY: Duration = Duration::from_millis(200);

/// An admitted publisher on its way to the channel.
#[derive(Debug)]
pub struct Arrival {
    /// Who.
    pub info: FeedInfo,
    /// What it sends.
    pub events: mpsc::Receiver<FeedEvent>,
}

/// What every channel shares.
#[derive(Clone, Debug)]
pub struct House {
    /// How to start workers.
    pub worker: WorkerProgram,
    /// Statuses for the API.
    pub board: Board,
    /// Sequence numbers over restarts.
    pub sequences: SequenceStore,
    /// Cores that this machine lends.
    pub cores: usize,
    /// Whether statuses name publishers' addresses: only where nobody but this machine can read them.
    pub names_peers: bool,
}

/// Either kind of channel behind one face.
#[derive(Debug)]
enum Machine {
    Encoded(Box<Programme>),
    Copied(Box<CopyProgramme>),
}

/// How a channel's life begins and ends.
#[derive(Debug)]
pub struct Life {
    /// Publishers that were admitted.
    pub arrivals: mpsc::Receiver<Arrival>,
    /// Turns true when the channel is to end.
    pub stop: watch::Receiver<bool>,
    /// A channel of a wildcard ends by itself when it has been without a publisher for this long.
    pub linger: Option<Duration>,
}

/// Runs `plan` to the end of its life.
pub async fn run_channel(plan: ChannelPlan, house: House, shelf: Arc<Shelf>, life: Life) {
    let Life { mut arrivals, mut stop, linger } = life;
    let name = plan.name.clone();
    let mut last_feed = clock::mono();
    let mut driver = Driver::new(plan, house, shelf);
    let mut feed: Option<mpsc::Receiver<FeedEvent>> = None;
    let mut worker: Option<WorkerProcess> = None;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    driver.machine.start(clock::mono());
    loop {
        driver.act(&mut worker).await;
        let backlog = driver.feed_worker(worker.as_ref());
        let link = worker.as_ref().filter(|_| backlog).map(WorkerProcess::link);
        let wants_feed = driver.machine.wants_feed(clock::mono());
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            // Before the feed: whatever a publisher floods the channel with, the clock goes on.
            _ = ticks.tick() => {
                driver.tick();
                last_feed = if feed.is_some() { clock::mono() } else { last_feed };
                if linger.is_some_and(|linger| clock::mono().since(last_feed) > linger) {
                    tracing::info!(channel = name, "nobody has published for a while: the wildcard's channel ends");
                    break;
                }
            }
            arrival = arrivals.recv() => {
                let Some(arrival) = arrival else { break };
                driver.machine.feed_opened(arrival.info, clock::mono());
                feed = Some(arrival.events);
            }
            (id, event) = next_event(&mut worker) => match event {
                WorkerEvent::Message(message, payload, read) => {
                    driver.cause = read;
                    driver.machine.worker_message(id, message, payload, clock::mono());
                }
                WorkerEvent::Gone(cause) => {
                    driver.machine.worker_gone(id, &cause, clock::mono());
                }
            },
            event = next_feed_event(&mut feed), if wants_feed => match event {
                Some(event) => {
                    driver.cause = clock::mono();
                    if driver.machine.feed_event(event, clock::mono()) == Reception::Refused {
                        feed = None;
                        driver.machine.feed_closed(clock::mono());
                    }
                }
                None => {
                    feed = None;
                    driver.machine.feed_closed(clock::mono());
                }
            },
            _ = room(link), if backlog => {}
        }
    }
    if let Some(worker) = worker {
        worker.end().await;
    }
    driver.house.board.remove(&name);
}

async fn next_feed_event(feed: &mut Option<mpsc::Receiver<FeedEvent>>) -> Option<FeedEvent> {
    match feed {
        Some(feed) => feed.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether a feed may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It may.
    Taken,
    /// It is of no use to this channel and is closed; the reason is in the log.
    Refused,
}

struct Driver {
    name: String,
    machine: Machine,
    house: House,
    shelf: Arc<Shelf>,
    /// When the packet came in that is being worked on.
    cause: Mono,
    status_due: Mono,
    posted: Option<ChannelStatus>,
}

impl Driver {
    fn new(plan: ChannelPlan, house: House, shelf: Arc<Shelf>) -> Driver {
        let clock_now = ProgrammeClock::starting(clock::mono(), clock::wall());
        let sequence = house.sequences.load(&plan.name);
        let name = plan.name.clone();
        let machine = match plan.ladder {
            LadderPlan::Copy => Machine::Copied(Box::new(CopyProgramme::new(plan, clock_now, sequence))),
            _ => Machine::Encoded(Box::new(Programme::new(plan, clock_now, house.cores, sequence))),
        };
        Driver { name, machine, house, shelf, cause: Mono::default(), status_due: Mono::default(), posted: None }
    }

    async fn act(&mut self, worker: &mut Option<WorkerProcess>) {
        for action in self.machine.take_actions() {
            match action {
                Action::StartWorker(id) => match WorkerProcess::start(&self.house.worker, &self.name, id, None) {
                    Ok(started) => {
                        tracing::info!(channel = self.name, worker = id, process = started.process_id(), "worker started");
                        *worker = Some(started);
                    }
                    Err(cause) => {
                        tracing::error!(channel = self.name, %cause, program = %self.house.worker.path.display(), "worker cannot be started");
                        self.machine.worker_gone(id, "cannot be started", clock::mono());
                    }
                },
                Action::EndWorker(id) => {
                    if let Some(ended) = worker.take_if(|worker| worker.id == id) {
                        end_beside(ended, Path::new(&self.name));
                    }
                }
                Action::Apply(changes) => self.apply(changes),
                Action::Remember(sequence) => self.remember(sequence),
            }
        }
    }

    fn apply(&self, changes: Vec<Change>) {
        match self.shelf.apply(changes, clock::wall()) {
            Ok(applied) => {
                metrics().shelf_bytes.with_label_values(&[&*self.name]).set(applied.bytes as i64);
                if applied.dropped > 0 {
                    let remedy = "the feed's bitrate is higher than planned for: shorten the window";
                    tracing::warn!(
                        channel = self.name,
                        segments = applied.dropped,
                        remedy,
                        "shelf full: segments dropped before their time"
                    );
                }
            }
            Err(cause) => tracing::error!(channel = self.name, %cause, "segment does not fit on the shelf"),
        }
        let took = clock::mono().since(self.cause);
        metrics().listing_seconds.with_label_values(&[&*self.name]).observe(took.as_secs_f64());
    }

    /// The disk may be slow; the runtime's threads do not wait for it.
    fn remember(&self, sequence: Sequence) {
        let (store, name) = (self.house.sequences.clone(), self.name.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(cause) = store.save(&name, sequence) {
                tracing::error!(channel = name, %cause, "sequence number cannot be kept in the state directory; check space and rights");
            }
        });
    }

    /// Fills the link; whether more is waiting than it took.
    fn feed_worker(&mut self, worker: Option<&WorkerProcess>) -> bool {
        let Some(worker) = worker else { return false };
        while worker.has_room_now() {
            let Some((message, payload)) = self.machine.next_message() else { return false };
            worker.send(&message, &payload);
        }
        true
    }

    fn tick(&mut self) {
        let now = clock::mono();
        self.machine.tick(now);
        if now >= self.status_due {
            self.status_due = now.after(STATUS_EVERY);
            self.post(now);
        }
    }

    fn post(&mut self, now: Mono) {
        let mut status = self.machine.status(now);
        status.peer = status.peer.filter(|_| self.house.names_peers);
        if self.posted.as_ref() == Some(&status) {
            return;
        }
        if self.posted.as_ref().map(|posted| posted.state) != Some(status.state) {
            tracing::info!(channel = self.name, state = status.state.label(), feed = status.feed, "channel state");
            for state in State::ALL {
                metrics().channel_state.with_label_values(&[&*self.name, state.label()]).set(i64::from(state == status.state));
            }
        }
        self.house.board.post(status.clone());
        self.posted = Some(status);
    }
}

impl Machine {
    fn start(&mut self, now: Mono) {
        if let Machine::Encoded(programme) = self {
            programme.start(now);
        }
    }

    fn feed_opened(&mut self, info: FeedInfo, now: Mono) {
        match self {
            Machine::Encoded(programme) => programme.feed_opened(info, now),
            Machine::Copied(copy) => copy.feed_opened(info, now),
        }
    }

    fn feed_event(&mut self, event: FeedEvent, now: Mono) -> Reception {
        match self {
            Machine::Encoded(programme) => {
                programme.feed_event(event, now);
                Reception::Taken
            }
            Machine::Copied(copy) => copy.feed_event(event, now),
        }
    }

    fn feed_closed(&mut self, now: Mono) {
        match self {
            Machine::Encoded(programme) => programme.feed_closed(now),
            Machine::Copied(copy) => copy.feed_closed(now),
        }
    }

    fn worker_message(&mut self, id: u64, message: crate::wire::link::FromWorker, payload: bytes::Bytes, now: Mono) {
        if let Machine::Encoded(programme) = self {
            programme.worker_message(id, message, payload, now);
        }
    }

    fn worker_gone(&mut self, id: u64, cause: &str, now: Mono) {
        if let Machine::Encoded(programme) = self {
            programme.worker_gone(id, cause, now);
        }
    }

    fn tick(&mut self, now: Mono) {
        match self {
            Machine::Encoded(programme) => programme.tick(now),
            Machine::Copied(copy) => copy.tick(now),
        }
    }

    fn wants_feed(&self, now: Mono) -> bool {
        match self {
            Machine::Encoded(programme) => programme.wants_feed(now),
            Machine::Copied(copy) => copy.wants_feed(now),
        }
    }

    fn next_message(&mut self) -> Option<(crate::wire::link::ToWorker, bytes::Bytes)> {
        match self {
            Machine::Encoded(programme) => programme.next_message(),
            Machine::Copied(_) => None,
        }
    }

    fn take_actions(&mut self) -> Vec<Action> {
        match self {
            Machine::Encoded(programme) => programme.take_actions(),
            Machine::Copied(copy) => copy.take_actions(),
        }
    }

    fn status(&self, now: Mono) -> ChannelStatus {
        match self {
            Machine::Encoded(programme) => programme.status(now),
            Machine::Copied(copy) => copy.status(now),
        }
    }
}
