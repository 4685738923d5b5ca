//! Drives a channel's state machine: feeds, the worker's process, the shelf and time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Histogram;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::base::events::{self, EventKind};
use crate::base::metrics::metrics;
use crate::base::{Mono, clock};
use crate::channel::change::feed_places;
use crate::channel::clock::ProgrammeClock;
use crate::channel::feed::{Ending, FeedEvent, Timed};
use crate::channel::feeds::FeedInfo;
use crate::channel::gauges::Gauges;
use crate::channel::plan::ChannelPlan;
use crate::channel::programme::{Action, Immovable, MoveTo};
use crate::channel::receivers::Receivers;
use crate::channel::recorder::{FlightStore, Note, Recorder, text};
use crate::channel::seats::{Lease, SeatDesk};
use crate::channel::sequence::SequenceStore;
use crate::channel::status::{Board, ChannelStatus, State};
use crate::channel::worker_process::{WorkerEvent, WorkerProcess, WorkerProgram, end_beside, next_event, room};
use crate::pack::Change;
use crate::shelf::Shelf;
use crate::wire::link::FromWorker;

use changing::Retired;
use machine::{Machine, machine};
use workers::Workers;

mod changing;
mod machine;
mod workers;

/// Publishers that wait to be taken up by their channel.
pub const ARRIVAL_QUEUE: usize = 4;
/// Orders that wait to be taken up by their channel.
pub const ORDER_QUEUE: usize = 4;
const TICK: Duration = Duration::from_millis(40);
const STATUS_EVERY: Duration = Duration::from_millis(200);

/// An admitted publisher on its way to the channel.
#[derive(Debug)]
pub struct Arrival {
    /// Who.
    pub info: FeedInfo,
    /// What it sends.
    pub events: mpsc::Receiver<Timed>,
    /// Where the channel says why it wants no more.
    pub ending: Ending,
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
    /// Where flight recordings of faults are written.
    pub flights: FlightStore,
    /// Cores that this machine lends.
    pub cores: usize,
    /// The devices of this machine.
    pub seats: SeatDesk,
}

/// Something that a person asks of a running channel.
#[derive(Debug)]
pub enum Order {
    /// Put the feed of this name on the air; `None`: leave it to the policy.
    Feed(Option<String>),
    /// Change the worker for another one in this seat, without a trace in what viewers see; the answer says whether that is under way.
    MoveWorker(MoveTo, oneshot::Sender<Result<(), Immovable>>),
}

/// How a channel's life begins and ends.
#[derive(Debug)]
pub struct Life {
    /// Publishers that were admitted.
    pub arrivals: mpsc::Receiver<Arrival>,
    /// What people ask of it.
    pub orders: mpsc::Receiver<Order>,
    /// Turns true when the channel is to end.
    pub stop: watch::Receiver<bool>,
    /// How it is to be; the first one is what it begins with.
    pub meant: watch::Receiver<Meant>,
}

/// How a channel is to be.
#[derive(Clone, Debug)]
pub struct Meant {
    /// Its plan. The name never changes.
    pub plan: ChannelPlan,
    /// A channel of a wildcard ends by itself when it has been without a publisher for this long.
    pub linger: Option<Duration>,
}

