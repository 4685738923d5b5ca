//! The metrics registry, and the handles that the rest of the code writes to.
//!
//! Names are `headend_<noun>_<unit>[_total]`; labels are bounded (channel, rung, stage, fault ...), never a peer's text.

mod devices;
mod srt;

use std::sync::OnceLock;

use prometheus::{Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

pub use devices::DeviceMetrics;
pub use srt::SrtMetrics;

/// Every metric family of the front.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Bytes received, by channel and feed.
    pub ingest_bytes: IntCounterVec,
    /// Holes and jumps in a feed's timestamps, by channel, feed and kind.
    pub ingest_gaps: IntCounterVec,
    /// Whether the input on the air is frozen, black or silent, by channel and kind.
    pub input_faults: IntGaugeVec,
    /// Changes of the feed on the air, by channel, feed and reason.
    pub feed_switches: IntCounterVec,
    /// Damage of a feed's transport stream and of the way to here, by channel, feed and kind.
    pub ingest_errors: IntCounterVec,
    /// Connections refused or closed for cause, by protocol and reason.
    pub ingest_refusals: IntCounterVec,
    /// Publishers connected now, by protocol.
    pub ingest_connections: IntGaugeVec,
    /// Pictures through a stage, by channel and stage.
    pub frames: IntCounterVec,
    /// Pictures dropped, by channel and reason.
    pub frames_dropped: IntCounterVec,
    /// Items waiting in a queue, by channel and queue.
    pub queue_depth: IntGaugeVec,
    /// How far a rung's newest packet is behind the programme, in seconds.
    pub encode_lag: GaugeVec,
    /// Age of the newest listed segment, in seconds.
    pub segment_age: GaugeVec,
    /// Segments listed, by channel.
    pub segments: IntCounterVec,
    /// Segments of which a rung was missing, by channel and rung.
    pub segment_gaps: IntCounterVec,
    /// Bytes on the shelf, by channel.
    pub shelf_bytes: IntGaugeVec,
    /// Worker processes that died or were replaced, by channel and fault.
    pub worker_restarts: IntCounterVec,
    /// From the loss of a worker to the first packet of its replacement, by channel.
    pub worker_takeover: HistogramVec,
    /// Places skipped because three workers died there, by channel and feed.
    pub feed_skips: IntCounterVec,
    /// 1 while a feed is left out because it killed workers, by channel and feed.
    pub feed_quarantined: IntGaugeVec,
    /// Faults, by channel and class.
    pub faults: IntCounterVec,
    /// 1 for the state a channel is in, by channel and state.
    pub channel_state: IntGaugeVec,
    /// What happened, by kind.
    pub events: IntCounterVec,
    /// Responses, by kind of resource and status.
    pub http_requests: IntCounterVec,
    /// Body bytes answered, by kind of resource.
    pub http_bytes: IntCounterVec,
    /// Connections open now, by listener.
    pub http_connections: IntGaugeVec,
    /// Media bytes a second of a feed, by channel, feed and media (`video`, `audio`). Series of feeds go with their feed.
    pub feed_rate: IntGaugeVec,
    /// Pictures a second of a feed by its timestamps, by channel and feed.
    pub feed_frame_rate: GaugeVec,
    /// Length of a feed's last GOP in seconds, by channel and feed.
    pub feed_gop: GaugeVec,
    /// How unevenly a feed arrives, in seconds, by channel and feed.
    pub feed_jitter: GaugeVec,
    /// How far a feed's pictures are ahead of its sound, in seconds, by channel and feed.
    pub feed_skew: GaugeVec,
    /// The longest time without media since a feed connected, in seconds, by channel and feed.
    pub feed_longest_pause: GaugeVec,
    /// Flight recordings, by channel and reason.
    pub flight_dumps: IntCounterVec,
    /// From the last packet of a segment to its listing, by channel.
    pub listing_seconds: HistogramVec,
    /// SRT connections.
    pub srt: SrtMetrics,
    /// GPUs, seats and copies.
    pub devices: DeviceMetrics,
}

/// The registry of this process.
pub fn metrics() -> &'static Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::new)
}

