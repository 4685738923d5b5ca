//! One connection: socket to session, session to demuxer, demuxer to channel.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use prometheus::core::{AtomicU64, GenericCounter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::presence::{Presence, Registry};
use super::{Cause, Guesses, PROTOCOL, PROTOCOL_TLS, RtmpLimits, stopped};
use crate::base::metrics::metrics;
use crate::base::tls::Socket;
use crate::base::{Fault, Mono, Ticks, clock};
use crate::channel::feed::{A_KEY, Admission, Door, FeedEvent, Offer, Refusal, SourceUnit, Timed};
use crate::wire::flv::{self, Demuxer};
use crate::wire::rtmp::{Event, MediaKind, Session, Stage};

/// Bytes read at once before a publisher is admitted.
const EARLY_READ_BYTES: usize = 4 << 10;

/// Bytes read at once from a publisher.
const READ_BYTES: usize = 64 << 10;

/// A wrong key is answered this late at most.
const LONGEST_WAIT_FOR_NO: Duration = Duration::from_secs(6);

/// RTMP timestamps start over after 2^32 ms.
const WRAP: Ticks = Ticks::from_millis(1 << 32);

/// What a publisher is told that is asked to reconnect.
const RECONNECT_TEXT: &str = "the server is stopping; connect again, it comes back or another takes over";
/// The same, where the server goes on and takes nobody new in.
const DRAIN_TEXT: &str = "the server takes no more of this stream; connect again, another one takes over";

/// One peer.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    peer: SocketAddr,
    door: Arc<dyn Door>,
    limits: Arc<RtmpLimits>,
    registry: Registry,
    guesses: Guesses,
    shutdown: watch::Receiver<bool>,
    /// The appliance stops, the peer was asked to reconnect, and is served up to here.
    served_until: Option<Mono>,
    session: Session,
    publisher: Option<Publisher>,
    /// The last channel that this peer published to, for the closing line.
    channel: Option<String>,
    /// When the wait for the current stage began; with a publisher, when its last unit came.
    since: Mono,
    /// When its newest bytes were read.
    read: Mono,
    /// Whether the peer has sent anything: a health check connects and says nothing.
    heard: bool,
}

/// An admitted publisher.
#[derive(Debug)]
struct Publisher {
    /// Before the presence, so that its place is free when the presence is gone.
    admission: Admission,
    presence: Presence,
    demuxer: Demuxer,
    media: Vec<flv::Event>,
    received: GenericCounter<AtomicU64>,
    corrupt: u64,
    /// Its channel has asked it to leave, and that was passed on.
    asked_to_leave: bool,
}

impl Connection {
    pub(super) fn new(
        socket: Socket,
        peer: SocketAddr,
        door: Arc<dyn Door>,
        limits: Arc<RtmpLimits>,
        registry: Registry,
        guesses: Guesses,
        shutdown: watch::Receiver<bool>,
    ) -> Connection {
        Connection {
            socket,
            peer,
            door,
            registry,
            guesses,
            shutdown,
            served_until: None,
            session: Session::new(limits.session),
            limits,
            publisher: None,
            channel: None,
            since: clock::mono(),
            read: Mono::default(),
            heard: false,
        }
    }

    /// The channel that it published to, or a dash.
    pub(super) fn channel(&self) -> String {
        self.channel.clone().unwrap_or_else(|| "-".to_owned())
    }

    /// Serves the peer until there is a reason to close.
    pub(super) async fn run(&mut self) -> Cause {
        // Acknowledgements and pongs are small and wanted at once.
        if let Err(cause) = self.socket.set_nodelay(true) {
            debug!(peer = %self.peer, %cause, "TCP_NODELAY could not be set");
        }
        let mut buffer = vec![0; EARLY_READ_BYTES];
        loop {
            let step = async {
                let length = match self.read(&mut buffer).await {
                    Err(Cause::Shutdown) if self.ask_to_reconnect() => 0,
                    Err(Cause::Draining) => self.ask_to_leave(),
                    length => length?,
                };
                self.read = clock::mono();
                self.take(buffer.get(..length).unwrap_or_default()).await?;
                self.flush().await
            };
            if let Err(cause) = step.await {
                return cause;
            }
            let wanted = if self.publisher.is_some() { READ_BYTES } else { EARLY_READ_BYTES };
            buffer.resize(wanted.max(buffer.len()), 0);
        }
    }

