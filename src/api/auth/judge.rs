//! The decision, without sockets and clocks.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, FORWARDED, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};

use super::book::TokenBook;
use super::{Caller, LOCAL, NOBODY};
use crate::base::attempts::Attempts;
use crate::base::{Arrival, Mono};
use crate::config::{Network, Role};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// What the audit log calls somebody who came over the control socket without a token. No token is named so.
const CONTROL: &str = "control.sock";

/// What the configuration says.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) loopback_tokens: bool,
    pub(super) trusted_proxies: Vec<Network>,
}

/// What a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Role(Role),
}

/// Whether an address is one of the API.
pub(super) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

impl Need {
    /// Whatever changes something needs an operator unless it is listed, so that a new call is not open by mistake. Looking is
    /// free, but for what shows peers or keys. Static parts of an address are compared as they are written, by the router too.
    pub(super) fn of(method: &Method, path: &str) -> Need {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let is_safe = super::is_safe(method);
        if !is_api(path) {
            return if is_safe { Need::Nothing } else { Need::Role(Role::Operator) };
        }
        match (is_safe, parts.as_slice()) {
            (_, ["api", "v1", "keys", ..] | ["api", "v1", "channels", _, "keys", ..]) => Need::Role(Role::Admin),
            (true, ["api", "v1", "channels", _, "flight"] | ["api", "v1", "events", ..]) => Need::Role(Role::Viewer),
            (true, _) => Need::Nothing,
            (false, ["api", "v1", "channels"] | ["api", "v1", "channels", _]) => Need::Role(Role::Admin),
            (false, _) => Need::Role(Role::Operator),
        }
    }
}

/// A request as far as the decision looks at it.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub(super) need: Need,
    /// It may change something.
    pub(super) changes: bool,
    pub(super) arrival: Arrival,
    /// The host that the request names: `Host`, or `:authority` in HTTP/2.
    pub(super) host: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denial {
    #[error("it is not known where the request came from")]
    Unknown,
    #[error("this call needs a token")]
    NoToken,
    #[error("this call needs a token, and this machine has none")]
    NoneExists,
    #[error("the token is not known here")]
    WrongToken,
    #[error("the token came over a connection that others can read")]
    InTheClear,
    #[error("the token's role is not enough: the call needs {needed}")]
    Role { needed: Role },
    #[error("the request was sent by a page of another site")]
    OtherSite,
    #[error("too many failed attempts came from this address")]
    TooMany(Duration),
}

impl Denial {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Denial::NoToken | Denial::WrongToken => StatusCode::UNAUTHORIZED,
            Denial::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::FORBIDDEN,
        }
    }

    /// The value of the `reason` label.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Denial::Unknown => "unknown",
            Denial::NoToken => "no_token",
            Denial::NoneExists => "none_exists",
            Denial::WrongToken => "wrong_token",
            Denial::InTheClear => "in_the_clear",
            Denial::Role { .. } => "role",
            Denial::OtherSite => "other_site",
            Denial::TooMany(_) => "too_many",
        }
    }

    /// What to do.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Denial::Unknown => "this is a defect of headend; please report it",
            Denial::NoToken => "send Authorization: Bearer TOKEN over https, or ask on the machine itself over a loopback listener",
            Denial::NoneExists => "make one on the machine with: headend token new NAME --role operator",
            Denial::WrongToken => "headend token list shows which are known, headend token new makes another",
            Denial::InTheClear => {
                "use https ([https] in the configuration), or name the proxy that ends TLS in api.trusted_proxies; if the token was real, \
                 revoke it with headend token revoke NAME"
            }
            Denial::Role { .. } => "make a token with that role: headend token new NAME --role ROLE",
            Denial::OtherSite => "send it from a program, or from a page of this machine under the very name in its address",
            Denial::TooMany(_) => "wait as long as Retry-After says",
        }
    }

    /// RFC 6750 section 3.
    pub(super) fn challenge(&self) -> Option<&'static str> {
        match self {
            Denial::NoToken => Some("Bearer realm=\"headend\""),
            Denial::WrongToken => Some("Bearer realm=\"headend\", error=\"invalid_token\""),
            Denial::Role { .. } => Some("Bearer realm=\"headend\", error=\"insufficient_scope\""),
            _ => None,
        }
    }
}

/// Where a request began, and whether nobody between there and here could read it.
struct Origin {
    address: IpAddr,
    secure: bool,
    local: bool,
    /// Whoever asks may open the control socket.
    control: bool,
}

