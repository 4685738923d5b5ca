//! From the plan to feeds that come by SRT, UDP and RTP: callers that come in, and sources that the appliance fetches itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::base::backoff::Backoff;
use crate::base::clock;
use crate::channel::directory::Directory;
use crate::channel::plan::{ChannelPlan, FeedSource, Secret, SrtSecurity};
use crate::channel::pull::{PullAddress, Scheme};
use crate::config::Plan;
use crate::ingest::srt::{GatewayProgram, SrtCall, SrtListener, TransportReader};
use crate::ingest::{SrtConfig, TransportFeed, UdpSource, receive_udp};
use crate::wire::link::gateway::Options;
use crate::wire::ts;

/// Waits between attempts to put a feed into its place, when the channel refused it.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The SRT side without a call: a listener, where the plan has one.
pub fn srt_config(plan: &Plan, program: GatewayProgram) -> SrtConfig {
    let latency_ms = latency_ms(plan);
    let mut config = SrtConfig::new(program, Arc::new(|channel, feed, peer| Box::new(TransportFeed::new(channel, feed, peer))));
    config.listeners.extend(plan.srt.map(|address| {
        let listener = SrtListener::new(address);
        SrtListener { options: Options { latency_ms, ..listener.options }, ..listener }
    }));
    config
}

/// The SRT feeds that the appliance calls itself.
pub fn srt_calls(plan: &Plan, directory: &Directory) -> Vec<SrtCall> {
    let calls = pulled(plan).filter(|(_, _, address)| address.scheme == Scheme::Srt);
    calls.map(|(channel, feed, address)| call(address, directory.pull_key(&channel.name, feed), latency_ms(plan))).collect()
}

fn latency_ms(plan: &Plan) -> u32 {
    u32::try_from(plan.srt_latency.as_millis()).unwrap_or(u32::MAX)
}

impl TransportReader for TransportFeed {
    fn push(&mut self, bytes: &[u8]) -> Vec<crate::channel::feed::FeedEvent> {
        let mut events = Vec::new();
        self.receive(bytes, &mut events);
        events
    }
}

/// Channel, name of the feed, address.
fn pulled(plan: &Plan) -> impl Iterator<Item = (&ChannelPlan, &str, &PullAddress)> {
    plan.channels.iter().flat_map(|channel| {
        channel.feeds.iter().filter_map(move |feed| match &feed.source {
            FeedSource::Pull(address) => Some((channel, feed.name.as_str(), address)),
            FeedSource::Publish(_) => None,
        })
    })
}

fn call(address: &PullAddress, key: String, latency_ms: u32) -> SrtCall {
    let key_bytes = address.number("pbkeylen").and_then(|bytes| u8::try_from(bytes).ok()).unwrap_or(16);
    let host = if address.host.contains(':') { format!("[{}]", address.host) } else { address.host.clone() };
    let rendezvous =
        (address.option("mode") == Some("rendezvous")).then(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port));
    SrtCall {
        key: Secret::new(key),
        remote: format!("{host}:{}", address.port),
        rendezvous,
        stream_id: address.option("streamid").map(Secret::new),
        security: address.option("passphrase").map(|passphrase| SrtSecurity { passphrase: Secret::new(passphrase), key_bytes }),
        options: Options {
            latency_ms: address.number("latency").unwrap_or(latency_ms),
            packet_filter: address.option("packetfilter").unwrap_or_default().to_owned(),
            ..Options::default()
        },
    }
}

/// The feeds that come in plain datagrams; each has a task.
#[derive(Debug, Default)]
pub struct Datagrams {
    tasks: BTreeMap<Place, Task>,
}

#[derive(Debug)]
struct Task {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Datagrams {
    /// Makes them those of the plan: feeds that it no longer has end, new ones are received, the others go on.
    pub fn follow(&mut self, plan: &Plan, directory: &Arc<Directory>) {
        let wanted: Vec<(Place, &PullAddress)> = pulled(plan)
            .filter(|(_, _, address)| address.scheme != Scheme::Srt)
            .map(|(channel, feed, address)| (Place::of(&channel.name, feed, address), address))
            .collect();
        self.tasks.retain(|place, task| {
            let stays = wanted.iter().any(|(wanted, _)| wanted == place);
            if !stays {
                task.stop.send_replace(true);
            }
            stays
        });
        for (place, address) in wanted {
            if self.tasks.contains_key(&place) {
                continue;
            }
            match source(address) {
                Ok(source) => {
                    let (stop, stopped) = watch::channel(false);
                    let running = tokio::spawn(keep_up(place.clone(), source, Arc::clone(directory), stopped));
                    self.tasks.insert(place, Task { stop, running });
                }
                Err(cause) => tracing::error!(channel = place.channel, %address, %cause, "feed cannot be received; correct its source"),
            }
        }
    }

    /// Ends all of them.
    pub async fn stop(self) {
        for task in self.tasks.values() {
            task.stop.send_replace(true);
        }
        for task in self.tasks.into_values() {
            // What a task that failed had to say was said by the panic.
            let _ = task.running.await;
        }
    }
}

fn source(address: &PullAddress) -> Result<UdpSource, crate::ingest::udp::UdpSourceError> {
    let options: Vec<String> = ["iface", "source"].iter().filter_map(|name| Some(format!("{name}={}", address.option(name)?))).collect();
    let host = match address.host.as_str() {
        "" => "0.0.0.0".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("{}://@{host}:{}?{}", address.scheme.label(), address.port, options.join("&")).parse()
}

/// A feed's place, for the log and the directory. A feed that moves in its channel's list stays in its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    channel: String,
    feed: String,
    address: String,
    /// Options of the address; no secrets where there is no encryption.
    options: Vec<Option<String>>,
}

impl Place {
    fn of(channel: &str, feed: &str, address: &PullAddress) -> Place {
        let options = ["iface", "source"].map(|name| address.option(name).map(str::to_owned)).to_vec();
        Place { channel: channel.to_owned(), feed: feed.to_owned(), address: address.to_string(), options }
    }
}

/// Puts the feed into its place, and again when the channel has had enough of it.
async fn keep_up(place: Place, source: UdpSource, directory: Arc<Directory>, mut stop: watch::Receiver<bool>) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    while !*stop.borrow() {
        let started = clock::mono();
        match directory.admit_pulled(&place.channel, &place.feed, source.address, ts::WRAP) {
            Ok(admission) => {
                let feed = TransportFeed::new(admission.channel.as_str(), admission.feed.as_str(), &place.address);
                receive_udp(source.clone(), feed, admission.events, stop.clone()).await;
                if *stop.borrow() {
                    return;
                }
                tracing::warn!(
                    channel = place.channel,
                    address = place.address,
                    why = admission.ending.why(),
                    "feed was closed; it is tried again"
                );
            }
            Err(cause) => tracing::warn!(channel = place.channel, address = place.address, %cause, "feed is not let in; it is tried again"),
        }
        if clock::mono().since(started) > LONGEST_WAIT {
            backoff.succeeded();
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(backoff.failed()) => {}
        }
    }
}
