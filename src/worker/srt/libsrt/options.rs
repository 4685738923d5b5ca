//! Options as socket options, in the order that libsrt wants them.

use std::ffi::c_int;

use super::ffi;
use super::socket::{Socket, SrtError};
use crate::wire::link::gateway::{Options, Security};
use crate::worker::srt::buffer::{LEAST_WINDOW_PACKETS, PACKET_BYTES, buffer_packets};

/// What is asked of the kernel for all callers of a port; it gives no more than `net.core.rmem_max`.
const UDP_BUFFER_BYTES: c_int = 4 << 20;

/// Sets every option; to be called before the socket is bound. A listener's callers have its options.
pub(super) fn apply(socket: &Socket, options: &Options) -> Result<(), SrtError> {
    let packets = buffer_packets(options);
    socket.set(ffi::SRTO_FC, int(packets.max(LEAST_WINDOW_PACKETS)))?;
    socket.set(ffi::SRTO_RCVBUF, int(packets * PACKET_BYTES))?;
    socket.set(ffi::SRTO_UDP_RCVBUF, UDP_BUFFER_BYTES)?;
    socket.set(ffi::SRTO_RCVLATENCY, int(options.latency_ms))?;
    socket.set(ffi::SRTO_PEERLATENCY, int(options.peer_latency_ms))?;
    socket.set(ffi::SRTO_TLPKTDROP, c_int::from(options.too_late_drop))?;
    socket.set(ffi::SRTO_PAYLOADSIZE, c_int::from(options.payload_bytes))?;
    socket.set(ffi::SRTO_PEERIDLETIMEO, int(options.idle_timeout_ms))?;
    socket.set(ffi::SRTO_MINVERSION, int(options.minimum_version))?;
    socket.set(ffi::SRTO_ENFORCEDENCRYPTION, c_int::from(options.enforced_encryption))?;
    if !options.packet_filter.is_empty() {
        socket.set_text(ffi::SRTO_PACKETFILTER, &options.packet_filter)?;
    }
    bandwidth(socket, options)?;
    key_refresh(socket, options)
}

/// How the sender here shares the line; libsrt's default sends retransmissions without a limit.
fn bandwidth(socket: &Socket, options: &Options) -> Result<(), SrtError> {
    let bytes = |rate_bps: u64| i64::try_from(rate_bps / 8).unwrap_or(i64::MAX);
    if options.max_bandwidth_bps > 0 {
        return socket.set_wide(ffi::SRTO_MAXBW, bytes(options.max_bandwidth_bps));
    }
    if options.input_rate_bps > 0 {
        socket.set_wide(ffi::SRTO_MAXBW, 0)?;
        socket.set_wide(ffi::SRTO_INPUTBW, bytes(options.input_rate_bps))?;
        socket.set(ffi::SRTO_OHEADBW, c_int::from(options.overhead_percent.clamp(5, 100)))?;
    }
    Ok(())
}

/// libsrt wants the announcement to lie at most half a period before the change.
fn key_refresh(socket: &Socket, options: &Options) -> Result<(), SrtError> {
    if options.key_refresh_packets > 0 {
        socket.set(ffi::SRTO_KMREFRESHRATE, int(options.key_refresh_packets))?;
    }
    if options.key_preannounce_packets > 0 {
        socket.set(ffi::SRTO_KMPREANNOUNCE, int(options.key_preannounce_packets))?;
    }
    Ok(())
}

/// Encryption of one socket.
pub(super) fn secure(socket: &Socket, security: &Security) -> Result<(), SrtError> {
    socket.set(ffi::SRTO_PBKEYLEN, c_int::from(security.key_bytes))?;
    socket.set_text(ffi::SRTO_PASSPHRASE, security.passphrase.reveal())
}

fn int(value: impl TryInto<c_int>) -> c_int {
    value.try_into().unwrap_or(c_int::MAX)
}