    /// Tells the peer why it is closed, where it still listens, and gives it time to read that.
    pub(super) async fn close(mut self, cause: &Cause) {
        // The channel learns of the end at once, not when the peer has gone.
        self.publisher = None;
        if !cause.peer_listens() {
            return;
        }
        if matches!(cause, Cause::Shutdown) {
            self.session.request_reconnect(RECONNECT_TEXT);
        }
        self.session.end_publish(cause.text_for_peer());
        let linger = self.limits.linger;
        if self.flush().await.is_err() || self.socket.shutdown().await.is_err() {
            return;
        }
        // Closing with unread input would reset the connection and lose what was just written.
        let mut rest = vec![0; EARLY_READ_BYTES];
        let drain = async { while matches!(self.socket.read(&mut rest).await, Ok(1..)) {} };
        let _ = timeout(linger, drain).await;
    }

    /// Waits for bytes, but no longer than the stage allows, the channel wants them and the appliance runs.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Cause> {
        let remaining = self.deadline().saturating_sub(clock::mono().since(self.since));
        let late = self.late();
        if remaining.is_zero() {
            // A peer that always has bytes ready would otherwise never be late.
            return Err(late);
        }
        let Connection { socket, shutdown, served_until, publisher, session, heard, limits, .. } = self;
        tokio::select! {
            biased;
            () = over(shutdown, *served_until) => Err(Cause::Shutdown),
            () = to_give_way(publisher.as_ref()) => Err(Cause::GaveWay(limits.silence)),
            why = unwanted(publisher.as_ref()) => Err(Cause::Unwanted(why)),
            () = asked_to_leave(publisher.as_ref()) => Err(Cause::Draining),
            read = timeout(remaining, socket.read(buffer)) => match read {
                Err(_) => Err(late),
                Ok(Err(cause)) => Err(cause.into()),
                Ok(Ok(0)) if session.stage() == Stage::Connected && self.channel.is_some() => Err(Cause::Ended),
                Ok(Ok(0)) if session.stage() == Stage::Handshake && *heard => Err(Cause::CutOff),
                Ok(Ok(0)) => Err(Cause::Gone),
                Ok(Ok(length)) => {
                    *heard = true;
                    Ok(length)
                }
            },
        }
    }

    /// Asks a publisher that can reconnect to do so, once, and serves it on for a while: it comes to its next keyframe first.
    fn ask_to_reconnect(&mut self) -> bool {
        let is_asked = self.session.request_reconnect(RECONNECT_TEXT);
        if is_asked {
            info!(peer = %self.peer, channel = self.channel(), wait_s = self.limits.reconnect.as_secs_f64(), "publisher is asked to reconnect");
            self.served_until = Some(clock::mono().after(self.limits.reconnect));
        }
        is_asked
    }

    /// Tells a publisher that its channel asks it to leave, where it can reconnect elsewhere; the others are served until the channel ends.
    fn ask_to_leave(&mut self) -> usize {
        let is_asked = self.session.request_reconnect(DRAIN_TEXT);
        if let Some(publisher) = &mut self.publisher {
            publisher.asked_to_leave = true;
        }
        info!(peer = %self.peer, channel = self.channel(), is_asked, "publisher is on a channel that is being drained");
        0
    }

    /// How long the current stage may last.
    fn deadline(&self) -> Duration {
        match self.session.stage() {
            Stage::Handshake => self.limits.handshake,
            Stage::Publishing => self.limits.idle,
            _ => self.limits.publish,
        }
    }

    fn late(&self) -> Cause {
        let limit = self.deadline();
        match self.session.stage() {
            Stage::Handshake => Cause::Late { what: "complete handshake", limit },
            Stage::Publishing => Cause::Idle(limit),
            _ => Cause::Late { what: "publish", limit },
        }
    }

    /// Runs received bytes through the session.
    async fn take(&mut self, mut input: &[u8]) -> Result<(), Cause> {
        if let Some(publisher) = &self.publisher {
            publisher.received.inc_by(input.len() as u64);
        }
        let stage = self.session.stage();
        while let Some(event) = self.session.receive(&mut input)? {
            match event {
                Event::ConnectRequested { application, agent } => self.on_connect(application, &agent)?,
                Event::PublishRequested { application, stream } => self.on_publish(application, stream).await?,
                Event::Media { kind, timestamp_ms, payload } => self.on_media(kind, timestamp_ms, payload).await?,
                Event::PublishEnded => {
                    info!(peer = %self.peer, channel = self.channel(), "publisher ended its stream");
                    self.publisher = None;
                    self.since = clock::mono();
                }
            }
        }
        if stage == Stage::Handshake && self.session.stage() != Stage::Handshake {
            self.since = clock::mono();
        }
        Ok(())
    }

    fn on_connect(&mut self, application: String, agent: &str) -> Result<(), Cause> {
        let known = &self.limits.applications;
        if known.is_empty() || known.contains(&application) {
            debug!(peer = %self.peer, application, agent, "RTMP peer connected");
            self.session.accept_connect();
            return Ok(());
        }
        self.session.refuse_connect("no such application; publish to rtmp://HOST/live/KEY");
        // Who swaps the two parts of the address has typed the key here.
        let is_secret = application.split('/').any(|part| self.door.is_key(part));
        Err(Refusal::Application(if is_secret { A_KEY.to_owned() } else { application.chars().take(64).collect() }).into())
    }

    async fn on_publish(&mut self, application: String, stream: String) -> Result<(), Cause> {
        let protocol = if self.socket.is_tls() { PROTOCOL_TLS } else { PROTOCOL };
        let offer = Offer { protocol, application, stream, peer: self.peer, wrap: WRAP };
        match self.admit(&offer).await? {
            Ok(admission) => {
                self.session.accept_publish();
                info!(peer = %self.peer, channel = admission.channel, feed = admission.feed, "publisher admitted");
                let received = metrics().ingest_bytes.with_label_values(&[admission.channel.as_str(), admission.feed.as_str()]);
                self.channel = Some(admission.channel.clone());
                let presence = self.registry.enter(self.peer);
                self.publisher = Some(Publisher {
                    admission,
                    presence,
                    demuxer: Demuxer::new(),
                    media: Vec::new(),
                    received,
                    corrupt: 0,
                    asked_to_leave: false,
                });
                self.since = clock::mono();
                Ok(())
            }
            Err(refusal) => {
                if let Refusal::Key(_) = refusal {
                    self.slow_down().await?;
                }
                let (code, text) = status_of(&refusal);
                self.session.refuse_publish(code, text);
                Err(refusal.into())
            }
        }
    }

    /// Who has offered many wrong keys waits for the answer to the next one. Nobody is locked out: a right key from the same address is taken
    /// at once. How many guesses wait side by side is bounded by the connections that an address may have.
    async fn slow_down(&mut self) -> Result<(), Cause> {
        let wait = {
            let (mut guesses, now) = (self.guesses.lock().unwrap_or_else(PoisonError::into_inner), clock::mono());
            let wait = guesses.wait(self.peer.ip(), now);
            guesses.failed(self.peer.ip(), now);
            wait
        };
        let Some(wait) = wait else { return Ok(()) };
        tokio::select! {
            biased;
            () = stopped(&mut self.shutdown) => Err(Cause::Shutdown),
            () = tokio::time::sleep(wait.min(LONGEST_WAIT_FOR_NO)) => Ok(()),
        }
    }

    /// Asks at the door, and once more when the publisher that is in the way turns out to be silent.
    async fn admit(&mut self, offer: &Offer) -> Result<Result<Admission, Refusal>, Cause> {
        let outcome = self.door.admit(offer);
        let Err(Refusal::Busy { peer, .. }) = &outcome else { return Ok(outcome) };
        let is_free = tokio::select! {
            biased;
            () = stopped(&mut self.shutdown) => return Err(Cause::Shutdown),
            is_free = self.registry.outlast(*peer, self.limits.silence) => is_free,
        };
        Ok(if is_free { self.door.admit(offer) } else { outcome })
    }

    async fn on_media(&mut self, kind: MediaKind, timestamp_ms: u32, payload: bytes::Bytes) -> Result<(), Cause> {
        let Connection { publisher: Some(publisher), shutdown, served_until, read, .. } = self else { return Ok(()) };
        let kind = match kind {
            MediaKind::Audio => flv::Kind::Audio,
            MediaKind::Video => flv::Kind::Video,
            MediaKind::Data => flv::Kind::Script,
        };
        if let Err(error) = publisher.demuxer.receive(kind, timestamp_ms, payload, &mut publisher.media) {
            if error.fault() == Fault::Unsupported {
                return Err(error.into());
            }
            publisher.count_corrupt(self.peer, &error);
        }
        for event in publisher.media.drain(..) {
            let is_unit = matches!(event, flv::Event::Unit { .. });
            if is_unit {
                publisher.presence.heard(clock::mono());
            }
            tokio::select! {
                biased;
                sent = publisher.admission.events.send(Timed { event: feed_event(event), read: *read }) => {
                    sent.map_err(|_| Cause::Unwanted(publisher.admission.ending.why().to_owned()))?;
                }
                () = over(shutdown, *served_until) => return Err(Cause::Shutdown),
            }
            if is_unit {
                self.since = clock::mono();
                publisher.presence.taken(self.since);
            }
        }
        Ok(())
    }

    /// Sends what the session has to say.
    async fn flush(&mut self) -> Result<(), Cause> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        // TLS may have taken bytes that the socket has not.
        let sending = async {
            self.socket.write_all(&output).await?;
            self.socket.flush().await
        };
        match timeout(self.limits.write, sending).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(Cause::Blocked(self.limits.write)),
        }
    }
}

