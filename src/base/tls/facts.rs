//! What a certificate says of itself: its names and its time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use crate::base::WallTime;

/// Names and validity of an end-entity certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// DNS names in lower case, `*.` in front of wildcards, and addresses. The subject's common name does not count: clients
    /// have stopped looking at it (RFC 9525 section 2).
    pub(super) names: Vec<String>,
    pub(super) not_before: WallTime,
    pub(super) not_after: WallTime,
}

impl Facts {
    /// Reads a certificate in DER; `None` where it is none.
    pub(super) fn of(der: &[u8]) -> Option<Facts> {
        let certificate = Certificate::from_der(der).ok()?;
        let body = certificate.tbs_certificate();
        let names = match body.get_extension::<SubjectAltName>() {
            Ok(Some((_, SubjectAltName(names)))) => names.iter().filter_map(name).collect(),
            _ => Vec::new(),
        };
        let validity = body.validity();
        Some(Facts { names, not_before: wall(validity.not_before), not_after: wall(validity.not_after) })
    }
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_lowercase()),
        GeneralName::IpAddress(octets) => address(octets.as_bytes()).map(|address| address.to_string()),
        _ => None,
    }
}

/// RFC 5280 section 4.2.1.6: four or sixteen octets.
fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))).ok()
}

fn wall(time: Time) -> WallTime {
    WallTime(i64::try_from(time.to_unix_duration().as_micros()).unwrap_or(i64::MAX))
}

/// Whether a certificate's name is that of `host`, in lower case. A wildcard stands for one whole label (RFC 9525 section 6.3).
pub(super) fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == host,
    }
}
