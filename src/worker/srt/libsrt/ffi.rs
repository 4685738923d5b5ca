//! What is used of libsrt's C interface (`srt/srt.h`, 1.5.x), by hand: a few functions whose shape is frozen within 1.x.
#![allow(unsafe_code, non_camel_case_types, clippy::upper_case_acronyms)]

use std::ffi::{c_char, c_int, c_void};

use libc::sockaddr;

pub type SRTSOCKET = i32;

pub const INVALID: SRTSOCKET = -1;
pub const ERROR: c_int = -1;

/// Set in the number of a bonded group.
pub const GROUP_MASK: SRTSOCKET = 1 << 30;

// SRT_SOCKOPT
pub const SRTO_SNDSYN: c_int = 1;
pub const SRTO_RCVSYN: c_int = 2;
pub const SRTO_FC: c_int = 4;
pub const SRTO_RCVBUF: c_int = 6;
pub const SRTO_UDP_RCVBUF: c_int = 9;
pub const SRTO_RENDEZVOUS: c_int = 12;
pub const SRTO_MAXBW: c_int = 16;
pub const SRTO_INPUTBW: c_int = 24;
pub const SRTO_OHEADBW: c_int = 25;
pub const SRTO_PASSPHRASE: c_int = 26;
pub const SRTO_PBKEYLEN: c_int = 27;
pub const SRTO_TLPKTDROP: c_int = 31;
pub const SRTO_PEERVERSION: c_int = 35;
pub const SRTO_RCVKMSTATE: c_int = 41;
pub const SRTO_RCVLATENCY: c_int = 43;
pub const SRTO_PEERLATENCY: c_int = 44;
pub const SRTO_MINVERSION: c_int = 45;
pub const SRTO_STREAMID: c_int = 46;
pub const SRTO_PAYLOADSIZE: c_int = 49;
pub const SRTO_TRANSTYPE: c_int = 50;
pub const SRTO_KMREFRESHRATE: c_int = 51;
pub const SRTO_KMPREANNOUNCE: c_int = 52;
pub const SRTO_ENFORCEDENCRYPTION: c_int = 53;
pub const SRTO_IPV6ONLY: c_int = 54;
pub const SRTO_PEERIDLETIMEO: c_int = 55;
pub const SRTO_GROUPCONNECT: c_int = 57;
pub const SRTO_GROUPTYPE: c_int = 59;
pub const SRTO_PACKETFILTER: c_int = 60;

/// `SRTT_LIVE`
pub const TRANSTYPE_LIVE: c_int = 0;
/// `SRT_KM_S_SECURED`
pub const KM_SECURED: c_int = 2;

// SRT_SOCKSTATUS
pub const SRTS_CONNECTED: c_int = 5;
pub const SRTS_BROKEN: c_int = 6;

// SRT_ERRNO
pub const SRT_ECONNLOST: c_int = 2001;
pub const SRT_ENOCONN: c_int = 2002;
pub const SRT_EINVSOCK: c_int = 5004;
pub const SRT_EASYNCRCV: c_int = 6002;

// SRT_EPOLL_OPT
pub const EPOLL_IN: c_int = 1;
pub const EPOLL_OUT: c_int = 4;
pub const EPOLL_ERR: c_int = 8;
/// `SRT_EPOLL_ENABLE_EMPTY`: waiting on nothing is no error.
pub const EPOLL_ENABLE_EMPTY: i32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SRT_EPOLL_EVENT {
    pub fd: SRTSOCKET,
    pub events: c_int,
}

