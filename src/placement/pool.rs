//! The cores and the memory that channels may have, who has how much of them, and what is kept free for the loss of a device.
//!
//! Amounts are whole numbers, so that what is given back makes zero. A channel counts once, with the largest of its holds: while one worker
//! takes over from another, for a segment, both are there.
//!
//! Who is pushed out holds what it has until its worker has ended; whoever takes its place waits for that. Until then both count as one, with
//! the larger of both.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, Sub};

use super::devices::Priority;

/// Cores and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Thousandths of a core.
    pub millicores: u64,
    /// Memory in bytes.
    pub bytes: u64,
}

impl Amount {
    /// More than there is of anything: no limit.
    pub const UNLIMITED: Amount = Amount { millicores: u64::MAX, bytes: u64::MAX };

    /// So many cores, rounded up to thousandths, and bytes.
    pub fn new(cores: f64, bytes: u64) -> Amount {
        // A float that is no number becomes 0, one that is too large the largest whole number.
        Amount { millicores: (cores * 1000.0).ceil() as u64, bytes }
    }

    /// Cores.
    pub fn cores(self) -> f64 {
        self.millicores as f64 / 1000.0
    }

    /// The larger of both in each.
    pub fn most(self, other: Amount) -> Amount {
        Amount { millicores: self.millicores.max(other.millicores), bytes: self.bytes.max(other.bytes) }
    }

    /// Whether neither is more than what `other` has.
    pub fn fits(self, other: Amount) -> bool {
        self.millicores <= other.millicores && self.bytes <= other.bytes
    }
}

impl Add for Amount {
    type Output = Amount;

    /// No more than can be counted.
    fn add(self, other: Amount) -> Amount {
        Amount { millicores: self.millicores.saturating_add(other.millicores), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl Sub for Amount {
    type Output = Amount;

    /// No less than nothing.
    fn sub(self, other: Amount) -> Amount {
        Amount { millicores: self.millicores.saturating_sub(other.millicores), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} cores and {} MiB", self.cores(), self.bytes >> 20)
    }
}

/// The number of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

/// What one worker of a channel has.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// The channel.
    pub channel: String,
    /// Who comes first.
    pub priority: Priority,
    /// What its worker takes of the machine.
    pub amount: Amount,
    /// The device that it is on, by its index in the list.
    pub gpu: Option<usize>,
    /// What it would take where it were lost from its device; nothing where nothing is kept for that.
    pub fallback: Amount,
    /// Who has pushed it out: it has no claim any more, and its worker is about to end.
    pub pushed_by: Option<Pusher>,
}

/// Who takes the place of one that is pushed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pusher {
    /// The channel.
    pub channel: String,
    /// The hold that has its place from then on.
    pub place: Place,
}

/// Cores and memory with their holders.
#[derive(Debug)]
pub struct Pool {
    lent: Amount,
    holds: BTreeMap<Place, Hold>,
    next: u64,
}

impl Default for Pool {
    /// Without limits.
    fn default() -> Pool {
        Pool { lent: Amount::UNLIMITED, holds: BTreeMap::new(), next: 0 }
    }
}

impl Pool {
    /// Sets what may be lent; who has a seat keeps it.
    pub fn lend(&mut self, lent: Amount) {
        self.lent = lent;
    }

    /// What may be lent in all.
    pub fn lent(&self) -> Amount {
        self.lent
    }

    /// Every hold, by its number.
    pub fn holds(&self) -> impl Iterator<Item = (Place, &Hold)> {
        self.holds.iter().map(|(place, hold)| (*place, hold))
    }

    /// One of them.
    pub fn hold(&self, place: Place) -> Option<&Hold> {
        self.holds.get(&place)
    }

    /// Notes a hold. Whether there is room is for the caller to say.
    pub fn take(&mut self, hold: Hold) -> Place {
        let place = Place(self.next);
        self.next += 1;
        self.holds.insert(place, hold);
        place
    }

    /// The worker has ended.
    pub fn give_back(&mut self, place: Place) {
        self.holds.remove(&place);
    }

