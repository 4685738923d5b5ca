//! The thread that accepts, calls, reads and closes.

use std::collections::{BTreeMap, HashMap};
use std::ffi::c_int;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::caller::{Caller, Stage};
use super::gate::{Gate, Hook};
use super::socket::{Epoll, Socket, SrtError};
use super::{ffi, library, options};
use crate::base::{Fault, Mono, clock};
use crate::wire::link::gateway::{Call, FromGateway, HandshakeEnd, Left, Listen, Secret, ToGateway, Way};
use crate::wire::srt::Reject;
use crate::worker::srt::doors::{self, Knock};
use crate::worker::srt::outbox::Outbox;
use crate::worker::srt::role::Opening;

/// Between two looks at the callers: how long data waits at most, and how much of it comes in one batch.
pub(super) const PACE: Duration = Duration::from_millis(10);
/// Callers that wait to be accepted.
const BACKLOG: c_int = 128;
/// Sockets that are taken care of in one look; those beyond have their turn in the next.
const LOOK: usize = 256;
const SCRATCH_BYTES: usize = 64 << 10;
const READABLE: c_int = ffi::EPOLL_IN | ffi::EPOLL_ERR;

/// Starts libsrt; tells whether it accepts bonded groups.
pub(in super::super) fn start() -> Result<bool, &'static str> {
    library::start()?;
    Ok(library::has_bonding())
}

/// The engine and its version.
pub(in super::super) fn name() -> String {
    format!("libsrt {}", library::version())
}

/// Runs until `Drain`, or until the front is gone.
pub(in super::super) fn run(opening: Opening) {
    let Opening { listeners, most_callers, doors, commands, outbox } = opening;
    let epoll = match Epoll::new() {
        Ok(epoll) => epoll,
        Err(cause) => return outbox.say(&FromGateway::Fault { fault: Fault::Transient, detail: cause.to_string() }),
    };
    let mut engine = Engine {
        epoll,
        gate: Arc::new(Gate::new(Arc::clone(&doors), most_callers, Arc::clone(&outbox))),
        outbox,
        listeners: HashMap::new(),
        callers: BTreeMap::new(),
        numbers: HashMap::new(),
        last_caller: 0,
        scratch: vec![0; SCRATCH_BYTES],
        bonding: library::has_bonding(),
    };
    for listen in listeners {
        engine.listen(listen);
    }
    let mut events = [ffi::SRT_EPOLL_EVENT { fd: ffi::INVALID, events: 0 }; LOOK];
    loop {
        match commands.recv_within(PACE) {
            Ok(Some(ToGateway::Drain)) => break engine.drain(),
            Ok(Some(command)) => engine.obey(command),
            Ok(None) => {}
            Err(_) => break engine.drain(),
        }
        engine.look(&mut events, clock::mono());
        if engine.outbox.is_stuck() {
            tracing::error!("the front takes nothing from the link; the gateway ends and is started anew");
            break;
        }
    }
}

#[derive(Debug)]
struct Listener {
    number: u16,
    socket: Socket,
    default_stream: Option<Secret>,
}

#[derive(Debug)]
struct Engine {
    epoll: Epoll,
    gate: Arc<Gate>,
    outbox: Arc<Outbox>,
    /// By libsrt's number.
    listeners: HashMap<i32, Listener>,
    callers: BTreeMap<u64, Caller>,
    /// Callers by libsrt's number.
    numbers: HashMap<i32, u64>,
    last_caller: u64,
    scratch: Vec<u8>,
    bonding: bool,
}

impl Engine {
    fn listen(&mut self, listen: Listen) {
        let listener = listen.listener;
        let address = listen.address;
        match self.opened(listen) {
            Ok(socket) => {
                let bound = socket.socket.local_address().unwrap_or(address);
                self.outbox.say(&FromGateway::Listening { listener, address: bound });
                self.listeners.insert(socket.socket.number(), socket);
            }
            Err(cause) => self.outbox.say(&FromGateway::ListenFailed { listener, cause: cause.to_string() }),
        }
    }

