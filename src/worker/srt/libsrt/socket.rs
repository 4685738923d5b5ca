//! One SRT socket and the set of sockets that are waited for.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::net::SocketAddr;

use super::ffi;
use crate::worker::srt::address::Address;

/// libsrt refused something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {text}")]
pub(super) struct SrtError {
    /// What was to be done.
    pub(super) doing: &'static str,
    /// `SRT_ERRNO`.
    pub(super) code: c_int,
    /// libsrt's words.
    pub(super) text: String,
}

impl SrtError {
    fn last(doing: &'static str) -> SrtError {
        // SAFETY: null is allowed for the system's error number; the text is libsrt's per thread and copied at once.
        let (code, text) = unsafe {
            let code = ffi::srt_getlasterror(std::ptr::null_mut());
            let text = ffi::srt_getlasterror_str();
            (code, if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() })
        };
        SrtError { doing, code, text }
    }

    /// Whether the connection is simply no more.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.code, ffi::SRT_ECONNLOST | ffi::SRT_ENOCONN | ffi::SRT_EINVSOCK)
    }
}

/// What [`Socket::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// One packet's payload of so many bytes.
    Bytes(usize),
    /// Nothing is there now.
    Nothing,
}

/// A socket (or a bonded group); closed when dropped.
#[derive(Debug)]
pub(super) struct Socket(ffi::SRTSOCKET);

impl Socket {
    /// A new socket in live mode whose calls never wait.
    pub(super) fn new() -> Result<Socket, SrtError> {
        // SAFETY: makes a socket and touches nothing of ours.
        let socket = Socket::owned(unsafe { ffi::srt_create_socket() }, "making a socket")?;
        socket.set(ffi::SRTO_TRANSTYPE, ffi::TRANSTYPE_LIVE)?;
        socket.set(ffi::SRTO_SNDSYN, 0)?;
        socket.set(ffi::SRTO_RCVSYN, 0)?;
        Ok(socket)
    }

    fn owned(number: ffi::SRTSOCKET, doing: &'static str) -> Result<Socket, SrtError> {
        if number == ffi::INVALID { Err(SrtError::last(doing)) } else { Ok(Socket(number)) }
    }

    /// libsrt's number for it.
    pub(super) fn number(&self) -> i32 {
        self.0
    }

    /// Whether it is a bonded group.
    pub(super) fn is_group(&self) -> bool {
        self.0 & ffi::GROUP_MASK != 0
    }

    /// Sets an option whose value is an `int` or a flag.
    pub(super) fn set(&self, option: c_int, value: c_int) -> Result<(), SrtError> {
        set_raw(self.0, option, &value.to_ne_bytes())
    }

    /// Sets an option whose value is an `int64_t`.
    pub(super) fn set_wide(&self, option: c_int, value: i64) -> Result<(), SrtError> {
        set_raw(self.0, option, &value.to_ne_bytes())
    }

    /// Sets an option whose value is a text.
    pub(super) fn set_text(&self, option: c_int, value: &str) -> Result<(), SrtError> {
        set_raw(self.0, option, value.as_bytes())
    }

    /// Reads an option whose value is an `int`.
    pub(super) fn number_of(&self, option: c_int) -> Option<c_int> {
        number_of(self.0, option)
    }

    /// Reads an option whose value is a text.
    pub(super) fn text_of(&self, option: c_int) -> Option<String> {
        let mut text = [0u8; 1024];
        let mut length = text.len() as c_int;
        // SAFETY: libsrt writes at most `length` bytes and says how many.
        let code = unsafe { ffi::srt_getsockflag(self.0, option, text.as_mut_ptr().cast(), &mut length) };
        let written = text.get(..usize::try_from(length).ok()?)?;
        (code != ffi::ERROR).then(|| String::from_utf8_lossy(written).trim_end_matches('\0').to_owned())
    }

    pub(super) fn bind(&self, address: SocketAddr) -> Result<(), SrtError> {
        let (address, length) = Address::new(address);
        // SAFETY: the address is of the stated length and copied.
        done(unsafe { ffi::srt_bind(self.0, address.as_ptr(), length) }, "binding its address")
    }

