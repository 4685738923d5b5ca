//! The shelves of all channels, by name.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Shelf;

/// The registry that HTTP looks channels up in. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shelves {
    channels: Arc<RwLock<HashMap<String, Arc<Shelf>>>>,
}

impl Shelves {
    /// Puts a channel's shelf up and gives back the one that had this name before.
    pub fn add(&self, channel: impl Into<String>, shelf: Arc<Shelf>) -> Option<Arc<Shelf>> {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).insert(channel.into(), shelf)
    }

    /// Takes a channel's shelf down. Answers under way keep their bytes.
    pub fn remove(&self, channel: &str) -> Option<Arc<Shelf>> {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).remove(channel)
    }

    /// The shelf of the channel with exactly this name.
    pub fn find(&self, channel: &str) -> Option<Arc<Shelf>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    /// All shelves with their channels' names, in no order.
    pub fn all(&self) -> Vec<(String, Arc<Shelf>)> {
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        channels.iter().map(|(name, shelf)| (name.clone(), Arc::clone(shelf))).collect()
    }
}
