//! The engine without libsrt, on srt-tokio: one task for each listener and each connection, on a runtime of its own.
//!
//! srt-tokio ends a listener when a handshake's encryption is not what it was told to expect, so [`secured`] looks first. It cannot see
//! that a caller encrypts who does not say with how long a key; then the listener's end is a fault and the front starts the gateway anew. Its channels are bounded and shared by a port: every
//! connection is read at all times, admitted or not. Packet filters, bonding, rendezvous and key refresh are not there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use srt_protocol::packet::{CoreRejectReason, RejectReason, ServerRejectReason};
use srt_protocol::settings::KeySettings;
use srt_tokio::options::{ByteCount, KeySize, Passphrase, SocketOptions};
use srt_tokio::{ConnectionRequest, SrtListener, SrtSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::doors::{self, Knock, SharedDoors, Welcome, decide};
use super::outbox::Outbox;
use super::role::Opening;
use crate::base::Fault;
use crate::wire::link::gateway::{
    Arrived, Call, FromGateway, HandshakeEnd, Left, Listen, Options, Secret, Security, Statistics, ToGateway, Way,
};
use crate::wire::srt::Reject;

/// The front has this long to admit a caller.
const ADMISSION_LIMIT: Duration = Duration::from_secs(5);
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// What happens inside and waits for the loop.
const EVENT_QUEUE: usize = 256;

/// Nothing to start; bonded groups are not accepted.
pub(super) fn start() -> Result<bool, &'static str> {
    Ok(false)
}

/// The engine and its version.
pub(super) fn name() -> String {
    "srt-tokio 0.4".to_owned()
}

/// What tasks tell the loop.
enum Event {
    /// From the front; `None` when it has gone.
    Command(Option<ToGateway>),
    /// A connection is made.
    Connected { socket: Box<SrtSocket>, way: Way, stream_id: Secret, key_bytes: u8 },
    /// A connection is no more.
    Ended(u64),
    /// A listener has ended: a defect of srt-tokio.
    ListenerEnded,
}

/// Runs until `Drain`, or until the front is gone.
pub(super) fn run(opening: Opening) {
    let outbox = Arc::clone(&opening.outbox);
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(opening)),
        Err(cause) => outbox.say(&FromGateway::Fault { fault: Fault::Transient, detail: cause.to_string() }),
    }
}

async fn serve(opening: Opening) {
    let Opening { listeners, most_callers, doors, commands, outbox } = opening;
    let (events, mut due) = mpsc::channel(EVENT_QUEUE);
    let to_loop = events.clone();
    let forward = move || {
        while let Some(command) = commands.recv() {
            if to_loop.blocking_send(Event::Command(Some(command))).is_err() {
                return;
            }
        }
        let _ = to_loop.blocking_send(Event::Command(None));
    };
    if let Err(cause) = std::thread::Builder::new().name("srt-commands".into()).spawn(forward) {
        return outbox.say(&FromGateway::Fault { fault: Fault::Transient, detail: cause.to_string() });
    }
    for listen in listeners {
        tokio::spawn(serve_listener(listen, Arc::clone(&doors), Arc::clone(&outbox), events.clone()));
    }
    let mut callers: BTreeMap<u64, Caller> = BTreeMap::new();
    let mut last_caller = 0;
    while let Some(event) = due.recv().await {
        match event {
            Event::Command(None | Some(ToGateway::Drain)) => break,
            Event::Command(Some(ToGateway::Admit { caller })) => {
                if let Some(admit) = callers.get_mut(&caller).and_then(|caller| caller.admit.take()) {
                    let _ = admit.send(());
                }
            }
            Event::Command(Some(ToGateway::Close { caller })) => drop(callers.remove(&caller)),
            Event::Command(Some(ToGateway::Call(call))) => drop(tokio::spawn(make(*call, Arc::clone(&outbox), events.clone()))),
            Event::Command(Some(ToGateway::Open { .. } | ToGateway::Doors(_))) => {}
            Event::Connected { socket, way, stream_id, key_bytes } => {
                if callers.len() >= most_callers {
                    let peer = socket.settings().remote;
                    outbox.say(&FromGateway::Refused { peer, end: HandshakeEnd::Rejected(Reject::Overload) });
                    continue;
                }
                last_caller += 1;
                let arrived = arrival(last_caller, &socket, way, stream_id, key_bytes);
                callers.insert(last_caller, Caller::start(last_caller, *socket, Arc::clone(&outbox), events.clone()));
                outbox.say(&FromGateway::Arrived(Box::new(arrived)));
            }
            Event::Ended(caller) => drop(callers.remove(&caller)),
            Event::ListenerEnded => {
                outbox.say(&FromGateway::Fault { fault: Fault::Bug, detail: "srt-tokio's listener ended".into() });
                return;
            }
        }
        if outbox.is_stuck() {
            return;
        }
    }
    outbox.say(&FromGateway::Drained);
}