    pub(super) fn listen(&self, backlog: c_int) -> Result<(), SrtError> {
        // SAFETY: takes integers.
        done(unsafe { ffi::srt_listen(self.0, backlog) }, "listening")
    }

    /// Asks `hook` about every caller. It is called on libsrt's receiving thread, with `opaque`, until the process ends.
    pub(super) fn ask(&self, hook: ffi::ListenCallback, opaque: *mut c_void) -> Result<(), SrtError> {
        // SAFETY: the callback has the right signature; its maker answers for `opaque`.
        done(unsafe { ffi::srt_listen_callback(self.0, hook, opaque) }, "setting the listen callback")
    }

    /// The next caller that has passed its handshake, if there is one.
    pub(super) fn accept(&self) -> Result<Option<(Socket, Option<SocketAddr>)>, SrtError> {
        let (mut address, mut length) = Address::empty();
        // SAFETY: libsrt writes an address of at most `length` bytes.
        let number = unsafe { ffi::srt_accept(self.0, address.as_mut_ptr(), &mut length) };
        match Socket::owned(number, "accepting a caller") {
            Ok(socket) => Ok(Some((socket, address.read()))),
            Err(cause) if cause.code == ffi::SRT_EASYNCRCV => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// Begins to connect; the set of sockets tells how it went.
    pub(super) fn connect(&self, remote: SocketAddr) -> Result<(), SrtError> {
        let (address, length) = Address::new(remote);
        // SAFETY: the address is of the stated length and copied.
        done(unsafe { ffi::srt_connect(self.0, address.as_ptr(), length) }, "connecting")
    }

    pub(super) fn is_connected(&self) -> bool {
        state(self.0) == ffi::SRTS_CONNECTED
    }

    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        let (mut address, mut length) = Address::empty();
        // SAFETY: libsrt writes an address of at most `length` bytes.
        unsafe { ffi::srt_getsockname(self.0, address.as_mut_ptr(), &mut length) };
        address.read()
    }

    pub(super) fn peer_address(&self) -> Option<SocketAddr> {
        let (mut address, mut length) = Address::empty();
        // SAFETY: libsrt writes an address of at most `length` bytes.
        unsafe { ffi::srt_getpeername(self.0, address.as_mut_ptr(), &mut length) };
        address.read()
    }

    /// Reads one packet's payload into `buffer`, which has room for the largest (1456 bytes).
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Received, SrtError> {
        let room = c_int::try_from(buffer.len()).unwrap_or(c_int::MAX);
        // SAFETY: libsrt writes at most `room` bytes, and the buffer has as many.
        let read = unsafe { ffi::srt_recvmsg(self.0, buffer.as_mut_ptr().cast(), room) };
        match usize::try_from(read) {
            Ok(0) => Err(SrtError { doing: "reading", code: ffi::SRT_ECONNLOST, text: "the connection was closed".into() }),
            Ok(read) => Ok(Received::Bytes(read)),
            Err(_) => match SrtError::last("reading") {
                cause if cause.code == ffi::SRT_EASYNCRCV => Ok(Received::Nothing),
                cause => Err(cause),
            },
        }
    }

    /// Counters since the connection was made; those "since the last look" begin anew.
    pub(super) fn statistics(&self) -> Option<ffi::SRT_TRACEBSTATS> {
        let mut measured = ffi::Measured::zeroed();
        // SAFETY: the pointer is to the whole of `measured`, which has room for fields that a later libsrt adds.
        let code = unsafe { ffi::srt_bistats(self.0, std::ptr::from_mut(&mut measured).cast(), 1, 1) };
        (code != ffi::ERROR).then_some(measured.stats)
    }

    /// Why a handshake of ours was refused, in libsrt's words.
    pub(super) fn reject_text(&self) -> String {
        // SAFETY: takes an integer.
        let reason = unsafe { ffi::srt_getrejectreason(self.0) };
        // SAFETY: takes an integer and gives a constant text.
        let text = unsafe { ffi::srt_rejectreason_str(reason) };
        if text.is_null() {
            return format!("refused with code {reason}");
        }
        // SAFETY: not null; a constant text that ends with a NUL.
        format!("{} (code {reason})", unsafe { CStr::from_ptr(text) }.to_string_lossy())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: closes a socket that is ours; a number that is no more is an error that changes nothing.
        unsafe { ffi::srt_close(self.0) };
    }
}

/// Sets an option of a socket by its number.
pub(super) fn set_raw(socket: ffi::SRTSOCKET, option: c_int, value: &[u8]) -> Result<(), SrtError> {
    let length = c_int::try_from(value.len()).unwrap_or(c_int::MAX);
    // SAFETY: the value is of the stated length and copied.
    done(unsafe { ffi::srt_setsockflag(socket, option, value.as_ptr().cast(), length) }, "setting an option")
}

/// Reads an option, whose value is an `int`, of a socket by its number.
pub(super) fn number_of(socket: ffi::SRTSOCKET, option: c_int) -> Option<c_int> {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as c_int;
    // SAFETY: libsrt writes at most `length` bytes.
    let code = unsafe { ffi::srt_getsockflag(socket, option, std::ptr::from_mut(&mut value).cast(), &mut length) };
    (code != ffi::ERROR).then_some(value)
}

/// `SRT_SOCKSTATUS` of a socket by its number, which may be long gone.
pub(super) fn state(socket: ffi::SRTSOCKET) -> c_int {
    // SAFETY: takes an integer.
    unsafe { ffi::srt_getsockstate(socket) }
}

/// What a rejected caller is told.
pub(super) fn set_reject_reason(socket: ffi::SRTSOCKET, code: c_int) {
    // SAFETY: takes integers; a socket that is gone is an error that changes nothing.
    unsafe { ffi::srt_setrejectreason(socket, code) };
}

fn done(code: c_int, doing: &'static str) -> Result<(), SrtError> {
    if code == ffi::ERROR { Err(SrtError::last(doing)) } else { Ok(()) }
}

/// A set of sockets to look at.
#[derive(Debug)]
pub(super) struct Epoll(c_int);

impl Epoll {
    pub(super) fn new() -> Result<Epoll, SrtError> {
        // SAFETY: makes a set; an empty one may be looked at.
        let number = unsafe { ffi::srt_epoll_create() };
        done(number, "making an epoll set")?;
        // SAFETY: takes integers.
        done(unsafe { ffi::srt_epoll_set(number, ffi::EPOLL_ENABLE_EMPTY) }, "setting up an epoll set")?;
        Ok(Epoll(number))
    }

