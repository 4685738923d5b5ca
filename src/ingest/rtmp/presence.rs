//! Which publishers still speak, so that one that is silent does not keep its own return off the air.
//!
//! An encoder that lost its network comes back while its old connection looks alive: nothing has told this side of its end.
//! A channel that refuses second publishers would turn it away until the idle deadline. So a newcomer that is refused
//! for another publisher's sake waits until that one speaks, which proves it alive, or has been silent for long enough,
//! and then takes its place. A channel with a live publisher refuses as before.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::base::{Mono, clock};

/// For a publisher that gives way to be gone.
const GIVING_WAY: Duration = Duration::from_secs(2);

/// What is known of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sign {
    /// When its last picture or sound came.
    heard: Mono,
    /// It is not read at the moment, because its channel is busy: silence then means nothing.
    held_back: bool,
}

/// One publisher's side: it shows signs of life, and is told to give way.
#[derive(Debug)]
pub(super) struct Presence {
    peer: SocketAddr,
    signs: watch::Sender<Sign>,
    give_way: watch::Receiver<bool>,
    registry: Registry,
}

/// The other side, for newcomers.
#[derive(Clone, Debug)]
struct Seen {
    signs: watch::Receiver<Sign>,
    give_way: Arc<watch::Sender<bool>>,
}

/// The publishers of a listener, by their addresses. A clone is the same registry.
#[derive(Clone, Debug, Default)]
pub(super) struct Registry(Arc<Mutex<HashMap<SocketAddr, Seen>>>);

impl Registry {
    /// Enters a publisher that was admitted now.
    pub(super) fn enter(&self, peer: SocketAddr) -> Presence {
        let (signs, seen_signs) = watch::channel(Sign { heard: clock::mono(), held_back: false });
        let (tell, give_way) = watch::channel(false);
        let seen = Seen { signs: seen_signs, give_way: Arc::new(tell) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, seen);
        Presence { peer, signs, give_way, registry: self.clone() }
    }

    /// Waits until the publisher at `peer` is gone or has given way after `silence` without media; false where it is alive
    /// or not known here.
    pub(super) async fn outlast(&self, peer: SocketAddr, silence: Duration) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&peer).cloned();
        let Some(Seen { mut signs, give_way }) = seen else { return false };
        let sign = *signs.borrow_and_update();
        if sign.held_back {
            return false;
        }
        let remaining = silence.saturating_sub(clock::mono().since(sign.heard));
        match timeout(remaining, signs.changed()).await {
            Ok(Ok(())) => return false,
            Ok(Err(_gone)) => return true,
            Err(_silent) => {}
        }
        let _ = give_way.send(true);
        let gone = async { while signs.changed().await.is_ok() {} };
        timeout(GIVING_WAY, gone).await.is_ok()
    }
}

impl Presence {
    /// Media came, and is on its way to the channel.
    pub(super) fn heard(&self, now: Mono) {
        self.signs.send_replace(Sign { heard: now, held_back: true });
    }

    /// The channel has taken it.
    pub(super) fn taken(&self, now: Mono) {
        self.signs.send_replace(Sign { heard: now, held_back: false });
    }

    /// Ends when the publisher is to give way.
    pub(super) async fn is_to_give_way(&self) {
        let mut give_way = self.give_way.clone();
        if give_way.wait_for(|told| *told).await.is_err() {
            // Nobody can tell it any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.registry.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_millis(60);
    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn peer() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 40_000))
    }

    #[tokio::test]
    async fn one_that_speaks_or_is_held_back_stays() {
        let registry = Registry::default();
        let presence = registry.enter(peer());
        presence.heard(clock::mono());
        assert!(!registry.outlast(peer(), SILENCE).await);
        assert!(!*presence.give_way.borrow(), "it was told to go although its channel holds it back");
        presence.taken(clock::mono());
        let newcomer = registry.outlast(peer(), Duration::from_secs(60));
        let speaks = async {
            tokio::task::yield_now().await;
            presence.heard(clock::mono());
        };
        assert!(!tokio::join!(newcomer, speaks).0);
    }

    #[tokio::test]
    async fn one_that_is_silent_gives_way() {
        let registry = Registry::default();
        let presence = registry.enter(peer());
        let gives_way = async move {
            presence.is_to_give_way().await;
            drop(presence);
        };
        let both = async { tokio::join!(registry.outlast(peer(), SILENCE), gives_way).0 };
        assert!(timeout(PATIENCE, both).await.expect("it is told to give way"));
        assert!(!registry.outlast(peer(), SILENCE).await, "it is not known any more");
    }

    #[tokio::test]
    async fn one_that_leaves_meanwhile_is_waited_for_no_longer() {
        let registry = Registry::default();
        let presence = registry.enter(peer());
        let leaves = async move {
            tokio::task::yield_now().await;
            drop(presence);
        };
        let both = async { tokio::join!(registry.outlast(peer(), Duration::from_secs(60)), leaves).0 };
        assert!(timeout(PATIENCE, both).await.expect("nobody is waited for"));
    }
}