/// A connection's handle; dropping it closes the connection.
struct Caller {
    admit: Option<oneshot::Sender<()>>,
    _close: oneshot::Sender<()>,
}

impl Caller {
    fn start(caller: u64, socket: SrtSocket, outbox: Arc<Outbox>, events: mpsc::Sender<Event>) -> Caller {
        let ((admit, admitted), (close, closed)) = (oneshot::channel(), oneshot::channel());
        tokio::spawn(async move {
            let why = read(caller, socket, admitted, closed, &outbox).await;
            outbox.leave(caller, why);
            let _ = events.send(Event::Ended(caller)).await;
        });
        Caller { admit: Some(admit), _close: close }
    }
}

/// Reads a connection to its end. What comes before it is admitted is dropped: unread, it would stall the whole port.
async fn read(
    caller: u64,
    mut socket: SrtSocket,
    admitted: oneshot::Receiver<()>,
    mut closed: oneshot::Receiver<()>,
    outbox: &Outbox,
) -> Left {
    let mut statistics = socket.statistics().clone();
    let mut admitted = Box::pin(timeout(ADMISSION_LIMIT, admitted));
    let mut is_admitted = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut closed => return Left::Closed,
            answer = &mut admitted, if !is_admitted => match answer {
                Ok(Ok(())) => is_admitted = true,
                Ok(Err(_)) => return Left::Closed,
                Err(_) => return Left::Unanswered,
            },
            packet = socket.next() => match packet {
                Some(Ok((_, data))) if is_admitted => outbox.data(caller, &data),
                Some(Ok(_)) => {}
                Some(Err(cause)) => return Left::Broken(cause.to_string()),
                None => return Left::Gone,
            },
            Some(now) = statistics.next() => if is_admitted {
                let statistics = Statistics {
                    received_packets: now.rx_unique_data,
                    received_bytes: now.rx_unique_bytes,
                    lost_packets: now.rx_loss_data,
                    retransmitted_packets: now.rx_retransmit_data,
                    dropped_packets: now.rx_dropped_data,
                    undecrypted_packets: now.rx_decrypt_errors,
                    unread_bytes: outbox.dropped_bytes(caller),
                    latency_ms: millis(socket.settings().recv_tsbpd_latency),
                    ..Statistics::default()
                };
                outbox.say(&FromGateway::Stats { caller, statistics });
            },
        }
    }
}

async fn serve_listener(listen: Listen, doors: Arc<SharedDoors>, outbox: Arc<Outbox>, events: mpsc::Sender<Event>) {
    let number = listen.listener;
    let failed = |cause: String| FromGateway::ListenFailed { listener: number, cause };
    // srt-tokio does not tell which port it got, and takes a socket that is bound already.
    let socket = match tokio::net::UdpSocket::bind(listen.address).await {
        Ok(socket) => socket,
        Err(cause) => return outbox.say(&failed(cause.to_string())),
    };
    let address = socket.local_addr().unwrap_or(listen.address);
    let builder = SrtListener::builder().socket(socket).set(|options| set(options, &listen.options));
    match builder.bind(address).await {
        Ok((_listener, mut incoming)) => {
            outbox.say(&FromGateway::Listening { listener: number, address });
            while let Some(request) = incoming.incoming().next().await {
                let (doors, default_stream) = (doors.now(), listen.default_stream.clone());
                tokio::spawn(answer(request, number, default_stream, doors, Arc::clone(&outbox), events.clone()));
            }
            let _ = events.send(Event::ListenerEnded).await;
        }
        Err(cause) => outbox.say(&failed(cause.to_string())),
    }
}

/// Answers a caller by the doors.
async fn answer(
    request: ConnectionRequest,
    listener: u16,
    default_stream: Option<Secret>,
    doors: Arc<crate::wire::link::gateway::Doors>,
    outbox: Arc<Outbox>,
    events: mpsc::Sender<Event>,
) {
    let peer = request.remote();
    let given = request.stream_id().map(|id| id.to_string()).unwrap_or_default();
    let knock = Knock { stream_id: &given, default_stream: default_stream.as_ref(), may_be_bonded: false };
    let checked = decide(&doors, knock)
        .map_err(|reject| (server_reason(reject), HandshakeEnd::Rejected(reject)))
        .and_then(|Welcome { security }| secured(request.key_size(), security));
    match checked {
        Ok(keys) => {
            let key_bytes = keys.as_ref().map_or(0, |keys| keys.key_size.as_raw());
            let stream_id = Secret::new(doors::effective(&given, default_stream.as_ref()));
            match request.accept(keys).await {
                Ok(socket) => {
                    let connected = Event::Connected { socket: Box::new(socket), way: Way::Listener(listener), stream_id, key_bytes };
                    let _ = events.send(connected).await;
                }
                Err(_) => outbox.say(&FromGateway::Refused { peer, end: HandshakeEnd::Failed { sealed: key_bytes > 0 } }),
            }
        }
        Err((reason, end)) => {
            let _ = request.reject(reason).await;
            outbox.say(&FromGateway::Refused { peer, end });
        }
    }
}