    /// Watches a socket for `events`.
    pub(super) fn add(&self, socket: &Socket, events: c_int) -> Result<(), SrtError> {
        // SAFETY: the events are read during the call.
        done(unsafe { ffi::srt_epoll_add_usock(self.0, socket.0, &events) }, "watching a socket")
    }

    /// Watches a socket for other events.
    pub(super) fn update(&self, socket: &Socket, events: c_int) -> Result<(), SrtError> {
        // SAFETY: the events are read during the call.
        done(unsafe { ffi::srt_epoll_update_usock(self.0, socket.0, &events) }, "watching a socket")
    }

    /// Looks no more at a socket. libsrt forgets closed ones by itself, but only when it has collected them.
    pub(super) fn remove(&self, socket: &Socket) {
        // SAFETY: takes integers; a socket that is gone is an error that changes nothing.
        unsafe { ffi::srt_epoll_remove_usock(self.0, socket.0) };
    }

    /// The sockets that have something now, at most as many as `events` has room for. Does not wait.
    pub(super) fn ready<'a>(&self, events: &'a mut [ffi::SRT_EPOLL_EVENT]) -> &'a [ffi::SRT_EPOLL_EVENT] {
        let room = c_int::try_from(events.len()).unwrap_or(c_int::MAX);
        // SAFETY: libsrt writes at most `room` events, and the slice has as many.
        let found = unsafe { ffi::srt_epoll_uwait(self.0, events.as_mut_ptr(), room, 0) };
        let found = usize::try_from(found).unwrap_or(0).min(events.len());
        events.get(..found).unwrap_or_default()
    }
}
