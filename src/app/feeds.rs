//! From the plan to feeds that come by SRT, UDP and RTP: callers that come in, and sources that the appliance fetches itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

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

/// What the SRT side needs; `None` where the plan has neither a listener nor an SRT feed to call.
pub fn srt_config(plan: &Plan, directory: &Directory, program: GatewayProgram) -> Option<SrtConfig> {
    let latency_ms = u32::try_from(plan.srt_latency.as_millis()).unwrap_or(u32::MAX);
    let mut config = SrtConfig::new(program, Arc::new(|channel, feed, peer| Box::new(TransportFeed::new(channel, feed, peer))));
    config.listeners.extend(plan.srt.map(|address| {
        let listener = SrtListener::new(address);
        SrtListener { options: Options { latency_ms, ..listener.options }, ..listener }
    }));
    for (channel, index, address) in pulled(plan).filter(|(_, _, address)| address.scheme == Scheme::Srt) {
        config.calls.push(call(address, directory.pull_key(&channel.name, index), latency_ms));
    }
    (!config.listeners.is_empty() || !config.calls.is_empty()).then_some(config)
}

impl TransportReader for TransportFeed {
    fn push(&mut self, bytes: &[u8]) -> Vec<crate::channel::feed::FeedEvent> {
        let mut events = Vec::new();
        self.receive(bytes, &mut events);
        events
    }
}

fn pulled(plan: &Plan) -> impl Iterator<Item = (&ChannelPlan, usize, &PullAddress)> {
    plan.channels.iter().flat_map(|channel| {
        channel.feeds.iter().enumerate().filter_map(move |(index, feed)| match &feed.source {
            FeedSource::Pull(address) => Some((channel, index, address)),
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

/// Starts a task for every feed that comes in plain datagrams.
pub fn start_datagram_feeds(plan: &Plan, directory: &Arc<Directory>, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (channel, index, address) in pulled(plan).filter(|(_, _, address)| address.scheme != Scheme::Srt) {
        match source(address) {
            Ok(source) => {
                let place = Place { channel: channel.name.clone(), index, address: address.to_string() };
                tasks.spawn(keep_up(place, source, Arc::clone(directory), stop.clone()));
            }
            Err(cause) => tracing::error!(channel = channel.name, %address, %cause, "feed cannot be received; correct its source"),
        }
    }
    tasks
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

/// A feed's place, for the log and the directory.
struct Place {
    channel: String,
    index: usize,
    address: String,
}

/// Puts the feed into its place, and again when the channel has had enough of it.
async fn keep_up(place: Place, source: UdpSource, directory: Arc<Directory>, mut stop: watch::Receiver<bool>) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    while !*stop.borrow() {
        let started = clock::mono();
        match directory.admit_pulled(&place.channel, place.index, source.address, ts::WRAP) {
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
