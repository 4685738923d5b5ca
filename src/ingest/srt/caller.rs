//! One admitted caller: batches of its transport stream in, events to its channel out.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::config::TransportReader;
use super::session::stopped;
use crate::base::metrics::metrics;
use crate::base::{Mono, clock};
use crate::channel::feed::{Admission, Timed};
use crate::wire::link::gateway::Statistics;

/// Batches of 10 ms that wait for a caller's channel; what is more is dropped.
pub(super) const BATCH_QUEUE: usize = 128;

/// Why the task of a caller ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum End {
    /// The connection is no more.
    #[error("the connection is no more")]
    Left,
    /// The channel wants no more of it, for this reason.
    #[error("{0}")]
    Unwanted(String),
    /// Nothing usable came.
    #[error("no usable picture or sound for {} s", .0.as_secs_f32())]
    Idle(Duration),
    /// The appliance stops.
    #[error("headend is stopping")]
    Shutdown,
}

/// What the task works with.
pub(super) struct Feeding {
    pub(super) admission: Admission,
    pub(super) reader: Box<dyn TransportReader>,
    pub(super) batches: mpsc::Receiver<Bytes>,
    pub(super) idle: Duration,
    pub(super) stop: watch::Receiver<bool>,
}

impl Feeding {
    /// Runs until the feed is over.
    pub(super) async fn run(self) -> End {
        let Feeding { admission, mut reader, mut batches, idle, mut stop } = self;
        let mut last_usable: Mono = clock::mono();
        loop {
            let remaining = idle.saturating_sub(clock::mono().since(last_usable));
            let batch = tokio::select! {
                biased;
                () = stopped(&mut stop) => return End::Shutdown,
                () = admission.events.closed() => return End::Unwanted(admission.ending.why().to_owned()),
                batch = timeout(remaining, batches.recv()) => match batch {
                    Ok(Some(batch)) => batch,
                    Ok(None) => return End::Left,
                    Err(_) => return End::Idle(idle),
                },
            };
            let read = clock::mono();
            for event in reader.push(&batch) {
                tokio::select! {
                    biased;
                    sent = admission.events.send(Timed { event, read }) => if sent.is_err() { return End::Unwanted(admission.ending.why().to_owned()) },
                    () = stopped(&mut stop) => return End::Shutdown,
                }
                last_usable = clock::mono();
            }
        }
    }
}

/// One caller as the session sees it.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) peer: SocketAddr,
    pub(super) channel: String,
    pub(super) feed: String,
    pub(super) batches: mpsc::Sender<Bytes>,
    statistics: Statistics,
    /// Bytes that this front dropped, because the channel did not take them.
    unread: u64,
}

impl Caller {
    pub(super) fn new(peer: SocketAddr, admission: &Admission, batches: mpsc::Sender<Bytes>) -> Caller {
        let (channel, feed) = (admission.channel.clone(), admission.feed.clone());
        Caller { peer, channel, feed, batches, statistics: Statistics::default(), unread: 0 }
    }

    /// Hands a batch on, or drops and counts it when the channel is behind: the link is for every caller.
    pub(super) fn take(&mut self, batch: Bytes) {
        let length = batch.len() as u64;
        if let Err(mpsc::error::TrySendError::Full(_)) = self.batches.try_send(batch) {
            self.count_unread(length);
        }
    }

    /// Brings the metrics up to date.
    pub(super) fn report(&mut self, now: Statistics) {
        let labels = [self.channel.as_str(), self.feed.as_str()];
        let srt = &metrics().srt;
        let before = std::mem::replace(&mut self.statistics, now);
        for (counter, before, now) in [
            (&srt.lost, before.lost_packets, now.lost_packets),
            (&srt.retransmitted, before.retransmitted_packets, now.retransmitted_packets),
            (&srt.dropped, before.dropped_packets, now.dropped_packets),
            (&srt.undecrypted, before.undecrypted_packets, now.undecrypted_packets),
            (&srt.rebuilt, before.rebuilt_packets, now.rebuilt_packets),
        ] {
            counter.with_label_values(&labels).inc_by(now.saturating_sub(before));
        }
        srt.rtt.with_label_values(&labels).set(f64::from(now.rtt_us) / 1e6);
        srt.latency.with_label_values(&labels).set(f64::from(now.latency_ms) / 1e3);
        srt.receive_buffer.with_label_values(&labels).set(f64::from(now.receive_buffer_ms) / 1e3);
        srt.bandwidth.with_label_values(&labels).set(i64::try_from(now.bandwidth_bps).unwrap_or(i64::MAX));
        self.count_unread(now.unread_bytes.saturating_sub(before.unread_bytes));
    }

    /// The log has the first, second, fourth, eighth ... mebibyte, so that a stuck channel cannot fill it.
    fn count_unread(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        metrics().srt.unread.with_label_values(&[self.channel.as_str(), self.feed.as_str()]).inc_by(bytes);
        let level = |bytes: u64| (bytes >> 20).checked_ilog2();
        let before = self.unread;
        self.unread = before.saturating_add(bytes);
        if before == 0 || level(before) != level(self.unread) {
            let Caller { peer, channel, unread, .. } = self;
            tracing::warn!(%peer, channel, unread, "SRT data dropped: the channel does not take it in time; look at this machine's load");
        }
    }

    /// The last statistics, for the closing line.
    pub(super) fn statistics(&self) -> &Statistics {
        &self.statistics
    }
}