/// Runs a channel to the end of its life.
pub async fn run_channel(house: House, shelf: Arc<Shelf>, life: Life) {
    let Life { mut arrivals, mut orders, mut stop, mut meant } = life;
    let Meant { plan, mut linger } = meant.borrow_and_update().clone();
    let name = plan.name.clone();
    let mut feed_plans = plan.feeds.clone();
    let mut last_feed = clock::mono();
    let mut feeds = Receivers::new(plan.feeds.len());
    let gauges = Gauges::new(&plan, linger.is_some());
    let mut driver = Driver::new(plan, house, shelf, gauges);
    let mut workers = Workers::default();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    driver.machine.start(clock::mono());
    loop {
        driver.act(&mut workers).await;
        let backlog = driver.feed_worker(workers.present.as_ref());
        let link = workers.present.as_ref().filter(|_| backlog).map(WorkerProcess::link);
        let now = clock::mono();
        let machine = &driver.machine;
        let event = feeds.next(|index| machine.wants_feed(index, now));
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            // Before the feed: whatever a publisher floods the channel with, the clock goes on.
            _ = ticks.tick() => {
                driver.tick();
                last_feed = if feeds.any() { clock::mono() } else { last_feed };
                if linger.is_some_and(|linger| clock::mono().since(last_feed) > linger) {
                    tracing::info!(channel = name, "nobody has published for a while: the wildcard's channel ends");
                    break;
                }
            }
            // Before arrivals: a publisher of a new feed may be there already.
            Ok(()) = meant.changed() => {
                let now_meant = meant.borrow_and_update().clone();
                linger = now_meant.linger;
                if now_meant.plan != driver.plan {
                    let places = feed_places(&feed_plans, &now_meant.plan.feeds);
                    feed_plans.clone_from(&now_meant.plan.feeds);
                    driver.gauges.take_plan(&now_meant.plan, linger.is_some());
                    driver.take_plan(now_meant.plan, &mut workers);
                    feeds.rearrange(&places);
                }
            }
            arrival = arrivals.recv() => {
                let Some(Arrival { info, events, ending }) = arrival else { break };
                // By its name: the feeds may have been rearranged since it was admitted.
                match feed_plans.iter().position(|feed| feed.name == info.name) {
                    Some(index) => {
                        feeds.open(index, events, ending);
                        driver.machine.feed_opened(FeedInfo { index, ..info }, clock::mono());
                    }
                    None => ending.say("its feed was removed from the configuration"),
                }
            }
            Some(order) = orders.recv() => driver.obey(order),
            (id, event) = next_event(&mut workers.leaving) => driver.worker_event(id, event),
            (id, event) = next_event(&mut workers.present) => driver.worker_event(id, event),
            (index, event) = event => match event {
                Some(Timed { event, read }) => {
                    driver.cause = clock::mono();
                    if matches!(event, FeedEvent::Unit(_)) {
                        driver.lag.observe(driver.cause.since(read).as_secs_f64());
                    }
                    if let Reception::Refused(why) = driver.machine.feed_event(index, event, clock::mono()) {
                        driver.recorder.note(Note::Refused(text(&why)), clock::mono());
                        driver.write_flight("feed_refused");
                        feeds.close(index, why);
                        driver.machine.feed_closed(index, clock::mono());
                    }
                }
                None => {
                    feeds.close(index, String::new());
                    driver.machine.feed_closed(index, clock::mono());
                }
            },
            _ = room(link), if backlog => {}
        }
    }
    feeds.close_all("the channel stopped");
    let last = workers.leaving.into_iter().chain(workers.present);
    let ends: Vec<JoinHandle<()>> = last.map(|worker| end_beside(worker, &name)).collect();
    for end in ends {
        let _ = end.await;
    }
    driver.house.board.remove(&name);
    for state in State::ALL {
        let _ = metrics().channel_state.remove_label_values(&[&*name, state.label()]);
    }
}

/// Whether a feed may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It may.
    Taken,
    /// It is of no use to this channel and is closed, for this reason.
    Refused(String),
}

struct Driver {
    name: String,
    plan: ChannelPlan,
    machine: Machine,
    recorder: Recorder,
    gauges: Gauges,
    house: House,
    shelf: Arc<Shelf>,
    /// The file of the channel's slate.
    slate: Option<PathBuf>,
    /// How long units wait to be taken up.
    lag: Histogram,
    /// When the packet came in that is being worked on.
    cause: Mono,
    status_due: Mono,
    posted: Option<ChannelStatus>,
    /// The state that was told last.
    state: Option<State>,
    retired: Vec<Retired>,
}

impl Driver {
    fn new(plan: ChannelPlan, house: House, shelf: Arc<Shelf>, gauges: Gauges) -> Driver {
        let clock_now = ProgrammeClock::starting(clock::mono(), clock::wall());
        let sequence = house.sequences.load(&plan.name);
        let (name, slate) = (plan.name.clone(), plan.slate.file.clone());
        let lag = metrics().scheduling.ingest_lag.with_label_values(&[&*name]);
        let machine = machine(plan.clone(), clock_now, sequence, &house);
        let recorder = machine.recorder().clone();
        house.board.post_recorder(&name, recorder.clone());
        Driver {
            name,
            plan,
            machine,
            recorder,
            gauges,
            house,
            shelf,
            slate,
            lag,
            cause: Mono::default(),
            status_due: Mono::default(),
            posted: None,
            state: None,
            retired: Vec::new(),
        }
    }

    fn note_fault(&self, message: &FromWorker) {
        if let FromWorker::Fault { fault, detail, .. } = message {
            self.recorder.note(Note::WorkerFault(*fault, text(detail)), clock::mono());
            self.write_flight("worker_fault");
        }
    }

    fn write_flight(&self, reason: &'static str) {
        self.house.flights.write(&self.recorder, &self.name, reason, clock::mono(), clock::wall());
    }

