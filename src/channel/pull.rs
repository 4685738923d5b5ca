//! Addresses of feeds that the appliance fetches itself: `srt://HOST:PORT?latency=200`, `udp://@239.1.1.1:5000`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// How a feed is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// SRT: we call, or both ends call each other.
    Srt,
    /// MPEG-TS in UDP datagrams.
    Udp,
    /// MPEG-TS in RTP packets.
    Rtp,
}

impl Scheme {
    /// As in an address.
    pub fn label(self) -> &'static str {
        match self {
            Scheme::Srt => "srt",
            Scheme::Udp => "udp",
            Scheme::Rtp => "rtp",
        }
    }

    /// Options that an address of this kind may have, and what each takes.
    fn options(self) -> &'static [(&'static str, Takes)] {
        match self {
            Scheme::Srt => &[
                ("mode", Takes::OneOf(&["caller", "rendezvous"])),
                ("latency", Takes::Number(20, 60_000)),
                ("passphrase", Takes::Length(10, 79)),
                ("pbkeylen", Takes::OneOf(&["16", "24", "32"])),
                ("streamid", Takes::Length(1, 512)),
                ("packetfilter", Takes::Length(1, 512)),
            ],
            Scheme::Udp | Scheme::Rtp => &[("iface", Takes::Length(1, 64)), ("source", Takes::Length(1, 64))],
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Takes {
    OneOf(&'static [&'static str]),
    Number(u32, u32),
    Length(usize, usize),
}

/// A checked address. What it prints has no options: one of them may be a passphrase.
#[derive(Clone, PartialEq, Eq)]
pub struct PullAddress {
    /// How.
    pub scheme: Scheme,
    /// Name or address of the host; the group, for multicast; empty for every local address.
    pub host: String,
    /// The port.
    pub port: u16,
    options: Vec<(String, String)>,
}

impl PullAddress {
    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(option, _)| option == name).map(|(_, value)| value.as_str())
    }

    /// The value of an option that takes a number.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.option(name)?.parse().ok()
    }
}

impl fmt::Display for PullAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{}://[{}]:{}", self.scheme.label(), self.host, self.port),
            false => write!(f, "{}://{}:{}", self.scheme.label(), self.host, self.port),
        }
    }
}

impl fmt::Debug for PullAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with an address: the rule and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}; {remedy}")]
pub struct WrongAddress {
    /// What an address must be.
    pub rule: String,
    /// What to write.
    pub remedy: String,
}

fn wrong(rule: impl Into<String>, remedy: impl Into<String>) -> WrongAddress {
    WrongAddress { rule: rule.into(), remedy: remedy.into() }
}

impl FromStr for PullAddress {
    type Err = WrongAddress;

    fn from_str(text: &str) -> Result<PullAddress, WrongAddress> {
        let example = "write for example \"srt://192.0.2.7:9000?latency=200\" or \"udp://@239.1.1.1:5000\"";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("must be \"publish\" or an address", example))?;
        let scheme = match scheme {
            "srt" => Scheme::Srt,
            "udp" => Scheme::Udp,
            "rtp" => Scheme::Rtp,
            _ => return Err(wrong("must begin with srt://, udp:// or rtp://", example)),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let place = place.trim_end_matches('/').trim_start_matches('@');
        let (host, port) = place.rsplit_once(':').ok_or_else(|| wrong("needs a port after the host", example))?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("needs a port from 1 to 65535", example))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:_%".contains(&byte));
        if !is_name || host.len() > 253 {
            return Err(wrong("names a host that is neither a name nor an address", example));
        }
        if host.is_empty() && scheme == Scheme::Srt {
            return Err(wrong("needs a host to call", "to be called instead, use source = \"publish\": SRT callers come to srt.listen"));
        }
        if scheme != Scheme::Srt && !host.is_empty() && host.parse::<IpAddr>().is_err() {
            let remedy = "write a group or an address of this machine, \"udp://@239.1.1.1:5000\"";
            return Err(wrong("names a host; datagrams are received at an address", remedy));
        }
        let options =
            query.split('&').filter(|option| !option.is_empty()).map(|option| checked(scheme, option)).collect::<Result<_, _>>()?;
        Ok(PullAddress { scheme, host: host.to_owned(), port, options })
    }
}

fn checked(scheme: Scheme, option: &str) -> Result<(String, String), WrongAddress> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let value = percent_decoded(value).ok_or_else(|| wrong(format!("has a damaged %-escape in option {name:?}"), "write % as %25"))?;
    let Some((_, takes)) = scheme.options().iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = scheme.options().iter().map(|(name, _)| *name).collect();
        return Err(wrong(format!("has no option {name:?}"), format!("options of {}:// are {}", scheme.label(), known.join(", "))));
    };
    let (fits, rule) = match takes {
        Takes::OneOf(values) => (values.contains(&value.as_str()), format!("one of {}", values.join(", "))),
        Takes::Number(least, most) => {
            let fits = value.parse::<u32>().is_ok_and(|number| (*least..=*most).contains(&number));
            (fits, format!("a number from {least} to {most}"))
        }
        Takes::Length(least, most) => ((*least..=*most).contains(&value.len()), format!("{least} to {most} bytes")),
    };
    match fits {
        true => Ok((name.to_owned(), value)),
        false => Err(wrong(format!("option {name} takes {rule}"), format!("correct {name}=..."))),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        let srt: PullAddress = "srt://encoder.example:9000?mode=caller&latency=200&passphrase=correct%20horse%20staple".parse().unwrap();
        assert_eq!((srt.scheme, srt.host.as_str(), srt.port), (Scheme::Srt, "encoder.example", 9000));
        assert_eq!((srt.number("latency"), srt.option("passphrase")), (Some(200), Some("correct horse staple")));
        let udp: PullAddress = "udp://@239.1.1.1:5000?iface=eth0".parse().unwrap();
        assert_eq!((udp.host.as_str(), udp.option("iface")), ("239.1.1.1", Some("eth0")));
        assert_eq!("udp://:5000".parse::<PullAddress>().unwrap().host, "");
        assert_eq!("rtp://[ff3e::1]:5004".parse::<PullAddress>().unwrap().to_string(), "rtp://[ff3e::1]:5004");
    }

    #[test]
    fn a_passphrase_is_never_printed() {
        let address: PullAddress = "srt://192.0.2.1:9000?passphrase=secretsecret".parse().unwrap();
        assert_eq!(format!("{address} {address:?}"), "srt://192.0.2.1:9000 srt://192.0.2.1:9000");
    }

    #[test]
    fn what_is_wrong_is_said_with_the_remedy() {
        let refusal = |text: &str| text.parse::<PullAddress>().unwrap_err().to_string();
        assert!(refusal("srt://host").contains("needs a port"));
        assert!(refusal("http://host:1").contains("srt://, udp:// or rtp://"));
        assert!(refusal("srt://:9000").contains("srt.listen"));
        assert!(refusal("srt://h:1?latncy=3").contains("no option \"latncy\"") && refusal("srt://h:1?latncy=3").contains("latency"));
        assert!(refusal("srt://h:1?passphrase=short").contains("10 to 79 bytes"));
        assert!(refusal("udp://h\u{e4}:1").contains("host"));
        assert!(refusal("udp://encoder.example:5000").contains("names a host"));
    }
}
