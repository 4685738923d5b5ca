//! Which feed of a channel is on the air: a policy without IO, time is an argument.
//!
//! Feeds are in the order of the configuration, best first. A feed is used while it delivers; when it is lost, or its picture is
//! frozen or black or its sound silent for too long, the best other one takes over. A better feed gets its place back once it has
//! delivered without a hole for a while. A feed that was left for its picture waits longer each time, so that two bad feeds do not
//! toss the programme to and fro.

use std::time::Duration;

use crate::base::Mono;

/// A feed that was left for its picture is not returned to for longer than this.
const LONGEST_BAN: Duration = Duration::from_secs(600);
/// A feed is not judged by its picture before it has been on the air for this long.
const SETTLING: Duration = Duration::from_secs(3);
/// A feed that has been fine on the air for this long is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(300);

/// When to leave a feed, and when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailoverPlan {
    /// A feed that delivers nothing for this long is lost.
    pub after: Duration,
    /// A better feed is returned to after it has delivered for this long; never, where there is none.
    pub return_after: Option<Duration>,
}

impl Default for FailoverPlan {
    fn default() -> FailoverPlan {
        FailoverPlan { after: Duration::from_secs(2), return_after: Some(Duration::from_secs(30)) }
    }
}

/// Why the feed on the air changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing was on the air.
    First,
    /// The one before delivers nothing.
    Lost,
    /// The one before shows a frozen or black picture, or no sound.
    Picture,
    /// A better one is back.
    Return,
    /// Somebody asked for it.
    Manual,
}

impl Why {
    /// The value of the `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Why::First => "first",
            Why::Lost => "lost",
            Why::Picture => "picture",
            Why::Return => "return",
            Why::Manual => "manual",
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Health {
    last_unit: Option<Mono>,
    /// Since when units have come without a hole.
    steady_since: Option<Mono>,
    barred: bool,
    banned_until: Option<Mono>,
    bans: u32,
}

/// The policy of one channel.
#[derive(Clone, Debug)]
pub struct Failover {
    plan: FailoverPlan,
    feeds: Vec<Health>,
    active: Option<usize>,
    /// The feed that was on the air is gone, and none has come since.
    bereft: bool,
    active_since: Mono,
    /// The active feed delivers, but not what viewers should see.
    faulty: bool,
    /// Somebody asked for this feed; it is the best one as long as it delivers.
    asked: Option<usize>,
}

impl Failover {
    /// The policy for `feeds` feeds, none of which delivers yet.
    pub fn new(plan: FailoverPlan, feeds: usize) -> Failover {
        Failover {
            plan,
            feeds: vec![Health::default(); feeds],
            active: None,
            bereft: false,
            active_since: Mono::default(),
            faulty: false,
            asked: None,
        }
    }

    /// Another plan, and other places for the feeds: the `n`th of now is the one that was at `before[n]`, or a new one.
    pub fn rearrange(&mut self, plan: FailoverPlan, before: &[Option<usize>]) {
        self.plan = plan;
        self.feeds = before.iter().map(|old| old.and_then(|old| self.feeds.get(old)).cloned().unwrap_or_default()).collect();
        let moved = |old: usize| before.iter().position(|place| *place == Some(old));
        self.asked = self.asked.and_then(moved);
        let was_active = self.active;
        self.active = self.active.and_then(moved);
        if was_active.is_some() && self.active.is_none() {
            self.ended();
        }
    }

    /// The feed on the air.
    pub fn active(&self) -> Option<usize> {
        self.active
    }

    /// The feed that somebody asked for.
    pub fn asked(&self) -> Option<usize> {
        self.asked
    }

    /// Something came from a feed.
    pub fn delivered(&mut self, feed: usize, now: Mono) {
        let after = self.plan.after;
        let Some(health) = self.feeds.get_mut(feed) else { return };
        if health.last_unit.is_none_or(|last| now.since(last) >= after) {
            health.steady_since = Some(now);
        }
        health.last_unit = Some(now);
    }

    /// A feed's source is gone.
    pub fn gone(&mut self, feed: usize) {
        if let Some(health) = self.feeds.get_mut(feed) {
            (health.last_unit, health.steady_since) = (None, None);
        }
    }

