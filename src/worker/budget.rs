//! A bound in bytes on what waits in queues that are otherwise bounded in items.

use std::sync::{Arc, Condvar, Mutex};

/// Bytes that may wait at once. Cloning shares the budget.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: Mutex<usize>,
    freed: Condvar,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Budget {
        Budget { shared: Arc::new(Shared { limit, used: Mutex::new(0), freed: Condvar::new() }) }
    }

    /// Waits until `bytes` fit, or until nothing else is held.
    pub(super) fn take(&self, bytes: usize) -> Share {
        let used = self.shared.used.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let over = |used: &mut usize| *used > 0 && *used + bytes > self.shared.limit;
        let mut used = self.shared.freed.wait_while(used, over).unwrap_or_else(|poisoned| poisoned.into_inner());
        *used += bytes;
        Share { shared: Arc::clone(&self.shared), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self.shared.used.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *used -= self.bytes;
        self.shared.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_for_what_is_held() {
        let budget = Budget::new(10);
        let first = budget.take(8);
        let waiting = {
            let budget = budget.clone();
            std::thread::Builder::new().name("waiter".into()).spawn(move || drop(budget.take(20))).unwrap()
        };
        assert!(!waiting.is_finished());
        drop(first);
        waiting.join().unwrap();
        assert_eq!(*budget.shared.used.lock().unwrap(), 0);
    }
}
