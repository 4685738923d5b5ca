//! What SRT connections tell of the way between an encoder and here.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::described::registered;

const LABELS: [&str; 2] = ["channel", "feed"];

/// Families of one SRT connection each, by channel and feed. The series go when the caller has gone.
#[derive(Debug)]
pub struct SrtMetrics {
    /// Round trip.
    pub rtt: GaugeVec,
    /// Packets that were found missing at first.
    pub lost: IntCounterVec,
    /// Packets received again.
    pub retransmitted: IntCounterVec,
    /// Packets that never came in time.
    pub dropped: IntCounterVec,
    /// Packets that could not be decrypted.
    pub undecrypted: IntCounterVec,
    /// Packets that forward error correction rebuilt.
    pub rebuilt: IntCounterVec,
    /// Bytes dropped between the gateway and the channel, because they were not taken in time.
    pub unread: IntCounterVec,
    /// Span of what waits in the receive buffer.
    pub receive_buffer: GaugeVec,
    /// Estimated capacity of the path.
    pub bandwidth: IntGaugeVec,
    /// Negotiated delay.
    pub latency: GaugeVec,
}

impl SrtMetrics {
    pub(super) fn new(registry: &Registry) -> SrtMetrics {
        let counter = |name: &str, help: &str| registered(registry, IntCounterVec::new(Opts::new(name, help), &LABELS));
        let gauge = |name: &str, help: &str| registered(registry, GaugeVec::new(Opts::new(name, help), &LABELS));
        SrtMetrics {
            rtt: gauge("headend_srt_rtt_seconds", "Round trip to an SRT caller."),
            lost: counter("headend_srt_lost_packets_total", "SRT packets that were found missing at first."),
            retransmitted: counter("headend_srt_retransmitted_packets_total", "SRT packets received again."),
            dropped: counter("headend_srt_dropped_packets_total", "SRT packets that never came in time."),
            undecrypted: counter("headend_srt_undecrypted_packets_total", "SRT packets that could not be decrypted."),
            rebuilt: counter("headend_srt_rebuilt_packets_total", "SRT packets rebuilt by forward error correction."),
            unread: counter("headend_srt_unread_bytes_total", "Bytes dropped because the channel did not take them in time."),
            receive_buffer: gauge("headend_srt_receive_buffer_seconds", "Span of what waits in the receive buffer."),
            bandwidth: registered(
                registry,
                IntGaugeVec::new(Opts::new("headend_srt_bandwidth_bits_per_second", "Estimated capacity of the path."), &LABELS),
            ),
            latency: gauge("headend_srt_latency_seconds", "Negotiated delay of an SRT connection."),
        }
    }

    /// Removes every series of one connection.
    pub fn remove(&self, labels: &[&str; 2]) {
        for gauge in [&self.rtt, &self.receive_buffer, &self.latency] {
            let _ = gauge.remove_label_values(labels);
        }
        for counter in [&self.lost, &self.retransmitted, &self.dropped, &self.undecrypted, &self.rebuilt, &self.unread] {
            let _ = counter.remove_label_values(labels);
        }
        let _ = self.bandwidth.remove_label_values(labels);
    }
}
