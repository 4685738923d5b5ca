//! Whether a GPU can be trusted: what is lost on it makes it suspected or condemned, a probe in a child acquits it. No IO; time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Mono;
use crate::base::backoff::Backoff;

/// Workers of different channels that are lost on a device within this span condemn it.
const TOGETHER: Duration = Duration::from_secs(10);
/// How many channels that takes.
const CHANNELS: usize = 2;
/// A condemned device is probed after this, then after twice as long each time, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Losses that are remembered; more within [`TOGETHER`] say nothing new.
const REMEMBERED: usize = 16;

/// What a device is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It works.
    Healthy,
    /// A worker was lost on it, and it is being probed. Nobody new is seated there.
    Suspected,
    /// It does not work: its seats are replaced, and it is probed again and again.
    Condemned,
}

impl State {
    /// The word of JSON and logs.
    pub fn label(self) -> &'static str {
        match self {
            State::Healthy => "healthy",
            State::Suspected => "suspected",
            State::Condemned => "condemned",
        }
    }

    /// The value of the gauge: 2 healthy, 1 suspected, 0 condemned.
    pub fn level(self) -> i64 {
        match self {
            State::Healthy => 2,
            State::Suspected => 1,
            State::Condemned => 0,
        }
    }
}

/// The health of one GPU.
#[derive(Debug)]
pub struct Health {
    state: State,
    since: Mono,
    reason: String,
    losses: VecDeque<(Mono, String)>,
    /// When the next probe is due, while it is not healthy.
    probe_at: Mono,
    /// A probe that began after the last loss is under way.
    is_probed: bool,
    backoff: Backoff,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            state: State::Healthy,
            since: Mono::default(),
            reason: String::new(),
            losses: VecDeque::new(),
            probe_at: Mono::default(),
            is_probed: false,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
        }
    }
}

impl Health {
    /// A device that was not known to work before now.
    pub fn well_since(now: Mono) -> Health {
        Health { since: now, ..Health::default() }
    }

    /// What the device is taken for.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when. A suspicion that a probe did not confirm does not count.
    pub fn since(&self) -> Mono {
        self.since
    }

    /// Why, in words; empty while it is healthy.
    pub fn reason(&self) -> &str {
        if self.state == State::Healthy { "" } else { &self.reason }
    }

    /// A worker of `channel` was lost on it; whether the state is another one now.
    pub fn lost(&mut self, channel: &str, reason: &str, now: Mono) -> bool {
        self.losses.retain(|(at, _)| now.since(*at) < TOGETHER);
        if self.losses.len() < REMEMBERED {
            self.losses.push_back((now, channel.to_owned()));
        }
        let mut channels: Vec<&str> = self.losses.iter().map(|(_, channel)| channel.as_str()).collect();
        channels.sort_unstable();
        channels.dedup();
        match self.state {
            State::Condemned => false,
            _ if channels.len() >= CHANNELS => {
                let reason = format!("workers of {} were lost on it within {} s", channels.join(" and "), TOGETHER.as_secs());
                self.condemn(reason, now);
                true
            }
            State::Suspected => {
                // What was asked before this loss says nothing about it.
                self.is_probed = false;
                false
            }
            State::Healthy => {
                self.state = State::Suspected;
                self.reason = reason.to_owned();
                (self.probe_at, self.is_probed) = (now, false);
                true
            }
        }
    }

    /// Whether it is to be probed now.
    pub fn is_due(&self, now: Mono) -> bool {
        self.state != State::Healthy && !self.is_probed && now >= self.probe_at
    }

    /// A probe begins.
    pub fn probe_begins(&mut self) {
        self.is_probed = true;
    }

    /// The probe that began last has ended: the device works, or why it does not. Whether the state is another one now.
    pub fn probed(&mut self, outcome: Result<(), String>, now: Mono) -> bool {
        if !std::mem::take(&mut self.is_probed) {
            return false;
        }
        match (self.state, outcome) {
            (State::Healthy, _) => false,
            (State::Suspected, Ok(())) => {
                self.state = State::Healthy;
                true
            }
            (State::Condemned, Ok(())) => {
                (self.state, self.since) = (State::Healthy, now);
                self.losses.clear();
                self.backoff.succeeded();
                true
            }
            (State::Suspected, Err(reason)) => {
                self.condemn(reason, now);
                true
            }
            (State::Condemned, Err(reason)) => {
                self.reason = reason;
                self.probe_at = now.after(self.backoff.failed());
                false
            }
        }
    }

    fn condemn(&mut self, reason: String, now: Mono) {
        (self.state, self.since, self.reason) = (State::Condemned, now, reason);
        (self.probe_at, self.is_probed) = (now.after(self.backoff.failed()), false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono(millis * 1_000_000)
    }

    fn unwell() -> Result<(), String> {
        Err("the driver does not answer".into())
    }

    #[test]
    fn a_suspicion_that_a_probe_does_not_confirm_leaves_no_trace() {
        let mut health = Health::default();
        assert!(health.lost("news", "ECC", at(5_000)) && health.is_due(at(5_000)));
        health.probe_begins();
        assert!(!health.is_due(at(60_000)), "one probe at a time");
        assert!(health.probed(Ok(()), at(6_000)));
        assert_eq!((health.state(), health.since(), health.reason()), (State::Healthy, Mono::default(), ""));
    }

    #[test]
    fn two_channels_within_ten_seconds_condemn_and_one_channel_twice_does_not() {
        let mut health = Health::default();
        health.lost("news", "ECC", at(0));
        health.lost("news", "ECC", at(1_000));
        assert_eq!(health.state(), State::Suspected);
        assert!(health.lost("sport", "ECC", at(9_900)));
        assert_eq!(health.state(), State::Condemned);
        let mut health = Health::default();
        health.lost("news", "ECC", at(0));
        health.lost("sport", "ECC", at(10_000));
        assert_eq!(health.state(), State::Suspected, "not together");
    }

    #[test]
    fn a_condemned_device_is_probed_at_doubling_distances_until_it_answers() {
        let mut health = Health::default();
        health.lost("news", "ECC", at(0));
        health.probe_begins();
        assert!(health.probed(unwell(), at(0)));
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..8 {
            let from = now;
            while !health.is_due(at(now)) {
                now += 1_000;
            }
            waits.push((now - from) / 1_000);
            health.probe_begins();
            health.probed(unwell(), at(now));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        while !health.is_due(at(now)) {
            now += 1_000;
        }
        health.probe_begins();
        assert!(health.probed(Ok(()), at(now)));
        assert_eq!((health.state(), health.since()), (State::Healthy, at(now)));
        health.lost("news", "ECC", at(now));
        health.probe_begins();
        health.probed(unwell(), at(now));
        assert!(health.is_due(at(now + 1_000)), "the waits begin anew");
    }

    #[test]
    fn a_probe_that_began_before_the_second_loss_acquits_nobody() {
        let mut health = Health::default();
        health.lost("news", "ECC", at(0));
        health.probe_begins();
        health.lost("sport", "ECC", at(100));
        assert!(!health.probed(Ok(()), at(200)));
        assert_eq!(health.state(), State::Condemned);
        let mut health = Health::default();
        health.lost("news", "ECC", at(0));
        health.probe_begins();
        health.lost("news", "ECC", at(100));
        assert!(!health.probed(Ok(()), at(200)) && health.state() == State::Suspected && health.is_due(at(200)));
    }
}