    fn opened(&self, listen: Listen) -> Result<Listener, SrtError> {
        let socket = Socket::new()?;
        options::apply(&socket, &listen.options)?;
        if self.bonding {
            socket.set(ffi::SRTO_GROUPCONNECT, 1)?;
        }
        bind(&socket, listen.address)?;
        Hook { gate: Arc::clone(&self.gate), default_stream: listen.default_stream.clone() }.set_on(&socket)?;
        socket.listen(BACKLOG)?;
        self.epoll.add(&socket, READABLE)?;
        Ok(Listener { number: listen.listener, socket, default_stream: listen.default_stream })
    }

    fn obey(&mut self, command: ToGateway) {
        match command {
            ToGateway::Call(call) => {
                let number = call.call;
                if let Err(cause) = self.call(*call) {
                    self.outbox.say(&FromGateway::CallFailed { call: number, cause: cause.to_string() });
                }
            }
            ToGateway::Admit { caller: id } => {
                let Some(caller) = self.callers.get_mut(&id).filter(|caller| caller.stage == Stage::Waiting) else { return };
                caller.enter(Stage::Admitted, clock::mono());
                if let Err(cause) = self.epoll.update(&caller.socket, READABLE) {
                    self.remove(id, Left::Broken(cause.to_string()));
                }
            }
            ToGateway::Close { caller } => self.remove(caller, Left::Closed),
            // Taken care of before commands come here.
            ToGateway::Open { .. } | ToGateway::Doors(_) | ToGateway::Drain => {}
        }
    }

    fn call(&mut self, call: Call) -> Result<(), SrtError> {
        let socket = Socket::new()?;
        options::apply(&socket, &call.options)?;
        if let Some(security) = &call.security {
            options::secure(&socket, security)?;
        }
        if let Some(stream_id) = &call.stream_id {
            socket.set_text(ffi::SRTO_STREAMID, stream_id.reveal())?;
        }
        if let Some(local) = call.rendezvous {
            socket.set(ffi::SRTO_RENDEZVOUS, 1)?;
            bind(&socket, local)?;
        }
        self.epoll.add(&socket, ffi::EPOLL_OUT | ffi::EPOLL_ERR)?;
        socket.connect(call.remote)?;
        self.keep(Caller::new(socket, Way::Call(call.call), Stage::Calling, clock::mono()));
        Ok(())
    }

    fn keep(&mut self, caller: Caller) -> u64 {
        self.last_caller += 1;
        self.numbers.insert(caller.socket.number(), self.last_caller);
        self.callers.insert(self.last_caller, caller);
        self.gate.set_held(self.callers.len());
        self.last_caller
    }

    /// One look at everything that has something.
    fn look(&mut self, events: &mut [ffi::SRT_EPOLL_EVENT], now: Mono) {
        for event in self.epoll.ready(events) {
            if let Some(&caller) = self.numbers.get(&event.fd) {
                self.tend(caller, now);
            } else if self.listeners.contains_key(&event.fd) {
                self.accept_all(event.fd, now);
            }
        }
        self.gate.sweep(now);
        let late: Vec<u64> = self.callers.iter().filter(|(_, caller)| caller.is_late(now)).map(|(id, _)| *id).collect();
        for caller in late {
            self.remove(caller, Left::Unanswered);
        }
        for (&id, caller) in &mut self.callers {
            if let Some(mut statistics) = caller.statistics(now) {
                statistics.unread_bytes = self.outbox.dropped_bytes(id);
                self.outbox.say(&FromGateway::Stats { caller: id, statistics });
            }
        }
    }

    fn accept_all(&mut self, listener: i32, now: Mono) {
        loop {
            let Some(Listener { number, socket, default_stream }) = self.listeners.get(&listener) else { return };
            match socket.accept() {
                Ok(Some((socket, peer))) => {
                    let (number, default_stream) = (*number, default_stream.clone());
                    self.arrived(socket, peer, number, default_stream, now);
                }
                Ok(None) => return,
                Err(cause) => {
                    tracing::warn!(%cause, "a caller could not be accepted");
                    return;
                }
            }
        }
    }