    /// Takes the claim of `channel` to all that it has for the sake of another one, whose hold waits for the end of its workers.
    pub fn push_out(&mut self, channel: &str, by: &Pusher) {
        for hold in self.holds.values_mut().filter(|hold| hold.channel == channel && hold.pushed_by.is_none()) {
            (hold.fallback, hold.gpu) = (Amount::default(), None);
            hold.pushed_by = Some(by.clone());
        }
    }

    /// Who is about to end for the sake of any hold of `channel` ends for this one.
    pub fn inherit(&mut self, channel: &str, by: &Pusher) {
        let pushers = self.holds.values_mut().filter_map(|hold| hold.pushed_by.as_mut());
        pushers.filter(|pusher| pusher.channel == channel).for_each(|pusher| *pusher = by.clone());
    }

    /// Whether nobody is left in this place who was pushed out of it, and its holder was not pushed out itself.
    pub fn is_clear(&self, place: Place) -> bool {
        let has_claim = self.holds.get(&place).is_some_and(|hold| hold.pushed_by.is_none());
        has_claim && self.holds.values().all(|hold| hold.pushed_by.as_ref().is_none_or(|by| by.place != place))
    }

    /// What a channel has: the most of its holds.
    pub fn of(&self, channel: &str) -> Amount {
        self.holds_of(channel).fold(Amount::default(), |most, hold| most.most(hold.amount))
    }

    /// What is kept for a channel in case its device is lost.
    pub fn kept_for(&self, channel: &str) -> Amount {
        self.holds_of(channel).fold(Amount::default(), |most, hold| most.most(hold.fallback))
    }

    /// What is kept for a channel in case this device is lost.
    fn kept_on(&self, channel: &str, gpu: usize) -> Amount {
        let there = self.holds_of(channel).filter(|hold| hold.gpu == Some(gpu));
        there.fold(Amount::default(), |most, hold| most.most(hold.fallback))
    }

    fn holds_of(&self, channel: &str) -> impl Iterator<Item = &Hold> {
        self.holds.values().filter(move |hold| hold.channel == channel && hold.pushed_by.is_none())
    }

    /// What all channels have but these, when all who are pushed out have ended.
    pub fn used(&self, without: &[&str]) -> Amount {
        self.by_channel(without).into_values().fold(Amount::default(), |sum, (amount, _)| sum + amount)
    }

    /// The most that all channels but these have at any time from now on: those who are pushed out end when they do, and then those begin who
    /// wait for it. Who ends for the sake of one of `without` that still waits does not count.
    pub fn most_used(&self, without: &[&str]) -> Amount {
        let mut sum = self.used(without);
        let mut ending: BTreeMap<Place, (&str, Amount)> = BTreeMap::new();
        for hold in self.holds.values() {
            let goes_over = |by: &&Pusher| without.contains(&by.channel.as_str()) && self.holds.contains_key(&by.place);
            if let Some(by) = hold.pushed_by.as_ref().filter(|by| !goes_over(by)) {
                let (_, amount) = ending.entry(by.place).or_insert((&by.channel, Amount::default()));
                *amount = *amount + hold.amount;
            }
        }
        for (place, (channel, amount)) in ending {
            let others = self.holds.iter().filter(|(other, hold)| **other != place && hold.channel == channel && hold.pushed_by.is_none());
            let meanwhile = others.fold(Amount::default(), |most, (_, hold)| most.most(hold.amount)) + amount;
            // Where who waited has given up, nobody takes the place.
            sum = sum + if self.holds.contains_key(&place) { meanwhile - self.of(channel) } else { amount };
        }
        sum
    }

    /// What is kept free for the loss of the device whose channels would take most, all channels but these considered, and a hold that
    /// there may be soon.
    pub fn kept(&self, without: &[&str], more: Option<(usize, Amount)>) -> Amount {
        let mut of_gpus: BTreeMap<usize, Amount> = BTreeMap::new();
        let channels = self.by_channel(without).into_values();
        let there = channels.flat_map(|(amount, fallbacks)| fallbacks.into_iter().map(move |(gpu, kept)| (gpu, kept - amount)));
        for (gpu, kept) in there.chain(more) {
            let sum = of_gpus.entry(gpu).or_default();
            *sum = *sum + kept;
        }
        of_gpus.into_values().fold(Amount::default(), Amount::most)
    }