    async fn act(&mut self, workers: &mut Workers) {
        for action in self.machine.take_actions() {
            match action {
                Action::StartWorker(id, lease) => self.start_worker(id, lease, workers).await,
                Action::SetAside(id) => workers.leaving = workers.present.take_if(|worker| worker.id == id),
                Action::EndWorker(id) => {
                    self.recorder.note(Note::Decision("worker_ended", text(&format!("worker {id}"))), clock::mono());
                    let is_it = |worker: &mut WorkerProcess| worker.id == id;
                    if let Some(ended) = workers.present.take_if(is_it).or_else(|| workers.leaving.take_if(is_it)) {
                        workers.end(ended, &self.name);
                    }
                }
                Action::Apply(changes) => self.apply(changes),
                Action::Retire(paths, window) => self.retire(paths, window, clock::mono()),
                Action::Thumbnail(jpeg) => self.house.board.post_thumbnail(&self.name, jpeg),
                Action::Remember(sequence) => {
                    self.recorder.note(Note::Listed { number: sequence.number, end: sequence.end }, clock::mono());
                    self.house.sequences.keep(&self.name, sequence);
                }
            }
        }
    }

    async fn start_worker(&mut self, id: u64, lease: Arc<Lease>, workers: &mut Workers) {
        if lease.follows {
            workers.have_ended().await;
        }
        match self.house.worker.codec_worker(&self.name, id, self.slate.as_deref()).await {
            Ok(started) => {
                tracing::info!(channel = self.name, worker = id, process = started.process_id(), seat = lease.name(), "worker started");
                self.recorder.note(Note::WorkerStarted(id), clock::mono());
                let near = self.house.seats.numa_node(&lease.seat);
                workers.present = Some(started.settled(self.house.worker.cores.room(near)).await.seated(lease));
            }
            Err(cause) => {
                tracing::error!(channel = self.name, %cause, program = %self.house.worker.path.display(), "worker cannot be started");
                self.machine.worker_gone(id, "cannot be started", clock::mono());
            }
        }
    }

    fn apply(&mut self, changes: Vec<Change>) {
        self.keep_put(&changes);
        match self.shelf.apply(changes, clock::wall()) {
            Ok(applied) => {
                self.house.board.listed(&self.name, clock::mono());
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

    /// Fills the link; whether more is waiting than it took.
    fn feed_worker(&mut self, worker: Option<&WorkerProcess>) -> bool {
        let Some(worker) = worker else { return false };
        while worker.has_room_now() {
            let Some((message, payload)) = self.machine.next_message() else { return false };
            worker.send(&message, &payload);
        }
        true
    }

    fn obey(&mut self, order: Order) {
        match order {
            // By its name: the feeds may have been rearranged since it was asked for.
            Order::Feed(Some(name)) => match self.plan.feeds.iter().position(|feed| feed.name == name) {
                Some(index) => self.machine.ask_feed(Some(index), clock::mono()),
                None => tracing::warn!(channel = self.name, feed = name, "a feed was asked for that is gone meanwhile"),
            },
            Order::Feed(None) => self.machine.ask_feed(None, clock::mono()),
            Order::MoveWorker(to, answer) => {
                // Whoever asked may be gone.
                let _ = answer.send(self.machine.move_worker(&to));
            }
        }
    }

    fn worker_event(&mut self, id: u64, event: WorkerEvent) {
        let now = clock::mono();
        match event {
            WorkerEvent::Message(message, payload, read) => {
                self.cause = read;
                self.note_fault(&message);
                self.machine.worker_message(id, message, payload, now);
            }
            WorkerEvent::Memory(resident_bytes) => self.machine.worker_too_large(id, resident_bytes, now),
            WorkerEvent::Gone(cause) => {
                self.recorder.note(Note::WorkerGone(id, text(&cause)), now);
                self.write_flight("worker_lost");
                self.machine.worker_gone(id, &cause, now);
            }
        }
    }

    fn tick(&mut self) {
        let now = clock::mono();
        self.machine.tick(now);
        self.remove_retired(now);
        if now >= self.status_due {
            self.status_due = now.after(STATUS_EVERY);
            self.post(now);
        }
    }

    fn post(&mut self, now: Mono) {
        let status = self.machine.status(now);
        if self.posted.as_ref() == Some(&status) {
            return;
        }
        if self.posted.as_ref().map(|posted| posted.state) != Some(status.state) {
            tracing::info!(channel = self.name, state = status.state.label(), feed = status.feed, "channel state");
            self.recorder.note(Note::State(status.state.label()), now);
            if self.state != Some(status.state) {
                self.state = Some(status.state);
                events::say(EventKind::State, &self.name, format!("{}, {} is on the air", status.state.label(), status.feed));
            }
        }
        self.gauges.show(&status);
        if status.state != State::Live {
            self.house.board.remove_thumbnail(&self.name);
        }
        self.house.board.post(status.clone());
        self.posted = Some(status);
    }
}
