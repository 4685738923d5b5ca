//! Where a UDP feed comes from, as a URL.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use crate::base::Fault;

/// A receive buffer for a burst of a second at 30 Mb/s.
const DEFAULT_BUFFER_BYTES: usize = 4 << 20;

/// An interface to receive a group on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// By its name, `eth0`.
    Name(String),
    /// By its IPv4 address.
    Address(Ipv4Addr),
}

/// A UDP feed: `udp://[@]ADDRESS:PORT[?iface=eth0][&source=ADDRESS][&buffer=BYTES]`, or `rtp://` likewise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpSource {
    /// The group, or the local address to receive at (unspecified: all of them), and the port.
    pub address: SocketAddr,
    /// The interface on which a group is joined; the system's choice without one.
    pub interface: Option<Interface>,
    /// The only sender of a group that is wanted (source-specific multicast, IPv4).
    pub sender: Option<IpAddr>,
    /// What the kernel is asked to buffer, in bytes.
    pub buffer_bytes: usize,
    /// RTP was promised; without it both are recognised.
    pub rtp: bool,
}

/// A URL that names no UDP feed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UdpSourceError {
    /// The scheme is another.
    #[error("{0:?} is no UDP feed: write udp://ADDRESS:PORT or rtp://ADDRESS:PORT")]
    Scheme(String),
    /// Address or port do not parse. Names are not looked up: a feed must not change with a name server's mood.
    #[error("{0:?} is no address with port: write an IP address and a port, udp://@239.1.1.1:5000, udp://[ff15::1]:5000, udp://@:5000")]
    Address(String),
    /// The port is zero.
    #[error("port 0 cannot be received at: write a port from 1 to 65535")]
    Port,
    /// A path or fragment.
    #[error("{0:?} after the port means nothing: only ?iface=, &source= and &buffer= may follow")]
    Path(String),
    /// An option that is not known.
    #[error("option {0:?} is not known: iface, source and buffer are")]
    Option(String),
    /// An option with a value that it cannot have.
    #[error("{key} = {value:?}: {rule}")]
    Value {
        /// The option.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        rule: &'static str,
    },
    /// An option of groups for an address that is none.
    #[error("{key} is for multicast groups (224.0.0.0/4, ff00::/8), and {address} is none")]
    NotMulticast {
        /// The option.
        key: &'static str,
        /// The address.
        address: IpAddr,
    },
}

impl UdpSourceError {
    /// The class.
    pub fn fault(&self) -> Fault {
        Fault::Config
    }
}

impl FromStr for UdpSource {
    type Err = UdpSourceError;

    fn from_str(url: &str) -> Result<UdpSource, UdpSourceError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| UdpSourceError::Scheme(url.into()))?;
        let rtp = match scheme {
            "udp" => false,
            "rtp" => true,
            _ => return Err(UdpSourceError::Scheme(url.into())),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, path) = place.find(['/', '#']).map_or((place, ""), |at| place.split_at(at));
        if !matches!(path, "" | "/") {
            return Err(UdpSourceError::Path(path.into()));
        }
        let address = address(place.strip_prefix('@').unwrap_or(place))?;
        let mut source = UdpSource { address, interface: None, sender: None, buffer_bytes: DEFAULT_BUFFER_BYTES, rtp };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            source.set(option)?;
        }
        Ok(source)
    }
}

impl UdpSource {
    /// Whether the address is a group.
    pub fn is_multicast(&self) -> bool {
        self.address.ip().is_multicast()
    }

    fn set(&mut self, option: &str) -> Result<(), UdpSourceError> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let wrong = |key, rule| UdpSourceError::Value { key, value: value.into(), rule };
        match key {
            "iface" => {
                self.only_multicast("iface")?;
                self.interface = Some(interface(value).ok_or(wrong("iface", "an interface's name, or its IPv4 address"))?);
            }
            "source" => {
                self.only_multicast("source")?;
                let sender: IpAddr = value.parse().map_err(|_| wrong("source", "the IP address of the sender"))?;
                if sender.is_multicast() || !sender.is_ipv4() || !self.address.is_ipv4() {
                    return Err(wrong("source", "an IPv4 address that is no group, for an IPv4 group"));
                }
                self.sender = Some(sender);
            }
            "buffer" => {
                let bytes = value.parse().ok().filter(|bytes| (65_536..=1 << 30).contains(bytes));
                self.buffer_bytes = bytes.ok_or(wrong("buffer", "65536 to 1073741824 bytes"))?;
            }
            _ => return Err(UdpSourceError::Option(key.into())),
        }
        Ok(())
    }

    fn only_multicast(&self, key: &'static str) -> Result<(), UdpSourceError> {
        let address = self.address.ip();
        if self.is_multicast() { Ok(()) } else { Err(UdpSourceError::NotMulticast { key, address }) }
    }
}