    /// What every channel takes, and where and what is kept for it.
    fn by_channel(&self, without: &[&str]) -> BTreeMap<&str, (Amount, BTreeMap<usize, Amount>)> {
        let mut channels: BTreeMap<&str, (Amount, BTreeMap<usize, Amount>)> = BTreeMap::new();
        for hold in self.holds.values().filter(|hold| hold.pushed_by.is_none() && !without.contains(&hold.channel.as_str())) {
            let (amount, kept) = channels.entry(&hold.channel).or_default();
            *amount = amount.most(hold.amount);
            if let Some(gpu) = hold.gpu {
                let of_gpu = kept.entry(gpu).or_default();
                *of_gpu = of_gpu.most(hold.fallback);
            }
        }
        channels
    }

    /// What a channel could have now, of which `without` would be gone: what is free, and what it has itself.
    pub fn free(&self, channel: &str, without: &[&str]) -> Amount {
        let without: Vec<&str> = without.iter().copied().chain([channel]).collect();
        self.lent - (self.used(&without) + self.kept(&without, None)).most(self.most_used(&without))
    }

    /// Whether `channel` can have `amount`, and `kept` kept for the loss of `gpu`, while `without` are gone. What it has or what is kept for
    /// it is its own, however little is left.
    pub fn has_room(&self, channel: &str, amount: Amount, kept: Option<(usize, Amount)>, without: &[&str]) -> bool {
        let without: Vec<&str> = without.iter().copied().chain([channel]).collect();
        let (own, own_kept) = (self.of(channel), self.kept_for(channel));
        let used = self.used(&without) + amount;
        let more = kept.map(|(gpu, kept)| (gpu, kept - amount));
        let is_kept = more.is_none_or(|(gpu, more)| (amount + more).fits(own) || (amount + more).fits(self.kept_on(channel, gpu)));
        if is_kept && amount.fits(own) {
            return true;
        }
        if kept.is_none() && amount.fits(own_kept) {
            // The case for which it was kept. Others may find nothing kept for them any more.
            return used.fits(self.lent);
        }
        (used + self.kept(&without, more)).fits(self.lent) && (self.most_used(&without) + amount).fits(self.lent)
    }

