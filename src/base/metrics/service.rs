//! What is there of what is configured, and how fast viewers are answered.

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry};

use super::described::registered;

/// Families of the service as its operator sees it.
#[derive(Debug)]
pub struct ServiceMetrics {
    /// 1 while a configured feed has a source, 0 while it has none, by channel and feed.
    pub feed_connected: IntGaugeVec,
    /// 1 for the feed on the air, by channel and feed; none is 1 while slate or pattern show.
    pub feed_on_air: IntGaugeVec,
    /// How long a segment of a channel is to be, by channel.
    pub segment_target: GaugeVec,
    /// From a request to the head of its answer, by kind of resource.
    pub http_answer: HistogramVec,
}

impl ServiceMetrics {
    pub(super) fn new(registry: &Registry) -> ServiceMetrics {
        let whole = |name: &str, help: &str, labels: &[&str]| registered(registry, IntGaugeVec::new(Opts::new(name, help), labels));
        let real = |name: &str, help: &str, labels: &[&str]| registered(registry, GaugeVec::new(Opts::new(name, help), labels));
        let answer = HistogramOpts::new("headend_http_answer_seconds", "From a request to the head of its answer.")
            .buckets(vec![0.0001, 0.0005, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0]);
        ServiceMetrics {
            feed_connected: whole("headend_feed_connected", "1 while a configured feed has a source.", &["channel", "feed"]),
            feed_on_air: whole("headend_feed_on_air", "1 for the feed on the air.", &["channel", "feed"]),
            segment_target: real("headend_segment_target_seconds", "How long a segment is to be.", &["channel"]),
            http_answer: registered(registry, HistogramVec::new(answer, &["kind"])),
        }
    }
}