    /// The picture or sound of the feed on the air is or is no longer what it should not be. What is said right after a switch
    /// may be about the feed before: the worker is behind by as much as the programme trails the clock.
    pub fn picture(&mut self, faulty: bool, now: Mono) {
        self.faulty = faulty && now.since(self.active_since) >= SETTLING;
    }

    /// A feed must not be used at all, or may be again.
    pub fn bar(&mut self, feed: usize, barred: bool) {
        if let Some(health) = self.feeds.get_mut(feed) {
            health.barred = barred;
        }
    }

    /// Somebody asks for a feed; `None` leaves it to the policy.
    pub fn ask(&mut self, feed: Option<usize>) {
        self.asked = feed;
        if let Some(health) = feed.and_then(|feed| self.feeds.get_mut(feed)) {
            (health.banned_until, health.bans) = (None, 0);
        }
    }

    /// The feed that should be on the air instead of the active one, and why. Stays the same until [`Failover::switched`].
    pub fn wanted(&mut self, now: Mono) -> Option<(usize, Why)> {
        self.forgive(now);
        let active = self.active.filter(|active| self.delivers(*active, now));
        let Some(active) = active else {
            let best = self.best(now, |policy, feed| !policy.is_banned(feed, now)).or_else(|| self.best(now, |_, _| true))?;
            let why = if self.active.is_some() || self.bereft { Why::Lost } else { Why::First };
            return Some((best, why)).filter(|_| self.active != Some(best));
        };
        if let Some(asked) = self.asked.filter(|asked| self.delivers(*asked, now)) {
            return (asked != active).then_some((asked, Why::Manual));
        }
        if self.faulty {
            let other = self.best(now, |policy, feed| feed != active && !policy.is_banned(feed, now))?;
            return Some((other, Why::Picture));
        }
        let return_after = self.plan.return_after?;
        let best =
            self.best(now, |policy, feed| !policy.is_banned(feed, now) && (feed == active || policy.is_steady(feed, return_after, now)))?;
        (best < active).then_some((best, Why::Return))
    }

    /// `feed` is on the air now.
    pub fn switched(&mut self, feed: usize, why: Why, now: Mono) {
        if let Some(left) = self.active.filter(|_| why == Why::Picture).and_then(|left| self.feeds.get_mut(left)) {
            let base = self.plan.return_after.unwrap_or(self.plan.after);
            left.banned_until = Some(now.after(base.saturating_mul(1 << left.bans.min(10)).min(LONGEST_BAN)));
            left.bans = left.bans.saturating_add(1);
        }
        (self.active, self.active_since, self.faulty, self.bereft) = (Some(feed), now, false, false);
    }

    /// Nothing is on the air.
    pub fn ended(&mut self) {
        (self.active, self.faulty, self.bereft) = (None, false, true);
    }

    /// Whether a feed delivers.
    pub fn delivers(&self, feed: usize, now: Mono) -> bool {
        self.feeds.get(feed).is_some_and(|health| !health.barred && health.last_unit.is_some_and(|last| now.since(last) < self.plan.after))
    }

    fn forgive(&mut self, now: Mono) {
        let fine = !self.faulty && now.since(self.active_since) >= FORGIVEN_AFTER;
        if let Some(health) = self.active.filter(|_| fine).and_then(|active| self.feeds.get_mut(active)) {
            (health.banned_until, health.bans) = (None, 0);
        }
    }

    fn is_banned(&self, feed: usize, now: Mono) -> bool {
        self.feeds.get(feed).is_some_and(|health| health.banned_until.is_some_and(|until| now < until))
    }

    fn is_steady(&self, feed: usize, duration: Duration, now: Mono) -> bool {
        self.feeds.get(feed).is_some_and(|health| health.steady_since.is_some_and(|since| now.since(since) >= duration))
    }

    fn best(&self, now: Mono, usable: impl Fn(&Failover, usize) -> bool) -> Option<usize> {
        (0..self.feeds.len()).find(|feed| self.delivers(*feed, now) && usable(self, *feed))
    }
}

#[cfg(test)]
mod tests;
