//! What belongs to the whole appliance: listeners and the state directory.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::sink::Sink;
use super::written::Written;
use super::{HTTP_PORT, HTTPS_PORT, RTMP_PORT, RTMPS_PORT, SRT_PORT};

/// Where the appliance listens.
pub struct Listeners {
    /// Viewers, TCP.
    pub http: SocketAddr,
    /// RTMP publishers, TCP.
    pub rtmp: Option<SocketAddr>,
    /// Viewers through TLS, TCP.
    pub https: Option<SocketAddr>,
    /// RTMP publishers through TLS, TCP.
    pub rtmps: Option<SocketAddr>,
    /// SRT callers, UDP: it overlaps with none of the others.
    pub srt: Option<SocketAddr>,
}

/// The listeners: loopback where the file is silent or wrong, and TLS only where it is asked for.
pub fn listeners(written: &Written, sink: &mut Sink) -> Listeners {
    let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let http = written.http.or(local(HTTP_PORT));
    let rtmp = written.rtmp.or(Some(local(RTMP_PORT)));
    let (https, rtmps) = (written.https.or(None), written.rtmps.or(None));
    let tcp = [
        ("http", Some(http), written.http.given().map(|entry| &entry.place), HTTP_PORT),
        ("rtmp", rtmp, written.rtmp.given().map(|entry| &entry.place), RTMP_PORT),
        ("https", https, written.https.given().map(|entry| &entry.place), HTTPS_PORT),
        ("rtmps", rtmps, written.rtmps.given().map(|entry| &entry.place), RTMPS_PORT),
    ];
    for (index, (one, one_address, one_place, one_port)) in tcp.iter().enumerate() {
        for (other, other_address, other_place, other_port) in tcp.iter().skip(index + 1) {
            let (Some(a), Some(b)) = (one_address, other_address) else { continue };
            // Whichever of the two was written is the one to speak of.
            let (true, Some(place)) = (overlap(*a, *b), other_place.or(*one_place)) else { continue };
            let rule = format!("overlaps: {one} would listen on {a} and {other} on {b}");
            sink.add(place, rule, format!("give them different ports, for example {one_port} and {other_port}"));
        }
    }
    Listeners { http, rtmp, https, rtmps, srt: written.srt.or(Some(local(SRT_PORT))) }
}

/// Whether two listeners want the same port of the same interface. Port 0 is chosen by the system and never overlaps.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    // [::] takes IPv4 connections too.
    let every = |v6_too: bool| a.is_ipv6() == b.is_ipv6() || v6_too;
    let all = (a.is_unspecified() && every(a.is_ipv6())) || (b.is_unspecified() && every(b.is_ipv6()));
    one.port() == other.port() && one.port() != 0 && (a == b || all)
}

/// Where the state directory is if nobody says so: systemd's `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/headend`, else
/// `~/.local/state/headend`, else, without a home, `/var/lib/headend`.
pub fn default_state_dir(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    // systemd lists several directories with colons; the first is the unit's own (systemd.exec(5)).
    let first = |value: OsString| std::env::split_paths(&value).next();
    let absolute = |path: Option<PathBuf>| path.filter(|path| path.is_absolute());
    let systemd = absolute(variable("STATE_DIRECTORY").and_then(first));
    let xdg = || absolute(variable("XDG_STATE_HOME").map(PathBuf::from)).map(|path| path.join("headend"));
    let home = || absolute(variable("HOME").map(PathBuf::from)).map(|path| path.join(".local/state/headend"));
    systemd.or_else(xdg).or_else(home).unwrap_or_else(|| PathBuf::from("/var/lib/headend"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_overlap_on_the_same_port_of_a_common_interface() {
        let overlap = |a: &str, b: &str| overlap(a.parse().unwrap(), b.parse().unwrap());
        assert!(overlap("127.0.0.1:80", "127.0.0.1:80"));
        assert!(overlap("0.0.0.0:80", "127.0.0.1:80") && overlap("127.0.0.1:80", "[::]:80") && overlap("[::]:80", "[::1]:80"));
        assert!(!overlap("127.0.0.1:80", "127.0.0.1:81") && !overlap("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!overlap("127.0.0.1:0", "127.0.0.1:0") && !overlap("0.0.0.0:80", "[::1]:80"));
    }

    #[test]
    fn the_state_directory_follows_systemd_then_xdg_then_home() {
        let dir = |pairs: &'static [(&str, &str)]| {
            let variable = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            default_state_dir(variable).display().to_string()
        };
        assert_eq!(dir(&[("STATE_DIRECTORY", "/var/lib/a:/b"), ("HOME", "/home/x")]), "/var/lib/a");
        assert_eq!(dir(&[("XDG_STATE_HOME", "/s"), ("HOME", "/home/x")]), "/s/headend");
        assert_eq!(dir(&[("XDG_STATE_HOME", "relative"), ("HOME", "/home/x")]), "/home/x/.local/state/headend");
        assert_eq!(dir(&[("STATE_DIRECTORY", ""), ("HOME", "")]), "/var/lib/headend");
    }
}