/// `CBytePerfMon`. libsrt only ever adds to its end, and writes as much as it knows: [`Measured`] leaves room for that.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SRT_TRACEBSTATS {
    pub ms_time_stamp: i64,
    pub pkt_sent_total: i64,
    pub pkt_recv_total: i64,
    pub pkt_snd_loss_total: c_int,
    pub pkt_rcv_loss_total: c_int,
    pub pkt_retrans_total: c_int,
    pub pkt_sent_ack_total: c_int,
    pub pkt_recv_ack_total: c_int,
    pub pkt_sent_nak_total: c_int,
    pub pkt_recv_nak_total: c_int,
    pub us_snd_duration_total: i64,
    pub pkt_snd_drop_total: c_int,
    pub pkt_rcv_drop_total: c_int,
    pub pkt_rcv_undecrypt_total: c_int,
    pub byte_sent_total: u64,
    pub byte_recv_total: u64,
    pub byte_rcv_loss_total: u64,
    pub byte_retrans_total: u64,
    pub byte_snd_drop_total: u64,
    pub byte_rcv_drop_total: u64,
    pub byte_rcv_undecrypt_total: u64,
    pub pkt_sent: i64,
    pub pkt_recv: i64,
    pub pkt_snd_loss: c_int,
    pub pkt_rcv_loss: c_int,
    pub pkt_retrans: c_int,
    pub pkt_rcv_retrans: c_int,
    pub pkt_sent_ack: c_int,
    pub pkt_recv_ack: c_int,
    pub pkt_sent_nak: c_int,
    pub pkt_recv_nak: c_int,
    pub mbps_send_rate: f64,
    pub mbps_recv_rate: f64,
    pub us_snd_duration: i64,
    pub pkt_reorder_distance: c_int,
    pub pkt_rcv_avg_belated_time: f64,
    pub pkt_rcv_belated: i64,
    pub pkt_snd_drop: c_int,
    pub pkt_rcv_drop: c_int,
    pub pkt_rcv_undecrypt: c_int,
    pub byte_sent: u64,
    pub byte_recv: u64,
    pub byte_rcv_loss: u64,
    pub byte_retrans: u64,
    pub byte_snd_drop: u64,
    pub byte_rcv_drop: u64,
    pub byte_rcv_undecrypt: u64,
    pub us_pkt_snd_period: f64,
    pub pkt_flow_window: c_int,
    pub pkt_congestion_window: c_int,
    pub pkt_flight_size: c_int,
    pub ms_rtt: f64,
    pub mbps_bandwidth: f64,
    pub byte_avail_snd_buf: c_int,
    pub byte_avail_rcv_buf: c_int,
    pub mbps_max_bw: f64,
    pub byte_mss: c_int,
    pub pkt_snd_buf: c_int,
    pub byte_snd_buf: c_int,
    pub ms_snd_buf: c_int,
    pub ms_snd_tsb_pd_delay: c_int,
    pub pkt_rcv_buf: c_int,
    pub byte_rcv_buf: c_int,
    pub ms_rcv_buf: c_int,
    pub ms_rcv_tsb_pd_delay: c_int,
    pub pkt_snd_filter_extra_total: c_int,
    pub pkt_rcv_filter_extra_total: c_int,
    pub pkt_rcv_filter_supply_total: c_int,
    pub pkt_rcv_filter_loss_total: c_int,
    pub pkt_snd_filter_extra: c_int,
    pub pkt_rcv_filter_extra: c_int,
    pub pkt_rcv_filter_supply: c_int,
    pub pkt_rcv_filter_loss: c_int,
    pub pkt_reorder_tolerance: c_int,
    pub pkt_sent_unique_total: i64,
    pub pkt_recv_unique_total: i64,
    pub byte_sent_unique_total: u64,
    pub byte_recv_unique_total: u64,
    pub pkt_sent_unique: i64,
    pub pkt_recv_unique: i64,
    pub byte_sent_unique: u64,
    pub byte_recv_unique: u64,
}

/// Measured on the header of 1.5.1 with `offsetof`.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<SRT_TRACEBSTATS>() == 496);
    assert!(std::mem::offset_of!(SRT_TRACEBSTATS, pkt_rcv_retrans) == 164);
    assert!(std::mem::offset_of!(SRT_TRACEBSTATS, mbps_recv_rate) == 192);
    assert!(std::mem::offset_of!(SRT_TRACEBSTATS, ms_rtt) == 328);
    assert!(std::mem::offset_of!(SRT_TRACEBSTATS, ms_rcv_tsb_pd_delay) == 392);
    assert!(std::mem::offset_of!(SRT_TRACEBSTATS, pkt_rcv_filter_supply_total) == 404);
};

