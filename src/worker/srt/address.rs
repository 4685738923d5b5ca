//! Socket addresses between Rust and C.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{AF_INET, AF_INET6, sockaddr, sockaddr_in, sockaddr_in6};

/// An address as C wants it, of either family.
#[repr(C)]
pub(super) union Address {
    any: sockaddr,
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

impl Address {
    /// Room for an address that C is to write.
    pub(super) fn empty() -> (Address, c_int) {
        // SAFETY: the union's fields are integers and arrays of integers, for which all-zero bytes are a value.
        (unsafe { std::mem::zeroed() }, size_of::<Address>() as c_int)
    }

    /// `address` with its length.
    pub(super) fn new(address: SocketAddr) -> (Address, c_int) {
        let (mut made, _) = Address::empty();
        match address {
            SocketAddr::V4(address) => {
                made.v4 = sockaddr_in {
                    sin_family: AF_INET as _,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                    sin_zero: [0; 8],
                };
                (made, size_of::<sockaddr_in>() as c_int)
            }
            SocketAddr::V6(address) => {
                made.v6 = sockaddr_in6 {
                    sin6_family: AF_INET6 as _,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                (made, size_of::<sockaddr_in6>() as c_int)
            }
        }
    }

    pub(super) fn as_ptr(&self) -> *const sockaddr {
        std::ptr::from_ref(self).cast()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut sockaddr {
        std::ptr::from_mut(self).cast()
    }

    /// The address that C has written; `None` for another family.
    pub(super) fn read(&self) -> Option<SocketAddr> {
        // SAFETY: points to a whole address of either family.
        unsafe { read(self.as_ptr()) }
    }
}

/// The address behind a C pointer; `None` for null and for other families than IPv4 and IPv6.
///
/// # Safety
/// `address` is null or points to an address of the length that its family says.
pub(super) unsafe fn read(address: *const sockaddr) -> Option<SocketAddr> {
    // SAFETY: not null, and the family tells the length, as the caller promises.
    unsafe {
        match c_int::from(address.as_ref()?.sa_family) {
            AF_INET => {
                let address = address.cast::<sockaddr_in>().read_unaligned();
                let ip = Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
            }
            AF_INET6 => {
                let address = address.cast::<sockaddr_in6>().read_unaligned();
                let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
                let (port, flow) = (u16::from_be(address.sin6_port), address.sin6_flowinfo);
                Some(SocketAddrV6::new(ip, port, flow, address.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_come_back_as_they_were() {
        for text in ["192.0.2.7:9000", "[2001:db8::1]:65535", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let (made, _) = Address::new(address);
            assert_eq!(made.read(), Some(address));
        }
        assert_eq!(Address::empty().0.read(), None);
    }
}