impl Publisher {
    /// Counts a tag that gave nothing. The log has the first, second, fourth, eighth ... so that garbage cannot fill it.
    fn count_corrupt(&mut self, peer: SocketAddr, error: &flv::Error) {
        let channel = self.admission.channel.as_str();
        metrics().faults.with_label_values(&[channel, error.fault().label()]).inc();
        self.corrupt += 1;
        if self.corrupt.is_power_of_two() {
            warn!(%peer, channel, cause = %error, count = self.corrupt, "media dropped; the encoder or the way to here damages it");
        }
    }
}

/// Ends when the appliance stops; for a publisher that was asked to reconnect, when its time is over.
async fn over(shutdown: &mut watch::Receiver<bool>, served_until: Option<Mono>) {
    match served_until {
        Some(end) => tokio::time::sleep(end.since(clock::mono())).await,
        None => stopped(shutdown).await,
    }
}

/// Ends when the publisher is to give way to another; never, where there is none.
async fn to_give_way(publisher: Option<&Publisher>) {
    match publisher {
        Some(publisher) => publisher.presence.is_to_give_way().await,
        None => std::future::pending().await,
    }
}

/// Ends when the channel wants no more of its publisher; never, where there is none.
async fn unwanted(publisher: Option<&Publisher>) -> String {
    match publisher {
        Some(Publisher { admission, .. }) => {
            admission.events.closed().await;
            admission.ending.why().to_owned()
        }
        None => std::future::pending().await,
    }
}