/// Statistics with room for fields of later versions.
#[repr(C)]
pub struct Measured {
    pub stats: SRT_TRACEBSTATS,
    later: [u64; 64],
}

impl Measured {
    pub fn zeroed() -> Measured {
        // SAFETY: every field is an integer or a float, for which all-zero bytes are a value.
        unsafe { std::mem::zeroed() }
    }
}

pub type ListenCallback =
    unsafe extern "C" fn(opaque: *mut c_void, socket: SRTSOCKET, version: c_int, peer: *const sockaddr, stream_id: *const c_char) -> c_int;
pub type LogHandler =
    unsafe extern "C" fn(opaque: *mut c_void, level: c_int, file: *const c_char, line: c_int, area: *const c_char, message: *const c_char);

// SAFETY: the declarations follow srt.h of 1.5.1; `SRTSOCKET` and `SRT_SOCKOPT` are 32-bit integers there.
unsafe extern "C" {
    pub fn srt_startup() -> c_int;
    pub fn srt_getversion() -> u32;
    pub fn srt_create_socket() -> SRTSOCKET;
    pub fn srt_close(socket: SRTSOCKET) -> c_int;
    pub fn srt_bind(socket: SRTSOCKET, name: *const sockaddr, length: c_int) -> c_int;
    pub fn srt_listen(socket: SRTSOCKET, backlog: c_int) -> c_int;
    pub fn srt_listen_callback(socket: SRTSOCKET, hook: ListenCallback, opaque: *mut c_void) -> c_int;
    pub fn srt_accept(socket: SRTSOCKET, address: *mut sockaddr, length: *mut c_int) -> SRTSOCKET;
    pub fn srt_connect(socket: SRTSOCKET, name: *const sockaddr, length: c_int) -> c_int;
    pub fn srt_getsockname(socket: SRTSOCKET, name: *mut sockaddr, length: *mut c_int) -> c_int;
    pub fn srt_getpeername(socket: SRTSOCKET, name: *mut sockaddr, length: *mut c_int) -> c_int;
    pub fn srt_getsockflag(socket: SRTSOCKET, option: c_int, value: *mut c_void, length: *mut c_int) -> c_int;
    pub fn srt_setsockflag(socket: SRTSOCKET, option: c_int, value: *const c_void, length: c_int) -> c_int;
    pub fn srt_recvmsg(socket: SRTSOCKET, buffer: *mut c_char, length: c_int) -> c_int;
    pub fn srt_bistats(socket: SRTSOCKET, stats: *mut SRT_TRACEBSTATS, clear: c_int, instantaneous: c_int) -> c_int;
    pub fn srt_getsockstate(socket: SRTSOCKET) -> c_int;
    pub fn srt_getlasterror(errno: *mut c_int) -> c_int;
    pub fn srt_getlasterror_str() -> *const c_char;
    pub fn srt_getrejectreason(socket: SRTSOCKET) -> c_int;
    pub fn srt_setrejectreason(socket: SRTSOCKET, value: c_int) -> c_int;
    pub fn srt_rejectreason_str(reason: c_int) -> *const c_char;
    pub fn srt_epoll_create() -> c_int;
    pub fn srt_epoll_set(epoll: c_int, flags: i32) -> i32;
    pub fn srt_epoll_add_usock(epoll: c_int, socket: SRTSOCKET, events: *const c_int) -> c_int;
    pub fn srt_epoll_update_usock(epoll: c_int, socket: SRTSOCKET, events: *const c_int) -> c_int;
    pub fn srt_epoll_remove_usock(epoll: c_int, socket: SRTSOCKET) -> c_int;
    pub fn srt_epoll_uwait(epoll: c_int, events: *mut SRT_EPOLL_EVENT, size: c_int, timeout_ms: i64) -> c_int;
    pub fn srt_setloglevel(level: c_int);
    pub fn srt_setloghandler(opaque: *mut c_void, handler: LogHandler);
    pub fn srt_setlogflags(flags: c_int);
}
