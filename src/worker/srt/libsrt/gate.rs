//! What libsrt's receiving thread asks about every caller, and what became of those it let in.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libc::sockaddr;

use super::{ffi, socket};
use crate::base::{Mono, clock};
use crate::wire::link::gateway::{FromGateway, HandshakeEnd, Secret};
use crate::wire::srt::Reject;
use crate::worker::srt::address;
use crate::worker::srt::doors::{Knock, SharedDoors, Welcome, decide};
use crate::worker::srt::outbox::Outbox;

/// Callers that are let in and still have to finish their handshake.
const MOST_EXPECTED: usize = 256;
/// A handshake that takes longer than libsrt itself allows will not be finished.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// What every listener decides by.
#[derive(Debug)]
pub(super) struct Gate {
    doors: Arc<SharedDoors>,
    expected: Mutex<Vec<Expected>>,
    held: AtomicUsize,
    most: usize,
    outbox: Arc<Outbox>,
}

/// A caller that was let in and is not accepted yet.
#[derive(Debug)]
struct Expected {
    socket: ffi::SRTSOCKET,
    peer: SocketAddr,
    since: Mono,
    /// It must have the channel's passphrase.
    sealed: bool,
}

impl Gate {
    pub(super) fn new(doors: Arc<SharedDoors>, most: usize, outbox: Arc<Outbox>) -> Gate {
        Gate { doors, expected: Mutex::default(), held: AtomicUsize::new(0), most, outbox }
    }

    /// What the doors say, capacity apart.
    pub(super) fn welcome(&self, knock: Knock<'_>) -> Result<Welcome, Reject> {
        decide(&self.doors.now(), knock)
    }

    /// How many connections there are now.
    pub(super) fn set_held(&self, held: usize) {
        self.held.store(held, Ordering::Relaxed);
    }

    /// Notes that a caller has finished its handshake.
    pub(super) fn accepted(&self, socket: ffi::SRTSOCKET) {
        self.expected().retain(|expected| expected.socket != socket);
    }

    /// Tells the front of callers that were let in and failed in the rest of their handshake.
    pub(super) fn sweep(&self, now: Mono) {
        let mut failed = Vec::new();
        self.expected().retain(|expected| {
            let over = socket::state(expected.socket) >= ffi::SRTS_BROKEN || now.since(expected.since) > HANDSHAKE_LIMIT;
            if over {
                failed.push((expected.peer, HandshakeEnd::Failed { sealed: expected.sealed }));
            }
            !over
        });
        for (peer, end) in failed {
            self.outbox.say(&FromGateway::Refused { peer, end });
        }
    }

    fn expected(&self) -> MutexGuard<'_, Vec<Expected>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, socket: ffi::SRTSOCKET, peer: SocketAddr, knock: Knock<'_>) -> Result<(), Reject> {
        let waiting = self.expected().len();
        if waiting >= MOST_EXPECTED || self.held.load(Ordering::Relaxed) + waiting >= self.most {
            return Err(Reject::Overload);
        }
        let Welcome { security } = self.welcome(knock)?;
        if let Some(security) = &security {
            let key_bytes = c_int::from(security.key_bytes).to_ne_bytes();
            socket::set_raw(socket, ffi::SRTO_PBKEYLEN, &key_bytes)
                .and_then(|()| socket::set_raw(socket, ffi::SRTO_PASSPHRASE, security.passphrase.reveal().as_bytes()))
                .map_err(|cause| {
                    tracing::error!(%peer, %cause, "the passphrase of a channel could not be set; the caller is rejected");
                    Reject::Internal
                })?;
        }
        // A further connection of a group is never accepted by itself.
        if !knock.may_be_bonded {
            self.expected().push(Expected { socket, peer, since: clock::mono(), sealed: security.is_some() });
        }
        Ok(())
    }
}

/// A listener's hook: the gate, and the stream of those who give no stream id.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) gate: Arc<Gate>,
    pub(super) default_stream: Option<Secret>,
}

impl Hook {
    /// Makes `listener` ask this hook. The hook is never freed: libsrt may be in it at any time, and there is one for each listener.
    pub(super) fn set_on(self, listener: &socket::Socket) -> Result<(), socket::SrtError> {
        let hook: &'static Hook = Box::leak(Box::new(self));
        listener.ask(on_caller, std::ptr::from_ref(hook).cast_mut().cast())
    }
}

/// libsrt's `srt_listen_callback_fn`. Must not wait and must not panic.
unsafe extern "C" fn on_caller(
    opaque: *mut c_void,
    number: ffi::SRTSOCKET,
    _version: c_int,
    peer: *const sockaddr,
    stream_id: *const c_char,
) -> c_int {
    // SAFETY: `opaque` is the hook of `set_on`, which lives as long as the process and is only ever shared.
    let Some(hook) = (unsafe { opaque.cast_const().cast::<Hook>().as_ref() }) else { return ffi::ERROR };
    // SAFETY: libsrt hands over the address that the handshake came from.
    let Some(peer) = (unsafe { address::read(peer) }) else { return ffi::ERROR };
    let stream_id = match stream_id.is_null() {
        true => "",
        // SAFETY: not null; libsrt hands over a text that ends with a NUL. What is no UTF-8 reads as a text with a control character.
        false => unsafe { CStr::from_ptr(stream_id) }.to_str().unwrap_or("\u{1}"),
    };
    let may_be_bonded = socket::number_of(number, ffi::SRTO_GROUPTYPE).is_some_and(|kind| kind > 0);
    let knock = Knock { stream_id, default_stream: hook.default_stream.as_ref(), may_be_bonded };
    match hook.gate.ask(number, peer, knock) {
        Ok(()) => 0,
        Err(reject) => {
            socket::set_reject_reason(number, reject.code());
            hook.gate.outbox.say(&FromGateway::Refused { peer, end: HandshakeEnd::Rejected(reject) });
            ffi::ERROR
        }
    }
}