    /// Best-effort channels, newest first.
    pub fn best_effort(&self, but: &str) -> Vec<String> {
        let mut channels: Vec<String> = Vec::new();
        for hold in self.holds.values().rev().filter(|hold| hold.priority == Priority::BestEffort && hold.pushed_by.is_none()) {
            if hold.channel != but && !channels.contains(&hold.channel) {
                channels.push(hold.channel.clone());
            }
        }
        channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(cores: f64) -> Amount {
        Amount::new(cores, 0)
    }

    fn pool(lent: f64) -> Pool {
        Pool { lent: cores(lent), ..Pool::default() }
    }

    fn hold(channel: &str, amount: f64, gpu: Option<usize>, fallback: f64) -> Hold {
        let (amount, fallback) = (cores(amount), cores(fallback));
        Hold { channel: channel.into(), priority: Priority::Main, amount, gpu, fallback, pushed_by: None }
    }

    #[test]
    fn what_is_kept_is_for_the_loss_of_one_device_the_largest() {
        let mut pool = pool(10.0);
        pool.take(hold("a", 0.5, Some(0), 2.0));
        pool.take(hold("b", 0.5, Some(0), 2.0));
        pool.take(hold("c", 0.5, Some(1), 2.0));
        assert_eq!((pool.used(&[]), pool.kept(&[], None)), (cores(1.5), cores(3.0)));
        assert_eq!(pool.kept(&[], Some((1, cores(2.0)))), cores(3.5));
        assert_eq!(pool.free("d", &[]), cores(5.5));
    }

    #[test]
    fn the_channels_of_a_lost_device_find_what_was_kept_and_a_newcomer_does_not() {
        let mut pool = pool(4.0);
        let places = ["a", "b"].map(|channel| pool.take(hold(channel, 0.0, Some(0), 2.0)));
        pool.take(hold("c", 0.0, Some(1), 3.0));
        assert!(!pool.has_room("new", cores(0.1), None, &[]));
        for (channel, place) in ["a", "b"].iter().zip(places) {
            assert!(pool.has_room(channel, cores(2.0), None, &[]));
            pool.take(hold(channel, 2.0, None, 0.0));
            pool.give_back(place);
        }
        assert_eq!(pool.used(&[]), cores(4.0));
        assert!(!pool.has_room("c", cores(3.0), None, &[]), "a second device may not be lost");
        assert!(pool.has_room("a", cores(0.0), Some((0, cores(2.0))), &[]), "who has cores may always go back to a device");
    }

    #[test]
    fn a_worker_that_takes_over_is_not_counted_beside_the_one_before() {
        let mut pool = pool(3.0);
        let first = pool.take(hold("a", 2.0, None, 0.0));
        assert!(pool.has_room("a", cores(2.0), None, &[]) && !pool.has_room("b", cores(2.0), None, &[]));
        pool.take(hold("a", 2.0, None, 0.0));
        assert_eq!(pool.used(&[]), cores(2.0));
        pool.give_back(first);
        assert_eq!(pool.used(&[]), cores(2.0));
    }

    #[test]
    fn who_has_a_seat_keeps_it_when_less_is_lent() {
        let mut pool = pool(3.0);
        pool.take(hold("a", 2.0, None, 0.0));
        pool.lend(cores(1.0));
        assert!(pool.has_room("a", cores(2.0), None, &[]) && !pool.has_room("a", cores(2.1), None, &[]));
        assert_eq!(pool.free("b", &[]), cores(0.0));
    }

    #[test]
    fn who_is_pushed_out_has_no_claim_and_counts_until_it_has_ended() {
        let mut pool = pool(2.5);
        let place = pool.take(Hold { priority: Priority::BestEffort, ..hold("spare", 2.0, None, 0.0) });
        assert!(pool.has_room("main", cores(1.5), None, &["spare"]));
        let main = pool.take(hold("main", 1.5, None, 0.0));
        pool.push_out("spare", &Pusher { channel: "main".into(), place: main });
        assert!(!pool.has_room("spare", cores(2.0), None, &[]) && pool.best_effort("").is_empty());
        assert_eq!(pool.hold(place).and_then(|hold| hold.pushed_by.as_ref()).map(|by| by.channel.as_str()), Some("main"));
        assert_eq!((pool.is_clear(main), pool.used(&[]), pool.most_used(&[])), (false, cores(1.5), cores(2.0)));
        assert!(pool.has_room("other", cores(0.5), None, &[]) && !pool.has_room("other", cores(0.6), None, &[]));
        pool.give_back(place);
        assert_eq!((pool.is_clear(main), pool.most_used(&[])), (true, cores(1.5)));
        assert!(pool.has_room("other", cores(1.0), None, &[]));
    }

    #[test]
    fn a_worker_that_goes_on_beside_the_end_of_another_counts_with_it() {
        let mut pool = pool(9.0);
        pool.take(hold("main", 1.0, None, 0.0));
        let spare = pool.take(hold("spare", 2.0, None, 0.0));
        let next = pool.take(hold("main", 2.5, None, 0.0));
        pool.push_out("spare", &Pusher { channel: "main".into(), place: next });
        assert_eq!(pool.most_used(&[]), cores(3.0), "the worker before and the one that is pushed out");
        let again = pool.take(hold("main", 2.5, None, 0.0));
        pool.inherit("main", &Pusher { channel: "main".into(), place: again });
        pool.give_back(next);
        assert!(!pool.is_clear(again), "whoever asks anew waits as before");
        pool.give_back(again);
        assert_eq!(pool.most_used(&[]), cores(3.0), "who has given up takes nobody's place");
        pool.give_back(spare);
        assert_eq!(pool.most_used(&[]), cores(1.0));
    }

    #[test]
    fn absurd_amounts_do_not_overflow() {
        let huge = Amount::new(f64::INFINITY, u64::MAX);
        assert_eq!(huge + huge, Amount::UNLIMITED);
        assert_eq!(Amount::new(f64::NAN, 0), Amount::default());
    }
}
