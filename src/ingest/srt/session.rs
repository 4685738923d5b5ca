//! One life of the gateway: its messages, the callers that it holds, the calls that it makes.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::call::{Calls, Found};
use super::caller::{BATCH_QUEUE, Caller, End, Feeding};
use super::config::{SrtConfig, SrtError};
use super::gateway::Gateway;
use super::refusals::Refusals;
use super::{Following, PROTOCOL};
use crate::base::clock;
use crate::base::metrics::metrics;
use crate::base::places::{Place, Places};
use crate::channel::directory::APPLICATION;
use crate::channel::feed::{Admission, Door, DoorTable, Offer, Refusal};
use crate::wire::link::gateway::{Arrived, Doors, FromGateway, KeyDoor, Left, PrefixDoor, Secret, ToGateway, Way};
use crate::wire::srt::StreamId;
use crate::wire::ts::WRAP;

/// How old the gateway's table of doors may be, and how often calls are looked after.
const TICK: Duration = Duration::from_millis(250);

/// The session.
pub(super) struct Session {
    gateway: Gateway,
    config: Arc<SrtConfig>,
    door: Arc<dyn Door>,
    stop: watch::Receiver<bool>,
    following: Following,
    places: Places,
    callers: BTreeMap<u64, (Caller, Place)>,
    /// Who writes the metrics of a channel's feed: after a takeover the last one.
    owners: HashMap<[String; 2], u64>,
    tasks: JoinSet<(u64, End)>,
    calls: Calls,
    doors: Doors,
    refusals: Refusals,
}

impl Session {
    pub(super) fn new(
        gateway: Gateway,
        config: Arc<SrtConfig>,
        door: Arc<dyn Door>,
        stop: watch::Receiver<bool>,
        mut following: Following,
    ) -> Session {
        let mut calls = Calls::default();
        calls.take(&following.calls.borrow_and_update(), clock::mono());
        Session {
            gateway,
            places: Places::new(usize::from(config.callers), config.callers_per_address),
            calls,
            following,
            config,
            door,
            stop,
            callers: BTreeMap::new(),
            owners: HashMap::new(),
            tasks: JoinSet::new(),
            doors: Doors::default(),
            refusals: Refusals::default(),
        }
    }

    /// Runs until the appliance stops; an error when the gateway is lost.
    pub(super) async fn run(mut self) -> Result<(), SrtError> {
        let ended = self.serve().await;
        for caller in self.callers.keys().copied().collect::<Vec<_>>() {
            self.forget(caller);
        }
        let Session { gateway, mut tasks, .. } = self;
        if ended.is_err() {
            // The feeds end by themselves when they have used what they hold; a channel that does not read must not hold up the restart.
            tasks.detach_all();
            return ended;
        }
        let status = gateway.end().await;
        tracing::debug!(status, "SRT gateway ended");
        while tasks.join_next().await.is_some() {}
        ended
    }

