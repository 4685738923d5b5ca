//! Failed attempts by address: a few at once, then one every few seconds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Mono;
use super::places::household;

/// What one failed attempt costs.
const COST: Duration = Duration::from_secs(6);
/// Failed attempts at once.
const BURST: u32 = 10;
/// Addresses that are remembered.
const MOST_ADDRESSES: usize = 4096;

/// When each address will have paid for its failures. An IPv6 /64 is one address.
#[derive(Debug, Default)]
pub struct Attempts {
    paid_at: HashMap<IpAddr, Mono>,
}

impl Attempts {
    /// How long this address has to wait for its next attempt, if it has.
    pub fn wait(&self, address: IpAddr, now: Mono) -> Option<Duration> {
        let debt = self.paid_at.get(&household(address))?.since(now);
        debt.checked_sub(COST * (BURST - 1)).filter(|wait| !wait.is_zero())
    }

    /// Counts a failed attempt.
    pub fn failed(&mut self, address: IpAddr, now: Mono) {
        let address = household(address);
        if self.paid_at.len() >= MOST_ADDRESSES && !self.paid_at.contains_key(&address) {
            self.forget(now);
        }
        let paid_at = self.paid_at.entry(address).or_insert(now);
        *paid_at = (*paid_at).max(now).after(COST);
    }

    /// Those that have paid, else whoever owes least.
    fn forget(&mut self, now: Mono) {
        self.paid_at.retain(|_, paid_at| *paid_at > now);
        if self.paid_at.len() >= MOST_ADDRESSES {
            let least = self.paid_at.iter().min_by_key(|(_, paid_at)| **paid_at).map(|(address, _)| *address);
            least.map(|address| self.paid_at.remove(&address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn ten_guesses_are_free_and_then_one_every_six_seconds() {
        let (guesser, other): (IpAddr, IpAddr) = ("192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap());
        let mut attempts = Attempts::default();
        for _ in 0..10 {
            assert_eq!(attempts.wait(guesser, at(100)), None);
            attempts.failed(guesser, at(100));
        }
        assert_eq!(attempts.wait(guesser, at(100)), Some(COST));
        assert_eq!(attempts.wait(other, at(100)), None);
        assert_eq!(attempts.wait(guesser, at(106)), None);
        attempts.failed(guesser, at(106));
        assert_eq!(attempts.wait(guesser, at(106)), Some(COST));
        assert_eq!(attempts.wait(guesser, at(200)), None, "all is paid");
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let mut attempts = Attempts::default();
        for number in 0..u32::try_from(MOST_ADDRESSES).unwrap() + 100 {
            attempts.failed(IpAddr::V4(number.into()), at(1));
        }
        assert_eq!(attempts.paid_at.len(), MOST_ADDRESSES);
    }
}
