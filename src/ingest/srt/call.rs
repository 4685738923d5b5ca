//! Outgoing connections: looked up, made, and made again after a wait that doubles.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::config::SrtCall;
use crate::base::backoff::Backoff;
use crate::base::{Mono, clock};
use crate::wire::link::gateway::{Call, Secret};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// What a look-up found, for the call of this number.
pub(super) type Found = (u16, Result<SocketAddr, String>);

/// One outgoing connection.
#[derive(Debug)]
pub(super) struct Calling {
    config: SrtCall,
    backoff: Backoff,
    /// When to try next; `None` while an attempt or a connection is under way.
    due: Option<Mono>,
    /// The gateway has an attempt or a connection of it, or will be given one when the look-up ends.
    is_under_way: bool,
    /// Nobody wants it any more.
    is_over: bool,
}

impl Calling {
    fn new(config: SrtCall, now: Mono) -> Calling {
        Calling { config, backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT), due: Some(now), is_under_way: false, is_over: false }
    }

    /// Nobody wants it any more.
    fn end(&mut self) {
        (self.is_over, self.due) = (true, None);
    }

    /// Whether somebody wants it.
    fn is_wanted(&self) -> bool {
        !self.is_over
    }

    /// The stream key of its channel.
    pub(super) fn key(&self) -> &Secret {
        &self.config.key
    }

    /// Whom it calls.
    pub(super) fn remote(&self) -> &str {
        &self.config.remote
    }

    /// Begins an attempt when one is due: its address comes by `found`.
    fn begin_if_due(&mut self, number: u16, now: Mono, found: &mpsc::Sender<Found>) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        (self.due, self.is_under_way) = (None, true);
        let (remote, found) = (self.config.remote.clone(), found.clone());
        tokio::spawn(async move {
            let address = match timeout(LOOKUP_LIMIT, lookup_host(&remote)).await {
                Ok(Ok(mut addresses)) => addresses.next().ok_or_else(|| "the name has no address".to_owned()),
                Ok(Err(cause)) => Err(cause.to_string()),
                Err(_) => Err("the name service does not answer".to_owned()),
            };
            // The session has ended when nobody takes it.
            let _ = found.send((number, address)).await;
        });
    }

    /// The call to `remote`.
    fn message(&self, number: u16, remote: SocketAddr) -> Call {
        let SrtCall { rendezvous, stream_id, security, options, .. } = self.config.clone();
        Call { call: number, remote, rendezvous, stream_id, security, options }
    }

    /// The connection works.
    fn succeeded(&mut self) {
        self.backoff.succeeded();
    }

    /// The attempt failed or the connection is no more; tells how long it waits.
    fn failed(&mut self) -> Duration {
        self.is_under_way = false;
        let wait = self.backoff.failed();
        self.due = self.is_wanted().then(|| clock::mono().after(wait));
        wait
    }
}

/// All outgoing connections; the gateway knows them by their numbers.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Calling>,
    /// The call that made a connection.
    of_caller: BTreeMap<u64, u16>,
}

impl Calls {
    /// Makes them those that are wanted. The ones that go on keep their connection; gives the connections that are to be closed.
    pub(super) fn take(&mut self, wanted: &[SrtCall], now: Mono) -> Vec<u64> {
        let mut closed = Vec::new();
        for (number, calling) in (0u16..).zip(&mut self.calls) {
            if calling.is_wanted() && !wanted.contains(&calling.config) {
                calling.end();
                closed.extend(self.of_caller.iter().filter(|(_, call)| **call == number).map(|(caller, _)| *caller));
            }
        }
        for call in wanted {
            if self.calls.iter().any(|calling| calling.is_wanted() && calling.config == *call) {
                continue;
            }
            // What an ended call still has under way arrives under its number, and is nobody else's.
            match self.calls.iter_mut().find(|calling| calling.is_over && !calling.is_under_way) {
                Some(place) => *place = Calling::new(call.clone(), now),
                None => self.calls.push(Calling::new(call.clone(), now)),
            }
        }
        closed
    }

