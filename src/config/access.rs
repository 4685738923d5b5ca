//! Who may use the API from elsewhere: roles, tokens, and proxies whose word is taken.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::node::Node;
use super::scalar::{Complaint, Scalar, complain};
use super::sink::{Entry, Field, Place, Sink};
use super::values;

/// What a token lets its owner do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See who publishes and what came in.
    Viewer,
    /// Operate channels.
    Operator,
    /// Create and delete channels, see and change keys.
    Admin,
}

impl Role {
    /// All, least first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// As it is written.
    pub fn label(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A token as far as this machine knows it: not the token, but its digest. A token is long and random, so that one round
/// of SHA-256 keeps it as well as a slow hash would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Who has it, for the audit log.
    pub name: String,
    /// What it is good for.
    pub role: Role,
    /// SHA-256 of the token's text.
    pub sha256: [u8; 32],
}

/// Addresses that begin alike: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address is in it; an IPv4 address is the same one when it is mapped into IPv6.
    pub fn holds(&self, address: IpAddr) -> bool {
        let (first, address) = (self.first, address.to_canonical());
        first.is_ipv4() == address.is_ipv4() && (bits(first) ^ bits(address)) & mask(first, self.prefix) == 0
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    }
}

fn mask(address: IpAddr, prefix: u8) -> u128 {
    let width = if address.is_ipv4() { 32 } else { 128 };
    u128::MAX.checked_shl(128 - u32::from(prefix.min(width))).unwrap_or(0)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Network, ()> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let first: IpAddr = address.parse().map_err(drop)?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(width), |prefix| prefix.parse().map_err(drop))?;
        let host_bits = bits(first) & !mask(first, prefix);
        if prefix > width || host_bits != 0 { Err(()) } else { Ok(Network { first, prefix }) }
    }
}

/// Who may use the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessPlan {
    /// Tokens are asked for on loopback listeners too.
    pub loopback_tokens: bool,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<Network>,
    /// Tokens of the configuration; those made by `headend token` are in the state directory.
    pub tokens: Vec<TokenRecord>,
}

/// `[api]` and the `[[token]]` tables.
#[derive(Debug)]
pub struct WrittenAccess {
    loopback_tokens: Field<bool>,
    trusted_proxies: Field<Vec<Entry<Network>>>,
    tokens: Vec<WrittenToken>,
}

#[derive(Debug)]
struct WrittenToken {
    place: Place,
    name: Field<String>,
    role: Field<Role>,
    sha256: Field<[u8; 32]>,
}

/// Reads both.
pub fn written(root: &Node, sink: &mut Sink) -> WrittenAccess {
    let api = root.table("api", sink);
    WrittenAccess {
        loopback_tokens: api.as_ref().map_or(Field::Absent, |api| api.field("loopback_tokens", sink, values::flag)),
        trusted_proxies: api.map_or(Field::Absent, |api| api.list("trusted_proxies", sink, network)),
        tokens: root.tables("token", sink).iter().map(|node| token(node, sink)).collect(),
    }
}

fn token(node: &Node, sink: &mut Sink) -> WrittenToken {
    let roles = Role::ALL.map(|role| (role.label(), role));
    WrittenToken {
        place: node.place().clone(),
        name: node.field("name", sink, values::name),
        role: node.field("role", sink, |scalar| values::one_of(scalar, &roles)),
        sha256: node.field("sha256", sink, digest),
    }
}

fn network(scalar: &Scalar) -> Result<Network, Complaint> {
    let rule = "must be an address, or a network with all bits after its prefix zero";
    scalar
        .text()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Complaint::new(rule, "write for example \"192.0.2.7\" or \"10.0.0.0/8\""))
}

fn digest(scalar: &Scalar) -> Result<[u8; 32], Complaint> {
    let digest = scalar.text().and_then(from_hex);
    digest.map_or_else(
        || complain("must be the 64 hexadecimal digits of a SHA-256", "make a token and its digest with: headend token new NAME --print"),
        Ok,
    )
}

/// 32 bytes of 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = <[u8; 2]>::try_from(pair).ok()?.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(digest)
}

/// The rules; names of tokens differ, so that the audit log tells them apart.
pub fn access(written: &WrittenAccess, sink: &mut Sink) -> AccessPlan {
    let mut tokens: Vec<TokenRecord> = Vec::new();
    for token in &written.tokens {
        let missing =
            [("name", token.name == Field::Absent), ("role", token.role == Field::Absent), ("sha256", token.sha256 == Field::Absent)];
        for (key, _) in missing.iter().filter(|(_, missing)| *missing) {
            sink.add(&token.place.of(key), "is missing", format!("set {key}; headend token new NAME --print writes the whole table"));
        }
        let (Some(name), Some(role), Some(sha256)) = (token.name.given(), token.role.value(), token.sha256.value()) else { continue };
        if tokens.iter().any(|other| other.name == name.value) {
            sink.add(&name.place, "is the name of another token", "give each token a name of its own");
        }
        tokens.push(TokenRecord { name: name.value.clone(), role: *role, sha256: *sha256 });
    }
    let proxies = written.trusted_proxies.value().into_iter().flatten().map(|entry| entry.value).collect();
    AccessPlan { loopback_tokens: written.loopback_tokens.or(false), trusted_proxies: proxies, tokens }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_network_holds_what_begins_like_it() {
        let holds = |network: &str, address: &str| network.parse::<Network>().unwrap().holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "::ffff:192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::1") && !holds("::/0", "10.0.0.1"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        for text in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "example.org", "10.0.0.0/8/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn roles_are_ordered_by_what_they_may_do() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }

    proptest! {
        #[test]
        fn no_network_is_too_odd_to_be_read(text in "[0-9a-f.:/]{0,40}", address: u128) {
            if let Ok(network) = text.parse::<Network>() {
                let _ = network.holds(IpAddr::V6(Ipv6Addr::from_bits(address)));
                prop_assert!(network.holds(network.first));
            }
        }

        #[test]
        fn digests_are_read_back(bytes: [u8; 32]) {
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(from_hex(&text), Some(bytes));
            prop_assert_eq!(from_hex(&text[1..]), None);
        }
    }
}
