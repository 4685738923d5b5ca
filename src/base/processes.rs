//! The list of the appliance's processes, by what they are for: whoever starts one puts it in, and whoever watches them reads it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a process is for, the `role` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The one that holds the sockets.
    Front,
    /// A channel's codec worker, or the one that stands by.
    Codec,
    /// The SRT gateway.
    Srt,
    /// Who asks drivers how busy GPUs are.
    Load,
}

impl Role {
    /// The value of the `role` label.
    pub fn label(self) -> &'static str {
        match self {
            Role::Front => "front",
            Role::Codec => "codec",
            Role::Srt => "srt",
            Role::Load => "load",
        }
    }
}

/// A process of the appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its place in the list: numbers of processes come again, these do not.
    pub place: u64,
    /// The kernel's number.
    pub process: u32,
    /// What it is for.
    pub role: Role,
    /// Its channel; empty where it has none.
    pub channel: String,
}

#[derive(Debug, Default)]
struct List {
    next: u64,
    processes: BTreeMap<u64, Process>,
}

static LIST: Mutex<List> = Mutex::new(List { next: 0, processes: BTreeMap::new() });

fn list() -> MutexGuard<'static, List> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every process in the list, in the order in which they were put in.
pub fn listed() -> Vec<Process> {
    list().processes.values().cloned().collect()
}

/// A place in the list, which is given up when this is dropped.
#[derive(Debug)]
pub struct Listed(u64);

impl Listed {
    /// Puts a process in; `channel` is empty where it has none.
    pub fn new(process: u32, role: Role, channel: &str) -> Listed {
        let mut list = list();
        list.next += 1;
        let place = list.next;
        list.processes.insert(place, Process { place, process, role, channel: channel.to_owned() });
        Listed(place)
    }

    /// It works for this channel from now on.
    pub fn works_for(&self, channel: &str) {
        if let Some(process) = list().processes.get_mut(&self.0) {
            channel.clone_into(&mut process.channel);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        list().processes.remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_the_list_as_long_as_its_place_is_held() {
        let mine = || listed().into_iter().find(|process| process.process == u32::MAX);
        let place = Listed::new(u32::MAX, Role::Codec, "");
        assert_eq!(mine().unwrap().channel, "");
        place.works_for("news");
        assert_eq!(mine().unwrap().channel, "news");
        drop(place);
        assert_eq!(mine(), None);
    }
}
