//! Outgoing connections: looked up, made, and made again after a wait that doubles.

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
    /// Nobody wants it any more.
    is_over: bool,
}

impl Calling {
    pub(super) fn new(config: SrtCall, now: Mono) -> Calling {
        Calling { config, backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT), due: Some(now), is_over: false }
    }

    /// What it was made of.
    pub(super) fn config(&self) -> &SrtCall {
        &self.config
    }

    /// Nobody wants it any more.
    pub(super) fn end(&mut self) {
        (self.is_over, self.due) = (true, None);
    }

    /// Whether somebody wants it.
    pub(super) fn is_wanted(&self) -> bool {
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
    pub(super) fn begin_if_due(&mut self, number: u16, now: Mono, found: &mpsc::Sender<Found>) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        self.due = None;
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
    pub(super) fn message(&self, number: u16, remote: SocketAddr) -> Call {
        let SrtCall { rendezvous, stream_id, security, options, .. } = self.config.clone();
        Call { call: number, remote, rendezvous, stream_id, security, options }
    }

    /// The connection works.
    pub(super) fn succeeded(&mut self) {
        self.backoff.succeeded();
    }

    /// The attempt failed or the connection is no more; tells how long it waits.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = self.backoff.failed();
        self.due = self.is_wanted().then(|| clock::mono().after(wait));
        wait
    }
}