impl Metrics {
    fn new() -> Metrics {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| registered(&registry, IntCounterVec::new(Opts::new(name, help), labels));
        let gauge = |name: &str, help: &str, labels: &[&str]| registered(&registry, IntGaugeVec::new(Opts::new(name, help), labels));
        let seconds = |name: &str, help: &str, labels: &[&str]| registered(&registry, GaugeVec::new(Opts::new(name, help), labels));
        let listing = HistogramOpts::new("headend_segment_listing_seconds", "From the last packet of a segment to its listing.")
            .buckets(vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0]);
        let takeover =
            HistogramOpts::new("headend_worker_takeover_seconds", "From the loss of a worker to the first packet of its replacement.")
                .buckets(vec![0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]);
        Metrics {
            ingest_bytes: counter("headend_ingest_bytes_total", "Bytes received from a feed.", &["channel", "feed"]),
            ingest_gaps: counter("headend_ingest_gaps_total", "Holes and jumps in a feed's timestamps.", &["channel", "feed", "kind"]),
            input_faults: gauge(
                "headend_input_fault_state",
                "Whether the input on the air is frozen, black or silent.",
                &["channel", "kind"],
            ),
            feed_switches: counter("headend_feed_switches_total", "Changes of the feed on the air.", &["channel", "feed", "reason"]),
            ingest_errors: counter("headend_ingest_errors_total", "Damage of a feed on its way.", &["channel", "feed", "kind"]),
            ingest_refusals: counter("headend_ingest_refusals_total", "Publishers refused or closed for cause.", &["protocol", "reason"]),
            ingest_connections: gauge("headend_ingest_connections", "Publisher connections open now.", &["protocol"]),
            frames: counter("headend_frames_total", "Pictures through a stage.", &["channel", "stage"]),
            frames_dropped: counter("headend_frames_dropped_total", "Pictures dropped before encoding.", &["channel", "reason"]),
            queue_depth: gauge("headend_queue_depth_items", "Items waiting in a queue.", &["channel", "queue"]),
            encode_lag: seconds(
                "headend_encode_lag_seconds",
                "How far a rung's newest packet is behind the programme.",
                &["channel", "rung"],
            ),
            segment_age: seconds("headend_segment_age_seconds", "Age of the newest listed segment.", &["channel"]),
            segments: counter("headend_segments_total", "Segments listed.", &["channel"]),
            segment_gaps: counter("headend_segment_gaps_total", "Segments that a rung did not deliver.", &["channel", "rung"]),
            shelf_bytes: gauge("headend_shelf_bytes", "Finished bytes held for viewers.", &["channel"]),
            worker_restarts: counter("headend_worker_restarts_total", "Workers that died or were replaced.", &["channel", "fault"]),
            worker_takeover: registered(&registry, HistogramVec::new(takeover, &["channel"])),
            feed_skips: counter("headend_feed_skips_total", "Places skipped because three workers died there.", &["channel", "feed"]),
            feed_quarantined: gauge("headend_feed_quarantined", "1 while a feed is left out for killing workers.", &["channel", "feed"]),
            faults: counter("headend_faults_total", "Faults by class.", &["channel", "fault"]),
            channel_state: gauge("headend_channel_state", "1 for the state that a channel is in.", &["channel", "state"]),
            events: counter("headend_events_total", "What happened, as told by /api/v1/events.", &["kind"]),
            http_requests: counter("headend_http_requests_total", "HTTP responses.", &["kind", "status"]),
            http_bytes: counter("headend_http_bytes_total", "HTTP body bytes answered.", &["kind"]),
            http_connections: gauge("headend_http_connections", "HTTP connections open now.", &["listener"]),
            feed_rate: gauge(
                "headend_feed_bytes_per_second",
                "Media bytes a second of a feed, over two seconds.",
                &["channel", "feed", "media"],
            ),
            feed_frame_rate: seconds("headend_feed_frame_rate", "Pictures a second of a feed by its timestamps.", &["channel", "feed"]),
            feed_gop: seconds("headend_feed_gop_seconds", "Length of a feed's last GOP.", &["channel", "feed"]),
            feed_jitter: seconds(
                "headend_feed_arrival_jitter_seconds",
                "95th percentile of how late a feed's units come, over ten seconds.",
                &["channel", "feed"],
            ),
            feed_skew: seconds(
                "headend_feed_av_skew_seconds",
                "How far a feed's pictures are ahead of its sound by their timestamps.",
                &["channel", "feed"],
            ),
            feed_longest_pause: seconds(
                "headend_feed_longest_pause_seconds",
                "Longest time without media since the feed connected.",
                &["channel", "feed"],
            ),
            flight_dumps: counter("headend_flight_dumps_total", "Flight recordings that were written or lost.", &["channel", "reason"]),
            listing_seconds: registered(&registry, HistogramVec::new(listing, &["channel"])),
            srt: SrtMetrics::new(&registry),
            devices: DeviceMetrics::new(&registry),
            registry,
        }
    }

    /// The whole registry in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8(text).unwrap_or_default(),
            Err(cause) => format!("# headend: metrics could not be rendered: {cause}\n"),
        }
    }
}

/// Registers a family. The families are fixed at compile time, so an error here is caught by the first test.
fn registered<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, family: prometheus::Result<C>) -> C {
    let family = family.expect("the metric's name and labels are valid");
    registry.register(Box::new(family.clone())).expect("the metric's name is unique");
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_shows_in_the_text_with_its_labels() {
        metrics().segments.with_label_values(&["demo-metrics-test"]).inc();
        let text = metrics().render();
        assert!(text.contains("headend_segments_total{channel=\"demo-metrics-test\"} 1"), "{text}");
    }
}
