//! One connection from its first packet to its last.

use std::net::SocketAddr;
use std::time::Duration;

use super::ffi;
use super::socket::{Received, Socket};
use crate::base::Mono;
use crate::wire::link::gateway::{Arrived, Left, Secret, Statistics, Way};

/// The front has this long to admit a caller.
const ADMISSION_LIMIT: Duration = Duration::from_secs(5);
/// A call that libsrt has not given up by then is given up; a rendezvous waits 30 s.
const CALL_LIMIT: Duration = Duration::from_secs(40);
/// Between two statistics.
const STATISTICS_PERIOD: Duration = Duration::from_secs(1);
/// Largest payload of a packet in live mode.
const MOST_PAYLOAD_BYTES: usize = 1456;
/// What is read of one caller before the others have their turn.
const TURN_BYTES: usize = 1 << 20;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A call of ours that is being made.
    Calling,
    /// It waits for the front's word.
    Waiting,
    /// It is read.
    Admitted,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) socket: Socket,
    pub(super) way: Way,
    pub(super) stage: Stage,
    /// When the stage began.
    since: Mono,
    next_statistics: Mono,
    /// libsrt counts these only since its last answer.
    retransmitted: u64,
}

impl Caller {
    pub(super) fn new(socket: Socket, way: Way, stage: Stage, now: Mono) -> Caller {
        Caller { socket, way, stage, since: now, next_statistics: now.after(STATISTICS_PERIOD), retransmitted: 0 }
    }

    pub(super) fn enter(&mut self, stage: Stage, now: Mono) {
        self.stage = stage;
        self.since = now;
    }

    /// Whether the stage has lasted longer than it may.
    pub(super) fn is_late(&self, now: Mono) -> bool {
        match self.stage {
            Stage::Calling => now.since(self.since) > CALL_LIMIT,
            Stage::Waiting => now.since(self.since) > ADMISSION_LIMIT,
            Stage::Admitted => false,
        }
    }

    /// What the front is told of it.
    pub(super) fn arrival(&self, caller: u64, stream_id: Secret, peer: SocketAddr) -> Arrived {
        let number = |option| self.socket.number_of(option).and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
        let is_encrypted = self.socket.number_of(ffi::SRTO_RCVKMSTATE) == Some(ffi::KM_SECURED);
        Arrived {
            caller,
            way: self.way,
            stream_id,
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            version: number(ffi::SRTO_PEERVERSION),
            key_bytes: if is_encrypted { u8::try_from(number(ffi::SRTO_PBKEYLEN)).unwrap_or(0) } else { 0 },
            latency_ms: number(ffi::SRTO_RCVLATENCY),
            bonded: self.socket.is_group(),
        }
    }

    /// Reads what there is, in as few batches as `scratch` (many packets long) allows. Tells why, when the connection is no more.
    pub(super) fn read(&self, scratch: &mut [u8], mut batch: impl FnMut(&[u8])) -> Option<Left> {
        let (mut filled, mut turn) = (0, 0);
        let end = loop {
            if scratch.len() - filled < MOST_PAYLOAD_BYTES {
                batch(scratch.get(..filled).unwrap_or_default());
                filled = 0;
            }
            match self.socket.receive(scratch.get_mut(filled..).unwrap_or_default()) {
                Ok(Received::Bytes(read)) => {
                    filled = (filled + read).min(scratch.len());
                    turn += read;
                    if turn >= TURN_BYTES {
                        break None;
                    }
                }
                Ok(Received::Nothing) => break None,
                Err(cause) if cause.is_end() => break Some(Left::Gone),
                Err(cause) => break Some(Left::Broken(cause.to_string())),
            }
        };
        if filled > 0 {
            batch(scratch.get(..filled).unwrap_or_default());
        }
        end
    }

    /// The statistics, when they are due.
    pub(super) fn statistics(&mut self, now: Mono) -> Option<Statistics> {
        if self.stage != Stage::Admitted || now < self.next_statistics {
            return None;
        }
        self.next_statistics = now.after(STATISTICS_PERIOD);
        let stats = self.socket.statistics()?;
        self.retransmitted += count(stats.pkt_rcv_retrans);
        Some(Statistics {
            rtt_us: (stats.ms_rtt * 1000.0) as u32,
            received_packets: count(stats.pkt_recv_unique_total),
            received_bytes: stats.byte_recv_unique_total,
            lost_packets: count(stats.pkt_rcv_loss_total),
            retransmitted_packets: self.retransmitted,
            dropped_packets: count(stats.pkt_rcv_drop_total),
            undecrypted_packets: count(stats.pkt_rcv_undecrypt_total),
            rebuilt_packets: count(stats.pkt_rcv_filter_supply_total),
            unread_bytes: 0,
            receive_buffer_ms: count(stats.ms_rcv_buf) as u32,
            latency_ms: count(stats.ms_rcv_tsb_pd_delay) as u32,
            bandwidth_bps: (stats.mbps_bandwidth * 1e6) as u64,
            receive_rate_bps: (stats.mbps_recv_rate * 1e6) as u64,
        })
    }
}

fn count(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(0)
}