/// Ends when the publisher's channel asks it to leave and it was not told; never, where there is none.
async fn asked_to_leave(publisher: Option<&Publisher>) {
    match publisher {
        Some(Publisher { admission, asked_to_leave: false, .. }) => admission.ending.is_asked_to_leave().await,
        _ => std::future::pending().await,
    }
}

fn feed_event(event: flv::Event) -> FeedEvent {
    match event {
        flv::Event::Tracks(tracks) => FeedEvent::Tracks(tracks),
        flv::Event::Unit { track, dts, offset, entry, data } => FeedEvent::Unit(SourceUnit { track, dts, offset, entry, data }),
    }
}

/// What a refused publisher is told: a code that encoders know, and no more than they need.
fn status_of(refusal: &Refusal) -> (&'static str, &'static str) {
    match refusal {
        Refusal::Application(_) => ("NetStream.Publish.BadName", "no such application; publish to rtmp://HOST/live/KEY"),
        Refusal::Key(_) => ("NetStream.Publish.BadName", "unknown stream key"),
        Refusal::Busy { .. } => ("NetStream.Publish.BadName", "another publisher is on this channel"),
        Refusal::Draining(_) => ("NetStream.Publish.Failed", "this server takes nobody new; another one does"),
        Refusal::Full(_) => ("NetStream.Publish.Failed", "no room for another channel"),
    }
}
