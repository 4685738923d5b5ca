//! All channels of the appliance: who may publish where, and the start of channels.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::base::Ticks;
use crate::channel::feed::{Admission, Door, DoorKey, DoorPrefix, DoorTable, FEED_QUEUE_EVENTS, FeedEvent, Offer, Refusal};
use crate::channel::plan::{ChannelPlan, LadderPlan, SecondPublisher, StreamKey};
use crate::channel::programme::FeedInfo;
use crate::channel::run::{ARRIVAL_QUEUE, Arrival, House, Life, run_channel};
use crate::shelf::{Shelf, Shelves};

/// The only application that publishers may name.
pub const APPLICATION: &str = "live";
/// The name of the one feed that an RTMP channel has.
const FEED: &str = "publisher";
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

#[derive(Debug)]
struct Entry {
    plan: ChannelPlan,
    arrivals: mpsc::Sender<Arrival>,
    publisher: Option<(SocketAddr, mpsc::WeakSender<FeedEvent>)>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// The wildcard's prefix, where it comes from one.
    wild: Option<String>,
}

impl Entry {
    /// The publisher that a second one must not replace, if there is one.
    fn kept_publisher(&self) -> Option<SocketAddr> {
        let (peer, events) = self.publisher.as_ref()?;
        let is_here = events.upgrade().is_some_and(|events| !events.is_closed());
        (is_here && self.plan.second_publisher == SecondPublisher::Refuse).then_some(*peer)
    }
}

/// The directory.
#[derive(Debug)]
pub struct Directory {
    house: House,
    shelves: Shelves,
    runtime: Handle,
    wildcards: Vec<Wildcard>,
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Directory {
    /// An empty directory whose channels run on `runtime`.
    pub fn new(house: House, shelves: Shelves, runtime: Handle, wildcards: Vec<Wildcard>) -> Directory {
        Directory { house, shelves, runtime, wildcards, entries: Mutex::default() }
    }

    /// Starts a channel.
    pub fn start(&self, plan: ChannelPlan) {
        let mut entries = self.entries();
        self.start_in(&mut entries, plan, None);
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
    }

    fn start_in(&self, entries: &mut BTreeMap<String, Entry>, plan: ChannelPlan, wild: Option<String>) {
        let shelf = Arc::new(Shelf::new(plan.segment, shelf_capacity_bytes(&plan)));
        self.shelves.add(&plan.name, shelf.clone());
        let (arrivals, arriving) = mpsc::channel(ARRIVAL_QUEUE);
        let (stop, stopped) = watch::channel(false);
        let life = Life { arrivals: arriving, stop: stopped, linger: wild.as_ref().map(|_| LINGER) };
        let task = self.runtime.spawn(run_channel(plan.clone(), self.house.clone(), shelf, life));
        entries.insert(plan.name.clone(), Entry { plan, arrivals, publisher: None, stop, task, wild });
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel whose key was offered. Every key is compared, so that the time tells nothing.
    fn find(&self, entries: &mut BTreeMap<String, Entry>, stream: &str) -> Result<String, Refusal> {
        self.reap(entries);
        let mut found = None;
        for (name, entry) in entries.iter() {
            if entry.plan.stream_key.matches(stream) {
                found = Some(name.clone());
            }
        }
        if let Some(name) = found {
            return Ok(name);
        }
        let matching = self.wildcards.iter().filter(|wildcard| stream.starts_with(&wildcard.prefix));
        let wildcard =
            matching.max_by_key(|wildcard| wildcard.prefix.len()).filter(|_| is_channel_name(stream) && !entries.contains_key(stream));
        let Some(wildcard) = wildcard else { return Err(Refusal::Key(self.advice(entries))) };
        let open = entries.values().filter(|entry| entry.wild.as_ref() == Some(&wildcard.prefix)).count();
        if open >= wildcard.most {
            return Err(Refusal::Full(open));
        }
        let plan = ChannelPlan { name: stream.to_owned(), stream_key: StreamKey::new(stream), ..wildcard.template.clone() };
        self.start_in(entries, plan, Some(wildcard.prefix.clone()));
        Ok(stream.to_owned())
    }

    /// Forgets channels of wildcards that have ended.
    fn reap(&self, entries: &mut BTreeMap<String, Entry>) {
        entries.retain(|name, entry| {
            let has_ended = entry.wild.is_some() && entry.task.is_finished();
            if has_ended {
                self.shelves.remove(name);
            }
            !has_ended
        });
    }

    fn advice(&self, entries: &BTreeMap<String, Entry>) -> String {
        let names: Vec<&str> = entries.keys().map(String::as_str).take(8).collect();
        let wild: String =
            self.wildcards.iter().map(|wildcard| format!("; or a new name of a-z, 0-9, _ and - like {}*", wildcard.prefix)).collect();
        format!(
            "use the stream_key of one of these channels as stream name: {}{wild} (on loopback the key is the channel's name unless the configuration says otherwise)",
            names.join(", ")
        )
    }
}

impl Door for Directory {
    fn admit(&self, offer: &Offer) -> Result<Admission, Refusal> {
        if offer.application.trim_end_matches('/') != APPLICATION {
            return Err(Refusal::Application(offer.application.chars().take(64).collect()));
        }
        let mut entries = self.entries();
        let name = self.find(&mut entries, &offer.stream)?;
        let Some(entry) = entries.get_mut(&name) else { return Err(Refusal::Key(name)) };
        if let Some(peer) = entry.kept_publisher() {
            return Err(Refusal::Busy { channel: name, peer });
        }
        let (events, received) = mpsc::channel(FEED_QUEUE_EVENTS);
        let info = FeedInfo { name: FEED.to_owned(), peer: offer.peer.to_string(), wrap: offer.wrap.max(Ticks::ZERO) };
        if entry.arrivals.try_send(Arrival { info, events: received }).is_err() {
            return Err(Refusal::Full(ARRIVAL_QUEUE));
        }
        entry.publisher = Some((offer.peer, events.downgrade()));
        Ok(Admission { channel: name, feed: FEED.to_owned(), events })
    }

    fn table(&self) -> DoorTable {
        let key = |entry: &Entry| DoorKey {
            key: entry.plan.stream_key.clone(),
            srt: entry.plan.srt.clone(),
            busy: entry.kept_publisher().is_some(),
        };
        let prefix = |wildcard: &Wildcard| DoorPrefix { prefix: wildcard.prefix.clone(), srt: wildcard.template.srt.clone() };
        DoorTable { keys: self.entries().values().map(key).collect(), prefixes: self.wildcards.iter().map(prefix).collect() }
    }
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