/// The keys to accept with. srt-tokio panics on keys that do not fit, so nothing goes in that could not.
fn secured(offered: KeySize, security: Option<Security>) -> Result<Option<KeySettings>, (RejectReason, HandshakeEnd)> {
    let unsecure = |sealed| (CoreRejectReason::Unsecure.into(), HandshakeEnd::Failed { sealed });
    let Some(security) = security else {
        return if offered == KeySize::Unspecified { Ok(None) } else { Err(unsecure(false)) };
    };
    if offered.as_raw() < security.key_bytes {
        return Err(unsecure(true));
    }
    let passphrase = Passphrase::try_from(security.passphrase.reveal().to_owned());
    let passphrase = passphrase.map_err(|_| (server_reason(Reject::Internal), HandshakeEnd::Rejected(Reject::Internal)))?;
    Ok(Some(KeySettings { key_size: offered, passphrase }))
}

fn server_reason(reject: Reject) -> RejectReason {
    match reject {
        Reject::BadRequest => ServerRejectReason::BadRequest,
        Reject::Overload => ServerRejectReason::Overload,
        Reject::Forbidden => ServerRejectReason::Forbidden,
        Reject::NotFound => ServerRejectReason::Notfound,
        Reject::BadMode => ServerRejectReason::BadMode,
        Reject::Conflict => ServerRejectReason::Conflict,
        Reject::Media => ServerRejectReason::NotSupMedia,
        Reject::Internal => ServerRejectReason::InternalServerError,
    }
    .into()
}

/// One attempt to connect outwards.
async fn make(call: Call, outbox: Arc<Outbox>, events: mpsc::Sender<Event>) {
    let number = call.call;
    let failed = |cause: String| FromGateway::CallFailed { call: number, cause };
    if call.rendezvous.is_some() {
        return outbox.say(&failed("srt-tokio's rendezvous is not served; it needs libsrt".into()));
    }
    let mut builder = SrtSocket::builder().set(|options| set(options, &call.options));
    let mut key_bytes = 0;
    if let Some(security) = &call.security {
        // Checked where it was made: 16, 24 or 32, and 10 to 79 bytes; other values would panic in there.
        key_bytes = security.key_bytes;
        builder = builder.encryption(u16::from(key_bytes), security.passphrase.reveal());
    }
    let stream_id = call.stream_id.as_ref().map(|id| id.reveal().to_owned());
    match timeout(CALL_LIMIT, builder.call(call.remote, stream_id.as_deref())).await {
        Ok(Ok(socket)) => {
            let stream_id = Secret::new(stream_id.unwrap_or_default());
            let connected = Event::Connected { socket: Box::new(socket), way: Way::Call(number), stream_id, key_bytes };
            let _ = events.send(connected).await;
        }
        Ok(Err(cause)) => outbox.say(&failed(cause.to_string())),
        Err(_) => outbox.say(&failed("no answer".into())),
    }
}

fn set(options: &mut SocketOptions, wished: &Options) {
    let millis = |span: u32| Duration::from_millis(u64::from(span));
    options.receiver.latency = millis(wished.latency_ms);
    options.sender.peer_latency = millis(wished.peer_latency_ms);
    options.receiver.too_late_packet_drop = wished.too_late_drop;
    options.session.peer_idle_timeout = millis(wished.idle_timeout_ms);
    options.session.statistics_interval = Duration::from_secs(1);
    let held = wished.receive_rate_bps / 8 * (u64::from(wished.latency_ms) + 1000) / 1000;
    options.receiver.buffer_size = ByteCount(held.max(8192 * 1500));
}

fn arrival(caller: u64, socket: &SrtSocket, way: Way, stream_id: Secret, key_bytes: u8) -> Arrived {
    let settings = socket.settings();
    let peer = SocketAddr::new(settings.remote.ip().to_canonical(), settings.remote.port());
    Arrived { caller, way, stream_id, peer, version: 0, key_bytes, latency_ms: millis(settings.recv_tsbpd_latency), bonded: false }
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
