//! The gauges of a feed.

use super::report::FeedReport;
use crate::base::metrics::metrics;

/// Values of the `media` label.
const MEDIA: [&str; 2] = ["video", "audio"];

/// The series of one feed; they go when this goes, so that nothing is told about a feed that is gone.
#[derive(Debug)]
pub(super) struct Gauges {
    channel: String,
    feed: String,
}

impl Gauges {
    pub(super) fn new(channel: &str, feed: &str) -> Gauges {
        Gauges { channel: channel.to_owned(), feed: feed.to_owned() }
    }

    pub(super) fn set(&self, report: &FeedReport) {
        let of_feed = [self.channel.as_str(), self.feed.as_str()];
        let rates = [report.video.as_ref().map(|video| video.bitrate_bps), report.audio.as_ref().map(|audio| audio.bitrate_bps)];
        for (media, bitrate_bps) in MEDIA.into_iter().zip(rates) {
            let labels = [self.channel.as_str(), self.feed.as_str(), media];
            metrics().feed_rate.with_label_values(&labels).set((bitrate_bps.unwrap_or(0) / 8).min(i64::MAX as u64) as i64);
        }
        let video = report.video.as_ref();
        let gop = video.and_then(|video| video.gop.as_ref());
        metrics().feed_frame_rate.with_label_values(&of_feed).set(video.and_then(|video| video.frame_rate).unwrap_or(0.0));
        metrics().feed_gop.with_label_values(&of_feed).set(gop.map_or(0.0, |gop| gop.seconds));
        metrics().feed_jitter.with_label_values(&of_feed).set(report.arrival_jitter_ms as f64 / 1000.0);
        metrics().feed_skew.with_label_values(&of_feed).set(report.av_skew_ms.unwrap_or(0) as f64 / 1000.0);
        metrics().feed_longest_pause.with_label_values(&of_feed).set(report.longest_pause_ms as f64 / 1000.0);
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        let of_feed = [self.channel.as_str(), self.feed.as_str()];
        // A series that was never set is an error to remove, and no loss.
        for media in MEDIA {
            let _ = metrics().feed_rate.remove_label_values(&[self.channel.as_str(), self.feed.as_str(), media]);
        }
        let all =
            [&metrics().feed_frame_rate, &metrics().feed_gop, &metrics().feed_jitter, &metrics().feed_skew, &metrics().feed_longest_pause];
        for family in all {
            let _ = family.remove_label_values(&of_feed);
        }
    }
}
