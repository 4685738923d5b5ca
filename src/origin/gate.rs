//! Counts connections, overall and by address, and turns away what is too many.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::IntGauge;

/// Connections that all listeners together may have. Listeners come and go; what is left of one that has moved counts on.
#[derive(Debug)]
pub struct Room {
    max: usize,
    taken: AtomicUsize,
}

impl Room {
    /// Room for so many.
    pub fn of(max: usize) -> Arc<Room> {
        Arc::new(Room { max, taken: AtomicUsize::new(0) })
    }

    /// Room for as many as each listener lets in.
    pub fn without_end() -> Arc<Room> {
        Room::of(usize::MAX)
    }

    fn take(&self) -> bool {
        self.taken.fetch_update(Relaxed, Relaxed, |taken| (taken < self.max).then_some(taken + 1)).is_ok()
    }

    fn leave(&self) {
        self.taken.fetch_sub(1, Relaxed);
    }
}

/// The counters of one listener.
#[derive(Debug)]
pub(super) struct Gate {
    room: Arc<Room>,
    max: usize,
    max_per_address: usize,
    open: IntGauge,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; dropping it makes room.
#[derive(Debug)]
pub(super) struct Ticket {
    gate: Arc<Gate>,
    address: IpAddr,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    Connections,
    FromAddress,
}

impl Gate {
    pub(super) fn new(room: Arc<Room>, max: usize, max_per_address: usize, open: IntGauge) -> Arc<Gate> {
        Arc::new(Gate { room, max, max_per_address, open, counts: Mutex::default() })
    }

    /// Takes a place for a connection from `peer`.
    pub(super) fn admit(self: &Arc<Gate>, peer: IpAddr) -> Result<Ticket, TooMany> {
        let address = subscriber(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.max {
            return Err(TooMany::Connections);
        }
        let held = counts.by_address.get(&address).copied().unwrap_or(0);
        if held >= self.max_per_address {
            return Err(TooMany::FromAddress);
        }
        if !self.room.take() {
            return Err(TooMany::Connections);
        }
        counts.by_address.insert(address, held + 1);
        counts.total += 1;
        self.open.inc();
        Ok(Ticket { gate: Arc::clone(self), address })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        match counts.by_address.get_mut(&self.address) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(counts.by_address.remove(&self.address)),
        }
        self.gate.room.leave();
        self.gate.open.dec();
    }
}

/// One subscriber commonly has a whole /64 of IPv6.
fn subscriber(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(max: usize, max_per_address: usize) -> Arc<Gate> {
        Gate::new(Room::without_end(), max, max_per_address, IntGauge::new("test", "test").unwrap())
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let gate = gate(3, 2);
        let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = gate.admit(one).unwrap();
        let _second = gate.admit(one).unwrap();
        assert_eq!(gate.admit(one).unwrap_err(), TooMany::FromAddress);
        let _third = gate.admit(other).unwrap();
        assert_eq!(gate.admit(other).unwrap_err(), TooMany::Connections);
        drop(first);
        assert_eq!(gate.open.get(), 2);
        gate.admit(one).unwrap();
    }

    #[test]
    fn listeners_that_come_later_share_the_room_of_the_process() {
        let room = Room::of(2);
        let listener = || Gate::new(Arc::clone(&room), 9, 1, IntGauge::new("test", "test").unwrap());
        let (plain, tls) = (listener(), listener());
        let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = plain.admit(one).unwrap();
        assert_eq!(plain.admit(one).unwrap_err(), TooMany::FromAddress);
        let _second = tls.admit(one).unwrap();
        assert_eq!(tls.admit(other).unwrap_err(), TooMany::Connections);
        drop((first, plain));
        let _third = tls.admit(other).unwrap();
        assert_eq!((tls.open.get(), room.taken.load(Relaxed)), (2, 2));
    }

    #[test]
    fn addresses_of_one_64_are_one_subscriber_and_mapped_ones_are_ipv4() {
        let gate = gate(9, 1);
        let _held = gate.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(gate.admit("2001:db8::ffff:2".parse().unwrap()).is_err());
        let _other = gate.admit("2001:db8:0:1::1".parse().unwrap()).unwrap();
        let _mapped = gate.admit("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert!(gate.admit("10.0.0.1".parse().unwrap()).is_err());
    }

    #[test]
    fn a_gate_left_by_all_remembers_nobody() {
        let gate = gate(9, 9);
        drop([gate.admit("10.0.0.1".parse().unwrap()), gate.admit("10.0.0.2".parse().unwrap())]);
        assert!(gate.counts.lock().unwrap().by_address.is_empty());
    }
}