    async fn serve(&mut self) -> Result<(), SrtError> {
        let (found, mut lookups) = mpsc::channel::<Found>(16);
        let mut stop = self.stop.clone();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return Ok(()),
                message = self.gateway.next() => {
                    let (message, payload) = message?;
                    self.hear(message, payload)?;
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => self.task_ended(ended)?,
                Some((number, address)) = lookups.recv() => self.call(number, address)?,
                _ = tick.tick() => {
                    self.take_calls()?;
                    self.refresh_doors()?;
                    self.refusals.tick();
                    if self.is_retired() && self.callers.is_empty() {
                        return Ok(());
                    }
                    self.calls.begin(clock::mono(), &found);
                }
            }
        }
    }

    fn hear(&mut self, message: FromGateway, payload: Bytes) -> Result<(), SrtError> {
        match message {
            FromGateway::Data { caller } => {
                if let Some((caller, _)) = self.callers.get_mut(&caller) {
                    caller.take(payload);
                }
            }
            FromGateway::Arrived(arrived) => self.arrived(*arrived)?,
            FromGateway::Stats { caller: id, statistics } => {
                if let Some((caller, _)) = self.callers.get_mut(&id) {
                    caller.report(statistics);
                }
            }
            FromGateway::Left { caller, why } => self.left(caller, &why),
            FromGateway::Refused { peer, end } => self.refusals.handshake(peer, end),
            FromGateway::CallFailed { call, cause } => self.call_failed(call, &cause),
            FromGateway::Fault { fault, detail } => return Err(SrtError::Gateway { fault, detail }),
            FromGateway::Drained => return Err(SrtError::Ended("it left by itself".into())),
            FromGateway::Opened { .. } | FromGateway::Listening { .. } | FromGateway::ListenFailed { .. } => {}
        }
        Ok(())
    }

    /// A caller has passed its handshake: the door has the last word.
    fn arrived(&mut self, arrived: Arrived) -> Result<(), SrtError> {
        let Arrived { caller, way, peer, .. } = arrived;
        match self.admit(&arrived) {
            Ok((admission, place)) => {
                self.gateway.say(&ToGateway::Admit { caller })?;
                if let Way::Call(call) = way {
                    self.calls.admitted(call);
                }
                self.start(&arrived, admission, place);
                self.refresh_doors()
            }
            Err(cause) => {
                self.refusals.at_the_door(peer, &cause);
                self.gateway.say(&ToGateway::Close { caller })
            }
        }
    }

    fn admit(&mut self, arrived: &Arrived) -> Result<(Admission, Place), Denied> {
        let called = match arrived.way {
            Way::Call(call) => Some(self.calls.arrived(call, arrived.caller).ok_or(Denied::Over)?.reveal().to_owned()),
            Way::Listener(_) => None,
        };
        if self.is_retired() {
            return Err(Denied::Retired);
        }
        let place = self.places.take(arrived.peer.ip())?;
        let stream = match called {
            Some(key) => key,
            None => StreamId::parse(arrived.stream_id.reveal()).map_err(|cause| Denied::StreamId(cause.to_string()))?.key,
        };
        let offer = Offer { protocol: PROTOCOL, application: APPLICATION.to_owned(), stream, peer: arrived.peer, wrap: WRAP };
        Ok((self.door.admit(&offer)?, place))
    }

    fn start(&mut self, arrived: &Arrived, admission: Admission, place: Place) {
        let Arrived { caller, peer, version, key_bytes, latency_ms, bonded, .. } = *arrived;
        tracing::info!(
            %peer,
            channel = admission.channel,
            feed = admission.feed,
            version = format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff),
            aes_bits = u32::from(key_bytes) * 8,
            latency_ms,
            bonded,
            "SRT publisher admitted"
        );
        let (batches, due) = mpsc::channel(BATCH_QUEUE);
        let entry = Caller::new(peer, &admission, batches);
        self.owners.insert([admission.channel.clone(), admission.feed.clone()], caller);
        let reader = (self.config.reader)(&admission.channel, &admission.feed, peer);
        let feeding = Feeding { admission, reader, batches: due, idle: self.config.idle, stop: self.stop.clone() };
        self.tasks.spawn(async move { (caller, feeding.run().await) });
        self.callers.insert(caller, (entry, place));
        metrics().ingest_connections.with_label_values(&[PROTOCOL]).inc();
    }

    /// The connection is no more.
    fn left(&mut self, id: u64, why: &Left) {
        if let Some(caller) = self.forget(id) {
            let Caller { peer, channel, .. } = &caller;
            let lost = caller.statistics().dropped_packets;
            match why {
                Left::Broken(cause) => tracing::warn!(%peer, channel, cause, lost, "SRT connection broke"),
                _ => tracing::info!(%peer, channel, lost, "SRT publisher left"),
            }
        }
        if let Some(call) = self.calls.left(id) {
            self.call_failed(call, "the connection is no more");
        }
    }

    /// The feed ended on this side, unless the connection ended it.
    fn task_ended(&mut self, ended: Result<(u64, End), tokio::task::JoinError>) -> Result<(), SrtError> {
        match ended {
            Ok((id, end)) => {
                if let Some(Caller { peer, channel, .. }) = self.forget(id) {
                    match end {
                        End::Idle(_) => {
                            metrics().ingest_refusals.with_label_values(&[PROTOCOL, "idle"]).inc();
                            tracing::warn!(%peer, channel, cause = %end, "SRT connection closed for cause");
                        }
                        _ => tracing::info!(%peer, channel, cause = %end, "SRT connection closed"),
                    }
                    self.gateway.say(&ToGateway::Close { caller: id })?;
                }
            }
            Err(cause) => {
                metrics().ingest_refusals.with_label_values(&[PROTOCOL, "bug"]).inc();
                tracing::error!(fault = "bug", %cause, "an SRT feed's task failed; please report this");
            }
        }
        self.refresh_doors()
    }

    /// Takes a caller out, with its metrics. Its task ends when it has used what it holds.
    fn forget(&mut self, id: u64) -> Option<Caller> {
        let (caller, _place) = self.callers.remove(&id)?;
        metrics().ingest_connections.with_label_values(&[PROTOCOL]).dec();
        let labels = [caller.channel.clone(), caller.feed.clone()];
        if self.owners.get(&labels) == Some(&id) {
            self.owners.remove(&labels);
            metrics().srt.remove(&[caller.channel.as_str(), caller.feed.as_str()]);
        }
        Some(caller)
    }

    /// Sends the gateway the doors, if they are others than it has.
    fn refresh_doors(&mut self) -> Result<(), SrtError> {
        let doors = if self.is_retired() { Doors::default() } else { doors_of(&self.door.table()) };
        if doors != self.doors {
            self.gateway.say(&ToGateway::Doors(doors.clone()))?;
            self.doors = doors;
        }
        Ok(())
    }

    fn is_retired(&self) -> bool {
        self.following.is_retired()
    }

    /// Makes the calls those that are wanted now. The ones that go on keep their connection.
    fn take_calls(&mut self) -> Result<(), SrtError> {
        let Some(wanted) = self.following.changed_calls() else { return Ok(()) };
        let closed = self.calls.take(&wanted, clock::mono());
        closed.into_iter().try_for_each(|caller| self.gateway.say(&ToGateway::Close { caller }))
    }

    /// A look-up has ended: calls.
    fn call(&mut self, number: u16, address: Result<SocketAddr, String>) -> Result<(), SrtError> {
        match address {
            Ok(address) => match self.calls.message(number, address) {
                Some(call) => self.gateway.say(&ToGateway::Call(Box::new(call))),
                None => Ok(()),
            },
            Err(cause) => {
                self.call_failed(number, &cause);
                Ok(())
            }
        }
    }

    fn call_failed(&mut self, number: u16, cause: &str) {
        let Some((remote, wait)) = self.calls.failed(number) else { return };
        let wait_ms = wait.as_millis() as u64;
        tracing::warn!(remote, cause, wait_ms, "SRT call is not connected; it is made again");
    }
}

/// Why the front closes a caller that the gateway let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Denied {
    /// The listener has moved.
    #[error("this listener has moved: call at srt.listen")]
    Retired,
    /// Its source has been taken out of the configuration, or is another one there.
    #[error("this source is not called any more")]
    Over,
    /// No room.
    #[error(transparent)]
    Place(#[from] crate::base::places::NoPlace),
    /// The stream id names no stream.
    #[error("{0}")]
    StreamId(String),
    /// The door did not open.
    #[error(transparent)]
    Door(#[from] Refusal),
}

/// What the gateway decides handshakes by.
pub(super) fn doors_of(table: &DoorTable) -> Doors {
    let keys = table.keys.iter().map(|key| KeyDoor { key: Secret::new(key.key.reveal()), security: key.srt.clone(), busy: key.busy });
    let prefixes = table.prefixes.iter().map(|prefix| PrefixDoor { prefix: prefix.prefix.clone(), security: prefix.srt.clone() });
    Doors { keys: keys.collect(), prefixes: prefixes.collect() }
}

/// Ends when the appliance stops.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good as a stop.
    let _ = stop.wait_for(|stop| *stop).await;
}