/// Who asks, or why the request is denied. A token that is sent is checked even where none is needed.
pub(super) fn judge(rules: &Rules, book: &TokenBook, attempts: &mut Attempts, asking: &Asking, now: Mono) -> Result<Caller, Denial> {
    let origin = origin(rules, asking);
    let Some(token) = bearer(asking.headers) else {
        return match asking.need {
            _ if origin.control => Ok(Caller { name: CONTROL.to_owned(), role: Some(Role::Admin), address: origin.address }),
            // A browser adds no token by itself, so only rights without one can be borrowed by a page of another site.
            _ if origin.local && !rules.loopback_tokens && asking.changes && !is_same_site(asking) => Err(Denial::OtherSite),
            _ if origin.local && !rules.loopback_tokens => {
                Ok(Caller { name: LOCAL.to_owned(), role: Some(Role::Admin), address: origin.address })
            }
            Need::Nothing => Ok(Caller { name: NOBODY.to_owned(), role: None, address: origin.address }),
            Need::Role(_) if book.is_empty() => Err(Denial::NoneExists),
            Need::Role(_) => Err(Denial::NoToken),
        };
    };
    if let Some(wait) = attempts.wait(origin.address, now) {
        return Err(Denial::TooMany(wait));
    }
    if !origin.secure {
        return Err(Denial::InTheClear);
    }
    let Some((name, role)) = book.find(token) else {
        attempts.failed(origin.address, now);
        return Err(Denial::WrongToken);
    };
    match asking.need {
        Need::Role(needed) if role < needed => Err(Denial::Role { needed }),
        _ => Ok(Caller { name, role: Some(role), address: origin.address }),
    }
}

/// The scheme's name is in any case (RFC 9110 section 11.1). What cannot be read is a wrong token, not a missing one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

fn origin(rules: &Rules, asking: &Asking) -> Origin {
    let Asking { arrival, headers, .. } = asking;
    let peer = arrival.peer.ip().to_canonical();
    // Headers of a proxy that nobody vouches for: whoever is behind it is not this machine.
    let is_forwarded = [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED].iter().any(|name| headers.contains_key(name));
    if arrival.control {
        return Origin { address: peer, secure: !is_forwarded, local: false, control: !is_forwarded };
    }
    let is_trusted = |address: IpAddr| rules.trusted_proxies.iter().any(|proxy| proxy.holds(address));
    if is_trusted(peer) {
        let protocol = headers.get_all(FORWARDED_PROTO).iter().next_back().and_then(|value| value.to_str().ok());
        let secure = protocol.and_then(|list| list.rsplit(',').next()).is_some_and(|last| last.trim().eq_ignore_ascii_case("https"));
        return Origin { address: forwarded_for(headers, is_trusted).unwrap_or(peer), secure, local: false, control: false };
    }
    let local = arrival.local_listener && peer.is_loopback() && !is_forwarded && names_this_machine(asking.host);
    Origin { address: peer, secure: arrival.over_tls || (peer.is_loopback() && !is_forwarded), local, control: false }
}

/// The nearest address that no trusted proxy has: those before it are hearsay.
fn forwarded_for(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let lines: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut nearest_first = lines.iter().rev().flat_map(|line| line.rsplit(','));
    let mut last = None;
    for entry in nearest_first.by_ref().take(32) {
        let address: IpAddr = entry.trim().trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        last = Some(address.to_canonical());
        if !is_trusted(address) {
            break;
        }
    }
    last
}

/// A page from elsewhere can make its own name mean 127.0.0.1 (DNS rebinding); it cannot make `localhost` or an address mean itself.
fn names_this_machine(host: Option<&str>) -> bool {
    let Some(host) = host else { return true };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_address = name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost")
}

/// Browsers say where a request comes from that may change something (Fetch, `Origin` header); programs do not.
fn is_same_site(asking: &Asking) -> bool {
    let Some(origin) = asking.headers.get(ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_some() && authority == asking.host
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::config::AccessPlan;

    #[test]
    fn who_may_open_the_control_socket_is_an_admin_whatever_listeners_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        let book = TokenBook::new(AccessPlan::default().tokens, folder.path());
        let rules = Rules { loopback_tokens: true, trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()] };
        let mut headers = HeaderMap::new();
        let asked = |control: bool, headers: &HeaderMap| {
            let arrival = Arrival { peer: "127.0.0.1:0".parse().unwrap(), over_tls: false, local_listener: true, control };
            let asking = Asking { need: Need::Role(Role::Admin), changes: true, arrival, host: Some("headend"), headers };
            judge(&rules, &book, &mut Attempts::default(), &asking, Mono(0)).map(|caller| (caller.name, caller.role))
        };
        assert_eq!(asked(true, &headers), Ok((CONTROL.to_owned(), Some(Role::Admin))));
        assert_eq!(asked(false, &headers), Err(Denial::NoneExists));
        headers.insert(FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
        assert_eq!(asked(true, &headers), Err(Denial::NoneExists), "a proxy in front of it is not its owner");
    }
}