    /// Begins the attempts that are due: their addresses come by `found`.
    pub(super) fn begin(&mut self, now: Mono, found: &mpsc::Sender<Found>) {
        for (number, call) in (0..).zip(&mut self.calls) {
            call.begin_if_due(number, now, found);
        }
    }

    /// The call to make, now that its address is known; `None` where nobody wants it any more.
    pub(super) fn message(&mut self, number: u16, remote: SocketAddr) -> Option<Call> {
        let calling = self.calls.get_mut(usize::from(number))?;
        if calling.is_over {
            calling.is_under_way = false;
            return None;
        }
        Some(calling.message(number, remote))
    }

    /// A connection has been made; gives the stream key of its channel, if somebody wants it.
    pub(super) fn arrived(&mut self, number: u16, caller: u64) -> Option<&Secret> {
        self.of_caller.insert(caller, number);
        self.calls.get(usize::from(number)).filter(|calling| calling.is_wanted()).map(Calling::key)
    }

    /// A connection was admitted.
    pub(super) fn admitted(&mut self, number: u16) {
        if let Some(calling) = self.calls.get_mut(usize::from(number)) {
            calling.succeeded();
        }
    }

    /// A connection is no more; gives its call, if it was one's.
    pub(super) fn left(&mut self, caller: u64) -> Option<u16> {
        self.of_caller.remove(&caller)
    }

    /// An attempt failed, or its connection is no more: whom it called, and how long it waits, where somebody wants it.
    pub(super) fn failed(&mut self, number: u16) -> Option<(&str, Duration)> {
        let calling = self.calls.get_mut(usize::from(number))?;
        let wait = calling.failed();
        calling.is_wanted().then(|| (calling.remote(), wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::gateway::Options;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9000);

    fn call(key: &str) -> SrtCall {
        let remote = format!("{key}.example:9000");
        SrtCall { key: Secret::new(key), remote, rendezvous: None, stream_id: None, security: None, options: Options::default() }
    }

    /// As [`Calls::begin`], without a look-up.
    fn begin(calls: &mut Calls) {
        calls.calls.iter_mut().filter(|call| call.due.is_some()).for_each(|call| (call.due, call.is_under_way) = (None, true));
    }

    #[test]
    fn calls_that_go_on_keep_their_connections_and_the_others_are_closed() {
        let mut calls = Calls::default();
        assert!(calls.take(&[call("a"), call("b")], Mono(0)).is_empty());
        begin(&mut calls);
        assert_eq!(calls.arrived(0, 70).map(Secret::reveal), Some("a"));
        assert_eq!(calls.arrived(1, 71).map(Secret::reveal), Some("b"));
        assert_eq!(calls.take(&[call("b"), call("c")], Mono(1)), [70]);
        assert!(calls.take(&[call("b"), call("c")], Mono(2)).is_empty());
        assert_eq!(calls.take(&[], Mono(3)), [71]);
        assert_eq!((calls.left(71), calls.left(71)), (Some(1), None));
        assert!(calls.failed(1).is_none(), "nobody wants it made again");
    }

    #[test]
    fn a_connection_of_an_ended_call_is_not_taken_for_the_one_that_follows_it() {
        let mut calls = Calls::default();
        calls.take(&[call("old")], Mono(0));
        begin(&mut calls);
        calls.take(&[call("new")], Mono(1));
        assert_eq!(calls.message(1, PEER).map(|call| call.call), Some(1), "it has a number of its own");
        assert!(calls.arrived(0, 7).is_none(), "the old one connects late");
        let gone = calls.left(7).unwrap();
        assert!(calls.failed(gone).is_none());
        calls.take(&[call("new"), call("third")], Mono(2));
        assert_eq!(calls.arrived(0, 8).map(Secret::reveal), Some("third"), "its number is free again");
    }

    #[test]
    fn a_call_that_ends_during_its_look_up_is_not_made() {
        let mut calls = Calls::default();
        calls.take(&[call("old")], Mono(0));
        begin(&mut calls);
        calls.take(&[], Mono(1));
        assert!(calls.message(0, PEER).is_none());
        calls.take(&[call("new")], Mono(2));
        assert_eq!(calls.arrived(0, 9).map(Secret::reveal), Some("new"));
    }
}
