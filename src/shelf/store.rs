//! One channel's shelf.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::item::{Item, is_segment};
use crate::base::{Fault, Ticks, WallTime};
use crate::pack::Change;

/// What an entry costs beside its bytes: the item, the map's slots, the header values. It bounds the number of tiny files too.
const ENTRY_BYTES: usize = 512;

/// The finished files of one channel. Holds at most `capacity` bytes: when a batch does not fit, the oldest media segments make
/// room, for viewers at the live edge matter most; a batch that would not fit even then is refused whole and nothing changes.
#[derive(Debug)]
pub struct Shelf {
    target: AtomicI64,
    capacity_bytes: AtomicUsize,
    files: RwLock<Files>,
}

#[derive(Debug, Default)]
struct Files {
    items: HashMap<String, Arc<Item>>,
    /// Paths of media segments by the order in which they were put.
    segments: BTreeMap<u64, String>,
    bytes: usize,
    /// The part of `bytes` that is never dropped: playlists, manifests, headers.
    pinned_bytes: usize,
    puts: u64,
}

/// What a batch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Media segments that were dropped before their time because the shelf was full.
    pub dropped: usize,
    /// Bytes held now.
    pub bytes: usize,
}

/// A batch was refused; the shelf is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the shelf is full: it needs {needed_bytes} bytes and may hold {capacity_bytes}; shorten the window or the segments, or raise its capacity"
)]
pub struct Full {
    /// What the batch and the files that cannot be dropped need together.
    pub needed_bytes: usize,
    /// What the shelf may hold.
    pub capacity_bytes: usize,
}

impl Full {
    /// The class.
    pub fn fault(&self) -> Fault {
        Fault::Overload
    }
}

impl Shelf {
    /// An empty shelf. `target` is the target duration of the channel's live playlists, from which their Cache-Control follows.
    pub fn new(target: Ticks, capacity_bytes: usize) -> Shelf {
        Shelf { target: AtomicI64::new(target.0), capacity_bytes: AtomicUsize::new(capacity_bytes), files: RwLock::default() }
    }

    /// Another target duration and capacity from the next batch on. What is there stays, and a smaller shelf makes room then.
    pub fn refit(&self, target: Ticks, capacity_bytes: usize) {
        self.target.store(target.0, Relaxed);
        self.capacity_bytes.store(capacity_bytes, Relaxed);
    }

    /// Makes a batch of changes visible at once. Hashing and compressing happen before the lock is taken.
    pub fn apply(&self, changes: Vec<Change>, now: WallTime) -> Result<Applied, Full> {
        let (target, capacity_bytes) = (Ticks(self.target.load(Relaxed)), self.capacity_bytes.load(Relaxed));
        let changes: Vec<Prepared> = changes.into_iter().map(|change| Prepared::new(change, target, now)).collect();
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let needed_bytes = files.needed(&changes);
        if needed_bytes > capacity_bytes {
            return Err(Full { needed_bytes, capacity_bytes });
        }
        let batch = files.puts;
        // Freeing megabytes is left for after the lock.
        let mut freed = Vec::new();
        for change in changes {
            freed.extend(files.change(change));
        }
        let dropped = files.make_room(capacity_bytes, batch, &mut freed);
        let applied = Applied { dropped, bytes: files.bytes };
        drop(files);
        Ok(applied)
    }

    /// The file at exactly this path.
    pub fn find(&self, path: &str) -> Option<Arc<Item>> {
        self.read().items.get(path).cloned()
    }

    /// Bytes held, with a fixed cost for each file.
    pub fn bytes(&self) -> usize {
        self.read().bytes
    }

    /// Whether nothing is there yet.
    pub fn is_empty(&self) -> bool {
        self.read().items.is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, Files> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Prepared {
    Put(String, Arc<Item>),
    Remove(String),
}

impl Prepared {
    fn new(change: Change, target: Ticks, now: WallTime) -> Prepared {
        match change {
            Change::Put { path, body, kind } => Prepared::Put(path, Arc::new(Item::new(body, kind, target, now))),
            Change::Remove { path } => Prepared::Remove(path),
        }
    }

    fn path(&self) -> &str {
        match self {
            Prepared::Put(path, _) | Prepared::Remove(path) => path,
        }
    }
}

impl Files {
    /// What the shelf would hold at least after this batch, with every droppable file gone that the batch did not put.
    fn needed(&self, batch: &[Prepared]) -> usize {
        let mut touched = HashSet::new();
        let freed: usize = batch
            .iter()
            .filter(|change| touched.insert(change.path()))
            .filter_map(|change| self.items.get(change.path()).filter(|item| !item.droppable()).map(|item| cost(change.path(), item)))
            .sum();
        let put: usize = batch.iter().map(|change| if let Prepared::Put(path, item) = change { cost(path, item) } else { 0 }).sum();
        self.pinned_bytes.saturating_sub(freed).saturating_add(put)
    }

    /// Carries one change out and gives back the item that it displaced.
    fn change(&mut self, change: Prepared) -> Option<Arc<Item>> {
        match change {
            Prepared::Remove(path) => self.remove(&path),
            Prepared::Put(path, item) => {
                // Equal bytes keep their date, so that a conditional request still finds them unchanged.
                if self.items.get(&path).is_some_and(|held| held.etag == item.etag && held.kind == item.kind) {
                    return Some(item);
                }
                let displaced = self.remove(&path);
                self.put(path, item);
                displaced
            }
        }
    }

    fn put(&mut self, path: String, mut item: Arc<Item>) {
        let order = self.puts;
        self.puts += 1;
        // Nobody else holds the item yet.
        if let Some(item) = Arc::get_mut(&mut item) {
            item.order = order;
        }
        let cost = cost(&path, &item);
        self.bytes += cost;
        if is_segment(item.kind) {
            self.segments.insert(order, path.clone());
        } else {
            self.pinned_bytes += cost;
        }
        self.items.insert(path, item);
    }

    fn remove(&mut self, path: &str) -> Option<Arc<Item>> {
        let item = self.items.remove(path)?;
        let cost = cost(path, &item);
        self.bytes = self.bytes.saturating_sub(cost);
        if item.droppable() {
            self.segments.remove(&item.order);
        } else {
            self.pinned_bytes = self.pinned_bytes.saturating_sub(cost);
        }
        Some(item)
    }

    /// Drops the oldest media segments that were there before put number `batch`.
    fn make_room(&mut self, capacity_bytes: usize, batch: u64, freed: &mut Vec<Arc<Item>>) -> usize {
        let before = freed.len();
        while self.bytes > capacity_bytes {
            let Some((_, path)) = self.segments.range(..batch).next().map(|(order, path)| (*order, path.clone())) else { break };
            freed.extend(self.remove(&path));
        }
        freed.len() - before
    }
}

/// The path is held twice for segments.
fn cost(path: &str, item: &Item) -> usize {
    item.body.len() + item.gzip.as_ref().map_or(0, |gzip| gzip.len()) + 2 * path.len() + ENTRY_BYTES
}