    fn arrived(&mut self, socket: Socket, peer: Option<SocketAddr>, listener: u16, default_stream: Option<Secret>, now: Mono) {
        self.gate.accepted(socket.number());
        let Some(peer) = peer.or_else(|| socket.peer_address()) else { return };
        let given = socket.text_of(ffi::SRTO_STREAMID).unwrap_or_default();
        let stream_id = Secret::new(doors::effective(&given, default_stream.as_ref()));
        let caller = Caller::new(socket, Way::Listener(listener), Stage::Waiting, now);
        let arrival = caller.arrival(self.last_caller + 1, stream_id, peer);
        // The longer key is a wish that libsrt lets the sender overrule.
        let knock = Knock { stream_id: arrival.stream_id.reveal(), default_stream: None, may_be_bonded: true };
        let asked = self.gate.welcome(knock).ok().and_then(|welcome| welcome.security).map_or(0, |security| security.key_bytes);
        if arrival.key_bytes > 0 && arrival.key_bytes < asked {
            return self.outbox.say(&FromGateway::Refused { peer: arrival.peer, end: HandshakeEnd::Rejected(Reject::Forbidden) });
        }
        if let Err(cause) = self.epoll.add(&caller.socket, ffi::EPOLL_ERR) {
            tracing::warn!(%peer, %cause, "a caller cannot be watched and is closed");
            return;
        }
        self.keep(caller);
        self.outbox.say(&FromGateway::Arrived(Box::new(arrival)));
    }

    /// Something happened at a connection.
    fn tend(&mut self, id: u64, now: Mono) {
        let Some(caller) = self.callers.get_mut(&id) else { return };
        let left = match caller.stage {
            Stage::Calling if caller.socket.is_connected() => {
                caller.enter(Stage::Waiting, now);
                let peer = caller.socket.peer_address().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
                let stream_id = Secret::new(caller.socket.text_of(ffi::SRTO_STREAMID).unwrap_or_default());
                self.outbox.say(&FromGateway::Arrived(Box::new(caller.arrival(id, stream_id, peer))));
                self.epoll.update(&caller.socket, ffi::EPOLL_ERR).err().map(|cause| Left::Broken(cause.to_string()))
            }
            Stage::Calling => Some(Left::Broken(caller.socket.reject_text())),
            Stage::Waiting => Some(Left::Gone),
            Stage::Admitted => caller.read(&mut self.scratch, |batch| self.outbox.data(id, batch)),
        };
        if let Some(left) = left {
            self.remove(id, left);
        }
    }

    /// Closes a connection and tells the front, in the words of its stage.
    fn remove(&mut self, id: u64, why: Left) {
        let Some(caller) = self.callers.remove(&id) else { return };
        self.numbers.remove(&caller.socket.number());
        self.gate.set_held(self.callers.len());
        self.epoll.remove(&caller.socket);
        match (caller.stage, caller.way, why) {
            (Stage::Calling, Way::Call(call), Left::Broken(cause)) => self.outbox.say(&FromGateway::CallFailed { call, cause }),
            (Stage::Calling, Way::Call(call), _) => self.outbox.say(&FromGateway::CallFailed { call, cause: "no answer".into() }),
            (_, _, why) => self.outbox.leave(id, why),
        }
    }

    fn drain(&mut self) {
        self.listeners.clear();
        let callers: Vec<u64> = self.callers.keys().copied().collect();
        for caller in callers {
            self.remove(caller, Left::Closed);
        }
        self.outbox.say(&FromGateway::Drained);
    }
}

/// Binds; `[::]` takes IPv4 callers as well.
fn bind(socket: &Socket, address: SocketAddr) -> Result<(), SrtError> {
    if address.is_ipv6() {
        let only = !address.ip().is_unspecified();
        socket.set(ffi::SRTO_IPV6ONLY, c_int::from(only))?;
    }
    socket.bind(address)
}
