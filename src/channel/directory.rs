//! All channels of the appliance: who may publish where, and the start of channels.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::base::Ticks;
use crate::channel::feed::{A_KEY, Admission, Door, DoorKey, DoorPrefix, DoorTable, Ending, FEED_QUEUE_EVENTS, Offer, Refusal, Timed};
use crate::channel::feeds::FeedInfo;
use crate::channel::plan::{ChannelPlan, FeedPlan, LadderPlan, SecondPublisher, StreamKey};
use crate::channel::programme::{Immovable, MoveTo};
use crate::channel::run::{ARRIVAL_QUEUE, Arrival, House, Life, Meant, ORDER_QUEUE, Order, run_channel};
use crate::shelf::{Shelf, Shelves};

use roster::of_wildcard;

pub use drain::Drain;
pub use places::{FeedKind, FeedPlace};
pub use roster::{OnByItself, Roster, Unknown};

mod drain;
mod places;
mod roster;

/// The only application that publishers may name.
pub const APPLICATION: &str = "live";
/// Rate that is assumed for a rung whose rate is not known before its source is (copy, automatic ladders), in bit/s.
const UNKNOWN_RATE_BPS: u64 = 60_000_000;

/// A wildcard's channel ends when nobody has published to it for this long.
const LINGER: Duration = Duration::from_secs(120);

/// Channels for trusted networks: any stream name that begins like this becomes a channel.
#[derive(Clone, Debug)]
pub struct Wildcard {
    /// What the stream names begin with; empty for every name.
    pub prefix: String,
    /// How such channels run; name and key are the stream's name.
    pub template: ChannelPlan,
    /// How many there may be at once.
    pub most: usize,
}

/// Why a channel could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// There is none of that name.
    #[error("no such channel")]
    Channel,
    /// It has no feed of that name, but these.
    #[error("no such feed; feeds of this channel: {}, or auto", .0.join(", "))]
    Feed(Vec<String>),
    /// It has not taken up what it was asked before.
    #[error("the channel is busy; try again")]
    Busy,
}

#[derive(Debug)]
struct Entry {
    plan: ChannelPlan,
    arrivals: mpsc::Sender<Arrival>,
    orders: mpsc::Sender<Order>,
    /// Who delivers each feed.
    sources: Vec<Option<Source>>,
    stop: watch::Sender<bool>,
    /// How it is to be, for the channel.
    meant: watch::Sender<Meant>,
    task: JoinHandle<()>,
    /// The wildcard's prefix, where it comes from one.
    wild: Option<String>,
    /// It came while others were on the air already.
    is_new: bool,
    /// It lets nobody new in and ends soon; the number of its drain.
    draining: Option<u64>,
}

/// Who delivers a feed, or did.
#[derive(Debug)]
struct Source {
    peer: SocketAddr,
    events: mpsc::WeakSender<Timed>,
    ending: Ending,
}

impl Source {
    fn is_here(&self) -> bool {
        self.events.upgrade().is_some_and(|events| !events.is_closed())
    }
}

impl Entry {
    /// The publisher of feed `index` that a second one must not replace, if there is one.
    fn kept_publisher(&self, index: usize) -> Option<SocketAddr> {
        let source = self.sources.get(index)?.as_ref().filter(|source| source.is_here())?;
        (self.plan.second_publisher == SecondPublisher::Refuse).then_some(source.peer)
    }
}

/// What changes beside the entries; locked for a moment only, and after them.
#[derive(Debug, Default)]
struct State(Mutex<Changing>);

#[derive(Debug, Default)]
struct Changing {
    /// The first roster is in force.
    has_begun: bool,
    wildcards: Vec<Wildcard>,
    /// Channels of the configuration that are stopped.
    halted: BTreeMap<String, ChannelPlan>,
    /// The appliance lets no publisher in.
    draining: bool,
    /// Drains of channels that have begun.
    drains: u64,
    /// Channels that are ending.
    ending: BTreeMap<String, JoinHandle<()>>,
}

