//! What `/metrics` shows of a channel's state. It goes with the channel, so that nothing is told of one that has ended.

use crate::base::metrics::metrics;
use crate::channel::plan::{ChannelPlan, LadderPlan};
use crate::channel::status::{ChannelStatus, State};

/// The series of one channel.
#[derive(Debug)]
pub(super) struct Gauges {
    channel: String,
    feeds: Vec<String>,
    is_encoded: bool,
    /// It comes and goes with its publishers, under names that they choose: its counters go too.
    is_wild: bool,
}

impl Gauges {
    /// The series of a channel that starts.
    pub(super) fn new(plan: &ChannelPlan, is_wild: bool) -> Gauges {
        let channel = plan.name.clone();
        metrics().service.segment_target.with_label_values(&[&channel]).set(plan.segment.as_secs_f64());
        let feeds = plan.feeds.iter().map(|feed| feed.name.clone()).collect();
        Gauges { channel, feeds, is_encoded: plan.ladder != LadderPlan::Copy, is_wild }
    }

    /// Another plan: the series of what is gone go, too.
    pub(super) fn take_plan(&mut self, plan: &ChannelPlan, is_wild: bool) {
        let (channel, service) = (&*self.channel, &metrics().service);
        service.segment_target.with_label_values(&[channel]).set(plan.segment.as_secs_f64());
        let feeds: Vec<String> = plan.feeds.iter().map(|feed| feed.name.clone()).collect();
        for gone in self.feeds.iter().filter(|feed| !feeds.contains(feed)) {
            // The series may never have been.
            let _ = service.feed_connected.remove_label_values(&[channel, gone]);
            let _ = service.feed_on_air.remove_label_values(&[channel, gone]);
        }
        let is_encoded = plan.ladder != LadderPlan::Copy;
        if self.is_encoded && !is_encoded {
            metrics().forget_encoding(channel);
        }
        (self.feeds, self.is_encoded, self.is_wild) = (feeds, is_encoded, is_wild);
    }

    /// Shows a status.
    pub(super) fn show(&self, status: &ChannelStatus) {
        let (channel, service, devices) = (&*self.channel, &metrics().service, &metrics().devices);
        for state in State::ALL {
            metrics().channel_state.with_label_values(&[channel, state.label()]).set(i64::from(state == status.state));
        }
        for feed in &self.feeds {
            let is_connected = status.feeds.iter().any(|report| report.name == *feed);
            service.feed_connected.with_label_values(&[channel, feed]).set(i64::from(is_connected));
            let is_on_air = status.state == State::Live && status.feed == *feed;
            service.feed_on_air.with_label_values(&[channel, feed]).set(i64::from(is_on_air));
        }
        if self.is_encoded {
            let is_elsewhere = status.fallback.is_some() && status.seat.is_some();
            devices.fallback.with_label_values(&[channel]).set(i64::from(is_elsewhere));
            devices.unseated.with_label_values(&[channel]).set(i64::from(status.unseated().is_some()));
        }
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        metrics().forget_channel(&self.channel, self.is_wild);
    }
}
