//! Decode times for an encoder that reorders: computed when a picture goes in, handed out when a packet comes out.
//!
//! With every slot filled, the n-th packet out carries the n-th `pts` in. Where slots were left out to catch up, plain
//! counting would put a `dts` further after its `pts` than the announced reorder, so the distance to the picture `depth`
//! places earlier is stretched in whole periods instead. In both cases an IDR has `dts == pts` and `dts` increases.

use std::collections::VecDeque;

use crate::base::{MediaTime, Ticks};

/// The decode times of one encoder with closed GOPs.
#[derive(Debug)]
pub struct DecodeOrder {
    period: Ticks,
    depth: usize,
    /// The latest `depth` pictures that went in since the last IDR, the IDR included.
    recent: VecDeque<MediaTime>,
    /// Decode times that no packet has taken yet.
    waiting: VecDeque<MediaTime>,
}

impl DecodeOrder {
    /// For pictures on a grid of this period, of which up to `depth` overtake each other.
    pub fn new(period: Ticks, depth: usize) -> DecodeOrder {
        DecodeOrder { period, depth, recent: VecDeque::new(), waiting: VecDeque::new() }
    }

    /// Largest distance by which a packet's `pts` may lie before its `dts`.
    pub fn reorder(&self) -> Ticks {
        Ticks(self.period.0 * self.depth as i64)
    }

    /// A picture goes into the encoder, as an IDR where `key`.
    pub fn submitted(&mut self, pts: MediaTime, key: bool) {
        if key {
            self.recent.clear();
        }
        let dts = match self.recent.front() {
            Some(anchor) => MediaTime(anchor.0 + self.period.0 * self.recent.len() as i64),
            None => pts,
        };
        self.waiting.push_back(dts);
        self.recent.push_back(pts);
        if self.recent.len() > self.depth {
            self.recent.pop_front();
        }
    }

    /// A packet comes out: its decode time.
    pub fn taken(&mut self) -> Option<MediaTime> {
        self.waiting.pop_front()
    }

    /// The decode time of the packet after the ones taken, if its picture has gone in.
    pub fn next(&self) -> Option<MediaTime> {
        self.waiting.front().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_holes_the_nth_packet_carries_the_nth_time() {
        let mut order = DecodeOrder::new(Ticks(10), 2);
        for n in 0..7 {
            order.submitted(MediaTime(n * 10), n % 5 == 0);
        }
        let times: Vec<i64> = std::iter::from_fn(|| order.taken()).map(|time| time.0).collect();
        assert_eq!(times, [0, 10, 20, 30, 40, 50, 60]);
    }

    proptest! {
        #[test]
        fn holes_keep_dts_rising_and_within_the_announced_reorder(steps in prop::collection::vec((1i64..9, prop::bool::weighted(0.1)), 1..80), depth in 0usize..4) {
            let mut order = DecodeOrder::new(Ticks(10), depth);
            let mut pts = Vec::new();
            let mut at = 0;
            for (n, (step, key)) in steps.iter().enumerate() {
                at += step * 10;
                let key = *key || n == 0;
                pts.push((at, key));
                order.submitted(MediaTime(at), key);
            }
            let dts: Vec<i64> = std::iter::from_fn(|| order.taken()).map(|time| time.0).collect();
            prop_assert_eq!(dts.len(), pts.len());
            let mut idr = 0;
            for n in 0..dts.len() {
                if pts[n].1 {
                    idr = n;
                    prop_assert_eq!(dts[n], pts[n].0);
                }
                prop_assert!(n == 0 || dts[n] > dts[n - 1]);
                // The earliest picture that the n-th packet can be: `depth` places back, never before the IDR.
                let earliest = pts[n.saturating_sub(depth).max(idr)].0;
                prop_assert!(dts[n] - earliest <= order.reorder().0);
            }
        }
    }
}