impl State {
    fn lock<T>(&self, look: impl FnOnce(&mut Changing) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The directory.
#[derive(Debug)]
pub struct Directory {
    house: House,
    shelves: Shelves,
    runtime: Handle,
    state: State,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// Part of the stream names of sources that the appliance fetches itself; nobody else knows it.
    pull_secret: StreamKey,
}

impl Directory {
    /// An empty directory whose channels run on `runtime`.
    pub fn new(house: House, shelves: Shelves, runtime: Handle) -> Directory {
        let pull_secret = StreamKey::new(format!("{:032x}", rand::random::<u128>()));
        Directory { house, shelves, runtime, state: State::default(), entries: Mutex::default(), pull_secret }
    }

    /// Starts a channel.
    pub fn start(&self, plan: ChannelPlan) {
        let mut entries = self.entries();
        let name = plan.name.clone();
        self.start_in(&mut entries, plan, None);
        if let Some(entry) = entries.get_mut(&name) {
            entry.is_new = false;
        }
    }

    /// Changes the worker of `channel` for another one in the seat that is asked for; `None` if there is no such channel. See [`Programme::move_worker`].
    ///
    /// [`Programme::move_worker`]: crate::channel::programme::Programme::move_worker
    pub async fn move_worker(&self, channel: &str, to: MoveTo) -> Option<Result<(), Immovable>> {
        let orders = self.entries().get(channel)?.orders.clone();
        let (answer, answered) = oneshot::channel();
        orders.send(Order::MoveWorker(to, answer)).await.ok()?;
        answered.await.ok()
    }

    /// Stops every channel and waits until their workers are gone.
    pub async fn stop(&self) {
        let entries = std::mem::take(&mut *self.entries());
        for entry in entries.values() {
            let _ = entry.stop.send(true);
        }
        for (name, entry) in entries {
            if entry.task.await.is_err() {
                tracing::error!(channel = name, "channel ended by a defect; please report the log lines before this one");
            }
        }
        let ending = self.state.lock(|state| std::mem::take(&mut state.ending));
        for task in ending.into_values() {
            // A defect was told by the channel's own end.
            let _ = task.await;
        }
    }

    /// The stream name of a source that the appliance fetches itself for a feed of a channel. Feeds go by their names, for their places
    /// change while sources are connected.
    pub fn pull_key(&self, channel: &str, feed: &str) -> String {
        format!("{}/{channel}/{feed}", self.pull_secret.reveal())
    }

    /// The channel and the feed that such a name means.
    fn pulled<'a>(&self, stream: &'a str) -> Option<(&'a str, &'a str)> {
        let (secret, place) = stream.split_once('/')?;
        self.pull_secret.matches(secret).then_some(place.split_once('/')?)
    }

    /// Lets the source of a feed in that the appliance fetches itself.
    pub fn admit_pulled(&self, channel: &str, feed: &str, peer: SocketAddr, wrap: Ticks) -> Result<Admission, Refusal> {
        let mut entries = self.entries();
        let index = pulled_place(&entries, channel, feed)?;
        let entry = entries.get_mut(channel).ok_or_else(|| Refusal::Key(format!("channel {channel} has stopped")))?;
        entry.admit(index, peer, wrap)
    }

    /// Asks a channel for a feed by its name; `auto` leaves the choice to the policy again.
    pub fn ask_feed(&self, channel: &str, feed: &str) -> Result<(), NotAsked> {
        let entries = self.entries();
        let entry = entries.get(channel).ok_or(NotAsked::Channel)?;
        let wanted = Some(feed).filter(|feed| *feed != "auto");
        let feeds = &entry.plan.feeds;
        if wanted.is_some_and(|wanted| feeds.iter().all(|feed| feed.name != wanted)) {
            return Err(NotAsked::Feed(feeds.iter().map(|feed| feed.name.clone()).collect()));
        }
        entry.orders.try_send(Order::Feed(wanted.map(str::to_owned))).map_err(|_| NotAsked::Busy)
    }

    fn start_in(&self, entries: &mut BTreeMap<String, Entry>, plan: ChannelPlan, wild: Option<String>) {
        let shelf = Arc::new(Shelf::new(plan.segment, shelf_capacity_bytes(&plan)));
        self.shelves.add(&plan.name, shelf.clone());
        let (arrivals, arriving) = mpsc::channel(ARRIVAL_QUEUE);
        let (orders, ordered) = mpsc::channel(ORDER_QUEUE);
        let (stop, stopped) = watch::channel(false);
        let (meant, following) = watch::channel(Meant { plan: plan.clone(), linger: wild.as_ref().map(|_| LINGER) });
        let life = Life { arrivals: arriving, orders: ordered, stop: stopped, meant: following };
        let before = self.state.lock(|state| state.ending.remove(&plan.name));
        let house = self.house.clone();
        let task = self.runtime.spawn(async move {
            if let Some(before) = before {
                // Its seat, its numbers and its place on the board are free when it has ended.
                let _ = before.await;
            }
            run_channel(house, shelf, life).await;
        });
        let sources = plan.feeds.iter().map(|_| None).collect();
        entries.insert(plan.name.clone(), Entry { plan, arrivals, orders, sources, stop, meant, task, wild, is_new: true, draining: None });
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel whose key was offered. Every key is compared, so that the time tells nothing.
    fn find(&self, entries: &mut BTreeMap<String, Entry>, stream: &str) -> Result<(String, usize), Refusal> {
        self.reap(entries, |entry| entry.wild.is_some());
        let pulled = self.pulled(stream).map(|(channel, feed)| Ok((channel.to_owned(), pulled_place(entries, channel, feed)?)));
        let mut found = pulled.transpose()?;
        for (name, entry) in entries.iter() {
            for (index, feed) in entry.plan.feeds.iter().enumerate() {
                if feed.key().is_some_and(|key| key.matches(stream)) {
                    found = Some((name.clone(), index));
                }
            }
        }
        if let Some(found) = found {
            return Ok(found);
        }
        if let Some(name) = self.halted_by_key(stream) {
            return Err(Refusal::Key(format!("channel {name} is stopped; start it with POST /api/v1/channels/{name}/start")));
        }
        let is_free = is_channel_name(stream) && !entries.contains_key(stream) && !self.halted().contains(stream);
        let wildcard = self.state.lock(|state| {
            let matching = state.wildcards.iter().filter(|wildcard| stream.starts_with(&wildcard.prefix));
            matching.max_by_key(|wildcard| wildcard.prefix.len()).filter(|_| is_free).cloned()
        });
        let Some(wildcard) = wildcard else { return Err(Refusal::Key(self.advice(entries))) };
        let open = entries.values().filter(|entry| entry.wild.as_ref() == Some(&wildcard.prefix)).count();
        if open >= wildcard.most {
            return Err(Refusal::Full(open));
        }
        let plan = of_wildcard(&wildcard, stream);
        self.start_in(entries, plan, Some(wildcard.prefix.clone()));
        Ok((stream.to_owned(), 0))
    }

    /// The stopped channel that has this key. Every key is compared, so that the time tells nothing.
    fn halted_by_key(&self, stream: &str) -> Option<String> {
        let holder =
            |found: Option<String>, (name, plan): (&String, &ChannelPlan)| if plan.has_key(stream) { Some(name.clone()) } else { found };
        self.state.lock(|state| state.halted.iter().fold(None, holder))
    }

    /// Forgets those of the channels that are asked for that have ended by themselves.
    fn reap(&self, entries: &mut BTreeMap<String, Entry>, is_asked_for: impl Fn(&Entry) -> bool) {
        entries.retain(|name, entry| {
            let has_ended = entry.task.is_finished() && is_asked_for(entry);
            if has_ended {
                self.shelves.remove(name);
            }
            !has_ended
        });
    }

    fn advice(&self, entries: &BTreeMap<String, Entry>) -> String {
        let names: Vec<&str> = entries.keys().map(String::as_str).take(8).collect();
        let like = |wildcard: &Wildcard| format!("; or a new name of a-z, 0-9, _ and - like {}*", wildcard.prefix);
        let wild: String = self.state.lock(|state| state.wildcards.iter().map(like).collect());
        format!(
            "use the stream_key of one of these channels as stream name: {}{wild} (on loopback the key is the channel's name unless the configuration says otherwise)",
            names.join(", ")
        )
    }
}

impl Door for Directory {
    fn admit(&self, offer: &Offer) -> Result<Admission, Refusal> {
        if offer.application.trim_end_matches('/') != APPLICATION {
            let is_secret = offer.application.split('/').any(|part| self.is_key(part));
            let named = if is_secret { A_KEY.to_owned() } else { offer.application.chars().take(64).collect() };
            return Err(Refusal::Application(named));
        }
        let mut entries = self.entries();
        let is_draining = self.state.lock(|state| state.draining);
        if is_draining && self.pulled(&offer.stream).is_none() {
            return Err(Refusal::Draining("headend is being drained; DELETE /api/v1/drain takes it back".to_owned()));
        }
        let (name, index) = self.find(&mut entries, &offer.stream)?;
        let Some(entry) = entries.get_mut(&name) else { return Err(Refusal::Key(name)) };
        entry.admit(index, offer.peer, offer.wrap)
    }

    fn is_key(&self, text: &str) -> bool {
        self.entries().values().any(|entry| entry.plan.has_key(text)) || self.halted_by_key(text).is_some()
    }

    fn table(&self) -> DoorTable {
        let keys = |entry: &Entry| {
            let key = |(index, feed): (usize, &FeedPlan)| {
                Some(DoorKey { key: feed.key()?.clone(), srt: entry.plan.srt.clone(), busy: entry.kept_publisher(index).is_some() })
            };
            entry.plan.feeds.iter().enumerate().filter_map(key).collect::<Vec<_>>()
        };
        let prefix = |wildcard: &Wildcard| DoorPrefix { prefix: wildcard.prefix.clone(), srt: wildcard.template.srt.clone() };
        DoorTable {
            keys: self.entries().values().flat_map(keys).collect(),
            prefixes: self.state.lock(|state| state.wildcards.iter().map(prefix).collect()),
        }
    }
}

impl Entry {
    /// Lets a source into the place of feed `index`.
    fn admit(&mut self, index: usize, peer: SocketAddr, wrap: Ticks) -> Result<Admission, Refusal> {
        let channel = self.plan.name.clone();
        if self.draining.is_some() {
            return Err(Refusal::Draining(format!(
                "channel {channel} is being drained; POST /api/v1/channels/{channel}/start takes it back"
            )));
        }
        if let Some(peer) = self.kept_publisher(index) {
            return Err(Refusal::Busy { channel, peer });
        }
        let (events, received) = mpsc::channel(FEED_QUEUE_EVENTS);
        let ending = Ending::default();
        let feed = self.plan.feeds.get(index).map_or_else(String::new, |feed| feed.name.clone());
        let info = FeedInfo { index, name: feed.clone(), peer: peer.to_string(), wrap: wrap.max(Ticks::ZERO) };
        if self.arrivals.try_send(Arrival { info, events: received, ending: ending.clone() }).is_err() {
            return Err(Refusal::Full(ARRIVAL_QUEUE));
        }
        if let Some(source) = self.sources.get_mut(index) {
            *source = Some(Source { peer, events: events.downgrade(), ending: ending.clone() });
        }
        Ok(Admission { channel, feed, events, ending })
    }
}

/// The place of a feed that the appliance fetches, in the channel's list of this moment.
fn pulled_place(entries: &BTreeMap<String, Entry>, channel: &str, feed: &str) -> Result<usize, Refusal> {
    let entry = entries.get(channel).ok_or_else(|| Refusal::Key(format!("channel {channel} has stopped")))?;
    let is_it = |plan: &FeedPlan| plan.name == feed && plan.key().is_none();
    let place = entry.plan.feeds.iter().position(is_it);
    place.ok_or_else(|| Refusal::Key(format!("channel {channel} no longer fetches feed {feed}")))
}

/// What is safe in addresses, metrics and file names.
fn is_channel_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

/// Room for the window, what stays fetchable after it, both formats, and as much again.
fn shelf_capacity_bytes(plan: &ChannelPlan) -> usize {
    let video_bps: u64 = match &plan.ladder {
        LadderPlan::Rungs(rungs) => rungs.iter().map(|rung| u64::from(rung.vbv_rate_bps)).sum(),
        LadderPlan::Auto | LadderPlan::Copy => UNKNOWN_RATE_BPS,
    };
    let formats = u64::from(plan.formats.cmaf) + u64::from(plan.formats.ts);
    let seconds = (plan.window.as_secs_f64() * 2.0 + plan.segment.as_secs_f64() * 4.0) as u64;
    let bytes = (video_bps + u64::from(plan.audio.bitrate_bps) * 4) / 8 * seconds * formats * 2;
    usize::try_from(bytes.max(16 << 20)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
