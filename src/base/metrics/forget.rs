//! Series that go with their channel.

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};

use super::Metrics;

impl Metrics {
    /// Removes what is shown of a channel's workers, where it has none any more.
    pub fn forget_encoding(&self, channel: &str) {
        [&self.encode_lag, &self.stage_lag].into_iter().for_each(|gauge| forget(gauge, channel));
        let gauges = [&self.input_faults, &self.queue_depth, &self.overload_step, &self.devices.fallback, &self.devices.unseated];
        gauges.into_iter().for_each(|gauge| forget(gauge, channel));
    }

    /// Removes what is shown of a channel that has ended: its gauges, and with `is_wild`, for names that publishers choose, its counters and
    /// histograms too, since there is no end of them.
    pub fn forget_channel(&self, channel: &str, is_wild: bool) {
        let Metrics { devices, service, .. } = self;
        for gauge in [&self.encode_lag, &self.segment_age, &self.stage_lag, &service.segment_target] {
            forget(gauge, channel);
        }
        let gauges = [
            &self.input_faults,
            &self.queue_depth,
            &self.shelf_bytes,
            &self.feed_quarantined,
            &self.channel_state,
            &self.overload_step,
            &devices.fallback,
            &devices.unseated,
            &service.feed_connected,
            &service.feed_on_air,
        ];
        gauges.into_iter().for_each(|gauge| forget(gauge, channel));
        if !is_wild {
            return;
        }
        let counters = [
            &self.ingest_bytes,
            &self.ingest_gaps,
            &self.feed_switches,
            &self.ingest_errors,
            &self.frames,
            &self.frames_dropped,
            &self.segments,
            &self.segment_gaps,
            &self.worker_restarts,
            &self.feed_skips,
            &self.faults,
            &self.flight_dumps,
            &self.overload_steps,
            &devices.fallbacks,
            &devices.pictures,
            &devices.pixels,
            &devices.frame_copies,
            &devices.refusals,
        ];
        counters.into_iter().for_each(|counter| forget(counter, channel));
        forget(&self.machine.cpu, channel);
        forget(&self.worker_takeover, channel);
        forget(&self.listing_seconds, channel);
        forget(&self.scheduling.ingest_lag, channel);
    }
}

/// Removes the series of a family whose label `channel` is this one.
fn forget<B: MetricVecBuilder>(family: &MetricVec<B>, channel: &str) {
    let Some(order) = family.desc().first().map(|desc| desc.variable_labels.clone()) else { return };
    for metric in family.collect().iter().flat_map(|family| family.get_metric()) {
        let value = |name: &String| {
            let pair = metric.get_label().iter().find(|pair| pair.name() == name)?;
            Some(pair.value().to_owned())
        };
        let Some(values) = order.iter().map(value).collect::<Option<Vec<String>>>() else { continue };
        let is_its = order.iter().zip(&values).any(|(name, value)| name == "channel" && value == channel);
        if is_its {
            let _ = family.remove_label_values(&values);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::base::metrics::metrics;

    /// How many series there are of a channel, a histogram counted once.
    fn lines(channel: &str) -> usize {
        let is_one = |line: &&str| line.contains(&format!("channel=\"{channel}\"")) && !line.contains("_bucket") && !line.contains("_sum");
        metrics().render().lines().filter(is_one).count()
    }

    #[test]
    fn gauges_go_with_a_channel_and_counters_with_one_that_a_publisher_named() {
        for channel in ["forget-one", "forget-two"] {
            metrics().encode_lag.with_label_values(&[channel, "720p"]).set(1.0);
            metrics().queue_depth.with_label_values(&[channel, "encode"]).set(1);
            metrics().segments.with_label_values(&[channel]).inc();
            metrics().stage_lag.with_label_values(&[channel, "encode"]).set(1.0);
            metrics().overload_step.with_label_values(&[channel]).set(1);
            metrics().overload_steps.with_label_values(&[channel, "preset", "down"]).inc();
            metrics().scheduling.ingest_lag.with_label_values(&[channel]).observe(0.001);
        }
        metrics().forget_channel("forget-one", false);
        assert_eq!((lines("forget-one"), lines("forget-two")), (3, 7));
        metrics().forget_channel("forget-two", true);
        assert_eq!((lines("forget-one"), lines("forget-two")), (3, 0));
    }
}