fn address(text: &str) -> Result<SocketAddr, UdpSourceError> {
    let whole = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let address: SocketAddr = whole.parse().map_err(|_| UdpSourceError::Address(text.into()))?;
    if address.port() == 0 { Err(UdpSourceError::Port) } else { Ok(address) }
}

fn interface(text: &str) -> Option<Interface> {
    if let Ok(address) = text.parse() {
        return Some(Interface::Address(address));
    }
    // As the kernel has it (dev_valid_name): it becomes part of a path.
    let valid = (1..16).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.contains(['/', ':'])
        && text.bytes().all(|b| b.is_ascii_graphic());
    valid.then(|| Interface::Name(text.into()))
}

impl fmt::Display for UdpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.rtp { "rtp" } else { "udp" }, if self.is_multicast() { "@" } else { "" }, self.address)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_and_addresses_of_both_families_are_read() {
        let of = |url: &str| url.parse::<UdpSource>().unwrap();
        let group = of("udp://@239.1.1.1:5000?iface=eth0&source=10.0.0.7&buffer=1000000");
        assert_eq!((group.address.to_string().as_str(), group.is_multicast(), group.rtp), ("239.1.1.1:5000", true, false));
        assert_eq!(
            (group.interface, group.sender, group.buffer_bytes),
            (Some(Interface::Name("eth0".into())), "10.0.0.7".parse().ok(), 1_000_000)
        );
        assert_eq!(of("udp://239.1.1.1:5000?iface=10.0.0.1").interface, Some(Interface::Address(Ipv4Addr::new(10, 0, 0, 1))));
        assert_eq!(of("rtp://[ff15::1]:5004/").to_string(), "rtp://@[ff15::1]:5004");
        assert_eq!(of("udp://@:5000").address, "0.0.0.0:5000".parse().unwrap());
        assert_eq!(of("udp://127.0.0.1:5000").to_string(), "udp://127.0.0.1:5000");
    }

    #[test]
    fn what_is_wrong_is_said_with_the_rule() {
        for (url, expected) in [
            ("rist://1.2.3.4:5", "\"rist://1.2.3.4:5\" is no UDP feed: write udp://ADDRESS:PORT or rtp://ADDRESS:PORT"),
            ("udp://239.1.1.1:0", "port 0 cannot be received at: write a port from 1 to 65535"),
            ("udp://239.1.1.1:5000/a", "\"/a\" after the port means nothing: only ?iface=, &source= and &buffer= may follow"),
            ("udp://239.1.1.1:5000?ttl=3", "option \"ttl\" is not known: iface, source and buffer are"),
            ("udp://239.1.1.1:5000?iface=../x", "iface = \"../x\": an interface's name, or its IPv4 address"),
            ("udp://239.1.1.1:5000?buffer=9", "buffer = \"9\": 65536 to 1073741824 bytes"),
            ("udp://10.0.0.1:5000?iface=eth0", "iface is for multicast groups (224.0.0.0/4, ff00::/8), and 10.0.0.1 is none"),
            ("udp://[ff15::1]:5000?source=::1", "source = \"::1\": an IPv4 address that is no group, for an IPv4 group"),
        ] {
            assert_eq!(url.parse::<UdpSource>().unwrap_err().to_string(), expected);
        }
        assert!(matches!("udp://example.com:5000".parse::<UdpSource>(), Err(UdpSourceError::Address(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_a_source_or_an_error(text in "(udp|rtp)://[@]?.{0,40}") {
            if let Ok(source) = text.parse::<UdpSource>() {
                prop_assert_eq!(source.to_string().parse::<UdpSource>().unwrap().address, source.address);
            }
        }
    }
}
