//! Bounded queues between plain threads, each with a name and a depth that anyone may read.
//!
//! The policy when full is the sender's choice per call: [`Sender::send`] waits, [`Sender::try_send`] gives the item back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver as StdReceiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// The fill of one queue, shared with whoever reports it.
#[derive(Clone, Debug)]
pub struct Depth {
    name: &'static str,
    capacity: usize,
    held: Arc<AtomicUsize>,
}

impl Depth {
    /// The queue's name, the `queue` label of metrics.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many items the queue can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many items are waiting now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// The sending end.
#[derive(Debug)]
pub struct Sender<T> {
    items: SyncSender<T>,
    depth: Depth,
}

/// The receiving end.
#[derive(Debug)]
pub struct Receiver<T> {
    items: StdReceiver<T>,
    depth: Depth,
}

/// The other end of the queue is gone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("queue {0}: the other end is gone")]
pub struct Gone(pub &'static str);

/// Why an item was not taken at once; it is handed back.
#[derive(Debug)]
pub enum Refused<T> {
    /// The queue holds as many items as it may.
    Full(T),
    /// The receiver is gone.
    Gone(T),
}

/// A queue of at most `capacity` items.
#[allow(clippy::disallowed_methods, reason = "the one place that makes a channel between threads; it is bounded")]
pub fn queue<T>(name: &'static str, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = sync_channel(capacity);
    let depth = Depth { name, capacity, held: Arc::default() };
    (Sender { items: sender, depth: depth.clone() }, Receiver { items: receiver, depth })
}

impl<T> Sender<T> {
    /// Waits for room, then sends.
    pub fn send(&self, item: T) -> Result<(), Gone> {
        self.depth.held.fetch_add(1, Ordering::Relaxed);
        self.items.send(item).map_err(|_| {
            self.depth.held.fetch_sub(1, Ordering::Relaxed);
            Gone(self.depth.name)
        })
    }

    /// Sends if there is room now.
    pub fn try_send(&self, item: T) -> Result<(), Refused<T>> {
        self.depth.held.fetch_add(1, Ordering::Relaxed);
        self.items.try_send(item).map_err(|refusal| {
            self.depth.held.fetch_sub(1, Ordering::Relaxed);
            match refusal {
                TrySendError::Full(item) => Refused::Full(item),
                TrySendError::Disconnected(item) => Refused::Gone(item),
            }
        })
    }

    /// The fill, for metrics.
    pub fn depth(&self) -> Depth {
        self.depth.clone()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender { items: self.items.clone(), depth: self.depth.clone() }
    }
}

impl<T> Receiver<T> {
    /// Waits for the next item; `None` when every sender is gone.
    pub fn recv(&self) -> Option<T> {
        let item = self.items.recv().ok()?;
        self.depth.held.fetch_sub(1, Ordering::Relaxed);
        Some(item)
    }

    /// Waits at most `limit`; `Ok(None)` when nothing came in that time.
    pub fn recv_within(&self, limit: Duration) -> Result<Option<T>, Gone> {
        match self.items.recv_timeout(limit) {
            Ok(item) => {
                self.depth.held.fetch_sub(1, Ordering::Relaxed);
                Ok(Some(item))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Gone(self.depth.name)),
        }
    }

    /// The fill, for metrics.
    pub fn depth(&self) -> Depth {
        self.depth.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_hands_the_item_back_and_counts_right() {
        let (sender, receiver) = queue("test", 1);
        sender.try_send(1).unwrap();
        assert!(matches!(sender.try_send(2), Err(Refused::Full(2))));
        assert_eq!(sender.depth().held(), 1);
        assert_eq!(receiver.recv(), Some(1));
        assert_eq!(receiver.depth().held(), 0);
        drop(receiver);
        assert_eq!(sender.send(3), Err(Gone("test")));
        assert_eq!(sender.depth().held(), 0);
    }
}
