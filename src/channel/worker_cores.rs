//! Where workers run: on the cores that are theirs, each channel's on those of one NUMA node, near its GPU where it has one.
//!
//! The front sets it for its children: a spare stands by on all of the workers' cores, and is narrowed to a node when a channel
//! takes it. What a worker starts later inherits it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use crate::base::cores::{Cores, make_nicer};
use crate::placement::PinningMap;

/// The workers' cores. Clones share the count of who is where; the default one leaves workers where they are.
#[derive(Clone, Debug, Default)]
pub struct WorkerCores {
    shared: Option<Arc<Shared>>,
    /// Levels of niceness above that of whoever starts them.
    nicer: u8,
}

#[derive(Debug)]
struct Shared {
    all: Cores,
    nodes: Vec<(u32, Cores)>,
    /// Workers on each of the nodes.
    workers: Mutex<Vec<usize>>,
}

/// A worker's place on a node; dropping it makes room.
#[derive(Debug)]
pub struct Room {
    shared: Arc<Shared>,
    index: usize,
}

impl WorkerCores {
    /// As the map says.
    pub fn of(map: &PinningMap) -> WorkerCores {
        let shared = Shared {
            all: map.workers.cores.clone(),
            nodes: map.worker_nodes.clone(),
            workers: Mutex::new(vec![0; map.worker_nodes.len()]),
        };
        // Channels start their workers, and what a channel gives way is handed on.
        let nicer = map.workers.nicer.saturating_sub(map.packaging.nicer);
        WorkerCores { shared: map.pins().then(|| Arc::new(shared)), nicer }
    }

    /// Puts a worker that was just started on the workers' cores, beside the caller, whose thread must not wait for `/proc`.
    pub fn receive(&self, process: u32) -> JoinHandle<()> {
        let cores = self.clone();
        tokio::task::spawn_blocking(move || {
            let pinned = cores.shared.as_ref().map_or(Ok(()), |shared| shared.all.confine_process(process));
            if let Err(cause) = pinned.and_then(|()| make_nicer(process, cores.nicer)) {
                tracing::warn!(process, %cause, "worker stays on the cores of the front: it may delay publishers and viewers");
            }
        })
    }

    /// Room near NUMA node `near`; where that is not known or has no cores, on the node with the fewest workers for its cores.
    /// `None` where workers are not bound to cores.
    pub fn room(&self, near: Option<u32>) -> Option<Room> {
        let shared = self.shared.as_ref()?;
        let mut workers = shared.workers();
        let wished = near.and_then(|near| shared.nodes.iter().position(|(node, _)| *node == near));
        let share = |index: &usize| {
            let cores = shared.nodes.get(*index).map_or(1, |(_, cores)| cores.count().max(1));
            (workers.get(*index).copied().unwrap_or(0) + 1) * 65_536 / cores
        };
        let index = wished.or_else(|| (0..shared.nodes.len()).min_by_key(share))?;
        *workers.get_mut(index)? += 1;
        Some(Room { shared: Arc::clone(shared), index })
    }
}

impl Room {
    /// Its cores.
    pub fn cores(&self) -> &Cores {
        self.shared.nodes.get(self.index).map_or(&self.shared.all, |(_, cores)| cores)
    }

    /// Puts a worker there.
    pub async fn take(&self, process: u32) {
        let cores = self.cores().clone();
        let confine = move || {
            if let Err(cause) = cores.confine_process(process) {
                tracing::warn!(process, %cores, %cause, "worker stays on the cores of all workers");
            }
        };
        // It fails where the appliance ends.
        let _ = tokio::task::spawn_blocking(confine).await;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(workers) = self.shared.workers().get_mut(self.index) {
            *workers = workers.saturating_sub(1);
        }
    }
}

impl Shared {
    fn workers(&self) -> MutexGuard<'_, Vec<usize>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::PinningWish;
    use crate::placement::pinning::{Node, Topology};

    /// Node 0 has two cores left for workers, node 1 four.
    fn two_nodes() -> WorkerCores {
        let node = |number, cores: &str| Node { number, cores: cores.parse().unwrap(), has_gpu: false };
        let machine =
            Topology { allowed: "0-7".parse().unwrap(), quota: 8, nodes: vec![node(0, "0-3"), node(1, "4-7")], ..Topology::default() };
        let wish = PinningWish {
            ingest: Some("0".parse().unwrap()),
            edge: Some("1".parse().unwrap()),
            packaging: Some("1".parse().unwrap()),
            ..PinningWish::default()
        };
        WorkerCores::of(&PinningMap::of(&machine, &wish))
    }

    fn taken(cores: &WorkerCores, near: Option<u32>) -> (Room, String) {
        let room = cores.room(near).unwrap();
        let list = room.cores().to_string();
        (room, list)
    }

    #[test]
    fn channels_spread_by_the_cores_of_the_nodes() {
        let cores = two_nodes();
        let rooms: Vec<(Room, String)> = (0..6).map(|_| taken(&cores, None)).collect();
        let on = |list: &str| rooms.iter().filter(|(_, cores)| cores == list).count();
        assert_eq!((on("2-3"), on("4-7")), (2, 4));
        drop(rooms);
        assert_eq!(taken(&cores, None).1, "4-7", "all have left");
    }

    #[test]
    fn a_channel_with_a_gpu_is_near_it_however_busy_it_is_there() {
        let cores = two_nodes();
        let _rooms: Vec<Room> = (0..3).filter_map(|_| cores.room(Some(0))).collect();
        assert_eq!(taken(&cores, Some(0)).1, "2-3");
        assert_eq!(taken(&cores, Some(9)).1, "4-7", "a node without cores of ours");
    }

    #[test]
    fn where_nothing_is_pinned_there_are_no_rooms() {
        let machine = Topology { allowed: "0-1".parse().unwrap(), quota: 2, ..Topology::default() };
        assert!(WorkerCores::of(&PinningMap::of(&machine, &PinningWish::default())).room(Some(0)).is_none());
        assert!(WorkerCores::default().room(None).is_none());
    }
}
