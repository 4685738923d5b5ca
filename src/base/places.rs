//! How many connections may be open, altogether and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts open connections. A clone counts the same ones.
#[derive(Clone, Debug)]
pub struct Places {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
    most_per_address: usize,
}

/// One open connection; dropping it makes room.
#[derive(Debug)]
pub struct Place {
    places: Places,
    address: IpAddr,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// Altogether.
    #[error("all {0} connections are taken")]
    Full(usize),
    /// From this address.
    #[error("{0} connections from this address are open already")]
    Address(usize),
}

impl Places {
    /// Room for `most` connections, of which `most_per_address` from one address.
    pub fn new(most: usize, most_per_address: usize) -> Places {
        Places { open: Arc::default(), most, most_per_address }
    }

    /// Takes a place for a connection from `address`.
    pub fn take(&self, address: IpAddr) -> Result<Place, NoPlace> {
        let address = household(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= self.most {
            return Err(NoPlace::Full(self.most));
        }
        let held = open.entry(address).or_default();
        if *held >= self.most_per_address {
            return Err(NoPlace::Address(self.most_per_address));
        }
        *held += 1;
        Ok(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = open.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// What one owner has: an IPv4 address, or a /64 of IPv6, of which a host may use every address.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_address_and_given_back() {
        let places = Places::new(3, 2);
        let [one, other, third] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| text.parse().unwrap());
        let first = places.take(one).unwrap();
        let _second = places.take(one).unwrap();
        assert_eq!(places.take(one).unwrap_err(), NoPlace::Address(2));
        let _third = places.take(other).unwrap();
        assert_eq!(places.take(third).unwrap_err(), NoPlace::Full(3));
        drop(first);
        places.take(one).unwrap();
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_their_places() {
        let places = Places::new(9, 1);
        let _held = places.take("2001:db8::1".parse().unwrap()).unwrap();
        assert!(places.take("2001:db8::ffff:2".parse().unwrap()).is_err());
        assert!(places.take("2001:db8:0:1::1".parse().unwrap()).is_ok());
        let _mapped = places.take("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert!(places.take("192.0.2.1".parse().unwrap()).is_err());
    }
}
